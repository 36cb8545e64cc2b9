/**
 * Forgetting what is past retention, in the steps of the format: expire snapshots, note the files that no snapshot
 * shows any more, and only then delete them. A file is noted before it is touched, so a crash in between leaves notes,
 * not strays.
 */
import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import { lakeSchema } from './lake-store.ts';

/**
 * Forgets snapshots that had been replaced by the time. The one that was the newest then stays, however old it is:
 * whoever began to read at that time or later reads it or a younger one. Returns how many were forgotten.
 */
export async function expireSnapshots(db: Db, projectId: number, before: Date): Promise<number> {
  const lake = (name: string) => sql.name(lakeSchema(projectId), name);
  const rows = await db.query(sql`
    with expired as (
      delete from ${lake('ducklake_snapshot')}
      where snapshot_id < (select max(snapshot_id) from ${lake('ducklake_snapshot')} where snapshot_time <= ${before})
      returning snapshot_id)
    delete from ${lake('ducklake_snapshot_changes')} where snapshot_id in (select snapshot_id from expired)
    returning snapshot_id`);
  return rows.length;
}

/**
 * Notes data and delete files that no remaining snapshot shows as to be deleted, and drops their rows. The note holds
 * the path below the lake's data path, as the format wants, and that they have waited long enough already.
 */
export async function scheduleEndedFiles(db: Db, projectId: number, endedBefore: Date): Promise<void> {
  const lake = (name: string) => sql.name(lakeSchema(projectId), name);
  const unseen = (row: string) => sql`${sql.name(row, 'end_snapshot')} is not null and not exists (
      select from ${lake('ducklake_snapshot')} s
      where s.snapshot_id >= ${sql.name(row, 'begin_snapshot')} and s.snapshot_id < ${sql.name(row, 'end_snapshot')})`;
  const located = (row: string) => sql`
      case when not coalesce(${sql.name(row, 'path_is_relative')}, true) then ${sql.name(row, 'path')}
        when not coalesce(t.path_is_relative, true) then t.path || ${sql.name(row, 'path')}
        when not coalesce(s.path_is_relative, true) then s.path || coalesce(t.path, '') || ${sql.name(row, 'path')}
        else coalesce(s.path, '') || coalesce(t.path, '') || ${sql.name(row, 'path')} end,
      coalesce(${sql.name(row, 'path_is_relative')}, true) and coalesce(t.path_is_relative, true)
        and coalesce(s.path_is_relative, true)`;
  // A table has several rows after renames; their path is the same.
  const tables = sql`(select distinct on (table_id) * from ${lake('ducklake_table')} order by table_id, begin_snapshot desc)`;
  await db.query(sql`
    with gone as (
      delete from ${lake('ducklake_delete_file')} d where ${unseen('d')}
      returning d.delete_file_id, d.table_id, d.path, d.path_is_relative)
    insert into ${lake('ducklake_files_scheduled_for_deletion')} (data_file_id, path, path_is_relative, schedule_start)
    select d.delete_file_id, ${located('d')}, ${endedBefore}
    from gone d join ${tables} t on t.table_id = d.table_id join ${lake('ducklake_schema')} s on s.schema_id = t.schema_id`);
  await db.query(sql`
    with gone as (
      delete from ${lake('ducklake_data_file')} f where ${unseen('f')}
      returning f.data_file_id, f.table_id, f.path, f.path_is_relative),
    stats as (
      delete from ${lake('ducklake_file_column_stats')} where data_file_id in (select data_file_id from gone)),
    variants as (
      delete from ${lake('ducklake_file_variant_stats')} where data_file_id in (select data_file_id from gone)),
    partitions as (
      delete from ${lake('ducklake_file_partition_value')} where data_file_id in (select data_file_id from gone)),
    deletes as (
      delete from ${lake('ducklake_delete_file')} d where data_file_id in (select data_file_id from gone)
      returning d.delete_file_id as data_file_id, d.table_id, d.path, d.path_is_relative),
    files as (select * from gone union all select * from deletes)
    insert into ${lake('ducklake_files_scheduled_for_deletion')} (data_file_id, path, path_is_relative, schedule_start)
    select f.data_file_id, ${located('f')}, ${endedBefore}
    from files f join ${tables} t on t.table_id = f.table_id join ${lake('ducklake_schema')} s on s.schema_id = t.schema_id`);
}

/** Drops all rows of tables and schemas that no remaining snapshot shows and whose files are gone. Returns directories. */
export async function purgeDropped(db: Db, projectId: number): Promise<string[]> {
  const lake = (name: string) => sql.name(lakeSchema(projectId), name);
  const rows = await db.query<{ table_id: number; directory: string }>(sql`
    select t.table_id, max((select value from ${lake('ducklake_metadata')} where key = 'data_path' and scope is null)
        || coalesce(s.path, '') || coalesce(t.path, '')) as directory
    from ${lake('ducklake_table')} t join ${lake('ducklake_schema')} s on s.schema_id = t.schema_id
    where coalesce(t.path_is_relative, true) and coalesce(s.path_is_relative, true)
      and not exists (select from ${lake('ducklake_data_file')} f where f.table_id = t.table_id)
    group by t.table_id
    having bool_and(t.end_snapshot is not null and not exists (
      select from ${lake('ducklake_snapshot')} x where x.snapshot_id >= t.begin_snapshot and x.snapshot_id < t.end_snapshot))`);
  if (rows.length > 0) {
    const ids = rows.map((row) => row.table_id);
    for (const name of TABLE_ROWS) {
      await db.query(sql`delete from ${lake(name)} where table_id = any(${ids}::bigint[])`);
    }
    await db.query(sql`delete from ${lake('ducklake_tag')} where object_id = any(${ids}::bigint[])`);
    await db.query(sql`
      delete from table_exports where project_id = ${projectId} and lake_table_id = any(${ids}::bigint[])`);
  }
  const schemas = await db.query<{ directory: string }>(sql`
    delete from ${lake('ducklake_schema')} s
    where s.end_snapshot is not null
      and not exists (select from ${lake('ducklake_table')} t where t.schema_id = s.schema_id)
      and not exists (select from ${lake('ducklake_view')} v where v.schema_id = s.schema_id)
      and not exists (select from ${lake('ducklake_macro')} m where m.schema_id = s.schema_id)
      and not exists (select from ${lake('ducklake_snapshot')} x
        where x.snapshot_id >= s.begin_snapshot and x.snapshot_id < s.end_snapshot)
    returning (select value from ${lake('ducklake_metadata')} where key = 'data_path' and scope is null)
      || coalesce(s.path, '') as directory`);
  return [...rows, ...schemas].map((row) => row.directory);
}

/** Everything that is kept by table id, the table's own row last. */
const TABLE_ROWS = [
  'ducklake_column',
  'ducklake_column_tag',
  'ducklake_delete_file',
  'ducklake_file_column_stats',
  'ducklake_file_partition_value',
  'ducklake_table_stats',
  'ducklake_table_column_stats',
  'ducklake_partition_info',
  'ducklake_partition_column',
  'ducklake_sort_info',
  'ducklake_sort_expression',
  'ducklake_column_mapping',
  'ducklake_schema_versions',
  'ducklake_table',
] as const;

export type ScheduledFile = { id: number; path: string };

/** Noted files that have waited since before the time; absolute paths, without those a living row still names. */
export async function listScheduledFiles(db: Db, projectId: number, before: Date): Promise<ScheduledFile[]> {
  const lake = (name: string) => sql.name(lakeSchema(projectId), name);
  const basename = sql`regexp_replace(f.path, '^.*/', '')`;
  return db.query<ScheduledFile>(sql`
    select f.data_file_id as id, case when coalesce(f.path_is_relative, true)
        then (select value from ${lake('ducklake_metadata')} where key = 'data_path' and scope is null) || f.path
        else f.path end as path
    from ${lake('ducklake_files_scheduled_for_deletion')} f
    where f.schedule_start <= ${before}
      and not exists (select from ${lake('ducklake_data_file')} d where regexp_replace(d.path, '^.*/', '') = ${basename})
      and not exists (select from ${lake('ducklake_delete_file')} d where regexp_replace(d.path, '^.*/', '') = ${basename})`);
}

export async function deleteScheduledFiles(db: Db, projectId: number, ids: readonly number[]): Promise<void> {
  await db.query(sql`
    delete from ${sql.name(lakeSchema(projectId), 'ducklake_files_scheduled_for_deletion')}
    where data_file_id = any(${ids}::bigint[])`);
}
