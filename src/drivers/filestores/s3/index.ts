import { randomUUID } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { addAbortSignal, Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { AppError } from '../../../core/errors.ts';
import type { Filestore, StoredBlob } from '../contract.ts';
import { assertKey, folderOfPrefix, MAX_KEY_BYTES } from '../keys.ts';
import { openOwnFile } from '../own-file.ts';
import { abortAbandoned, MultipartUpload } from './multipart-upload.ts';
import { md5Of, S3Client, type S3Options } from './s3-client.ts';
import { decodedKey, deletionXml, elements, elementText } from './s3-xml.ts';
import { UploadBuffers, type UploadShare } from './upload-buffers.ts';

export type S3FilestoreOptions = S3Options & {
  /** In front of every key, so that a bucket can hold other things too. Empty, or ends with a slash. */
  prefix: string;
  /** Blobs per call of a listing or a deletion; services allow no more than the default. */
  pageBlobs?: number;
};

/** Ten thousand parts are allowed, so that blobs end at 160 GB. All but the last are of one size: some stores ask for it. */
const PART_BYTES = 16 * 1024 ** 2;
/** Smaller ones may not be parts, except for the last. */
const MIN_PART_BYTES = 5 * 1024 ** 2;
const MAX_COPY_BYTES = 5 * 1024 ** 3;
const PAGE_BLOBS = 1000;
const BUFFERED_BYTES = 128 * 1024 ** 2;

/**
 * Blobs as objects in a bucket of an S3 service. S3 shows an object whole or not at all and answers reads after writes
 * with what was written, which is what the contract asks for; nothing is kept on the local disk.
 */
export async function openS3Filestore(options: S3FilestoreOptions): Promise<Filestore> {
  const store = new S3Filestore(new S3Client(options), options);
  await store.check();
  return store;
}

class S3Filestore implements Filestore {
  readonly name = 's3';
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #pageBlobs: number;
  readonly #buffers = new UploadBuffers(BUFFERED_BYTES);

  constructor(client: S3Client, { bucket, prefix, pageBlobs = PAGE_BLOBS }: S3FilestoreOptions) {
    this.#pageBlobs = pageBlobs;
    this.#client = client;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  /** Writes, lists and deletes: keys are often allowed one and not the other. */
  async check(): Promise<void> {
    const key = `${this.#prefix}.tmp/check-${randomUUID()}`;
    await (await this.#client.call({ method: 'PUT', key, body: Buffer.alloc(0) })).arrayBuffer();
    await this.#client.text({ method: 'GET', query: { 'list-type': '2', 'max-keys': '1', prefix: key } });
    await this.#client.find({ method: 'DELETE', key });
    await abortAbandoned(this.#client, this.#prefix);
  }

  async put(key: string, body: Readable | Buffer, signal?: AbortSignal): Promise<StoredBlob> {
    const name = this.#objectName(key);
    try {
      signal?.throwIfAborted();
      if (Buffer.isBuffer(body)) {
        if (body.length <= PART_BYTES) await this.#putWhole(name, body, signal);
        else await this.#putStream(name, Readable.from(slicesOf(body)), signal);
      } else {
        if (signal) addAbortSignal(signal, body);
        await this.#putStream(name, body, signal);
      }
    } catch (error) {
      if (!Buffer.isBuffer(body)) body.destroy();
      throw error;
    }
    return this.#existing(key);
  }

  async compose(key: string, parts: string[]): Promise<StoredBlob> {
    const name = this.#objectName(key);
    const blobs = await Promise.all(parts.map((part) => this.#existing(part)));
    const [only] = blobs;
    if (only && blobs.length === 1) {
      // S3 refuses a copy of an object onto itself.
      if (only.key === key) return only;
      if (only.sizeBytes <= MAX_COPY_BYTES) {
        const headers = { 'x-amz-copy-source': this.#copySource(only.key) };
        await this.#client.text({ method: 'PUT', key: name, headers });
        return this.#existing(key);
      }
    }
    const isCopyable = ({ sizeBytes }: StoredBlob, i: number) =>
      sizeBytes <= MAX_COPY_BYTES && (sizeBytes >= MIN_PART_BYTES || (i === blobs.length - 1 && sizeBytes > 0));
    if (blobs.length > 1 && blobs.every(isCopyable)) {
      await this.#inParts(name, undefined, async (upload) => {
        for (const blob of blobs) await upload.addCopy(this.#copySource(blob.key));
      });
      return this.#existing(key);
    }
    return this.put(key, Readable.from(this.#contents(blobs)));
  }

  async get(
    key: string,
    range?: { start: number; end?: number },
  ): Promise<{ blob: StoredBlob; body: Readable } | undefined> {
    const name = this.#objectName(key);
    if (range?.end !== undefined && range.end < range.start) return this.#empty(key);
    const headers: Record<string, string> = range ? { range: `bytes=${range.start}-${range.end ?? ''}` } : {};
    const response = await this.#client.find({ method: 'GET', key: name, headers });
    if (!response) return undefined;
    if (response.status === 416) {
      await response.arrayBuffer();
      return this.#empty(key);
    }
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    const blob = describe(key, response.headers, total);
    const body = response.body
      ? Readable.fromWeb(response.body as ReadableStream<Uint8Array>, { highWaterMark: 256 * 1024 })
      : Readable.from([]);
    return { blob, body };
  }

  async head(key: string): Promise<StoredBlob | undefined> {
    const response = await this.#client.find({ method: 'HEAD', key: this.#objectName(key) });
    return response && describe(key, response.headers);
  }

  async *list(prefix: string): AsyncIterable<StoredBlob> {
    folderOfPrefix(prefix);
    const query = {
      'list-type': '2',
      'encoding-type': 'url',
      prefix: this.#prefix + prefix,
      'max-keys': String(this.#pageBlobs),
    };
    for (let token: string | undefined = ''; token !== undefined; ) {
      const answer: string = await this.#client.text({
        method: 'GET',
        query: token === '' ? query : { ...query, 'continuation-token': token },
      });
      for (const item of elements(answer, 'Contents')) {
        const key = decodedKey(elementText(item, 'Key') ?? '').slice(this.#prefix.length);
        if (key.startsWith('.tmp/')) continue;
        yield {
          key,
          sizeBytes: Number(elementText(item, 'Size')),
          modifiedAt: new Date(elementText(item, 'LastModified') ?? 0),
          etag: bare(elementText(item, 'ETag') ?? ''),
        };
      }
      const isCut = elementText(answer, 'IsTruncated') === 'true';
      token = isCut ? elementText(answer, 'NextContinuationToken') : undefined;
    }
  }

  async delete(key: string): Promise<void> {
    await this.#client.find({ method: 'DELETE', key: this.#objectName(key) });
  }

  async deletePrefix(prefix: string): Promise<void> {
    if (prefix === '') throw new Error('Refusing to delete every blob of a filestore');
    let batch: string[] = [];
    for await (const { key } of this.list(prefix)) {
      if (batch.push(this.#prefix + key) < this.#pageBlobs) continue;
      await this.#deleteAll(batch);
      batch = [];
    }
    if (batch.length > 0) await this.#deleteAll(batch);
  }

  async adopt(source: string, key: string): Promise<StoredBlob> {
    const handle = await openOwnFile(source);
    let blob: StoredBlob;
    try {
      blob = await this.put(key, handle.createReadStream({ autoClose: false, start: 0, highWaterMark: 1024 * 1024 }));
    } finally {
      await handle.close();
    }
    await unlink(source);
    return blob;
  }

  async #putWhole(name: string, body: Buffer, signal: AbortSignal | undefined): Promise<void> {
    const response = await this.#client.call({ method: 'PUT', key: name, body, signal });
    await response.arrayBuffer();
  }

  /** What fits into one part is one call; more goes in parts while the source is read on. */
  async #putStream(name: string, body: Readable, signal: AbortSignal | undefined): Promise<void> {
    const share = this.#buffers.open();
    try {
      const parts = partsOf(body, share);
      const first = await parts.next();
      const second = first.done ? first : await parts.next();
      if (second.done) {
        const whole = first.done ? Buffer.alloc(0) : first.value;
        await share.send(whole.length, () => this.#putWhole(name, whole, signal));
        return;
      }
      await this.#inParts(name, signal, async (upload) => {
        if (!first.done) await upload.add(first.value, share);
        await upload.add(second.value, share);
        for await (const part of parts) await upload.add(part, share);
      });
    } finally {
      share.close();
    }
  }

  async #inParts(
    name: string,
    signal: AbortSignal | undefined,
    fill: (upload: MultipartUpload) => Promise<void>,
  ): Promise<void> {
    const upload = await MultipartUpload.begin(this.#client, name, signal);
    try {
      await fill(upload);
      await upload.complete();
    } catch (error) {
      await upload.abort();
      throw error;
    }
  }

  async *#contents(blobs: StoredBlob[]): AsyncIterable<Buffer> {
    for (const { key } of blobs) {
      const got = await this.get(key);
      if (!got) throw absent(key);
      yield* got.body as AsyncIterable<Buffer>;
    }
  }

  async #deleteAll(names: string[]): Promise<void> {
    const body = Buffer.from(deletionXml(names));
    const answer = await this.#client.text({
      method: 'POST',
      query: { delete: '' },
      // Older services ask for it, newer ones for any checksum.
      headers: { 'content-md5': md5Of(body), 'content-type': 'application/xml' },
      body,
    });
    const [failed] = elements(answer, 'Error');
    if (failed === undefined) return;
    throw new AppError('unavailable', 'filestore.failed', 'The file store did not delete all files.', {
      cause: new Error(`S3 kept an object: ${elementText(failed, 'Code')}`),
    });
  }

  async #existing(key: string): Promise<StoredBlob> {
    const blob = await this.head(key);
    if (!blob) throw absent(key);
    return blob;
  }

  async #empty(key: string): Promise<{ blob: StoredBlob; body: Readable } | undefined> {
    const blob = await this.head(key);
    return blob && { blob, body: Readable.from([]) };
  }

  #objectName(key: string): string {
    assertKey(key);
    const name = this.#prefix + key;
    if (Buffer.byteLength(name) > MAX_KEY_BYTES)
      throw new Error(`The filestore key ${JSON.stringify(key)} is too long`);
    return name;
  }

  #copySource(key: string): string {
    return `/${this.#bucket}/${this.#objectName(key).split('/').map(encodeURIComponent).join('/')}`;
  }
}

function describe(key: string, headers: Headers, total?: string): StoredBlob {
  return {
    key,
    sizeBytes: Number(total ?? headers.get('content-length')),
    modifiedAt: new Date(headers.get('last-modified') ?? 0),
    etag: bare(headers.get('etag') ?? ''),
  };
}

const bare = (etag: string) => etag.replaceAll('"', '');

const absent = (key: string) => new Error(`The filestore has no blob ${JSON.stringify(key)}`);

/** The source in pieces of one part each. It is read no faster than the pieces are taken. */
async function* partsOf(body: Readable, share: UploadShare): AsyncGenerator<Buffer, undefined, void> {
  let chunks: Buffer[] = [];
  let size = 0;
  for await (const piece of body) {
    let rest = Buffer.from(piece as Buffer | string);
    await share.take(rest.length);
    while (size + rest.length >= PART_BYTES) {
      const head = rest.subarray(0, PART_BYTES - size);
      rest = rest.subarray(head.length);
      yield Buffer.concat([...chunks, head]);
      chunks = [];
      size = 0;
    }
    if (rest.length > 0) chunks.push(rest);
    size += rest.length;
  }
  if (size > 0) yield Buffer.concat(chunks);
  return undefined;
}

function* slicesOf(body: Buffer): Iterable<Buffer> {
  for (let at = 0; at < body.length; at += PART_BYTES) yield body.subarray(at, at + PART_BYTES);
}
