import type { QueryFilter } from '../../lib/query-string.ts';

/** Days an uploaded file lives; files made for one export are short-lived. */
export const DEFAULT_MAX_AGE_DAYS = 15;
export const EXPORT_MAX_AGE_DAYS = 2;

export type StoredFile = {
  id: number;
  projectId: number;
  name: string;
  /** What is stored: of a sliced file the sum of its slices. As long as nothing is, what was announced. */
  sizeBytes: number | undefined;
  contentType: string | undefined;
  isSliced: boolean;
  isPublic: boolean;
  isPermanent: boolean;
  isEncrypted: boolean;
  /** Made by the platform: slices without a manifest blob. */
  isServerMade: boolean;
  tags: string[];
  /** Undefined for permanent files. */
  maxAgeDays: number | undefined;
  expiresAt: Date | undefined;
  runId: string | undefined;
  runIds: string[];
  creator: { id: number; description: string };
  /** Where its blobs are addressed: a container of its own, and the name (or, of slices, the name's start) in it. */
  container: string;
  blobName: string;
  createdAt: Date;
};

export type NewFile = {
  name: string;
  sizeBytes?: number | undefined;
  contentType?: string | undefined;
  tags?: readonly string[] | undefined;
  isSliced?: boolean | undefined;
  isPublic?: boolean | undefined;
  isPermanent?: boolean | undefined;
  isEncrypted?: boolean | undefined;
  /** Default 15; ignored for permanent files. */
  maxAgeDays?: number | undefined;
};

/** Local files that become a stored file: one path, or slices whose names are appended to the blob name. */
export type FileSource = string | readonly { name: string; path: string }[];

export type FileFilter = {
  /** Files that have at least one of these tags. */
  tags?: readonly string[] | undefined;
  /** Over the fields of `FILE_QUERY_FIELDS`. */
  where?: QueryFilter | undefined;
  sinceId?: number | undefined;
  maxId?: number | undefined;
  runId?: string | undefined;
  /** Also files whose time is over; false by default. */
  showExpired?: boolean | undefined;
};

export type Page = { limit: number; offset: number };

/** A complete blob of a file. */
export type FileBlob = {
  fileId: number;
  name: string;
  storageKey: string;
  sizeBytes: number;
  contentType: string | undefined;
  contentEncoding: string | undefined;
  contentDisposition: string | undefined;
  etag: string;
  modifiedAt: Date;
  blocks: [id: string, sizeBytes: number][] | undefined;
};

/** The blob that lists the slices of a sliced file. */
export function manifestName(file: Pick<StoredFile, 'blobName'>): string {
  return `${file.blobName}manifest`;
}

/** Tags are labels in the order they were given, each once. */
export function uniqueTags(tags: readonly string[]): string[] {
  return [...new Set(tags)];
}

/** A file name as clients may safely put it into URLs and local paths. */
export function blobNameOf(fileId: number, name: string): string {
  const safe = name
    .normalize('NFKD')
    .replaceAll(/[^A-Za-z0-9._-]+/g, '_')
    .slice(-120);
  return `${fileId}.${safe}`;
}

/** Lower case letters, digits and single dashes, at most 63: what blob clients take for a container name. */
export function containerNameOf(file: {
  id: number;
  projectId: number;
  maxAgeDays: number | undefined;
  createdAt: Date;
}): string {
  const age = file.maxAgeDays === undefined ? 'permanent' : `exp-${file.maxAgeDays}`;
  return `${age}-files-${file.projectId}-${file.id}-${file.createdAt.toISOString().slice(0, 10)}`;
}

/** Everything stored for a file lies below this key. */
export function contentPrefix(file: { projectId: number; id: number }): string {
  return `files/${file.projectId}/${file.id}/`;
}
