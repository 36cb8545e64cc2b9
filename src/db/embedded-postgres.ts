import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { backoffMs } from '../lib/retry.ts';
import {
  chooseLauncher,
  credentialsOf,
  findPostgresBinaries,
  type Launcher,
  type PostgresBinaries,
} from './postgres-binaries.ts';

/**
 * The metadata database of a server that was given none: a PostgreSQL of its own below the data directory.
 *
 *   <data>/postgres       the cluster, made whole under another name and renamed
 *   <data>/run            its socket; it listens nowhere else
 *   <data>/logs/postgres.log
 *
 * It is a daemon, not a child that dies with us: after a kill -9 of the server it lives on and the next start adopts
 * it. The caller holds the lock of the data directory, so whatever lives in this cluster is ours.
 */
export type EmbeddedPostgres = {
  /** With `outside`, the port may be another one after a restart. */
  readonly connection: { host: string; port: number; user: string; database: string };
  socketDirectory: string;
  /** Of the postmaster; another one after a restart. */
  pid(): number;
  /** Lets running statements be cancelled and transactions roll back, then ends. The files are consistent after it. */
  stop(): Promise<void>;
};

export type EmbeddedPostgresOptions = {
  /** The data directory; absolute. */
  home: string;
  log: Logger;
  /** Off for tests: quicker, but a power cut may lose or break the cluster. */
  fsync?: boolean;
  maxConnections?: number;
  /** For a cluster whose users come from outside; without it only the socket is open, to whoever owns its folder. */
  outside?: OutsideAccess;
  /** Instead of the best way that works here; for tests. */
  runAs?: 'namespace' | 'user';
};

export type OutsideAccess = {
  /** One address to listen on. */
  host: string;
  /** Asked for whenever a server is to be started that does not live already. */
  choosePort(): Promise<number>;
  /** Lines of pg_hba.conf for everybody who does not come through the socket. */
  rules: readonly string[];
  /** PEM texts; with them TLS is offered. */
  tls?: { cert: string; key: string } | undefined;
  settings?: readonly string[];
  /** Address space of each server process: a statement that wants more fails, instead of the machine. */
  processMemoryMb?: number;
};

const USER = 'millrace';
const SOCKET_PORT = 5432;
const DATABASE = 'millrace';
/** A socket path has room for 107 bytes; the file name of the socket takes 15 of them. */
const SOCKET_DIRECTORY_MAX_BYTES = 84;
const START_LIMIT_MS = 5 * 60_000;
const STOP_LIMIT_MS = 1500;
const LOG_MAX_BYTES = 10 * 1024 * 1024;
const RESTART = { firstMs: 100, maxMs: 30_000 };

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  mkdirSync(path.join(options.home, 'logs'), { recursive: true, mode: 0o700 });
  // Resolved, because processes are compared with it by the folder they are in.
  const cluster = path.join(realpathSync(options.home), 'postgres');
  const binaries = findPostgresBinaries(options.home);
  const exists = existsSync(path.join(cluster, 'PG_VERSION'));
  if (exists) checkMajor(cluster, binaries);
  const launcher = chooseLauncher({
    binaries,
    ownerUid: exists ? statSync(cluster).uid : undefined,
    ...(options.runAs && { force: options.runAs }),
  });
  checkOwner(cluster, exists, launcher);
  const socketDirectory = makeSocketDirectory(options.home, launcher);
  if (!exists) await initialize({ cluster, binaries, launcher, fsync: options.fsync !== false });

  const server = new Postmaster({ ...options, cluster, binaries, launcher, socketDirectory });
  await server.start();
  try {
    await ensureDatabase(socketDirectory, server.port);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    get connection() {
      return { host: socketDirectory, port: server.port, user: USER, database: DATABASE };
    },
    socketDirectory,
    pid: () => server.pid,
    stop: () => server.stop(),
  };
}

/** Major versions cannot read each other's files, and neither tells the user so in words he can use. */
function checkMajor(cluster: string, binaries: PostgresBinaries): void {
  const found = readFileSync(path.join(cluster, 'PG_VERSION'), 'utf8').trim();
  if (found === binaries.major) return;
  throw new AppError(
    'conflict',
    'database.other-major',
    `The database in ${cluster} was made by PostgreSQL ${found}; this Millrace brings PostgreSQL ${binaries.major}. ` +
      `Start the Millrace version that made it, dump it there, and load the dump into a new data directory ` +
      '(docs/operations.md, Another PostgreSQL version).',
    { retryable: false },
  );
}

function checkOwner(cluster: string, exists: boolean, launcher: Launcher): void {
  const uid = launcher.uid ?? process.geteuid?.();
  if (!exists || uid === undefined) return;
  const owner = statSync(cluster).uid;
  if (owner === uid) return;
  throw new AppError(
    'conflict',
    'database.other-owner',
    `The database in ${cluster} belongs to the user with the number ${owner}, but Millrace was started by ${uid}. ` +
      'Start it as that user, or change the owner of the whole data directory (docs/operations.md).',
    { retryable: false },
  );
}

function makeSocketDirectory(home: string, launcher: Launcher): string {
  let directory = path.join(home, 'run');
  if (Buffer.byteLength(directory) > SOCKET_DIRECTORY_MAX_BYTES) {
    const hash = createHash('sha256').update(realpathSync(home)).digest('hex').slice(0, 12);
    directory = path.join(tmpdir(), `millrace-${hash}`);
    if (Buffer.byteLength(directory) > SOCKET_DIRECTORY_MAX_BYTES) directory = path.join('/tmp', `millrace-${hash}`);
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const found = lstatSync(directory);
  const mine = [process.geteuid?.(), launcher.uid].includes(found.uid) || process.geteuid === undefined;
  // In a shared temporary folder somebody else could have made it first, and would then own our database's door.
  if (!found.isDirectory() || !mine)
    throw new Error(`${directory} must be a folder of ours; remove it and start again`);
  chmodSync(directory, 0o700);
  if (launcher.uid !== undefined && launcher.gid !== undefined) {
    chownSync(directory, launcher.uid, launcher.gid);
    // The system user must be able to walk to its own two folders; everything else in here stays closed by itself.
    chmodSync(home, 0o711);
  }
  return directory;
}

type InitializeOptions = { cluster: string; binaries: PostgresBinaries; launcher: Launcher; fsync: boolean };

/** Made under another name: a cluster with the right name is complete, whenever we were killed. */
async function initialize({ cluster, binaries, launcher, fsync }: InitializeOptions): Promise<void> {
  const draft = `${cluster}.new`;
  rmSync(draft, { recursive: true, force: true });
  if (existsSync(cluster) && readdirSync(cluster).length > 0) {
    throw new Error(`${cluster} exists but holds no database. Restore it from a backup, or move it away.`);
  }
  mkdirSync(draft, { mode: 0o700 });
  if (launcher.uid !== undefined && launcher.gid !== undefined) chownSync(draft, launcher.uid, launcher.gid);
  const initdb = (...args: string[]) => runToEnd(launcher, binaries.initdb, ['-D', draft, ...args]);
  await initdb(
    '-U',
    USER,
    '--encoding=UTF8',
    '--locale=C',
    // Whoever may enter the socket's folder is us.
    '--auth=trust',
    '--no-sync',
    '--no-instructions',
  );
  // Once at the end instead of file by file.
  if (fsync) await initdb('--sync-only');
  rmSync(cluster, { recursive: true, force: true });
  renameSync(draft, cluster);
}

async function runToEnd(launcher: Launcher, binary: string, binaryArgs: string[]): Promise<void> {
  const { command, args } = launcher.wrap(binary, binaryArgs);
  const child = spawn(command, args, {
    ...credentialsOf(launcher),
    cwd: '/',
    env: launcher.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C is for us, not for whatever we are waiting for.
    detached: true,
  });
  let output = '';
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4000);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${path.basename(binary)} failed: ${output.trim()}`);
}

/** The database that initdb makes gets our name: making another would copy 300 files at every first start. */
async function ensureDatabase(socketDirectory: string, port: number): Promise<void> {
  const client = new pg.Client({ host: socketDirectory, port, user: USER, database: 'template1' });
  client.on('error', () => {
    // The query that was running reports it.
  });
  await client.connect();
  try {
    const found = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (found.rowCount === 0) await client.query(`alter database postgres rename to ${DATABASE}`);
  } finally {
    await client.end();
  }
}

type PostmasterOptions = EmbeddedPostgresOptions & {
  cluster: string;
  binaries: PostgresBinaries;
  launcher: Launcher;
  socketDirectory: string;
};

/**
 * The server process and its supervision:
 *
 *   start ── lives already ──► adopted ─┐
 *     └───── spawned ──────────────────┤► running ── died ──► spawned again, with growing delays
 *                                       └─ stop ──► stopped
 */
class Postmaster {
  pid = 0;
  port = SOCKET_PORT;
  readonly #options: PostmasterOptions;
  #watch: NodeJS.Timeout | undefined;
  #stopping = false;
  #restarting: Promise<void> | undefined;

  constructor(options: PostmasterOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    if (await this.#adopt())
      this.#options.log.info({ postgresPid: this.pid }, 'adopted the PostgreSQL that was still running');
    else await this.#spawn();
    this.#supervise();
  }

  /** True when a postmaster of this cluster lives and is ready. One that is on its way out is waited for. */
  async #adopt(): Promise<boolean> {
    const limit = Date.now() + START_LIMIT_MS;
    for (;;) {
      const found = this.#readPidFile();
      if (!found || !this.#isOurs(found.pid)) return false;
      if (found.isReady) {
        // Started for another socket folder: the data directory was moved or mounted elsewhere meanwhile.
        const isElsewhere = found.socketDirectory !== this.#options.socketDirectory;
        if (isElsewhere || found.host !== (this.#options.outside?.host ?? '')) {
          await this.#end(found.pid);
          return false;
        }
        this.pid = found.pid;
        this.port = found.port;
        return true;
      }
      if (Date.now() > limit) throw new Error(`PostgreSQL (pid ${found.pid}) neither gets ready nor ends`);
      await sleep(50);
    }
  }

  async #spawn(): Promise<void> {
    const { cluster, binaries, launcher, socketDirectory, home, log, outside } = this.#options;
    await this.#clearRemains();
    if (outside) {
      this.port = await outside.choosePort();
      writeAccess(cluster, outside, launcher);
    }
    const logFile = path.join(home, 'logs', 'postgres.log');
    rotate(logFile);
    const { command, args } = limitMemory(
      outside?.processMemoryMb,
      launcher.wrap(binaries.postgres, [
        '-D',
        cluster,
        '-h',
        outside?.host ?? '',
        '-p',
        String(this.port),
        '-k',
        socketDirectory,
        ...settingsOf(this.#options).flatMap((setting) => ['-c', setting]),
      ]),
    );
    const output = openSync(logFile, 'a', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(command, args, {
        ...credentialsOf(launcher),
        cwd: '/',
        env: launcher.environment,
        stdio: ['ignore', output, output],
        // In a session of its own: Ctrl-C in our terminal must not reach it before we have stopped.
        detached: true,
      });
    } finally {
      closeSync(output);
    }
    let failure: string | undefined;
    child.once('error', (error) => {
      failure = error.message;
    });
    child.once('exit', (code, signal) => {
      failure = `ended with ${signal ?? `exit code ${code}`}`;
    });
    child.unref();
    const limit = Date.now() + START_LIMIT_MS;
    for (;;) {
      const found = this.#readPidFile();
      if (found?.isReady && found.pid === child.pid) break;
      if (failure !== undefined) throw new Error(`PostgreSQL did not start: ${failure}. ${lastLines(logFile)}`);
      if (Date.now() > limit) throw new Error(`PostgreSQL does not get ready. ${lastLines(logFile)}`);
      await sleep(10);
    }
    this.pid = child.pid ?? 0;
    log.info({ postgresPid: this.pid, launcher: launcher.description }, 'PostgreSQL is running');
  }

  #supervise(): void {
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      if (this.#stopping || this.#restarting || isAlive(this.pid)) return;
      this.#restarting = this.#restart().finally(() => {
        this.#restarting = undefined;
      });
    }, 200);
    this.#watch.unref();
  }

  async #restart(): Promise<void> {
    for (let failures = 0; !this.#stopping; ) {
      this.#options.log.error({ postgresPid: this.pid, failures }, 'PostgreSQL has died and is started again');
      try {
        await this.#spawn();
        return;
      } catch (error) {
        failures++;
        this.#options.log.error({ err: error }, 'PostgreSQL could not be started again');
        await sleep(backoffMs(failures, RESTART), undefined, { ref: false });
      }
    }
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearInterval(this.#watch);
    await this.#restarting;
    await this.#end(this.pid);
  }

  /** Fast shutdown; harder signals when it takes too long. */
  async #end(pid: number): Promise<void> {
    for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
      if (!this.#isOurs(pid)) return;
      send(pid, signal);
      const limit = Date.now() + STOP_LIMIT_MS / (signal === 'SIGINT' ? 1 : 3);
      while (isAlive(pid) && Date.now() < limit) await sleep(10);
    }
  }

  /**
   * What a killed postmaster leaves, called only when none is alive: backends that have not noticed yet, whose shared
   * memory would refuse a new one, and lock files. PostgreSQL clears the files up itself, with the shared memory that
   * they name, unless their process number meanwhile belongs to somebody else.
   */
  async #clearRemains(): Promise<void> {
    const { cluster, socketDirectory } = this.#options;
    const limit = Date.now() + STOP_LIMIT_MS;
    for (let left = processesIn(cluster); left.length > 0 && Date.now() < limit; left = processesIn(cluster)) {
      for (const pid of left) send(pid, 'SIGKILL');
      await sleep(10);
    }
    if (!isAlive(this.#readPidFile()?.pid ?? 0)) return;
    const socket = path.join(socketDirectory, `.s.PGSQL.${this.#readPidFile()?.port ?? this.port}`);
    rmSync(path.join(cluster, 'postmaster.pid'), { force: true });
    rmSync(socket, { force: true });
    rmSync(`${socket}.lock`, { force: true });
  }

  #readPidFile(): PidFile | undefined {
    let text: string;
    try {
      text = readFileSync(path.join(this.#options.cluster, 'postmaster.pid'), 'utf8');
    } catch {
      // Not running.
      return undefined;
    }
    const lines = text.split('\n');
    const pid = Number(lines[0]);
    if (!Number.isInteger(pid) || pid <= 0) return undefined;
    return {
      pid,
      port: Number(lines[3]),
      socketDirectory: lines[4]?.trim() ?? '',
      host: lines[5]?.trim() ?? '',
      isReady: lines[7]?.trim() === 'ready',
    };
  }

  /** A process number alone proves nothing after a restart of the machine: the process must live in our cluster. */
  #isOurs(pid: number): boolean {
    if (!isAlive(pid)) return false;
    if (process.platform !== 'linux') return true;
    return livesIn(pid, this.#options.cluster);
  }
}

type PidFile = { pid: number; port: number; socketDirectory: string; host: string; isReady: boolean };

/** Who may enter and with which certificate. PostgreSQL insists on owning its key. */
function writeAccess(cluster: string, { rules, tls }: OutsideAccess, launcher: Launcher): void {
  const files = { 'pg_hba.conf': ['local all all trust', ...rules, ''].join('\n') };
  for (const [name, text] of Object.entries({
    ...files,
    ...(tls && { 'server.crt': tls.cert, 'server.key': tls.key }),
  })) {
    const file = path.join(cluster, name);
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    if (launcher.uid !== undefined && launcher.gid !== undefined) chownSync(`${file}.new`, launcher.uid, launcher.gid);
    renameSync(`${file}.new`, file);
  }
}

/** For a small server beside other processes that need the memory more. */
function settingsOf({ fsync = true, maxConnections = 100, outside }: EmbeddedPostgresOptions): string[] {
  return [
    'shared_buffers=32MB',
    `max_connections=${maxConnections}`,
    'jit=off',
    'wal_compression=on',
    // Without io workers and the replication launcher an idle server is five processes of about 20 MB in all.
    'io_method=sync',
    'max_logical_replication_workers=0',
    'wal_level=minimal',
    'max_wal_senders=0',
    'max_wal_size=512MB',
    'min_wal_size=64MB',
    'autovacuum_naptime=20s',
    // Work tables like jobs are updated in place all the time.
    'autovacuum_vacuum_cost_delay=0',
    'random_page_cost=1.5',
    'log_timezone=UTC',
    'log_min_duration_statement=2s',
    'unix_socket_permissions=0700',
    'logging_collector=off',
    ...(outside?.tls ? ['ssl=on', 'ssl_cert_file=server.crt', 'ssl_key_file=server.key'] : []),
    ...(outside?.settings ?? []),
    // Commits still reach the operating system: else the death of one backend would take acknowledged ones with it.
    ...(fsync ? [] : ['fsync=off', 'full_page_writes=off']),
  ];
}

/** The shell becomes the program, so its number is the server's. */
function limitMemory(megabytes: number | undefined, { command, args }: { command: string; args: string[] }) {
  if (megabytes === undefined) return { command, args };
  const script = 'ulimit -v "$1"; shift; exec "$@"';
  return { command: '/bin/sh', args: ['-c', script, 'sh', String(megabytes * 1024), command, ...args] };
}

function rotate(file: string): void {
  if (existsSync(file) && statSync(file).size > LOG_MAX_BYTES) renameSync(file, `${file}.1`);
}

function lastLines(file: string): string {
  const text = existsSync(file) ? readFileSync(file, 'utf8').slice(-4000) : '';
  return `The last lines of ${file}:\n${text.trim().split('\n').slice(-8).join('\n')}`;
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile, which is what was wanted.
  }
}

/** Every process of a cluster has it as its current directory. */
function processesIn(cluster: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => livesIn(pid, cluster));
}

function livesIn(pid: number, cluster: string): boolean {
  try {
    return (
      readlinkSync(`/proc/${pid}/cwd`) === cluster &&
      path.basename(readlinkSync(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '') === 'postgres'
    );
  } catch {
    // Another user's process, or one that has just ended.
    return false;
  }
}
