import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../lib/json.ts';
import { parseStorageMapping, parseTableManifest } from './storage-mapping.ts';

test('mappings are completed with defaults, and only sections that are there', () => {
  assert.deepEqual(parseStorageMapping(undefined), {});
  assert.deepEqual(parseStorageMapping([]), {});
  assert.deepEqual(parseStorageMapping({ input: { tables: [{ source: 'in.c-a.b', limit: 5 }] } }), {
    input: {
      tables: [
        {
          source: 'in.c-a.b',
          limit: 5,
          columns: [],
          column_types: [],
          where_values: [],
          where_operator: 'eq',
          overwrite: false,
          keep_internal_timestamp_column: true,
        },
      ],
      files: [],
    },
  });
  const output = parseStorageMapping({ output: { tables: [{ source: 'a.csv', destination: 'out.c-a.b' }] } }).output;
  assert.deepEqual(output?.tables[0], {
    source: 'a.csv',
    destination: 'out.c-a.b',
    incremental: false,
    primary_key: [],
    columns: [],
    distribution_key: [],
    delete_where_values: [],
    delete_where_operator: 'eq',
    delimiter: ',',
    enclosure: '"',
    metadata: [],
    column_metadata: [],
    write_always: false,
    tags: [],
    schema: [],
  });
});

test('what is wrong is named with its place', () => {
  const input = (table: Json) => ({ input: { tables: [table] } });
  const file = (value: Json) => ({ input: { files: [value] } });
  const output = (table: Json) => ({ output: { tables: [table] } });
  const cases: [Json, RegExp][] = [
    [{ foo: {} }, /^Unrecognized option "foo" under "container\.storage"/],
    [input({ source: 'a', foo: 1 }), /^Unrecognized option "foo" under "container\.storage\.input\.tables\.0"/],
    [
      input({ source: 'a', columns: [[]] }),
      /^Invalid type for path "container\.storage\.input\.tables\.0\.columns\.0"/,
    ],
    [input({ source: 'a', columns: 'b' }), /^Invalid type for path "container\.storage\.input\.tables\.0\.columns"/],
    [input({ destination: 'a' }), /^The "source" must be configured\.$/],
    [input('a'), /^Invalid type for path "container\.storage\.input\.tables\.0"/],
    [input({ source: 'a', where_column: 'b' }), /^When "where_column" is set, "where_values" must be provided\.$/],
    [input({ source: 'a', where_values: ['b'] }), /^When "where_values" is set, non-empty string/],
    [input({ source: 'a', where_operator: 'gt' }), /not allowed for path/],
    [
      input({ source: 'a', days: 2, changed_since: '-1 day' }),
      /^Cannot set both parameters "days" and "changed_since"\.$/,
    ],
    [
      input({ source: 'a', columns: ['x', 'y'], column_types: [{ source: 'x' }] }),
      /^Both "columns" and "column_types" are specified, "columns" field contains surplus columns: "y"\.$/,
    ],
    [input({ source_search: { key: 'a', value: 'b' } }), /"storage\.input\.tables\.0\.source_search" is not supported/],
    [file({ limit: 1 }), /^At least one of "tags", "source\.tags", "query" or "file_ids"/],
    [file({ tags: ['a'], source: { tags: [{ name: 'b' }] } }), /^Both "tags" and "source\.tags" cannot be defined\.$/],
    [file({ tags: ['a'], file_ids: [1] }), /^The file_ids filter can be combined only/],
    [file({ query: 'a', changed_since: '-1 day' }), /^The changed_since parameter is not supported for query/],
    [file({ tags: ['a'], overwrite: false }), /^Overwrite cannot be turned off for local mapping\.$/],
    [output({ source: 'a', delete_where_column: 'b' }), /"delete_where_values" is required\.$/],
    [
      output({ source: 'a', schema: [{ name: 'b' }], columns: ['b'] }),
      /Only one of "schema" or "columns" can be defined\.$/,
    ],
    [output({ source: 'a', incremental: 'yes' }), /Expected "bool", but got "string"/],
    [output({ source: 'a', unload_strategy: 'direct-grant' }), /is not supported by this version/],
  ];
  for (const [storage, message] of cases) {
    assert.throws(() => parseStorageMapping(storage), { message, kind: 'invalid' }, JSON.stringify(storage));
  }
});

test('null and keys that ask for nothing are as good as absent', () => {
  const mapping = parseStorageMapping({
    input: { tables: [{ source: 'a', where_column: '', changed_since: null, source_branch_id: null }] },
    output: { treat_values_as_null: [] },
  });
  assert.equal(mapping.input?.tables[0]?.changed_since, undefined);
  assert.deepEqual(mapping.output?.tables, []);
});

test('a manifest keeps apart what it says from what it leaves open', () => {
  assert.deepEqual(parseTableManifest({ manifest_type: 'out', primary_key: ['id'] }), {
    manifest_type: 'out',
    primary_key: ['id'],
  });
  assert.throws(() => parseTableManifest([1]), /Invalid type/);
});
