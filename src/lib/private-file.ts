import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

/** Files with secrets in them: readable by their owner only, and on disk as a whole or not at all. */

/** Replaces the file. */
export function writePrivateFile(file: string, text: string): void {
  const draft = writeDraft(file, text);
  renameSync(draft, file);
  syncFolder(path.dirname(file));
}

/** Makes the file unless there is one, and answers what is then in it: of many at once, all get the same. */
export function ensurePrivateFile(file: string, text: () => string): string {
  const found = readIfThere(file);
  if (found !== undefined) return found;
  const draft = writeDraft(file, text());
  try {
    linkSync(draft, file);
    syncFolder(path.dirname(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readFileSync(file, 'utf8');
}

export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function writeDraft(file: string, text: string): string {
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`;
  const handle = openSync(draft, 'wx', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  return draft;
}

/** Without it a power cut may forget the new name although the content is safe. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
