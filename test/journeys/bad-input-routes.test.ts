import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from '../../src/db/sql.ts';
import { AIRBYTE_PREFIXES } from '../../src/dialects/airbyte/index.ts';
import { SERVICES } from '../../src/dialects/keboola/services.ts';
import { type Answer, type KeboolaServer, keboolaServer } from '../support/keboola.ts';
import { type Call, MATRIX } from '../tenancy/matrix.ts';
import { type Ids, seedTenant, UNKNOWN } from '../tenancy/seed.ts';
import { assertShape } from './bad-input-world.ts';

/**
 * Every route there is, called wrongly in every way that fits all of them. What each route says to which mistake is in
 * the tests of its own; here: it is refused in the dialect's own shape, tells nothing of our insides, and nothing breaks.
 */
type Dialect = 'storage' | 'queue' | 'syrup' | 'airbyte' | 'syncano';
type Headers = Record<string, string>;
type Route = { method: string; url: string; call: Call; dialect: Dialect };

test('every route refuses strangers in its own words', async (t) => {
  const server = await keboolaServer(t);
  const { credentials } = server;
  const { secret: expired } = await server.core.identity.createToken(server.actor, {
    description: 'short',
    expiresInSeconds: 1,
  });
  const bearer = await server.core.identity.exchangeApplication(
    credentials.airbyte.clientId,
    credentials.airbyte.clientSecret,
  );
  await server.db.query(sql`update tokens set expires_at = now() where kind = 'bearer'`);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  const strangers: Record<Dialect, (Headers | undefined)[]> = {
    storage: [{}, storage('nonsense'), storage('1-1-0000000000000000000000000000000000000000'), storage(expired)],
    queue: [{}, storage('\u00ff'), storage(credentials.syncano.accountKey), storage(expired)],
    syrup: [{}, storage(''), storage(credentials.airbyte.clientSecret), storage(expired)],
    airbyte: [
      {},
      ...['', 'Bearer', 'Bearer x', 'Bearer a b c', 'Basic x', 'Basic Og==', 'Digest x', `Basic ${'A'.repeat(9000)}`]
        .concat(
          `Bearer ${credentials.keboola.storageToken}`,
          `Bearer ${bearer.secret}`,
          basic(credentials.airbyte.clientId, expired),
        )
        .map((authorization) => ({ authorization })),
    ],
    syncano: [
      {},
      ...['', 'x', 'a'.repeat(40), 'ä', credentials.keboola.storageToken, expired].map((key) => ({ 'x-api-key': key })),
      { authorization: 'token x' },
    ],
  };
  for (const route of routesOf(server)) {
    await t.test(`${route.method} ${route.url}`, async () => {
      for (const headers of strangers[route.dialect]) {
        const answer = await server.call(route.method, pathOf(route, UNKNOWN), {
          token: null,
          headers: { ...json, ...headers, ...(route.url.startsWith('/manage') && { 'x-kbc-manageapitoken': 'x' }) },
          ...(hasBody(route) && { payload: '{"a": ' }),
        });
        const allowed = route.dialect === 'syncano' ? [401, 403] : [401];
        // What stands before the question who asks: no such instance for whoever, a key in a body that is none.
        if (route.dialect === 'syncano') allowed.push(404, ...(hasBody(route) ? [400] : []));
        assert.ok(allowed.includes(answer.status), `${JSON.stringify(headers)}: ${answer.status} ${answer.body}`);
        assertRefusal(route, answer, JSON.stringify(headers));
      }
    });
  }
});

test('every route takes wrong bodies, addresses and queries without breaking', async (t) => {
  const server = await keboolaServer(t);
  const ids = await seedTenant(server, server.credentials.keboola.storageToken);
  const authorized = authorize(server);
  // What deletes comes last, so that the others find what they ask for, and what takes our own key away after that.
  // Both prefixes of one dialect have the same handlers, and so have the many spellings of a run in Syrup.
  const routes = routesOf(server)
    .filter(({ url }) => !/^\/v1\/|^\/syrup\/(docker\/)?branch\/|^\/syrup\/docker\/:/.test(url))
    .sort((a, b) => endsThings(a) - endsThings(b));
  for (const route of routes) {
    await t.test(`${route.method} ${route.url}`, async () => {
      const send = async (what: string, path: string, payload?: string | Buffer, headers: Headers = {}) => {
        const answer = await within(
          server.call(route.method, path, {
            token: null,
            headers: { ...authorized[route.dialect], ...(payload !== undefined && json), ...headers },
            ...(payload !== undefined && { payload }),
          }),
          what,
        );
        assertRefusal(route, answer, `${what}: ${path}`);
        return answer;
      };
      const path = pathOf(route, ids);
      for (const [what, broken] of brokenPaths(route, ids)) await send(what, broken, hasBody(route) ? '{}' : undefined);
      // Whatever can be run is, and here is nobody who does it.
      if (RUNS_SCRIPT.test(route.url)) return;
      const queries = route.url.endsWith('/data-preview') ? PREVIEW_QUERIES : brokenQueries(route);
      for (const query of queries) await send('query', withQuery(path, query), hasBody(route) ? '[]' : undefined);
      if (!hasBody(route)) return;
      const bodies = route.method === 'POST' ? BROKEN_BODIES : everySecond(BROKEN_BODIES, path.length);
      for (const [what, payload, headers] of bodies) {
        const { status, body } = await send(what, path, payload, headers);
        assert.ok(status >= 400 || !/JSON cut off$|bytes/.test(what), `${what} was taken: ${status} ${body}`);
      }
      if (WAITS_FOR_WORKER.includes(`${route.method} ${route.url}`)) return;
      for (const payload of brokenMembers(route, ids)) await send('member', path, payload);
    });
  }
  const verified = await server.call('GET', '/v2/storage/tokens/verify');
  assert.equal(verified.status, 200, 'the server still works');
});

test('an address that is no address is refused in the shape of the dialect it asks for', async (t) => {
  const server = await keboolaServer(t);
  for (const [dialect, prefix] of [
    ['storage', '/v2/storage'],
    ['queue', '/queue'],
    ['syrup', '/syrup'],
    ['airbyte', '/api/public/v1'],
    ['airbyte', '/v1'],
    ['syncano', '/v1.1'],
  ] as const) {
    for (const rest of ['/%', '/%zz/x', '/a%00b', `/${'x'.repeat(5000)}`, '/%c0%af', '/no/such/thing']) {
      const answer = await server.call('GET', prefix + rest, { headers: authorize(server)[dialect] });
      assert.ok(answer.status >= 400 && answer.status < 500, `${prefix}${rest.slice(0, 20)}: ${answer.status}`);
      assertRefusal({ method: 'GET', url: `${prefix}/x`, call: {}, dialect }, answer, rest.slice(0, 20));
    }
  }
});

test('what one API has half made, the others show or leave out, and do not stumble over', async (t) => {
  const server = await keboolaServer(t);
  const headers = authorize(server);
  const strange = [
    {},
    { parameters: null },
    { parameters: [] },
    { parameters: 5 },
    { parameters: { source: 1, destination: 2, streams: [1, null] } },
    { parameters: { source: {}, destination: {}, streams: [{}] } },
    { parameters: { source: {}, destination: {}, streams: [], schedule: { type: 'cron', expression: 'x' } } },
    { parameters: { source: {}, destination: {}, streams: [], schedule: 5, namespace: [], prefix: {} } },
    { parameters: { source: {}, destination: {}, streams: [{ stream: { name: 5 }, cursorField: 1, primaryKey: {} }] } },
    { parameters: { url: {}, dataset_name: [], primary_key: 'x' } },
    { parameters: { runtime: 5, source: {}, config: [] } },
    { parameters: { runtime: 'nodejs', source: null, config: 'x' } },
  ];
  const made: [component: string, id: string][] = [];
  for (const component of [
    'millrace.connection',
    'millrace.source-file',
    'millrace.destination-storage',
    'millrace.script',
  ])
    for (const [index, configuration] of strange.entries()) {
      // Scripts are known by numbers.
      const id = component === 'millrace.script' ? String(9000 + index) : `half-${index}`;
      const { status, body } = await server.call('POST', `/v2/storage/components/${component}/configs`, {
        payload: { configurationId: id, name: 'half', configuration },
      });
      assert.ok(status < 500, body);
      if (status < 300) made.push([component, id]);
    }
  assert.ok(made.length > strange.length, 'nothing strange could be made');
  const { instance } = server.credentials.syncano;
  const own = `/v1.1/instances/${instance}/snippets/scripts`;
  const roots: Record<string, [Dialect, string]> = {
    'millrace.connection': ['airbyte', '/v1/connections'],
    'millrace.source-file': ['airbyte', '/v1/sources'],
    'millrace.destination-storage': ['airbyte', '/v1/destinations'],
    'millrace.script': ['syncano', own],
  };
  const calls: [Dialect, string, string, object?][] = Object.values(roots).map(([dialect, url]) => [
    dialect,
    'GET',
    url,
  ]);
  for (const [component, id] of made) {
    const [dialect, root] = roots[component] ?? ['storage', ''];
    calls.push([dialect, 'GET', `${root}/${id}`], [dialect, 'PATCH', `${root}/${id}`, { name: 'x', label: 'x' }]);
    calls.push(['queue', 'POST', '/queue/jobs', { component, config: id, mode: 'run' }]);
    if (component === 'millrace.connection')
      calls.push(['airbyte', 'POST', '/v1/jobs', { connectionId: id, jobType: 'sync' }]);
    if (component === 'millrace.script') {
      calls.push(['syncano', 'POST', `${root}/${id}/run`, {}], ['syncano', 'GET', `${root}/${id}/traces`]);
      const schedule = { label: 'x', script: Number(id), interval_sec: 60 };
      calls.push(['syncano', 'POST', `/v1.1/instances/${instance}/schedules`, schedule]);
    }
    calls.push(['storage', 'GET', `/v2/storage/components/${component}/configs/${id}`]);
  }
  calls.push(...calls.slice(0, 4), ['queue', 'GET', '/queue/jobs'], ['airbyte', 'GET', '/v1/jobs']);
  const broken: string[] = [];
  for (const [dialect, method, url, payload] of calls) {
    const { status, body } = await server.call(method, url, {
      token: null,
      headers: { ...headers[dialect], ...(payload && json) },
      ...(payload && { payload }),
    });
    if (status >= 500 && status !== 501) broken.push(`${method} ${url}: ${status} ${body}`);
  }
  assert.deepEqual(broken, []);
});

const json: Headers = { 'content-type': 'application/json' };
const form: Headers = { 'content-type': 'application/x-www-form-urlencoded' };
const storage = (token: string): Headers => ({ 'x-storageapi-token': token });
const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

/** With a whole body these are answered when a worker has done the job, and here is none. */
const RUNS_SCRIPT = /\/endpoints\/scripts\/(:name\/run|p\/:link\/:name)$/;
const WAITS_FOR_WORKER = ['POST /v2/storage/buckets/:bucketId/tables', 'POST /v2/storage/tables/:tableId/import'];

function routesOf({ server }: KeboolaServer): Route[] {
  return server.routes.flatMap(({ method, url }) => {
    const call = MATRIX[`${method} ${url}`];
    return call ? [{ method, url, call, dialect: dialectOf(url) }] : [];
  });
}

function dialectOf(url: string): Dialect {
  if (/^\/(v2\/storage|manage)(\/|$)/.test(url)) return 'storage';
  if (url.startsWith('/v1.1')) return 'syncano';
  if (AIRBYTE_PREFIXES.some((prefix) => url.startsWith(`${prefix}/`))) return 'airbyte';
  const service = SERVICES.find(({ path }) => url.startsWith(`/${path}/`));
  assert.ok(service, `${url} belongs to no dialect`);
  return service.family === 'syrup' ? 'syrup' : 'queue';
}

function authorize({ credentials }: KeboolaServer): Record<Dialect, Headers> {
  const { keboola, airbyte, syncano } = credentials;
  const ofKeboola = { ...storage(keboola.storageToken), 'x-kbc-manageapitoken': keboola.manageToken };
  return {
    storage: ofKeboola,
    queue: ofKeboola,
    syrup: ofKeboola,
    airbyte: { authorization: basic(airbyte.clientId, airbyte.clientSecret) },
    syncano: { 'x-api-key': syncano.accountKey },
  };
}

const RENEWS_KEY = /\/account\/reset_key$/;
const endsThings = ({ method, url }: Route) => (RENEWS_KEY.test(url) ? 2 : Number(method === 'DELETE'));

const hasBody = ({ method }: Route) => ['POST', 'PUT', 'PATCH', 'DELETE'].includes(method);

function pathOf({ url, call }: Route, ids: Ids, change: Record<string, string> = {}): string {
  const params = { ...call.params?.(ids), ...change };
  return url.replace(/:([A-Za-z]+)|\*/g, (_, name: string | undefined) => params[name ?? '*'] ?? 'x');
}

const withQuery = (path: string, query: string) => `${path}?${query}`;

const BROKEN_IDS = [
  '0',
  '-1',
  '1.5',
  '9'.repeat(10),
  '9'.repeat(20),
  '9'.repeat(400),
  'null',
  '__proto__',
  '%00',
  'a%00b',
  '%F0%9F%A6%93',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  "'%20or%201=1--",
  '%25',
  '01900000-0000-4000-8000-00000000000',
  'x'.repeat(3000),
];

function* brokenPaths(route: Route, ids: Ids): Generator<[string, string]> {
  for (const name of Object.keys(route.call.params?.(ids) ?? {}))
    for (const id of everySecond(BROKEN_IDS, route.url.length))
      yield [`${name} ${id.slice(0, 30)}`, pathOf(route, ids, { [name]: id })];
}

const HUGE = '9'.repeat(30);

/** What lists are asked with. */
const LIST_PARAMETERS: Record<Dialect, string[]> = {
  storage: [
    ...['limit', 'offset', 'sinceId', 'maxId', 'include', 'q', 'component', 'runId', 'tags', 'showInternal', 'format'],
    ...['whereColumn', 'whereValues', 'whereFilters', 'columns', 'changedSince', 'orderBy', 'isDeleted'],
  ],
  queue: [
    ...['limit', 'offset', 'id', 'config', 'component', 'componentProps', 'status', 'runId', 'branchId', 'mode'],
    ...['sortBy', 'sortOrder', 'createdTimeFrom', 'durationSecondsFrom', 'configRowIds'],
  ],
  syrup: ['limit', 'offset', 'q', 'projectId', 'component', 'type', 'status', 'runId'],
  airbyte: [
    ...['limit', 'offset', 'workspaceIds', 'connectionId', 'sourceId', 'destinationId', 'jobType', 'status', 'orderBy'],
    ...['createdAtStart', 'updatedAtEnd', 'includeDeleted', 'ignoreCache', 'type', 'tagIds'],
  ],
  syncano: [
    ...[
      'page_size',
      'last_pk',
      'direction',
      'query',
      'fields',
      'excluded_fields',
      'order_by',
      'ordering',
      'last_value',
    ],
    ...['include_count', 'expected_revision', 'limit', 'template_response'],
  ],
};
const BROKEN_TEXTS = ['-1', HUGE, '%00', '', '%7B%22a%22%3A', '%5B%5B%5D', '%F0%9F%A6%93', 'NaN'];

const BROKEN_QUERIES = [
  'limit[a][b][c]=1',
  'query[_gt]=1',
  'a=%zz&b=%',
  '__proto__[x]=1&constructor=1',
  '&&&===',
  'q=AND+OR+(NOT',
  'q=objectId:',
  'query=%7B%22marker%22%3A%7B%22_regex%22%3A%22((((%22%7D%7D',
  'query=%7B%22id%22%3A%7B%22_gt%22%3A%229999999999999999999999%22%7D%7D',
  'query=%7B%22nope%22%3A%7B%22_eq%22%3A1%7D%7D',
  'query=%7B%22marker%22%3A%7B%22_in%22%3A%22x%22%7D%7D',
  'query=%7B%22marker%22%3A%7B%22_eq%22%3A%22%5Cu0000%22%7D%7D',
  'order_by=-nope&page_size=0',
  'direction=0&last_pk=x',
  'direction=7&last_pk=9223372036854775808',
  'page_size=100000&offset=-5',
  'limit=1&limit=2&limit[]=3',
];

/** Whatever is right in these would be answered by an engine, and here is none. */
const PREVIEW_QUERIES = [
  'limit=-1',
  `limit=${HUGE}`,
  'limit=x',
  'format=x',
  'whereFilters[0][column]=x',
  'columns=%00',
];

/** One parameter after the other where they are read, all together where nobody reads them. */
function* brokenQueries({ method, url, dialect }: Route): Generator<string> {
  const names = LIST_PARAMETERS[dialect];
  if (method !== 'GET' && SLOW.test(url)) return;
  const isList = method === 'GET' && !/(Id|:id|:instance|:class|verify)$/.test(url);
  if (isList)
    for (const [index, name] of names.entries())
      for (const text of everySecond(BROKEN_TEXTS, index + url.length).slice(0, 3)) yield `${name}=${text}`;
  else for (const text of everySecond(BROKEN_TEXTS, url.length)) yield names.map((name) => `${name}=${text}`).join('&');
  if (isList) yield* BROKEN_QUERIES;
}

const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const deepObject = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

const BROKEN_BODIES: [what: string, payload: string | Buffer, headers?: Headers][] = [
  ['JSON cut off', '{"name": "x", "a"'],
  ['JSON cut off as a form of curl', '{"name": x}', form],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80])],
  ['an array', '[]'],
  ['a list of objects', '[{"a":1}]'],
  ['a text', '"x"'],
  ['a number', '1e999'],
  ['null', 'null'],
  ['nothing', ''],
  ['deep lists', deep(50_000)],
  ['deep objects', deepObject(50_000)],
  ['a deep member', `{"configuration":${deepObject(20_000)},"configData":${deepObject(20_000)}}`],
  ['deep names', `{"schema":${deep(20_000)},"requests":${deep(20_000)},"a":${deep(20_000)}}`],
  ['names of the language', '{"__proto__":{"x":1},"constructor":{"prototype":{}},"toString":1,"hasOwnProperty":1}'],
  ['XML', '<a/>', { 'content-type': 'text/xml' }],
  ['a type that is none', '{}', { 'content-type': 'nonsense' }],
  ['an unknown charset', '{}', { 'content-type': 'application/json; charset=utf-7' }],
  ['multipart without parts', 'x', { 'content-type': 'multipart/form-data; boundary=y' }],
  ['multipart without a boundary', 'x', { 'content-type': 'multipart/form-data' }],
  ['a form', 'a=1&a=2&b[c][d]=3&=&%zz=%zz&__proto__[a]=1', form],
  ['many members', `{${Array.from({ length: 5000 }, (_, index) => `"k${index}":1`).join()}}`],
];

const BROKEN_VALUES = [
  'null',
  '-1',
  HUGE,
  '""',
  '"a\\u0000b"',
  '"\\ud800"',
  `"${'x'.repeat(70_000)}"`,
  '[null]',
  '[{"name":null}]',
  '{"a":{"b":null}}',
  '{"\\u0000":1}',
  deep(3000),
];

/** The members a client sends, and those that other clients send, one after the other with what it cannot be. */
function* brokenMembers(route: Route, ids: Ids): Generator<string> {
  const body = { ...route.call.body?.(ids) } as Record<string, unknown>;
  const further =
    ['POST', 'PUT', 'PATCH'].includes(route.method) && !SLOW.test(route.url) ? MEMBERS[route.dialect] : [];
  const names = new Set([...Object.keys(body), ...further]);
  const wrong = SLOW.test(route.url) ? BROKEN_VALUES.slice(0, 6) : BROKEN_VALUES;
  for (const [index, name] of [...names].entries()) {
    const rest = Object.entries(body).filter(([other]) => other !== name);
    const before = rest.map(([other, value]) => `${JSON.stringify(other)}:${JSON.stringify(value)},`).join('');
    for (const value of everySecond(wrong, index)) yield `{${before}${JSON.stringify(name)}:${value}}`;
  }
}

/** Half of them, the other half for the next one: over so many routes each meets each often enough. */
const everySecond = <T>(values: readonly T[], start: number) => values.filter((_, index) => (index + start) % 2 === 0);

/** What makes a tenant or a database, or hashes a password, each time: their own members will do. */
const SLOW = /^\/manage|\/users?(\/|$)|\/workspaces$|provisioning\/:backend$/;

/** What the bodies of the matrix leave out. */
const MEMBERS: Record<Dialect, string[]> = {
  storage: ['name', 'stage', 'configuration', 'state', 'rowsSortOrder', 'metadata', 'tags', 'bucketPermissions'],
  queue: ['component', 'config', 'configData', 'configRowIds', 'mode', 'backend', 'delay', 'variableValuesData', 'tag'],
  syrup: ['config', 'configData', 'row', 'variableValuesId', 'type'],
  airbyte: [
    ...['name', 'workspaceId', 'configuration', 'definitionId', 'sourceId', 'destinationId', 'connectionId', 'jobType'],
    ...['configurations', 'schedule', 'status', 'prefix', 'namespaceDefinition', 'namespaceFormat', 'secretId', 'tags'],
    ...['dataResidency', 'nonBreakingSchemaUpdatesBehavior', 'resourceAllocation'],
  ],
  syncano: [
    ...['name', 'schema', 'description', 'group', 'group_permissions', 'other_permissions', 'metadata', 'username'],
    ...['password', 'expected_revision', 'marker', 'owner', 'owner_permissions', 'requests', '_api_key', '_method'],
  ],
};

/** What our insides look like: a stack, a path, the words of the database or of the language. */
const INSIDES =
  /\bat [\w.<>]+ \(|node_modules|\/(work|root|home|tmp)\/|\.(ts|js):\d|select .+ from|violates|duplicate key|invalid input syntax|invalid byte sequence|out of range for type|relation "|column "\w+" |Cannot read prop|is not a function|is not iterable|undefined \(|call stack|ECONN|ENOENT|unterminated|pg_/i;

function assertRefusal(route: Route, answer: Answer, what: string): void {
  const about = `${what.slice(0, 300)}\n${answer.status} ${answer.body.slice(0, 1000)}`;
  assert.ok(answer.status < 500 || answer.status === 501, about);
  if (answer.status < 400) return;
  assert.doesNotMatch(answer.body.replaceAll(/x{50,}/g, ''), INSIDES, about);
  if (answer.body === '' && route.method === 'HEAD') return;
  const type = String(answer.headers['content-type']);
  assert.match(type, /^application\/json/, about);
  const body = answer.json<Record<string, unknown>>();
  switch (route.dialect) {
    case 'airbyte':
      assert.deepEqual(
        Object.keys(body),
        ['status', 'type', 'title', 'detail', 'documentationUrl', 'data', 'errorId'],
        about,
      );
      assert.deepEqual(
        [body.status, typeof body.title, typeof body.detail],
        [answer.status, 'string', 'string'],
        about,
      );
      return;
    case 'syncano':
      assertSyncano(body, about);
      return;
    default:
      assertShape(route.dialect, { status: answer.status, contentType: type, text: answer.body, json: body });
  }
}

/** `detail`, or texts under the names of what is wrong, alone or in lists. */
function assertSyncano(body: unknown, about: string): void {
  assert.ok(typeof body === 'object' && body !== null && !Array.isArray(body), about);
  assert.ok(Object.keys(body).length > 0, about);
  for (const value of Object.values(body)) {
    const texts = Array.isArray(value) ? value : [value];
    assert.ok(
      texts.every((text) => typeof text === 'string' || typeof text === 'object'),
      about,
    );
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within 10 seconds: ${what}`)), 10_000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
