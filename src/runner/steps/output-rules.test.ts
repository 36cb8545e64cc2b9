import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultBucketId, loadRules, mergeManifest, resolveDestination } from './output-rules.ts';
import { defaultTable, type OutputTable } from './storage-mapping.ts';

const mapping = (given: Partial<OutputTable>): OutputTable => ({ ...defaultTable(), ...given });
const merge = (manifest: Partial<OutputTable>, given?: Partial<OutputTable>) =>
  mergeManifest(manifest, given && mapping(given));

test('a mapping wins over the manifest where it says something', () => {
  assert.equal(merge({ incremental: true }).incremental, true);
  assert.equal(merge({ incremental: true }, {}).incremental, true);
  assert.equal(merge({}, { incremental: true }).incremental, true);
  assert.equal(merge({ delimiter: ';' }, {}).delimiter, ';');
  assert.equal(merge({ delimiter: ';' }, { delimiter: '\t' }).delimiter, '\t');
  assert.equal(merge({ destination: 'in.c-a.b' }, {}).destination, 'in.c-a.b');
  assert.deepEqual(merge({ columns: ['a'] }, {}).columns, ['a']);
  assert.deepEqual(merge({ columns: ['a'] }, { columns: ['b', 'c'] }).columns, ['b', 'c']);
});

test('the primary key of a mapping counts even when it is empty', () => {
  assert.deepEqual(merge({ primary_key: ['id'] }).primary_key, ['id']);
  assert.deepEqual(merge({ primary_key: ['id'] }, {}).primary_key, []);
  assert.deepEqual(merge({ primary_key: ['id'] }, { primary_key: ['a', 'b'] }).primary_key, ['a', 'b']);
});

test('metadata is merged key by key', () => {
  const merged = merge(
    {
      metadata: [
        { key: 'a', value: '1' },
        { key: 'b', value: '1' },
      ],
      column_metadata: { x: [{ key: 'a', value: '1' }] },
      table_metadata: { p: '1', q: '1' },
    },
    {
      metadata: [{ key: 'b', value: '2' }],
      column_metadata: { x: [{ key: 'c', value: '2' }], y: [{ key: 'a', value: '2' }] },
      table_metadata: { q: '2' },
    },
  );
  assert.deepEqual(merged.metadata, [
    { key: 'a', value: '1' },
    { key: 'b', value: '2' },
  ]);
  assert.deepEqual(merged.column_metadata, {
    x: [
      { key: 'a', value: '1' },
      { key: 'c', value: '2' },
    ],
    y: [{ key: 'a', value: '2' }],
  });
  assert.deepEqual(merged.table_metadata, { p: '1', q: '2' });
});

test('a schema is merged column by column, and a mapping names its key columns', () => {
  const manifest = { schema: [{ name: 'id', data_type: { base: { type: 'INTEGER' } } }, { name: 'v' }] };
  const merged = merge(manifest, { primary_key: ['id'], schema: [{ name: 'v', description: 'value' }] });
  assert.deepEqual(merged.schema, [
    { name: 'id', data_type: { base: { type: 'INTEGER' } }, primary_key: true },
    { name: 'v', description: 'value', primary_key: false },
  ]);
  assert.throws(() => merge(manifest, { primary_key: ['x'] }), /Primary key column "x" not found in manifest file\./);
});

test('destinations are resolved from the mapping, the manifest, or the file name', () => {
  const resolve = (source: string, names: { mapping?: string; manifest?: string; bucket?: string }) =>
    resolveDestination({ source, mapping: names.mapping, manifest: names.manifest, defaultBucket: names.bucket });
  const rows: [string, Parameters<typeof resolve>[1], string | RegExp][] = [
    ['a.csv', { mapping: 'out.c-x.t', manifest: 'in.c-y.t' }, 'out.c-x.t'],
    ['a.csv', { mapping: 't' }, /^Failed to resolve destination for output table "a\.csv"\.$/],
    ['a.csv', { manifest: 'in.c-y.t' }, 'in.c-y.t'],
    ['a.csv', { manifest: 't', bucket: 'in.c-def' }, 'in.c-def.t'],
    ['a.csv', { manifest: 't' }, /^Failed to resolve destination for output table "a\.csv"\.$/],
    ['in.c-z.t.csv', {}, 'in.c-z.t'],
    ['a.csv', { bucket: 'in.c-def' }, 'in.c-def.a'],
    ['a', { bucket: 'in.c-def' }, 'in.c-def.a'],
    [
      'a.b.csv',
      { bucket: 'in.c-def' },
      /^Failed to resolve valid destination\. "in\.c-def\.a\.b" is not a valid table ID\.$/,
    ],
    ['a.csv', { mapping: 'sandbox.c-x.t' }, /is not a valid table ID/],
    ['a.csv', {}, /^Failed to resolve destination/],
  ];
  for (const [source, names, expected] of rows) {
    if (expected instanceof RegExp) assert.throws(() => resolve(source, names), { message: expected }, source);
    else assert.equal(resolve(source, names).tableId, expected, `${source} ${JSON.stringify(names)}`);
  }
  assert.equal(resolve('in.c-z.t.csv', {}).isFromFileName, true);
  assert.equal(defaultBucketId('in', 'keboola.ex-http', '12'), 'in.c-keboola-ex-http-12');
});

test('keys are trimmed and named once; types become metadata; the internal column is refused', () => {
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(message);
  assert.deepEqual(loadRules(mapping({ primary_key: [' id', '', 'id'] }), warn).primaryKey, ['id']);
  assert.deepEqual(warnings, ['Found empty column name in key array.']);
  const typed = loadRules(
    mapping({
      description: 'hello',
      schema: [
        { name: 'id', data_type: { base: { type: 'STRING', length: '10' } }, nullable: false, primary_key: true },
        { name: 'v', metadata: { 'my.key': '1' } },
      ],
    }),
    warn,
  );
  assert.deepEqual(typed, {
    columns: ['id', 'v'],
    primaryKey: ['id'],
    metadata: [{ key: 'KBC.description', value: 'hello' }],
    columnMetadata: {
      id: [
        { key: 'KBC.datatype.basetype', value: 'STRING' },
        { key: 'KBC.datatype.length', value: '10' },
        { key: 'KBC.datatype.nullable', value: '0' },
      ],
      v: [{ key: 'my.key', value: '1' }],
    },
  });
  assert.throws(() => loadRules(mapping({ columns: ['a', '_TimeStamp'] }), warn), /System columns "_timestamp"/);
});
