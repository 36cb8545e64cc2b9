// Drives the blob endpoint with the unmodified Azure client. Started by azure-blob.test.ts; not compiled, because the
// client is no dependency of ours. argv: folder with node_modules, JSON of the call's absUploadParams, wrong string.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Readable } from 'node:stream';

const [home, paramsText, otherText] = process.argv.slice(2);
const require = createRequire(path.join(home, 'package.json'));
const { BlobServiceClient, RestError } = require('@azure/storage-blob');
const params = JSON.parse(paramsText);
const other = JSON.parse(otherText);

const containerOf = (connectionString, container) =>
  BlobServiceClient.fromConnectionString(connectionString, { retryOptions: { maxTries: 1 } }).getContainerClient(
    container,
  );
const container = containerOf(params.absCredentials.SASConnectionString, params.container);
const bytes = async (blob, ...range) => {
  const chunks = [];
  for await (const chunk of (await blob.download(...range)).readableStreamBody) chunks.push(chunk);
  return Buffer.concat(chunks);
};
const refused = (status, code) => (error) => {
  assert.ok(error instanceof RestError, String(error));
  assert.deepEqual([error.statusCode, error.code], [status, code]);
  return true;
};

// One piece.
const single = container.getBlockBlobClient(params.blobName);
const uploaded = await single.upload('a,b\n1,2\n', 8, {
  blobHTTPHeaders: { blobContentType: 'text/csv', blobContentDisposition: 'attachment; filename=a.csv' },
});
assert.ok(uploaded.etag && uploaded.lastModified instanceof Date && uploaded.requestId);
assert.equal((await bytes(single)).toString(), 'a,b\n1,2\n');
const properties = await single.getProperties();
assert.equal(properties.contentLength, 8);
assert.equal(properties.contentType, 'text/csv');
assert.equal(properties.contentDisposition, 'attachment; filename=a.csv');
assert.equal(properties.blobType, 'BlockBlob');
assert.equal(await single.exists(), true);
assert.equal(await container.getBlobClient('nope').exists(), false);
console.log('ok one piece');

// Empty.
const empty = container.getBlockBlobClient('empty');
await empty.upload('', 0);
assert.equal((await bytes(empty)).length, 0);
await assert.rejects(empty.download(0, 10), refused(416, 'InvalidRange'));
console.log('ok empty');

// Staged blocks, out of order and at once.
const content = randomBytes(5_000_000);
const blocks = Array.from({ length: 10 }, (_, i) => ({
  id: Buffer.from(String(i).padStart(5, '0')).toString('base64'),
  part: content.subarray(i * 500_000, (i + 1) * 500_000),
}));
const staged = container.getBlockBlobClient('folder/staged name.bin');
await Promise.all([...blocks].reverse().map(({ id, part }) => staged.stageBlock(id, part, part.length)));
const waiting = await staged.getBlockList('uncommitted');
assert.equal(waiting.uncommittedBlocks.length, 10);
await staged.commitBlockList(blocks.map(({ id }) => id));
assert.ok((await bytes(staged)).equals(content));
const committed = await staged.getBlockList('committed');
assert.deepEqual(
  committed.committedBlocks,
  blocks.map(({ id, part }) => ({ name: id, size: part.length })),
);
await staged.commitBlockList(blocks.slice(0, 2).map(({ id }) => id));
assert.ok((await bytes(staged)).equals(content.subarray(0, 1_000_000)));
console.log('ok staged blocks');

// A stream, cut into blocks by the client itself; download in parallel ranges into one buffer.
const streamed = container.getBlockBlobClient('streamed');
await streamed.uploadStream(Readable.from([content, content]), 1024 * 1024, 4);
const target = Buffer.alloc(10_000_000);
await streamed.downloadToBuffer(target, 0, undefined, { blockSize: 1_000_000, concurrency: 4 });
assert.ok(target.equals(Buffer.concat([content, content])));
console.log('ok stream');

// Ranges.
assert.ok((await bytes(streamed, 10, 20)).equals(content.subarray(10, 30)));
assert.ok((await bytes(streamed, 9_999_990)).equals(content.subarray(-10)));
console.log('ok ranges');

// Listing.
const names = [];
for await (const blob of container.listBlobsFlat()) names.push(blob.name);
assert.deepEqual(names, [params.blobName, 'empty', 'folder/staged name.bin', 'streamed'].sort());
const pages = [];
for await (const page of container.listBlobsFlat().byPage({ maxPageSize: 2 })) {
  pages.push(page.segment.blobItems.map((blob) => [blob.name, blob.properties.contentLength]));
}
assert.deepEqual(
  pages.map((page) => page.length),
  [2, 2],
);
const prefixed = [];
for await (const blob of container.listBlobsFlat({ prefix: 'folder/' })) prefixed.push(blob.name);
assert.deepEqual(prefixed, ['folder/staged name.bin']);
console.log('ok listing');

// Conditions.
await assert.rejects(single.upload('x', 1, { conditions: { ifNoneMatch: '*' } }), refused(409, 'BlobAlreadyExists'));
await single.upload('overwritten', 11);
assert.equal((await bytes(single)).toString(), 'overwritten');
console.log('ok conditions');

// Signatures: this one may not delete, another container's opens nothing here, a forged one neither.
await assert.rejects(single.delete(), refused(403, 'AuthorizationPermissionMismatch'));
const foreign = containerOf(other.absCredentials.SASConnectionString, params.container);
await assert.rejects(foreign.getBlobClient(params.blobName).download(), refused(403, 'AuthenticationFailed'));
const forged = params.absCredentials.SASConnectionString.replace('sp=rwl', 'sp=rwld');
await assert.rejects(containerOf(forged, params.container).deleteBlob('empty'), refused(403, 'AuthenticationFailed'));
await assert.rejects(container.getBlobClient('missing').download(), refused(404, 'BlobNotFound'));
console.log('ok signatures');

// With the right to delete.
const deleting = containerOf(params.deleting, params.container);
await deleting.deleteBlob('empty');
assert.equal((await deleting.getBlobClient('empty').deleteIfExists()).succeeded, false);
console.log('ok delete');
