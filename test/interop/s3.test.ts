import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openS3Filestore } from '../../src/drivers/filestores/s3/index.ts';
import { s3Bucket } from '../support/s3.ts';
import { storageClient } from '../support/storage-client.ts';

test('with files on S3 a table goes in by the Azure endpoint, out by an export, and nothing stays on the disk', async (t) => {
  const bucket = await s3Bucket(t);
  if (!bucket) return;
  const client = await storageClient(t, {
    config: {
      filestore: 's3',
      s3Endpoint: bucket.endpoint,
      s3Bucket: bucket.bucket,
      s3Prefix: 'millrace',
      s3AccessKeyId: bucket.accessKeyId,
      s3SecretAccessKey: bucket.secretAccessKey,
    },
  });
  await client.call('POST', '/buckets', { stage: 'in', name: 'main' });
  const csv = `id,name\n${Array.from({ length: 5000 }, (_, i) => `${i},name ${i}\n`).join('')}`;
  await client.table('people', csv);
  const appended = await client.load('in.c-main.people', 'id,name\n7000,later\n', { incremental: true });
  assert.equal(appended.status, 'success', JSON.stringify(appended.error));

  const exported = await client.run('POST', '/tables/in.c-main.people/export-async', { gzip: true });
  assert.equal(exported.status, 'success', JSON.stringify(exported.error));
  const { json } = await client.call('GET', `/files/${exported.results.file.id}?federationToken=1`);
  const manifest = await fetch((json as unknown as { url: string }).url);
  assert.equal(manifest.status, 200);
  const content = Buffer.from(await manifest.arrayBuffer());
  assert.ok(content.length > 0 && content.length < gzipSync(csv).length * 3);

  const part = await fetch((json as unknown as { url: string }).url, { headers: { range: 'bytes=0-1' } });
  assert.equal(part.status, 206);
  assert.ok(Buffer.from(await part.arrayBuffer()).equals(content.subarray(0, 2)));

  const store = await openS3Filestore({ ...bucket, prefix: 'millrace/' });
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  assert.ok(keys.length >= 3, 'the two uploads and the export are in the bucket');
  assert.equal((await client.call('DELETE', `/files/${exported.results.file.id}`)).status, 204);
  const left = readdirSync(path.join(client.dataDir, 'files'), { recursive: true, withFileTypes: true });
  assert.deepEqual(
    left.filter((entry) => entry.isFile()).map(({ name }) => name),
    [],
  );
});
