import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tableChange } from '../../../test/support/lake-files.ts';
import { lakeWorld } from '../../../test/support/lake-world.ts';
import { sql } from '../../db/sql.ts';
import { boundsOf, LakeCommit } from './lake-commit-store.ts';
import { bytesOf, rowsOf } from './lake-store.ts';

const ID = 'in.c-main.t';

async function worldWithTable(t: Parameters<typeof lakeWorld>[0]) {
  const world = await lakeWorld(t);
  await world.buckets.create(world.actor, { stage: 'in', name: 'main' });
  await world.tables.create(world.actor, { bucketId: 'in.c-main', name: 't', columns: ['id', 'name'] });
  return world;
}

test('every change is one snapshot, and numbers go on where the last one stopped', async (t) => {
  const { db, lakeTable, newFile, commit } = await worldWithTable(t);
  const empty = await lakeTable(ID);
  const first = await newFile(empty, [
    ['1', 'a'],
    ['2', 'b'],
  ]);
  const second = await newFile(empty, [['3', 'c']]);
  await commit(empty, tableChange({ addedFiles: [first, second] }));
  const full = await lakeTable(ID);
  assert.equal(rowsOf(full.files), 3);
  assert.equal(bytesOf(full.files), first.fileSizeBytes + second.fileSizeBytes);
  await commit(full, tableChange({ addedFiles: [await newFile(full, [['0', 'z']])], removedFiles: [first.path] }));

  const snapshots = await db.query(sql`
    select snapshot_id, schema_version, next_catalog_id, next_file_id, changes_made
    from lake_1.ducklake_snapshot join lake_1.ducklake_snapshot_changes using (snapshot_id) order by 1`);
  assert.deepEqual(
    snapshots.map((row) => Object.values(row)),
    [
      [0, 0, 1, 0, 'created_schema:"main"'],
      [1, 1, 2, 0, 'created_schema:"in.c-main"'],
      [2, 2, 3, 0, 'created_table:"in.c-main"."t"'],
      [3, 2, 3, 2, 'inserted_into_table:2'],
      [4, 2, 3, 3, 'inserted_into_table:2,deleted_from_table:2'],
    ],
  );
  const stats = await db.query(sql`select record_count, next_row_id from lake_1.ducklake_table_stats`);
  assert.deepEqual(stats, [{ record_count: 4, next_row_id: 4 }], 'rows ever inserted, never fewer');
  const bounds = await db.query(sql`
    select column_id, contains_null, min_value, max_value from lake_1.ducklake_table_column_stats order by 1`);
  assert.deepEqual(bounds, [
    { column_id: 1, contains_null: false, min_value: '0', max_value: '3' },
    { column_id: 2, contains_null: false, min_value: 'a', max_value: 'z' },
  ]);
});

test('a later delete file replaces the earlier one', async (t) => {
  const { db, files, lakeTable, newFile, commit } = await worldWithTable(t);
  const empty = await lakeTable(ID);
  const data = await newFile(empty, [
    ['1', 'a'],
    ['2', 'b'],
    ['3', 'c'],
  ]);
  await commit(empty, tableChange({ addedFiles: [data] }));
  await commit(await lakeTable(ID), tableChange({ deleteFiles: [await files.deletes(data.path, [0])] }));
  const second = await files.deletes(data.path, [0, 2]);
  await commit(await lakeTable(ID), tableChange({ deleteFiles: [second] }));
  const table = await lakeTable(ID);
  assert.equal(rowsOf(table.files), 1);
  assert.equal(table.files[0]?.deleteFile?.path, second.path);
  const live = await db.query(sql`select begin_snapshot, end_snapshot from lake_1.ducklake_delete_file order by 1`);
  assert.deepEqual(live, [
    { begin_snapshot: 4, end_snapshot: 5 },
    { begin_snapshot: 5, end_snapshot: null },
  ]);
});

test('a change based on an older version is rebased or refused', async (t) => {
  const { files, lakeTable, newFile, commit } = await worldWithTable(t);
  const base = await lakeTable(ID);
  const file = await newFile(base, [['1', 'a']]);
  await commit(base, tableChange({ addedFiles: [file] }));
  await commit(base, tableChange({ addedFiles: [await newFile(base, [['2', 'b']])] }));
  assert.equal(rowsOf((await lakeTable(ID)).files), 2, 'two appends do not disturb each other');

  const shown = await lakeTable(ID);
  await commit(shown, tableChange({ deleteFiles: [await files.deletes(file.path, [0])] }));
  await assert.rejects(commit(shown, tableChange({ removedFiles: [file.path] })), {
    code: 'lake.conflict',
    retryable: true,
  });
  await assert.rejects(commit(shown, tableChange({ addedFiles: [await newFile(base, [['3', 'c']])] })), {
    code: 'lake.conflict',
  });
});

test('a table that was dropped meanwhile takes no rows', async (t) => {
  const { actor, tables, lakeTable, newFile, commit } = await worldWithTable(t);
  const base = await lakeTable(ID);
  const file = await newFile(base, [['1', 'a']]);
  await tables.drop(actor, ID);
  await assert.rejects(commit(base, tableChange({ addedFiles: [file] })), { code: 'lake.conflict' });
});

test('nothing done makes no snapshot', async (t) => {
  const { db, lakeTable, commit } = await worldWithTable(t);
  await commit(await lakeTable(ID), tableChange({}));
  const row = await db.one(sql`select max(snapshot_id) as newest from lake_1.ducklake_snapshot`);
  assert.deepEqual(row, { newest: 2 });
});

test('a lake of another format is not written', async (t) => {
  const { db, lakeTable, commit } = await worldWithTable(t);
  const table = await lakeTable(ID);
  await db.query(sql`update lake_1.ducklake_metadata set value = '1.1' where key = 'version'`);
  await assert.rejects(commit(table, tableChange({})), /format 1\.1/);
});

test('twenty writers at once make a history without gaps', async (t) => {
  const { db, lakeTable, newFile, commit } = await worldWithTable(t);
  const base = await lakeTable(ID);
  const made = [];
  for (let i = 0; i < 20; i++) made.push(await newFile(base, [[String(i), 'x']]));
  await Promise.all(made.map((file) => commit(base, tableChange({ addedFiles: [file] }))));
  const row = await db.one(sql`
    select count(*) as snapshots, max(snapshot_id) as newest,
      (select count(distinct row_id_start) from lake_1.ducklake_data_file) as row_ids,
      (select next_row_id from lake_1.ducklake_table_stats) as next_row_id
    from lake_1.ducklake_snapshot`);
  assert.deepEqual(row, { snapshots: 23, newest: 22, row_ids: 20, next_row_id: 20 });
});

test('columns: names that differ by case live side by side, ids are never reused', async (t) => {
  const { db, actor, tables, lakeTable } = await worldWithTable(t);
  await db.transaction(async (tx) => {
    const table = await lakeTable(ID);
    const commit = await LakeCommit.begin(tx, actor.projectId);
    await commit.addColumns(table, [{ id: table.nextColumnId, name: 'Id', type: 'varchar' }]);
    await commit.finish({ author: 'test', message: 'test' });
  });
  assert.deepEqual((await tables.get(actor, ID)).columns, ['id', 'name', 'Id']);
  assert.deepEqual(
    (await lakeTable(ID)).columns.map((column) => column.lakeName),
    ['id', 'name', '_timestamp', 'Id__2'],
  );
  await tables.dropColumn(actor, ID, 'Id');
  await tables.addColumn(actor, ID, 'later');
  assert.deepEqual(
    (await lakeTable(ID)).columns.map((column) => column.id),
    [1, 2, 3, 5],
  );
  const versions = await db.query(
    sql`select begin_snapshot, schema_version from lake_1.ducklake_schema_versions order by 1`,
  );
  assert.deepEqual(
    versions.map((row) => Object.values(row)),
    [
      [2, 2],
      [3, 3],
      [4, 4],
      [5, 5],
    ],
  );
});

test('bounds: bytewise, unknown where a file does not say, without those of files that are all NULL', () => {
  const stats = (min: string | null, max: string | null, values = 1, nulls = 0) => ({
    fieldId: 1,
    columnSizeBytes: null,
    valueCount: values,
    nullCount: nulls,
    minValue: min,
    maxValue: max,
  });
  const bounds = (...parts: ReturnType<typeof stats>[]) => boundsOf(parts, parts)[0];
  assert.deepEqual(bounds(stats('b', 'b'), stats('a', '\u{1F600}'), stats('z', '\uFF5E')), {
    columnId: 1,
    containsNull: false,
    hasValues: true,
    min: 'a',
    max: '\u{1F600}',
    isNumber: false,
  });
  const numbers = [stats('-2.50', '9.00'), stats('-10.00', '10.00')];
  const [ofNumbers] = boundsOf(numbers, numbers, new Set([1]));
  assert.deepEqual([ofNumbers?.min, ofNumbers?.max], ['-10.00', '10.00']);
  assert.equal(bounds(stats('a', 'b'), stats(null, null))?.min, null);
  assert.equal(bounds(stats('a', 'b'), stats(null, null, 0, 5))?.max, 'b');
  assert.equal(bounds(stats('a', 'b'), stats(null, null, 0, 5))?.containsNull, true);
  assert.deepEqual(boundsOf([1, 2], [stats('a', 'b')]), [], 'one of two files says nothing of the column');
});
