import assert from 'node:assert/strict';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { strayLakeFiles } from '../../../test/support/lakes.ts';
import { checkLakesWithStockDuckdb } from '../../../test/support/stock-check.ts';
import { tableWorld } from '../../../test/support/table-world.ts';
import { uuidv7 } from '../../lib/ids.ts';
import { findLakeTable, type LakeTable } from './lake-store.ts';
import { ObjectMetadata } from './object-metadata.ts';
import { findSnapshot } from './snapshot-store.ts';
import { findTable } from './table-store.ts';

const T = 'in.c-main.t';

async function world(t: TestContext) {
  const made = await tableWorld(t);
  const { buckets, actor, tables, db, directory, ended } = made;
  await buckets.create(actor, { stage: 'in', name: 'main' });
  return {
    ...made,
    lakes: join(directory, 'lakes'),
    async snapshot(description = '') {
      const job = await ended(await tables.snapshots.createLater(actor, T, description));
      return (job.result as { id: number }).id;
    },
    async restore(id: number, name: string) {
      await ended(await tables.snapshots.restoreLater(actor, id, { bucketId: 'in.c-main', name }));
    },
    async lakeOf(id: string | number): Promise<LakeTable> {
      const row = typeof id === 'number' ? await findSnapshot(db, actor, id) : await findTable(db, actor, id);
      const table = row && (await findLakeTable(db, actor.projectId, row.lakeTableId));
      assert.ok(table);
      return table;
    },
    async checkStock() {
      await checkLakesWithStockDuckdb(t, {
        db,
        connection: db.connection,
        async exportCsv(table) {
          const path = join(directory, `${uuidv7()}.csv`);
          await tables.exportTo(actor, table.id, { header: false }, path);
          return path;
        },
      });
    },
  };
}

test('a snapshot keeps rows, key, columns and metadata; a table made of it goes its own way', async (t) => {
  const { create, load, rows, tables, actor, db, events, snapshot, restore, lakes } = await world(t);
  const metadata = new ObjectMetadata({ db, events, clock: { now: () => new Date() } });
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['Id'] }, 'id,Id,v\n1,a,x\n2,b,y\n3,c,z\n');
  await load(T, 'id,Id,v\n9,b,again\n', { incremental: true });
  await tables.update(actor, T, { description: 'about t' });
  await metadata.set(actor, { type: 'table', id: T }, 'user', [{ key: 'k', value: 'of table' }]);
  await metadata.set(actor, { type: 'column', id: `${T}.v` }, 'user', [{ key: 'k', value: 'of column' }]);
  const kept = await rows(T);
  const id = await snapshot('before');
  await load(T, 'id,Id,v\n0,z,gone\n');
  await tables.dropColumn(actor, T, 'v');

  const found = await tables.snapshots.get(actor, id);
  assert.deepEqual(
    [found.tableId, found.description, found.columns, found.primaryKey],
    [T, 'before', ['id', 'Id', 'v'], ['Id']],
  );
  await restore(id, 'back');
  assert.deepEqual(await rows('in.c-main.back'), kept);
  const back = await tables.get(actor, 'in.c-main.back');
  assert.deepEqual([back.columns, back.primaryKey, back.description], [['id', 'Id', 'v'], ['Id'], 'about t']);
  const of = await metadata.list(actor, { type: 'table', id: 'in.c-main.back' });
  assert.deepEqual(
    of.map(({ key, value }) => [key, value]),
    [['k', 'of table']],
  );
  const ofColumn = await metadata.list(actor, { type: 'column', id: 'in.c-main.back.v' });
  assert.deepEqual(
    ofColumn.map(({ value }) => value),
    ['of column'],
  );

  await load('in.c-main.back', 'id,Id,v\n7,a,new\n8,n,new\n', { incremental: true });
  assert.equal((await rows('in.c-main.back')).length, 4);
  await restore(id, 'twice');
  assert.deepEqual(await rows('in.c-main.twice'), kept, 'the snapshot is as it was');
  assert.deepEqual(await strayLakeFiles(db, lakes), []);
});

test('no data is copied: the files are the same on disk', async (t) => {
  const { create, load, snapshot, restore, lakeOf } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, 'id,v\n1,a\n2,b\n');
  await load(T, 'id,v\n1,c\n', { incremental: true });
  const id = await snapshot();
  await restore(id, 'back');
  const inodes = async (table: LakeTable) =>
    Promise.all(
      table.files.flatMap((f) => [f.path, f.deleteFile?.path ?? f.path]).map(async (p) => (await stat(p)).ino),
    );
  const original = await inodes(await lakeOf(T));
  assert.equal(original.length, 4);
  assert.deepEqual(await inodes(await lakeOf(id)), original);
  assert.deepEqual(await inodes(await lakeOf('in.c-main.back')), original);
});

test('dropping the table, or its bucket, keeps the snapshot; deleting the snapshot keeps the table', async (t) => {
  const { create, rows, snapshot, restore, tables, buckets, actor, sweeper, ended, lakeOf, db, lakes, checkStock } =
    await world(t);
  await create({ bucketId: 'in.c-main', name: 't' }, 'id,v\n1,a\n2,b\n');
  const kept = await rows(T);
  const id = await snapshot();
  const original = await lakeOf(T);
  await buckets.create(actor, { stage: 'out', name: 'other' });
  await buckets.delete(actor, 'in.c-main', { force: true });
  await sweeper.sweepOnce();
  for (const { path } of original.files) await assert.rejects(stat(path), 'the files of the table are gone');
  await ended(await tables.snapshots.restoreLater(actor, id, { bucketId: 'out.c-other' }));
  assert.deepEqual(await rows('out.c-other.t'), kept);

  const copy = await lakeOf(id);
  await ended(await tables.snapshots.deleteLater(actor, id));
  await assert.rejects(tables.snapshots.get(actor, id), { code: 'snapshot.not-found' });
  await sweeper.sweepOnce();
  for (const { path } of copy.files) await assert.rejects(stat(path), 'the files of the snapshot are gone');
  assert.deepEqual(await rows('out.c-other.t'), kept);
  assert.deepEqual(await strayLakeFiles(db, lakes), []);
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await create({ bucketId: 'in.c-main', name: 't' }, 'id,v\n1,a\n2,b\n');
  await restore(await snapshot(), 'back');
  await checkStock();
});

test('a snapshot whose files are gone fails and leaves nothing', async (t) => {
  const { create, snapshot, lakeOf, lakes, db, jobs, actor, tables } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't' }, 'id,v\n1,a\n');
  for (const { path } of (await lakeOf(T)).files) await rm(path);
  void snapshot;
  const job = await tables.snapshots.createLater(actor, T, '');
  const end = await jobs.awaitEnd(job.id, AbortSignal.timeout(60_000));
  assert.equal(end.status, 'failed');
  assert.doesNotMatch(end.error?.message ?? '', /parquet|lakes/);
  assert.deepEqual(await strayLakeFiles(db, lakes), []);
  assert.deepEqual(await tables.snapshots.list(actor, T, { limit: 20, offset: 0 }), []);
  assert.deepEqual(
    (await readdir(lakes, { recursive: true })).filter((name) => name.includes('snapshots/')),
    [],
  );
});

test('an empty table and one of a thousand files are kept in a moment', async (t) => {
  const { create, snapshot, restore, rows, tables, actor, lakeTable, newFile, commit, jobs } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't' }, 'id,v\n');
  await restore(await snapshot(), 'empty');
  assert.deepEqual(await rows('in.c-main.empty'), []);

  const base = await lakeTable(T);
  const addedFiles = [];
  for (let n = 0; n < 200; n++) addedFiles.push(await newFile(base, [[String(n), 'x']]));
  await commit(base, { addedFiles, deleteFiles: [], removedFiles: [], sourceRows: 0, totalRows: 0, deletedRows: 0 });
  const id = await snapshot();
  const job = await jobs.get(actor, id);
  t.diagnostic(`${(job.finishedAt as Date).getTime() - (job.startedAt as Date).getTime()} ms for 200 files`);
  assert.equal((await tables.get(actor, T)).rowsCount, 200);
  await restore(id, 'many');
  assert.equal((await tables.get(actor, 'in.c-main.many')).rowsCount, 200);
});

test('who may not write the bucket makes no snapshot, who may not read it sees none', async (t) => {
  const { create, snapshot, tables, actor } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't' }, 'id\n1\n');
  const id = await snapshot();
  const limited = (bucketPermissions: Record<string, 'read'>) => ({
    ...actor,
    token: { ...actor.token, isMaster: false, canManageBuckets: false, bucketPermissions },
  });
  const reader = limited({ 'in.c-main': 'read' });
  await assert.rejects(tables.snapshots.createLater(reader, T, ''), { kind: 'forbidden' });
  await assert.rejects(tables.snapshots.deleteLater(reader, id), { kind: 'forbidden' });
  assert.equal((await tables.snapshots.get(reader, id)).id, id);
  await assert.rejects(tables.snapshots.get(limited({}), id), { kind: 'forbidden' });
  await assert.rejects(tables.snapshots.restoreLater(reader, id, { bucketId: 'in.c-main', name: 'x' }), {
    kind: 'forbidden',
  });
});
