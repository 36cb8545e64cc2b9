import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import { needs } from '../support/needs.ts';
import { filestoreConformance, temporaryFolder } from './filestore-suite.ts';

filestoreConformance('local', async (t) => openLocalFilestore({ directory: await temporaryFolder(t) }));

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
