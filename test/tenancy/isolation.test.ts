import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProjectCredentials } from '../../src/core/projects/credentials.ts';
import { AIRBYTE_PREFIXES } from '../../src/dialects/airbyte/index.ts';
import { type Answer, type KeboolaServer, keboolaServer } from '../support/keboola.ts';
import { type Call, MATRIX, PUBLIC } from './matrix.ts';
import { COMPONENT, type Ids, MARKER, seedTenant, UNKNOWN } from './seed.ts';

const isPreflight = (method: string) => method === 'OPTIONS';
const asGet = (method: string) => (method === 'HEAD' ? 'GET' : method);

test('every route stands in the matrix or in the list of public routes, and nothing else does', async (t) => {
  const { server } = await keboolaServer(t);
  const routes = server.routes.filter(({ method }) => !isPreflight(method));
  const known = new Set(routes.map(({ method, url }) => `${asGet(method)} ${url}`));
  const missing = [...known].filter((route) => MATRIX[route] === undefined && !PUBLIC.includes(route));
  assert.deepEqual(missing, [], 'routes without a line in test/tenancy/matrix.ts');
  const gone = [...Object.keys(MATRIX), ...PUBLIC].filter((route) => !known.has(route));
  assert.deepEqual(gone, [], 'lines in test/tenancy/matrix.ts without a route');
  const open = routes.filter(({ isPublic }) => isPublic).map(({ method, url }) => `${asGet(method)} ${url}`);
  assert.deepEqual([...new Set(open)].sort(), [...PUBLIC].sort(), 'routes that ask for no token');
});

test('with a foreign id every route answers as with an unknown one, or 403', async (t) => {
  const server = await keboolaServer(t);
  const { server: http, credentials } = server;
  const a = await seedTenant(server, credentials.keboola.storageToken);
  const b = await server.newProject('Tenant B');
  const seen = await snapshot(server, a);
  for (const { method, url } of http.routes) {
    const call = MATRIX[`${asGet(method)} ${url}`];
    if (isPreflight(method) || call === undefined) continue;
    await t.test(`${method} ${url}`, async () => {
      const foreign = await send(server, b, method, url, call, a);
      assert.ok(!foreign.body.includes(MARKER) || mentions(call, a), `the answer shows A: ${foreign.body}`);
      assert.ok(foreign.status < 500 || foreign.status === 501, `${foreign.status} ${foreign.body}`);
      if (!usesIds(call)) return;
      const unknown = await send(server, b, method, url, call, UNKNOWN);
      if (foreign.status === 403) return;
      assert.equal(foreign.status, unknown.status, `${foreign.body}\n${unknown.body}`);
      assert.deepEqual(withoutIds(foreign, a), withoutIds(unknown, UNKNOWN));
    });
  }
  assert.deepEqual(await snapshot(server, a), seen, 'what A owns was changed by B');
});

test('a foreign branch in the URL is an unknown branch', async (t) => {
  const server = await keboolaServer(t);
  const a = await seedTenant(server, server.credentials.keboola.storageToken);
  const b = (await server.newProject('Tenant B')).keboola.storageToken;
  for (const path of ['buckets', 'tables', 'files', `components/${COMPONENT}/configs`, 'tokens/verify']) {
    const answers = await Promise.all(
      [a.branchId, UNKNOWN.branchId].map((id) => server.call('GET', `/v2/storage/branch/${id}/${path}`, { token: b })),
    );
    for (const answer of answers) assert.equal(answer.status, 404, answer.body);
  }
});

test("a file's blobs open only with a signature for that file", async (t) => {
  const server = await keboolaServer(t);
  const prepare = async (token: string) => {
    const payload = { name: 'x.csv', federationToken: true };
    const answer = await server.call('POST', '/v2/storage/files/prepare', { payload, token });
    return answer.json<{ absUploadParams: Record<string, string> & { absCredentials: Record<string, string> } }>();
  };
  const ofA = (await prepare(server.credentials.keboola.storageToken)).absUploadParams;
  const ofB = (await prepare((await server.newProject('Tenant B')).keboola.storageToken)).absUploadParams;
  const signature = (params: typeof ofA) =>
    params.absCredentials.SASConnectionString?.split('SharedAccessSignature=')[1] ?? '';
  const path = `/abs/kbc.blob.core.windows.net/${ofA.container}/${ofA.blobName}`;
  const put = (query: string) =>
    server.call('PUT', `${path}?${query}`, {
      token: null,
      payload: 'id\n1\n',
      headers: { 'x-ms-blob-type': 'BlockBlob', 'content-type': 'text/csv' },
    });
  assert.equal((await put(signature(ofA))).status, 201);
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
    for (const query of ['', signature(ofB), signature(ofA).replace(/sig=.{4}/, 'sig=AAAA')]) {
      const answer = await server.call(method, `${path}?${query}`, {
        token: server.credentials.keboola.storageToken,
        headers: { 'x-ms-blob-type': 'BlockBlob' },
      });
      assert.equal(answer.status, 403, `${method} ?${query}: ${answer.status} ${answer.body}`);
    }
  }
});

test("a manage call refuses every project's token", async (t) => {
  const server = await keboolaServer(t);
  const headers = { 'x-kbc-manageapitoken': server.credentials.keboola.storageToken };
  assert.equal((await server.call('GET', '/manage/tokens/verify', { token: null, headers })).status, 401);
  assert.equal(
    (await server.call('POST', '/manage/projects', { token: null, headers, payload: { name: 'x' } })).status,
    401,
  );
});

async function send(
  server: KeboolaServer,
  caller: ProjectCredentials,
  method: string,
  url: string,
  call: Call,
  ids: Ids,
): Promise<Answer> {
  const params = call.params?.(ids) ?? {};
  const path = url.replace(/:([A-Za-z]+)|\*/g, (whole, name: string | undefined) => {
    const value = params[name ?? '*'];
    assert.ok(value !== undefined, `${method} ${url}: no value for ${whole}`);
    return encodeURIComponent(value);
  });
  const query = call.query?.(ids);
  const hasBody = !['GET', 'HEAD'].includes(method);
  const token = caller.keboola.storageToken;
  return server.call(method, query === undefined ? path : `${path}?${query}`, {
    token,
    headers: {
      'x-kbc-manageapitoken': token,
      'x-api-key': caller.syncano.accountKey,
      ...(AIRBYTE_PREFIXES.some((prefix) => url.startsWith(`${prefix}/`)) && { authorization: basicOf(caller) }),
    },
    ...(hasBody && { payload: call.body?.(ids) ?? {} }),
  });
}

const basicOf = ({ airbyte }: ProjectCredentials) =>
  `Basic ${Buffer.from(`${airbyte.clientId}:${airbyte.clientSecret}`).toString('base64')}`;

const usesIds = (call: Call) =>
  [call.params, call.query, call.body].some(
    (part) => part !== undefined && JSON.stringify(part(UNKNOWN)) !== JSON.stringify(part(ALTERED)),
  );
const ALTERED = Object.fromEntries(Object.entries(UNKNOWN).map(([name, id]) => [name, `${id}0`])) as Ids;

/** Refusals repeat the id they were asked for; then the marker in it came from B. */
function mentions(call: Call, ids: Ids): boolean {
  return [call.params, call.query, call.body].some((part) => JSON.stringify(part?.(ids) ?? '').includes(MARKER));
}

/** The answer without the ids that were asked for and without numbers, so that both cases compare word by word. */
function withoutIds({ body }: Answer, ids: Ids): string {
  const names = Object.values(ids).flatMap((id) => [id, ...id.split('.').slice(2)]);
  let text = body.replace(/exception-[0-9a-f]+|"errorId":"[^"]*"/g, '');
  for (const name of names.sort((x, y) => y.length - x.length)) {
    if (!/^\d+$/.test(name)) text = text.replaceAll(name, '?');
  }
  return text.replace(/\d+/g, '#');
}

/** What A sees of its own things. */
async function snapshot(server: KeboolaServer, ids: Ids): Promise<unknown[]> {
  const token = server.credentials.keboola.storageToken;
  const configs = `components/${COMPONENT}/configs/${ids.configurationId}`;
  const paths = [
    `tokens/${ids.tokenId}`,
    `buckets/${ids.bucketId}`,
    `tables/${ids.tableId}`,
    `columns/${ids.columnId}/metadata`,
    `files/${ids.fileId}`,
    `jobs/${ids.storageJobId}`,
    configs,
    `${configs}/rows/${ids.rowId}`,
  ].map((path) => `/v2/storage/${path}`);
  const answers: unknown[] = [];
  for (const path of [...paths, `/queue/jobs/${ids.queueJobId}`]) {
    const answer = await server.call('GET', path, { token });
    assert.equal(answer.status, 200, `${path} ${answer.body}`);
    // Signed URLs carry the time at which they end.
    answers.push(answer.body.replace(/"url":"[^"]*"/, ''));
  }
  const instance = `/v1.1/instances/${ids.instance}`;
  const objects = `${instance}/classes/${ids.className}/objects/${ids.objectId}`;
  for (const path of [objects, `${instance}/users/${ids.endUserId}`]) {
    const headers = { 'x-api-key': server.credentials.syncano.accountKey };
    const answer = await server.call('GET', path, { token: null, headers });
    assert.equal(answer.status, 200, `${path} ${answer.body}`);
    answers.push(answer.body);
  }
  for (const path of [`sources/${ids.sourceId}`, `connections/${ids.connectionId}`, `jobs/${ids.syncJobId}`]) {
    const headers = { authorization: basicOf(server.credentials) };
    const answer = await server.call('GET', `/v1/${path}`, { token: null, headers });
    assert.equal(answer.status, 200, `${path} ${answer.body}`);
    answers.push(answer.body);
  }
  return answers;
}
