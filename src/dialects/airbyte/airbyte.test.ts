import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { keboolaServer } from '../../../test/support/keboola.ts';
import { startPlatform } from '../../../test/support/platform.ts';
import { sql } from '../../db/sql.ts';

type Body = Record<string, never> & { data: never[] };

async function client(t: TestContext) {
  const server = await keboolaServer(t);
  const { airbyte } = server.credentials;
  const raw = (method: string, path: string, payload?: object | string, headers: Record<string, string> = {}) =>
    server.call(method, path, { token: null, headers, ...(payload !== undefined && { payload }) });
  const body = { client_id: airbyte.clientId, client_secret: airbyte.clientSecret };
  const token = (await raw('POST', '/api/public/v1/applications/token', body)).json<{ access_token: string }>();
  const authorization = `Bearer ${token.access_token}`;
  const call = async (method: string, path: string, payload?: object, headers?: Record<string, string>) => {
    const answer = await raw(method, `/api/public/v1${path}`, payload, { authorization, ...headers });
    return {
      status: answer.status,
      text: answer.body,
      body: (answer.body.startsWith('{') ? answer.json() : {}) as Body,
    };
  };
  return { server, raw, call, airbyte, authorization };
}

test('a token is had for an application, as JSON and as a form, and opens calls until it expires', async (t) => {
  const { server, raw, airbyte, authorization } = await client(t);
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: airbyte.clientId,
    client_secret: airbyte.clientSecret,
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await raw('POST', '/v1/applications/token', form.toString(), headers);
  assert.equal(answer.status, 200, answer.body);
  const token = answer.json<{ access_token: string; token_type: string; expires_in: number }>();
  assert.deepEqual([token.token_type, token.expires_in], ['Bearer', 900]);
  const open = async (value: string) => (await raw('GET', '/v1/sources', undefined, { authorization: value })).status;
  assert.equal(await open(`Bearer ${token.access_token}`), 200);
  const basic = Buffer.from(`${airbyte.clientId}:${airbyte.clientSecret}`).toString('base64');
  assert.equal(await open(`Basic ${basic}`), 200);
  for (const value of ['', 'Bearer', 'Bearer x', 'Basic x', `Bearer ${server.credentials.keboola.storageToken}`])
    assert.equal(await open(value), 401, value);
  for (const bad of [
    {},
    { client_id: airbyte.clientId, client_secret: 'x' },
    { client_id: 'x', client_secret: airbyte.clientSecret },
  ]) {
    const refused = await raw('POST', '/v1/applications/token', bad);
    assert.equal(refused.status, 401);
    assert.equal(refused.json<{ title: string }>().title, 'invalid-api-key');
  }
  await server.db.query(sql`update tokens set expires_at = now() where kind = 'bearer'`);
  await new Promise((resolve) => setTimeout(resolve, 5100));
  assert.equal(await open(`Bearer ${token.access_token}`), 401);
});

test('sources of known connectors are made, listed, changed and deleted, with their secrets masked', async (t) => {
  const { call, airbyte, server } = await client(t);
  const { workspaceId } = airbyte;
  const made = await call('POST', '/sources', {
    name: 'Snowflake',
    workspaceId,
    configuration: {
      sourceType: 'snowflake',
      host: 'h.example.com',
      credentials: { auth_type: 'username/password', username: 'u', password: 'pa55-word' },
      concurrency: 1,
    },
  });
  assert.equal(made.status, 200, made.text);
  const { sourceId, createdAt, ...rest } = made.body as Record<string, unknown>;
  assert.ok(Number.isInteger(createdAt));
  const masked = {
    host: 'h.example.com',
    credentials: { auth_type: 'username/password', username: 'u', password: '************' },
    concurrency: 1,
  };
  assert.deepEqual(rest, {
    name: 'Snowflake',
    sourceType: 'snowflake',
    definitionId: 'e2d65910-8c8b-40a1-ae7d-ee2416b2bfa2',
    workspaceId,
    configuration: masked,
  });
  const stripe = await call('POST', '/sources', {
    name: 'Stripe',
    workspaceId,
    definitionId: 'e094cb9a-26de-4645-8761-65c0c425d1de',
    configuration: { account_id: 'a', client_secret: 's3cret-key', num_workers: 10 },
  });
  assert.equal(stripe.body.sourceType, 'stripe');

  const list = await call('GET', `/sources?workspaceIds=${workspaceId}`);
  assert.deepEqual(
    [(list.body.data as { name: string }[]).map(({ name }) => name), list.body.previous, list.body.next],
    [['Snowflake', 'Stripe'], '', ''],
  );
  const first = await call('GET', '/sources?limit=1');
  const next = new URL(String(first.body.next));
  assert.equal(next.searchParams.get('offset'), '1');
  assert.deepEqual((await call('GET', `/sources?workspaceIds=${sourceId}`)).body.data, []);

  const open = async () => {
    const actor = await server.core.identity.authenticateStorageToken(server.credentials.keboola.storageToken);
    return (await server.core.connectors.open(actor, 'source', String(sourceId))).configuration;
  };
  const patched = await call('PATCH', `/sources/${sourceId}`, { configuration: { credentials: { username: 'v' } } });
  assert.equal(patched.status, 200, patched.text);
  assert.deepEqual(await open(), {
    ...masked,
    credentials: { ...masked.credentials, username: 'v', password: 'pa55-word' },
  });
  const put = { name: 'S', configuration: { host: 'i', credentials: { password: '**********' } } };
  assert.equal((await call('PUT', `/sources/${sourceId}`, put)).status, 200);
  assert.deepEqual(await open(), { host: 'i', credentials: { password: 'pa55-word' } });
  const kept = await server.db.query(sql`select configuration::text as text from configuration_versions`);
  assert.ok(!JSON.stringify(kept).includes('pa55-word'), 'a secret is stored in the clear');

  assert.equal((await call('DELETE', `/sources/${sourceId}`)).status, 204);
  assert.equal((await call('GET', `/sources/${sourceId}`)).status, 404);
  assert.equal((await call('DELETE', `/sources/${sourceId}`)).status, 404);
  assert.equal((await call('GET', '/sources')).body.data.length, 1);
  assert.equal((await call('GET', '/sources?includeDeleted=true')).body.data.length, 2);
});

test('what is wrong with a request is told as a problem', async (t) => {
  const { call, airbyte } = await client(t);
  const { workspaceId } = airbyte;
  const file = (configuration: object) => ({ name: 'x', workspaceId, configuration });
  const rows: [string, string, object | undefined, number, string][] = [
    ['POST', '/sources', file({}), 422, 'unprocessable-entity'],
    ['POST', '/sources', file({ sourceType: 'nothing' }), 400, 'value-not-found'],
    ['POST', '/sources', file({ sourceType: 'millrace-file' }), 422, 'unprocessable-entity'],
    ['POST', '/sources', file({ sourceType: 'stripe', client_secret: '************' }), 422, 'unprocessable-entity'],
    ['POST', '/sources', { ...file({ sourceType: 'stripe' }), workspaceId: 'x' }, 404, 'resource-not-found'],
    ['POST', '/sources', { workspaceId }, 400, 'bad-request'],
    ['GET', '/sources?limit=0', undefined, 400, 'bad-request'],
    ['GET', '/sources?limit=101', undefined, 400, 'bad-request'],
    ['GET', '/destinations/x', undefined, 404, 'resource-not-found'],
    ['GET', '/connections/x', undefined, 404, 'resource-not-found'],
    ['GET', '/jobs/x', undefined, 400, 'bad-request'],
    ['GET', '/jobs/99', undefined, 404, 'resource-not-found'],
    ['GET', '/jobs?orderBy=x', undefined, 400, 'bad-request'],
    ['POST', '/jobs', { connectionId: 'x', jobType: 'sync' }, 404, 'resource-not-found'],
    ['GET', '/tags', undefined, 501, 'API not implemented in Airbyte OSS'],
    ['GET', '/nothing', undefined, 404, 'resource-not-found'],
  ];
  for (const [method, path, payload, status, title] of rows) {
    const answer = await call(method, path, payload);
    assert.deepEqual([answer.status, answer.body.title], [status, title], `${method} ${path}: ${answer.text}`);
  }
});

test('a connection syncs a file into Storage, the second time only what is new', async (t) => {
  let csv = 'id,name,updated\n1,"one, first",2024-01-01\n2,two,2024-01-02\n';
  const files = createServer((_request, response) => response.end(csv));
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  t.after(() => files.close());
  const { url, credentials, platform } = await startPlatform(t);
  const { clientId, clientSecret, workspaceId } = credentials.airbyte;
  const authorization = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`;
  const call = async (method: string, path: string, payload?: object) => {
    const answer = await fetch(`${url}/api/public/v1${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(payload && { body: JSON.stringify(payload) }),
    });
    const text = await answer.text();
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${text}`);
    return text === '' ? {} : JSON.parse(text);
  };
  const address = `http://127.0.0.1:${(files.address() as AddressInfo).port}/x.csv`;
  const source = await call('POST', '/sources', {
    name: 'file',
    workspaceId,
    configuration: { sourceType: 'millrace-file', dataset_name: 'people', url: address, primary_key: ['id'] },
  });
  const destination = await call('POST', '/destinations', {
    name: 'storage',
    workspaceId,
    configuration: { destinationType: 'millrace-storage' },
  });
  const [stream] = await call('GET', `/streams?sourceId=${source.sourceId}&destinationId=${destination.destinationId}`);
  assert.deepEqual(stream.propertyFields, [['id'], ['name'], ['updated']]);
  const { connectionId, name } = await call('POST', '/connections', {
    sourceId: source.sourceId,
    destinationId: destination.destinationId,
    configurations: {
      streams: [{ name: 'people', syncMode: 'incremental_deduped_history', cursorField: ['updated'] }],
    },
  });
  assert.equal(name, 'file <> storage');
  const run = async (jobType: string) => {
    const { jobId } = await call('POST', '/jobs', { connectionId, jobType });
    await platform.core.jobs.awaitEnd(jobId, AbortSignal.timeout(30_000));
    return call('GET', `/jobs/${jobId}`);
  };
  const actor = await platform.core.identity.authenticateStorageToken(credentials.keboola.storageToken);
  const rows = async () =>
    (await platform.core.tables.preview(actor, 'in.c-airbyte.people', { limit: 100 })).rows.map(String).sort();

  const first = await run('sync');
  assert.deepEqual([first.status, first.rowsSynced], ['succeeded', 2], JSON.stringify(first));
  assert.deepEqual(await rows(), ['1,one, first,2024-01-01', '2,two,2024-01-02']);

  csv += '2,zwei,2024-01-03\n3,three,2024-01-04\n';
  const second = await run('sync');
  // With the last one again: another record might have come with the same cursor value.
  assert.deepEqual([second.status, second.rowsSynced], ['succeeded', 3], JSON.stringify(second));
  assert.deepEqual(await rows(), ['1,one, first,2024-01-01', '2,zwei,2024-01-03', '3,three,2024-01-04']);

  const reset = await run('reset');
  assert.equal(reset.status, 'succeeded', JSON.stringify(reset));
  assert.deepEqual(await rows(), []);
  const third = await run('sync');
  assert.deepEqual([third.status, third.rowsSynced], ['succeeded', 4]);
  const jobs = await call('GET', `/jobs?connectionId=${connectionId}`);
  assert.deepEqual(
    jobs.data.map(({ jobType, status }: Record<string, string>) => `${jobType} ${status}`),
    ['sync succeeded', 'sync succeeded', 'reset succeeded', 'sync succeeded'],
  );

  await call('PATCH', `/connections/${connectionId}`, {
    prefix: 'p_',
    configurations: {
      streams: [{ name: 'people', syncMode: 'full_refresh_overwrite', selectedFields: [{ fieldPath: ['name'] }] }],
    },
  });
  assert.equal((await run('sync')).status, 'succeeded');
  const { columns } = await platform.core.tables.preview(actor, 'in.c-airbyte.p_people', { limit: 1 });
  assert.deepEqual(columns, ['name']);
});
