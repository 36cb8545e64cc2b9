import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectsHeader, fileColumnsOf, planExistingTable, planNewTable, requireCsvOptions } from './load-plan.ts';

const table = {
  columns: [
    { id: 1, lakeName: 'id', name: 'id', type: 'varchar' },
    { id: 2, lakeName: 'name', name: 'name', type: 'varchar' },
    { id: 3, lakeName: '_timestamp', name: '_timestamp', type: 'timestamp' },
  ],
  nextColumnId: 4,
  primaryKey: [1],
};

test('csv options: usual values, the written tab, what cannot go together', () => {
  assert.deepEqual(requireCsvOptions({}), {
    delimiter: ',',
    enclosure: '"',
    escapedBy: '',
    columns: [],
    withoutHeaders: false,
    ignoredLinesCount: 0,
  });
  assert.equal(requireCsvOptions({ delimiter: '\\t' }).delimiter, '\t');
  assert.equal(requireCsvOptions({ escapedBy: '\\' }).enclosure, '');
  assert.equal(requireCsvOptions({ enclosure: '' }).enclosure, '');
  assert.throws(() => requireCsvOptions({ delimiter: ';;' }), { code: 'csv.invalid' });
  assert.throws(() => requireCsvOptions({ enclosure: '""' }), { code: 'csv.invalid' });
  assert.throws(() => requireCsvOptions({ enclosure: '"', escapedBy: '\\' }), { code: 'csv.invalid-options' });
  assert.throws(() => requireCsvOptions({ delimiter: '\n' }), { code: 'csv.invalid' });
  assert.throws(() => requireCsvOptions({ ignoredLinesCount: -1 }), { code: 'table.invalid' });
});

test('where the names of the file come from', () => {
  const csv = requireCsvOptions({});
  const columns = requireCsvOptions({ columns: ['language-id', 'x'] });
  const bare = requireCsvOptions({ withoutHeaders: true });
  const skipping = requireCsvOptions({ ignoredLinesCount: 2 });
  assert.deepEqual(
    [csv, columns, bare, skipping].map((options) => expectsHeader(options, false)),
    [true, false, false, false],
  );
  assert.equal(expectsHeader(csv, true), false, 'slices never have one');
  assert.deepEqual(fileColumnsOf(csv, false, ['Id', 'náme'], table.columns), ['Id', 'name']);
  assert.deepEqual(fileColumnsOf(columns, false, undefined, table.columns), ['language_id', 'x']);
  assert.deepEqual(fileColumnsOf(columns, true, undefined, undefined), ['language_id', 'x']);
  assert.deepEqual(fileColumnsOf(bare, false, undefined, table.columns), ['id', 'name']);
  assert.deepEqual(fileColumnsOf(skipping, false, undefined, table.columns), ['id', 'name']);
  assert.deepEqual(fileColumnsOf(csv, false, undefined, table.columns), [], 'an empty file has none');
  assert.throws(() => fileColumnsOf(csv, true, undefined, table.columns), { code: 'table.columns-required' });
  assert.throws(() => fileColumnsOf(csv, true, undefined, undefined), { code: 'table.invalid-column-name' });
  assert.throws(() => fileColumnsOf(bare, false, undefined, undefined), { code: 'table.no-columns' });
});

test('a new table has the columns of the file and the internal timestamp last', () => {
  const plan = planNewTable(['id', 'Id', 'name'], ['name', 'id', 'name']);
  assert.deepEqual(
    plan.columns.map((column) => [column.id, column.lakeName, column.type]),
    [
      [1, 'id', 'varchar'],
      [2, 'Id__2', 'varchar'],
      [3, 'name', 'varchar'],
      [4, '_timestamp', 'timestamp'],
    ],
  );
  assert.deepEqual([plan.fieldIds, plan.primaryKey, plan.timestampId], [[1, 2, 3], [3, 1], 4]);
  assert.deepEqual(planNewTable(['user_id'], ['user id']).primaryKey, [1]);
  assert.throws(() => planNewTable(['id'], ['ID']), { code: 'table.invalid-primary-key-columns' });
  assert.throws(() => planNewTable([], []), { code: 'table.no-columns' });
});

test('a load has every column of the table, in any order, and brings its own', () => {
  const plan = planExistingTable(['name', 'extra', 'id', 'ID'], table, ',');
  assert.deepEqual(plan.fieldIds, [2, 4, 1, 5]);
  assert.deepEqual(plan.newColumns, [
    { id: 4, name: 'extra', type: 'varchar' },
    { id: 5, name: 'ID', type: 'varchar' },
  ]);
  assert.deepEqual(
    plan.columns.map(({ lakeName }) => lakeName),
    ['id', 'name', '_timestamp', 'extra', 'ID__2'],
  );
  assert.equal(plan.timestampId, 3);
});

test('missing columns are named, case and all', () => {
  assert.throws(() => planExistingTable(['ID', 'x'], table, ';'), {
    code: 'table.columns-not-match',
    message:
      'Some columns are missing in the csv file. Missing columns: id,name. Expected columns: id,name. ' +
      'Please check if the expected delimiter ";" is used in the csv file.',
    details: { missingColumns: ['id', 'name'], expectedColumns: ['id', 'name'] },
  });
});

test('a table whose timestamp somebody dropped gets it back', () => {
  const plan = planExistingTable(
    ['id', 'name'],
    { ...table, columns: table.columns.slice(0, 2), nextColumnId: 4 },
    ',',
  );
  assert.deepEqual(plan.newColumns, [{ id: 4, name: '_timestamp', type: 'timestamp' }]);
  assert.equal(plan.timestampId, 4);
});
