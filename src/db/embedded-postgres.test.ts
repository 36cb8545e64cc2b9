import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { cleanup } from '../../test/support/cleanup.ts';
import { needs } from '../../test/support/needs.ts';
import { silentLogger } from '../lib/logger.ts';
import { packageRoot } from '../lib/package-root.ts';
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded-postgres.ts';
import { openDatabase } from './open.ts';
import { sql } from './sql.ts';

function home(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-pg-'));
  cleanup(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function start(
  t: TestContext,
  folder: string,
  options: Partial<EmbeddedPostgresOptions> = {},
): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ home: folder, log: silentLogger, fsync: false, ...options });
  cleanup(t, () => postgres.stop());
  return postgres;
}

async function ask(postgres: EmbeddedPostgres, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(postgres.connection);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test('a cluster is UTF8 with locale C, listens on its socket only and keeps its data over a stop', async (t) => {
  const folder = home(t);
  const first = await start(t, folder);
  const [facts] = await ask(
    first,
    `select pg_encoding_to_char(encoding) as encoding, datcollate as collate,
            current_setting('listen_addresses') as addresses, current_setting('server_version_num')::int / 10000 as major
     from pg_database where datname = current_database()`,
  );
  assert.deepEqual(facts, { encoding: 'UTF8', collate: 'C', addresses: '', major: 18 });
  assert.ok(Buffer.byteLength(first.socketDirectory) < 100);
  assert.equal(statSync(first.socketDirectory).mode & 0o777, 0o700);
  await ask(first, 'create table kept as select 1 as id');
  await first.stop();
  assert.equal(existsSync(path.join(folder, 'postgres', 'postmaster.pid')), false);
  const second = await start(t, folder);
  assert.deepEqual(await ask(second, 'select id from kept'), [{ id: 1 }]);
});

test('a socket path that would be too long moves to the temporary folder', async (t) => {
  const folder = path.join(home(t), 'deep'.repeat(30));
  mkdirSync(folder);
  const postgres = await start(t, folder);
  cleanup(t, () => rmSync(postgres.socketDirectory, { recursive: true, force: true }));
  assert.ok(Buffer.byteLength(postgres.socketDirectory) < 100);
  assert.equal(statSync(postgres.socketDirectory).mode & 0o777, 0o700);
  assert.deepEqual(await ask(postgres, 'select 1 as one'), [{ one: 1 }]);
});

test('a cluster that is still running is adopted', async (t) => {
  const folder = home(t);
  const first = await start(t, folder);
  const second = await start(t, folder);
  assert.equal(second.pid(), first.pid());
  await second.stop();
  assert.deepEqual(readdirSync(second.socketDirectory), []);
});

test('after the postmaster is killed a new one takes over, and the pool recovers by itself', async (t) => {
  const postgres = await start(t, home(t), { fsync: true });
  const db = await openDatabase({ connection: postgres.connection, log: silentLogger });
  cleanup(t, () => db.close());
  await db.query(sql`create table public.kept as select 1 as id`);
  const killed = postgres.pid();
  process.kill(killed, 'SIGKILL');
  for (let i = 0; postgres.pid() === killed; i++) {
    assert.ok(i < 500, 'PostgreSQL was not started again');
    await db
      .query(sql`select 1`)
      .catch((error: unknown) => assert.equal((error as { kind?: string }).kind, 'unavailable'));
    await sleep(20);
  }
  let rows: unknown;
  for (let i = 0; i < 100 && rows === undefined; i++) {
    rows = await db.query(sql`select id from public.kept`).catch(() => sleep(20));
  }
  assert.deepEqual(rows, [{ id: 1 }]);
});

test('a stale postmaster.pid whose number belongs to another process does not stop the start', async (t) => {
  const folder = home(t);
  const first = await start(t, folder);
  const pidFile = path.join(folder, 'postgres', 'postmaster.pid');
  const text = readFileSync(pidFile, 'utf8');
  await first.stop();
  writeFileSync(pidFile, text.replace(/^\d+/, String(process.pid)));
  const second = await start(t, folder);
  assert.deepEqual(await ask(second, 'select 1 as one'), [{ one: 1 }]);
});

test('an interrupted creation is started over', async (t) => {
  const folder = home(t);
  mkdirSync(path.join(folder, 'postgres.new'));
  writeFileSync(path.join(folder, 'postgres.new', 'PG_VERSION'), '18\n');
  const postgres = await start(t, folder);
  assert.deepEqual(await ask(postgres, 'select 1 as one'), [{ one: 1 }]);
  assert.equal(existsSync(path.join(folder, 'postgres.new')), false);
});

test('a cluster of another PostgreSQL version is refused with the way out', async (t) => {
  const folder = home(t);
  mkdirSync(path.join(folder, 'postgres'));
  writeFileSync(path.join(folder, 'postgres', 'PG_VERSION'), '17\n');
  await assert.rejects(start(t, folder), {
    code: 'database.other-major',
    message: /PostgreSQL 17.*brings PostgreSQL 18.*dump/,
  });
});

test('root without user namespaces runs PostgreSQL under a system user', async (t) => {
  if (!needs(t, 'root')) return;
  // Only where there is a user for it already: a test does not add users to the machine it runs on.
  if (!/^(millrace|postgres):/m.test(readFileSync('/etc/passwd', 'utf8')))
    return t.skip('no system user millrace or postgres');
  const reachable = spawnSync('setpriv', ['--reuid=65534', '--clear-groups', 'test', '-x', packageRoot]).status === 0;
  if (!reachable) return t.skip('the folders above this checkout are closed to other users');
  const folder = home(t);
  chmodSync(folder, 0o700);
  const postgres = await start(t, folder, { runAs: 'user' });
  assert.deepEqual(await ask(postgres, 'select 1 as one'), [{ one: 1 }]);
  const owner = spawnSync('ps', ['-o', 'user=', '-p', String(postgres.pid())], { encoding: 'utf8' }).stdout.trim();
  assert.match(owner, /^(millrace|postgres)$/);
  await postgres.stop();
  // Whoever owns the cluster keeps running it, also where a namespace would be possible.
  const again = await start(t, folder);
  assert.deepEqual(await ask(again, 'select 1 as one'), [{ one: 1 }]);
});
