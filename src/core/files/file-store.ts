import type { Db } from '../../db/database.ts';
import { type FilterColumn, filterToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { FileBlob, FileFilter, Page, StoredFile } from './file-model.ts';

type FileRow = {
  id: number;
  project_id: number;
  name: string;
  size_bytes: number | null;
  content_type: string | null;
  is_sliced: boolean;
  is_public: boolean;
  is_permanent: boolean;
  is_encrypted: boolean;
  is_server_made: boolean;
  tags: string[];
  max_age_days: number | null;
  expires_at: Date | null;
  run_id: string | null;
  run_ids: string[];
  creator_token_id: number;
  creator_token_description: string;
  container: string;
  blob_name: string;
  created_at: Date;
};

type BlobRow = {
  file_id: number;
  name: string;
  storage_key: string;
  size_bytes: number;
  content_type: string | null;
  content_encoding: string | null;
  content_disposition: string | null;
  etag: string;
  modified_at: Date;
  blocks: [string, number][] | null;
};

/** What is stored, the manifest not counted; as long as nothing is, what was announced. */
const SIZE = sql`coalesce(
  (select sum(b.size_bytes)::bigint from file_blobs b where b.file_id = f.id and b.name <> f.blob_name || 'manifest'),
  f.announced_bytes)`;

const FILE_COLUMNS = sql`f.id, f.project_id, f.name, ${SIZE} as size_bytes, f.content_type, f.is_sliced, f.is_public,
  f.is_permanent, f.is_encrypted, f.is_server_made, f.tags, f.max_age_days, f.expires_at, f.run_id, f.run_ids,
  f.creator_token_id, f.creator_token_description, f.container, f.blob_name, f.created_at`;

const BLOB_COLUMNS = sql`file_id, name, storage_key, size_bytes, content_type, content_encoding, content_disposition,
  etag, modified_at, blocks`;

const FILTER_COLUMNS: Record<string, FilterColumn> = {
  id: { column: sql`f.id`, type: 'number' },
  name: { column: sql`f.name`, type: 'text' },
  tags: { column: sql`f.tags`, type: 'list' },
  runId: { column: sql`f.run_id`, type: 'text' },
  createdAt: { column: sql`f.created_at`, type: 'date' },
  creatorId: { column: sql`f.creator_token_id`, type: 'number' },
  isSliced: { column: sql`f.is_sliced`, type: 'boolean' },
  isPermanent: { column: sql`f.is_permanent`, type: 'boolean' },
  sizeBytes: { column: SIZE, type: 'number' },
};

export async function nextFileId(db: Db): Promise<number> {
  const row = await db.one<{ id: number }>(sql`select nextval('object_id') as id`);
  return row?.id as number;
}

export async function insertFile(db: Db, file: StoredFile): Promise<void> {
  await db.query(sql`
    insert into files (id, project_id, name, announced_bytes, content_type, is_sliced, is_public, is_permanent,
      is_encrypted, is_server_made, tags, max_age_days, expires_at, run_id, run_ids, creator_token_id,
      creator_token_description, container, blob_name, created_at)
    values (${file.id}, ${file.projectId}, ${file.name}, ${file.sizeBytes ?? null}, ${file.contentType ?? null},
      ${file.isSliced}, ${file.isPublic}, ${file.isPermanent}, ${file.isEncrypted}, ${file.isServerMade}, ${file.tags},
      ${file.maxAgeDays ?? null}, ${file.expiresAt ?? null}, ${file.runId ?? null}, ${file.runIds}, ${file.creator.id},
      ${file.creator.description}, ${file.container}, ${file.blobName}, ${file.createdAt})`);
}

export async function findFile(db: Db, projectId: number, id: number): Promise<StoredFile | undefined> {
  const row = await db.one<FileRow>(
    sql`select ${FILE_COLUMNS} from files f where f.project_id = ${projectId} and f.id = ${id}`,
  );
  return row && toFile(row);
}

export async function findFileByContainer(db: Db, container: string): Promise<StoredFile | undefined> {
  const row = await db.one<FileRow>(sql`select ${FILE_COLUMNS} from files f where f.container = ${container}`);
  return row && toFile(row);
}

export async function listFiles(
  db: Db,
  filter: FileFilter & { projectId: number; creatorTokenId: number | undefined; now: Date },
  page: Page,
): Promise<StoredFile[]> {
  const conditions: Sql[] = [sql`f.project_id = ${filter.projectId}`];
  if (filter.creatorTokenId !== undefined) conditions.push(sql`f.creator_token_id = ${filter.creatorTokenId}`);
  if (!filter.showExpired) conditions.push(sql`(f.expires_at is null or f.expires_at > ${filter.now})`);
  if (filter.tags && filter.tags.length > 0) conditions.push(sql`f.tags && ${[...filter.tags]}::text[]`);
  if (filter.sinceId !== undefined) conditions.push(sql`f.id > ${filter.sinceId}`);
  if (filter.maxId !== undefined) conditions.push(sql`f.id < ${filter.maxId}`);
  if (filter.runId !== undefined) {
    conditions.push(sql`(f.run_id = ${filter.runId} or ${filter.runId} = any(f.run_ids))`);
  }
  if (filter.where) conditions.push(filterToSql(filter.where, FILTER_COLUMNS));
  const rows = await db.query<FileRow>(sql`
    select ${FILE_COLUMNS} from files f where ${sql.join(conditions, sql` and `)}
    order by f.id desc limit ${page.limit} offset ${page.offset}`);
  return rows.map(toFile);
}

/** True when there was one. Its blobs' rows go with it. */
export async function deleteFile(db: Db, projectId: number, id: number): Promise<boolean> {
  const row = await db.one(sql`delete from files where project_id = ${projectId} and id = ${id} returning id`);
  return row !== undefined;
}

/** The tags as they are now, locked until the transaction ends; undefined for no such file. */
export async function lockTags(db: Db, id: number): Promise<string[] | undefined> {
  const row = await db.one<{ tags: string[] }>(sql`select tags from files where id = ${id} for no key update`);
  return row?.tags;
}

export async function updateTags(db: Db, id: number, tags: string[]): Promise<void> {
  await db.query(sql`update files set tags = ${tags} where id = ${id}`);
}

/** Locks the file against deletion and other writers of its blobs; false when it is gone or its time is over. */
export async function lockForWriting(db: Db, fileId: number, now: Date): Promise<boolean> {
  const row = await db.one(sql`
    select id from files
    where id = ${fileId} and contents_removed_at is null and (expires_at is null or expires_at > ${now})
    for no key update`);
  return row !== undefined;
}

export async function findBlob(db: Db, fileId: number, name: string): Promise<FileBlob | undefined> {
  const row = await db.one<BlobRow>(
    sql`select ${BLOB_COLUMNS} from file_blobs where file_id = ${fileId} and name = ${name}`,
  );
  return row && toBlob(row);
}

/** In the order of their names, after one of them, at most so many. */
export async function listBlobs(
  db: Db,
  fileId: number,
  filter: { prefix?: string; after?: string; limit: number },
): Promise<FileBlob[]> {
  const prefix = filter.prefix ?? '';
  const rows = await db.query<BlobRow>(sql`
    select ${BLOB_COLUMNS} from file_blobs
    where file_id = ${fileId} and starts_with(name, ${prefix}) and name > ${filter.after ?? ''}
    order by name limit ${filter.limit}`);
  return rows.map(toBlob);
}

/** The slices as they belong together: in the platform's own order, else by name. */
export async function listSlices(db: Db, fileId: number, manifest: string): Promise<FileBlob[]> {
  const rows = await db.query<BlobRow>(sql`
    select ${BLOB_COLUMNS} from file_blobs where file_id = ${fileId} and name <> ${manifest} order by position, name`);
  return rows.map(toBlob);
}

export async function upsertBlob(db: Db, blob: FileBlob, position = 0): Promise<void> {
  const blocks = blob.blocks === undefined ? null : JSON.stringify(blob.blocks);
  await db.query(sql`
    insert into file_blobs (file_id, name, storage_key, size_bytes, content_type, content_encoding,
      content_disposition, etag, modified_at, position, blocks)
    values (${blob.fileId}, ${blob.name}, ${blob.storageKey}, ${blob.sizeBytes}, ${blob.contentType ?? null},
      ${blob.contentEncoding ?? null}, ${blob.contentDisposition ?? null}, ${blob.etag}, ${blob.modifiedAt}, ${position},
      ${blocks}::json)
    on conflict (file_id, name) do update set storage_key = excluded.storage_key, size_bytes = excluded.size_bytes,
      content_type = excluded.content_type, content_encoding = excluded.content_encoding,
      content_disposition = excluded.content_disposition, etag = excluded.etag, modified_at = excluded.modified_at,
      blocks = excluded.blocks`);
}

/** The key of the deleted blob's content, or undefined when there was none. */
export async function deleteBlob(db: Db, fileId: number, name: string): Promise<string | undefined> {
  const row = await db.one<{ storage_key: string }>(
    sql`delete from file_blobs where file_id = ${fileId} and name = ${name} returning storage_key`,
  );
  return row?.storage_key;
}

/** Takes up to `limit` files whose time is over: forgets their blobs and marks them. Two sweepers never take the same. */
export async function takeExpired(db: Db, now: Date, limit: number): Promise<StoredFile[]> {
  const rows = await db.query<FileRow>(sql`
    select ${FILE_COLUMNS} from files f
    where f.expires_at <= ${now} and f.contents_removed_at is null
    order by f.expires_at limit ${limit} for update of f skip locked`);
  const ids = rows.map((row) => row.id);
  if (ids.length === 0) return [];
  await db.query(sql`delete from file_blobs where file_id = any(${ids}::bigint[])`);
  await db.query(sql`update files set contents_removed_at = ${now} where id = any(${ids}::bigint[])`);
  return rows.map(toFile);
}

/** Forgets files that expired before the given time. */
export async function deleteExpiredRows(db: Db, before: Date): Promise<number> {
  const rows = await db.query(
    sql`delete from files where expires_at < ${before} and contents_removed_at is not null returning id`,
  );
  return rows.length;
}

/** Which of these storage keys belong to a blob. */
export async function knownKeys(db: Db, keys: string[]): Promise<Set<string>> {
  const rows = await db.query<{ storage_key: string }>(
    sql`select storage_key from file_blobs where storage_key = any(${keys}::text[])`,
  );
  return new Set(rows.map((row) => row.storage_key));
}

function toFile(row: FileRow): StoredFile {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    sizeBytes: row.size_bytes ?? undefined,
    contentType: row.content_type ?? undefined,
    isSliced: row.is_sliced,
    isPublic: row.is_public,
    isPermanent: row.is_permanent,
    isEncrypted: row.is_encrypted,
    isServerMade: row.is_server_made,
    tags: row.tags,
    maxAgeDays: row.max_age_days ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    runId: row.run_id ?? undefined,
    runIds: row.run_ids,
    creator: { id: row.creator_token_id, description: row.creator_token_description },
    container: row.container,
    blobName: row.blob_name,
    createdAt: row.created_at,
  };
}

function toBlob(row: BlobRow): FileBlob {
  return {
    fileId: row.file_id,
    name: row.name,
    storageKey: row.storage_key,
    sizeBytes: row.size_bytes,
    contentType: row.content_type ?? undefined,
    contentEncoding: row.content_encoding ?? undefined,
    contentDisposition: row.content_disposition ?? undefined,
    etag: row.etag,
    modifiedAt: row.modified_at,
    blocks: row.blocks ?? undefined,
  };
}

/** Appends a run to those that were answered with the file; once. */
export async function addRun(db: Db, projectId: number, id: number, runId: string): Promise<void> {
  await db.query(sql`
    update files set run_ids = array_append(run_ids, ${runId}::text)
    where project_id = ${projectId} and id = ${id} and not (${runId}::text = any(run_ids))`);
}
