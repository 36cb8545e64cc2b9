import type { Grant } from '../../../core/files/blob-grants.ts';
import { manifestName, type StoredFile } from '../../../core/files/file-model.ts';

/**
 * Where our blob endpoint pretends to be, so that unmodified clients reach it.
 *
 * Clients take the endpoint from the connection string as it is, but write and read manifest URLs of the form
 * `azure://<account>.blob.core.windows.net/<container>/<blob>`. With an account "name" of our host and `/abs/kbc` both
 * are the same address, without any DNS.
 */
export const BLOB_PREFIX = '/abs/kbc.blob.core.windows.net';
const ACCOUNT_PATH = '/abs/kbc';

/** What clients that read the `sv` parameter take for the protocol's version. */
const SIGNED_VERSION = '2021-12-02';

/** `host:port/abs/kbc`; `baseUrl` is `http://host:port`. */
export function accountName(baseUrl: string): string {
  return withoutScheme(baseUrl) + ACCOUNT_PATH;
}

export function connectionString(baseUrl: string, grant: Grant): string {
  // No semicolon at the end: the Go client fails on an empty segment.
  return `BlobEndpoint=${baseUrl}${BLOB_PREFIX};SharedAccessSignature=${signatureQuery(grant)}`;
}

/** The file's content, or of a sliced file its manifest, for anybody who has this URL. */
export function signedUrl(baseUrl: string, file: StoredFile, grant: Grant): string {
  const name = file.isSliced ? manifestName(file) : file.blobName;
  return `${baseUrl}${BLOB_PREFIX}/${file.container}/${encodeURIComponent(name)}?${signatureQuery(grant)}`;
}

/** The manifest of a file whose slices the platform wrote, for a reader who came by this address. */
export function manifestText(baseUrl: string, container: string, sliceNames: readonly string[]): string {
  const account = `azure://${withoutScheme(baseUrl)}${BLOB_PREFIX}`;
  return JSON.stringify({ entries: sliceNames.map((name) => ({ url: `${account}/${container}/${name}` })) });
}

/** Only parameter names of the original: the Python client takes a string with any other for an account key. */
function signatureQuery(grant: Grant): string {
  const expiry = encodeURIComponent(grant.expiresAt);
  return `sv=${SIGNED_VERSION}&sr=c&sp=${grant.permissions}&se=${expiry}&sig=${encodeURIComponent(grant.signature)}`;
}

/** What a request's query says; a missing part makes a grant that no check lets pass. */
export function grantOf(query: URLSearchParams): Grant {
  return {
    permissions: query.get('sp') ?? '',
    expiresAt: query.get('se') ?? '',
    signature: query.get('sig') ?? '',
  };
}

function withoutScheme(url: string): string {
  return url.slice(url.indexOf('://') + 3);
}
