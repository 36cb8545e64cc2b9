import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { lakeWorld } from '../../../test/support/lake-world.ts';
import { sql } from '../../db/sql.ts';
import { systemClock } from '../../lib/clock.ts';
import { ObjectMetadata } from './object-metadata.ts';

async function metadataWorld(t: Parameters<typeof lakeWorld>[0]) {
  const world = await lakeWorld(t);
  await world.buckets.create(world.actor, { stage: 'in', name: 'main' });
  await world.tables.create(world.actor, { bucketId: 'in.c-main', name: 't', columns: ['id', 'Id'] });
  return { ...world, metadata: new ObjectMetadata({ db: world.db, events: world.events, clock: systemClock }) };
}

const TABLE = { type: 'table', id: 'in.c-main.t' } as const;
const BUCKET = { type: 'bucket', id: 'in.c-main' } as const;
const COLUMN = { type: 'column', id: 'in.c-main.t.Id' } as const;

test('a key is set once per provider, keeps its id, and all items are answered', async (t) => {
  const { metadata, actor } = await metadataWorld(t);
  const first = await metadata.set(actor, TABLE, 'me', [
    { key: 'a', value: '1' },
    { key: 'b', value: '' },
  ]);
  const second = await metadata.set(actor, TABLE, 'me', [
    { key: 'c', value: '3' },
    { key: 'a', value: '2' },
  ]);
  await metadata.set(actor, TABLE, 'you', [{ key: 'a', value: 'other' }]);
  assert.deepEqual(
    second.map(({ key, value }) => [key, value]),
    [
      ['a', '2'],
      ['b', ''],
      ['c', '3'],
    ],
  );
  assert.equal(second[0]?.id, first[0]?.id);
  assert.equal((await metadata.list(actor, TABLE)).length, 4);
});

test('the description is shown by the object itself', async (t) => {
  const { metadata, actor, buckets, tables } = await metadataWorld(t);
  const item = [{ key: 'KBC.description', value: 'What it is' }];
  const [described] = await metadata.set(actor, BUCKET, 'user', item);
  await metadata.set(actor, TABLE, 'user', item);
  assert.equal((await buckets.get(actor, BUCKET.id)).description, 'What it is');
  assert.ok((await buckets.get(actor, BUCKET.id)).updatedAt);
  assert.equal((await tables.get(actor, TABLE.id)).description, 'What it is');
  await metadata.delete(actor, BUCKET, described?.id ?? 0);
  assert.equal((await buckets.get(actor, BUCKET.id)).description, '');
});

test('columns have metadata by their real names, and lose it with the column or table', async (t) => {
  const { metadata, actor, tables } = await metadataWorld(t);
  await metadata.set(actor, COLUMN, 'me', [{ key: 'a', value: '1' }]);
  assert.deepEqual([...((await metadata.listColumns(actor, [TABLE.id])).get(TABLE.id) ?? new Map()).keys()], ['Id']);
  await assert.rejects(metadata.set(actor, { type: 'column', id: 'in.c-main.t.ID' }, 'me', []), {
    code: 'column.not-found',
  });
  await tables.dropColumn(actor, TABLE.id, 'Id');
  assert.equal((await metadata.listColumns(actor, [TABLE.id])).size, 0);
  await metadata.set(actor, TABLE, 'me', [{ key: 'a', value: '1' }]);
  await tables.drop(actor, TABLE.id);
  await tables.create(actor, { bucketId: 'in.c-main', name: 't', columns: ['id'] });
  assert.deepEqual(await metadata.list(actor, TABLE), []);
});

test('what is refused', async (t) => {
  const { metadata, actor, tokenActor } = await metadataWorld(t);
  const item = [{ key: 'a', value: '1' }];
  await assert.rejects(metadata.set(actor, TABLE, '', item), { message: 'Provider is required.' });
  await assert.rejects(metadata.set(actor, TABLE, '%x$', item), { message: 'Invalid metadata provider.' });
  await assert.rejects(metadata.set(actor, TABLE, 'storage', item), { kind: 'forbidden' });
  await assert.rejects(metadata.set(actor, TABLE, 'me', [...item, { key: '%', value: '' }]), {
    message: 'Invalid Metadata Key (metadata[1][key])',
  });
  await assert.rejects(metadata.set(actor, { type: 'table', id: 'in.c-main.x' }, 'me', item), {
    code: 'table.not-found',
  });
  await assert.rejects(metadata.set(actor, { type: 'bucket', id: 'in.c-x' }, 'me', item), { code: 'bucket.not-found' });
  await assert.rejects(metadata.delete(actor, BUCKET, 9999999), {
    code: 'metadata.not-found',
    message: 'Metadata "9999999" not found for bucket "in.c-main".',
  });
  const reader = await tokenActor({ bucketPermissions: { 'in.c-main': 'read' } });
  assert.deepEqual(await metadata.list(reader, TABLE), []);
  await assert.rejects(metadata.set(reader, TABLE, 'me', item), { kind: 'forbidden' });
});

test('metadata set while its table or bucket is dropped does not stay behind', async (t) => {
  const { metadata, actor, tables, buckets, db } = await metadataWorld(t);
  const left = () => db.one(sql`select count(*) as items from object_metadata`);
  const race = async (drop: () => Promise<void>) => {
    let dropped: Promise<void> | undefined;
    await db.transaction(async (tx) => {
      await metadata.setIn(tx, actor, TABLE, 'me', [{ key: 'a', value: '1' }]);
      dropped = drop();
      await sleep(100);
    });
    await dropped;
    assert.deepEqual(await left(), { items: 0 });
  };
  await race(() => tables.drop(actor, TABLE.id));
  await tables.create(actor, { bucketId: 'in.c-main', name: 't', columns: ['id'] });
  await race(() => buckets.delete(actor, BUCKET.id, { force: true }));
});

test("descriptions set at the same time do not get into each other's way", async (t) => {
  const { metadata, actor } = await metadataWorld(t);
  const begin = Date.now();
  await Promise.all(
    [BUCKET, TABLE, BUCKET, TABLE, BUCKET, TABLE].map((object, i) =>
      metadata.set(actor, object, `p${i}`, [{ key: 'KBC.description', value: String(i) }]),
    ),
  );
  // A deadlock would be found, and tried again, after a second.
  assert.ok(Date.now() - begin < 1000);
});
