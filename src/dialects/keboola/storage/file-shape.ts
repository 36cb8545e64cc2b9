import type { Grant } from '../../../core/files/blob-grants.ts';
import type { StoredFile } from '../../../core/files/file-model.ts';
import { accountName, connectionString, signedUrl } from '../blob/blob-address.ts';
import { formatDate } from '../scalars.ts';

export type FileContext = { baseUrl: string; sign(file: StoredFile, permissions: string): Grant };

/** A file as listings show it: with a URL for reading, without credentials. */
export function toKeboolaFile(file: StoredFile, { baseUrl, sign }: FileContext): Record<string, unknown> {
  return {
    id: file.id,
    created: formatDate(file.createdAt),
    // Blob stores have no public files, and encrypt all of them.
    isPublic: false,
    isSliced: file.isSliced,
    isEncrypted: true,
    name: file.name,
    fileType: fileType(file.name),
    url: signedUrl(baseUrl, file, sign(file, 'r')),
    provider: 'azure',
    region: 'local',
    sizeBytes: file.sizeBytes ?? null,
    tags: file.tags,
    maxAgeDays: file.maxAgeDays ?? null,
    runId: file.runId ?? null,
    runIds: file.runIds,
    creatorToken: { id: file.creator.id, description: file.creator.description },
  };
}

/** With what the client needs for writing the blobs. */
export function toKeboolaUpload(file: StoredFile, context: FileContext): Record<string, unknown> {
  return {
    ...toKeboolaFile(file, context),
    absUploadParams: {
      blobName: file.blobName,
      accountName: accountName(context.baseUrl),
      container: file.container,
      absCredentials: credentials(file, context, 'rwl'),
    },
  };
}

/** With what the client needs for reading the blobs. */
export function toKeboolaDownload(file: StoredFile, context: FileContext): Record<string, unknown> {
  return {
    ...toKeboolaFile(file, context),
    absPath: { container: file.container, name: file.blobName },
    absCredentials: credentials(file, context, 'rl'),
  };
}

function credentials(file: StoredFile, { baseUrl, sign }: FileContext, permissions: string): Record<string, string> {
  const grant = sign(file, permissions);
  return {
    SASConnectionString: connectionString(baseUrl, grant),
    expiration: formatDate(new Date(grant.expiresAt)),
  };
}

/** The extension, that of `a.csv.gz` being csv. */
function fileType(name: string): string {
  return /\.([^./]+)$/.exec(name.replace(/\.gz$/i, ''))?.[1] ?? '';
}
