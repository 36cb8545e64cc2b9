/** Where a local store keeps half-written blobs. No segment of a key may have this name, in any store. */
export const TEMPORARY_FOLDER = '.tmp';

const MAX_SEGMENT_BYTES = 255;
/** What object stores take, their own prefix included; so that no store has keys which another cannot hold. */
export const MAX_KEY_BYTES = 1024;

/**
 * Throws for a key that is no plain relative path. The core makes all keys itself, so a refused key is a bug and not
 * a user's mistake; this is the last fence in front of whatever else the disk or the bucket holds.
 */
export function assertKey(key: string): void {
  for (const segment of key.split('/')) {
    const isPlain = segment !== '' && segment !== '.' && segment !== '..' && !/[\0\\]/.test(segment);
    if (!isPlain || segment === TEMPORARY_FOLDER || Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
      throw new Error(`Not a filestore key: ${JSON.stringify(key)}`);
    }
  }
}

/** The folder in which all keys with this prefix lie. */
export function folderOfPrefix(prefix: string): string {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (folder !== '') assertKey(folder.slice(0, -1));
  return folder;
}
