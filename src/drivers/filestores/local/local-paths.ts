import path from 'node:path';

/** Where half-written blobs live until their rename. Keys cannot reach it: no segment may start with this name. */
export const TEMPORARY_FOLDER = '.tmp';

const MAX_SEGMENT_BYTES = 255;

/**
 * Throws for a key that is no plain relative path. The core makes all keys itself, so a refused key is a bug and not
 * a user's mistake; this is the last fence in front of the rest of the disk.
 */
export function assertKey(key: string): void {
  for (const segment of key.split('/')) {
    const isPlain = segment !== '' && segment !== '.' && segment !== '..' && !/[\0\\]/.test(segment);
    if (!isPlain || segment === TEMPORARY_FOLDER || Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
      throw new Error(`Not a filestore key: ${JSON.stringify(key)}`);
    }
  }
}

export function pathOfKey(directory: string, key: string): string {
  assertKey(key);
  return path.join(directory, ...key.split('/'));
}

/** The folder in which all keys with this prefix lie, and what is left of the prefix below it. */
export function folderOfPrefix(prefix: string): string {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (folder !== '') assertKey(folder.slice(0, -1));
  return folder;
}
