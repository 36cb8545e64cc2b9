import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncanoServer } from '../../../../test/support/syncano.ts';

type Key = { id: number; api_key: string; [flag: string]: unknown };
type Account = { id: number; email: string; first_name: string; last_name: string; account_key?: string };

test('API keys are made with their rights, shown, changed, reset and deleted', async (t) => {
  const { call, instance, credentials, server } = await syncanoServer(t);
  const made = await call<Key>('POST', 'api_keys/', { description: 'web', allow_user_create: true });
  assert.equal(made.status, 201, made.text);
  const { id, api_key: key, created_at, ...rest } = made.body;
  assert.match(key, /^[0-9a-f]{40}$/);
  assert.match(String(created_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  const self = `${instance}api_keys/${id}/`;
  assert.deepEqual(rest, {
    description: 'web',
    ignore_acl: false,
    allow_user_create: true,
    allow_group_create: false,
    allow_anonymous_read: false,
    links: { self, reset_key: `${self}reset_key/` },
  });
  const list = await call<{ objects: Key[] }>('GET', 'api_keys/');
  assert.deepEqual(
    list.body.objects.map(({ api_key }) => api_key),
    [credentials.apiKey, key],
  );
  const asKey = { 'x-api-key': key };
  assert.deepEqual((await call('GET', `api_keys/${id}/`, undefined, asKey)).body, made.body, 'a key sees itself');
  const first = list.body.objects[0]?.id;
  const refused: [string, string][] = [
    ['GET', 'api_keys/'],
    ['POST', 'api_keys/'],
    ['GET', `api_keys/${first}/`],
    ['PATCH', `api_keys/${id}/`],
    ['DELETE', `api_keys/${id}/`],
    ['POST', `api_keys/${id}/reset_key/`],
  ];
  for (const [method, path] of refused)
    assert.equal((await call(method, path, method === 'GET' ? undefined : {}, asKey)).status, 403, `${method} ${path}`);
  const all = { 'x-api-key': credentials.apiKey };
  assert.equal((await call('GET', 'api_keys/', undefined, all)).status, 403, 'ignore_acl does not reach keys');

  assert.equal((await call('POST', 'users/', { username: 'a', password: 'p' }, asKey)).status, 201);
  const changed = await call<Key>('PATCH', `api_keys/${id}/`, { allow_user_create: false, ignore_acl: 'x' });
  assert.deepEqual(changed.body, { ignore_acl: ['Not a valid boolean.'] });
  await call<Key>('PATCH', `api_keys/${id}/`, { allow_user_create: false, description: 'app' });
  assert.equal((await call('POST', 'users/', { username: 'b', password: 'p' }, asKey)).status, 403, 'at once');
  const reset = await call<Key>('POST', `api_keys/${id}/reset_key/`);
  assert.notEqual(reset.body.api_key, key);
  assert.equal((await call('GET', instance, undefined, asKey)).status, 403, 'the old text is nobody’s');
  const fresh = { 'x-api-key': reset.body.api_key };
  assert.equal((await call('GET', instance, undefined, fresh)).status, 200);
  const other = (await server.newProject('Other')).syncano;
  const foreign = `/v1.1/instances/${other.instance}/api_keys/${id}/`;
  assert.equal((await call('GET', foreign, undefined, { 'x-api-key': other.accountKey })).status, 404);
  assert.equal((await call('DELETE', `api_keys/${id}/`)).status, 204);
  assert.equal((await call('GET', instance, undefined, fresh)).status, 403);
});

test('a person logs in, sees and changes the account, its password and its key', async (t) => {
  const { call, credentials, server } = await syncanoServer(t);
  const { email, password } = server.credentials.admin;
  const login = (body: object) => call<Account>('POST', '/v1.1/account/auth/', body, {});
  const known = await login({ email: email.toUpperCase(), password });
  assert.deepEqual([known.status, known.body.account_key], [200, credentials.accountKey], known.text);
  assert.deepEqual((await login({ email: 'x@y.z', password })).body, { detail: 'Invalid email.' });
  const wrong = await login({ email, password: 'no' });
  assert.deepEqual([wrong.status, wrong.body], [401, { detail: 'Invalid password.' }]);
  assert.deepEqual((await login({ email })).body, { password: ['This field is required.'] });

  const account = await call<Account>('GET', '/v1.1/account/');
  const { account_key: _, ...shown } = known.body;
  assert.deepEqual(account.body, shown);
  assert.deepEqual((await call('GET', '/v1.1/account/?fields=email')).body, { email });
  assert.equal((await call('GET', '/v1.1/account/', undefined, {})).status, 403);
  assert.equal((await call('GET', '/v1.1/account/', undefined, { 'x-api-key': credentials.apiKey })).status, 403);
  const named = await call<Account>('PATCH', '/v1.1/account/', { first_name: 'Mary Ann', last_name: 'Le Guin' });
  assert.deepEqual([named.body.first_name, named.body.last_name], ['Mary Ann', 'Le Guin']);
  assert.equal((await call('PATCH', '/v1.1/account/', { email: 'nothing' })).status, 400);
  assert.deepEqual((await call('POST', '/v1.1/account/register/', { email: 'a@b.c', password: 'x' }, {})).body, {
    detail: 'Registration disabled.',
  });
  assert.deepEqual(
    (await call('POST', '/v1.1/account/password/', { current_password: 'no', new_password: 'n' })).body,
    { current_password: ['Invalid password.'] },
  );
  const change = { current_password: password, new_password: 'better' };
  assert.equal((await call('POST', '/v1.1/account/password/', change)).status, 204);
  assert.equal((await login({ email, password })).status, 401);
  assert.equal((await login({ email, password: 'better' })).status, 200);
  const reset = await call<Account>('POST', '/v1.1/account/reset_key/');
  assert.match(reset.body.account_key ?? '', /^[0-9a-f]{40}$/);
  assert.equal((await call('GET', '/v1.1/account/')).status, 403, 'the old key stops working at once');
  const fresh = { 'x-api-key': reset.body.account_key ?? '' };
  assert.equal((await call('GET', '/v1.1/account/', undefined, fresh)).status, 200);
});
