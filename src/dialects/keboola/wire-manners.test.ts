import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, type KeboolaServer, keboolaServer } from '../../../test/support/keboola.ts';

/** What holds for every route of every Keboola service, tried on all of them. */
type Route = { method: string; url: string; service: string };

function routesOf({ server }: KeboolaServer, wanted: (route: Route & { isPublic: boolean }) => boolean): Route[] {
  return server.routes
    .filter(({ method }) => method !== 'HEAD' && method !== 'OPTIONS')
    .map(({ method, url, isPublic }) => ({ method, url, isPublic, service: serviceOf(url) }))
    .filter((route) => route.service !== '' && wanted(route));
}

function serviceOf(url: string): string {
  const first = url.split('/')[1] ?? '';
  if (first === 'v2') return 'storage';
  return ['manage', 'queue', 'syrup'].includes(first) ? first : '';
}

/** A path with something plausible in place of every parameter. */
const pathOf = (url: string) => url.replace(/:[A-Za-z]+|\*/g, '1');

function assertErrorShape(answer: Answer, service: string, status: number): void {
  const what = `${answer.status} ${answer.body}`;
  assert.equal(answer.status, status, what);
  assert.equal(answer.headers['content-type'], 'application/json', what);
  const body = answer.json<Record<string, unknown>>();
  assert.equal(body.status, 'error', what);
  assert.equal(typeof body.error, 'string', what);
  assert.match(String(body.exceptionId), /^exception-/, what);
  if (service === 'storage' || service === 'manage')
    assert.ok(!('code' in body) || typeof body.code === 'string', what);
  else assert.equal(body.code, status, what);
  if (service === 'syrup') assert.equal(typeof body.message, 'string', what);
}

test('without a token, or with a wrong one, every route answers 401 before anything else', async (t) => {
  const server = await keboolaServer(t);
  for (const { method, url, service } of routesOf(server, ({ isPublic }) => !isPublic)) {
    const headers = { 'content-type': 'application/json', ...(service === 'manage' && { 'x-kbc-manageapitoken': '' }) };
    const missing = await server.call(method, pathOf(url), { token: null, headers, payload: '{broken' });
    assertErrorShape(missing, service, 401);
    assert.match(missing.body, /Access token must be set/);
    const secret = '1-1-secretsecretsecret';
    const wrong = await server.call(method, pathOf(url), {
      token: secret,
      headers: { 'x-kbc-manageapitoken': secret },
    });
    assertErrorShape(wrong, service, 401);
    assert.match(wrong.body, /Invalid access token/);
    assert.ok(!wrong.body.includes('secret'));
  }
});

test('a token may also come as a bearer', async (t) => {
  const { call, credentials } = await keboolaServer(t);
  const headers = { authorization: `Bearer ${credentials.keboola.storageToken}` };
  assert.equal((await call('GET', '/v2/storage/tokens/verify', { token: null, headers })).status, 200);
  assert.equal(
    (await call('GET', '/v2/storage/tokens/verify', { token: null, headers: { authorization: 'Basic x' } })).status,
    401,
  );
});

test('a broken or unknown body is refused in the shape of the service', async (t) => {
  const server = await keboolaServer(t);
  const token = server.credentials.keboola.storageToken;
  const manage = { 'x-kbc-manageapitoken': server.credentials.keboola.manageToken };
  for (const { method, url, service } of routesOf(
    server,
    ({ method: verb, isPublic }) => verb !== 'GET' && !isPublic,
  )) {
    const send = (payload: string | Buffer, type?: string) =>
      server.call(method, pathOf(url), {
        token,
        payload,
        headers: { ...manage, ...(type && { 'content-type': type }) },
      });
    assertErrorShape(await send('{"a":', 'application/json'), service, 400);
    assertErrorShape(await send('not json', 'application/json'), service, 400);
    assertErrorShape(await send('"text"', 'application/json'), service, 400);
    assertErrorShape(await send('<a/>', 'application/xml'), service, 415);
    assertErrorShape(await send('x', 'no media type'), service, 415);
    assertErrorShape(await send('a=%ff%fe', 'application/x-www-form-urlencoded'), service, 400);
    assertErrorShape(await send('broken', 'multipart/form-data; boundary=x'), service, 400);
  }
});

test('nothing, {}, [] and no content type all mean no parameters', async (t) => {
  const { call } = await keboolaServer(t);
  const variants: [string | undefined, string | undefined][] = [
    [undefined, undefined],
    ['', 'application/json'],
    ['{}', 'application/json'],
    ['[]', 'application/json'],
    ['null', 'application/json; charset=utf-8'],
    ['', 'application/x-www-form-urlencoded'],
    ['{}', undefined],
  ];
  for (const [payload, type] of variants) {
    const headers = type === undefined ? {} : { 'content-type': type };
    const answer = await call('POST', '/v2/storage/tickets', { headers, ...(payload !== undefined && { payload }) });
    assert.equal(answer.status, 201, `${payload} as ${type}: ${answer.body}`);
  }
});

test('one bucket can be asked for in JSON, in a form, in JSON called a form, and in multipart', async (t) => {
  const { call } = await keboolaServer(t);
  const form = 'application/x-www-form-urlencoded';
  const multipart =
    '--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nfour\r\n' +
    '--b\r\nContent-Disposition: form-data; name="stage"\r\n\r\nout\r\n--b--\r\n';
  const variants: [string, string, string][] = [
    ['out.c-one', '{"name":"one","stage":"out","description":null}', 'application/json'],
    ['out.c-two', 'name=two&stage=out', form],
    ['out.c-three', ' {"name":"three","stage":"out"}', form],
    ['out.c-four', multipart, 'multipart/form-data; boundary=b'],
  ];
  for (const [id, payload, type] of variants) {
    const answer = await call('POST', '/v2/storage/buckets', { payload, headers: { 'content-type': type } });
    assert.equal(answer.status, 201, answer.body);
    assert.equal(answer.json<{ id: string }>().id, id);
  }
});

test('a trailing slash and a branch prefix change no answer', async (t) => {
  const server = await keboolaServer(t);
  const { branchId } = await server.core.identity.authenticateStorageToken(server.credentials.keboola.storageToken);
  const strip = ({ status, body }: Answer) => `${status} ${body.replace(/exception-[0-9a-f]+/, '')}`;
  for (const { url, service } of routesOf(server, ({ method }) => method === 'GET')) {
    const headers = { 'x-kbc-manageapitoken': server.credentials.keboola.manageToken };
    const path = pathOf(url);
    const plain = strip(await server.call('GET', path, { headers }));
    assert.equal(strip(await server.call('GET', `${path}/`, { headers })), plain, path);
    // The one call that the original has below a branch only.
    if (service !== 'storage' || url.endsWith('/search/component-configurations')) continue;
    for (const branch of ['default', String(branchId)]) {
      const prefixed = path.replace('/v2/storage', `/v2/storage/branch/${branch}`);
      assert.equal(strip(await server.call('GET', prefixed, { headers })), plain, prefixed);
    }
  }
});

test('a branch that is none is not found', async (t) => {
  const { call } = await keboolaServer(t);
  for (const branch of ['999999', 'main', '0', '99999999999999999999', '-1']) {
    const answer = await call('GET', `/v2/storage/branch/${branch}/buckets`);
    assertErrorShape(answer, 'storage', 404);
    assert.match(answer.body, /Branch id:\\".+\\" was not found\./);
  }
});

test('what cannot be a URL is refused in the shape of the service it asks for', async (t) => {
  const { call } = await keboolaServer(t);
  for (const [path, service] of [
    ['/v2/storage/buckets/%E0%A4%A', 'storage'],
    ['/v2/storage/branch/%zz/buckets/%zz', 'storage'],
    ['/manage/%', 'manage'],
    ['/queue/jobs/%zz', 'queue'],
    ['/syrup/queue/job/%zz', 'syrup'],
  ] as const) {
    assertErrorShape(await call('GET', path), service, 400);
  }
  assertErrorShape(await call('GET', `/v2/storage/buckets/${'a'.repeat(5000)}`), 'storage', 404);
  assertErrorShape(await call('GET', `/syrup/queue/job/${'a'.repeat(5000)}`), 'syrup', 404);
});

test('an unknown route or method is 404, a known one that is not built 501', async (t) => {
  const { call } = await keboolaServer(t);
  const cases: [string, string, string, number][] = [
    ['GET', '/v2/storage/nothing', 'storage', 404],
    ['PATCH', '/v2/storage/buckets/in.c-x', 'storage', 404],
    ['GET', '/queue/nothing', 'queue', 404],
    ['GET', '/syrup/nothing/at/all', 'syrup', 404],
    ['GET', '/manage/nothing', 'manage', 404],
    ['GET', '/v2/storage/workspaces/1/credentials', 'storage', 501],
    ['POST', '/v2/storage/branch/default/workspaces/1/input-mapping-load', 'storage', 501],
    ['GET', '/v2/storage/listings/', 'storage', 501],
    ['POST', '/v2/storage/buckets/in.c-x/table-aliases', 'storage', 501],
    ['POST', '/encryption/encrypt', 'queue', 501],
    ['GET', '/provisioning-management/x', 'syrup', 501],
  ];
  for (const [method, path, service, status] of cases) {
    const answer = await call(method, path, { payload: method === 'GET' ? undefined : {} } as object);
    assertErrorShape(answer, service, status);
    if (status === 501) assert.match(answer.body, /"(error|message)":"Not implemented"/);
  }
});

test('a JSON body over 20 MB is refused', async (t) => {
  const { call } = await keboolaServer(t);
  const answer = await call('POST', '/v2/storage/events', { payload: { component: 'a', message: 'x'.repeat(21e6) } });
  assertErrorShape(answer, 'storage', 413);
  assert.equal(answer.json<{ code: string }>().code, 'requestTooLarge');
});

test('a body nested deeper than anything can read is refused', async (t) => {
  const { call } = await keboolaServer(t);
  for (const depth of [2000, 100_000]) {
    const body = `{"component":"a","message":"b","params":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    const answer = await call('POST', '/v2/storage/events', {
      payload: body,
      headers: { 'content-type': 'application/json' },
    });
    assertErrorShape(answer, 'storage', 400);
  }
});

test('success without content has neither body nor content type', async (t) => {
  const { call } = await keboolaServer(t);
  const answer = await call('POST', '/v2/storage/validate/column-names', { payload: { columnNames: ['a'] } });
  assert.equal(answer.status, 204);
  assert.equal(answer.body, '');
  assert.equal(answer.headers['content-type'], undefined);
});

test('an error nobody foresaw is a 500 in general words', async (t) => {
  const { call, core } = await keboolaServer(t);
  core.components.list = () => {
    throw new Error('the secret inner text');
  };
  const answer = await call('GET', '/v2/storage');
  assertErrorShape(answer, 'storage', 500);
  assert.ok(!answer.body.includes('secret inner'));
});

test('browsers of other origins may call', async (t) => {
  const { call } = await keboolaServer(t);
  const preflight = await call('OPTIONS', '/v2/storage/buckets', { token: null });
  assert.equal(preflight.status, 204);
  assert.match(String(preflight.headers['access-control-allow-methods']), /DELETE/);
  assert.equal((await call('GET', '/v2/storage/nothing')).headers['access-control-allow-origin'], '*');
});
