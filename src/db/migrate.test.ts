import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { type TestConnection, testConnection } from '../../test/support/database.ts';
import { silentLogger } from '../lib/logger.ts';
import { packageRoot } from '../lib/package-root.ts';
import { migrate, readMigrations } from './migrate.ts';

function folder(t: TestContext, files: Record<string, string>): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-migrations-'));
  t.after(() => rmSync(directory, { recursive: true }));
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(directory, name), text);
  return directory;
}

async function rows(connection: TestConnection, text: string): Promise<unknown[]> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const first = { '0001-first.sql': 'create table a (id int); insert into a values (1);' };

test('files run once each, in order, in the schema millrace', async (t) => {
  const connection = await testConnection(t, { migrated: false });
  const directory = folder(t, { '0002-second.sql': 'insert into a values (2)', ...first });
  for (let i = 0; i < 2; i++) await migrate({ connection, directory, log: silentLogger });
  assert.deepEqual(await rows(connection, 'select id from millrace.a order by id'), [{ id: 1 }, { id: 2 }]);
  assert.deepEqual(await rows(connection, 'select number, name from millrace.migrations order by number'), [
    { number: 1, name: 'first' },
    { number: 2, name: 'second' },
  ]);
});

test('20 migrators at once run every file once', async (t) => {
  const connection = await testConnection(t, { migrated: false });
  const directory = folder(t, { ...first, '0002-slow.sql': 'select pg_sleep(0.2); insert into a values (2);' });
  await Promise.all(Array.from({ length: 20 }, () => migrate({ connection, directory, log: silentLogger })));
  assert.deepEqual(await rows(connection, 'select id from millrace.a order by id'), [{ id: 1 }, { id: 2 }]);
});

test('a failing file leaves nothing behind, and those before it stay', async (t) => {
  const connection = await testConnection(t, { migrated: false });
  const directory = folder(t, { ...first, '0002-broken.sql': 'create table b (id int); select 1 / 0;' });
  await assert.rejects(migrate({ connection, directory, log: silentLogger }), /0002-broken failed.*division by zero/);
  assert.deepEqual(
    await rows(connection, "select to_regclass('millrace.b') as b, count(*)::int as n from millrace.migrations"),
    [{ b: null, n: 1 }],
  );
});

test('a schema of a newer program is refused with the way out', async (t) => {
  const connection = await testConnection(t, { migrated: false });
  await migrate({ connection, directory: folder(t, { ...first, '0002-later.sql': 'select 1' }), log: silentLogger });
  await assert.rejects(migrate({ connection, directory: folder(t, first), log: silentLogger }), {
    kind: 'conflict',
    code: 'database.newer',
    message: /newer Millrace.*0002-later.*docs\/operations\.md/,
  });
});

test('another file under a number that was applied is refused', async (t) => {
  const connection = await testConnection(t, { migrated: false });
  await migrate({ connection, directory: folder(t, first), log: silentLogger });
  const other = folder(t, { '0001-other.sql': 'select 1' });
  await assert.rejects(migrate({ connection, directory: other, log: silentLogger }), { code: 'database.foreign' });
});

test('file names are checked', async (t) => {
  await assert.rejects(readMigrations(folder(t, { '1-a.sql': '' })), /must look like/);
  await assert.rejects(readMigrations(folder(t, { '0001-a.sql': '', '0001-b.sql': '' })), /is taken/);
});

test('the migrations of this package work on an empty database and are numbered without gaps', async (t) => {
  const connection = await testConnection(t, { migrated: false });
  await migrate({ connection, log: silentLogger });
  const numbers = (await readMigrations(path.join(packageRoot, 'migrations'))).map((migration) => migration.number);
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => i + 1),
  );
});
