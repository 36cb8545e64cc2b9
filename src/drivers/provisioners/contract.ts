import type { Readable, Writable } from 'node:stream';

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
  /** Moving rows in and out. Absent where a backend has no such way. */
  readonly tables?: SpaceTables;
  close(): Promise<void>;
};

/**
 * What is done inside of a space, logged in as its own login: whatever people have made there (views, triggers,
 * defaults) runs with their rights, never with ours. What their database refuses is thrown as `invalid` with its own
 * words; a space or login that is gone as not-found.
 */
export type SpaceTables = {
  /** All tables or none, in one transaction. Returns the rows of each. */
  load(space: Space, load: SpaceLoad, signal: AbortSignal): Promise<number[]>;
  /** What became of the transaction of a load whose end nobody has heard. */
  outcomeOf(space: Space, transaction: string): Promise<'committed' | 'aborted'>;
  /** Columns of a table or view in their order; undefined where there is none of that name. */
  describe(space: Space, name: string): Promise<SpaceColumn[] | undefined>;
  /** Rows of a table or view as CSV without header: all cells the backend's texts and quoted, NULL empty. */
  unload(space: Space, unload: SpaceUnload, into: Writable, signal: AbortSignal): Promise<number>;
  list(space: Space): Promise<SpaceObject[]>;
  /** Whatever of these is there, with what depends on it. */
  drop(space: Space, names: readonly string[]): Promise<void>;
  /** One statement, and as many of its rows as one may look at. */
  query(space: Space, statement: string, limits: QueryLimits): Promise<SpaceAnswer>;
};

export type SpaceLoad = {
  /** Whether what is there stays. */
  keep: boolean;
  tables: SpaceTableLoad[];
  /** Told when all rows are in, with what `outcomeOf` understands. Throwing undoes everything. */
  beforeCommit(transaction: string, rows: number[]): Promise<void>;
};

export type SpaceTableLoad = {
  name: string;
  /** `append` makes the table where there is none; where there is a primary key, rows of the same key are replaced. */
  mode: 'create' | 'replace' | 'append';
  columns: SpaceColumnWish[];
  primaryKey: string[];
  /** As `unload` writes them. Asked for when it is this table's turn. */
  rows(): Promise<Readable>;
};

export type SpaceColumnWish = {
  name: string;
  /** As people say it, any case; undefined for text of any length. */
  type: string | undefined;
  length: string | undefined;
  nullable: boolean;
  emptyAsNull: boolean;
};

/** `type` without and `length` with what stands in its brackets. */
export type SpaceColumn = { name: string; type: string; length: string | undefined; nullable: boolean };
export type SpaceObject = { name: string; type: 'table' | 'view' };
export type SpaceUnload = { name: string; columns: string[] };
export type QueryLimits = { rows: number; bytes: number; milliseconds: number };
/** `columns` is empty for a statement that has no rows to show; then `message` says what it did. */
export type SpaceAnswer = { columns: string[]; rows: (string | null)[][]; message: string };

export type Space = { name: string; password: string };
export type SpaceNames = { database: string; schema: string | undefined; user: string };
/** One whose login does not take the password any more does not exist: people may change it, or remove their space. */
export type SpaceState = { exists: boolean; isInUse: boolean };
/** `host` may be a wildcard address; then clients know better by which name they reach this machine. */
export type SpaceAddress = { host: string; port: number };

/** By the name of the backend; only those that are configured. */
export type Provisioners = Readonly<Record<string, Provisioner>>;
