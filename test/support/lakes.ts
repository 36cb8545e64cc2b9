import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lakeSchema, listLakeProjects } from '../../src/core/tables/lake-store.ts';
import type { Database } from '../../src/db/database.ts';
import { sql } from '../../src/db/sql.ts';

/** Files below the lakes' directory that no catalogue knows and no running writer has announced. Should be none. */
export async function strayLakeFiles(db: Database, directory: string): Promise<string[]> {
  const known = new Set<string>();
  for (const projectId of await listLakeProjects(db))
    for (const path of await listKnownFiles(db, projectId)) known.add(path);
  const staged = await db.query<{ prefix: string }>(sql`select prefix from staged_files`);
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && !staged.some(({ prefix }) => entry.name.startsWith(prefix)))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !known.has(path));
}

/** Absolute paths of every file a catalogue knows: visible, ended, or noted for deletion. */
async function listKnownFiles(db: Database, projectId: number): Promise<string[]> {
  const lake = (name: string) => sql.name(lakeSchema(projectId), name);
  const rows = await db.query<{ path: string }>(sql`
    with tables as (select distinct on (table_id) * from ${lake('ducklake_table')} order by table_id, begin_snapshot desc),
    root as (select value from ${lake('ducklake_metadata')} where key = 'data_path' and scope is null),
    files as (
      select table_id, path, path_is_relative from ${lake('ducklake_data_file')}
      union all select table_id, path, path_is_relative from ${lake('ducklake_delete_file')})
    select case when coalesce(f.path_is_relative, true)
      then (select value from root) || coalesce(s.path, '') || coalesce(t.path, '') || f.path else f.path end as path
    from files f join tables t on t.table_id = f.table_id join ${lake('ducklake_schema')} s on s.schema_id = t.schema_id
    union all
    select case when coalesce(path_is_relative, true) then (select value from root) || path else path end
    from ${lake('ducklake_files_scheduled_for_deletion')}`);
  return rows.map((row) => row.path);
}
