import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { Core } from './core/core.ts';
import { AppError } from './core/errors.ts';
import type { Database } from './db/database.ts';
import { startEmbeddedPostgres } from './db/embedded-postgres.ts';
import { migrate } from './db/migrate.ts';
import { openDatabase } from './db/open.ts';
import type { Filestore } from './drivers/filestores/contract.ts';
import { engines, filestores } from './drivers/registry.ts';
import { systemClock } from './lib/clock.ts';
import { Lifecycle } from './lib/lifecycle.ts';
import { openServerLog, type ServerLog } from './lib/server-log.ts';
import { version } from './lib/version.ts';
import { composeCore } from './platform/compose-core.ts';
import { closeProvisioners, composeProvisioners } from './platform/compose-provisioners.ts';
import { composeSweepers, composeWorker } from './platform/compose-worker.ts';
import { encryptionKey, ensureCredentials, lockData, openScratch, saveCredentials } from './platform/data-directory.ts';
import { createDispatcher } from './runner/dispatcher.ts';
import { createScheduler } from './runner/scheduler.ts';

/** The engine runs as children of whoever needs it. */
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
const STOP_MS = {
  scheduler: 200,
  dispatcher: 200,
  worker: 3000,
  sandboxes: 300,
  runtime: 100,
  http: 1000,
  sweepers: 400,
  engine: 800,
  database: 600,
  postgres: 2500,
};

/** Everything from a configuration to a server that answers. What was opened is closed again when a step fails. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const { config } = options;
  const home = config.dataDirectory;
  const { log, close } = openHome(home, config.logLevel);
  const lifecycle = new Lifecycle(log);
  lifecycle.onStop('log', 200, close);
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

  if (!shared) await lockData(home, lifecycle);
  // The slowest module to load; it loads while the database starts.
  const httpModule = roles.includes('http') ? import('./http/server.ts') : undefined;
  httpModule?.catch(() => {
    // Thrown again where it is awaited.
  });

  const connection = await startDatabase(config, log, lifecycle);
  await migrate({ connection, log });
  const db = await openDatabase({ connection, log });
  lifecycle.onStop('database', STOP_MS.database, () => db.close());

  for (const name of ['files', 'lakes', 'jobs']) mkdirSync(folder(name), { recursive: true, mode: 0o700 });
  const serverId = `${hostname().replace(/[^a-zA-Z0-9.]/g, '_')}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const scratch = openScratch(folder('tmp'), serverId, { shared });
  lifecycle.onStop('scratch', 300, () => rmSync(scratch, { recursive: true, force: true }));
  const engine = await (await engines.duckdb()).openDuckdbEngine({
    directory: path.join(scratch, 'engine'),
    memoryLimitMb: config.engineMemoryMb,
    threads: config.engineThreads,
    idleSeconds: config.engineIdleSeconds,
    spillDirectory: path.join(scratch, 'spill'),
    log,
  });
  lifecycle.onStop('engine', STOP_MS.engine, () => engine.close());
  const filestore = await openFilestore(config, folder('files'));

  const provisioners = await composeProvisioners({ config, log, shared });
  const workspaceServers = closeProvisioners(provisioners, log);
  workspaceServers.end(lifecycle);

  const key = encryptionKey(config);
  const { core, lakes } = await composeCore({ db, engine, filestore, provisioners, key, home, scratch });
  await core.secrets.checkKey(db);
  await core.events.repairAfterRestore();
  await lakes.relocate(db);
  const unfollow = core.components.follow((error) => log.warn({ err: error }, 'installed connectors cannot be read'));
  lifecycle.onStop('connectors', 100, unfollow);
  const credentials = await ensureCredentials(core.projects, folder('credentials.json'), shared, say);

  // The lock says that no other server uses this database, so whoever held jobs is dead.
  if (config.databaseUrl === undefined && !shared) await core.jobs.queue.releaseDead({ notOf: [serverId] });

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
      temporaryDirectory: scratch,
    },
    core,
    health: () => state,
    log,
  });
  if (server) lifecycle.onStop('http', STOP_MS.http + 200, () => server.close(STOP_MS.http));

  let worker: Awaited<ReturnType<typeof composeWorker>> | undefined;
  if (roles.includes('worker')) {
    const { runtime: runtimeMs } = STOP_MS;
    worker = await composeWorker({
      config,
      core,
      db,
      engine,
      log,
      say,
      scratch,
      workerId: serverId,
      publicUrl: () => url ?? '',
    });
    // Programs go on without us; only the watch over them ends.
    lifecycle.onStop('runtime', runtimeMs, () => worker?.runtime.close());
    lifecycle.onStop('sandboxes', STOP_MS.sandboxes, () => worker?.sandboxes.close());
  }
  // Before the worker: what components call must be there when the first of them runs.
  url = await server?.listen().catch((error: unknown) => Promise.reject(explainListen(error, config)));
  if (worker) {
    const { worker: jobs } = worker;
    jobs.start();
    lifecycle.onStop('worker', STOP_MS.worker, () => jobs.stop(STOP_MS.worker - 200));
    const sweepers = composeSweepers({ config, db, filestore, core, log, isAlone: !shared });
    sweepers.start();
    lifecycle.onStop('sweepers', STOP_MS.sweepers, () => sweepers.stop());
  }
  if (roles.includes('scheduler')) {
    const { occurrences, schedules } = core;
    const scheduler = createScheduler({ occurrences, schedules, clock: systemClock, log });
    scheduler.start();
    lifecycle.onStop('scheduler', STOP_MS.scheduler, () => scheduler.stop());
  }
  if (roles.includes('dispatcher')) {
    const { dispatcher, triggers, firings } = core;
    const loops = createDispatcher({ dispatcher, triggers, firings, clock: systemClock, log });
    loops.start();
    lifecycle.onStop('dispatcher', STOP_MS.dispatcher, () => loops.stop());
  }
  lifecycle.onStop('readiness', 100, () => {
    state = { ready: false, reason: 'stopping' };
  });

  // Nobody waits for them: a backend that does not start fails the calls that need it.
  core.workspaces
    .startBackends()
    .catch((error: unknown) => log.warn({ err: error }, 'a workspace backend does not start'));
  workspaceServers.begin(lifecycle);

  if (url !== undefined && credentials) saveCredentials(folder('credentials.json'), { ...credentials, url });
  state = { ready: true };
  log.info({ url, serverId }, 'ready');
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

function openHome(home: string, logLevel: string): ServerLog {
  try {
    mkdirSync(path.join(home, 'logs'), { recursive: true, mode: 0o700 });
    return openServerLog(path.join(home, 'logs', 'server.log'), logLevel);
  } catch (error) {
    throw new AppError(
      'invalid',
      'platform.data-directory',
      `The data directory ${home} cannot be used (${(error as Error).message}). ` +
        'Start Millrace as the user it belongs to, or name another one with --data.',
      { cause: error },
    );
  }
}

async function openFilestore(config: Config, directory: string): Promise<Filestore> {
  if (config.filestore === 'local') return (await filestores.local()).openLocalFilestore({ directory });
  return (await filestores.s3()).openS3Filestore({
    endpoint: config.s3Endpoint,
    region: config.s3Region,
    bucket: config.s3Bucket ?? '',
    prefix: config.s3Prefix,
    accessKeyId: config.s3AccessKeyId ?? '',
    secretAccessKey: config.s3SecretAccessKey ?? '',
  });
}

async function startDatabase(config: Config, log: Logger, lifecycle: Lifecycle) {
  if (config.databaseUrl !== undefined) return { connectionString: config.databaseUrl };
  const postgres = await startEmbeddedPostgres({ home: config.dataDirectory, fsync: config.databaseFsync, log });
  lifecycle.onStop('postgres', STOP_MS.postgres, () => postgres.stop());
  return postgres.connection;
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
