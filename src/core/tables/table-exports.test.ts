import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { tableWorld } from '../../../test/support/table-world.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/logger.ts';
import { Sweeper } from './sweeper.ts';
import type { ExportResult } from './table-model.ts';

const ID = 'in.c-main.t';

async function world(t: TestContext) {
  const made = await tableWorld(t);
  await made.buckets.create(made.actor, { stage: 'in', name: 'main' });
  await made.create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, 'id,name,n\n1,a,10\n2,"b""\n",9\n3,,\n');
  return made;
}

test('an export is a sliced file without header, all cells quoted', async (t) => {
  const { exported, tables, storage, actor, ended } = await world(t);
  const text = await exported(ID, { orderBy: [{ field: 'id', direction: 'desc' }] });
  assert.equal(text, '"3","",""\n"2","b""\n","9"\n"1","a","10"\n');
  assert.equal(await exported(ID, { gzip: true, orderBy: [{ field: 'id', direction: 'desc' }] }), text);
  const job = await ended(await tables.export(actor, ID, { gzip: true, columns: ['n', 'id'] }));
  const input = job.input as { columns: string[]; gzip: boolean };
  assert.deepEqual([input.columns, input.gzip], [['n', 'id'], true]);
  assert.equal(job.metrics.outCompressed, true);
  assert.equal(job.metrics.outBytesUncompressed, 0);
  const file = await storage.get(actor, (job.result as unknown as ExportResult).fileId);
  assert.deepEqual([file.name, file.isSliced, file.tags, file.maxAgeDays], [`${ID}.csv.gz`, true, ['table-export'], 2]);
  assert.ok((file.sizeBytes ?? 0) > 0);
});

test('filters, limits and orders', async (t) => {
  const { exported } = await world(t);
  const order = { orderBy: [{ field: 'id', direction: 'asc' as const }], columns: ['id'] };
  const ids = async (options: object) =>
    (await exported(ID, { ...order, ...options })).replaceAll('"', '').trim().split('\n');
  assert.deepEqual(await ids({ filter: { field: 'name', op: 'eq', values: ['a', ''] } }), ['1', '3']);
  assert.deepEqual(await ids({ filter: { field: 'name', op: 'ne', values: [''] } }), ['1', '2']);
  assert.deepEqual(await ids({ filter: { field: 'n', op: 'ge', values: [10], cast: 'integer' } }), ['1']);
  assert.deepEqual(await ids({ limit: 2 }), ['1', '2']);
  assert.deepEqual(await ids({ orderBy: [{ field: 'n', direction: 'desc', cast: 'integer' }], limit: 1 }), ['1']);
});

test('the same question to the same rows gets the same file', async (t) => {
  const { tables, actor, ended, load, storage, tokenActor } = await world(t);
  const ask = async (options = {}, who = actor) =>
    (await ended(await tables.export(who, ID, options))).result as unknown as ExportResult;
  const first = await ask();
  assert.deepEqual(await ask({}, { ...actor, runId: 'second' }), { fileId: first.fileId, cacheHit: true });
  assert.ok((await storage.get(actor, first.fileId)).runIds.includes('second'));
  assert.equal((await ask({ gzip: true })).cacheHit, false);
  assert.equal((await ask({ limit: 1 })).cacheHit, false);
  const other = await tokenActor({ bucketPermissions: { 'in.c-main': 'read' } });
  assert.equal((await ask({}, other)).cacheHit, false, 'it may not read the file of another token');
  const own = await ask();
  assert.equal(own.cacheHit, true);
  await load(ID, 'id,name,n\n1,changed,10\n', { incremental: true });
  const changed = await ask();
  assert.equal(changed.cacheHit, false);
  await storage.delete(actor, changed.fileId);
  assert.equal((await ask()).cacheHit, false);
});

test('unknown columns are refused before there is a job', async (t) => {
  const { tables, actor, jobs } = await world(t);
  const before = (await jobs.list(actor, {}, { limit: 10 })).length;
  await assert.rejects(tables.export(actor, ID, { columns: ['id', 'ID'] }), { code: 'table.columns-unknown' });
  const unknown = { message: "Can't filter by column non-existing, column does not exist" };
  const filter = { field: 'non-existing', op: 'eq' as const, values: [''] };
  await assert.rejects(tables.export(actor, ID, { filter }), unknown);
  await assert.rejects(tables.preview(actor, ID, { filter }), unknown);
  await assert.rejects(tables.export(actor, ID, { orderBy: [{ field: 'non-existing', direction: 'asc' }] }), unknown);
  await assert.rejects(tables.export(actor, 'in.c-dummy.dummy'), {
    code: 'table.not-found',
    message: 'The table "dummy" was not found in the bucket "in.c-dummy" in the project "1"',
  });
  assert.equal((await jobs.list(actor, {}, { limit: 10 })).length, before);
});

test('previews: 100 rows, at most 1000, at most 100 columns, table order', async (t) => {
  const { tables, actor, create } = await world(t);
  const many = { bucketId: 'in.c-main', name: 'many' };
  await create(many, `id\n${Array.from({ length: 150 }, (_, i) => `${i}\n`).join('')}`);
  assert.equal((await tables.preview(actor, 'in.c-main.many')).rows.length, 100);
  assert.equal((await tables.preview(actor, 'in.c-main.many', { limit: 1000 })).rows.length, 150);
  await assert.rejects(tables.preview(actor, 'in.c-main.many', { limit: 1001 }), /1000/);
  const page = await tables.preview(actor, ID, {
    columns: ['n', 'id'],
    orderBy: [{ field: 'id', direction: 'asc' }],
    limit: 1,
  });
  assert.deepEqual(page, { columns: ['id', 'n'], rows: [['1', '10']] });
  const header = Array.from({ length: 130 }, (_, i) => `c${i}`);
  await create({ bucketId: 'in.c-main', name: 'wide' }, `${header.join(',')}\n${header.join(',')}\n`);
  await assert.rejects(tables.preview(actor, 'in.c-main.wide'), { code: 'table.too-many-columns' });
  assert.equal((await tables.preview(actor, 'in.c-main.wide', { columns: header.slice(0, 30) })).columns.length, 30);
});

test('rows are deleted by filter, and all of them only when that was meant', async (t) => {
  const { tables, actor, ended, rows, load } = await world(t);
  const remove = async (selection: Parameters<typeof tables.deleteRows>[2]) =>
    (await ended(await tables.deleteRows(actor, ID, selection))).result;
  assert.deepEqual(await remove({ filter: { field: 'name', op: 'eq', values: [''] } }), { deletedRows: 1 });
  assert.deepEqual(await remove({ filter: { field: 'name', op: 'eq', values: ['a'] } }), { deletedRows: 1 });
  assert.deepEqual(await remove({ filter: { field: 'name', op: 'eq', values: ['nothing'] } }), { deletedRows: 0 });
  assert.equal((await tables.get(actor, ID)).rowsCount, 1);
  await load(ID, 'id,name,n\n1,new,1\n', { incremental: true });
  assert.deepEqual(await remove({ changedUntil: new Date(0) }), { deletedRows: 0 });
  await assert.rejects(tables.deleteRows(actor, ID, {}), { code: 'table.unintended-truncation' });
  await assert.rejects(tables.deleteRows(actor, ID, { filter: { field: 'x', op: 'eq', values: [''] } }), {
    message: 'Filter validation: Cannot filter by column "x", column does not exist',
  });
  assert.deepEqual(await remove({ allowTruncate: true }), { deletedRows: 2 });
  assert.deepEqual(await rows(ID), []);
});

test('a retention of nothing leaves the newest rows readable', async (t) => {
  const { sweeper, load, rows, exported, db } = await world(t);
  for (let i = 0; i < 5; i++) await load(ID, `id,name,n\n1,a${i},1\n4,b,${i}\n`, { incremental: true });
  const before = await rows(ID);
  const { expired } = await sweeper.sweepOnce();
  assert.ok(expired > 0);
  assert.deepEqual(await rows(ID), before);
  assert.equal((await exported(ID)).trim().split('\n').length > 3, true);
  const week = new Sweeper({ db, clock: systemClock, log: silentLogger, retentionDays: 7 });
  assert.deepEqual(await week.sweepOnce(), { abandoned: 0, expired: 0 });
});

test('dropping as a job', async (t) => {
  const { tables, buckets, actor, ended, create } = await world(t);
  await assert.rejects(ended(await buckets.deleteLater(actor, 'in.c-main')), {
    code: 'bucket.not-empty',
    message: 'Only empty buckets can be deleted. There are 1 tables in the bucket.',
  });
  await ended(await tables.dropLater(actor, ID));
  assert.deepEqual(await tables.list(actor), []);
  await create({ bucketId: 'in.c-main', name: 't' }, 'other\n');
  await ended(await buckets.deleteLater(actor, 'in.c-main', { force: true }));
  assert.deepEqual(await buckets.list(actor), []);
});

test('a page of large cells is refused as a whole, and shown where the cells are cut', async (t) => {
  const { tables, actor, create } = await world(t);
  const content = `id,text\n1,${'x'.repeat(9_000_000)}\n2,${'y'.repeat(9_000_000)}\n`;
  await create({ bucketId: 'in.c-main', name: 'large' }, content);
  const id = 'in.c-main.large';
  await assert.rejects(tables.preview(actor, id), { kind: 'invalid', code: 'engine.page-too-large' });
  assert.equal((await tables.preview(actor, id, { limit: 1 })).rows[0]?.[1]?.length, 9_000_000);
  const cut = await tables.preview(actor, id, { cellCharacters: 3 });
  assert.deepEqual(cut.rows.sort(), [
    ['1', 'xxx'],
    ['2', 'yyy'],
  ]);
});
