import { AppError } from '../../../core/errors.ts';
import type { S3Client } from './s3-client.ts';
import { completionXml, decodedKey, elements, elementText } from './s3-xml.ts';
import type { UploadShare } from './upload-buffers.ts';

const MAX_PARTS = 10_000;
const PARTS_AT_ONCE = 3;
/** Longer than any upload takes. */
const ABANDONED_AFTER_MS = 48 * 3600 * 1000;

/** One blob in parts; it appears whole with `complete`, or not at all. */
export class MultipartUpload {
  readonly #client: S3Client;
  readonly #key: string;
  readonly #id: string;
  readonly #signal: AbortSignal | undefined;
  readonly #etags: string[] = [];
  readonly #sending = new Set<Promise<void>>();
  #failure: unknown;
  #count = 0;

  private constructor(client: S3Client, key: string, id: string, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#key = key;
    this.#id = id;
    this.#signal = signal;
  }

  static async begin(client: S3Client, key: string, signal?: AbortSignal): Promise<MultipartUpload> {
    const answer = await client.text({ method: 'POST', key, query: { uploads: '' }, signal });
    const id = elementText(answer, 'UploadId');
    if (!id) throw new Error('S3 gave no id for a multipart upload');
    return new MultipartUpload(client, key, id, signal);
  }

  /** Returns as soon as the next part may be got ready. */
  async add(body: Buffer, share: UploadShare): Promise<void> {
    await this.#part((query) =>
      share.send(body.length, async () => {
        const response = await this.#client.call({ method: 'PUT', key: this.#key, query, body, signal: this.#signal });
        await response.arrayBuffer();
        return response.headers.get('etag') ?? '';
      }),
    );
  }

  /** The next part is a blob of the same store; nothing of it comes by here. */
  async addCopy(source: string): Promise<void> {
    const headers = { 'x-amz-copy-source': source };
    await this.#part(async (query) => {
      const answer = await this.#client.text({ method: 'PUT', key: this.#key, query, headers, signal: this.#signal });
      return elementText(answer, 'ETag') ?? '';
    });
  }

  async complete(): Promise<void> {
    await Promise.all(this.#sending);
    if (this.#failure) throw this.#failure;
    const body = Buffer.from(completionXml(this.#etags));
    await this.#client.text({
      method: 'POST',
      key: this.#key,
      query: { uploadId: this.#id },
      body,
      signal: this.#signal,
    });
  }

  /** Best effort: what cannot be taken back now is swept at a later start. */
  async abort(): Promise<void> {
    await Promise.allSettled(this.#sending);
    const call = { method: 'DELETE' as const, key: this.#key, query: { uploadId: this.#id } };
    await this.#client.find(call).catch(() => undefined);
  }

  async #part(send: (query: Record<string, string>) => Promise<string>): Promise<void> {
    while (this.#sending.size >= PARTS_AT_ONCE) await Promise.race(this.#sending);
    if (this.#failure) throw this.#failure;
    const number = ++this.#count;
    if (number > MAX_PARTS)
      throw new AppError('too-large', 'filestore.too-large', 'The file is too large for the store.');
    const sent = send({ partNumber: String(number), uploadId: this.#id }).then(
      (etag) => {
        this.#etags[number - 1] = etag;
      },
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
    const tracked: Promise<void> = sent.finally(() => this.#sending.delete(tracked));
    this.#sending.add(tracked);
  }
}

/** Takes back what crashed writers began: their parts cost room and are shown by no listing. */
export async function abortAbandoned(client: S3Client, prefix: string): Promise<void> {
  const query = { uploads: '', prefix, 'encoding-type': 'url', 'max-uploads': '1000' };
  const answer = await client.text({ method: 'GET', query });
  for (const upload of elements(answer, 'Upload')) {
    const begun = Date.parse(elementText(upload, 'Initiated') ?? '');
    const key = decodedKey(elementText(upload, 'Key') ?? '');
    const uploadId = elementText(upload, 'UploadId') ?? '';
    if (!(Date.now() - begun > ABANDONED_AFTER_MS) || !key.startsWith(prefix)) continue;
    await client.find({ method: 'DELETE', key, query: { uploadId } });
  }
}
