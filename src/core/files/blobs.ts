import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Database } from '../../db/database.ts';
import type { Filestore, StoredBlob } from '../../drivers/filestores/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import { uuidv7 } from '../../lib/ids.ts';
import type { BlobGrants, Grant, Permission } from './blob-grants.ts';
import { fileErrors } from './file-errors.ts';
import { contentPrefix, type FileBlob, type StoredFile } from './file-model.ts';
import { deleteBlob, findBlob, findFileByContainer, listBlobs, lockForWriting, upsertBlob } from './file-store.ts';

/** Blocks that wait for their list: `blocks/<file>/<digest of the blob's name>/<block id in hex>`. */
export const BLOCK_PREFIX = 'blocks/';

const MAX_NAME_LENGTH = 1024;
const MAX_BLOCKS = 50_000;

/** Proof that a valid grant was shown; every operation on blobs takes it first, as others take the actor. */
export type ContainerAccess = { readonly file: StoredFile; readonly permissions: string };

export type BlobProperties = {
  contentType?: string | undefined;
  contentEncoding?: string | undefined;
  contentDisposition?: string | undefined;
};

/** When a write may happen: only if there is no such blob yet, or only over this very version (`*`: over any). */
export type WriteCondition = { ifAbsent?: boolean | undefined; ifEtag?: string | undefined };

export type BlockReference = { id: string; from: 'uncommitted' | 'committed' | 'latest' };
export type BlockSize = { id: string; sizeBytes: number };

/**
 * The blobs of one file, written by whoever holds a grant for it.
 *
 * A blob's content is stored under a key of its own first; then one transaction points the blob's row to it. So a blob
 * is there whole or not at all, overwriting is atomic, and what a failure leaves behind is content without a row,
 * which the sweeper removes.
 */
export class Blobs {
  readonly #db: Database;
  readonly #filestore: Filestore;
  readonly #clock: Clock;
  readonly #grants: BlobGrants;

  constructor(parts: { db: Database; filestore: Filestore; clock: Clock; grants: BlobGrants }) {
    this.#db = parts.db;
    this.#filestore = parts.filestore;
    this.#clock = parts.clock;
    this.#grants = parts.grants;
  }

  /** Opens a container for the holder of a grant; a deleted or expired file has none. */
  async open(container: string, grant: Grant): Promise<ContainerAccess> {
    this.#grants.check(container, grant);
    const file = await findFileByContainer(this.#db, container);
    const isExpired = file?.expiresAt !== undefined && file.expiresAt <= this.#clock.now();
    if (!file || isExpired) throw fileErrors.containerNotFound();
    return { file, permissions: grant.permissions };
  }

  async find(access: ContainerAccess, name: string): Promise<FileBlob | undefined> {
    requirePermission(access, 'r');
    return findBlob(this.#db, access.file.id, name);
  }

  /** The blob's content from `start` to `end` (inclusive), or all of it. */
  async read(access: ContainerAccess, blob: FileBlob, range?: { start: number; end: number }): Promise<Readable> {
    requirePermission(access, 'r');
    const got = await this.#filestore.get(blob.storageKey, range);
    // Overwritten or deleted since the row was read.
    if (!got) throw fileErrors.blobNotFound();
    return got.body;
  }

  async put(
    access: ContainerAccess,
    name: string,
    body: Readable,
    properties: BlobProperties,
    options: { condition?: WriteCondition; signal?: AbortSignal } = {},
  ): Promise<FileBlob> {
    requirePermission(access, 'w');
    checkName(name);
    await this.#checkCondition(access, name, options.condition);
    const key = this.#newKey(access.file);
    const stored = await this.#filestore.put(key, body, options.signal);
    return this.#publish(access, name, stored, properties, options.condition, undefined);
  }

  /** Blocks of one blob come in any order and at the same time; the same id again replaces the block. */
  async putBlock(
    access: ContainerAccess,
    name: string,
    blockId: string,
    body: Readable,
    signal?: AbortSignal,
  ): Promise<void> {
    requirePermission(access, 'w');
    checkName(name);
    await this.#filestore.put(blockKey(access.file, name, blockId), body, signal);
  }

  /** Makes the blob of the listed blocks. Blocks that the list leaves out are dropped. */
  async commitBlocks(
    access: ContainerAccess,
    name: string,
    references: BlockReference[],
    properties: BlobProperties,
    condition?: WriteCondition,
  ): Promise<FileBlob> {
    requirePermission(access, 'w');
    checkName(name);
    if (references.length > MAX_BLOCKS) throw fileErrors.blockListInvalid();
    await this.#checkCondition(access, name, condition);
    const waiting = await this.#waitingBlocks(access, name);
    const current = await findBlob(this.#db, access.file.id, name);
    const parts = resolveBlocks(access.file, name, references, waiting, current);
    const key = this.#newKey(access.file);
    const keys = parts.map((part) => ('range' in part ? undefined : part.key));
    const stored = keys.every((part) => part !== undefined)
      ? await this.#filestore.compose(key, keys)
      : await this.#filestore.put(key, Readable.from(this.#contents(parts), { objectMode: false }));
    const blocks = parts.map((part): [string, number] => [part.id, part.sizeBytes]);
    const blob = await this.#publish(access, name, stored, properties, condition, blocks);
    await this.#filestore.deletePrefix(blockPrefix(access.file, name));
    return blob;
  }

  async blocks(access: ContainerAccess, name: string): Promise<{ committed: BlockSize[]; uncommitted: BlockSize[] }> {
    requirePermission(access, 'r');
    const current = await findBlob(this.#db, access.file.id, name);
    const waiting = await this.#waitingBlocks(access, name);
    if (!current && waiting.size === 0) throw fileErrors.blobNotFound();
    return {
      committed: (current?.blocks ?? []).map(([id, sizeBytes]) => ({ id, sizeBytes })),
      uncommitted: [...waiting].map(([id, sizeBytes]) => ({ id, sizeBytes })),
    };
  }

  /** In the order of their names. */
  async list(access: ContainerAccess, filter: { prefix?: string; after?: string; limit: number }): Promise<FileBlob[]> {
    requirePermission(access, 'l');
    return listBlobs(this.#db, access.file.id, filter);
  }

  async delete(access: ContainerAccess, name: string): Promise<void> {
    requirePermission(access, 'd');
    const key = await this.#db.transaction((tx) => deleteBlob(tx, access.file.id, name));
    if (key === undefined) throw fileErrors.blobNotFound();
    await this.#filestore.delete(key);
  }

  #newKey(file: StoredFile): string {
    return contentPrefix(file) + uuidv7();
  }

  /** Before anything is received: a refused upload of a gigabyte should be refused at its first byte. */
  async #checkCondition(access: ContainerAccess, name: string, condition: WriteCondition | undefined): Promise<void> {
    if (condition) assertCondition(await findBlob(this.#db, access.file.id, name), condition);
  }

  async #publish(
    access: ContainerAccess,
    name: string,
    stored: StoredBlob,
    properties: BlobProperties,
    condition: WriteCondition | undefined,
    blocks: [string, number][] | undefined,
  ): Promise<FileBlob> {
    const blob: FileBlob = {
      fileId: access.file.id,
      name,
      storageKey: stored.key,
      sizeBytes: stored.sizeBytes,
      contentType: properties.contentType,
      contentEncoding: properties.contentEncoding,
      contentDisposition: properties.contentDisposition,
      etag: stored.etag,
      modifiedAt: this.#clock.now(),
      blocks,
    };
    let replaced: FileBlob | undefined;
    try {
      await this.#db.transaction(async (tx) => {
        if (!(await lockForWriting(tx, blob.fileId, this.#clock.now()))) throw fileErrors.containerNotFound();
        replaced = await findBlob(tx, blob.fileId, name);
        if (condition) assertCondition(replaced, condition);
        await upsertBlob(tx, blob);
      });
    } catch (error) {
      // After an unclear commit the row may be there nevertheless: then the content has to stay.
      const isThere = await findBlob(this.#db, blob.fileId, name).catch(() => blob);
      if (isThere?.storageKey !== stored.key) await this.#filestore.delete(stored.key);
      throw error;
    }
    if (replaced) await this.#filestore.delete(replaced.storageKey);
    return blob;
  }

  async #waitingBlocks(access: ContainerAccess, name: string): Promise<Map<string, number>> {
    const prefix = blockPrefix(access.file, name);
    const waiting = new Map<string, number>();
    for await (const block of this.#filestore.list(prefix)) {
      waiting.set(Buffer.from(block.key.slice(prefix.length), 'hex').toString(), block.sizeBytes);
    }
    return waiting;
  }

  async *#contents(parts: BlobPart[]): AsyncIterable<Buffer> {
    for (const part of parts) {
      if (part.sizeBytes === 0) continue;
      const got = await this.#filestore.get(part.key, 'range' in part ? part.range : undefined);
      if (!got) throw fileErrors.blockListInvalid();
      yield* got.body as AsyncIterable<Buffer>;
    }
  }
}

type BlobPart =
  | { id: string; sizeBytes: number; key: string }
  | (CommittedPart & { range: { start: number; end: number } });
type CommittedPart = { id: string; sizeBytes: number; key: string };

function resolveBlocks(
  file: StoredFile,
  name: string,
  references: BlockReference[],
  waiting: Map<string, number>,
  current: FileBlob | undefined,
): BlobPart[] {
  const committed = new Map<string, BlobPart>();
  let start = 0;
  for (const [id, sizeBytes] of current?.blocks ?? []) {
    const range = { start, end: start + sizeBytes - 1 };
    committed.set(id, { id, sizeBytes, key: current?.storageKey ?? '', range });
    start += sizeBytes;
  }
  return references.map(({ id, from }) => {
    const sizeBytes = from === 'committed' ? undefined : waiting.get(id);
    if (sizeBytes !== undefined) return { id, sizeBytes, key: blockKey(file, name, id) };
    const known = from === 'uncommitted' ? undefined : committed.get(id);
    if (!known) throw fileErrors.blockListInvalid();
    return known;
  });
}

function blockPrefix(file: StoredFile, name: string): string {
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 40);
  return `${BLOCK_PREFIX}${file.id}/${digest}/`;
}

function blockKey(file: StoredFile, name: string, blockId: string): string {
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(blockId);
  if (!isBase64 || Buffer.from(blockId, 'base64').length > 64) throw fileErrors.blockIdInvalid();
  return blockPrefix(file, name) + Buffer.from(blockId).toString('hex');
}

function requirePermission(access: ContainerAccess, permission: Permission): void {
  if (!access.permissions.includes(permission)) throw fileErrors.grantTooWeak();
}

function assertCondition(current: FileBlob | undefined, condition: WriteCondition): void {
  if (condition.ifAbsent && current) throw fileErrors.blobExists();
  const { ifEtag } = condition;
  const isMet = ifEtag === undefined || (current !== undefined && (ifEtag === '*' || ifEtag === current.etag));
  if (!isMet) throw fileErrors.conditionNotMet();
}

function checkName(name: string): void {
  // Control characters could not be listed in XML.
  const isListable = !/[\p{Cc}\p{Cs}\ufffe\uffff]/u.test(name);
  if (name === '' || name.length > MAX_NAME_LENGTH || !isListable) throw fileErrors.nameInvalid();
}
