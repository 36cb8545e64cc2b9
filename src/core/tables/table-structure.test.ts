import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tableWorld } from '../../../test/support/table-world.ts';
import type { Alteration } from './table-structure.ts';

const ID = 'in.c-main.t';

async function structureWorld(t: Parameters<typeof tableWorld>[0]) {
  const world = await tableWorld(t);
  const { actor, buckets, create, ended, tables } = world;
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await create({ bucketId: 'in.c-main', name: 't' }, 'id,v\n1,a\n2,b\n2,c\n');
  return {
    ...world,
    alter: async (alteration: Alteration) => ended(await tables.structure.alterLater(actor, ID, alteration)),
  };
}

test('columns come and go without a row being written anew', async (t) => {
  const { alter, tables, actor, rows, lakeTable, load } = await structureWorld(t);
  const before = (await lakeTable(ID)).files.map(({ path }) => path);
  await alter({ act: 'add-column', name: 'První sloupec', definition: null });
  assert.deepEqual((await tables.get(actor, ID)).columns, ['id', 'v', 'Prvni_sloupec']);
  assert.deepEqual(await rows(ID), ['"1","a",""', '"2","b",""', '"2","c",""']);
  await alter({ act: 'drop-column', name: 'v', force: false });
  assert.deepEqual(await rows(ID), ['"1",""', '"2",""', '"2",""']);
  assert.deepEqual(
    (await lakeTable(ID)).files.map(({ path }) => path),
    before,
  );
  const table = await tables.get(actor, ID);
  assert.ok((table.changedAt ?? 0) > (table.importedAt ?? 0));
  await alter({ act: 'add-column', name: 'v', definition: null });
  await load(ID, 'id,Prvni_sloupec,v\n3,x,new\n', { incremental: true });
  assert.deepEqual(await rows(ID), ['"1","",""', '"2","",""', '"2","",""', '"3","x","new"']);
});

test('a change of columns that cannot be is refused by name', async (t) => {
  const { alter } = await structureWorld(t);
  await assert.rejects(alter({ act: 'add-column', name: 'ID', definition: null }), {
    code: 'table.column-already-exists',
  });
  await assert.rejects(alter({ act: 'add-column', name: '---', definition: null }), { code: 'column.invalid-name' });
  await assert.rejects(alter({ act: 'add-column', name: 'x'.repeat(65), definition: null }), {
    code: 'column.invalid-name',
  });
  await assert.rejects(alter({ act: 'drop-column', name: 'none', force: true }), { code: 'column.not-found' });
  await alter({ act: 'drop-column', name: 'v', force: false });
  await assert.rejects(alter({ act: 'drop-column', name: 'id', force: false }), { code: 'table.invalid' });
});

test('a primary key is added only where the rows are unique by it', async (t) => {
  const { alter, tables, actor, load, rows } = await structureWorld(t);
  const add = (columns: string[], skipDuplicatesCheck = false) =>
    alter({ act: 'add-primary-key', columns, skipDuplicatesCheck });
  await assert.rejects(add(['id']), { code: 'table.primary-key-duplicates' });
  await assert.rejects(add(['none']), { code: 'table.primary-key-invalid' });
  assert.deepEqual((await tables.get(actor, ID)).primaryKey, []);
  await add(['id', 'v']);
  assert.deepEqual((await tables.get(actor, ID)).primaryKey, ['id', 'v']);
  await assert.rejects(add(['id']), { code: 'table.primary-key-invalid' });
  await assert.rejects(alter({ act: 'drop-column', name: 'v', force: true }), { code: 'table.column-in-primary-key' });
  await load(ID, 'id,v\n2,c\n3,d\n', { incremental: true });
  assert.equal((await rows(ID)).length, 4);
  await alter({ act: 'drop-primary-key' });
  await alter({ act: 'drop-primary-key' });
  assert.deepEqual((await tables.get(actor, ID)).primaryKey, []);
  await load(ID, 'id,v\n2,c\n', { incremental: true });
  assert.equal((await rows(ID)).length, 5);
  await add(['id'], true);
});

test('who may only read a bucket changes nothing in its tables', async (t) => {
  const { tables, tokenActor } = await structureWorld(t);
  const reader = await tokenActor({ bucketPermissions: { 'in.c-main': 'read' } });
  await assert.rejects(tables.structure.alterLater(reader, ID, { act: 'drop-primary-key' }), { kind: 'forbidden' });
});

test('what meets on one table ends as if one had come after the other', async (t) => {
  const { tables, actor, file, jobs, create, rows } = await structureWorld(t);
  const wait = async (id: number) => (await jobs.awaitEnd(id, AbortSignal.timeout(60_000))).status;
  for (let round = 0; round < 5; round++) {
    const id = `in.c-main.race${round}`;
    await create({ bucketId: 'in.c-main', name: `race${round}` }, 'id,v\n1,a\n');
    const fileId = await file('id,v\n2,b\n');
    const imports = [1, 2].map(() => tables.import(actor, id, { fileId, incremental: true }));
    const started = Promise.all(imports);
    // At once, past the line of jobs, in which they would never meet.
    const [dropped] = await Promise.allSettled([
      round % 2 === 0 ? tables.dropColumn(actor, id, 'v') : tables.drop(actor, id),
      started,
    ]);
    const ends = await Promise.all((await started.catch(() => [])).map((job) => wait(job.id)));
    assert.equal(dropped.status, 'fulfilled');
    if (round % 2 === 1) {
      await assert.rejects(tables.get(actor, id), { code: 'table.not-found' });
      continue;
    }
    // A load that comes after the drop brings the column back, as a column the table does not know.
    const { columns } = await tables.get(actor, id);
    assert.deepEqual(ends, ['succeeded', 'succeeded']);
    assert.equal((await rows(id)).length, 3);
    assert.ok(columns.join() === 'id' || columns.join() === 'id,v', columns.join());
    if (columns.length === 2) assert.ok((await rows(id)).includes('"1",""'));
  }
});
