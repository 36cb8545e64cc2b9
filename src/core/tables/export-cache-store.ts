import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';

export type CachedExport = {
  projectId: number;
  lakeTableId: number;
  versionHash: string;
  parametersHash: string;
  fileId: number;
};

/** The file of an earlier export with these parameters, if it was of this version of the table. */
export async function findCachedExport(db: Db, key: Omit<CachedExport, 'fileId'>): Promise<number | undefined> {
  const row = await db.one<{ file_id: number }>(sql`
    select file_id from table_exports
    where project_id = ${key.projectId} and lake_table_id = ${key.lakeTableId}
      and parameters_hash = ${key.parametersHash} and version_hash = ${key.versionHash}`);
  return row?.file_id;
}

export async function upsertCachedExport(db: Db, entry: CachedExport): Promise<void> {
  await db.query(sql`
    insert into table_exports (project_id, lake_table_id, version_hash, parameters_hash, file_id)
    values (${entry.projectId}, ${entry.lakeTableId}, ${entry.versionHash}, ${entry.parametersHash}, ${entry.fileId})
    on conflict (project_id, lake_table_id, parameters_hash) do update
      set version_hash = excluded.version_hash, file_id = excluded.file_id, created_at = now()`);
}

/** Entries older than any exported file lives. */
export async function deleteOldExports(db: Db, before: Date): Promise<void> {
  await db.query(sql`delete from table_exports where created_at < ${before}`);
}
