import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { keboolaServer } from '../../test/support/keboola.ts';
import { startPlatform } from '../../test/support/platform.ts';

test('a host name of a service means its path', async (t) => {
  const { call } = await keboolaServer(t);
  const get = (path: string, host: string) => call('GET', path, { headers: { host } });
  for (const host of ['queue.localhost:8000', 'queue.localhost', 'QUEUE.localhost:8000']) {
    assert.equal((await get('/search/jobs', host)).status, 200, host);
  }
  assert.equal((await get('/v2/storage/tokens/verify', 'connection.localhost:8000')).status, 200);
  assert.equal((await get('/encryption', 'localhost:8000')).status, 501);
  assert.equal((await get('/anything', 'encryption.localhost:8000')).status, 501);
  // Other names are served by path alone.
  for (const host of ['queue.example.com', 'unknown.localhost', 'localhost', '[::1]:8000', '10.0.0.1:80']) {
    assert.equal((await get('/queue/search/jobs', host)).status, 200, host);
  }
});

test('health, welcome, metrics and docs need no token', async (t) => {
  const { call } = await keboolaServer(t);
  const get = (path: string, accept?: string) =>
    call('GET', path, { token: null, ...(accept && { headers: { accept } }) });
  assert.deepEqual((await get('/health')).json(), { status: 'ok', version: '0.0.0-test' });
  assert.equal((await get('/')).json<{ name: string } & Record<string, never>>().name, 'millrace');
  assert.match((await get('/', 'text/html,*/*')).body, /^<!doctype html>/);
  await get('/v2/storage');
  const metrics = (await get('/metrics')).body;
  assert.match(metrics, /millrace_http_requests_total\{dialect="keboola",method="GET",status="200"\} 1/);
  const page = await get('/docs');
  assert.match(String(page.headers['content-type']), /^text\/html/);
  for (const text of ['/v2/storage/buckets/{bucketId}', 'Make a bucket', '/queue/jobs', '/manage/projects']) {
    assert.ok(page.body.includes(text), text);
  }
  assert.ok(!/(src|href)="https?:/.test(page.body), 'the page has outside assets');
});

test('every route that is not a probe or a preflight is in the OpenAPI document', async (t) => {
  const { call, server } = await keboolaServer(t);
  type Document = { openapi: string; paths: Record<string, Record<string, { summary?: string }>> } & Record<
    string,
    never
  >;
  const { paths, openapi } = (await call('GET', '/docs/keboola/openapi.json')).json<Document>();
  assert.equal(openapi, '3.1.0');
  const isDocumented = (url: string) => /^\/(v2|manage|queue|syrup)(\/|$)/.test(url) && !url.endsWith('/health-check');
  for (const { method, url } of server.routes) {
    if (method === 'HEAD' || method === 'OPTIONS' || !isDocumented(url)) continue;
    const path = url.replace(/:([A-Za-z]+)/g, '{$1}').replace('*', '{*}');
    const operation = (paths[path] ?? paths[`${path}/`])?.[method.toLowerCase()];
    assert.ok(operation, `${method} ${url} is not documented`);
    assert.ok(operation.summary, `${method} ${url} has no summary`);
  }
});

test('an unknown path outside of every dialect is 404', async (t) => {
  const { call } = await keboolaServer(t);
  const answer = await call('GET', '/favicon.ico');
  assert.equal(answer.status, 404);
  assert.match(answer.body, /Not found/);
});

test('closing lets a running request finish and refuses new connections', async (t) => {
  const { url, platform, credentials } = await startPlatform(t);
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  let received = '';
  socket.on('data', (data) => {
    received += data;
  });
  const body = '{"component":"slow","message":"sent in two parts"}';
  const head = `POST /v2/storage/events HTTP/1.1\r\nhost: x\r\nx-storageapi-token: ${credentials.keboola.storageToken}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  socket.write(head + body.slice(0, 10));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stopped = platform.stop();
  await new Promise((resolve) => setTimeout(resolve, 100));
  socket.write(body.slice(10));
  await stopped;
  assert.match(received, /^HTTP\/1\.1 201 /);
  await assert.rejects(fetch(`${url}/health`));
});

test('what is no HTTP gets a 400 and nothing else breaks', async (t) => {
  const { url } = await startPlatform(t);
  const { hostname, port } = new URL(url);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write('\x16\x03\x01 hello\r\n\r\n'));
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  assert.match(answer, /^HTTP\/1\.1 400 /);
  assert.equal((await fetch(`${url}/health`)).status, 200);
});
