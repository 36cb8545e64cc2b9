import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Filestore } from '../../src/drivers/filestores/contract.ts';

/**
 * What every filestore has to do. `open` gives an empty store that is removed after the test, or skips the test and
 * gives none.
 */
export function filestoreConformance(name: string, open: (t: TestContext) => Promise<Filestore | undefined>): void {
  const the = (behaviour: string, body: (store: Filestore, t: TestContext) => Promise<void>) =>
    test(`filestore ${name}: ${behaviour}`, async (t) => {
      const store = await open(t);
      if (store) await body(store, t);
    });

  the('a healthy store passes its own check', async (store) => store.check());

  the('what was put is got back byte by byte, with its size, time and etag', async (store) => {
    const content = randomBytes(3_000_000);
    const before = Date.now() - 2000;
    const put = await store.put('a/b/c', Readable.from(slicesOf(content, 70_001)));
    assert.equal(put.key, 'a/b/c');
    assert.equal(put.sizeBytes, content.length);
    assert.ok(put.modifiedAt.getTime() >= before && put.modifiedAt.getTime() <= Date.now() + 2000);
    const got = await store.get('a/b/c');
    assert.deepEqual(got?.blob, put);
    assert.ok((await buffer(got?.body ?? Readable.from([]))).equals(content));
    assert.deepEqual(await store.head('a/b/c'), put);
  });

  the('buffers and empty bodies are blobs too', async (store) => {
    await store.put('small', Buffer.from('hello'));
    assert.equal(await text(store, 'small'), 'hello');
    assert.equal((await store.put('none', Buffer.alloc(0))).sizeBytes, 0);
    assert.equal((await store.put('none', Readable.from([]))).sizeBytes, 0);
    assert.equal(await text(store, 'none'), '');
  });

  the('an absent key is undefined, and deleting it is no error', async (store) => {
    await store.put('x/y', Buffer.from('1'));
    for (const key of ['nothing', 'x', 'x/y/z', 'x/z']) {
      assert.equal(await store.get(key), undefined, key);
      assert.equal(await store.head(key), undefined, key);
      await store.delete(key);
    }
    assert.equal(await text(store, 'x/y'), '1');
  });

  the('ranges are cut at both ends and past the end', async (store) => {
    await store.put('r', Buffer.from('0123456789'));
    const cut = async (start: number, end?: number) => {
      const got = await store.get('r', end === undefined ? { start } : { start, end });
      assert.equal(got?.blob.sizeBytes, 10);
      return (await buffer(got?.body ?? Readable.from([]))).toString();
    };
    assert.equal(await cut(0, 0), '0');
    assert.equal(await cut(3, 5), '345');
    assert.equal(await cut(7), '789');
    assert.equal(await cut(7, 100), '789');
    assert.equal(await cut(10), '');
  });

  the('a key is replaced whole, with a new etag, and old readers finish what they began', async (store) => {
    const old = randomBytes(2_000_000);
    const first = await store.put('k', old);
    const reader = await store.get('k');
    const second = await store.put('k', Buffer.from('new'));
    assert.notEqual(second.etag, first.etag);
    assert.equal(await text(store, 'k'), 'new');
    assert.ok((await buffer(reader?.body ?? Readable.from([]))).equals(old));
  });

  the('an aborted put leaves the old blob and nothing else', async (store) => {
    await store.put('k', Buffer.from('old'));
    const abort = new AbortController();
    const endless = new Readable({
      read() {
        this.push(Buffer.alloc(10_000));
      },
    });
    const putting = store.put('k', endless, abort.signal);
    await sleep(30);
    abort.abort();
    await assert.rejects(putting);
    assert.equal(endless.destroyed, true);
    const failing = Readable.from(
      (function* () {
        yield Buffer.from('half');
        throw new Error('source broke');
      })(),
    );
    await assert.rejects(store.put('fresh', failing), /source broke/);
    await assert.rejects(store.put('fresh', Buffer.from('x'), AbortSignal.abort()));
    assert.equal(await text(store, 'k'), 'old');
    assert.equal(await store.head('fresh'), undefined);
    assert.deepEqual(await keys(store, ''), ['k']);
  });

  the('a slow writer is not read ahead of the store', async (store) => {
    let produced = 0;
    const source = new Readable({
      highWaterMark: 64 * 1024,
      read() {
        produced += 64 * 1024;
        this.push(produced > 32 * 1024 * 1024 ? null : Buffer.alloc(64 * 1024));
      },
    });
    const put = await store.put('big', source);
    assert.equal(put.sizeBytes, 32 * 1024 * 1024);
    const got = await store.get('big');
    const iterator = got?.body[Symbol.asyncIterator]();
    await iterator?.next();
    await sleep(50);
    assert.ok((got?.body.readableLength ?? 0) < 4 * 1024 * 1024);
    got?.body.destroy();
  });

  the('parts are joined in the given order and stay', async (store) => {
    const big = randomBytes(2_500_000);
    await store.put('parts/1', Buffer.from('one'));
    await store.put('parts/2', big);
    await store.put('parts/3', Buffer.alloc(0));
    const whole = await store.compose('whole', ['parts/2', 'parts/1', 'parts/3', 'parts/1']);
    const expected = Buffer.concat([big, Buffer.from('oneone')]);
    assert.equal(whole.sizeBytes, expected.length);
    assert.ok((await bytes(store, 'whole')).equals(expected));
    assert.equal(await text(store, 'parts/1'), 'one');

    await store.compose('single', ['parts/1']);
    await store.delete('parts/1');
    assert.equal(await text(store, 'single'), 'one');
    await store.compose('single', ['single']);
    assert.equal(await text(store, 'single'), 'one');
    assert.equal((await store.compose('nothing', [])).sizeBytes, 0);
    await assert.rejects(store.compose('whole', ['parts/2', 'parts/missing']));
    assert.ok((await bytes(store, 'whole')).equals(expected));
  });

  the('a listing is by prefix and in key order, as bytes sort', async (store) => {
    const all = ['a-b', 'a.b', 'a/1', 'a/10', 'a/2/x', 'ab', 'b/é', 'b/z', 'b/Z'];
    for (const key of [...all].reverse()) await store.put(key, Buffer.from(key));
    const sorted = [...all].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(await keys(store, ''), sorted);
    assert.deepEqual(await keys(store, 'a/'), ['a/1', 'a/10', 'a/2/x']);
    assert.deepEqual(await keys(store, 'a/1'), ['a/1', 'a/10']);
    assert.deepEqual(await keys(store, 'a/2'), ['a/2/x']);
    assert.deepEqual(await keys(store, 'nope/'), []);
    for await (const blob of store.list('ab')) assert.equal(blob.sizeBytes, 2);
  });

  the('a prefix is deleted whole and alone', async (store) => {
    for (const key of ['f/1/a', 'f/1/b/c', 'f/10/a', 'f/2/a', 'g']) await store.put(key, Buffer.from(key));
    await store.deletePrefix('f/1/');
    assert.deepEqual(await keys(store, ''), ['f/10/a', 'f/2/a', 'g']);
    await store.deletePrefix('f/1');
    assert.deepEqual(await keys(store, ''), ['f/2/a', 'g']);
    await store.deletePrefix('nothing/here/');
    await assert.rejects(store.deletePrefix(''));
    assert.deepEqual(await keys(store, ''), ['f/2/a', 'g']);
  });

  the('keys that would leave the store are refused everywhere', async (store) => {
    const bad = ['', '/', '../x', 'a/../../x', 'a//b', '/etc/passwd', 'a/', './a', 'a/.', 'a\0b', 'a/\\b', '.tmp/x'];
    for (const key of bad) {
      await assert.rejects(store.put(key, Buffer.from('x')), Error, key);
      await assert.rejects(store.get(key), Error, key);
      await assert.rejects(store.head(key), Error, key);
      await assert.rejects(store.delete(key), Error, key);
      await assert.rejects(store.compose(key, []), Error, key);
    }
    await assert.rejects(store.deletePrefix('../'));
    await assert.rejects(keys(store, '../'));
  });

  the('a local file is adopted: gone there, whole here', async (store, t) => {
    const folder = await temporaryFolder(t);
    const content = randomBytes(1_000_000);
    const file = path.join(folder, 'made');
    await writeFile(file, content);
    const adopted = await store.adopt(file, 'in/made');
    assert.equal(adopted.sizeBytes, content.length);
    assert.ok((await bytes(store, 'in/made')).equals(content));
    await assert.rejects(readFile(file));
  });

  the('links, folders and absent files are not adopted', async (store, t) => {
    const folder = await temporaryFolder(t);
    await writeFile(path.join(folder, 'secret'), 'secret');
    await symlink(path.join(folder, 'secret'), path.join(folder, 'link'));
    await assert.rejects(store.adopt(path.join(folder, 'link'), 'k'));
    await assert.rejects(store.adopt(folder, 'k'));
    await assert.rejects(store.adopt(path.join(folder, 'absent'), 'k'));
    assert.equal(await store.head('k'), undefined);
    assert.equal(await readFile(path.join(folder, 'secret'), 'utf8'), 'secret');
  });

  the('writers and deleters in the same folders do not disturb each other', async (store) => {
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const key = `race/${i % 3}/${i}`;
        await store.put(key, Buffer.from(String(i)));
        if (i % 2 === 0) await store.delete(key);
      }),
    );
    const left = await keys(store, 'race/');
    assert.equal(left.length, 20);
    for (const key of left) assert.equal(await text(store, key), key.split('/').at(-1));
  });

  the('many writers of one key leave one whole blob', async (store) => {
    const versions = Array.from({ length: 10 }, (_, i) => Buffer.alloc(300_000, i));
    await Promise.all(versions.map((version) => store.put('hot', version)));
    const got = await bytes(store, 'hot');
    assert.ok(versions.some((version) => version.equals(got)));
  });
}

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-filestore-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function bytes(store: Filestore, key: string): Promise<Buffer> {
  const got = await store.get(key);
  assert.ok(got, `no blob ${key}`);
  return buffer(got.body);
}

async function text(store: Filestore, key: string): Promise<string> {
  return (await bytes(store, key)).toString();
}

async function keys(store: Filestore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const blob of store.list(prefix)) found.push(blob.key);
  return found;
}

function* slicesOf(content: Buffer, size: number): Iterable<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}
