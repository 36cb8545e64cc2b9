import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { type KeboolaServer, keboolaServer } from '../../../../test/support/keboola.ts';

type File = Record<string, unknown> & {
  id: number;
  url: string;
  tags: string[];
  absUploadParams: Upload;
  absPath: { container: string; name: string };
  absCredentials: Upload['absCredentials'];
};
type Upload = {
  blobName: string;
  accountName: string;
  container: string;
  absCredentials: { SASConnectionString: string; expiration: string };
};

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000$/;

async function prepare(server: KeboolaServer, body: object, headers: Record<string, string> = {}): Promise<File> {
  const answer = await server.call('POST', '/v2/storage/files/prepare', { payload: body, headers });
  assert.equal(answer.status, 201, answer.body);
  return answer.json<File>();
}

/** As clients do it: endpoint and signature out of the connection string. */
async function upload(server: KeboolaServer, params: Upload, suffix: string, body: string): Promise<number> {
  const [, endpoint = '', sas = ''] =
    /^BlobEndpoint=([^;]+);SharedAccessSignature=([^;]+)$/.exec(params.absCredentials.SASConnectionString) ?? [];
  const { pathname } = new URL(endpoint);
  const { status } = await server.call('PUT', `${pathname}/${params.container}/${params.blobName}${suffix}?${sas}`, {
    token: null,
    headers: {
      'x-ms-blob-type': 'BlockBlob',
      'content-type': 'application/x-www-form-urlencoded',
      'x-ms-blob-content-disposition': 'attachment; filename=a.csv',
    },
    payload: body,
  });
  return status;
}

async function fetchSigned(server: KeboolaServer, url: string) {
  const { pathname, search } = new URL(url);
  return server.call('GET', pathname + search, { token: null });
}

async function listed(server: KeboolaServer, query: string): Promise<number[]> {
  const answer = await server.call('GET', `/v2/storage/files?${query}`);
  assert.equal(answer.status, 200, answer.body);
  return answer.json<File[]>().map((file) => file.id);
}

test('prepare answers all that clients of the blob protocol need', async (t) => {
  const server = await keboolaServer(t);
  const file = await prepare(
    server,
    {
      isPublic: true,
      isPermanent: false,
      isEncrypted: false,
      isSliced: false,
      notify: false,
      name: 'my a.csv.gz',
      sizeBytes: 13,
      tags: ['t', 'u', 't'],
      federationToken: true,
    },
    { 'x-kbc-runid': '12.34', host: 'data.example.com:8443' },
  );
  const { id, url, created, absUploadParams, creatorToken, ...rest } = file;
  assert.equal(typeof id, 'number');
  assert.match(String(created), DATE);
  assert.deepEqual(Object.keys(creatorToken as object), ['id', 'description']);
  assert.equal(typeof (creatorToken as { id: unknown }).id, 'number');
  assert.deepEqual(rest, {
    isPublic: false,
    isSliced: false,
    isEncrypted: true,
    name: 'my a.csv.gz',
    fileType: 'csv',
    provider: 'azure',
    region: 'local',
    sizeBytes: 13,
    tags: ['t', 'u'],
    maxAgeDays: 15,
    runId: '12.34',
    runIds: ['12.34'],
  });
  assert.equal(absUploadParams.accountName, 'data.example.com:8443/abs/kbc');
  assert.match(absUploadParams.absCredentials.expiration, DATE);
  // Order, no semicolon at the end, official parameters only, and nothing in the signature to decode.
  assert.match(
    absUploadParams.absCredentials.SASConnectionString,
    /^BlobEndpoint=http:\/\/data\.example\.com:8443\/abs\/kbc\.blob\.core\.windows\.net;SharedAccessSignature=sv=[\d-]+&sr=c&sp=rwl&se=[\dTZ%A-]+&sig=[\w-]+$/,
  );
  assert.ok(url.startsWith(`http://data.example.com:8443/abs/kbc.blob.core.windows.net/${absUploadParams.container}/`));
});

test('prepare takes the Python client’s form, nulls and permanence', async (t) => {
  const server = await keboolaServer(t);
  const form = await server.call('POST', '/v2/storage/files/prepare', {
    headers: FORM,
    payload:
      'isPublic=0&isPermanent=1&isEncrypted=1&isSliced=0&notify=0&name=a.csv&tags%5B%5D=a&tags%5B%5D=b&sizeBytes=0&federationToken=1',
  });
  assert.equal(form.status, 201, form.body);
  const file = form.json<File>();
  assert.deepEqual([file.tags, file.sizeBytes, file.maxAgeDays], [['a', 'b'], 0, null]);
  const bare = await prepare(server, { name: 'b', tags: null, sizeBytes: null });
  assert.deepEqual([bare.tags, bare.sizeBytes, bare.runId, bare.runIds], [[], null, null, []]);
});

test('what prepare refuses', async (t) => {
  const server = await keboolaServer(t);
  for (const [body, message] of [
    [{}, /name/],
    [{ name: '' }, /name/],
    [{ name: 'a', tags: 'x' }, /type array/],
    [{ name: 'a', isSliced: 999987 }, /is not boolean. Possible values are/],
    [{ name: 'a', sizeBytes: -1 }, /sizeBytes/],
  ] as const) {
    const answer = await server.call('POST', '/v2/storage/files/prepare', { payload: body });
    assert.equal(answer.status, 400, JSON.stringify(body));
    assert.equal(answer.json<{ code: string }>().code, 'storage.validation');
    assert.match(answer.json<{ error: string }>().error, message);
  }
});

test('detail has credentials only on demand, and its url is the content', async (t) => {
  const server = await keboolaServer(t);
  const { id, absUploadParams } = await prepare(server, { name: 'a.csv', sizeBytes: 4, federationToken: true });
  assert.equal(await upload(server, absUploadParams, '', 'a,b\n'), 201);
  const plain = (await server.call('GET', `/v2/storage/files/${id}`)).json<File>();
  assert.equal(plain.absPath, undefined);
  assert.equal(plain.absCredentials, undefined);
  const content = await fetchSigned(server, plain.url);
  assert.deepEqual([content.status, content.body], [200, 'a,b\n']);
  assert.equal(content.headers['content-disposition'], 'attachment; filename=a.csv');
  for (const spelling of ['1', 'true', 'True']) {
    const full = (
      await server.call('GET', `/v2/storage/branch/default/files/${id}?federationToken=${spelling}`)
    ).json<File>();
    assert.deepEqual(full.absPath, { container: absUploadParams.container, name: absUploadParams.blobName });
    assert.match(full.absCredentials.SASConnectionString, /&sp=rl&/);
    // Read rights do not write.
    assert.equal(await upload(server, { ...absUploadParams, absCredentials: full.absCredentials }, '', 'x'), 403);
  }
});

test('the url of a sliced file is its manifest; sizes add up', async (t) => {
  const server = await keboolaServer(t);
  const { id, absUploadParams } = await prepare(server, { name: 's', isSliced: true, federationToken: true });
  const account = `azure://${absUploadParams.accountName}.blob.core.windows.net/${absUploadParams.container}`;
  const manifest = { entries: [{ url: `${account}/${absUploadParams.blobName}part1` }] };
  assert.equal(await upload(server, absUploadParams, 'part1', 'rows'), 201);
  assert.equal(await upload(server, absUploadParams, 'part2', 'more'), 201);
  assert.equal(await upload(server, absUploadParams, 'manifest', JSON.stringify(manifest)), 201);
  const file = (await server.call('GET', `/v2/storage/files/${id}`)).json<File>();
  assert.deepEqual([file.isSliced, file.sizeBytes], [true, 8]);
  assert.deepEqual((await fetchSigned(server, file.url)).json(), manifest);
});

test('a server-made export has a manifest for the host that asks', async (t) => {
  const server = await keboolaServer(t);
  const slice = path.join(tmpdir(), `millrace-slice-${process.pid}`);
  await writeFile(slice, 'rows');
  const actor = await server.core.identity.authenticateStorageToken(server.credentials.keboola.storageToken);
  const { id } = await server.core.files.createFrom(actor, { name: 'in.c-a.t.csv', maxAgeDays: 2 }, [
    { name: '_0.csv', path: slice },
  ]);
  const answer = await server.call('GET', `/v2/storage/files/${id}?federationToken=1`, {
    headers: { host: 'h.test:1' },
  });
  const file = answer.json<File>();
  assert.deepEqual([file.isSliced, file.maxAgeDays, file.sizeBytes], [true, 2, 4]);
  const { pathname, search } = new URL(file.url);
  const manifest = await server.call('GET', pathname + search, { token: null, headers: { host: 'h.test:1' } });
  const { entries } = manifest.json<{ entries: { url: string }[] }>();
  // The Go client checks for this very beginning.
  const [, endpoint = ''] = /^BlobEndpoint=http:\/\/([^;]+);/.exec(file.absCredentials.SASConnectionString) ?? [];
  assert.deepEqual(
    entries.map((entry) => entry.url),
    [`azure://${endpoint}/${file.absPath.container}/${file.absPath.name}_0.csv`],
  );
});

test('listing: newest first, paged, filtered', async (t) => {
  const server = await keboolaServer(t);
  const a = await prepare(server, { name: 'foo-1.csv', tags: ['x'] });
  const b = await prepare(server, { name: 'bar.csv', tags: ['x', 'y'] }, { 'x-kbc-runid': '5' });
  const c = await prepare(server, { name: 'foo-2.csv', tags: ['z'] });
  assert.deepEqual(await listed(server, ''), [c.id, b.id, a.id]);
  assert.deepEqual(await listed(server, 'limit=1&offset=1'), [b.id]);
  assert.deepEqual(await listed(server, 'tags%5B%5D=y&tags%5B%5D=z'), [c.id, b.id]);
  assert.deepEqual(await listed(server, `sinceId=${a.id}&maxId=${c.id}`), [b.id]);
  assert.deepEqual(await listed(server, 'runId=5'), [b.id]);
  assert.deepEqual(await listed(server, `q=${encodeURIComponent('tags:"x" AND name:foo*')}`), [a.id]);
  assert.deepEqual(await listed(server, `q=${encodeURIComponent('+tags:x -tags:y')}`), [a.id]);
  assert.deepEqual(await listed(server, `q=id:${c.id}`), [c.id]);
  const [first] = (await server.call('GET', '/v2/storage/files')).json<File[]>();
  assert.equal(first?.absPath, undefined);

  const syntax = await server.call('GET', '/v2/storage/files?q=%22open');
  assert.deepEqual([syntax.status, syntax.json<{ code: string }>().code], [400, 'query.syntax']);
  const tags = await server.call('GET', '/v2/storage/files?tags=x');
  assert.deepEqual([tags.status, tags.json<{ code: string }>().code], [400, 'storage.validation']);
  assert.match(tags.json<{ error: string }>().error, /This value should be of type array/);
});

test('tags: added once, removed with all their slashes', async (t) => {
  const server = await keboolaServer(t);
  const { id } = await prepare(server, { name: 'a', tags: ['one'] });
  const tags = async () => (await server.call('GET', `/v2/storage/files/${id}`)).json<File>().tags;
  for (const tag of ['image/tag/tag1/', 'image/tag/tag1', 'a b%', 'one']) {
    const answer = await server.call('POST', `/v2/storage/files/${id}/tags`, { payload: { tag } });
    assert.deepEqual([answer.status, answer.body], [204, '']);
    assert.equal(answer.headers['content-type'], undefined);
  }
  assert.deepEqual(await tags(), ['one', 'image/tag/tag1/', 'image/tag/tag1', 'a b%']);
  const remove = (rest: string) => server.call('DELETE', `/v2/storage/files/${id}/tags/${rest}`);
  assert.equal((await remove('image/tag/tag1/')).status, 204);
  assert.deepEqual(await tags(), ['one', 'image/tag/tag1', 'a b%']);
  assert.equal((await remove('image%2Ftag%2Ftag1')).status, 204);
  assert.equal((await remove('a%20b%25')).status, 204);
  assert.equal((await remove('never')).status, 204);
  assert.deepEqual(await tags(), ['one']);
});

test('deleted: 404 for the API, the url and the credentials; never uploaded sliced files can be deleted too', async (t) => {
  const server = await keboolaServer(t);
  const sliced = await prepare(server, { name: 's', isSliced: true });
  assert.equal((await server.call('DELETE', `/v2/storage/files/${sliced.id}`)).status, 204);
  const { id, url, absUploadParams } = await prepare(server, { name: 'a', federationToken: true });
  assert.equal(await upload(server, absUploadParams, '', 'x'), 201);
  const deleted = await server.call('DELETE', `/v2/storage/files/${id}`);
  assert.deepEqual([deleted.status, deleted.body, deleted.headers['content-type']], [204, '', undefined]);
  const gone = await server.call('GET', `/v2/storage/files/${id}`);
  assert.deepEqual([gone.status, gone.json<{ code: string }>().code], [404, 'storage.files.notFound']);
  assert.equal(gone.json<{ error: string }>().error, 'File not found.');
  const content = await fetchSigned(server, url);
  assert.deepEqual([content.status, content.headers['x-ms-error-code']], [404, 'BlobNotFound']);
  assert.equal(await upload(server, absUploadParams, '', 'x'), 404);
});

test('another project, and a token without the right, get nothing', async (t) => {
  const server = await keboolaServer(t);
  const { id } = await prepare(server, { name: 'a' });
  const other = (await server.newProject('other')).keboola.storageToken;
  const weak = (await server.call('POST', '/v2/storage/tokens', { payload: { description: 'weak' } })).json<{
    token: string;
  }>().token;
  await expectRefused(server, id, other, 404, 'storage.files.notFound');
  await expectRefused(server, id, weak, 403, 'accessDenied');
});

async function expectRefused(
  server: KeboolaServer,
  id: number,
  token: string,
  status: number,
  code: string,
): Promise<void> {
  for (const [method, url, payload] of [
    ['GET', `/files/${id}`, undefined],
    ['DELETE', `/files/${id}`, undefined],
    ['POST', `/files/${id}/tags`, { tag: 'x' }],
    ['DELETE', `/files/${id}/tags/x`, undefined],
  ] as const) {
    const answer = await server.call(method, `/v2/storage${url}`, { token, ...(payload && { payload }) });
    assert.deepEqual([answer.status, answer.json<{ code: string }>().code], [status, code], `${method} ${url}`);
  }
  assert.deepEqual((await server.call('GET', '/v2/storage/files', { token })).json(), []);
}

test('a URL that cannot be read is refused in the blob protocol’s own shape', async (t) => {
  const server = await keboolaServer(t);
  const answer = await server.call('GET', '/abs/kbc.blob.core.windows.net/c/%ff?sig=x', { token: null });
  assert.deepEqual([answer.status, answer.headers['x-ms-error-code']], [400, 'InvalidUri']);
  assert.match(answer.body, /<Code>InvalidUri<\/Code>/);
});
