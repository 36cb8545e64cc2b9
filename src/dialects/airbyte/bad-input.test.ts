import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type KeboolaServer, keboolaServer } from '../../../test/support/keboola.ts';
import type { ProjectCredentials } from '../../core/projects/credentials.ts';
import { AIRBYTE_PREFIXES } from './index.ts';

const [PREFIX] = AIRBYTE_PREFIXES;
const UNKNOWN = '00000000-0000-4000-8000-000000000000';

type Problem = { status: number; title: string; type: string; detail: string; data: { message: string } };

function caller(server: KeboolaServer, { airbyte }: Pick<ProjectCredentials, 'airbyte'>) {
  const authorization = `Basic ${Buffer.from(`${airbyte.clientId}:${airbyte.clientSecret}`).toString('base64')}`;
  return async (method: string, path: string, payload?: object | string, headers: Record<string, string> = {}) => {
    const answer = await server.call(method, path.startsWith('/v1') ? path : `${PREFIX}${path}`, {
      token: null,
      headers: { authorization, ...(payload !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(payload !== undefined && { payload }),
    });
    const body = answer.body.startsWith('{') ? answer.json<Record<string, unknown> & { data: unknown[] }>() : undefined;
    return { status: answer.status, headers: answer.headers, text: answer.body, body: body ?? { data: [] } };
  };
}

/** One source, one destination, one connection, made without running anything. */
async function world(t: TestContext) {
  const server = await keboolaServer(t);
  const call = caller(server, server.credentials);
  const { workspaceId } = server.credentials.airbyte;
  const make = async (role: string, configuration: object, name = 'x') => {
    const made = await call('POST', `/${role}s`, { name, workspaceId, configuration });
    assert.equal(made.status, 200, made.text);
    return String(made.body[`${role}Id`]);
  };
  const sourceId = await make('source', { sourceType: 'postgres', host: 'h', password: 'pass-word' });
  const destinationId = await make('destination', { destinationType: 'millrace-storage' });
  const connection = await server.core.connections.create(server.actor, {
    name: 'c',
    isActive: true,
    settings: {
      source: { componentId: 'airbyte.source-postgres', configurationId: sourceId },
      destination: { componentId: 'millrace.destination-storage', configurationId: destinationId },
      namespace: { definition: 'destination' },
      prefix: '',
      schedule: { type: 'manual' },
      schemaChanges: 'ignore',
      streams: [],
    },
  });
  return { server, call, make, workspaceId, sourceId, destinationId, connectionId: connection.id };
}

const nested = (depth: number) => `{"configuration":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`;

test('what is wrong with a request is refused with its problem, and changes nothing', async (t) => {
  const { server, call, workspaceId, sourceId, destinationId, connectionId } = await world(t);
  const source = (more: object) => ({ name: 'x', workspaceId, configuration: { sourceType: 'stripe' }, ...more });
  const schedule = (more: object) => ({ schedule: { scheduleType: 'cron', ...more } });
  type Row = [method: string, path: string, body: object | string | undefined, status: number, title: string];
  const unknownIds = (root: string): Row[] =>
    ['x', UNKNOWN, UNKNOWN.toUpperCase(), `${sourceId}0`, "'", 'a'.repeat(300), '%F0%9F%92%A9'].flatMap((id): Row[] => [
      ['GET', `/${root}/${id}`, undefined, 404, 'resource-not-found'],
      ['PATCH', `/${root}/${id}`, { name: 'y' }, 404, 'resource-not-found'],
      ['DELETE', `/${root}/${id}`, undefined, 404, 'resource-not-found'],
    ]);
  const rows: Row[] = [
    // Ids
    ...['sources', 'destinations', 'connections'].flatMap(unknownIds),
    // Each role has its own ids.
    ['GET', `/destinations/${sourceId}`, undefined, 404, 'resource-not-found'],
    ['GET', `/sources/${connectionId}`, undefined, 404, 'resource-not-found'],
    ['PUT', `/sources/${UNKNOWN}`, { name: 'x', configuration: {} }, 404, 'resource-not-found'],
    ['GET', '/sources/a%00b', undefined, 400, 'bad-request'],
    ['GET', '/jobs/a%00b', undefined, 400, 'bad-request'],
    ['GET', '/jobs?connectionId=%00', undefined, 400, 'bad-request'],
    ['GET', '/sources/%zz', undefined, 400, 'bad-request'],
    ['GET', `/workspaces/${UNKNOWN}`, undefined, 404, 'resource-not-found'],
    ['GET', `/workspaces/${UNKNOWN}/definitions/sources`, undefined, 404, 'resource-not-found'],
    ['GET', `/workspaces/${workspaceId}/definitions/sources/x`, undefined, 404, 'resource-not-found'],
    ['GET', '/connector_definitions', undefined, 400, 'bad-request'],
    ['GET', '/connector_definitions?type=x', undefined, 400, 'bad-request'],
    ['GET', `/streams?sourceId=${UNKNOWN}`, undefined, 404, 'resource-not-found'],
    ['GET', '/streams', undefined, 400, 'bad-request'],
    ['GET', `/streams?sourceId=${sourceId}&destinationId=${UNKNOWN}`, undefined, 404, 'resource-not-found'],
    ['GET', `/streams?sourceId=${sourceId}&ignoreCache=maybe`, undefined, 400, 'bad-request'],
    // Pages
    ...['sources', 'destinations', 'connections', 'jobs', 'workspaces'].flatMap((root) =>
      ['limit=0', 'limit=101', 'limit=abc', 'limit=1.5', 'limit=', 'offset=-1', 'offset=x'].map(
        (query): Row => ['GET', `/${root}?${query}`, undefined, 400, 'bad-request'],
      ),
    ),
    ['GET', '/sources?includeDeleted=perhaps', undefined, 400, 'bad-request'],
    // Bodies
    ['POST', '/sources', '{', 422, 'unprocessable-entity'],
    ['POST', '/sources', '[]', 422, 'unprocessable-entity'],
    ['POST', '/sources', '"x"', 422, 'unprocessable-entity'],
    ['POST', '/sources', 'null', 422, 'unprocessable-entity'],
    ['POST', '/sources', nested(600), 422, 'unprocessable-entity'],
    ['POST', '/sources', nested(200_000), 422, 'unprocessable-entity'],
    ['POST', '/sources', '', 400, 'bad-request'],
    ['POST', '/sources', source({ name: '' }), 400, 'bad-request'],
    ['POST', '/sources', source({ name: 'a\0b' }), 400, 'bad-request'],
    ['POST', '/sources', source({ name: { a: 1 } }), 400, 'bad-request'],
    ['POST', '/sources', source({ configuration: 'x' }), 400, 'bad-request'],
    ['POST', '/sources', source({ configuration: null }), 400, 'bad-request'],
    ['POST', '/sources', source({ configuration: { sourceType: 'stripe', a: ['\0'] } }), 400, 'bad-request'],
    ['POST', '/sources', source({ workspaceId: UNKNOWN }), 404, 'resource-not-found'],
    ['POST', '/sources', source({ workspaceId: undefined }), 400, 'bad-request'],
    ['POST', '/sources', source({ definitionId: UNKNOWN }), 404, 'resource-not-found'],
    ['POST', '/sources', source({ definitionId: 'x' }), 404, 'resource-not-found'],
    ['POST', '/sources', source({ configuration: { sourceType: 'nothing' } }), 400, 'value-not-found'],
    ['POST', '/sources', source({ configuration: { sourceType: 'millrace-storage' } }), 400, 'value-not-found'],
    ['POST', '/sources', source({ configuration: { sourceType: 7 } }), 422, 'unprocessable-entity'],
    ['POST', '/sources', source({ configuration: {} }), 422, 'unprocessable-entity'],
    ['POST', '/sources', source({ configuration: { sourceType: 'stripe', '#x': 1 } }), 422, 'unprocessable-entity'],
    ['PATCH', `/sources/${sourceId}`, { name: '' }, 400, 'bad-request'],
    ['PATCH', `/sources/${sourceId}`, { configuration: [] }, 400, 'bad-request'],
    ['PUT', `/sources/${sourceId}`, { name: 'x' }, 400, 'bad-request'],
    ['PUT', `/sources/${sourceId}`, { configuration: {} }, 400, 'bad-request'],
    ['PUT', `/sources/${sourceId}`, { name: 'x', configuration: { token: '********' } }, 422, 'unprocessable-entity'],
    ['PATCH', `/destinations/${destinationId}`, { configuration: { bucket: 'nowhere' } }, 422, 'unprocessable-entity'],
    // Connections
    ['POST', '/connections', {}, 400, 'bad-request'],
    ['POST', '/connections', { sourceId, destinationId: sourceId }, 404, 'resource-not-found'],
    ['POST', '/connections', { sourceId: destinationId, destinationId }, 404, 'resource-not-found'],
    // Its connector is known and not installed: that is what is said.
    ['POST', '/connections', { sourceId, destinationId }, 422, 'unprocessable-entity'],
    ['PATCH', `/connections/${connectionId}`, schedule({}), 400, 'bad-request'],
    ...['', 'x', '* * * * * ?', '0 0 12 * *', '0 0 99 * * ?', '0 0 12 * * ? Mars/Base', '0 0 12 * * ? 2030 x'].map(
      (cronExpression): Row => [
        'PATCH',
        `/connections/${connectionId}`,
        schedule({ cronExpression }),
        400,
        'bad-request',
      ],
    ),
    ['PATCH', `/connections/${connectionId}`, { schedule: { scheduleType: 'weekly' } }, 400, 'bad-request'],
    ['PATCH', `/connections/${connectionId}`, { status: 'locked' }, 400, 'bad-request'],
    ['PATCH', `/connections/${connectionId}`, { status: 'deprecated' }, 400, 'bad-request'],
    ['PATCH', `/connections/${connectionId}`, { namespaceDefinition: 'mine' }, 400, 'bad-request'],
    ['PATCH', `/connections/${connectionId}`, { nonBreakingSchemaUpdatesBehavior: 'x' }, 400, 'bad-request'],
    ['PATCH', `/connections/${connectionId}`, { configurations: { streams: 'x' } }, 400, 'bad-request'],
    ['PATCH', `/connections/${connectionId}`, { configurations: { streams: [{}] } }, 400, 'bad-request'],
    [
      'PATCH',
      `/connections/${connectionId}`,
      { configurations: { streams: [{ name: 'x', syncMode: 'sometimes' }] } },
      400,
      'bad-request',
    ],
    [
      'PATCH',
      `/connections/${connectionId}`,
      { configurations: { streams: [{ name: 'x', syncMode: 'incremental_update' }] } },
      400,
      'bad-request',
    ],
    // Jobs
    ['POST', '/jobs', {}, 400, 'bad-request'],
    ['POST', '/jobs', { connectionId }, 400, 'bad-request'],
    ['POST', '/jobs', { connectionId: UNKNOWN, jobType: 'sync' }, 404, 'resource-not-found'],
    ['POST', '/jobs', { connectionId, jobType: 'nothing' }, 422, 'unprocessable-entity'],
    ...['x', '-1', '1.5', '99999999999999999999', '9007199254740993'].map(
      (id): Row => ['GET', `/jobs/${id}`, undefined, 400, 'bad-request'],
    ),
    ['DELETE', '/jobs/4294967296', undefined, 404, 'resource-not-found'],
    ...[
      'orderBy=x',
      'orderBy=createdAt|UP',
      'jobType=x',
      'status=x',
      'createdAtStart=yesterday',
      'updatedAtEnd=1x',
    ].map((query): Row => ['GET', `/jobs?${query}`, undefined, 400, 'bad-request']),
    // Paths
    ['GET', '/nothing', undefined, 404, 'resource-not-found'],
    ['POST', `/sources/${sourceId}`, {}, 404, 'resource-not-found'],
    ['GET', '/tags', undefined, 501, 'API not implemented in Airbyte OSS'],
  ];
  const count = async () =>
    (await call('GET', '/sources?includeDeleted=true')).text +
    (await call('GET', '/destinations?includeDeleted=true')).text +
    (await call('GET', '/connections?includeDeleted=true')).text;
  const before = await count();
  for (const [method, path, body, status, title] of rows) {
    const name = `${method} ${path} ${JSON.stringify(body ?? '').slice(0, 100)}`;
    const answer = await call(method, path, body);
    const problem = answer.body as unknown as Problem;
    assert.deepEqual([answer.status, problem.title], [status, title], `${name}: ${answer.text}`);
    assert.match(String(answer.headers['content-type']), /^application\/json/, name);
    assert.equal(problem.status, status, name);
    assert.match(problem.type, /^(https:\/\/reference\.airbyte\.com\/reference\/errors|error:)/, name);
    assert.ok(problem.detail.length > 0 && problem.data.message === problem.detail, `${name}: ${answer.text}`);
    assert.doesNotMatch(answer.text, /pass-word|node_modules|\/src\/|select |SQLSTATE/i, name);
  }
  assert.equal(await count(), before);
  assert.deepEqual((await server.core.syncs.list(server.actor, {}, { limit: 10 })).length, 0);
});

test('without a valid token every call but the public ones is refused as JSON', async (t) => {
  const { server } = await world(t);
  const { airbyte, keboola } = server.credentials;
  const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`;
  const bad = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${'x'.repeat(5000)}`,
    `Bearer ${keboola.storageToken}`,
    `Bearer ${airbyte.clientSecret}`,
    'Bearer a\\u0000b',
    'Basic',
    basic('nocolon'),
    basic(`${airbyte.clientId}:`),
    basic(`${airbyte.clientId}:wrong`),
    basic(`:${airbyte.clientSecret}`),
    basic(`${airbyte.clientId}\0:${airbyte.clientSecret}`),
    basic(`${airbyte.clientId}:${airbyte.clientSecret}\0`),
    'Digest x',
  ];
  for (const authorization of bad) {
    for (const path of ['/v1/sources', `${PREFIX}/jobs/1`, `${PREFIX}/workspaces`]) {
      const headers = authorization === undefined ? {} : { authorization };
      const answer = await server.call('GET', path, { token: null, headers });
      assert.equal(answer.status, 401, `${authorization} ${path}: ${answer.body}`);
      assert.equal(answer.json<Problem>().title, 'invalid-api-key');
      assert.match(String(answer.headers['content-type']), /^application\/json/);
    }
  }
  for (const path of [`${PREFIX}/health`, '/v1/health', '/v1/health/'])
    assert.equal((await server.call('GET', path, { token: null })).status, 200);
});

test('the token call takes every spelling of its grant, and refuses what is no credentials', async (t) => {
  const { server } = await world(t);
  const { clientId: client_id, clientSecret: client_secret } = server.credentials.airbyte;
  const ask = (payload: object | string, type = 'application/json') =>
    server.call('POST', '/v1/applications/token', { token: null, payload, headers: { 'content-type': type } });
  const form = (values: Record<string, string>) => new URLSearchParams(values).toString();
  for (const more of [{}, { grant_type: 'client_credentials' }, { 'grant-type': 'client_credentials' }]) {
    for (const answer of [
      await ask({ client_id, client_secret, ...more }),
      await ask(form({ client_id, client_secret, ...more }), 'application/x-www-form-urlencoded; charset=utf-8'),
      // As curl sends it without a type of its own.
      await ask(JSON.stringify({ client_id, client_secret, ...more }), 'application/x-www-form-urlencoded'),
    ]) {
      assert.equal(answer.status, 200, answer.body);
      assert.deepEqual(Object.keys(answer.json()), ['access_token', 'token_type', 'expires_in']);
    }
  }
  const refused: [object | string, number][] = [
    [{}, 401],
    [{ client_id }, 401],
    [{ client_id, client_secret: '' }, 401],
    [{ client_id, client_secret: null }, 401],
    [{ client_id, client_secret: `${client_secret}x` }, 401],
    [{ client_id: client_secret, client_secret: client_id }, 401],
    [{ client_id, client_secret: { $ne: 1 } }, 400],
    [{ client_id: 'a\0b', client_secret }, 400],
    ['{"client_id":', 422],
    ['[1]', 422],
  ];
  for (const [payload, status] of refused) assert.equal((await ask(payload)).status, status, JSON.stringify(payload));
});

test('both prefixes and a trailing slash answer alike, and what clients add is left alone', async (t) => {
  const { call, sourceId, workspaceId } = await world(t);
  const { text } = await call('GET', `/sources/${sourceId}`);
  for (const path of [`/sources/${sourceId}/`, `/v1/sources/${sourceId}`, `/v1/sources/${sourceId}/`])
    assert.equal((await call('GET', path)).text, text);
  const body = { name: 'n', workspaceId, unknown: 1, resourceAllocation: null, secretId: null };
  const made = await call('POST', '/sources', { ...body, configuration: { sourceType: 'stripe', a: null } });
  assert.equal(made.status, 200, made.text);
  assert.deepEqual(made.body.configuration, { a: null });
  assert.equal((await call('GET', '/workspaces?includeDeleted=true&more=1')).body.data.length, 1);
});

test('lists come in pages of what is asked for, and the last one names no next', async (t) => {
  const { call, make, workspaceId, sourceId } = await world(t);
  const ids = [sourceId];
  for (let number = 0; number < 5; number++) ids.push(await make('source', { sourceType: 'stripe' }, `s${number}`));
  const idsOf = (answer: { body: { data: unknown[] } }) =>
    (answer.body.data as { sourceId: string }[]).map((one) => one.sourceId);
  for (const limit of [1, 2, 3, 5, 6, 20]) {
    const seen: string[] = [];
    let path = `/sources?limit=${limit}&workspaceIds=${workspaceId}`;
    for (let pages = 0; path !== ''; pages++) {
      assert.ok(pages <= ids.length);
      const page = await call('GET', path);
      assert.ok(page.body.data.length > 0, 'a walk ends without an empty page');
      assert.equal(page.body.previous === '', pages === 0);
      seen.push(...idsOf(page));
      const next = String(page.body.next);
      path = next === '' ? '' : new URL(next).pathname.replace(PREFIX, '') + new URL(next).search;
    }
    assert.deepEqual(seen, ids, `pages of ${limit}`);
  }
  const beyond = await call('GET', '/sources?offset=6');
  assert.deepEqual([beyond.body.data, beyond.body.next], [[], '']);
  const other = `workspaceIds=${UNKNOWN}`;
  const rows: [string, number][] = [
    ['', 6],
    [`workspaceIds=${workspaceId}`, 6],
    [`workspaceIds=${workspaceId.toUpperCase()}`, 6],
    [`workspaceIds=${UNKNOWN},${workspaceId}`, 6],
    [`${other}&workspaceIds=${workspaceId}`, 6],
    [`workspaceIds[]=${workspaceId}`, 6],
    [`workspaceIds%5B%5D=${workspaceId}`, 6],
    ['workspaceIds=', 6],
    [other, 0],
    ['workspaceIds=x', 0],
  ];
  for (const [query, count] of rows)
    assert.equal((await call('GET', `/sources?${query}`)).body.data.length, count, query);

  assert.equal((await call('DELETE', `/sources/${sourceId}`)).status, 204);
  assert.deepEqual(idsOf(await call('GET', '/sources')), ids.slice(1));
  assert.deepEqual(idsOf(await call('GET', '/sources?includeDeleted=true')), ids);
  assert.deepEqual((await call('GET', '/connections')).body.data, [], 'with the source goes its connection');
  const [left] = (await call('GET', '/connections?includeDeleted=true')).body.data as { status: string }[];
  assert.equal(left?.status, 'deprecated');
});

test('running a known connector that is not installed says so', async (t) => {
  const { call, make, destinationId, connectionId } = await world(t);
  for (const sourceType of ['snowflake', 'stripe']) {
    const sourceId = await make('source', { sourceType });
    for (const answer of [
      await call('GET', `/streams?sourceId=${sourceId}`),
      await call('POST', '/connections', { sourceId, destinationId }),
    ]) {
      const { detail } = answer.body as unknown as Problem;
      assert.equal(answer.status, 422);
      assert.match(detail, new RegExp(`airbyte\\.source-${sourceType}" is not runnable. It is not installed`));
    }
  }
  const job = await call('POST', '/jobs', { connectionId, jobType: 'sync' });
  assert.deepEqual([job.status, job.body.title], [422, 'unprocessable-entity'], job.text);
});
