import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tableChange } from '../../../test/support/lake-files.ts';
import { lakeWorld } from '../../../test/support/lake-world.ts';
import { sql } from '../../db/sql.ts';

test('a bucket gets its prefix, its names and an empty start', async (t) => {
  const { buckets, actor, events } = await lakeWorld(t);
  const bucket = await buckets.create(actor, { stage: 'in', name: 'main', description: 'Data', backend: 'snowflake' });
  assert.deepEqual(
    { ...bucket, createdAt: undefined },
    {
      id: 'in.c-main',
      projectId: 1,
      branchId: actor.branchId,
      stage: 'in',
      name: 'c-main',
      displayName: 'main',
      description: 'Data',
      backend: 'snowflake',
      color: undefined,
      createdAt: undefined,
      updatedAt: undefined,
      changedAt: undefined,
      tablesCount: 0,
      rowsCount: 0,
      dataSizeBytes: 0,
    },
  );
  assert.equal((await buckets.create(actor, { stage: 'out', name: 'c-other' })).id, 'out.c-other');
  assert.deepEqual(
    (await buckets.list(actor)).map(({ id }) => id),
    ['in.c-main', 'out.c-other'],
  );
  const [event] = await events.list(actor, { names: ['bucket.created'], objectId: 'in.c-main' });
  assert.equal(event?.objectName, 'main');
});

test('ids and display names are unique, ids up to their case', async (t) => {
  const { buckets, actor } = await lakeWorld(t);
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await assert.rejects(buckets.create(actor, { stage: 'in', name: 'main', displayName: 'other' }), {
    code: 'bucket.already-exists',
    message: 'The bucket c-main already exists.',
  });
  await assert.rejects(buckets.create(actor, { stage: 'in', name: 'second', displayName: 'main' }), {
    message: 'The display name "main" already exists in project.',
  });
  await buckets.create(actor, { stage: 'out', name: 'main' });
  await buckets.create(actor, { stage: 'in', name: 'MAIN' });
  assert.deepEqual(
    (await buckets.list(actor)).map(({ id }) => id),
    ['in.c-MAIN', 'in.c-main', 'out.c-main'],
  );
});

test('twenty calls make a bucket once', async (t) => {
  const { buckets, actor } = await lakeWorld(t);
  const made = await Promise.allSettled(
    Array.from({ length: 20 }, () => buckets.create(actor, { stage: 'in', name: 'main' })),
  );
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1);
  const ensured = await Promise.all(Array.from({ length: 5 }, () => buckets.ensure(actor, 'out.c-new')));
  assert.equal(new Set(ensured.map(({ createdAt }) => createdAt.getTime())).size, 1);
});

test('names that are not allowed', async (t) => {
  const { buckets, actor } = await lakeWorld(t);
  for (const name of ['', 'a.b', 'a b', 'ř', 'x'.repeat(97)]) {
    await assert.rejects(buckets.create(actor, { stage: 'in', name }), { code: 'bucket.invalid' }, name);
  }
  await assert.rejects(buckets.create(actor, { stage: 'in', name: 'a', displayName: '$$$$$' }), {
    message:
      "Invalid data - displayName: '$$$$$' contains not allowed characters. Only alphanumeric characters dash and underscores are allowed.",
  });
});

test('a full bucket is deleted only by force', async (t) => {
  const { buckets, tables, actor, events } = await lakeWorld(t);
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await tables.create(actor, { bucketId: 'in.c-main', name: 'users', columns: ['id'] });
  await assert.rejects(buckets.delete(actor, 'in.c-main'), {
    code: 'bucket.not-empty',
    message: 'Only empty buckets can be deleted. There are 1 tables in the bucket.',
  });
  await buckets.delete(actor, 'in.c-main', { force: true });
  assert.deepEqual(await buckets.list(actor), []);
  assert.deepEqual(await tables.list(actor), []);
  await assert.rejects(buckets.get(actor, 'in.c-main'), {
    code: 'bucket.not-found',
    message: 'The bucket "in.c-main" was not found in the project "1"',
  });
  assert.equal((await events.list(actor, { names: ['table.deleted'] })).length, 1);
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await tables.create(actor, { bucketId: 'in.c-main', name: 'users', columns: ['other'] });
  assert.deepEqual((await tables.get(actor, 'in.c-main.users')).columns, ['other']);
});

test('a changed description is an update, a changed display name is not', async (t) => {
  const { buckets, actor } = await lakeWorld(t);
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await buckets.create(actor, { stage: 'in', name: 'other' });
  const named = await buckets.update(actor, 'in.c-main', { displayName: 'shown', color: '#fff' });
  assert.deepEqual([named.displayName, named.color, named.updatedAt], ['shown', '#fff', undefined]);
  const described = await buckets.update(actor, 'in.c-main', { description: 'What it is' });
  assert.ok(described.updatedAt instanceof Date);
  await assert.rejects(buckets.update(actor, 'in.c-main', { displayName: 'other' }), { code: 'bucket.already-exists' });
});

test('tokens see and change what their rights name', async (t) => {
  const { buckets, tables, actor, tokenActor } = await lakeWorld(t);
  for (const name of ['seen', 'written', 'hidden']) await buckets.create(actor, { stage: 'in', name });
  await tables.create(actor, { bucketId: 'in.c-seen', name: 't', columns: ['a'] });
  const reader = await tokenActor({ bucketPermissions: { 'in.c-seen': 'read', 'in.c-written': 'write' } });
  assert.deepEqual(
    (await buckets.list(reader)).map(({ id }) => id),
    ['in.c-seen', 'in.c-written'],
  );
  assert.deepEqual(
    (await tables.list(reader)).map(({ id }) => id),
    ['in.c-seen.t'],
  );
  const forbidden = { kind: 'forbidden' };
  await assert.rejects(buckets.get(reader, 'in.c-hidden'), forbidden);
  await assert.rejects(buckets.get(reader, 'in.c-unknown'), forbidden);
  await assert.rejects(buckets.create(reader, { stage: 'in', name: 'x' }), forbidden);
  await assert.rejects(buckets.delete(reader, 'in.c-written'), forbidden);
  await assert.rejects(tables.drop(reader, 'in.c-seen.t'), forbidden);
  await tables.create(reader, { bucketId: 'in.c-written', name: 't', columns: ['a'] });
  await assert.rejects(tables.create(reader, { bucketId: 'in.c-seen', name: 'u', columns: ['a'] }), forbidden);
});

test('the overview follows every change of a lake, also one of a stock client, and adds up only then', async (t) => {
  const { buckets, tables, actor, tokenActor, db, files, lakeTable, newFile, commit } = await lakeWorld(t);
  const counts = async (of = actor) => {
    const { bucketIds, rowsCount, dataSizeBytes } = await buckets.overview(of);
    return { bucketIds, rowsCount, hasData: dataSizeBytes > 0 };
  };
  assert.deepEqual(await counts(), { bucketIds: [], rowsCount: 0, hasData: false });
  for (const name of ['b', 'a']) await buckets.create(actor, { stage: 'in', name });
  await tables.create(actor, { bucketId: 'in.c-a', name: 't', columns: ['x'] });
  const bucketIds = ['in.c-a', 'in.c-b'];
  assert.deepEqual(await counts(), { bucketIds, rowsCount: 0, hasData: false });
  const base = await lakeTable('in.c-a.t');
  const file = await newFile(base, [['1'], ['2'], ['3']]);
  await commit(base, tableChange({ addedFiles: [file] }));
  assert.deepEqual(await counts(), { bucketIds, rowsCount: 3, hasData: true });
  await commit(await lakeTable('in.c-a.t'), tableChange({ deleteFiles: [await files.deletes(file.path, [0])] }));
  assert.deepEqual(await counts(), { bucketIds, rowsCount: 2, hasData: true });
  assert.deepEqual(await counts(), { bucketIds, rowsCount: 2, hasData: true });
  const reader = await tokenActor({ bucketPermissions: { 'in.c-b': 'read' } });
  assert.deepEqual(await counts(reader), { bucketIds: ['in.c-b'], rowsCount: 2, hasData: true });
  // What nobody announces with a snapshot is not looked for.
  await db.query(sql`update lake_1.ducklake_data_file set record_count = 100`);
  assert.equal((await counts()).rowsCount, 2);
  await db.query(sql`
    insert into lake_1.ducklake_snapshot
    select snapshot_id + 1, now(), schema_version, next_catalog_id, next_file_id from lake_1.ducklake_snapshot
    order by snapshot_id desc limit 1`);
  assert.equal((await counts()).rowsCount, 99);
});
