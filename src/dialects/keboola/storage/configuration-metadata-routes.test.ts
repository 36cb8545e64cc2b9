import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

type Body = Record<string, unknown>;

test('metadata of configurations: set, list, search, delete, and a copy of it in each new branch', async (t) => {
  const app = await keboolaServer(t);
  const configs = 'components/keboola.ex-http/configs';
  const main = `/v2/storage/branch/default/${configs}`;
  for (const configurationId of ['a', 'b', 'trashed']) await app.request('POST', main, { configurationId, name: 'x' });
  await app.request('DELETE', `${main}/trashed`);
  const set = (id: string, ...metadata: Body[]) => app.request('POST', `${main}/${id}/metadata`, { metadata });
  assert.equal((await set('a', { key: 'one', value: '1' }, { key: 'two', value: '2' })).status, 201);
  const three = (await set('a', { key: 'two', value: 'two' }, { key: 'three', value: '' })).body as Body[];
  assert.deepEqual(
    three.map(({ key, value, provider }) => [key, value, provider]),
    [
      ['one', '1', undefined],
      ['two', 'two', undefined],
      ['three', '', undefined],
    ],
  );
  const { body: listed } = await app.request('GET', `${main}/a/metadata`);
  assert.deepEqual(listed, three);
  assert.equal((await set('trashed', { key: 'k', value: 'v' })).status, 404);
  assert.equal(((await set('a', { key: '%', value: '' })).body as Body).code, 'storage.metadata.invalidKey');

  const search = async (query: string, branch: string | number = 'default') =>
    (await app.request('GET', `/v2/storage/branch/${branch}/search/component-configurations?${query}`)).body as Body[];
  const idComponent = 'keboola.ex-http';
  assert.deepEqual(await search('include=filteredMetadata'), [
    { idComponent, configurationId: 'a', metadata: three },
    { idComponent, configurationId: 'b', metadata: [] },
  ]);
  assert.deepEqual(await search('metadataKeys[]=two&metadataKeys[]=no&include=filteredMetadata'), [
    { idComponent, configurationId: 'a', metadata: [three[1]] },
  ]);
  assert.deepEqual(await search('configurationId=b'), [{ idComponent, configurationId: 'b' }]);
  assert.deepEqual(await search('idComponent=other'), []);
  const outside = await app.request('GET', '/v2/storage/search/component-configurations');
  assert.equal(outside.status, 501);

  const branch = await app.db.transaction((tx) =>
    app.core.branches.createIn(tx, app.actor, { name: 'dev', description: '' }),
  );
  const own = `/v2/storage/branch/${branch.id}/${configs}/a/metadata`;
  const copied = (await app.request('GET', own)).body as Body[];
  assert.deepEqual(
    copied.map(({ key }) => key),
    ['one', 'two', 'three'],
  );
  const inBranch = await app.request('DELETE', `${own}/${copied[0]?.id}`);
  assert.deepEqual(
    [inBranch.status, (inBranch.body as Body).error],
    [501, 'Delete metadata is not implemented for development branch'],
  );
  assert.equal((await app.request('DELETE', `${main}/a/metadata/${three[0]?.id}`)).status, 204);
  const unknown = await app.request('DELETE', `${main}/a/metadata/9`);
  assert.deepEqual(
    [unknown.status, (unknown.body as Body).error],
    [404, `Metadata with id "9" not found for "keboola.ex-http" configuration "a" in branch "${app.actor.branchId}"`],
  );
  for (const _ of ['trash', 'purge']) await app.request('DELETE', `${main}/a`);
  await app.request('POST', main, { configurationId: 'a', name: 'new' });
  assert.deepEqual((await app.request('GET', `${main}/a/metadata`)).body, []);
});
