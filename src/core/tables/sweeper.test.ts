import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { tableChange } from '../../../test/support/lake-files.ts';
import { lakeWorld } from '../../../test/support/lake-world.ts';
import { strayLakeFiles } from '../../../test/support/lakes.ts';
import { sql } from '../../db/sql.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/logger.ts';
import type { ClaimedJob } from '../jobs/job-model.ts';
import { Staging } from './staging.ts';
import { deleteStagedFiles } from './staging-store.ts';
import { Sweeper } from './sweeper.ts';

const ID = 'in.c-main.t';
const DAY_MS = 24 * 3600 * 1000;

async function sweptWorld(t: Parameters<typeof lakeWorld>[0]) {
  const world = await lakeWorld(t);
  await world.buckets.create(world.actor, { stage: 'in', name: 'main' });
  await world.tables.create(world.actor, { bucketId: 'in.c-main', name: 't', columns: ['id'] });
  let now = 0;
  const clock = { now: () => new Date(Date.now() + now) };
  const sweeper = new Sweeper({ db: world.db, clock, log: silentLogger, retentionDays: 7 });
  return {
    ...world,
    sweeper,
    staging: new Staging({ db: world.db }),
    later: (days: number) => {
      now += days * DAY_MS;
    },
    /** A claimed job of the project. */
    async claimed(): Promise<ClaimedJob> {
      await world.jobs.create(world.actor, { kind: 'table-import' });
      const [job] = await world.jobs.queue.claim({ workerId: 'w', slots: { storage: 1 } });
      if (job === undefined) throw new Error('nothing to claim');
      return job;
    },
  };
}

test('files of a running job stay, files of a lost one go', async (t) => {
  const { db, directory, sweeper, staging, claimed } = await sweptWorld(t);
  const job = await claimed();
  const folder = join(directory, 'lakes', '1', 'in.c-main', 'new-table');
  const staged = await staging.open(job, `${folder}/`);
  await writeFile(join(folder, `${staged.prefix}0.parquet`), 'x');
  await writeFile(join(folder, 'somebody-elses.parquet'), 'x');
  assert.deepEqual(await sweeper.sweepOnce(), { abandoned: 0, expired: 0 });
  await db.query(sql`update jobs set claim_token = gen_random_uuid() where id = ${job.id}`);
  assert.deepEqual(await sweeper.sweepOnce(), { abandoned: 1, expired: 0 });
  assert.deepEqual(await readdir(folder), ['somebody-elses.parquet']);
  assert.deepEqual(await db.query(sql`select * from staged_files`), []);
});

test('a writer that was swept under its hands takes away what it wrote since', async (t) => {
  const { db, directory, sweeper, staging, claimed } = await sweptWorld(t);
  const job = await claimed();
  const folder = join(directory, 'lakes', '1', 'in.c-main', 'new-table');
  const staged = await staging.open(job, folder);
  await db.query(sql`update jobs set claim_token = gen_random_uuid() where id = ${job.id}`);
  await sweeper.sweepOnce();
  // The engine has not heard of it yet.
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${staged.prefix}1.parquet`), 'x');
  assert.equal(await staging.discard(staged), 1);
  assert.equal(existsSync(folder), false);
});

test('one writer that cannot be swept does not keep the others from it', async (t) => {
  const { db, directory, sweeper, staging, claimed } = await sweptWorld(t);
  const jobs = [await claimed(), await claimed()];
  const folder = join(directory, 'lakes', '1', 'in.c-main', 'new-table');
  const file = join(directory, 'not-a-folder');
  await writeFile(file, '');
  await staging.open(jobs[0] as ClaimedJob, folder);
  await db.query(sql`update staged_files set directory = ${`${file}/x`}`);
  const staged = await staging.open(jobs[1] as ClaimedJob, folder);
  await writeFile(join(folder, `${staged.prefix}0.parquet`), 'x');
  await db.query(sql`update jobs set status = 'failed'`);
  await sweeper.sweepOnce();
  assert.equal(existsSync(folder), false);
});

test('a folder made for a table that never came goes too', async (t) => {
  const { directory, sweeper, staging, claimed, db } = await sweptWorld(t);
  const folder = join(directory, 'lakes', '1', 'in.c-main', 'new-table');
  await staging.open(await claimed(), folder);
  await db.query(sql`update jobs set status = 'failed'`);
  await sweeper.sweepOnce();
  assert.equal(existsSync(folder), false);
});

test('files whose commit went through stay, even when its answer was lost', async (t) => {
  const { db, files, staging, claimed, lakeTable, commit } = await sweptWorld(t);
  const table = await lakeTable(ID);
  const staged = await staging.open(await claimed(), table.directory);
  const made = await files.data(table.directory, [{ 1: 'a' }]);
  await commit(table, tableChange({ addedFiles: [made] }));
  await db.transaction((tx) => deleteStagedFiles(tx, staged.prefix));
  assert.equal(await staging.discard(staged), 0);
  assert.ok(existsSync(made.path));
});

test('even a forgotten staging row does not cost a committed file', async (t) => {
  const { db, directory, files, staging, claimed, lakeTable, commit, sweeper } = await sweptWorld(t);
  const table = await lakeTable(ID);
  const made = await files.data(table.directory, [{ 1: 'a' }]);
  await commit(table, tableChange({ addedFiles: [made] }));
  const staged = await staging.open(await claimed(), table.directory);
  const prefix = made.path.slice(table.directory.length, table.directory.length + 20);
  await db.query(sql`update staged_files set prefix = ${prefix} where prefix = ${staged.prefix}`);
  await db.query(sql`update jobs set status = 'failed'`);
  await sweeper.sweepOnce();
  assert.ok(existsSync(made.path));
  assert.deepEqual(await strayLakeFiles(db, join(directory, 'lakes')), []);
});

test('replaced versions go when their retention is over, the newest one never', async (t) => {
  const { db, files, lakeTable, commit, sweeper, later } = await sweptWorld(t);
  const empty = await lakeTable(ID);
  const old = await files.data(empty.directory, [{ 1: 'a' }, { 1: 'b' }]);
  await commit(empty, tableChange({ addedFiles: [old] }));
  const deletes = await files.deletes(old.path, [0]);
  await commit(await lakeTable(ID), tableChange({ deleteFiles: [deletes] }));
  const fresh = await files.data(empty.directory, [{ 1: 'c' }]);
  await commit(await lakeTable(ID), tableChange({ addedFiles: [fresh], removedFiles: [old.path] }));
  later(6);
  assert.deepEqual(await sweeper.sweepOnce(), { abandoned: 0, expired: 0 });
  later(2);
  assert.deepEqual(await sweeper.sweepOnce(), { abandoned: 0, expired: 2 });
  assert.deepEqual(
    [old, deletes, fresh].map(({ path }) => existsSync(path)),
    [false, false, true],
  );
  assert.equal((await lakeTable(ID)).files.length, 1);
  const rows = await db.one(sql`
    select (select count(*) from lake_1.ducklake_snapshot) as snapshots,
      (select count(*) from lake_1.ducklake_data_file) as files,
      (select count(*) from lake_1.ducklake_delete_file) as deletes,
      (select count(*) from lake_1.ducklake_files_scheduled_for_deletion) as scheduled`);
  assert.deepEqual(rows, { snapshots: 1, files: 1, deletes: 0, scheduled: 0 });
  later(100);
  assert.deepEqual(await sweeper.sweepOnce(), { abandoned: 0, expired: 0 });
});

test('an old version that was the newest until lately stays for its retention', async (t) => {
  const { db, files, lakeTable, commit, sweeper, later } = await sweptWorld(t);
  const table = await lakeTable(ID);
  const old = await files.data(table.directory, [{ 1: 'a' }]);
  await commit(table, tableChange({ addedFiles: [old] }));
  await db.query(sql`update lake_1.ducklake_snapshot set snapshot_time = snapshot_time - interval '1 year'`);
  await commit(await lakeTable(ID), tableChange({ removedFiles: [old.path] }));
  later(1);
  await sweeper.sweepOnce();
  assert.ok(existsSync(old.path), 'somebody may still read it: it was replaced a day ago');
});

test('a dropped table and bucket leave nothing behind', async (t) => {
  const { db, actor, directory, buckets, files, lakeTable, commit, sweeper, later } = await sweptWorld(t);
  const table = await lakeTable(ID);
  const file = await files.data(table.directory, [{ 1: 'a' }]);
  await commit(table, tableChange({ addedFiles: [file] }));
  await buckets.delete(actor, 'in.c-main', { force: true });
  await sweeper.sweepOnce();
  assert.ok(existsSync(file.path));
  later(8);
  await sweeper.sweepOnce();
  assert.deepEqual(await readdir(join(directory, 'lakes', '1')), []);
  const rows = await db.one(sql`
    select (select count(*) from lake_1.ducklake_table) as tables, (select count(*) from lake_1.ducklake_column) as columns,
      (select count(*) from lake_1.ducklake_schema) as schemas, (select count(*) from lake_1.ducklake_table_stats) as stats`);
  assert.deepEqual(rows, { tables: 0, columns: 0, schemas: 1, stats: 0 });
});

test('two sweepers at once, and one that starts and stops', async (t) => {
  const { sweeper, db } = await sweptWorld(t);
  await Promise.all([sweeper.sweepOnce(), sweeper.sweepOnce()]);
  const timed = new Sweeper({ db, clock: systemClock, log: silentLogger, retentionDays: 7, intervalMs: 5 });
  timed.start();
  await new Promise((resolve) => setTimeout(resolve, 30));
  await timed.stop();
});
