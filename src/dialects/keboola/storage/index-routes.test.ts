import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

test('the index lists every service at the address the client came by', async (t) => {
  const { call } = await keboolaServer(t);
  type Index = { services: { id: string; url: string }[]; components?: { id: string; data: object }[] } & Record<
    string,
    never
  >;
  const index = async (host: string, query = '') =>
    (await call('GET', `/v2/storage/${query}`, { token: null, headers: { host } })).json<Index>();
  const byPath = await index('127.0.0.1:8000');
  const ids = byPath.services.map(({ id }) => id);
  for (const id of [
    'docker-runner',
    'import',
    'syrup',
    'queue',
    'oauth',
    'sqldep-analyzer',
    'sync-actions',
    'gooddata-provisioning',
    'graph',
    'encryption',
    'scheduler',
    'notification',
    'sandboxes',
    'data-science',
    'editor',
    'vault',
    'billing',
    'templates',
    'stream',
  ]) {
    assert.ok(ids.includes(id), id);
  }
  const urlOf = ({ services }: Index, id: string) => services.find((service) => service.id === id)?.url;
  assert.equal(urlOf(byPath, 'queue'), 'http://127.0.0.1:8000/queue');
  assert.equal(urlOf(byPath, 'sqldep-analyzer'), 'http://127.0.0.1:8000/sqldep');
  const byName = await index('connection.localhost:8000');
  assert.equal(urlOf(byName, 'queue'), 'http://queue.localhost:8000');
  assert.equal(urlOf(byName, 'data-science'), 'http://data-science.localhost:8000');
  assert.equal(urlOf(byName, 'sqldep-analyzer'), 'http://sqldep.localhost:8000');
  assert.equal(urlOf(await index('evil"><script>'), 'queue'), 'http://localhost/queue');
  assert.ok(byPath.components?.some(({ id }) => id === 'keboola.ex-http'));
  assert.equal((await index('a', '?exclude=components')).components, undefined);
  const brief = (await index('a', '?exclude=componentDetails')).components?.[0] ?? {};
  assert.deepEqual(Object.keys(brief).sort(), [
    'categories',
    'description',
    'features',
    'flags',
    'ico128',
    'ico64',
    'id',
    'name',
    'type',
  ]);
});
