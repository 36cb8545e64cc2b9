import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import Fastify from 'fastify';
import { type FileWorld, fileWorld } from '../../../../test/support/file-world.ts';
import type { Core } from '../../../core/core.ts';
import { manifestName, type StoredFile } from '../../../core/files/file-model.ts';
import { BLOB_PREFIX, connectionString, signedUrl } from './blob-address.ts';
import { registerBlobEndpoint } from './index.ts';

type Endpoint = FileWorld & {
  base: string;
  file: StoredFile;
  /** URL of a blob or, with an empty name, of the container, signed for everything unless told otherwise. */
  url(name: string, query?: string, permissions?: string): string;
};

async function endpoint(t: TestContext, newFile: { isSliced?: boolean } = {}): Promise<Endpoint> {
  const world = await fileWorld(t);
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true } });
  registerBlobEndpoint(app, {
    core: { files: world.files } as Core,
    baseUrl: (request) => `http://${request.headers.host}`,
  });
  const base = await app.listen({ port: 0, host: '127.0.0.1' });
  t.after(() => app.close());
  const file = await world.files.prepare(world.actor, { name: 'my data.csv', ...newFile });
  const url = (name: string, query = '', permissions = 'rwld') => {
    const grant = world.files.sign(file, permissions);
    const sas = connectionString(base, grant).split('SharedAccessSignature=')[1];
    const blob = name === '' ? '' : `/${name}`;
    return `${base}${BLOB_PREFIX}/${file.container}${blob}?${query}${query && '&'}${sas}`;
  };
  return { ...world, base, file, url };
}

const BLOCK_BLOB = { 'x-ms-blob-type': 'BlockBlob' };

async function put(url: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(url, { method: 'PUT', body, headers: { ...BLOCK_BLOB, ...headers } });
  await response.arrayBuffer();
  return response;
}

async function codeOf(response: Response): Promise<[status: number, code: string | undefined]> {
  const text = await response.text();
  assert.equal(response.headers.get('content-type'), 'application/xml', text);
  const code = /<Error><Code>(\w+)<\/Code><Message>[^<]+<\/Message><\/Error>$/.exec(text)?.[1];
  assert.equal(response.headers.get('x-ms-error-code'), code);
  return [response.status, code];
}

test('a blob is written and read with its headers', async (t) => {
  const { url } = await endpoint(t);
  const written = await put(url('b.csv'), 'a,b\n', {
    'x-ms-version': '2017-11-09',
    'x-ms-client-request-id': 'mine',
    'x-ms-blob-content-disposition': 'attachment; filename=my data.csv',
    'x-ms-blob-content-type': 'text/csv',
    'content-type': 'application/x-www-form-urlencoded',
  });
  assert.equal(written.status, 201);
  assert.equal(written.headers.get('x-ms-version'), '2017-11-09');
  assert.equal(written.headers.get('x-ms-client-request-id'), 'mine');
  assert.ok(written.headers.get('x-ms-request-id'));

  const read = await fetch(url('b.csv', '', 'r'));
  assert.equal(read.status, 200);
  assert.equal(await read.text(), 'a,b\n');
  assert.equal(read.headers.get('content-type'), 'text/csv');
  assert.equal(read.headers.get('content-disposition'), 'attachment; filename=my data.csv');
  assert.equal(read.headers.get('etag'), written.headers.get('etag'));
  assert.match(read.headers.get('etag') ?? '', /^"[^"]+"$/);
  assert.equal(read.headers.get('content-length'), '4');
  assert.match(read.headers.get('last-modified') ?? '', /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  assert.equal(read.headers.get('content-security-policy'), 'sandbox');

  const head = await fetch(url('b.csv', '', 'r'), { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get('content-length'), '4');
  assert.equal(head.headers.get('last-modified'), read.headers.get('last-modified'));
});

test('any content type, even a broken one or none, is just bytes', async (t) => {
  const { url } = await endpoint(t);
  for (const type of ['application/json', 'multipart/form-data', 'nonsense', 'text/plain; charset=utf-8', ';;']) {
    const response = await put(url('b'), '{"half', { 'content-type': type });
    assert.equal(response.status, 201, type);
    assert.equal(await (await fetch(url('b'))).text(), '{"half');
  }
});

test('ranges: part, open end, past the end, of an empty blob', async (t) => {
  const { url } = await endpoint(t);
  await put(url('b'), '0123456789');
  await put(url('empty'), '');
  const get = async (name: string, range: string, header = 'x-ms-range') => {
    const response = await fetch(url(name), { headers: { [header]: range } });
    return [response.status, response.headers.get('content-range'), await response.text()];
  };
  assert.deepEqual(await get('b', 'bytes=2-4'), [206, 'bytes 2-4/10', '234']);
  assert.deepEqual(await get('b', 'bytes=2-4', 'range'), [206, 'bytes 2-4/10', '234']);
  assert.deepEqual(await get('b', 'bytes=0-33554431'), [206, 'bytes 0-9/10', '0123456789']);
  assert.deepEqual(await get('b', 'bytes=8-'), [206, 'bytes 8-9/10', '89']);
  assert.deepEqual(await get('b', 'bytes=-3'), [206, 'bytes 7-9/10', '789']);
  assert.deepEqual(await get('b', 'bytes=1-2,4-5'), [200, null, '0123456789']);
  for (const [name, range, size] of [
    ['b', 'bytes=10-12', 10],
    ['b', 'bytes=5-2', 10],
    ['empty', 'bytes=0-33554431', 0],
  ] as const) {
    const response = await fetch(url(name), { headers: { 'x-ms-range': range } });
    assert.equal(response.headers.get('content-range'), `bytes */${size}`);
    assert.deepEqual(await codeOf(response), [416, 'InvalidRange']);
  }
  const whole = await fetch(url('empty'));
  assert.deepEqual([whole.status, await whole.text(), whole.headers.get('content-length')], [200, '', '0']);
});

test('blocks in any order and at once, then the list', async (t) => {
  const { url } = await endpoint(t);
  const id = (n: number) => Buffer.from(String(n).padStart(5, '0')).toString('base64');
  const parts = Array.from({ length: 40 }, (_, i) => Buffer.alloc(20_000, i));
  await Promise.all(
    parts.map(async (part, i) => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const response = await put(url('b', `comp=block&blockid=${encodeURIComponent(id(39 - i))}`), part, headers);
      assert.equal(response.status, 201);
    }),
  );
  const waiting = await (await fetch(url('b', 'comp=blocklist&blocklisttype=all'))).text();
  assert.equal(waiting.match(/<Block>/g)?.length, 40);
  assert.deepEqual(await codeOf(await fetch(url('b'))), [404, 'BlobNotFound']);
  const list = parts.map(
    (_, i) => `<${i % 2 ? 'Latest' : 'Uncommitted'}>${id(39 - i)}</${i % 2 ? 'Latest' : 'Uncommitted'}>`,
  );
  const committed = await put(
    url('b', 'comp=blocklist'),
    `<?xml version="1.0" encoding="utf-8"?>\n<BlockList>\n${list.join('\n')}\n</BlockList>`,
    { 'x-ms-blob-content-disposition': 'attachment; filename=a.csv', 'content-type': 'application/xml' },
  );
  assert.equal(committed.status, 201);
  const read = await fetch(url('b'));
  assert.equal(read.headers.get('content-disposition'), 'attachment; filename=a.csv');
  assert.equal(read.headers.get('content-type'), 'application/octet-stream');
  assert.ok(Buffer.from(await read.arrayBuffer()).equals(Buffer.concat(parts)));

  for (const [xml, code] of [
    ['<BlockList><Latest>AAAA</Latest></BlockList>', 'InvalidBlockList'],
    ['<BlockList><Latest>AAAA</BlockList>', 'InvalidXmlDocument'],
    ['no xml', 'InvalidXmlDocument'],
  ] as const) {
    const response = await fetch(url('b', 'comp=blocklist'), { method: 'PUT', body: xml });
    assert.deepEqual(await codeOf(response), [400, code]);
  }
});

test('the signature decides: none, wrong, of another container, too weak, over', async (t) => {
  const { url, base, files, actor, clock } = await endpoint(t);
  const good = url('b', '', 'rwl');
  assert.equal((await put(good, 'x')).status, 201);
  const other = await files.prepare(actor, { name: 'other' });
  const cases = {
    none: good.split('?')[0] ?? '',
    wrong: `${good.slice(0, -4)}AAAA`,
    wider: good.replace('sp=rwl', 'sp=rwld'),
    later: good.replace(/se=\d{4}/, 'se=2999'),
    'of another container': signedUrl(base, other, files.sign(other, 'rwl')).split('?')[1],
  };
  for (const [name, sas] of Object.entries(cases)) {
    const to = name === 'of another container' ? `${good.split('?')[0]}?${sas}` : (sas ?? '');
    assert.deepEqual(await codeOf(await fetch(to)), [403, 'AuthenticationFailed'], name);
  }
  assert.deepEqual(await codeOf(await fetch(good, { method: 'DELETE' })), [403, 'AuthorizationPermissionMismatch']);
  const readOnly = url('b', '', 'rl');
  const refused = await fetch(readOnly, { method: 'PUT', body: 'x', headers: BLOCK_BLOB });
  assert.deepEqual(await codeOf(refused), [403, 'AuthorizationPermissionMismatch']);
  clock.forward(13 * 3600 * 1000);
  assert.deepEqual(await codeOf(await fetch(good)), [403, 'AuthenticationFailed']);
});

test('nothing is found: blob, deleted file; HEAD has no body', async (t) => {
  const { url, files, actor, file } = await endpoint(t);
  assert.deepEqual(await codeOf(await fetch(url('nope'))), [404, 'BlobNotFound']);
  const head = await fetch(url('nope'), { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('x-ms-error-code')], [404, 'BlobNotFound']);
  await put(url('b'), 'x');
  const [blob, list] = [url('b'), url('', 'restype=container&comp=list')];
  await files.delete(actor, file.id);
  assert.deepEqual(await codeOf(await fetch(blob)), [404, 'BlobNotFound']);
  assert.deepEqual(await codeOf(await fetch(list)), [404, 'ContainerNotFound']);
  const late = await fetch(blob, { method: 'PUT', body: 'x', headers: BLOCK_BLOB });
  assert.deepEqual(await codeOf(late), [404, 'ContainerNotFound']);
});

test('slashes in names, encoded or not, at the end or double, are the name', async (t) => {
  const { url } = await endpoint(t);
  await put(url('a%2Fb%2Fc'), 'encoded');
  assert.equal(await (await fetch(url('a/b/c'))).text(), 'encoded');
  await put(url('a//b/'), 'odd');
  assert.equal(await (await fetch(url('a%2F%2Fb%2F'))).text(), 'odd');
  assert.equal((await fetch(url('a/b'))).status, 404);
  await put(url('%C5%BE%20%26%3F%23'), 'unicode');
  const list = await (await fetch(url('', 'restype=container&comp=list'))).text();
  assert.deepEqual(
    [...list.matchAll(/<Name>([^<]*)<\/Name>/g)].map((match) => match[1]),
    ['a//b/', 'a/b/c', 'ž &amp;?#'],
  );
});

test('a list is cut into pages by prefix and marker', async (t) => {
  const { url } = await endpoint(t);
  for (const name of ['x1', 'x2', 'x3', 'y']) await put(url(name), name);
  const page = async (query: string) => {
    const response = await fetch(url('', `restype=container&comp=list&${query}`));
    assert.equal(response.headers.get('content-type'), 'application/xml');
    const xml = await response.text();
    const names = [...xml.matchAll(/<Name>([^<]*)<\/Name>/g)].map((match) => match[1]);
    return [names, /<NextMarker>([^<]*)</.exec(xml)?.[1]];
  };
  assert.deepEqual(await page('prefix=x&maxresults=2'), [['x1', 'x2'], 'x2']);
  assert.deepEqual(await page('prefix=x&maxresults=2&marker=x2'), [['x3'], '']);
  assert.deepEqual(await page('maxresults=4'), [['x1', 'x2', 'x3', 'y'], '']);
  assert.deepEqual(await page('prefix=nope'), [[], '']);
});

test('overwriting, deleting, conditions', async (t) => {
  const { url } = await endpoint(t);
  const first = await put(url('b'), 'one');
  const second = await put(url('b'), 'two');
  assert.notEqual(first.headers.get('etag'), second.headers.get('etag'));
  const absent = await fetch(url('b'), { method: 'PUT', body: 'x', headers: { ...BLOCK_BLOB, 'if-none-match': '*' } });
  assert.deepEqual(await codeOf(absent), [409, 'BlobAlreadyExists']);
  const stale = await fetch(url('b'), { headers: { 'if-match': first.headers.get('etag') ?? '' } });
  assert.deepEqual(await codeOf(stale), [412, 'ConditionNotMet']);
  const fresh = await fetch(url('b'), { headers: { 'if-match': second.headers.get('etag') ?? '' } });
  assert.equal(await fresh.text(), 'two');
  const known = await fetch(url('b'), { headers: { 'if-none-match': second.headers.get('etag') ?? '' } });
  assert.deepEqual([known.status, await known.text()], [304, '']);
  const deleted = await fetch(url('b'), { method: 'DELETE' });
  assert.equal(deleted.status, 202);
  assert.deepEqual(await codeOf(await fetch(url('b'), { method: 'DELETE' })), [404, 'BlobNotFound']);
});

test('a body that is not what its MD5 says is not kept', async (t) => {
  const { url } = await endpoint(t);
  const md5 = (text: string) => createHash('md5').update(text).digest('base64');
  const wrong = await fetch(url('b'), {
    method: 'PUT',
    body: 'x',
    headers: { ...BLOCK_BLOB, 'content-md5': md5('y') },
  });
  assert.deepEqual(await codeOf(wrong), [400, 'Md5Mismatch']);
  assert.equal((await fetch(url('b'))).status, 404);
  assert.equal((await put(url('b'), 'x', { 'content-md5': md5('x') })).status, 201);
});

test('what is not built says so, and clients do not repeat it', async (t) => {
  const { url } = await endpoint(t);
  for (const query of ['comp=lease', 'comp=metadata', 'comp=tags', 'comp=snapshot']) {
    const response = await fetch(url('b', query), { method: 'PUT' });
    assert.deepEqual(await codeOf(response), [501, 'NotImplemented'], query);
  }
  const copy = await fetch(url('b'), { method: 'PUT', headers: { 'x-ms-copy-source': 'http://localhost/x' } });
  assert.deepEqual(await codeOf(copy), [501, 'NotImplemented']);
  const page = await fetch(url('b'), { method: 'PUT', headers: { 'x-ms-blob-type': 'PageBlob' } });
  assert.deepEqual(await codeOf(page), [400, 'InvalidHeaderValue']);
  assert.deepEqual(await codeOf(await fetch(url('b'), { method: 'POST' })), [405, 'UnsupportedHttpVerb']);
});

test('a client that waits for 100-continue is told to go on; one that breaks off leaves nothing', async (t) => {
  const { url, store } = await endpoint(t);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { ...BLOCK_BLOB, expect: '100-continue', 'content-length': 5 };
    const request = httpRequest(url('b'), { method: 'PUT', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
    request.on('continue', () => request.end('hello'));
  });
  assert.equal(status, 201);
  assert.equal(await (await fetch(url('b'))).text(), 'hello');

  await new Promise<void>((resolve) => {
    const headers = { ...BLOCK_BLOB, 'content-length': 1_000_000 };
    const request = httpRequest(url('b'), { method: 'PUT', headers });
    request.on('error', () => resolve());
    request.write(Buffer.alloc(100_000), () => request.destroy(new Error('gone')));
  });
  for (let tries = 0; tries < 50; tries++) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.equal(await (await fetch(url('b'))).text(), 'hello');
  const keys: string[] = [];
  for await (const blob of store.list('')) keys.push(blob.key);
  assert.equal(keys.length, 1);
});

test('a large body streams through without being held in memory', async (t) => {
  const { url } = await endpoint(t);
  const size = 192 * 1024 * 1024;
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  let sent = 0;
  const before = process.memoryUsage().rss;
  const body = new ReadableStream({
    pull(controller) {
      if (sent >= size) controller.close();
      else controller.enqueue(chunk);
      sent += chunk.length;
    },
  });
  const init = { method: 'PUT', body, duplex: 'half', headers: BLOCK_BLOB } as RequestInit;
  assert.equal((await fetch(url('big'), init)).status, 201);
  let received = 0;
  const response = await fetch(url('big'));
  for await (const part of response.body ?? []) received += part.length;
  assert.equal(received, size);
  assert.ok(process.memoryUsage().rss - before < 150 * 1024 * 1024);
});

test('the manifest of a file that the platform sliced is made for the host of its reader', async (t) => {
  const { files, actor, folder, base } = await endpoint(t);
  const slices = [];
  for (const name of ['_b.csv', '_a.csv']) {
    await writeFile(path.join(folder, name), name);
    slices.push({ name, path: path.join(folder, name) });
  }
  const file = await files.createFrom(actor, { name: 'table.csv' }, slices);
  const url = signedUrl(base, file, files.sign(file, 'r'));
  const response = await fetch(url);
  assert.equal(response.status, 200);
  assert.ok(response.headers.get('last-modified'));
  const manifest = (await response.json()) as { entries: { url: string }[] };
  const account = `azure://${base.slice('http://'.length)}/abs/kbc.blob.core.windows.net`;
  assert.deepEqual(
    manifest.entries.map((entry) => entry.url),
    ['_b.csv', '_a.csv'].map((name) => `${account}/${file.container}/${file.blobName}${name}`),
  );
  const ranged = await fetch(url, { headers: { 'x-ms-range': 'bytes=0-33554431' } });
  assert.equal(ranged.status, 206);
  assert.deepEqual(await ranged.json(), manifest);
  const [, query] = url.split('?');
  const slice = manifest.entries[1]?.url.replace('azure://', 'http://');
  assert.equal(await (await fetch(`${slice}?${query}`)).text(), '_a.csv');
  const grant = connectionString(base, files.sign(file, 'rl')).split('SharedAccessSignature=')[1];
  const list = await fetch(`${base}${BLOB_PREFIX}/${file.container}?restype=container&comp=list&${grant}`);
  const names = [...(await list.text()).matchAll(/<Name>([^<]*)<\/Name>/g)].map((match) => match[1]);
  assert.deepEqual(names, [`${file.blobName}_a.csv`, `${file.blobName}_b.csv`, manifestName(file)]);
});
