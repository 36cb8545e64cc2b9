import type { BigIntStats } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { AppError } from '../../../core/errors.ts';
import type { Filestore, StoredBlob } from '../contract.ts';
import { folderOfPrefix, TEMPORARY_FOLDER } from '../keys.ts';
import { openOwnFile } from '../own-file.ts';
import { pathOfKey } from './local-paths.ts';
import { TemporaryFiles } from './temporary-files.ts';

const COPY_BUFFER_BYTES = 1024 * 1024;

export type LocalFilestoreOptions = { directory: string };

/**
 * Blobs as files below one directory, a key being a relative path.
 *
 * A blob is written to a temporary file in the same file system, fsynced and renamed, and then its folder is fsynced:
 * after `put` has returned the blob survives a power cut, and before that nobody sees any of it. Nothing is changed
 * in place, so a reader that has opened a blob reads it to its end whatever happens to the key meanwhile.
 */
export async function openLocalFilestore(options: LocalFilestoreOptions): Promise<Filestore> {
  const directory = path.resolve(options.directory);
  const temporary = new TemporaryFiles(directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await temporary.ensureFolder();
  await temporary.sweep();
  return new LocalFilestore(directory, temporary);
}

class LocalFilestore implements Filestore {
  readonly name = 'local';
  readonly #directory: string;
  readonly #temporary: TemporaryFiles;

  constructor(directory: string, temporary: TemporaryFiles) {
    this.#directory = directory;
    this.#temporary = temporary;
  }

  async check(): Promise<void> {
    const probe = this.#temporary.newPath();
    try {
      const handle = await open(probe, 'wx', 0o600);
      await handle.close();
      await unlink(probe);
    } catch (error) {
      throw new AppError(
        'unavailable',
        'filestore.not-writable',
        `The folder ${this.#directory} cannot be written to.`,
        {
          cause: error,
        },
      );
    }
  }

  async put(key: string, body: Readable | Buffer, signal?: AbortSignal): Promise<StoredBlob> {
    return this.#write(key, async (handle) => {
      signal?.throwIfAborted();
      if (Buffer.isBuffer(body)) return handle.writeFile(body);
      if (signal) addAbortSignal(signal, body);
      // One chunk at a time: the source is read no faster than the disk takes it, and is destroyed when that fails.
      for await (const chunk of body) await handle.writeFile(chunk);
    });
  }

  async compose(key: string, parts: string[]): Promise<StoredBlob> {
    const [only, ...others] = parts;
    if (only !== undefined && others.length === 0) return this.#link(only, key);
    return this.#write(key, async (handle) => {
      const buffer = Buffer.allocUnsafe(parts.length === 0 ? 0 : COPY_BUFFER_BYTES);
      for (const part of parts) await this.#append(handle, part, buffer);
    });
  }

  async get(
    key: string,
    range?: { start: number; end?: number },
  ): Promise<{ blob: StoredBlob; body: Readable } | undefined> {
    const handle = await openExisting(pathOfKey(this.#directory, key));
    if (!handle) return undefined;
    try {
      const found = await handle.stat({ bigint: true });
      if (!found.isFile()) {
        await handle.close();
        return undefined;
      }
      const blob = describe(key, found);
      const start = range?.start ?? 0;
      const end = Math.min(range?.end ?? Number.POSITIVE_INFINITY, blob.sizeBytes - 1);
      if (start > end) {
        await handle.close();
        return { blob, body: Readable.from([]) };
      }
      return { blob, body: handle.createReadStream({ start, end, highWaterMark: 256 * 1024 }) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async head(key: string): Promise<StoredBlob | undefined> {
    try {
      const found = await stat(pathOfKey(this.#directory, key), { bigint: true });
      return found.isFile() ? describe(key, found) : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async *list(prefix: string): AsyncIterable<StoredBlob> {
    yield* this.#walk(folderOfPrefix(prefix), prefix);
  }

  async delete(key: string): Promise<void> {
    const file = pathOfKey(this.#directory, key);
    try {
      await unlink(file);
    } catch (error) {
      if (isAbsent(error)) return;
      throw error;
    }
    await this.#prune(path.dirname(file));
  }

  async deletePrefix(prefix: string): Promise<void> {
    if (prefix === '') throw new Error('Refusing to delete every blob of a filestore');
    const folder = folderOfPrefix(prefix);
    if (folder === prefix) {
      const gone = path.join(this.#directory, folder);
      await rm(gone, { recursive: true, force: true });
      await this.#prune(path.dirname(gone));
      return;
    }
    for await (const blob of this.list(prefix)) await this.delete(blob.key);
  }

  localPath(key: string): string {
    return pathOfKey(this.#directory, key);
  }

  async adopt(source: string, key: string): Promise<StoredBlob> {
    const handle = await openOwnFile(source);
    try {
      await handle.chmod(0o600);
      // It is as old as its being a blob: sweepers go by age.
      const now = new Date();
      await handle.utimes(now, now);
      await handle.sync();
      const file = pathOfKey(this.#directory, key);
      try {
        await this.#inFolderOf(file, () => rename(source, file));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw translate(error);
        const blob = await this.put(key, handle.createReadStream({ autoClose: false, start: 0 }));
        await unlink(source);
        return blob;
      }
      return await this.#existing(key);
    } finally {
      await handle.close();
    }
  }

  /** Runs the writer on a temporary file and makes the result visible; nothing stays behind when it fails. */
  async #write(key: string, writer: (handle: FileHandle) => Promise<void>): Promise<StoredBlob> {
    const file = pathOfKey(this.#directory, key);
    const temporary = this.#temporary.newPath();
    const handle = await open(temporary, 'wx', 0o600).catch((error) => {
      throw translate(error);
    });
    try {
      try {
        await writer(handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await this.#inFolderOf(file, () => rename(temporary, file));
    } catch (error) {
      await rm(temporary, { force: true });
      throw translate(error);
    }
    return this.#existing(key);
  }

  /** A second name for the same file costs nothing, and blobs never change in place. */
  async #link(source: string, key: string): Promise<StoredBlob> {
    const file = pathOfKey(this.#directory, key);
    const temporary = this.#temporary.newPath();
    try {
      await link(pathOfKey(this.#directory, source), temporary);
      // rename() of one name over another of the very same file does nothing, not even remove the first.
      if (source === key) await unlink(temporary);
      else await this.#inFolderOf(file, () => rename(temporary, file));
    } catch (error) {
      await rm(temporary, { force: true });
      throw translate(error);
    }
    return this.#existing(key);
  }

  async #append(target: FileHandle, part: string, buffer: Buffer): Promise<void> {
    const source = await open(pathOfKey(this.#directory, part), 'r');
    try {
      for (;;) {
        const { bytesRead } = await source.read(buffer, 0, buffer.length);
        if (bytesRead === 0) return;
        for (let written = 0; written < bytesRead; ) {
          written += (await target.write(buffer, written, bytesRead - written)).bytesWritten;
        }
      }
    } finally {
      await source.close();
    }
  }

  /** Makes the folder, acts, fsyncs the folder. A delete may prune the folder between the two: then once more. */
  async #inFolderOf(file: string, act: () => Promise<void>): Promise<void> {
    const folder = path.dirname(file);
    for (let attempt = 1; ; attempt++) {
      const first = await mkdir(folder, { recursive: true, mode: 0o700 });
      try {
        await act();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' && attempt < 10) continue;
        throw error;
      }
      await syncFolders(folder, first === undefined ? folder : path.dirname(first));
      return;
    }
  }

  async #existing(key: string): Promise<StoredBlob> {
    const found = await stat(pathOfKey(this.#directory, key), { bigint: true });
    return describe(key, found);
  }

  async *#walk(folder: string, prefix: string): AsyncIterable<StoredBlob> {
    const entries = await readdir(path.join(this.#directory, folder), { withFileTypes: true }).catch((error) => {
      if (isAbsent(error)) return [];
      throw error;
    });
    const names = entries
      .filter((entry) => entry.isFile() || (entry.isDirectory() && entry.name !== TEMPORARY_FOLDER))
      // A folder sorts as its keys do, that is with the slash behind its name: `a-b` comes before `a/b`.
      .map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const name of names) {
      if (name.endsWith('/')) {
        if (name.startsWith(prefix) || prefix.startsWith(name)) yield* this.#walk(name, prefix);
      } else if (name.startsWith(prefix)) {
        const blob = await this.head(name);
        if (blob) yield blob;
      }
    }
  }

  /** Empty folders go with their last blob; one that is not empty, or just got a new blob, stops the climb. */
  async #prune(folder: string): Promise<void> {
    for (let at = folder; at !== this.#directory; at = path.dirname(at)) {
      try {
        await rmdir(at);
      } catch {
        return;
      }
    }
  }
}

function describe(key: string, found: BigIntStats): StoredBlob {
  return {
    key,
    sizeBytes: Number(found.size),
    modifiedAt: found.mtime,
    // Content is never changed in place, so file number, size and time name it.
    etag: `${found.ino.toString(16)}-${found.size.toString(16)}-${found.mtimeNs.toString(16)}`,
  };
}

async function openExisting(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** From the folder up to the nearest one that existed before: a new folder's own name must survive a power cut too. */
async function syncFolders(folder: string, last: string): Promise<void> {
  for (let at = folder; ; at = path.dirname(at)) {
    const handle = await openExisting(at);
    if (handle) {
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
    if (at === last || at === path.dirname(at)) return;
  }
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR';
}

function translate(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError('unavailable', 'filestore.full', 'The file store has no space left.', { cause: error });
  }
  return error;
}
