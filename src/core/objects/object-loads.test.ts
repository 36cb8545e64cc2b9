import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { keboolaServer } from '../../../test/support/keboola.ts';
import type { ObjectLoad } from './object-loads.ts';

async function world(t: TestContext) {
  const { core, actor } = await keboolaServer(t);
  const field = { type: 'string' as const, filterIndex: true, orderIndex: false, unique: true, target: undefined };
  await core.classes.create(actor, { name: 'thing', fields: [{ ...field, name: 'k' }] });
  const load = (change: Partial<ObjectLoad>) =>
    core.objectLoads.load(actor, {
      className: 'thing',
      mode: 'append',
      columns: [{ column: 'k', field: 'k' }],
      rows: async function* () {
        yield [['a'], ['b']];
        yield [['c']];
      },
      id: 'job-1-0',
      onProgress: () => {},
      signal: new AbortController().signal,
      ...change,
    });
  const count = () => core.objects.count(actor, 'thing', {});
  return { core, actor, load, count };
}

test('a load that is repeated, or asked for twice at once, writes its rows once', async (t) => {
  const { load, count } = await world(t);
  const counts = { created: 3, updated: 0, unchanged: 0, deleted: 0 };
  assert.deepEqual(await Promise.all([load({}), load({}), load({})]), [counts, counts, counts]);
  assert.equal(await count(), 3);
  assert.deepEqual(await load({}), counts);
  assert.equal(await count(), 3);
});

test('a load that breaks off leaves nothing, and can be carried out afterwards', async (t) => {
  const { load, count } = await world(t);
  const broken = load({
    rows: async function* () {
      yield [['a'], ['b']];
      throw new Error('the engine is gone');
    },
  });
  await assert.rejects(broken, /the engine is gone/);
  assert.equal(await count(), 0);
  const stop = new AbortController();
  const stopped = load({
    mode: 'replace',
    signal: stop.signal,
    rows: async function* () {
      yield [['a']];
      stop.abort(new Error('killed'));
      yield [['b']];
    },
  });
  await assert.rejects(stopped, /killed/);
  assert.equal(await count(), 0);
  assert.equal((await load({})).created, 3);
});

test('rows with one key in a load: the last one wins', async (t) => {
  const { load, count } = await world(t);
  const rows = async function* () {
    yield [['a'], ['a']];
    yield [['a'], ['b']];
  };
  assert.deepEqual(await load({ mode: 'upsert', key: 'k', rows }), {
    created: 2,
    updated: 0,
    unchanged: 1,
    deleted: 0,
  });
  assert.equal(await count(), 2);
});

test('readers see the class as it was until the last row is in; who may not change it loads nothing', async (t) => {
  const { load, count, core, actor } = await world(t);
  await load({});
  const seen: number[] = [];
  const rows = async function* () {
    yield [['x']];
    seen.push(await count());
    yield [['y']];
  };
  await load({ id: 'job-2-0', mode: 'replace', rows });
  assert.deepEqual([...seen, await count()], [3, 2]);
  const weak = { ...actor, token: { ...actor.token, isMaster: false, canManageBuckets: false } };
  const refused = core.objectLoads.load(weak, {
    className: 'thing',
    mode: 'append',
    columns: [],
    rows,
    id: 'x',
    onProgress: () => {},
    signal: new AbortController().signal,
  });
  await assert.rejects(refused, { kind: 'forbidden' });
});
