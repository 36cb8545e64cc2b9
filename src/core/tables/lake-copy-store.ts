import type { Transaction } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import { type LakeFile, type LakeTable, lakeSchema } from './lake-store.ts';

/** A file of a table under another name in the directory of its copy. */
export type CopiedFile = { from: LakeFile; name: string; deleteName: string | undefined };

/**
 * The rows of a table's copy: columns with the ids that are in the files, files with the ids of their rows, statistics
 * and counts. `firstFileId` and those after it are the new files'; returns the first that is left.
 */
export async function insertTableCopy(
  tx: Transaction,
  source: LakeTable,
  copy: { tableId: number; snapshotId: number; firstFileId: number; files: readonly CopiedFile[] },
): Promise<number> {
  const lake = (name: string) => sql.name(lakeSchema(source.projectId), name);
  const { tableId, snapshotId, files } = copy;
  let nextId = copy.firstFileId;
  const ids = files.map(() => nextId++);
  const deletes = files.flatMap(({ from, deleteName }, at) =>
    from.deleteFile && deleteName ? [{ id: nextId++, from: from.deleteFile.id, name: deleteName, of: ids[at] }] : [],
  );
  const columnIds = source.columns.map(({ id }) => id);
  await tx.query(sql`
    insert into ${lake('ducklake_column')}
      (column_id, begin_snapshot, end_snapshot, table_id, column_order, column_name, column_type, initial_default,
       default_value, nulls_allowed, parent_column, default_value_type, default_value_dialect)
    select column_id, ${snapshotId}, null, ${tableId}, column_order, column_name, column_type, initial_default,
      default_value, nulls_allowed, parent_column, default_value_type, default_value_dialect
    from ${lake('ducklake_column')}
    where table_id = ${source.id} and column_id = any(${columnIds}::bigint[]) and end_snapshot is null`);
  await tx.query(sql`
    insert into lake_column_names (project_id, lake_table_id, column_id, lake_name, name)
    select project_id, ${tableId}, column_id, lake_name, name from lake_column_names
    where project_id = ${source.projectId} and lake_table_id = ${source.id} and column_id = any(${columnIds}::bigint[])`);
  if (files.length === 0) return nextId;
  const copied = sql`unnest(${ids}::bigint[], ${files.map(({ from }) => from.id)}::bigint[],
    ${files.map(({ name }) => name)}::text[]) as c (id, source, name)`;
  const found = await tx.query(sql`
    insert into ${lake('ducklake_data_file')}
      (data_file_id, table_id, begin_snapshot, end_snapshot, file_order, path, path_is_relative, file_format,
       record_count, file_size_bytes, footer_size, row_id_start, partition_id, encryption_key, mapping_id, partial_max)
    select c.id, ${tableId}, ${snapshotId}, null, null, c.name, true, f.file_format, f.record_count, f.file_size_bytes,
      f.footer_size, f.row_id_start, null, null, null, null
    from ${copied} join ${lake('ducklake_data_file')} f on f.data_file_id = c.source
    returning data_file_id`);
  // What a sweeper has taken meanwhile is past its retention; then the copy would lack rows.
  if (found.length !== files.length) throw new Error('files of a table that is copied are gone');
  await tx.query(sql`
    insert into ${lake('ducklake_file_column_stats')}
      (data_file_id, table_id, column_id, column_size_bytes, value_count, null_count, min_value, max_value,
       contains_nan, extra_stats)
    select c.id, ${tableId}, s.column_id, s.column_size_bytes, s.value_count, s.null_count, s.min_value, s.max_value,
      s.contains_nan, s.extra_stats
    from ${copied} join ${lake('ducklake_file_column_stats')} s on s.data_file_id = c.source`);
  await tx.query(sql`
    insert into ${lake('ducklake_delete_file')}
      (delete_file_id, table_id, begin_snapshot, end_snapshot, data_file_id, path, path_is_relative, format,
       delete_count, file_size_bytes, footer_size, encryption_key, partial_max)
    select c.id, ${tableId}, ${snapshotId}, null, c.data_file_id, c.name, true, d.format, d.delete_count,
      d.file_size_bytes, d.footer_size, null, null
    from unnest(${deletes.map(({ id }) => id)}::bigint[], ${deletes.map(({ from }) => from)}::bigint[],
        ${deletes.map(({ of }) => of)}::bigint[], ${deletes.map(({ name }) => name)}::text[])
        as c (id, source, data_file_id, name)
      join ${lake('ducklake_delete_file')} d on d.delete_file_id = c.source`);
  await tx.query(sql`
    insert into ${lake('ducklake_table_stats')} (table_id, record_count, next_row_id, file_size_bytes)
    select ${tableId}, record_count, next_row_id, file_size_bytes from ${lake('ducklake_table_stats')}
    where table_id = ${source.id}`);
  await tx.query(sql`
    insert into ${lake('ducklake_table_column_stats')}
      (table_id, column_id, contains_null, contains_nan, min_value, max_value, extra_stats)
    select ${tableId}, column_id, contains_null, contains_nan, min_value, max_value, extra_stats
    from ${lake('ducklake_table_column_stats')}
    where table_id = ${source.id} and column_id = any(${columnIds}::bigint[])`);
  return nextId;
}

/** A living schema of the lake by its exact name. */
export async function findLakeSchemaId(tx: Transaction, projectId: number, name: string): Promise<number | undefined> {
  const row = await tx.one<{ schema_id: number }>(sql`
    select schema_id from ${sql.name(lakeSchema(projectId), 'ducklake_schema')}
    where schema_name = ${name} and end_snapshot is null`);
  return row?.schema_id;
}
