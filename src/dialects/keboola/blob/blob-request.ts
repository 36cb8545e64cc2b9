import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { BlobProperties, WriteCondition } from '../../../core/files/blobs.ts';
import { fileErrors } from '../../../core/files/file-errors.ts';
import type { FileBlob } from '../../../core/files/file-model.ts';
import { BLOB_PREFIX } from './blob-address.ts';

/** A request that the protocol itself refuses. */
export class BlobRequestError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export type BlobTarget = { container: string; blob: string; query: URLSearchParams };

/**
 * The target out of the URL as it was sent: routers fold and cut slashes, which in blob names are data. Clients encode
 * slashes or do not; both mean the same name.
 */
export function parseTarget(url: string): BlobTarget {
  const [path = '', query = ''] = splitOnce(url, '?');
  const [container = '', blob = ''] = splitOnce(path.slice(BLOB_PREFIX.length + 1), '/');
  try {
    return {
      container: decodeURIComponent(container),
      blob: decodeURIComponent(blob),
      query: new URLSearchParams(query),
    };
  } catch {
    throw invalidUri();
  }
}

export function invalidUri(): BlobRequestError {
  return new BlobRequestError(400, 'InvalidUri', 'The requested URI does not represent any resource on the server.');
}

/** What the client wants to be told again with the blob. */
export function propertiesOf(headers: IncomingHttpHeaders, declaredType?: string): BlobProperties {
  return {
    contentType: text(headers['x-ms-blob-content-type']) ?? declaredType,
    contentEncoding: text(headers['x-ms-blob-content-encoding']),
    contentDisposition: text(headers['x-ms-blob-content-disposition']),
  };
}

export function writeConditionOf(headers: IncomingHttpHeaders): WriteCondition | undefined {
  const ifMatch = text(headers['if-match']);
  const ifAbsent = text(headers['if-none-match']) === '*';
  if (ifMatch === undefined && !ifAbsent) return undefined;
  return { ifAbsent, ifEtag: ifMatch === undefined ? undefined : bareEtag(ifMatch) };
}

/** Throws 412, or says true when the reader has this very version already (304). */
export function isUnchangedFor(headers: IncomingHttpHeaders, blob: Pick<FileBlob, 'etag' | 'modifiedAt'>): boolean {
  const seconds = Math.floor(blob.modifiedAt.getTime() / 1000) * 1000;
  const ifMatch = text(headers['if-match']);
  if (ifMatch !== undefined && ifMatch !== '*' && bareEtag(ifMatch) !== blob.etag) throw fileErrors.conditionNotMet();
  const unmodifiedSince = Date.parse(text(headers['if-unmodified-since']) ?? '');
  if (seconds > unmodifiedSince) throw fileErrors.conditionNotMet();
  const ifNoneMatch = text(headers['if-none-match']);
  if (ifNoneMatch !== undefined) return ifNoneMatch === '*' || bareEtag(ifNoneMatch) === blob.etag;
  return seconds <= Date.parse(text(headers['if-modified-since']) ?? '');
}

/** The asked-for bytes, undefined for all of them. What is no single range of bytes is ignored, as HTTP has it. */
export function parseRange(
  headers: IncomingHttpHeaders,
  sizeBytes: number,
): { start: number; end: number } | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(text(headers['x-ms-range']) ?? text(headers.range) ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  const start = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start >= sizeBytes || (last !== '' && first !== '' && Number(last) < start)) {
    throw new BlobRequestError(
      416,
      'InvalidRange',
      'The range specified is invalid for the current size of the resource.',
    );
  }
  return { start, end };
}

/** The body as it comes; with a Content-MD5 header it fails at its end when it was not what the client meant. */
export function checkedBody(body: Readable, headers: IncomingHttpHeaders): Readable {
  const expected = text(headers['content-md5']);
  if (expected === undefined) return body;
  return Readable.from(
    (async function* () {
      const hash = createHash('md5');
      for await (const chunk of body as AsyncIterable<Buffer>) {
        hash.update(chunk);
        yield chunk;
      }
      if (hash.digest('base64') !== expected) throw fileErrors.checksumMismatch();
    })(),
    { objectMode: false },
  );
}

/** A small body (a block list) as text. */
export async function readSmallBody(body: Readable, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limitBytes) throw new BlobRequestError(413, 'RequestBodyTooLarge', 'The request body is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function bareEtag(etag: string): string {
  return etag.replace(/^W\//, '').replaceAll('"', '');
}

function text(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
