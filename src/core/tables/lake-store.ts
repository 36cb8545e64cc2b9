/**
 * Reading a lake: one DuckLake 1.0 catalogue in a PostgreSQL schema of its own.
 *
 * Only the newest snapshot is read here, where a row is visible exactly when its `end_snapshot` is null. Each function
 * is one statement, so it sees one state of the catalogue even in READ COMMITTED.
 */
import { join } from 'node:path';
import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { EngineColumn, TableVersion } from '../../drivers/engines/contract.ts';
import { type ColumnDefinition, labelOf, lakeTypeOf, maxLengthOf } from './column-types.ts';
import { TIMESTAMP_COLUMN } from './names.ts';
import { tableErrors } from './table-errors.ts';

export type LakeColumn = {
  id: number;
  /** The name in the lake, unique whatever the case. */
  lakeName: string;
  /** The name people gave. */
  name: string;
  type: string;
  /** In typed tables. */
  definition?: ColumnDefinition;
  /** What rows have that are older than the column. */
  initialDefault?: string;
};

export type LakeFile = {
  id: number;
  /** Absolute. */
  path: string;
  recordCount: number;
  sizeBytes: number;
  /** The lake's own id of its first row; those of the next rows follow. Undefined where another writer keeps ids inside. */
  firstRowId: number | undefined;
  deleteFile: { id: number; path: string; deleteCount: number } | undefined;
};

/** A table of the lake at its newest snapshot. */
export type LakeTable = {
  projectId: number;
  id: number;
  /** The snapshot this was read at: what a change made from it is based on. */
  snapshotId: number;
  /** Absolute, ends in '/'. */
  directory: string;
  /** All of them, the internal ones too, in table order. */
  columns: LakeColumn[];
  /** Never used before in this table, by living or dropped columns. */
  nextColumnId: number;
  files: LakeFile[];
};

/** The PostgreSQL schema of a project's lake. */
export function lakeSchema(projectId: number): string {
  return `lake_${projectId}`;
}

type TableRow = {
  snapshot_id: number;
  data_path: string;
  schema_path: string | null;
  schema_relative: boolean | null;
  path: string | null;
  relative: boolean | null;
  next_column_id: number;
  inlined: boolean;
  column_types: Record<string, ColumnDefinition> | null;
  columns:
    | [id: number, lakeName: string, type: string, initial: string | null, isNested: boolean, name: string | null][]
    | null;
  files:
    | [
        id: number,
        path: string,
        relative: boolean,
        records: number,
        size: number,
        isMapped: boolean,
        deleteId: number | null,
        deletePath: string | null,
        deleteRelative: boolean | null,
        deleteFormat: string | null,
        deleteCount: number | null,
        firstRowId: number | null,
      ][]
    | null;
};

/** Columns and files of a table, undefined when the lake has no such table (any more). */
export async function findLakeTable(db: Db, projectId: number, tableId: number): Promise<LakeTable | undefined> {
  const lake = (name: string) => sql.name(lakeSchema(projectId), name);
  const row = await db.one<TableRow>(sql`
    select
      (select max(snapshot_id) from ${lake('ducklake_snapshot')}) as snapshot_id,
      (select value from ${lake('ducklake_metadata')} where key = 'data_path' and scope is null) as data_path,
      s.path as schema_path, s.path_is_relative as schema_relative, t.path, t.path_is_relative as relative,
      (select coalesce(max(column_id), 0) + 1 from ${lake('ducklake_column')} where table_id = t.table_id) as next_column_id,
      exists (select from ${lake('ducklake_inlined_data_tables')} i where i.table_id = t.table_id) as inlined,
      coalesce(
        (select m.column_types from tables m where m.project_id = ${projectId} and m.lake_table_id = t.table_id),
        (select s.column_types from table_snapshots s
          where s.project_id = ${projectId} and s.lake_table_id = t.table_id)) as column_types,
      (select json_agg(json_build_array(c.column_id, c.column_name, c.column_type, c.initial_default,
          c.parent_column is not null, n.name) order by c.column_order, c.column_id)
        from ${lake('ducklake_column')} c
        left join lake_column_names n on n.project_id = ${projectId} and n.lake_table_id = c.table_id
          and n.column_id = c.column_id and n.lake_name = c.column_name
        where c.table_id = t.table_id and c.end_snapshot is null) as columns,
      (select json_agg(json_build_array(f.data_file_id, f.path, f.path_is_relative, f.record_count, f.file_size_bytes,
          f.mapping_id is not null or f.encryption_key is not null or f.file_format <> 'parquet',
          d.delete_file_id, d.path, d.path_is_relative, d.format, d.delete_count, f.row_id_start) order by f.data_file_id)
        from ${lake('ducklake_data_file')} f
        left join ${lake('ducklake_delete_file')} d on d.data_file_id = f.data_file_id and d.end_snapshot is null
        where f.table_id = t.table_id and f.end_snapshot is null) as files
    from ${lake('ducklake_table')} t
    join ${lake('ducklake_schema')} s on s.schema_id = t.schema_id and s.end_snapshot is null
    where t.table_id = ${tableId} and t.end_snapshot is null`);
  if (row === undefined) return undefined;
  return toLakeTable(projectId, tableId, row);
}

function toLakeTable(projectId: number, tableId: number, row: TableRow): LakeTable {
  if (row.inlined) throw tableErrors.lakeUnsupported('rows inside of the catalogue (data inlining)');
  const schemaDirectory = resolvePath(row.data_path, row.schema_path, row.schema_relative);
  const directory = resolvePath(schemaDirectory, row.path, row.relative);
  return {
    projectId,
    id: tableId,
    snapshotId: row.snapshot_id,
    directory,
    nextColumnId: row.next_column_id,
    columns: (row.columns ?? []).map(([id, lakeName, type, initial, isNested, name]) => {
      const definition = lakeName === TIMESTAMP_COLUMN ? undefined : row.column_types?.[id];
      // What others made of an untyped table is not ours to guess at; a typed column keeps the type we gave it.
      const isOurs = definition
        ? lakeTypeOf(definition) === type
        : initial === null && (type === 'varchar' || type === 'timestamp');
      if (isNested || !isOurs) {
        throw tableErrors.lakeUnsupported(`the column "${name ?? lakeName}" is not of a type it was given here`);
      }
      return {
        id,
        lakeName,
        name: name ?? lakeName,
        type,
        ...(definition && { definition }),
        ...(initial !== null && { initialDefault: initial }),
      };
    }),
    files: (row.files ?? []).map(([id, path, relative, recordCount, sizeBytes, isForeign, deleteId, ...deletes]) => {
      if (isForeign) throw tableErrors.lakeUnsupported(`the data file ${path}`);
      const [deletePath, deleteRelative, deleteFormat, deleteCount, firstRowId] = deletes;
      if (deleteFormat !== null && deleteFormat !== 'parquet') throw tableErrors.lakeUnsupported('deletion vectors');
      return {
        id,
        path: resolvePath(directory, path, relative),
        recordCount,
        sizeBytes,
        firstRowId: firstRowId ?? undefined,
        deleteFile:
          deleteId === null
            ? undefined
            : { id: deleteId, path: resolvePath(directory, deletePath, deleteRelative), deleteCount: deleteCount ?? 0 },
      };
    }),
  };
}

/** Paths of the format are plain concatenation; an absent path is the parent's. */
function resolvePath(parent: string, path: string | null, relative: boolean | null): string {
  if (path === null) return parent;
  return relative === false ? path : `${parent}${path}`;
}

/** What the engine has to know of a table. */
export function toTableVersion(table: Pick<LakeTable, 'columns' | 'files'>): TableVersion {
  return {
    columns: table.columns.map(toEngineColumn),
    files: table.files.map(({ path, recordCount, deleteFile }) => ({
      path,
      recordCount,
      ...(deleteFile && { deleteFile: { path: deleteFile.path, deleteCount: deleteFile.deleteCount } }),
    })),
  };
}

function toEngineColumn({ id, lakeName, type, definition, initialDefault }: LakeColumn): EngineColumn {
  const column = { fieldId: id, name: lakeName };
  if (definition === undefined) return { ...column, type: type === 'timestamp' ? 'timestamp' : 'varchar' };
  const maxLength = maxLengthOf(definition);
  return {
    ...column,
    type: lakeTypeOf(definition),
    typed: {
      label: labelOf(definition),
      nullable: definition.nullable,
      ...(maxLength !== undefined && { maxLength }),
      ...(initialDefault !== undefined && { initialDefault }),
    },
  };
}

/** The columns people see. */
export function userColumns(table: Pick<LakeTable, 'columns'>): LakeColumn[] {
  return table.columns.filter((column) => column.lakeName !== TIMESTAMP_COLUMN);
}

export function rowsOf(files: readonly Pick<LakeFile, 'recordCount' | 'deleteFile'>[]): number {
  return files.reduce((sum, file) => sum + file.recordCount - (file.deleteFile?.deleteCount ?? 0), 0);
}

export function bytesOf(files: readonly Pick<LakeFile, 'sizeBytes'>[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

export type LakeTableSummary = { tableId: number; rowsCount: number; sizeBytes: number; columns: LakeColumn[] };

/**
 * Rows, bytes and, where asked for, columns of tables, for listings; without ids: of all. Deleted rows are subtracted,
 * which is exact at the newest snapshot. Never refuses a table: listing must work whatever others did to one of them.
 * Added up without a join, since a planner that knows little of the catalogue would join ten thousand tables in a loop.
 */
export async function listLakeTables(
  db: Db,
  projectId: number,
  options: { tableIds?: number[]; columns: boolean },
): Promise<LakeTableSummary[]> {
  const lake = (name: string) => sql.name(lakeSchema(projectId), name);
  const only = options.tableIds === undefined ? sql.empty : sql` and table_id = any(${options.tableIds}::bigint[])`;
  const columns = options.columns
    ? sql`(select json_agg(json_build_object('id', c.column_id, 'lakeName', c.column_name, 'type', c.column_type,
          'name', coalesce(n.name, c.column_name)) order by c.column_order, c.column_id)
        from ${lake('ducklake_column')} c
        left join lake_column_names n on n.project_id = ${projectId} and n.lake_table_id = c.table_id
          and n.column_id = c.column_id and n.lake_name = c.column_name
        where c.table_id = t.table_id and c.end_snapshot is null and c.parent_column is null)`
    : sql`null::json`;
  const rows = await db.query<{ table_id: number; rows: number; bytes: number; columns: LakeColumn[] | null }>(sql`
    select t.table_id, t.rows::bigint as rows, t.bytes::bigint as bytes, ${columns} as columns
    from (
      select table_id, sum(rows) as rows, sum(bytes) as bytes from (
        select table_id, 0 as rows, 0 as bytes, true as is_table
        from ${lake('ducklake_table')} where end_snapshot is null${only}
        union all
        select table_id, record_count, file_size_bytes, false
        from ${lake('ducklake_data_file')} where end_snapshot is null${only}
        union all
        select table_id, -delete_count, 0, false
        from ${lake('ducklake_delete_file')} where end_snapshot is null${only}) parts
      group by table_id having bool_or(is_table)) t`);
  return rows.map((row) => ({
    tableId: row.table_id,
    rowsCount: row.rows,
    sizeBytes: row.bytes,
    columns: row.columns ?? [],
  }));
}

/** A fresh directory path for a table to be made in a schema: unique, so that no two tables ever share one. */
export async function newTableLocation(
  db: Db,
  projectId: number,
  schemaId: number,
  name: string,
  uuid: string,
): Promise<{ directory: string; path: string } | undefined> {
  const lake = (table: string) => sql.name(lakeSchema(projectId), table);
  const row = await db.one<{ data_path: string; path: string | null; relative: boolean | null }>(sql`
    select (select value from ${lake('ducklake_metadata')} where key = 'data_path' and scope is null) as data_path,
      path, path_is_relative as relative
    from ${lake('ducklake_schema')} where schema_id = ${schemaId} and end_snapshot is null`);
  if (row === undefined) return undefined;
  const path = `${name}-${uuid.slice(-12)}/`;
  return { directory: resolvePath(row.data_path, row.path, row.relative) + path, path };
}

/** Absolute, ends in '/'. */
export async function lakeDirectory(db: Db, projectId: number): Promise<string> {
  const row = await db.one<{ value: string }>(sql`
    select value from ${sql.name(lakeSchema(projectId), 'ducklake_metadata')} where key = 'data_path' and scope is null`);
  return row?.value ?? '';
}

/** Creates the catalogue of a project. */
export async function insertLake(db: Db, projectId: number, directory: string, createdBy: string): Promise<void> {
  const schema = lakeSchema(projectId);
  await db.query(sql`insert into lakes (project_id, schema_name) values (${projectId}, ${schema})`);
  await db.query(sql`select create_lake(${schema}, ${dataPath(directory, projectId)}, ${createdBy})`);
}

function dataPath(directory: string, projectId: number): string {
  return `${join(directory, String(projectId))}/`;
}

export async function listLakeProjects(db: Db): Promise<number[]> {
  const rows = await db.query<{ project_id: number }>(sql`select project_id from lakes order by project_id`);
  return rows.map((row) => row.project_id);
}

/** Points a lake at a data directory that was moved. Returns whether it had been elsewhere. */
export async function relocateLake(db: Db, projectId: number, directory: string): Promise<boolean> {
  const path = dataPath(directory, projectId);
  const rows = await db.query(sql`
    update ${sql.name(lakeSchema(projectId), 'ducklake_metadata')} set value = ${path}
    where key = 'data_path' and scope is null and value <> ${path} returning key`);
  return rows.length > 0;
}
