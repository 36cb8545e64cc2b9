import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import { openS3Filestore } from '../../src/drivers/filestores/s3/index.ts';
import { freePort } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import { s3Bucket } from '../support/s3.ts';
import { filestoreConformance, temporaryFolder } from './filestore-suite.ts';

filestoreConformance('local', async (t) => openLocalFilestore({ directory: await temporaryFolder(t) }));
filestoreConformance('s3', async (t) => {
  const bucket = await s3Bucket(t);
  return bucket && openS3Filestore({ ...bucket, prefix: 'some/folder/' });
});

test('filestore s3: large blobs go up in parts and come back whole, joined on the server where it can', async (t) => {
  const bucket = await s3Bucket(t);
  if (!bucket) return;
  const store = await openS3Filestore({ ...bucket, prefix: '' });
  const content = randomBytes(40 * 1024 * 1024 + 17);
  const blob = await store.put('big', Readable.from([content.subarray(0, 3), content.subarray(3)]));
  assert.equal(blob.sizeBytes, content.length);
  assert.match(blob.etag, /-3$/, 'three parts');
  assert.ok((await buffer((await store.get('big'))?.body ?? Readable.from([]))).equals(content));
  await store.put('small', Buffer.from('end'));
  assert.match((await store.compose('joined', ['big', 'big', 'small'])).etag, /-3$/, 'each blob is one part');
  const tail = await store.get('joined', { start: 2 * content.length - 2 });
  const expected = Buffer.concat([content.subarray(-2), Buffer.from('end')]);
  assert.ok((await buffer(tail?.body ?? Readable.from([]))).equals(expected));
});

test('filestore s3: a listing goes on past one page of blobs, and so does deleting them', async (t) => {
  const bucket = await s3Bucket(t);
  if (!bucket) return;
  const store = await openS3Filestore({ ...bucket, prefix: '', pageBlobs: 10 });
  const names = Array.from({ length: 35 }, (_, i) => `many/${String(i).padStart(4, '0')} +&é<`);
  for (const name of names) await store.put(name, Buffer.from('x'));
  const found: string[] = [];
  for await (const { key } of store.list('many/')) found.push(key);
  assert.deepEqual(found, names);
  await store.deletePrefix('many/');
  for await (const { key } of store.list('')) assert.fail(`${key} is still there`);
});

test('filestore s3: a wrong bucket and a silent service are told without the key', async (t) => {
  const bucket = await s3Bucket(t);
  if (!bucket) return;
  const code = (expected: string) => (error: unknown) => {
    assert.ok(error instanceof AppError, String(error));
    assert.ok(!JSON.stringify(error).includes(bucket.secretAccessKey));
    return error.code === expected;
  };
  await assert.rejects(openS3Filestore({ ...bucket, bucket: 'not-there', prefix: '' }), code('filestore.no-bucket'));
  const silent = { ...bucket, endpoint: `http://127.0.0.1:${await freePort()}`, prefix: '' };
  await assert.rejects(openS3Filestore(silent), code('filestore.unavailable'));
});

test('filestore s3: two prefixes in one bucket do not see each other', async (t) => {
  const bucket = await s3Bucket(t);
  if (!bucket) return;
  const [a, b] = await Promise.all(['a/', 'a/b/'].map((prefix) => openS3Filestore({ ...bucket, prefix })));
  await b?.put('x', Buffer.from('of b'));
  assert.equal(await a?.head('x'), undefined);
  await a?.put('x', Buffer.from('of a'));
  await b?.deletePrefix('x');
  assert.equal((await a?.head('x'))?.sizeBytes, 4);
});

test('filestore local: left-overs of dead writers are swept at the next start, a live one keeps its file', async (t) => {
  const directory = await temporaryFolder(t);
  const temporary = path.join(directory, '.tmp');
  await mkdir(temporary, { recursive: true });
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const host = encodeURIComponent(hostname());
  const name = {
    ofTheDead: `${host}~${dead}~1`,
    ofTheLiving: `${host}~${process.ppid}~1`,
    oldOfElsewhere: `elsewhere~${process.pid}~1`,
    newOfElsewhere: `elsewhere~${process.pid}~2`,
    unknown: 'what is this',
  };
  for (const file of Object.values(name)) await writeFile(path.join(temporary, file), 'half');
  const longAgo = new Date(Date.now() - 5 * 24 * 3600 * 1000);
  await utimes(path.join(temporary, name.oldOfElsewhere), longAgo, longAgo);
  await openLocalFilestore({ directory });
  assert.deepEqual((await readdir(temporary)).sort(), [name.ofTheLiving, name.newOfElsewhere, name.unknown].sort());
});

test('filestore local: adopting in the same file system moves the file itself', async (t) => {
  const directory = await temporaryFolder(t);
  const store = await openLocalFilestore({ directory: path.join(directory, 'store') });
  const source = path.join(directory, 'made');
  await writeFile(source, 'content');
  const { ino } = await stat(source);
  await store.adopt(source, 'x/y');
  assert.equal((await stat(store.localPath?.('x/y') ?? '')).ino, ino);
});

test('filestore local: adopting from another file system copies and removes the source', async (t) => {
  if (!existsSync('/dev/shm')) return t.skip('needs a second file system at /dev/shm');
  const directory = await temporaryFolder(t);
  const elsewhere = path.join('/dev/shm', `millrace-${process.pid}-${Date.now()}`);
  await writeFile(elsewhere, 'content');
  if ((await stat(elsewhere)).dev === (await stat(directory)).dev) return t.skip('needs a second file system');
  const store = await openLocalFilestore({ directory });
  assert.equal((await store.adopt(elsewhere, 'x')).sizeBytes, 7);
  assert.equal(existsSync(elsewhere), false);
});

test('filestore local: folders go with their last blob', async (t) => {
  const directory = await temporaryFolder(t);
  const store = await openLocalFilestore({ directory });
  await store.put('a/b/c', Buffer.from('1'));
  await store.put('a/d', Buffer.from('1'));
  await store.delete('a/b/c');
  assert.deepEqual((await readdir(path.join(directory, 'a'))).sort(), ['d']);
  await store.deletePrefix('a/');
  assert.deepEqual((await readdir(directory)).sort(), ['.tmp']);
});

test('filestore local: a full disk is told as such, and nothing half-written stays', async (t) => {
  if (!needs(t, 'root', 'tmpfs')) return;
  const directory = await temporaryFolder(t);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', directory]);
  if (mounted.status !== 0) return t.skip('needs tmpfs: mounting is not allowed here');
  try {
    const store = await openLocalFilestore({ directory });
    await store.put('a', Buffer.alloc(1024 * 1024));
    const isFull = (error: unknown) => error instanceof AppError && error.code === 'filestore.full';
    const parts = function* () {
      for (let i = 0; i < 8; i++) yield Buffer.alloc(1024 * 1024);
    };
    await assert.rejects(store.put('b', Readable.from(parts())), isFull);
    await assert.rejects(store.put('b', Buffer.alloc(5 * 1024 * 1024)), isFull);
    await assert.rejects(store.compose('b', ['a', 'a', 'a', 'a']), isFull);
    assert.deepEqual(await readdir(path.join(directory, '.tmp')), []);
    assert.equal(await store.head('b'), undefined);
    assert.equal((await store.put('c', Buffer.alloc(1024 * 1024))).sizeBytes, 1024 * 1024);
  } finally {
    spawnSync('umount', [directory]);
  }
});
