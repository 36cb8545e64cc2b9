import { hkdfSync, randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Config } from './config.ts';
import { ComponentRuns } from './core/components/component-runs.ts';
import { Components } from './core/components/components.ts';
import { Configurations } from './core/components/configurations.ts';
import type { Core } from './core/core.ts';
import { AppError } from './core/errors.ts';
import { Events } from './core/events/events.ts';
import { FileSweeper } from './core/files/file-sweeper.ts';
import { Files } from './core/files/files.ts';
import { Identity } from './core/identity/identity.ts';
import { Jobs } from './core/jobs/jobs.ts';
import type { Credentials } from './core/projects/credentials.ts';
import { Projects } from './core/projects/projects.ts';
import { Secrets } from './core/secrets/secrets.ts';
import { Buckets } from './core/tables/buckets.ts';
import { Lakes } from './core/tables/lakes.ts';
import { ObjectMetadata } from './core/tables/object-metadata.ts';
import { RowDeletes } from './core/tables/row-deletes.ts';
import { Staging } from './core/tables/staging.ts';
import { Sweeper } from './core/tables/sweeper.ts';
import { TableExports } from './core/tables/table-exports.ts';
import { TableLoads } from './core/tables/table-loads.ts';
import { Tables } from './core/tables/tables.ts';
import type { Database } from './db/database.ts';
import { startEmbeddedPostgres } from './db/embedded-postgres.ts';
import { migrate } from './db/migrate.ts';
import { openDatabase } from './db/open.ts';
import type { Engine } from './drivers/engines/contract.ts';
import type { Filestore } from './drivers/filestores/contract.ts';
import { engines, filestores, runtimes } from './drivers/registry.ts';
import { systemClock } from './lib/clock.ts';
import { lockDirectory } from './lib/directory-lock.ts';
import { Lifecycle } from './lib/lifecycle.ts';
import { isLoopback } from './lib/loopback.ts';
import { packageRoot } from './lib/package-root.ts';
import { ensurePrivateFile, readIfThere, writePrivateFile } from './lib/private-file.ts';
import { bucketDeleteKind } from './runner/kinds/bucket-delete.ts';
import { componentKind } from './runner/kinds/component.ts';
import { rowsDeleteKind } from './runner/kinds/rows-delete.ts';
import { tableCreateKind } from './runner/kinds/table-create.ts';
import { tableDropKind } from './runner/kinds/table-drop.ts';
import { tableExportKind } from './runner/kinds/table-export.ts';
import { tableImportKind } from './runner/kinds/table-import.ts';
import { sweepJobDirectories } from './runner/steps/work-dir.ts';
import { createWorker } from './runner/worker.ts';

/** Scheduler and dispatcher have nothing to do yet; the engine runs as children of whoever needs it. */
export const ROLES = ['http', 'worker', 'scheduler', 'dispatcher', 'engine'] as const;
export type Role = (typeof ROLES)[number];

export type PlatformOptions = {
  config: Config;
  /** All of them by default. */
  roles?: readonly Role[];
  /** Several servers may share the data directory: needs a database of its own, and nothing is reset at start. */
  shared?: boolean;
  /** Lines for the person at the terminal. */
  say?: (line: string) => void;
};

export type Platform = {
  /** Undefined without the role http. */
  url: string | undefined;
  dataDirectory: string;
  credentialsFile: string;
  core: Core;
  db: Database;
  log: Logger;
  /** Stops taking work, finishes or hands back what runs, closes everything. Resolves within 10 seconds. */
  stop(): Promise<void>;
};

/** Work and requests first, then what they stand on. Their sum is below the ten seconds that are promised. */
const STOP_MS = { worker: 3500, runtime: 100, http: 1000, sweepers: 500, engine: 1000, database: 800, postgres: 2500 };
const LOG_MAX_BYTES = 20 * 1024 * 1024;

export const version: string = readVersion();

/** Everything from a configuration to a server that answers. What was opened is closed again when a step fails. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const { config } = options;
  const home = config.dataDirectory;
  mkdirSync(path.join(home, 'logs'), { recursive: true, mode: 0o700 });
  const output = openLog(path.join(home, 'logs', 'server.log'));
  const log = pino({ level: config.logLevel, base: { pid: process.pid } }, output);
  const lifecycle = new Lifecycle(log);
  lifecycle.onStop('log', 200, () => output.flushSync());
  try {
    return await open(options, log, lifecycle);
  } catch (error) {
    log.error({ err: error }, 'the start failed');
    await lifecycle.stop();
    throw error;
  }
}

async function open(options: PlatformOptions, log: Logger, lifecycle: Lifecycle): Promise<Platform> {
  const { config, roles = ROLES, shared = false, say = () => {} } = options;
  const home = config.dataDirectory;
  const folder = (...names: string[]) => path.join(home, ...names);
  log.info({ version, node: process.version, roles }, 'starting');

  if (!shared) await lock(home, lifecycle);
  // The slowest module to load; it loads while the database starts.
  const httpModule = roles.includes('http') ? import('./http/server.ts') : undefined;
  httpModule?.catch(() => {
    // Thrown again where it is awaited.
  });

  const connection = await startDatabase(config, log, lifecycle);
  await migrate({ connection, log });
  const db = await openDatabase({ connection, log });
  lifecycle.onStop('database', STOP_MS.database, () => db.close());

  // Nothing in it outlives the server that made it.
  if (!shared) rmSync(folder('tmp'), { recursive: true, force: true });
  for (const name of ['files', 'lakes', 'jobs', 'tmp']) mkdirSync(folder(name), { recursive: true, mode: 0o700 });
  const engine = await (await engines.duckdb()).openDuckdbEngine({
    directory: folder('engine'),
    memoryLimitMb: config.engineMemoryMb,
    threads: config.engineThreads,
    idleSeconds: config.engineIdleSeconds,
    spillDirectory: folder('tmp', 'engine'),
    log,
  });
  lifecycle.onStop('engine', STOP_MS.engine, () => engine.close());
  const filestore = await (await filestores.local()).openLocalFilestore({ directory: folder('files') });

  const key = encryptionKey(config);
  const { core, lakes } = await createCore({ db, engine, filestore, key, home });
  await core.secrets.checkKey(db);
  await core.events.repairAfterRestore();
  await lakes.relocate(db);
  const credentials = await ensureCredentials(core.projects, folder('credentials.json'), shared, say);

  const workerId = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  // The lock says that no other server uses this database, so whoever held jobs is dead.
  if (config.databaseUrl === undefined && !shared) await core.jobs.queue.releaseDead({ notOf: [workerId] });

  let state: { ready: true } | { ready: false; reason: string } = { ready: false, reason: 'starting' };
  let url: string | undefined;
  const server = await (await httpModule)?.createHttpServer({
    config: {
      host: config.host,
      port: config.port,
      tlsCert: config.tlsCert,
      tlsKey: config.tlsKey,
      hostSuffixes: config.hostSuffixes,
      version,
      temporaryDirectory: folder('tmp'),
    },
    core,
    health: () => state,
    log,
  });
  if (server) lifecycle.onStop('http', STOP_MS.http + 200, () => server.close(STOP_MS.http));

  if (roles.includes('worker')) {
    const worker = await createPlatformWorker({
      config,
      core,
      db,
      engine,
      log,
      say,
      workerId,
      publicUrl: () => url ?? '',
      lifecycle,
    });
    // Listening comes before: whatever the components call must be there when the first of them runs.
    url = await server?.listen().catch((error: unknown) => Promise.reject(explainListen(error, config)));
    worker.start();
    lifecycle.onStop('worker', STOP_MS.worker, () => worker.stop(STOP_MS.worker - 200));
    startSweepers({ config, db, filestore, core, log, lifecycle });
  } else {
    url = await server?.listen().catch((error: unknown) => Promise.reject(explainListen(error, config)));
  }
  lifecycle.onStop('readiness', 100, () => {
    state = { ready: false, reason: 'stopping' };
  });

  if (url !== undefined && credentials) saveCredentials(folder('credentials.json'), { ...credentials, url });
  state = { ready: true };
  log.info({ url, workerId }, 'ready');
  return {
    url,
    dataDirectory: home,
    credentialsFile: folder('credentials.json'),
    core,
    db,
    log,
    stop: async () => {
      log.info({}, 'stopping');
      await lifecycle.stop();
    },
  };
}

async function lock(home: string, lifecycle: Lifecycle): Promise<void> {
  const result = await lockDirectory(path.join(home, 'server.lock'));
  if ('heldBy' in result) {
    const where = result.isElsewhere ? ' in another container or on another machine' : '';
    throw new AppError(
      'conflict',
      'platform.already-running',
      `The data directory ${home} is in use by the Millrace with process number ${result.heldBy.pid}${where}. ` +
        'Stop that one first, or use another directory (--data).',
      { retryable: false },
    );
  }
  lifecycle.onStop('lock', 200, () => result.lock.release());
}

async function startDatabase(config: Config, log: Logger, lifecycle: Lifecycle) {
  if (config.databaseUrl !== undefined) return { connectionString: config.databaseUrl };
  const postgres = await startEmbeddedPostgres({ home: config.dataDirectory, fsync: config.databaseFsync, log });
  lifecycle.onStop('postgres', STOP_MS.postgres, () => postgres.stop());
  return postgres.connection;
}

type CoreParts = { db: Database; engine: Engine; filestore: Filestore; key: Buffer; home: string };

async function createCore({ db, engine, filestore, key, home }: CoreParts): Promise<{ core: Core; lakes: Lakes }> {
  const clock = systemClock;
  const events = new Events({ db });
  const identity = new Identity({ db, events, clock });
  const lakes = new Lakes({ directory: path.join(home, 'lakes'), createdBy: `Millrace ${version}` });
  const projects = new Projects({ db, identity, events, lakes });
  const secrets = new Secrets(key);
  const jobs = new Jobs({ db, events });
  const signingKey = Buffer.from(hkdfSync('sha256', key, '', 'millrace blob grants', 32));
  const files = new Files({ db, filestore, events, clock, signingKey, scratchDirectory: path.join(home, 'tmp') });
  const components = await Components.load(path.join(packageRoot, 'components'));
  return {
    lakes,
    core: {
      projects,
      identity,
      secrets,
      events,
      jobs,
      tables: new Tables({ db, events, jobs, engine, clock }),
      buckets: new Buckets({ db, events, jobs, clock }),
      files,
      components,
      configurations: new Configurations({ db, events, secrets, components }),
      runs: new ComponentRuns({ db, jobs, components, secrets }),
      metadata: new ObjectMetadata({ db, events, clock }),
    },
  };
}

type WorkerParts = {
  config: Config;
  core: Core;
  db: Database;
  engine: Engine;
  log: Logger;
  say: (line: string) => void;
  workerId: string;
  publicUrl: () => string;
  lifecycle: Lifecycle;
};

async function createPlatformWorker(options: WorkerParts) {
  const { config, core, db, engine, log, say, workerId, publicUrl, lifecycle } = options;
  const { events, files, jobs, identity } = core;
  const home = config.dataDirectory;
  const runtime = await (await runtimes.process()).openProcessRuntime({
    // Without a sandbox only while nobody else can reach us, unless the operator has said so.
    mode: config.runtime === 'auto' && !isLoopback(config.host) ? 'bubblewrap' : config.runtime,
    log: {
      warn(message) {
        log.warn({}, message);
        say(message);
      },
    },
  });
  // Programs go on without us; only the watch over them ends.
  lifecycle.onStop('runtime', STOP_MS.runtime, () => runtime.close());
  const jobsDirectory = path.join(home, 'jobs');
  const unfinished = (ids: number[]) => jobs.unfinished(ids);
  await sweepJobDirectories({ jobsDirectory, runtime, unfinished });
  const parts = { db, events, files, engine, staging: new Staging({ db }), clock: systemClock };
  const loads = new TableLoads(parts);
  return createWorker({
    jobs,
    identity,
    events,
    handlers: [
      tableCreateKind(loads),
      tableImportKind(loads),
      tableExportKind(new TableExports({ ...parts, exportDirectory: path.join(home, 'tmp', 'exports') })),
      tableDropKind(core.tables),
      rowsDeleteKind(new RowDeletes(parts)),
      bucketDeleteKind(core.buckets),
      componentKind({ core, runtime, sessions: engine.sessions, jobsDirectory, publicUrl }),
    ],
    concurrency: { storage: config.storageConcurrency, component: config.componentConcurrency },
    log,
    workerId,
  });
}

type SweeperParts = {
  config: Config;
  db: Database;
  filestore: Filestore;
  core: Core;
  log: Logger;
  lifecycle: Lifecycle;
};

function startSweepers({ config, db, filestore, core, log, lifecycle }: SweeperParts): void {
  const clock = systemClock;
  const tables = new Sweeper({ db, clock, log, retentionDays: config.tableRetentionDays });
  const files = new FileSweeper({ db, filestore, events: core.events, clock, log });
  tables.start();
  files.start();
  // What the server before us left half-written goes at once, not after the first interval.
  const first = tables.sweepOnce().catch((error: unknown) => log.warn({ err: error }, 'the first sweep failed'));
  lifecycle.onStop('sweepers', STOP_MS.sweepers, () => Promise.all([tables.stop(), files.stop(), first]));
}

/** Whoever has the key reads every stored secret; whoever has lost it reads none. */
function encryptionKey(config: Config): Buffer {
  const file = path.join(config.dataDirectory, 'encryption.key');
  const text = config.encryptionKey ?? ensurePrivateFile(file, () => `${randomBytes(32).toString('base64')}\n`);
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== 32)
    throw new AppError('invalid', 'config.key-broken', `${file} does not hold 32 bytes in base64.`);
  return key;
}

/** Undefined where the credentials are another server's business. */
async function ensureCredentials(
  projects: Projects,
  file: string,
  shared: boolean,
  say: (line: string) => void,
): Promise<Credentials | undefined> {
  const made = await projects.bootstrap();
  if (made) {
    saveCredentials(file, made);
    return made;
  }
  const kept = readCredentials(file);
  if (kept || shared) return kept;
  say(`${file} was missing: new credentials were made and the old ones have ended.`);
  const renewed = await projects.resetCredentials();
  saveCredentials(file, renewed);
  return renewed;
}

function readCredentials(file: string): Credentials | undefined {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Credentials;
  } catch {
    // Torn or edited: as good as lost.
    return undefined;
  }
}

function saveCredentials(file: string, credentials: Credentials & { url?: string }): void {
  const { url, ...rest } = credentials;
  writePrivateFile(file, `${JSON.stringify({ url, ...rest }, null, 2)}\n`);
}

function explainListen(error: unknown, { host, port }: Config): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  const reasons: Record<string, string> = {
    EADDRINUSE: `Port ${port} on ${host} is taken. Use another one with --port (0 takes a free one).`,
    EACCES: `Port ${port} may not be used by this user. Use one above 1023 with --port.`,
    EADDRNOTAVAIL: `The address ${host} does not belong to this machine. Use another one with --host.`,
  };
  const reason = code === undefined ? undefined : reasons[code];
  return reason === undefined ? error : new AppError('invalid', 'platform.cannot-listen', reason, { cause: error });
}

function openLog(file: string): DestinationStream & { flushSync(): void } {
  if (existsSync(file) && statSync(file).size > LOG_MAX_BYTES) renameSync(file, `${file}.1`);
  const output = pino.destination({ dest: file, sync: true, mode: 0o600 });
  if (existsSync(file)) chmodSync(file, 0o600);
  return output;
}

function readVersion(): string {
  return (JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version;
}
