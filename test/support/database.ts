import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Database } from '../../src/db/database.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded-postgres.ts';
import { migrate, readMigrations } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/open.ts';
import { type Logger, silentLogger } from '../../src/lib/logger.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from './cleanup.ts';

/**
 * Databases for tests: real ones, cloned in about 30 ms from a template that the migrations made once.
 *
 * `npm test` starts one cluster and names its socket folder in MILLRACE_TEST_POSTGRES. A test file that is run by hand
 * starts a cluster of its own, which ends with the process.
 */
export type TestDatabase = Database & { connection: TestConnection };
export type TestConnection = { host: string; user: string; database: string };

const PREFIX = 'millrace-test-';
const LOCK_KEY = 4071;

/**
 * A migrated database of its own for this test. Dropped after it; connections that are still open fail the test. End
 * what uses it (workers, servers) through `cleanup(t, ...)`, which runs before the drop, unlike `t.after`.
 */
export async function testDatabase(t: TestContext, options: { log?: Logger } = {}): Promise<TestDatabase> {
  const connection = await testConnection(t);
  const database = await openDatabase({ connection, log: options.log ?? silentLogger });
  cleanup(t, () => database.close());
  return Object.assign(database, { connection });
}

/** The same as connection settings, for tests that open the database themselves. `migrated: false` gives an empty one. */
export async function testConnection(t: TestContext, options: { migrated?: boolean } = {}): Promise<TestConnection> {
  const host = await clusterSocket();
  const template = options.migrated === false ? 'template0' : await templateDatabase(host);
  const database = `test_${process.pid}_${Date.now().toString(36)}_${++created}`;
  await withAdmin(host, (admin) => admin.query(`create database ${database} template ${template} strategy file_copy`));
  cleanup(t, () => dropDatabase(host, database));
  return { host, user: 'millrace', database };
}

let created = 0;

async function dropDatabase(host: string, database: string): Promise<void> {
  await withAdmin(host, async (admin) => {
    let open = 0;
    // A closed connection stays visible until its backend has noticed.
    for (let tries = 0; tries < 100; tries++) {
      const result = await admin.query<{ open: number }>(
        'select count(*)::int as open from pg_stat_activity where datname = $1',
        [database],
      );
      open = result.rows[0]?.open ?? 0;
      if (open === 0) break;
      await sleep(20);
    }
    await admin.query(`drop database ${database} with (force)`);
    if (open > 0) throw new Error(`the test left ${open} database connections open`);
  });
}

/** Starts a cluster for a whole run of tests. */
export async function startTestCluster(): Promise<{ socketDirectory: string; stop(): Promise<void> }> {
  removeAbandonedClusters();
  const home = mkdtempSync(path.join(clusterFolder(), `${PREFIX}${process.pid}-`));
  try {
    const postgres = await startEmbeddedPostgres({ home, log: silentLogger, fsync: false, maxConnections: 300 });
    return {
      socketDirectory: postgres.socketDirectory,
      async stop() {
        await postgres.stop();
        rmSync(home, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(home, { recursive: true, force: true });
    throw error;
  }
}

let ownCluster: Promise<string> | undefined;

function clusterSocket(): Promise<string> {
  const given = process.env.MILLRACE_TEST_POSTGRES;
  if (given) return Promise.resolve(given);
  ownCluster ??= startTestCluster().then(({ socketDirectory }) => {
    // Only synchronous work is left at exit: end it hard, its files are thrown away anyway.
    process.once('exit', () => killCluster(path.dirname(socketDirectory)));
    return socketDirectory;
  });
  return ownCluster;
}

const MEMORY_FOLDER = '/dev/shm';
const MEMORY_WANTED_BYTES = 2 * 1024 ** 3;

/** In memory where there is plenty of it: a clone takes 12 ms there and 150 ms on a disk. */
function clusterFolder(): string {
  if (!existsSync(MEMORY_FOLDER)) return tmpdir();
  const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
  return bavail * bsize > MEMORY_WANTED_BYTES ? MEMORY_FOLDER : tmpdir();
}

/** Test processes that were killed could not clean up. */
function removeAbandonedClusters(): void {
  if (process.platform !== 'linux') return;
  for (const folder of [MEMORY_FOLDER, tmpdir()].filter((name) => existsSync(name))) {
    for (const name of readdirSync(folder)) {
      const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) killCluster(path.join(folder, name));
    }
  }
}

function killCluster(home: string): void {
  try {
    const pid = Number(readFileSync(path.join(home, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]);
    if (pid > 0) process.kill(pid, 'SIGQUIT');
  } catch {
    // It never started, or it has ended.
  }
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}

let template: Promise<string> | undefined;

function templateDatabase(host: string): Promise<string> {
  template ??= buildTemplate(host);
  return template;
}

/** Named after the contents of the migrations, so that a changed file never meets an old template. */
async function buildTemplate(host: string): Promise<string> {
  const migrations = await readMigrations(path.join(packageRoot, 'migrations'));
  const hash = createHash('sha256');
  for (const { number, name, text } of migrations) hash.update(`${number}\0${name}\0${text}\0`);
  const name = `template_${hash.digest('hex').slice(0, 16)}`;
  await withAdmin(host, async (admin) => {
    await admin.query('select pg_advisory_lock($1)', [LOCK_KEY]);
    const found = await admin.query('select 1 from pg_database where datname = $1', [name]);
    if (found.rowCount !== 0) return;
    const draft = `${name}_draft`;
    await admin.query(`drop database if exists ${draft} with (force)`);
    await admin.query(`create database ${draft} template template0`);
    await migrate({ connection: { host, user: 'millrace', database: draft }, log: silentLogger });
    await admin.query(`alter database ${draft} rename to ${name}`);
  });
  return name;
}

async function withAdmin<T>(host: string, act: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ host, user: 'millrace', database: 'millrace' });
  await admin.connect();
  try {
    return await act(admin);
  } finally {
    await admin.end();
  }
}
