import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { Database, Transaction } from '../../db/database.ts';
import type { Filestore } from '../../drivers/filestores/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import { uuidv7 } from '../../lib/ids.ts';
import type { QueryFields } from '../../lib/query-string.ts';
import { errors } from '../errors.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, canWriteFiles } from '../identity/permissions.ts';
import { BlobGrants, GRANT_VALID_MS, type Grant } from './blob-grants.ts';
import { Blobs } from './blobs.ts';
import { fileErrors } from './file-errors.ts';
import {
  blobNameOf,
  containerNameOf,
  contentPrefix,
  DEFAULT_MAX_AGE_DAYS,
  type FileBlob,
  type FileFilter,
  type FileSource,
  manifestName,
  type NewFile,
  type Page,
  type StoredFile,
  uniqueTags,
} from './file-model.ts';
import {
  addRun,
  deleteFile,
  findBlob,
  findFile,
  insertFile,
  listFiles,
  listSlices,
  lockTags,
  nextFileId,
  updateTags,
  upsertBlob,
} from './file-store.ts';
import { MAX_MANIFEST_BYTES, parseManifest } from './manifest.ts';

const DAY_MS = 24 * 3600 * 1000;

/** What `FileFilter.where` may name. */
export const FILE_QUERY_FIELDS: QueryFields = {
  fields: {
    id: 'number',
    name: 'text',
    tags: 'keyword',
    runId: 'keyword',
    created: { type: 'date', field: 'createdAt' },
    'creatorToken.id': { type: 'number', field: 'creatorId' },
    isSliced: 'boolean',
    isPermanent: 'boolean',
    sizeBytes: 'number',
  },
  freeText: 'name',
};

/** Content that lies in the file store already and waits for the transaction that makes it a file. */
export type StagedFile = { readonly file: StoredFile; readonly blobs: readonly FileBlob[] };

/** A file as local paths in the right order. `close` gives back what had to be copied; call it when done. */
export type OpenedSlices = {
  /** Empty slices are left out, so this may be empty; of a file in one piece it is always the one path. */
  paths: string[];
  /** Of each path: the file's name, or of a slice what its maker called it. */
  names: string[];
  format: { gzip: boolean };
  isSliced: boolean;
  close(): Promise<void>;
};

/**
 * Files of a project: announced, uploaded by clients through the blob endpoint (see `blobs`), or made by the platform.
 *
 * A token sees the files it made, and all of the project's with the right for it.
 */
export class Files {
  /** Containers and blobs as their clients see them; access is by grant, not by actor. */
  readonly blobs: Blobs;
  readonly #db: Database;
  readonly #filestore: Filestore;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #grants: BlobGrants;
  readonly #scratchDirectory: string;

  constructor(parts: {
    db: Database;
    filestore: Filestore;
    events: Events;
    clock: Clock;
    /** At least 32 bytes; signs access to blobs. All servers of one platform use the same. */
    signingKey: Buffer;
    /** For local copies out of file stores that have no local paths. */
    scratchDirectory: string;
  }) {
    this.#db = parts.db;
    this.#filestore = parts.filestore;
    this.#events = parts.events;
    this.#clock = parts.clock;
    this.#scratchDirectory = parts.scratchDirectory;
    this.#grants = new BlobGrants(parts.signingKey, parts.clock);
    this.blobs = new Blobs({ db: parts.db, filestore: parts.filestore, clock: parts.clock, grants: this.#grants });
  }

  /** Announces a file that the client will upload. */
  async prepare(actor: Actor, newFile: NewFile): Promise<StoredFile> {
    assertAllowed(canWriteFiles(actor));
    const id = await nextFileId(this.#db);
    const file = this.#describe(actor, id, newFile, { isServerMade: false });
    await this.#db.transaction((tx) => this.#insert(tx, actor, file));
    return file;
  }

  async get(actor: Actor, id: number): Promise<StoredFile> {
    const file = await findFile(this.#db, actor.projectId, id);
    if (!file || this.#isExpired(file)) throw fileErrors.notFound();
    if (!canReadAll(actor) && file.creator.id !== actor.token.id) throw errors.forbidden();
    return file;
  }

  /** Newest first. */
  async list(actor: Actor, filter: FileFilter, page: Page): Promise<StoredFile[]> {
    const creatorTokenId = canReadAll(actor) ? undefined : actor.token.id;
    return listFiles(this.#db, { ...filter, projectId: actor.projectId, creatorTokenId, now: this.#clock.now() }, page);
  }

  /** Gone at once for everybody; the content follows. */
  async delete(actor: Actor, id: number): Promise<void> {
    assertAllowed(canWriteFiles(actor));
    const file = await this.get(actor, id);
    await this.#db.transaction(async (tx) => {
      if (!(await deleteFile(tx, actor.projectId, id))) throw fileErrors.notFound();
      await this.#events.append(
        tx,
        eventFor(actor, { ...aboutFile(file), name: 'file.deleted', message: `Deleted file ${file.name}` }),
      );
    });
    await this.#filestore.deletePrefix(contentPrefix(file));
  }

  /** Adding a tag twice is no error and changes nothing. */
  async addTag(actor: Actor, id: number, tag: string): Promise<void> {
    await this.#changeTags(actor, id, (tags) => (tags.includes(tag) ? undefined : [...tags, tag]), {
      name: 'file.tag-added',
      message: `Added tag "${tag}"`,
      params: { tag },
    });
  }

  /** Notes that another run was answered with this file, in the transaction that answers it. */
  async addRun(tx: Transaction, actor: Actor, id: number): Promise<void> {
    if (actor.runId !== undefined) await addRun(tx, actor.projectId, id, actor.runId);
  }

  /** Removing a tag that is not there is no error and changes nothing. */
  async removeTag(actor: Actor, id: number, tag: string): Promise<void> {
    await this.#changeTags(
      actor,
      id,
      (tags) => (tags.includes(tag) ? tags.filter((other) => other !== tag) : undefined),
      { name: 'file.tag-removed', message: `Removed tag "${tag}"`, params: { tag } },
    );
  }

  /** A grant on the file's own container, for as long as clients are given by the originals. */
  sign(file: Pick<StoredFile, 'container'>, permissions: string, validMs = GRANT_VALID_MS): Grant {
    return this.#grants.sign(file.container, permissions, validMs);
  }

  /** Makes a file of local ones, which move into the store. */
  async createFrom(actor: Actor, newFile: NewFile, source: FileSource): Promise<StoredFile> {
    const staged = await this.stage(actor, newFile, source);
    await this.#db.transaction((tx) => this.insertStaged(tx, actor, staged));
    return staged.file;
  }

  /**
   * The first half of `createFrom`, for callers with a transaction of their own: moves the content into the store.
   * What is never followed by `insertStaged` is swept after a day.
   */
  async stage(actor: Actor, newFile: NewFile, source: FileSource): Promise<StagedFile> {
    const id = await nextFileId(this.#db);
    const isSliced = typeof source !== 'string';
    const described = this.#describe(actor, id, { ...newFile, isSliced }, { isServerMade: true });
    const parts = isSliced ? source : [{ name: '', path: source }];
    const blobs: FileBlob[] = [];
    for (const part of parts) {
      const storageKey = contentPrefix(described) + uuidv7();
      const stored = await this.#filestore.adopt(part.path, storageKey);
      blobs.push({
        fileId: id,
        name: described.blobName + part.name,
        storageKey,
        sizeBytes: stored.sizeBytes,
        contentType: described.contentType,
        contentEncoding: undefined,
        contentDisposition: attachment(isSliced ? described.blobName + part.name : described.name),
        etag: stored.etag,
        modifiedAt: described.createdAt,
        blocks: undefined,
      });
    }
    const sizeBytes = blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0);
    return { file: { ...described, sizeBytes }, blobs };
  }

  /** The second half: the file exists when the caller's transaction commits. May run again when that is retried. */
  async insertStaged(tx: Transaction, actor: Actor, staged: StagedFile): Promise<StoredFile> {
    await this.#insert(tx, actor, staged.file);
    for (const [position, blob] of staged.blobs.entries()) await upsertBlob(tx, blob, position);
    return staged.file;
  }

  /** The slices in order: of a client's file as its manifest has them, of our own as they were written. */
  async slices(file: StoredFile): Promise<FileBlob[]> {
    if (!file.isSliced) {
      const blob = await findBlob(this.#db, file.id, file.blobName);
      if (!blob) throw fileErrors.notUploaded(file.id);
      return [blob];
    }
    const present = await listSlices(this.#db, file.id, manifestName(file));
    if (file.isServerMade) return present;
    const manifest = await findBlob(this.#db, file.id, manifestName(file));
    if (!manifest) throw present.length === 0 ? fileErrors.notUploaded(file.id) : fileErrors.manifestMissing(file.id);
    const byName = new Map(present.map((blob) => [blob.name, blob]));
    return parseManifest(file, await this.#text(file, manifest)).map((name) => {
      const blob = byName.get(name) ?? byName.get(decodedName(name));
      if (!blob) throw fileErrors.sliceMissing(file.id, name);
      return blob;
    });
  }

  /** Local paths for an import. Says what is missing when the upload is not complete. */
  async openSlices(actor: Actor, id: number): Promise<OpenedSlices> {
    const file = await this.get(actor, id);
    const all = await this.slices(file);
    const blobs = file.isSliced ? all.filter((blob) => blob.sizeBytes > 0) : all;
    const zipped = await Promise.all(blobs.map((blob) => this.#isGzip(blob)));
    if (zipped.some((isGzip) => isGzip !== zipped[0])) throw fileErrors.slicesMixed(id);
    const local = await this.#localPaths(blobs);
    const names = file.isSliced ? blobs.map((blob) => sliceName(file, blob)) : [file.name];
    return { ...local, names, format: { gzip: zipped[0] ?? false }, isSliced: file.isSliced };
  }

  /** A local copy of the blobs' paths where the store has none of its own. */
  async #localPaths(blobs: FileBlob[]): Promise<Pick<OpenedSlices, 'paths' | 'close'>> {
    if (this.#filestore.localPath) {
      const paths = blobs.map((blob) => this.#filestore.localPath?.(blob.storageKey) ?? '');
      // The row may have outlived its content when the file is deleted at this very moment.
      await Promise.all(paths.map((file) => stat(file))).catch(() => {
        throw fileErrors.notFound();
      });
      return { paths, close: async () => {} };
    }
    const folder = await mkdtemp(path.join(this.#scratchDirectory, 'file-'));
    const close = () => rm(folder, { recursive: true, force: true });
    try {
      const paths: string[] = [];
      for (const [i, blob] of blobs.entries()) {
        const got = await this.#filestore.get(blob.storageKey);
        if (!got) throw fileErrors.notFound();
        const copy = path.join(folder, String(i));
        await pipeline(got.body, createWriteStream(copy));
        paths.push(copy);
      }
      return { paths, close };
    } catch (error) {
      await close();
      throw error;
    }
  }

  async #isGzip(blob: FileBlob): Promise<boolean> {
    const got = await this.#filestore.get(blob.storageKey, { start: 0, end: 1 });
    if (!got) throw fileErrors.notFound();
    // These two bytes begin every gzip stream and no text.
    return (await buffer(got.body)).equals(Buffer.from([0x1f, 0x8b]));
  }

  async #text(file: StoredFile, blob: FileBlob): Promise<string> {
    if (blob.sizeBytes > MAX_MANIFEST_BYTES) throw fileErrors.manifestInvalid(file.id, 'it is too large.');
    const got = await this.#filestore.get(blob.storageKey);
    if (!got) throw fileErrors.notFound();
    return (await buffer(got.body)).toString('utf8');
  }

  #describe(actor: Actor, id: number, newFile: NewFile, made: { isServerMade: boolean }): StoredFile {
    const createdAt = this.#clock.now();
    const isPermanent = newFile.isPermanent ?? false;
    const maxAgeDays = isPermanent ? undefined : (newFile.maxAgeDays ?? DEFAULT_MAX_AGE_DAYS);
    return {
      id,
      projectId: actor.projectId,
      name: newFile.name,
      sizeBytes: newFile.sizeBytes,
      contentType: newFile.contentType,
      isSliced: newFile.isSliced ?? false,
      isPublic: newFile.isPublic ?? false,
      isPermanent,
      isEncrypted: newFile.isEncrypted ?? true,
      isServerMade: made.isServerMade,
      tags: uniqueTags(newFile.tags ?? []),
      maxAgeDays,
      expiresAt: maxAgeDays === undefined ? undefined : new Date(createdAt.getTime() + maxAgeDays * DAY_MS),
      runId: actor.runId,
      runIds: actor.runId === undefined ? [] : [actor.runId],
      creator: { id: actor.token.id, description: actor.token.description },
      container: containerNameOf({ id, projectId: actor.projectId, maxAgeDays, createdAt }),
      blobName: blobNameOf(id, newFile.name),
      createdAt,
    };
  }

  async #insert(tx: Transaction, actor: Actor, file: StoredFile): Promise<void> {
    await insertFile(tx, file);
    await this.#events.append(
      tx,
      eventFor(actor, {
        ...aboutFile(file),
        name: 'file.created',
        message: `${file.isServerMade ? 'Stored' : 'Announced'} file ${file.name}`,
        params: { name: file.name, tags: file.tags, isSliced: file.isSliced, sizeBytes: file.sizeBytes ?? null },
      }),
    );
  }

  async #changeTags(
    actor: Actor,
    id: number,
    change: (tags: string[]) => string[] | undefined,
    event: { name: 'file.tag-added' | 'file.tag-removed'; message: string; params: object },
  ): Promise<void> {
    assertAllowed(canWriteFiles(actor));
    const file = await this.get(actor, id);
    await this.#db.transaction(async (tx) => {
      const tags = await lockTags(tx, id);
      if (!tags) throw fileErrors.notFound();
      const changed = change(tags);
      if (!changed) return;
      await updateTags(tx, id, changed);
      await this.#events.append(tx, eventFor(actor, { ...aboutFile(file), ...event }));
    });
  }

  #isExpired(file: StoredFile): boolean {
    return file.expiresAt !== undefined && file.expiresAt <= this.#clock.now();
  }
}

function canReadAll(actor: Actor): boolean {
  return actor.token.isMaster || actor.token.canReadAllFiles;
}

function aboutFile(file: StoredFile): {
  component: string;
  type: 'info';
  objectType: string;
  objectId: string;
  objectName: string;
} {
  return { component: 'storage', type: 'info', objectType: 'file', objectId: String(file.id), objectName: file.name };
}

function sliceName(file: StoredFile, blob: FileBlob): string {
  return blob.name.startsWith(file.blobName) ? blob.name.slice(file.blobName.length) : blob.name;
}

function decodedName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function attachment(name: string): string {
  return `attachment; filename="${name.replaceAll(/[^\x20-\x7e]|["\\]/g, '_')}"`;
}
