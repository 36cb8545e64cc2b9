import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalog, CatalogStream } from './connection-model.ts';
import { selectStreams, type WantedStream } from './connection-streams.ts';
import { DESTINATION_MODES } from './connector-model.ts';

const schema = {
  type: 'object',
  properties: { id: {}, name: {}, at: {}, place: { type: 'object', properties: { city: {} } } },
};
const stream = (more: Partial<CatalogStream> & { name: string }): CatalogStream => ({
  json_schema: schema,
  supported_sync_modes: ['full_refresh', 'incremental'],
  ...more,
});
const catalog: Catalog = {
  streams: [
    stream({ name: 'free' }),
    stream({
      name: 'fixed',
      source_defined_cursor: true,
      default_cursor_field: ['at'],
      source_defined_primary_key: [['id'], ['name']],
    }),
    stream({ name: 'default', default_cursor_field: ['at'] }),
    stream({ name: 'whole', supported_sync_modes: ['full_refresh'] }),
    stream({ name: 'twin', namespace: 'a' }),
    stream({ name: 'twin', namespace: 'b' }),
  ],
};
const INCREMENTAL = { sourceMode: 'incremental', destinationMode: 'append' } as const;
const DEDUPED = { sourceMode: 'incremental', destinationMode: 'append_dedup' } as const;

test('what is wanted of streams is refused where source or destination cannot do it', () => {
  const rows: [wanted: WantedStream | WantedStream[], problem: RegExp][] = [
    [{ name: 'none' }, /no stream "none". It has: free, fixed/],
    [{ name: '' }, /no stream ""/],
    [{ name: '__proto__' }, /no stream/],
    [[{ name: 'free' }, { name: 'free' }], /named twice/],
    [{ name: 'twin' }, /several streams "twin"/],
    [{ name: 'twin', namespace: 'c' }, /several streams "twin"/],
    [{ name: 'whole', ...INCREMENTAL, cursorField: ['at'] }, /cannot read it incremental; it can: full_refresh/],
    [{ name: 'free', ...INCREMENTAL }, /needs a cursor/],
    [{ name: 'free', ...INCREMENTAL, cursorField: [] }, /needs a cursor/],
    [{ name: 'free', ...INCREMENTAL, cursorField: ['no'] }, /no field "no"/],
    [{ name: 'free', ...INCREMENTAL, cursorField: ['place', 'no'] }, /no field "place.no"/],
    [{ name: 'free', ...INCREMENTAL, cursorField: ['constructor'] }, /no field "constructor"/],
    [{ name: 'fixed', ...INCREMENTAL, cursorField: ['id'] }, /defines the cursor at/],
    [{ name: 'free', ...DEDUPED, cursorField: ['at'] }, /needs a primary key/],
    [{ name: 'free', ...DEDUPED, cursorField: ['at'], primaryKey: [[]] }, /no field ""/],
    [{ name: 'free', ...DEDUPED, cursorField: ['at'], primaryKey: [['no']] }, /no field "no"/],
    [{ name: 'free', ...DEDUPED, cursorField: ['at'], primaryKey: [['id'], ['id']] }, /names a field twice/],
    [{ name: 'fixed', ...DEDUPED, primaryKey: [['id']] }, /defines another primary key/],
    [{ name: 'fixed', ...DEDUPED, primaryKey: [['id'], ['at']] }, /defines another primary key/],
    [{ name: 'free', selectedFields: [] }, /at least one field/],
    [{ name: 'free', selectedFields: [[]] }, /first level/],
    [{ name: 'free', selectedFields: [['place', 'city']] }, /first level/],
    [{ name: 'free', selectedFields: [['no']] }, /no field "no"/],
    [{ name: 'free', selectedFields: [['id'], ['id']] }, /selected twice/],
    [{ name: 'fixed', ...DEDUPED, selectedFields: [['id'], ['at']] }, /"name" must be selected/],
    [{ name: 'default', ...INCREMENTAL, selectedFields: [['id']] }, /"at" must be selected/],
  ];
  for (const [wanted, problem] of rows) {
    const list = Array.isArray(wanted) ? wanted : [wanted];
    assert.throws(() => selectStreams(catalog, list, DESTINATION_MODES), problem, JSON.stringify(wanted));
  }
  assert.throws(
    () => selectStreams(catalog, [{ name: 'fixed', ...DEDUPED }], ['append', 'overwrite']),
    /destination cannot write it append_dedup; it can: append, overwrite/,
  );
});

test('what is left out is filled in, and the order of streams is that of the request', () => {
  const select = (...wanted: WantedStream[]) =>
    selectStreams(catalog, wanted, DESTINATION_MODES).map(({ stream: { name, namespace }, ...rest }) => ({
      name: namespace ? `${namespace}.${name}` : name,
      ...rest,
    }));
  assert.deepEqual(
    select({ name: 'twin', namespace: 'b' }, { name: 'default', ...INCREMENTAL }, { name: 'fixed', ...DEDUPED }),
    [
      { name: 'b.twin', sourceMode: 'full_refresh', destinationMode: 'overwrite', cursorField: [], primaryKey: [] },
      { name: 'default', ...INCREMENTAL, cursorField: ['at'], primaryKey: [] },
      { name: 'fixed', ...DEDUPED, cursorField: ['at'], primaryKey: [['id'], ['name']] },
    ],
  );
  // The same in another order is no other key; one stream of a name is meant whatever its namespace.
  assert.equal(select({ name: 'fixed', ...DEDUPED, primaryKey: [['name'], ['id']] }).length, 1);
  assert.equal(select({ name: 'free', namespace: 'elsewhere' }).length, 1);
  assert.deepEqual(select({ name: 'free', ...INCREMENTAL, cursorField: ['place', 'city'] })[0]?.cursorField, [
    'place',
    'city',
  ]);
  assert.equal(selectStreams(catalog, undefined, DESTINATION_MODES).length, catalog.streams.length);
  assert.equal(selectStreams(catalog, [], DESTINATION_MODES).length, catalog.streams.length);
});
