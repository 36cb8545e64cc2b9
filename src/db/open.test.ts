import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testDatabase } from '../../test/support/database.ts';
import { sql } from './sql.ts';

test('columns come back as numbers, dates and parsed json', async (t) => {
  const db = await testDatabase(t);
  const row = await db.one(sql`
    select ${2 ** 40}::bigint as big, '2025-01-02 03:04:05+00'::timestamptz as at, '{"a":[1]}'::jsonb as tree,
           1.50::numeric as amount, array[1, 2]::bigint[] as ids, '2025-01-02'::date as day,
           '2025-01-02 03:04:05'::timestamp as local`);
  assert.deepEqual(row, {
    big: 2 ** 40,
    at: new Date('2025-01-02T03:04:05Z'),
    tree: { a: [1] },
    amount: '1.50',
    ids: [1, 2],
    day: '2025-01-02',
    local: new Date('2025-01-02T03:04:05Z'),
  });
});

test('a bigint above 2^53 throws instead of being rounded', async (t) => {
  const db = await testDatabase(t);
  await assert.rejects(db.one(sql`select 9007199254740993::bigint as big`), /does not fit/);
});

test('more than one row where one was asked for throws', async (t) => {
  const db = await testDatabase(t);
  await assert.rejects(db.one(sql`select * from generate_series(1, 2)`), /more than one row/);
  assert.equal(await db.one(sql`select 1 where false`), undefined);
});

test('a transaction commits as a whole and runs its actions afterwards', async (t) => {
  const db = await testDatabase(t);
  await db.query(sql`create table things (id int primary key)`);
  const order: string[] = [];
  await db.transaction(async (tx) => {
    tx.afterCommit(() => order.push('after'));
    await Promise.all([tx.query(sql`insert into things values (1)`), tx.query(sql`insert into things values (2)`)]);
    order.push('body');
  });
  assert.deepEqual(order, ['body', 'after']);
  await assert.rejects(
    db.transaction(async (tx) => {
      tx.afterCommit(() => order.push('never'));
      await tx.query(sql`insert into things values (3)`);
      throw new Error('no');
    }),
    /no/,
  );
  assert.deepEqual(order, ['body', 'after']);
  assert.deepEqual(await db.query(sql`select id from things order by id`), [{ id: 1 }, { id: 2 }]);
});

test('a swallowed query error cannot look like a commit', async (t) => {
  const db = await testDatabase(t);
  await db.query(sql`create table things (id int primary key)`);
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx.query(sql`insert into things values (1)`);
      await tx.query(sql`select 1 / 0`).catch(() => {});
    }),
    /rolled back/,
  );
  assert.deepEqual(await db.query(sql`select id from things`), []);
});

test('a query after the end of its transaction is refused', async (t) => {
  const db = await testDatabase(t);
  const leaked = await db.transaction(async (tx) => tx);
  assert.throws(() => leaked.query(sql`select 1`), /has ended/);
});

test('serialization failures are retried until all commit', async (t) => {
  const db = await testDatabase(t);
  await db.query(sql`create table counters (n int)`);
  await db.query(sql`insert into counters values (0)`);
  let attempts = 0;
  await Promise.all(
    Array.from({ length: 4 }, () =>
      db.transaction(
        async (tx) => {
          attempts++;
          const row = await tx.one<{ n: number }>(sql`select n from counters`);
          await sleep(5);
          await tx.query(sql`update counters set n = ${(row?.n ?? 0) + 1}`);
        },
        { isolation: 'repeatable read' },
      ),
    ),
  );
  assert.deepEqual(await db.one(sql`select n from counters`), { n: 4 });
  assert.ok(attempts > 4);
});

test('deadlocks are retried', async (t) => {
  const db = await testDatabase(t);
  await db.query(sql`create table pairs (id int primary key, n int)`);
  await db.query(sql`insert into pairs values (1, 0), (2, 0)`);
  const both = (first: number, second: number) =>
    db.transaction(async (tx) => {
      await tx.query(sql`update pairs set n = n + 1 where id = ${first}`);
      await sleep(50);
      await tx.query(sql`update pairs set n = n + 1 where id = ${second}`);
    });
  await Promise.all([both(1, 2), both(2, 1)]);
  assert.deepEqual(await db.query(sql`select n from pairs`), [{ n: 2 }, { n: 2 }]);
});

test('a prepared statement whose table changes shape goes on working', async (t) => {
  const db = await testDatabase(t);
  await db.query(sql`create table shapes (a int)`);
  await db.query(sql`insert into shapes values (1)`);
  const read = (database: Pick<typeof db, 'query'>) => database.query(sql`select * from shapes`);
  for (let i = 0; i < 4; i++) assert.deepEqual(await read(db), [{ a: 1 }]);
  await db.query(sql`alter table shapes add b int default 2`);
  assert.deepEqual(await read(db), [{ a: 1, b: 2 }]);
  assert.deepEqual(await db.transaction((tx) => read(tx)), [{ a: 1, b: 2 }]);
});

test('notifications reach every listener, also after the connection was lost', async (t) => {
  const db = await testDatabase(t);
  const heard: string[] = [];
  const unlisten = await db.listen('news', (payload) => heard.push(payload));
  await db.query(sql`select pg_notify('news', 'one')`);
  await until(() => heard.includes('one'));
  await db.query(sql`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'millrace-listen' and datname = current_database()`);
  await until(async () => {
    await db.query(sql`select pg_notify('news', 'two')`);
    return heard.includes('two');
  });
  await unlisten();
  const count = heard.length;
  await db.query(sql`select pg_notify('news', 'three')`);
  await sleep(50);
  assert.equal(heard.length, count);
});

test('a lost connection is told as unavailable and the pool recovers', async (t) => {
  const db = await testDatabase(t);
  await assert.rejects(
    db.transaction((tx) => tx.query(sql`select pg_terminate_backend(pg_backend_pid())`)),
    { kind: 'unavailable', retryable: true },
  );
  assert.deepEqual(await db.one(sql`select 1 as one`), { one: 1 });
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await condition()) return;
    await sleep(20);
  }
  throw new Error('did not happen in time');
}

test('a reading of limited length is ended in time, writes nothing, and leaves others alone', async (t) => {
  const db = await testDatabase(t);
  const limited = db.limited(50);
  const others = db.query(sql`select pg_sleep(0.2)`);
  await assert.rejects(limited.query(sql`select pg_sleep(5)`), { code: '57014' });
  await assert.rejects(limited.query(sql`create table notes (id integer)`), { code: '25006' });
  assert.deepEqual(await limited.one(sql`select current_schema() as name`), { name: 'millrace' });
  await others;
});
