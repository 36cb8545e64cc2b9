/**
 * What makes databases that people log in to from outside. A space is one database with one login of the same name; the
 * core keeps the names, so a provisioner remembers nothing itself. Every act may be repeated: after a crash nobody
 * knows how far it came. All of them throw `unavailable` when the server behind does not answer, after a moment in which it
 * may come back.
 */
export type Provisioner = {
  /** A name for a new space that no other space on that server has. */
  nameFor(id: number, purpose: string): string;
  /** The names under which a login finds its space. */
  describe(name: string): SpaceNames;
  /** Where logins connect to. Starts the server where that is the provisioner's business. */
  address(): Promise<SpaceAddress>;
  /** Makes what is missing of the space, and the login with that password. */
  ensure(space: Space): Promise<void>;
  inspect(space: Space): Promise<SpaceState>;
  /** Ends every session that the login has now and returns when they are gone. */
  kill(name: string): Promise<void>;
  /** Ends its sessions and removes the space and the login with everything they own. */
  destroy(name: string): Promise<void>;
  close(): Promise<void>;
};

export type Space = { name: string; password: string };
export type SpaceNames = { database: string; schema: string | undefined; user: string };
/** One whose login does not take the password any more does not exist: people may change it, or remove their space. */
export type SpaceState = { exists: boolean; isInUse: boolean };
/** `host` may be a wildcard address; then clients know better by which name they reach this machine. */
export type SpaceAddress = { host: string; port: number };

/** By the name of the backend; only those that are configured. */
export type Provisioners = Readonly<Record<string, Provisioner>>;
