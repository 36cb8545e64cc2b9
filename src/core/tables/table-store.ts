import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Place } from './bucket-store.ts';
import type { ColumnDefinition } from './column-types.ts';

/** A table without what the lake knows of it. */
export type TableRow = {
  projectId: number;
  branchId: number;
  id: string;
  bucketId: string;
  name: string;
  displayName: string;
  description: string;
  lakeTableId: number;
  /** Column ids of the lake. */
  primaryKey: number[];
  /** By column id of the lake; undefined: the table is not typed. */
  columnTypes?: Record<string, ColumnDefinition> | undefined;
  createdAt: Date;
  importedAt: Date | undefined;
  changedAt: Date | undefined;
};

type Row = {
  project_id: number;
  branch_id: number;
  id: string;
  bucket_id: string;
  name: string;
  display_name: string;
  description: string;
  lake_table_id: number;
  primary_key: (number | string)[];
  column_types: Record<string, ColumnDefinition> | null;
  created_at: Date;
  imported_at: Date | null;
  changed_at: Date | null;
};

export function toTableRow(row: Row): TableRow {
  return {
    projectId: row.project_id,
    branchId: row.branch_id,
    id: row.id,
    bucketId: row.bucket_id,
    name: row.name,
    displayName: row.display_name,
    description: row.description,
    lakeTableId: row.lake_table_id,
    primaryKey: row.primary_key.map(Number),
    columnTypes: row.column_types ?? undefined,
    createdAt: row.created_at,
    importedAt: row.imported_at ?? undefined,
    changedAt: row.changed_at ?? undefined,
  };
}

function typesText({ columnTypes }: Pick<TableRow, 'columnTypes'>): string | null {
  return columnTypes === undefined ? null : JSON.stringify(columnTypes);
}

/** `share` keeps the table from being dropped until the transaction ends, `update` also from being changed. */
export async function findTable(
  db: Db,
  place: Place,
  id: string,
  lock?: 'share' | 'update',
): Promise<TableRow | undefined> {
  const locking = lock === undefined ? sql.empty : lock === 'share' ? sql` for key share` : sql` for no key update`;
  const row = await db.one<Row>(sql`
    select * from tables
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id}${locking}`);
  return row && toTableRow(row);
}

export async function listTables(db: Db, place: Place, bucketId?: string): Promise<TableRow[]> {
  const inBucket = bucketId === undefined ? sql.empty : sql` and bucket_id = ${bucketId}`;
  const rows = await db.query<Row>(sql`
    select * from tables where project_id = ${place.projectId} and branch_id = ${place.storageBranchId}${inBucket}
    order by id collate "C"`);
  return rows.map(toTableRow);
}

export async function isDisplayNameTaken(
  db: Db,
  table: Pick<TableRow, 'projectId' | 'branchId' | 'bucketId' | 'id' | 'displayName'>,
): Promise<boolean> {
  const row = await db.one(sql`
    select 1 from tables where project_id = ${table.projectId} and branch_id = ${table.branchId}
      and bucket_id = ${table.bucketId} and display_name = ${table.displayName} and id <> ${table.id}`);
  return row !== undefined;
}

export async function insertTable(db: Db, table: TableRow): Promise<void> {
  await db.query(sql`
    insert into tables (project_id, branch_id, id, bucket_id, name, display_name, description, lake_table_id, primary_key,
      column_types, created_at, imported_at, changed_at)
    values (${table.projectId}, ${table.branchId}, ${table.id}, ${table.bucketId}, ${table.name}, ${table.displayName},
      ${table.description}, ${table.lakeTableId}, ${table.primaryKey}::bigint[], ${typesText(table)}::jsonb, ${table.createdAt},
      ${table.importedAt ?? null}, ${table.changedAt ?? null})`);
}

export async function updateTable(db: Db, table: TableRow): Promise<void> {
  await db.query(sql`
    update tables set display_name = ${table.displayName}, description = ${table.description},
      primary_key = ${table.primaryKey}::bigint[], column_types = ${typesText(table)}::jsonb
    where project_id = ${table.projectId} and branch_id = ${table.branchId} and id = ${table.id}`);
}

/** Marks a table and its bucket as changed now, and the table as imported where it was. False: the table is gone. */
export async function touchTable(
  db: Db,
  place: Place,
  id: string,
  at: Date,
  what: { imported: boolean },
): Promise<boolean> {
  const rows = await db.query(sql`
    with changed as (
      update tables set changed_at = ${at}, imported_at = case when ${what.imported}::boolean then ${at} else imported_at end
      where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id} returning bucket_id)
    update buckets set changed_at = ${at}
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = (select bucket_id from changed)
    returning id`);
  return rows.length > 0;
}

export async function touchBucket(db: Db, place: Place, id: string, at: Date): Promise<void> {
  await db.query(sql`
    update buckets set changed_at = ${at}
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id}`);
}

export async function deleteTable(db: Db, place: Place, id: string): Promise<void> {
  await db.query(sql`
    delete from tables where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id}`);
}
