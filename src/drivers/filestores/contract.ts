import type { Readable } from 'node:stream';

/** A filestore keeps opaque blobs under keys (`a/b/c`, no `..`). A blob appears whole or not at all. */
export type Filestore = {
  readonly name: string;
  check(): Promise<void>;
  /** Streams the body to disk (or object store), fsyncs, then makes it visible under the key, replacing any other. */
  put(key: string, body: Readable | Buffer, signal?: AbortSignal): Promise<StoredBlob>;
  /** Joins existing blobs in order into one under `key` (block lists). The parts stay until deleted. */
  compose(key: string, parts: string[]): Promise<StoredBlob>;
  /** Undefined when there is none. `start`/`end` are byte offsets, end inclusive. */
  get(key: string, range?: { start: number; end?: number }): Promise<{ blob: StoredBlob; body: Readable } | undefined>;
  head(key: string): Promise<StoredBlob | undefined>;
  /** Blobs whose key starts with the prefix, in key order. */
  list(prefix: string): AsyncIterable<StoredBlob>;
  delete(key: string): Promise<void>;
  deletePrefix(prefix: string): Promise<void>;
  /** A local path the engine may read, for stores that have one. Others are downloaded first. */
  localPath?(key: string): string;
  /** Moves a local file into the store without copying where the store can. */
  adopt(path: string, key: string): Promise<StoredBlob>;
};

export type StoredBlob = { key: string; sizeBytes: number; modifiedAt: Date; etag: string };
