import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { fileWorld } from '../../../test/support/file-world.ts';
import { sql } from '../../db/sql.ts';
import type { Filestore } from '../../drivers/filestores/contract.ts';
import { parseQueryString } from '../../lib/query-string.ts';
import { AppError } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import type { ContainerAccess } from './blobs.ts';
import { manifestName, type StoredFile } from './file-model.ts';
import { FILE_QUERY_FIELDS, type Files } from './files.ts';

const HOUR_MS = 3600 * 1000;
const PAGE = { limit: 100, offset: 0 };

function weak(actor: Actor, id: number, change: Partial<Actor['token']> = {}): Actor {
  return { ...actor, token: { ...actor.token, id, isMaster: false, canReadAllFiles: false, ...change } };
}

function access(files: Files, file: StoredFile, permissions = 'rwld'): Promise<ContainerAccess> {
  return files.blobs.open(file.container, files.sign(file, permissions));
}

async function upload(files: Files, file: StoredFile, name: string, content: string | Buffer): Promise<void> {
  await files.blobs.put(await access(files, file), name, Readable.from([Buffer.from(content)]), {});
}

async function content(files: Files, file: StoredFile, name = file.blobName): Promise<string> {
  const reading = await access(files, file);
  const blob = await files.blobs.find(reading, name);
  assert.ok(blob, `no blob ${name}`);
  return text(await files.blobs.read(reading, blob));
}

function fails(code: string) {
  return (error: unknown) => {
    assert.ok(error instanceof AppError, String(error));
    assert.equal(error.code, code);
    return true;
  };
}

async function storedKeys(store: Filestore): Promise<string[]> {
  const keys: string[] = [];
  for await (const blob of store.list('')) keys.push(blob.key);
  return keys;
}

function manifest(file: StoredFile, names: string[], container = file.container): string {
  const base = `azure://localhost:1/abs/kbc.blob.core.windows.net/${container}`;
  return JSON.stringify({ entries: names.map((name) => ({ url: `${base}/${name}`, mandatory: true })) });
}

test('a prepared file is there with what was announced, and its event with it', async (t) => {
  const { files, actor, db } = await fileWorld(t);
  const made = await files.prepare(
    { ...actor, runId: '12.3' },
    { name: 'my data/ž.csv.gz', sizeBytes: 12, tags: ['b', 'a', 'b'] },
  );
  const file = await files.get(actor, made.id);
  assert.deepEqual(file, made);
  assert.equal(file.name, 'my data/ž.csv.gz');
  assert.equal(file.sizeBytes, 12);
  assert.deepEqual(file.tags, ['b', 'a']);
  assert.equal(file.maxAgeDays, 15);
  assert.equal(file.runId, '12.3');
  assert.match(file.blobName, /^[A-Za-z0-9._-]+\.csv\.gz$/);
  assert.match(file.container, /^[a-z0-9-]{3,63}$/);
  const events = await db.query<{ name: string; object_id: string }>(sql`select name, object_id from events`);
  assert.deepEqual(events, [{ name: 'file.created', object_id: String(file.id) }]);
});

test('permanent files have no age', async (t) => {
  const { files, actor, clock } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a', isPermanent: true });
  assert.equal(file.maxAgeDays, undefined);
  clock.forward(1000 * 24 * HOUR_MS);
  assert.equal((await files.get(actor, file.id)).id, file.id);
});

test('the size is the stored one as soon as something is stored; slices add up without the manifest', async (t) => {
  const { files, actor } = await fileWorld(t);
  const single = await files.prepare(actor, { name: 'a', sizeBytes: 99 });
  await upload(files, single, single.blobName, 'hello');
  assert.equal((await files.get(actor, single.id)).sizeBytes, 5);
  const sliced = await files.prepare(actor, { name: 's', isSliced: true });
  assert.equal(sliced.sizeBytes, undefined);
  for (const slice of ['0', '1']) await upload(files, sliced, sliced.blobName + slice, 'abc');
  await upload(files, sliced, manifestName(sliced), '{"entries":[]}');
  assert.equal((await files.get(actor, sliced.id)).sizeBytes, 6);
});

test('other projects see nothing; weak tokens see their own files only', async (t) => {
  const { files, actor, stranger } = await fileWorld(t);
  const a = weak(actor, 1);
  const b = weak(actor, 2);
  const all = weak(actor, 3, { canReadAllFiles: true });
  const file = await files.prepare(a, { name: 'mine' });
  for (const op of [
    (who: Actor) => files.get(who, file.id),
    (who: Actor) => files.openSlices(who, file.id),
    (who: Actor) => files.addTag(who, file.id, 'x'),
    (who: Actor) => files.removeTag(who, file.id, 'x'),
    (who: Actor) => files.delete(who, file.id),
  ]) {
    await assert.rejects(op(stranger), fails('file.not-found'));
    await assert.rejects(op(b), fails('access.denied'));
  }
  const seen = async (who: Actor) => (await files.list(who, {}, PAGE)).length;
  assert.deepEqual(
    [await seen(a), await seen(b), await seen(all), await seen(actor), await seen(stranger)],
    [1, 0, 1, 1, 0],
  );
});

test('who may only read changes no file', async (t) => {
  const { files, actor } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'there' });
  const person = { id: 1, name: 'R', email: 'r@example.com', role: 'readOnly' as const };
  const reader = { ...actor, token: { ...actor.token, person } };
  await files.get(reader, file.id);
  for (const op of [
    () => files.prepare(reader, { name: 'new' }),
    () => files.addTag(reader, file.id, 'x'),
    () => files.removeTag(reader, file.id, 'x'),
    () => files.delete(reader, file.id),
  ]) {
    await assert.rejects(op(), fails('access.denied'));
  }
});

test('listings: newest first, pages, tags, ids, runs, search', async (t) => {
  const { files, actor } = await fileWorld(t);
  const one = await files.prepare(actor, { name: 'Report-1.csv', tags: ['x', 'componentId-1'] });
  const two = await files.prepare({ ...actor, runId: '7' }, { name: 'other 100%', tags: ['y'] });
  const three = await files.prepare(actor, { name: 'report-2.csv', tags: ['x', 'y', 'z/w/'], isSliced: true });
  const ids = async (filter: Parameters<Files['list']>[1], page = PAGE) =>
    (await files.list(actor, filter, page)).map((file) => file.id);
  const search = (q: string) => ids({ where: parseQueryString(q, FILE_QUERY_FIELDS) });

  assert.deepEqual(await ids({}), [three.id, two.id, one.id]);
  assert.deepEqual(await ids({}, { limit: 1, offset: 1 }), [two.id]);
  assert.deepEqual(await ids({}, { limit: 10, offset: 3 }), []);
  assert.deepEqual(await ids({ tags: ['x', 'z/w/'] }), [three.id, one.id]);
  assert.deepEqual(await ids({ tags: [] }), [three.id, two.id, one.id]);
  assert.deepEqual(await ids({ sinceId: one.id, maxId: three.id }), [two.id]);
  assert.deepEqual(await ids({ runId: '7' }), [two.id]);

  assert.deepEqual(await search(`id:${two.id}`), [two.id]);
  assert.deepEqual(await search('name:report*'), [three.id, one.id]);
  assert.deepEqual(await search('report'), [three.id, one.id]);
  assert.deepEqual(await search('"100%"'), [two.id]);
  assert.deepEqual(await search('100_'), []);
  assert.deepEqual(await search('tags:"x" AND name:*2.csv'), [three.id]);
  assert.deepEqual(await search('+tags:x -tags:y'), [one.id]);
  assert.deepEqual(await search('NOT tags:x'), [two.id]);
  assert.deepEqual(await search('tags:componentId*'), [one.id]);
  assert.deepEqual(await search('runId:7'), [two.id]);
  assert.deepEqual(await search('-runId:7'), [three.id, one.id]);
  assert.deepEqual(await search('isSliced:true'), [three.id]);
  assert.deepEqual(await search('created:[2020-01-01 TO *]'), [three.id, two.id, one.id]);
  assert.deepEqual(await search(`id:>=${two.id} creatorToken.id:5`), [three.id, two.id]);
  assert.deepEqual(await search('sizeBytes:<10'), []);
});

test('tags keep their order, come once, and may contain anything', async (t) => {
  const { files, actor, db } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a', tags: ['one'] });
  await Promise.all(['a/b/', 'two', 'a/b/', 'one'].map((tag) => files.addTag(actor, file.id, tag)));
  assert.deepEqual(new Set((await files.get(actor, file.id)).tags), new Set(['one', 'a/b/', 'two']));
  await files.removeTag(actor, file.id, 'a/b/');
  await files.removeTag(actor, file.id, 'never there');
  assert.deepEqual((await files.get(actor, file.id)).tags, ['one', 'two']);
  const names = await db.query<{ name: string }>(sql`select name from events where name like 'file.tag%' order by id`);
  assert.deepEqual(
    names.map((row) => row.name),
    ['file.tag-added', 'file.tag-added', 'file.tag-removed'],
  );
});

test('a deleted file is gone with its content, at once and for every grant', async (t) => {
  const { files, actor, store } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  await upload(files, file, file.blobName, 'x');
  const before = await access(files, file);
  await files.delete(actor, file.id);
  await assert.rejects(files.get(actor, file.id), fails('file.not-found'));
  await assert.rejects(files.delete(actor, file.id), fails('file.not-found'));
  await assert.rejects(access(files, file), fails('blob.container-not-found'));
  // An upload that was under way ends in nothing.
  await assert.rejects(files.blobs.put(before, 'late', Readable.from(['x']), {}), fails('blob.container-not-found'));
  assert.deepEqual(await storedKeys(store), []);
});

test('a grant opens its own container only, for what it says, until its time', async (t) => {
  const { files, actor, clock } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  const other = await files.prepare(actor, { name: 'b' });
  const grant = files.sign(file, 'rl', HOUR_MS);
  const open = (container: string, change: Partial<typeof grant> = {}) =>
    files.blobs.open(container, { ...grant, ...change });
  const reading = await open(file.container);
  await assert.rejects(files.blobs.put(reading, 'x', Readable.from(['x']), {}), fails('blob.grant-too-weak'));
  await assert.rejects(files.blobs.delete(reading, 'x'), fails('blob.grant-too-weak'));
  await assert.rejects(open(other.container), fails('blob.grant-invalid'));
  await assert.rejects(open(file.container, { permissions: 'rwl' }), fails('blob.grant-invalid'));
  await assert.rejects(open(file.container, { expiresAt: '2099-01-01T00:00:00Z' }), fails('blob.grant-invalid'));
  await assert.rejects(open(file.container, { signature: '' }), fails('blob.grant-invalid'));
  const writeOnly = await access(files, file, 'w');
  await assert.rejects(files.blobs.find(writeOnly, 'x'), fails('blob.grant-too-weak'));
  await assert.rejects(files.blobs.list(writeOnly, { limit: 1 }), fails('blob.grant-too-weak'));
  clock.forward(HOUR_MS + 1000);
  await assert.rejects(open(file.container), fails('blob.grant-invalid'));
});

test('overwriting replaces a blob whole and drops the old content', async (t) => {
  const { files, actor, store } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  for (const version of ['one', 'two', 'three']) await upload(files, file, file.blobName, version);
  assert.equal(await content(files, file), 'three');
  assert.equal((await storedKeys(store)).length, 1);
  await Promise.all(Array.from({ length: 8 }, (_, i) => upload(files, file, file.blobName, `v${i}`)));
  assert.match(await content(files, file), /^v\d$/);
  assert.equal((await storedKeys(store)).length, 1);
});

test('conditions: only if absent, only over a known version', async (t) => {
  const { files, actor } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  const writing = await access(files, file);
  const put = (condition: { ifAbsent?: boolean; ifEtag?: string }) =>
    files.blobs.put(writing, 'b', Readable.from(['x']), {}, { condition });
  await assert.rejects(put({ ifEtag: '*' }), fails('blob.condition-not-met'));
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => put({ ifAbsent: true })));
  assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
  await assert.rejects(put({ ifAbsent: true }), fails('blob.exists'));
  const first = await files.blobs.find(writing, 'b');
  const second = await put({ ifEtag: first?.etag ?? '' });
  await assert.rejects(put({ ifEtag: first?.etag ?? '' }), fails('blob.condition-not-met'));
  await put({ ifEtag: second.etag });
});

test('a broken upload leaves no blob and no content', async (t) => {
  const { files, actor, store } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  const broken = new Readable({
    read() {
      this.push('some');
      this.destroy(new Error('connection lost'));
    },
  });
  await assert.rejects(files.blobs.put(await access(files, file), 'b', broken, {}), /connection lost/);
  assert.deepEqual(await storedKeys(store), []);
  await assert.rejects(files.openSlices(actor, file.id), fails('file.not-uploaded'));
});

test('blocks come in any order, and the list decides', async (t) => {
  const { files, actor, store } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  const writing = await access(files, file);
  const id = (n: number | string) => Buffer.from(String(n).padStart(5, '0')).toString('base64');
  const block = (n: number | string, data: string) =>
    files.blobs.putBlock(writing, 'b', id(n), Readable.from([Buffer.from(data)]));
  const commit = (list: [number | string, 'latest' | 'uncommitted' | 'committed'][]) =>
    files.blobs.commitBlocks(
      writing,
      'b',
      list.map(([n, from]) => ({ id: id(n), from })),
      { contentType: 'text/x' },
    );

  await Promise.all([block(3, 'three'), block(1, 'wrong'), block(2, 'two'), block(9, 'unused')]);
  await block(1, 'one');
  await assert.rejects(commit([[7, 'latest']]), fails('blob.block-list-invalid'));
  await assert.rejects(files.blobs.find(writing, 'b').then((blob) => assert.ok(blob)));
  assert.equal((await files.blobs.blocks(writing, 'b')).uncommitted.length, 4);
  const blob = await commit([
    [1, 'uncommitted'],
    [2, 'latest'],
    [3, 'latest'],
  ]);
  assert.equal(blob.sizeBytes, 11);
  assert.equal(blob.contentType, 'text/x');
  assert.equal(await content(files, file, 'b'), 'onetwothree');
  assert.equal((await storedKeys(store)).length, 1, 'blocks are gone after the commit');
  assert.deepEqual(await files.blobs.blocks(writing, 'b'), {
    committed: [
      { id: id(1), sizeBytes: 3 },
      { id: id(2), sizeBytes: 3 },
      { id: id(3), sizeBytes: 5 },
    ],
    uncommitted: [],
  });

  // A repeated commit (the answer to the first was lost) finds the same blocks in the blob.
  await commit([
    [1, 'latest'],
    [2, 'latest'],
    [3, 'latest'],
  ]);
  assert.equal(await content(files, file, 'b'), 'onetwothree');
  await assert.rejects(commit([[1, 'uncommitted']]), fails('blob.block-list-invalid'));
  await block(4, '-four-');
  await block(1, 'ONE');
  await commit([
    [3, 'committed'],
    [4, 'latest'],
    [1, 'latest'],
    [1, 'committed'],
  ]);
  assert.equal(await content(files, file, 'b'), 'three-four-ONEone');

  await assert.rejects(
    files.blobs.putBlock(writing, 'b', '../../etc', Readable.from(['x'])),
    fails('blob.block-id-invalid'),
  );
  await commit([]);
  assert.equal(await content(files, file, 'b'), '');
});

test('names of blobs are names, never paths', async (t) => {
  const { files, actor, folder } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  for (const name of ['../../../escape', '/etc/passwd', 'a//b/', '.', 'ž %2F?#', 'x'.repeat(1024)]) {
    await upload(files, file, name, name);
    assert.equal(await content(files, file, name), name);
  }
  await assert.rejects(readFile(path.join(folder, 'escape')));
  for (const name of ['', 'a\0b', 'line\nbreak', 'x'.repeat(1025)]) {
    await assert.rejects(upload(files, file, name, 'x'), fails('blob.name-invalid'));
  }
});

test('lists go by name, with a prefix, page by page', async (t) => {
  const { files, actor } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  for (const name of ['b', 'a1', 'a%', 'a_', 'Z', 'a10']) await upload(files, file, name, '');
  const reading = await access(files, file);
  const names = async (filter: { prefix?: string; after?: string; limit: number }) =>
    (await files.blobs.list(reading, filter)).map((blob) => blob.name);
  assert.deepEqual(await names({ limit: 10 }), ['Z', 'a%', 'a1', 'a10', 'a_', 'b']);
  assert.deepEqual(await names({ prefix: 'a', limit: 2 }), ['a%', 'a1']);
  assert.deepEqual(await names({ prefix: 'a', after: 'a1', limit: 2 }), ['a10', 'a_']);
  assert.deepEqual(await names({ prefix: 'a%', limit: 9 }), ['a%']);
});

test('an uploaded file opens as one local path, gzip is seen by its content', async (t) => {
  const { files, actor } = await fileWorld(t);
  for (const [data, gzip] of [
    ['a,b\n1,2\n', false],
    [gzipSync('a,b\n1,2\n'), true],
    ['', false],
  ] as const) {
    const file = await files.prepare(actor, { name: 'data.csv' });
    await upload(files, file, file.blobName, data);
    const opened = await files.openSlices(actor, file.id);
    assert.equal(opened.isSliced, false);
    assert.equal(opened.format.gzip, gzip);
    assert.deepEqual(await readFile(opened.paths[0] ?? ''), Buffer.from(data));
    await opened.close();
  }
});

test('a sliced file opens in the order of its manifest; empty slices are fine', async (t) => {
  const { files, actor } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 's', isSliced: true });
  await assert.rejects(files.openSlices(actor, file.id), fails('file.not-uploaded'));
  const slice = (n: string) => `${file.blobName}${n}`;
  for (const n of ['a', 'b', 'c d']) await upload(files, file, slice(n), `rows of ${n}\n`);
  await upload(files, file, slice('empty'), '');
  await assert.rejects(files.openSlices(actor, file.id), fails('file.manifest-missing'));
  const names = [slice('b'), slice('empty'), slice('c%20d'), slice('a')];
  await upload(files, file, manifestName(file), manifest(file, names));
  const opened = await files.openSlices(actor, file.id);
  const read = await Promise.all(opened.paths.map((file) => readFile(file, 'utf8')));
  assert.deepEqual(read, ['rows of b\n', 'rows of c d\n', 'rows of a\n']);
  assert.deepEqual(opened.names, ['b', 'c d', 'a']);
  assert.equal(opened.isSliced, true);
});

test('a manifest that is broken, incomplete or points elsewhere is refused', async (t) => {
  const { files, actor } = await fileWorld(t);
  const other = await files.prepare(actor, { name: 'other' });
  await upload(files, other, other.blobName, 'secret');
  const file = await files.prepare(actor, { name: 's', isSliced: true });
  await upload(files, file, `${file.blobName}0`, 'x');
  await upload(files, file, `${file.blobName}1`, gzipSync('x'));
  const cases: [string, string][] = [
    ['no json', 'file.manifest-invalid'],
    ['[]', 'file.manifest-invalid'],
    ['{"entries":[{"uri":"x"}]}', 'file.manifest-invalid'],
    ['{"entries":[{"url":"/etc/passwd"}]}', 'file.slice-foreign'],
    ['{"entries":[{"url":"file:///etc/passwd"}]}', 'file.slice-foreign'],
    [manifest(file, [other.blobName], other.container), 'file.slice-foreign'],
    [manifest(file, [`${file.blobName}9`]), 'file.slice-missing'],
    [manifest(file, [`../${other.container}/${other.blobName}`]), 'file.slice-missing'],
    [manifest(file, [`${file.blobName}0`, `${file.blobName}1`]), 'file.slices-mixed'],
  ];
  for (const [body, code] of cases) {
    await upload(files, file, manifestName(file), body);
    await assert.rejects(files.openSlices(actor, file.id), fails(code), body);
  }
});

test('files of the platform are adopted with their slices in order and need no manifest', async (t) => {
  const { files, actor, folder, store } = await fileWorld(t);
  const slices = await Promise.all(
    ['_2', '_10', '_1'].map(async (name) => {
      const file = path.join(folder, `out${name}`);
      await writeFile(file, name);
      return { name: `${name}.csv`, path: file };
    }),
  );
  const file = await files.createFrom(actor, { name: 'table.csv', maxAgeDays: 2, tags: ['export'] }, slices);
  assert.equal(file.isSliced, true);
  assert.equal(file.sizeBytes, 7);
  assert.equal((await files.get(actor, file.id)).sizeBytes, 7);
  assert.equal(file.maxAgeDays, 2);
  const opened = await files.openSlices(actor, file.id);
  assert.deepEqual(await Promise.all(opened.paths.map((one) => readFile(one, 'utf8'))), ['_2', '_10', '_1']);
  await assert.rejects(readFile(path.join(folder, 'out_1')));

  const empty = await files.createFrom(actor, { name: 'none.csv' }, []);
  assert.deepEqual((await files.openSlices(actor, empty.id)).paths, []);

  await writeFile(path.join(folder, 'artifact'), 'content');
  const single = await files.createFrom(actor, { name: 'artifact.bin' }, path.join(folder, 'artifact'));
  assert.equal(single.isSliced, false);
  assert.equal(await content(files, single), 'content');
  assert.equal((await storedKeys(store)).length, 4);
});

test('staged content becomes a file only with the transaction of its maker', async (t) => {
  const { files, actor, db, folder } = await fileWorld(t);
  await writeFile(path.join(folder, 'x'), 'content');
  const staged = await files.stage(actor, { name: 'x' }, path.join(folder, 'x'));
  await assert.rejects(
    db.transaction(async (tx) => {
      await files.insertStaged(tx, actor, staged);
      throw new Error('the job failed');
    }),
  );
  await assert.rejects(files.get(actor, staged.file.id), fails('file.not-found'));
  await db.transaction((tx) => files.insertStaged(tx, actor, staged));
  assert.equal(await content(files, staged.file), 'content');
});

test('a store without local paths is read through copies that go away', async (t) => {
  const { files, actor, folder } = await fileWorld(t, { withoutLocalPaths: true });
  const file = await files.prepare(actor, { name: 'a' });
  await upload(files, file, file.blobName, 'remote');
  const opened = await files.openSlices(actor, file.id);
  const [copy = ''] = opened.paths;
  assert.ok(copy.startsWith(folder));
  assert.equal(await readFile(copy, 'utf8'), 'remote');
  await opened.close();
  await assert.rejects(readFile(copy));
});

test('expired files are invisible at once, and swept with an event', async (t) => {
  const { files, actor, sweeper, store, clock, db } = await fileWorld(t);
  const short = await files.prepare(actor, { name: 'short', maxAgeDays: 1 });
  const long = await files.prepare(actor, { name: 'long' });
  for (const file of [short, long]) await upload(files, file, file.blobName, 'x');
  const opened = await access(files, short);
  assert.deepEqual(await sweeper.sweepExpired(), { expiredFiles: 0, forgottenFiles: 0 });

  clock.forward(25 * HOUR_MS);
  await assert.rejects(files.get(actor, short.id), fails('file.not-found'));
  await assert.rejects(access(files, short), fails('blob.container-not-found'));
  await assert.rejects(files.blobs.put(opened, 'y', Readable.from(['y']), {}), fails('blob.container-not-found'));
  const ids = async (showExpired: boolean) => (await files.list(actor, { showExpired }, PAGE)).map((file) => file.id);
  assert.deepEqual(await ids(false), [long.id]);
  assert.deepEqual(await ids(true), [long.id, short.id]);

  assert.deepEqual(await sweeper.sweepExpired(), { expiredFiles: 1, forgottenFiles: 0 });
  assert.deepEqual(await sweeper.sweepExpired(), { expiredFiles: 0, forgottenFiles: 0 });
  assert.equal((await storedKeys(store)).length, 1);
  const deleted = await db.query(sql`select 1 from events where name = 'file.deleted'`);
  assert.equal(deleted.length, 1);

  clock.forward(31 * 24 * HOUR_MS);
  assert.deepEqual(await sweeper.sweepExpired(), { expiredFiles: 1, forgottenFiles: 1 });
  assert.deepEqual(await storedKeys(store), []);
});

test('forgotten blocks and content without a blob are swept, what is in use stays', async (t) => {
  const { files, actor, sweeper, store, clock, folder } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a', isPermanent: true });
  await upload(files, file, file.blobName, 'kept');
  const writing = await access(files, file);
  await files.blobs.putBlock(writing, 'b', 'AAAA', Readable.from(['x']));
  await writeFile(path.join(folder, 'x'), 'never inserted');
  await files.stage(actor, { name: 'x' }, path.join(folder, 'x'));
  assert.deepEqual(await sweeper.sweepLeftOvers(), { blocks: 0, orphans: 0 });
  clock.forward(49 * HOUR_MS);
  assert.deepEqual(await sweeper.sweepLeftOvers(), { blocks: 1, orphans: 1 });
  assert.equal((await storedKeys(store)).length, 1);
  assert.equal(await content(files, file), 'kept');
});

test('the sweeper starts and stops', async (t) => {
  const { sweeper } = await fileWorld(t);
  sweeper.start();
  await sweeper.stop();
});

test('reading a blob in parts', async (t) => {
  const { files, actor } = await fileWorld(t);
  const file = await files.prepare(actor, { name: 'a' });
  await upload(files, file, 'b', '0123456789');
  const reading = await access(files, file);
  const blob = await files.blobs.find(reading, 'b');
  assert.ok(blob);
  assert.equal((await buffer(await files.blobs.read(reading, blob, { start: 2, end: 4 }))).toString(), '234');
});
