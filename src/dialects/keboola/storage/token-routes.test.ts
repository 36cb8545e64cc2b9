import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

type Token = {
  id: string;
  token: string;
  description: string;
  expires: string | null;
  bucketPermissions: Record<string, string>;
  componentAccess?: string[];
  admin?: object;
  owner: Record<string, unknown>;
} & Record<string, never>;

test('verify tells a client everything in the types it decodes', async (t) => {
  const { call, credentials } = await keboolaServer(t);
  await call('POST', '/v2/storage/buckets', { payload: { name: 'main' } });
  const answer = await call('GET', '/v2/storage/tokens/verify');
  assert.equal(answer.headers['content-type'], 'application/json');
  const token = answer.json<Token>();
  assert.equal(token.token, credentials.keboola.storageToken);
  assert.deepEqual(token.bucketPermissions, { 'in.c-main': 'manage' });
  assert.equal(typeof token.id, 'string');
  const owner = token.owner as Record<string, unknown>;
  assert.equal(typeof owner.id, 'number');
  assert.equal(owner.defaultBackend, 'snowflake');
  assert.equal(owner.hasSnowflake, true);
  assert.equal(owner.fileStorageProvider, 'azure');
  assert.equal(owner.dataSizeBytes, 0);
  assert.equal(owner.hasTryModeOn, '0');
  assert.deepEqual((owner.limits as Record<string, unknown>)['storage.jobsParallelism'], {
    name: 'storage.jobsParallelism',
    value: 10,
  });
  assert.equal(
    typeof (answer.json<{ organization: { id: string } } & Record<string, never>>().organization as { id: string }).id,
    'string',
  );
  assert.match(answer.body, /"created":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d{4}"/);
});

test('a token is made, seen, changed, refreshed and deleted', async (t) => {
  const { call } = await keboolaServer(t);
  const post = async (path: string, payload: object = {}) => call('POST', `/v2/storage/tokens${path}`, { payload });
  await call('POST', '/v2/storage/buckets', { payload: { name: 'main' } });

  const plain = (await post('', {})).json<Token>();
  assert.equal(plain.description, 'Created by admin@localhost');
  assert.ok(!('admin' in plain) && !('componentAccess' in plain));

  const form = await call('POST', '/v2/storage/tokens', {
    payload: 'description=d&bucketPermissions[in.c-main]=write&componentAccess[]=keboola.ex-http&expiresIn=60',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  const token = form.json<Token>();
  assert.equal(form.status, 201, form.body);
  assert.deepEqual(token.bucketPermissions, { 'in.c-main': 'write' });
  assert.deepEqual(token.componentAccess, ['keboola.ex-http']);
  assert.match(String(token.expires), /\+0000$/);

  const manager = (await post('', { canManageBuckets: true })).json<Token>();
  await call('POST', '/v2/storage/buckets', { payload: { name: 'later' } });
  const seen = await call('GET', `/v2/storage/tokens/${manager.id}`);
  assert.deepEqual(seen.json<Token>().bucketPermissions, { 'in.c-later': 'manage', 'in.c-main': 'manage' });

  const changed = await call('PUT', `/v2/storage/tokens/${token.id}`, {
    payload: { description: 'new', componentAccess: [] },
  });
  assert.equal(changed.status, 200, changed.body);
  assert.equal(changed.json<Token>().description, 'new');
  assert.deepEqual(changed.json<Token>().bucketPermissions, { 'in.c-main': 'write' });
  assert.ok(!('componentAccess' in changed.json<Token>()));

  await call('DELETE', '/v2/storage/buckets/in.c-main');
  assert.deepEqual((await call('GET', `/v2/storage/tokens/${token.id}`)).json<Token>().bucketPermissions, {});

  const refreshed = (await post(`/${token.id}/refresh`)).json<Token>();
  assert.equal((await call('GET', '/v2/storage/tokens/verify', { token: token.token })).status, 401);
  assert.equal((await call('GET', '/v2/storage/tokens/verify', { token: refreshed.token })).status, 200);
  assert.equal(
    (await call('GET', '/v2/storage/tokens', { token: refreshed.token })).json<Token[] & Record<string, never>>()
      .length,
    1,
  );
  assert.equal((await call('GET', `/v2/storage/tokens/${plain.id}`, { token: refreshed.token })).status, 403);
  assert.equal((await call('DELETE', `/v2/storage/tokens/${token.id}`, { token: refreshed.token })).status, 204);
  assert.equal((await call('GET', '/v2/storage/tokens/verify', { token: refreshed.token })).status, 401);
});

test('what a token cannot be is refused with the original code', async (t) => {
  const { call } = await keboolaServer(t);
  const cases: [string, string, object | undefined, number, RegExp][] = [
    ['POST', '', { bucketPermissions: { 'in.c-main': 'manage' } }, 400, /storage\.tokens\.invalidPermissions/],
    ['POST', '', { bucketPermissions: { 'in.c-none': 'read' } }, 400, /storage\.tokens\.invalidPermissions/],
    ['POST', '', { expiresIn: 0 }, 400, /Minimal expiration must be greater or equal to 1 second\(s\)/],
    ['GET', '/abc', undefined, 404, /notFound/],
    ['GET', '/999999', undefined, 404, /Token with id/],
    ['DELETE', '/1', undefined, 400, /Master token/],
    ['POST', '/1/share', { recipientEmail: 'a@b.c' }, 501, /Not implemented/],
  ];
  for (const [method, path, payload, status, pattern] of cases) {
    const answer = await call(method, `/v2/storage/tokens${path}`, payload === undefined ? {} : { payload });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.body}`);
    assert.match(answer.body, pattern);
  }
});
