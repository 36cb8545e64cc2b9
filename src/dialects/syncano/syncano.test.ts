import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncanoServer } from '../../../test/support/syncano.ts';

const NOT_PROVIDED = { detail: 'Authentication credentials were not provided.' };
const NO_SUCH_KEY = { detail: 'No such API Key.' };

test('a key is taken from each of the places clients put it', async (t) => {
  const { call, credentials } = await syncanoServer(t);
  const { accountKey, apiKey, instance } = credentials;
  const path = `/v1.1/instances/${instance}/classes/`;
  for (const key of [accountKey, apiKey]) {
    for (const headers of [{ 'x-api-key': key }, { authorization: `token ${key}` }, { authorization: `Bearer ${key}` }])
      assert.equal((await call('GET', path, undefined, headers as Record<string, string>)).status, 200);
    for (const query of ['api_key', 'apikey'])
      assert.equal((await call('GET', `${path}?${query}=${key}`, undefined, {})).status, 200);
    const preflightless = JSON.stringify({ name: `c_${key.slice(0, 8)}`, schema: [], _api_key: key });
    assert.equal((await call('POST', path, preflightless, { 'content-type': 'text/plain' })).status, 201);
  }
  const wrong: [Record<string, string>, object][] = [
    [{}, NOT_PROVIDED],
    [{ authorization: accountKey }, NOT_PROVIDED],
    [{ 'x-api-key': '0'.repeat(40) }, NO_SUCH_KEY],
    [{ 'x-api-key': 'x' }, NO_SUCH_KEY],
  ];
  for (const [headers, body] of wrong) {
    const answer = await call('GET', path, undefined, headers);
    assert.deepEqual([answer.status, answer.body], [403, body]);
  }
  assert.deepEqual((await call('POST', path, { name: 'x' }, {})).body, NOT_PROVIDED);
  // The social token that old clients send along must not win.
  const both = { 'x-api-key': accountKey, authorization: 'Token undefined' };
  assert.equal((await call('GET', path, undefined, both)).status, 200);
});

test('the list of instances has the one the key opens, with all links; another is not there', async (t) => {
  const { call, server, instance, credentials } = await syncanoServer(t);
  const list = await call<{ objects: Record<string, unknown>[] }>('GET', '/v1.1/instances/');
  const detail = await call<{ name: string; role: string; links: Record<string, string> }>(
    'GET',
    instance.toUpperCase().replace('/V1.1/INSTANCES', '/v1.1/instances'),
  );
  assert.equal(detail.status, 200, detail.text);
  assert.deepEqual(list.body.objects, [detail.body]);
  assert.equal(detail.body.role, 'full');
  for (const name of [
    'self',
    'classes',
    'invitations',
    'admins',
    'triggers',
    'endpoints',
    'api_keys',
    'scripts',
    'script_runtimes',
  ])
    assert.ok(detail.body.links[name]?.startsWith(instance), name);
  assert.equal(detail.body.links.script_runtimes, `${instance}snippets/scripts/runtimes/`);
  const asKey = await call<{ role: string }>('GET', instance, undefined, { 'x-api-key': credentials.apiKey });
  assert.equal(asKey.body.role, 'api_key');
  const other = (await server.newProject('Other')).syncano;
  const foreign = `/v1.1/instances/${other.instance}/`;
  assert.deepEqual((await call('GET', foreign)).body, { detail: 'Not found.' });
  assert.deepEqual((await call('GET', `${foreign}classes/`)).body, { detail: 'Instance was not found.' });
  const byKey = await call('GET', `${foreign}classes/`, undefined, { 'x-api-key': credentials.apiKey });
  assert.deepEqual([byKey.status, byKey.body], [403, NO_SUCH_KEY]);
});

test('paths that are not there are told apart from those that are not built and methods that are not allowed', async (t) => {
  const { call, instance } = await syncanoServer(t);
  const cases: [string, string, number][] = [
    ['GET', '/v1.1/', 200],
    ['GET', `${instance}nothing/`, 404],
    ['GET', `${instance}channels/`, 501],
    ['POST', '/v1.1/account/auth/', 400],
    ['POST', '/v1.1/account/activate/', 501],
    ['POST', '/v1.1/instances/', 501],
    ['DELETE', `${instance}classes/`, 405],
  ];
  for (const [method, path, status] of cases) assert.equal((await call(method, path)).status, status, path);
  assert.deepEqual((await call('DELETE', `${instance}classes/`)).body, { detail: 'Method "DELETE" not allowed.' });
});

test('an end user logs in, acts with his key, and reaches only what he may', async (t) => {
  const { call, server, credentials, instance } = await syncanoServer(t);
  const { accountKey } = credentials;
  const actor = await server.core.identity.authenticateProjectKey(accountKey);
  const plain = await server.issueApiKey({ canReadPublic: true });
  const made = await call<{
    id: number;
    user_key: string;
    username: string;
    profile: { owner: number };
    links: Record<string, string>;
  }>('POST', 'users/', {
    username: 'Jane',
    password: 'secret',
  });
  assert.equal(made.status, 201, made.text);
  const { id, user_key: key } = made.body;
  assert.match(key, /^[0-9a-f]{40}$/);
  assert.deepEqual([made.body.username, made.body.profile.owner], ['jane', id]);
  assert.equal(made.body.links['reset-key'], `${instance}users/${id}/reset_key/`);
  assert.deepEqual((await call('POST', 'users/', { username: 'JANE', password: 'x' })).body, {
    username: ['This field must be unique.'],
  });
  const api = { 'x-api-key': plain };
  const asJane = { ...api, 'x-user-key': key };
  const login = await call<{ user_key: string }>('POST', 'user/auth/', { username: 'jane', password: 'secret' }, api);
  assert.deepEqual([login.status, login.body.user_key], [200, key]);
  const wrong = await call('POST', 'user/auth/', { username: 'jane', password: 'bad' }, api);
  assert.deepEqual([wrong.status, wrong.body], [401, { detail: 'Invalid password.' }]);
  const unknown = await call('POST', 'user/auth/', { username: 'joe', password: 'bad' }, api);
  assert.deepEqual([unknown.status, unknown.body], [401, { detail: 'Invalid username.' }]);
  assert.equal((await call('POST', 'users/', { username: 'x', password: 'x' }, api)).status, 403);
  assert.equal((await call('GET', 'users/', undefined, api)).status, 403);
  const me = await call<{ id: number; user_key?: string }>('GET', 'user/', undefined, asJane);
  assert.deepEqual([me.body.id, me.body.user_key], [id, undefined]);

  await server.core.classes.create(actor, {
    name: 'note',
    fields: [{ name: 'text', type: 'string', filterIndex: false, orderIndex: false, unique: false, target: undefined }],
  });
  const ids = async (headers?: Record<string, string>) =>
    (await call<{ objects: { id: number }[] }>('GET', 'classes/note/objects/', undefined, headers)).body.objects.map(
      (one) => one.id,
    );
  const own = await call<{ id: number; owner: number }>(
    'POST',
    'classes/note/objects/',
    { text: 'mine', owner: id },
    asJane,
  );
  assert.equal(own.body.owner, id);
  const nobody = await call('POST', 'classes/note/objects/', { text: 'x', owner: 987654321 });
  assert.deepEqual(nobody.body, { owner: ['Invalid pk "987654321" - object does not exist.'] });
  const hidden = await call<{ id: number }>('POST', 'classes/note/objects/', { text: 'hidden' });
  const open = await call<{ id: number }>('POST', 'classes/note/objects/', { text: 'open', other_permissions: 'read' });
  assert.deepEqual(await ids(asJane), [own.body.id, open.body.id]);
  assert.deepEqual(await ids(api), [open.body.id]);
  assert.equal((await ids()).length, 3);
  const status = async (method: string, object: number, body?: object) =>
    (await call(method, `classes/note/objects/${object}/`, body, asJane)).status;
  assert.equal(await status('GET', hidden.body.id), 404);
  assert.equal(await status('PATCH', open.body.id, { text: 'x' }), 403);
  assert.equal(await status('DELETE', open.body.id), 403);
  assert.equal(await status('PATCH', own.body.id, { text: 'x' }), 200);
  assert.equal(await status('PATCH', own.body.id, { owner: null }), 400);
  assert.equal((await call('POST', 'classes/', { name: 'x', schema: [] }, asJane)).status, 403);

  const fresh = await call<{ user_key: string }>('POST', `users/${id}/reset_key/`);
  assert.notEqual(fresh.body.user_key, key);
  assert.equal((await call('GET', 'user/', undefined, asJane)).status, 403, 'the old key is nobody’s');
  const other = (await server.newProject('Other')).syncano;
  const foreign = await call('GET', `/v1.1/instances/${other.instance}/users/${id}/`, undefined, {
    'x-api-key': other.accountKey,
  });
  assert.equal(foreign.status, 404);
  assert.equal((await call('DELETE', `users/${id}/`)).status, 204);
  assert.deepEqual(await ids(), [hidden.body.id, open.body.id], 'what a user owns goes with him');
});

test('a batch carries out its calls in their order and tells of each', async (t) => {
  const { call, instance, credentials } = await syncanoServer(t);
  await call('POST', 'classes/', { name: 'book', schema: [{ name: 'title', type: 'string' }] });
  const objects = `${instance}classes/book/objects/`;
  const first = await call<{ id: number }>('POST', objects, { title: 'x' });
  const one = `${objects}${first.body.id}/`;
  const answer = await call<{ code: number; content?: { title?: string } }[]>('POST', 'batch/', {
    requests: [
      { method: 'POST', path: objects, body: '{"title":"A"}' },
      { method: 'PATCH', path: one, body: { title: 'B' } },
      { method: 'GET', path: one },
      { method: 'DELETE', path: one, body: {} },
      { method: 'GET', path: one },
      { method: 'POST', path: `${instance}batch/`, body: {} },
    ],
  });
  assert.deepEqual(
    answer.body.map(({ code }) => code),
    [201, 200, 200, 204, 404, 405],
  );
  assert.deepEqual(
    answer.body.map(({ content }) => content?.title),
    ['A', 'B', 'B', undefined, undefined, undefined],
  );
  assert.ok(!('content' in (answer.body[3] ?? {})));
  const nested = await call<{ code: number }[]>('POST', 'batch/', {
    requests: [{ method: 'POST', path: `${instance}/batch/`, body: { requests: [] } }],
  });
  assert.deepEqual(nested.body[0]?.code, 405, 'a batch in a batch, however it is written');
  const keyInBody = await call<{ code: number }[]>(
    'POST',
    `${instance}batch/`,
    { _api_key: credentials.accountKey, requests: [{ method: 'GET', path: objects }] },
    {},
  );
  assert.deepEqual(keyInBody.body[0]?.code, 200, 'the calls have the key of the batch wherever that was');
  const wrong = [
    { requests: [{ method: 'GET', path: '/v1.1/instances/other/classes/' }] },
    { requests: [{ method: 'GET', path: `${instance}../other/classes/` }] },
    { requests: [{ method: 'GET', path: '/v2/storage/tokens' }] },
    { requests: [{ method: 'GET', path: `${instance}%2e%2e/other/classes/` }] },
    { requests: [{ method: 'POST', path: `${instance}%62atch/` }] },
    { requests: Array(51).fill({ method: 'GET', path: one }) },
    { requests: 'x' },
    {},
  ];
  for (const body of wrong) assert.equal((await call('POST', 'batch/', body)).status, 400);
});

test('a text/plain POST is the call that its body says it is', async (t) => {
  const { call, credentials } = await syncanoServer(t);
  await call('POST', 'classes/', { name: 'book', schema: [{ name: 'title', type: 'string' }] });
  const { body } = await call<{ id: number }>('POST', 'classes/book/objects/', { title: 'x' });
  const plain = (members: object) =>
    call<{ title?: string; id?: number }>(
      'POST',
      `classes/book/objects/${body.id}/?fields=title`,
      JSON.stringify({ _api_key: credentials.accountKey, ...members }),
      { 'content-type': 'text/plain' },
    );
  const patched = await plain({ _method: 'PATCH', title: 'y' });
  assert.deepEqual([patched.status, patched.body], [200, { title: 'y' }]);
  assert.deepEqual((await plain({ _method: 'GET' })).body, { title: 'y' });
  assert.equal((await plain({ _method: 'GET', _api_key: '0'.repeat(40) })).status, 403);
  assert.equal((await plain({ _method: 'PUT' })).status, 405);
  assert.equal((await plain({ _method: 'DELETE' })).status, 204);
});
