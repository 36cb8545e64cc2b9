import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Place } from './bucket-store.ts';
import type { ColumnDefinition } from './column-types.ts';

export type KeptMetadata = { provider: string; key: string; value: string }[];

export type SnapshotRow = {
  id: number;
  projectId: number;
  branchId: number;
  /** Of which table. */
  tableId: string;
  lakeTableId: number;
  description: string;
  tableDescription: string;
  primaryKey: number[];
  /** As in a `TableRow`. */
  columnTypes: Record<string, ColumnDefinition> | undefined;
  metadata: { table: KeptMetadata; columns: Record<string, KeptMetadata> };
  token: { id: number; description: string };
  createdAt: Date;
};

type Row = {
  id: number;
  project_id: number;
  branch_id: number;
  table_id: string;
  lake_table_id: number;
  description: string;
  table_description: string;
  primary_key: (number | string)[];
  column_types: Record<string, ColumnDefinition> | null;
  metadata: SnapshotRow['metadata'];
  token_id: number;
  token_description: string;
  created_at: Date;
};

function toSnapshotRow(row: Row): SnapshotRow {
  return {
    id: row.id,
    projectId: row.project_id,
    branchId: row.branch_id,
    tableId: row.table_id,
    lakeTableId: row.lake_table_id,
    description: row.description,
    tableDescription: row.table_description,
    primaryKey: row.primary_key.map(Number),
    columnTypes: row.column_types ?? undefined,
    metadata: row.metadata,
    token: { id: row.token_id, description: row.token_description },
    createdAt: row.created_at,
  };
}

export async function insertSnapshot(db: Db, row: SnapshotRow): Promise<void> {
  await db.query(sql`
    insert into table_snapshots (id, project_id, branch_id, table_id, lake_table_id, description, table_description,
      primary_key, column_types, metadata, token_id, token_description, created_at)
    values (${row.id}, ${row.projectId}, ${row.branchId}, ${row.tableId}, ${row.lakeTableId}, ${row.description},
      ${row.tableDescription}, ${row.primaryKey}::bigint[], ${row.columnTypes === undefined ? null : JSON.stringify(row.columnTypes)}::jsonb,
      ${JSON.stringify(row.metadata)}, ${row.token.id},
      ${row.token.description}, ${row.createdAt})`);
}

export async function findSnapshot(db: Db, place: Place, id: number): Promise<SnapshotRow | undefined> {
  const row = await db.one<Row>(sql`
    select * from table_snapshots
    where id = ${id} and project_id = ${place.projectId} and branch_id = ${place.storageBranchId}`);
  return row && toSnapshotRow(row);
}

/** Newest first. */
export async function listSnapshots(
  db: Db,
  place: Place,
  tableId: string,
  page: { limit: number; offset: number },
): Promise<SnapshotRow[]> {
  const rows = await db.query<Row>(sql`
    select * from table_snapshots
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and table_id = ${tableId}
    order by id desc limit ${page.limit} offset ${page.offset}`);
  return rows.map(toSnapshotRow);
}

/** False when it is gone already. */
export async function deleteSnapshot(db: Db, place: Place, id: number): Promise<boolean> {
  const rows = await db.query(sql`
    delete from table_snapshots
    where id = ${id} and project_id = ${place.projectId} and branch_id = ${place.storageBranchId} returning id`);
  return rows.length > 0;
}
