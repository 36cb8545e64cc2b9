import { fileErrors } from './file-errors.ts';
import type { StoredFile } from './file-model.ts';

export const MAX_MANIFEST_BYTES = 32 * 1024 * 1024;

/** Clients write `azure://<account>.blob.core.windows.net/<container>/<blob>`, whatever host they reached us by. */
const SLICE_URL = /^(?:azure|https?):\/\/.*?\.blob\.core\.windows\.net\/([^/?#]+)\/([^?#]+)$/;

/** The blob names that a manifest of this file lists, in order. Entries of any other container are refused. */
export function parseManifest(file: Pick<StoredFile, 'id' | 'container'>, text: string): string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw fileErrors.manifestInvalid(file.id, 'it is not JSON.');
  }
  const entries = (parsed as { entries?: unknown } | null)?.entries;
  if (!Array.isArray(entries)) throw fileErrors.manifestInvalid(file.id, 'it has no list "entries".');
  return entries.map((entry: unknown) => {
    const url = (entry as { url?: unknown } | null)?.url;
    if (typeof url !== 'string') throw fileErrors.manifestInvalid(file.id, 'an entry has no "url".');
    const [, container, name] = SLICE_URL.exec(url) ?? [];
    if (container !== file.container || name === undefined) throw fileErrors.sliceForeign(file.id, url);
    return name;
  });
}
