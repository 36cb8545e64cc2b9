import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Place } from './bucket-store.ts';

export type MetadataItem = { id: number; provider: string; key: string; value: string; updatedAt: Date };
export type ObjectType = 'bucket' | 'table' | 'column';
/** What has items without a provider. These belong to the branch itself, never to that of the tables. */
export type PlainObjectType = 'configuration' | 'branch';

type Row = { object_id: string; id: number; provider: string; key: string; value: string; updated_at: Date };

function toItem(row: Row): MetadataItem {
  return { id: row.id, provider: row.provider, key: row.key, value: row.value, updatedAt: row.updated_at };
}

/** All items of the objects, by object id; objects without any are absent. */
export async function listMetadata(
  db: Db,
  place: Place,
  type: ObjectType | PlainObjectType,
  ids: readonly string[],
): Promise<Map<string, MetadataItem[]>> {
  const rows = await db.query<Row>(sql`
    select object_id, id, provider, key, value, updated_at from object_metadata
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and object_type = ${type}
      and object_id = any(${ids}::text[]) order by id`);
  return group(rows);
}

/** Items of all columns of the tables; the keys are column ids (`<table id>.<column>`). */
export async function listColumnMetadata(
  db: Db,
  place: Place,
  tableIds: readonly string[],
): Promise<Map<string, MetadataItem[]>> {
  const rows = await db.query<Row>(sql`
    select object_id, id, provider, key, value, updated_at from object_metadata
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and object_type = 'column'
      and substring(object_id from '^[^.]*\.[^.]*\.[^.]*') = any(${tableIds}::text[]) order by id`);
  return group(rows);
}

function group(rows: readonly Row[]): Map<string, MetadataItem[]> {
  const items = new Map<string, MetadataItem[]>();
  for (const row of rows) {
    const list = items.get(row.object_id);
    if (list) list.push(toItem(row));
    else items.set(row.object_id, [toItem(row)]);
  }
  return items;
}

/** An item of the same provider and key gets the new value and keeps its id. */
export async function upsertMetadata(
  db: Db,
  place: Place,
  object: { type: ObjectType | PlainObjectType; id: string },
  provider: string,
  items: readonly { key: string; value: string }[],
  at: Date,
): Promise<void> {
  // One statement cannot touch the same row twice: the last of equal keys wins.
  const last = new Map(items.map((item) => [item.key, item.value]));
  const rows = [...last].map(([key, value]) => ({ id: object.id, key, value }));
  await upsertMetadataOfMany(db, place, object.type, provider, rows, at);
}

/** The same for many objects of one type in one statement. Each key of an object stands there once. */
export async function upsertMetadataOfMany(
  db: Db,
  place: Place,
  type: ObjectType | PlainObjectType,
  provider: string,
  items: readonly { id: string; key: string; value: string }[],
  at: Date,
): Promise<void> {
  const texts = (of: 'id' | 'key' | 'value') => items.map((item) => item[of]);
  await db.query(sql`
    insert into object_metadata (project_id, branch_id, object_type, object_id, provider, key, value, updated_at)
    select ${place.projectId}, ${place.storageBranchId}, ${type}, id, ${provider}, key, value, ${at}
    from unnest(${texts('id')}::text[], ${texts('key')}::text[], ${texts('value')}::text[]) as item (id, key, value)
    on conflict on constraint object_metadata_key do update set value = excluded.value, updated_at = excluded.updated_at`);
}

/** The same for many columns of a table in one statement; what the provider has said before under such keys goes. */
export async function replaceColumnMetadata(
  db: Db,
  place: Place,
  tableId: string,
  provider: string,
  prefix: string,
  columns: ReadonlyMap<string, readonly { key: string; value: string }[]>,
  at: Date,
): Promise<void> {
  const ids = [...columns.keys()].map((column) => `${tableId}.${column}`);
  await db.query(sql`
    delete from object_metadata
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and object_type = 'column'
      and object_id = any(${ids}::text[]) and provider = ${provider} and starts_with(key, ${prefix})`);
  const items = [...columns].flatMap(([column, list]) => list.map((item) => ({ id: `${tableId}.${column}`, ...item })));
  await db.query(sql`
    insert into object_metadata (project_id, branch_id, object_type, object_id, provider, key, value, updated_at)
    select ${place.projectId}, ${place.storageBranchId}, 'column', id, ${provider}, key, value, ${at}
    from unnest(${items.map((item) => item.id)}::text[], ${items.map((item) => item.key)}::text[],
      ${items.map((item) => item.value)}::text[]) as item (id, key, value)`);
}

export async function findMetadata(
  db: Db,
  place: Place,
  object: { type: ObjectType | PlainObjectType; id: string },
  id: number,
): Promise<MetadataItem | undefined> {
  const row = await db.one<Row>(sql`
    select object_id, id, provider, key, value, updated_at from object_metadata
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and object_type = ${object.type}
      and object_id = ${object.id} and id = ${id}`);
  return row && toItem(row);
}

export async function deleteMetadata(db: Db, place: Place, id: number): Promise<void> {
  await db.query(sql`
    delete from object_metadata where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id}`);
}

/** Items of the table and its columns, or with `columns` of only those. */
export async function deleteMetadataOfTable(
  db: Db,
  place: Place,
  tableId: string,
  columns?: readonly string[],
): Promise<void> {
  const which =
    columns === undefined
      ? sql`object_type = 'table' and object_id = ${tableId} or object_type = 'column' and starts_with(object_id, ${`${tableId}.`})`
      : sql`object_type = 'column' and object_id = any(${columns.map((column) => `${tableId}.${column}`)}::text[])`;
  await db.query(sql`
    delete from object_metadata where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and (${which})`);
}

/** Items of the bucket, its tables and their columns. */
export async function deleteMetadataOfBucket(db: Db, place: Place, bucketId: string): Promise<void> {
  await db.query(sql`
    delete from object_metadata where project_id = ${place.projectId} and branch_id = ${place.storageBranchId}
      and (object_type = 'bucket' and object_id = ${bucketId}
        or object_type in ('table', 'column') and starts_with(object_id, ${`${bucketId}.`}))`);
}

/** Items of one object. */
export async function deleteMetadataOf(
  db: Db,
  place: Place,
  object: { type: PlainObjectType; id: string },
): Promise<void> {
  await db.query(sql`
    delete from object_metadata where project_id = ${place.projectId} and branch_id = ${place.storageBranchId}
      and object_type = ${object.type} and object_id = ${object.id}`);
}

/** Items of the default branch and its configurations, into another branch: of those configurations that are there. */
export async function copyMetadataOfBranch(db: Db, { projectId, storageBranchId: to }: Place): Promise<void> {
  await db.query(sql`
    insert into object_metadata (project_id, branch_id, object_type, object_id, provider, key, value, updated_at)
    select m.project_id, ${to}::bigint, m.object_type, m.object_id, m.provider, m.key, m.value, m.updated_at
    from object_metadata m
    where m.project_id = ${projectId} and m.branch_id = (select id from branches where project_id = ${projectId} and is_default)
      and (m.object_type = 'branch'
      or m.object_type = 'configuration' and m.object_id in (
        select c.component_id || '/' || c.id from configurations c where c.branch_id = ${to}))
    order by m.id`);
}

export async function deleteMetadataOfBranch(db: Db, place: Place): Promise<void> {
  await db.query(sql`
    delete from object_metadata where project_id = ${place.projectId} and branch_id = ${place.storageBranchId}
      and object_type in ('branch', 'configuration')`);
}

/** Of the buckets that jobs in the branch have made for it. */
export async function listBucketsMadeBy(db: Db, place: Place, branchId: number): Promise<string[]> {
  const rows = await db.query<{ object_id: string }>(sql`
    select object_id from object_metadata
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and object_type = 'bucket'
      and provider = 'system' and key = 'KBC.createdBy.branch.id' and value = ${String(branchId)}
    order by object_id`);
  return rows.map((row) => row.object_id);
}
