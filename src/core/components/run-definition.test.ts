import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import type { Json } from '../../lib/json.ts';
import { packageRoot } from '../../lib/package-root.ts';
import { Components } from './components.ts';
import { Configurations } from './configurations.ts';
import { mergeByIndex } from './run-definition.ts';

const componentId = 'keboola.ex-http';
const address = { componentId, configurationId: 'c' };

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const components = await Components.load(path.join(packageRoot, 'components'));
  return { ...project, configurations: new Configurations({ ...project, db, components }) };
}

test('a row is merged over its root as PHP does it', () => {
  const cases: [root: Json, row: Json, merged: Json][] = [
    [
      { a: 1, b: 2 },
      { b: 3, c: 4 },
      { a: 1, b: 3, c: 4 },
    ],
    [{ a: { x: 1 } }, { a: { y: 2 } }, { a: { x: 1, y: 2 } }],
    [{ l: ['a', 'b', 'c'] }, { l: ['x'] }, { l: ['x', 'b', 'c'] }],
    [{ l: [{ a: 1 }] }, { l: [{ b: 2 }, { c: 3 }] }, { l: [{ a: 1, b: 2 }, { c: 3 }] }],
    [{ a: { x: 1 } }, { a: [] }, { a: { x: 1 } }],
    [{ a: [] }, { a: { x: 1 } }, { a: { x: 1 } }],
    [{ a: { x: 1 } }, { a: null }, { a: null }],
    [{ a: 1 }, { a: { x: 1 } }, { a: { x: 1 } }],
    [{ a: [1, 2] }, {}, { a: [1, 2] }],
  ];
  for (const [root, row, merged] of cases)
    assert.deepEqual(mergeByIndex(root, row), merged, JSON.stringify([root, row]));
  const poisoned = mergeByIndex({ a: 1 }, JSON.parse('{"__proto__":{"admin":true}}')) as { admin?: boolean };
  assert.equal(poisoned.admin, undefined);
});

test('an inline configuration is one run without state, version and rows', async (t) => {
  const { configurations, actor } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'c', name: 'x', state: '{"component":{}}' });
  const input = { configData: '{"parameters":{"a":[]}}' };
  assert.deepEqual(await configurations.resolveForRun(actor, { ...address, input }), [
    {
      componentId,
      configurationId: 'c',
      rowId: undefined,
      version: undefined,
      configuration: { parameters: { a: [] } },
      state: {},
      notice: undefined,
    },
  ]);
  await assert.rejects(configurations.resolveForRun(actor, { componentId, rowIds: ['a', 'b'], input }), {
    message: 'None of rows "a,b" was found.',
  });
});

test('a stored configuration runs by itself, or by its rows in their order', async (t) => {
  const { configurations, actor } = await setUp(t);
  const { rows } = configurations;
  await configurations.create(actor, componentId, {
    id: 'c',
    name: 'x',
    configuration: '{"parameters":{"root":true}}',
    state: '{"component":{"of":"root"}}',
  });
  const [alone] = await configurations.resolveForRun(actor, address);
  assert.deepEqual([alone?.version, alone?.rowId, alone?.state], [1, undefined, { component: { of: 'root' } }]);

  await rows.create(actor, address, {
    id: 'a',
    configuration: '{"parameters":{"n":1}}',
    state: '{"component":{"of":"a"}}',
  });
  await rows.create(actor, address, { id: 'b', configuration: '{"parameters":{"n":2}}', isDisabled: true });
  await rows.create(actor, address, { id: 'd', configuration: '{}' });
  await configurations.update(actor, address, { rowsSortOrder: ['d', 'b', 'a'] });
  const runs = await configurations.resolveForRun(actor, address);
  assert.deepEqual(
    runs.map((run) => run.rowId),
    ['d', 'a'],
  );
  assert.deepEqual(runs[1]?.configuration, { parameters: { root: true, n: 1 } });
  assert.deepEqual(
    runs.map((run) => run.state),
    [{}, { component: { of: 'a' } }],
  );

  const chosen = await configurations.resolveForRun(actor, { ...address, rowIds: ['b', 'd'] });
  assert.deepEqual(
    chosen.map((run) => run.rowId),
    ['d', 'b'],
  );
  assert.match(chosen[1]?.notice ?? '', /^Force running disabled/);
  await assert.rejects(configurations.resolveForRun(actor, { ...address, rowIds: ['x'] }), {
    message: 'None of rows "x" was found.',
  });
  for (const id of ['a', 'd']) await rows.update(actor, address, id, { isDisabled: true });
  assert.deepEqual(await configurations.resolveForRun(actor, address), []);
});

test('a job runs the version it was made with, whatever happened to the configuration since', async (t) => {
  const { configurations, actor } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'c', name: 'x', configuration: '{"parameters":{"n":1}}' });
  await configurations.update(actor, address, { configuration: '{"parameters":{"n":2}}' });
  await configurations.delete(actor, address);
  const input = { configurationVersion: 1 };
  const [run] = await configurations.resolveForRun(actor, { ...address, input });
  assert.deepEqual([run?.version, run?.configuration], [1, { parameters: { n: 1 } }]);
  await configurations.delete(actor, address);
  await assert.rejects(configurations.resolveForRun(actor, { ...address, input }), { code: 'configuration.not-found' });
});

test('processors come from the root or from the row, not from both', async (t) => {
  const { configurations, actor } = await setUp(t);
  const configuration = '{"processors":{"after":[{"definition":{"component":"a"}}]}}';
  await configurations.create(actor, componentId, { id: 'c', name: 'x', configuration });
  await configurations.rows.create(actor, address, { id: 'a', configuration: '{"processors":{"before":[]}}' });
  assert.equal((await configurations.resolveForRun(actor, address)).length, 1);
  await configurations.rows.update(actor, address, 'a', { configuration });
  await assert.rejects(configurations.resolveForRun(actor, address), { code: 'configuration.processors-twice' });
});

test('parameters that do not fit the schema are told to the user when the job runs', async (t) => {
  const { configurations, actor } = await setUp(t);
  const id = 'keboola.duckdb-transformation';
  const fits = { configData: '{"parameters":{"blocks":[{"codes":[{"script":["select 1"]}]}]}}' };
  assert.equal((await configurations.resolveForRun(actor, { componentId: id, input: fits })).length, 1);
  for (const configData of [
    '{}',
    '[]',
    '{"parameters":[]}',
    '{"parameters":{"blocks":[{"codes":[{"script":"select 1"}]}]}}',
  ]) {
    await assert.rejects(configurations.resolveForRun(actor, { componentId: id, input: { configData } }), {
      kind: 'invalid',
      code: 'configuration.schema-mismatch',
      message: /^The configuration does not fit the component "keboola\.duckdb-transformation": parameters/,
    });
  }
});
