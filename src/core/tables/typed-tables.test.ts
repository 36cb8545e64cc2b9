import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tableWorld } from '../../../test/support/table-world.ts';
import type { NewColumn } from './table-definitions.ts';
import type { Alteration } from './table-structure.ts';

const ID = 'in.c-main.t';

const ORDERS: NewColumn[] = [
  { name: 'id', definition: { type: 'INT' } },
  { name: 'price', definition: { type: 'NUMBER', length: '10,2' } },
  { name: 'rate', definition: { basetype: 'FLOAT' } },
  { name: 'paid', definition: { basetype: 'boolean' } },
  { name: 'day', definition: { type: 'DATE' } },
  { name: 'at', definition: { type: 'TIMESTAMP_NTZ' } },
  { name: 'seen', definition: { type: 'TIMESTAMP_TZ' } },
  { name: 'note', definition: { type: 'VARCHAR', length: '10' } },
  { name: 'plain' },
];
const HEADER = `${ORDERS.map(({ name }) => name).join(',')}\n`;

async function typedWorld(t: Parameters<typeof tableWorld>[0], columns = ORDERS, primaryKey = ['id']) {
  const world = await tableWorld(t);
  const { actor, buckets, ended, tables, rows } = world;
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await ended(await tables.definitions.createLater(actor, { bucketId: 'in.c-main', name: 't', columns, primaryKey }));
  return {
    ...world,
    alter: async (alteration: Alteration) => ended(await tables.structure.alterLater(actor, ID, alteration)),
    shown: async () => (await rows(ID)).map((row) => row.replaceAll('"', '')),
  };
}

test('values of all types are loaded, upserted by a typed key and read as texts', async (t) => {
  const { load, shown, tables, actor } = await typedWorld(t);
  const before = await tables.get(actor, ID);
  assert.deepEqual([before.importedAt, before.changedAt, before.rowsCount], [undefined, undefined, 0]);
  await load(
    ID,
    `${HEADER}1,1.5,2,true,2024-02-29,2024-01-31 12:30:00.5,2024-01-31T12:00:00+02:00,short,\n` +
      '2,,,,,,,,x\n10,-3.456,1.25,0,2024-01-01,2024-01-01T00:00:00,2024-01-01 00:00:00,"",""\n',
  );
  assert.deepEqual(await shown(), [
    '1,1.50,2,true,2024-02-29,2024-01-31 12:30:00.5,2024-01-31 10:00:00+00,short,',
    '10,-3.46,1.25,false,2024-01-01,2024-01-01 00:00:00,2024-01-01 00:00:00+00,,',
    '2,,,,,,,,x',
  ]);
  await load(ID, `${HEADER}"02",9,9,f,,,,,y\n3,,,,,,,,\n`, { incremental: true });
  assert.deepEqual(
    (await shown()).map((row) => row.split(',').slice(0, 4).join()),
    ['1,1.50,2,true', '10,-3.46,1.25,false', '2,9.00,9,false', '3,,,'],
  );
  const { rows: sorted } = await tables.preview(actor, ID, {
    columns: ['id'],
    filter: { field: 'id', op: 'ge', values: ['2'] },
    orderBy: [{ field: 'id', direction: 'desc' }],
  });
  assert.deepEqual(sorted, [['10'], ['3'], ['2']]);
  const count = async (field: string, op: 'eq' | 'ne' | 'lt', ...values: string[]) =>
    (await tables.preview(actor, ID, { columns: ['id'], filter: { field, op, values } })).rows.length;
  assert.equal(await count('paid', 'eq', ''), 1);
  assert.equal(await count('paid', 'ne', 'true'), 3);
  assert.equal(await count('paid', 'eq', 'TRUE', ''), 2);
  assert.equal(await count('day', 'lt', '2024-02-01'), 1);
  assert.equal(await count('price', 'eq', '1.5'), 1);
  assert.equal(await count('price', 'eq', 'one'), 0);
});

test('a wrong value is named by row and column, and nothing of the file gets in', async (t) => {
  const { load, shown } = await typedWorld(t);
  const fine = '1,,,,,,,,\n';
  const fails = async (row: string, message: RegExp) => {
    await assert.rejects(load(ID, HEADER + fine + row), (error: { code: string; message: string }) => {
      assert.equal(error.code, 'csv.invalid-value');
      assert.match(error.message, message);
      return true;
    });
  };
  await fails(
    'x,,,,,,,,\n',
    /^Row 3 of the CSV file has the value "x" in the column "id", which is not a NUMBER\(38,0\)/,
  );
  await fails('2,123456789,,,,,,,\n', /"price", which is not a NUMBER\(10,2\)/);
  await fails('2,,,maybe,,,,,\n', /"maybe" in the column "paid"/);
  await fails('2,,,,2024-02-30,,,,\n', /"2024-02-30" in the column "day", which is not a DATE/);
  await fails('2,,,,,,,12345678901,\n', /"note", which is not a VARCHAR\(10\)/);
  await fails(',,,,,,,,\n', /^Row 3 of the CSV file has no value in the column "id"/);
  assert.deepEqual(await shown(), []);
  await assert.rejects(load(ID, `${HEADER.trim()},secret\n1,,,,,,,,,\n`), {
    code: 'table.columns-not-match',
    message: /new columns can't be added\. Extra columns found: "secret"\. Add these these columns first/,
  });
});

test('what stands for no value can be said, and a text that must be there may be empty', async (t) => {
  const columns = [
    { name: 'id', definition: { type: 'VARCHAR' } },
    { name: 'n', definition: { basetype: 'NUMERIC' } },
    { name: 'v', definition: { basetype: 'STRING' } },
  ];
  const { load, shown, tables, actor } = await typedWorld(t, columns);
  const nulls = async () =>
    (await tables.preview(actor, ID, { orderBy: [{ field: 'id', direction: 'asc' }] })).rows.map((row) =>
      row.join('|'),
    );
  await load(ID, 'id,n,v\n"",,""\nNULL,1,NULL\n');
  assert.deepEqual(
    (await tables.preview(actor, ID)).rows.filter(([id]) => id === ''),
    [['', null, null]],
  );
  await load(ID, 'id,n,v\na,NULL,NULL\nb,2,\n', { nullTexts: ['NULL'] });
  assert.deepEqual((await tables.preview(actor, ID, { columns: ['n', 'v'] })).rows, [
    [null, null],
    ['2.000000000', ''],
  ]);
  await assert.rejects(load(ID, 'id,n,v\na,,x\n', { nullTexts: [] }), { code: 'csv.invalid-value' });
  assert.deepEqual(await nulls(), ['a||', 'b|2.000000000|']);
  assert.equal((await shown()).length, 2);
});

test('an upsert of a typed table is a write of every row it has', async (t) => {
  const { load, tables, actor } = await typedWorld(t, [{ name: 'id', definition: { type: 'INT' } }, { name: 'v' }]);
  await load(ID, 'id,v\n1,a\n2,b\n');
  const read = async () =>
    (await tables.preview(actor, ID, { columns: ['id'], filter: { field: '_timestamp', op: 'ge', values: [since] } }))
      .rows;
  const since = new Date().toISOString().replace('T', ' ').replace('Z', '');
  await load(ID, 'id,v\n1,a\n', { incremental: true });
  assert.deepEqual(await read(), [['1']]);
});

test('columns of a typed table come with a type, and change within it', async (t) => {
  const { alter, load, shown, tables, actor, lakeTable } = await typedWorld(t, [
    { name: 'id', definition: { type: 'INT' } },
    { name: 'price', definition: { type: 'NUMBER', length: '5,2', default: '1' } },
  ]);
  await load(ID, 'id,price\n1,10.5\n2,\n');
  await assert.rejects(tables.structure.alterLater(actor, ID, { act: 'add-column', name: 'x', definition: null }), {
    message: 'Column "definition" or "basetype" must be set.',
  });
  const add = (name: string, definition: NewColumn['definition']) =>
    alter({ act: 'add-column', name, definition: definition ?? null });
  await add('n', { type: 'DECIMAL', length: '4,1', default: '2.5' });
  await assert.rejects(add('m', { basetype: 'DATE', nullable: false }), { code: 'table.cannot-add-column' });
  await add('m', { basetype: 'STRING', nullable: false, default: 'none' });
  assert.deepEqual(await shown(), ['1,10.50,2.5,none', '2,,2.5,none']);
  await load(ID, 'id,price,n,m\n3,1,,x\n', { incremental: true });
  assert.deepEqual(await shown(), ['1,10.50,2.5,none', '2,,2.5,none', '3,1.00,,x']);

  const redefine = (change: object) => alter({ act: 'redefine-column', columns: [{ name: 'price', ...change }] });
  await redefine({ length: '12,2' });
  await load(ID, 'id,price,n,m\n4,1234567.89,,x\n', { incremental: true });
  assert.deepEqual((await shown())[3], '4,1234567.89,,x');
  assert.equal((await tables.get(actor, ID)).columnTypes?.get('price')?.length, '12,2');
  await assert.rejects(redefine({ length: '5,2' }), { code: 'table.invalid', message: /can only grow/ });
  await assert.rejects(redefine({ default: '7' }), { code: 'table.invalid', message: /can only be removed/ });
  await assert.rejects(redefine({ nullable: false }), { code: 'table.invalid', message: /some rows have no value/ });
  await redefine({ default: null });
  assert.equal((await tables.get(actor, ID)).columnTypes?.get('price')?.default, undefined);
  await alter({ act: 'redefine-column', columns: [{ name: 'm', nullable: true }] });
  await alter({ act: 'drop-column', name: 'n', force: false });
  assert.deepEqual([...((await tables.get(actor, ID)).columnTypes?.keys() ?? [])], ['id', 'price', 'm']);
  const bounds = (await lakeTable(ID)).columns.map(({ type }) => type);
  assert.deepEqual(bounds, ['decimal(38,0)', 'decimal(12,2)', 'timestamp', 'varchar']);
});

test('a definition that cannot be is refused before anything is made', async (t) => {
  const { tables, actor } = await typedWorld(t);
  const define = (column: NewColumn['definition'], primaryKey: string[] = []) =>
    tables.definitions.createLater(actor, {
      bucketId: 'in.c-main',
      name: 'other',
      primaryKey,
      columns: [{ name: 'a', definition: column }],
    });
  for (const [definition, code] of [
    [{ type: 'UNKNOWN' }, 'table.invalid'],
    [{ basetype: 'TEXT' }, 'table.invalid'],
    [{ type: 'NUMBER', length: '39' }, 'table.invalid'],
    [{ type: 'NUMBER', length: '5,6' }, 'table.invalid'],
    [{ type: 'VARCHAR', length: '0' }, 'table.invalid'],
    [{ type: 'DATE', length: '3' }, 'table.invalid'],
    [{ type: 'NUMBER', default: 'many' }, 'table.invalid-default'],
    [{ type: 'NUMBER', length: '3,1', default: '123' }, 'table.invalid-default'],
    [{ type: 'DATE', default: '2024-02-30' }, 'table.invalid-default'],
    [{ type: '__proto__' }, 'table.invalid'],
  ] as const) {
    await assert.rejects(define(definition), { code }, JSON.stringify(definition));
  }
  await assert.rejects(define({ type: 'INT', nullable: true }, ['a']), { code: 'table.invalid' });
  await assert.rejects(define({ type: 'INT' }, ['b']), { code: 'table.invalid-primary-key-columns' });
});

test('an insert leaves rows with known keys as they are, and a file may tell when rows were written', async (t) => {
  const { create, load, rows, tables, actor } = await typedWorld(t);
  await create({ bucketId: 'in.c-main', name: 'u', primaryKey: ['id'] }, 'id,v\n1,old\n');
  await load('in.c-main.u', 'id,v\n1,new\n2,new\n2,last\n', { incremental: true, deduplication: 'insert' });
  assert.deepEqual(await rows('in.c-main.u'), ['"1","old"', '"2","last"']);
  const told = { incremental: true, tellsTimestamp: true };
  const job = await load('in.c-main.u', 'id,_timestamp,v\n1,2020-01-01 10:00:00,old\n3,2020-01-02,x\n', told);
  assert.deepEqual((job.result as { importedColumns: string[] }).importedColumns, ['id', 'v']);
  const shown = await tables.preview(actor, 'in.c-main.u', {
    includeInternalTimestamp: true,
    changedUntil: new Date('2021-01-01'),
    orderBy: [{ field: 'id', direction: 'asc' }],
  });
  assert.deepEqual(shown.rows, [
    ['1', 'old', '2020-01-01 10:00:00'],
    ['3', 'x', '2020-01-02 00:00:00'],
  ]);
  await assert.rejects(load('in.c-main.u', 'id,v\n1,a\n', told), { code: 'table.columns-not-match' });
  await assert.rejects(load('in.c-main.u', 'id,_timestamp,v\n1,soon,a\n', told), {
    code: 'csv.invalid-value',
    message: /"soon" in the column "_timestamp"/,
  });
});

test('a snapshot of a typed table gives a typed table', async (t) => {
  const { load, tables, actor, ended, rows } = await typedWorld(t);
  await load(ID, `${HEADER}1,1.5,2,true,2024-02-29,,,short,\n`);
  const taken = await ended(await tables.snapshots.createLater(actor, ID, ''));
  const { id } = taken.result as { id: number };
  await ended(await tables.snapshots.restoreLater(actor, id, { bucketId: 'in.c-main', name: 'copy' }));
  assert.deepEqual(await rows('in.c-main.copy'), await rows(ID));
  const [original, copy] = await Promise.all([tables.get(actor, ID), tables.get(actor, 'in.c-main.copy')]);
  assert.deepEqual(copy.columnTypes, original.columnTypes);
  await assert.rejects(load('in.c-main.copy', `${HEADER}x,,,,,,,,\n`), { code: 'csv.invalid-value' });
});
