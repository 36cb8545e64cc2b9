import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Bucket, SharingType, Stage } from './table-model.ts';

/** A bucket without what the lake knows of its tables. */
export type BucketRow = Omit<Bucket, 'tablesCount' | 'rowsCount' | 'dataSizeBytes' | 'share' | 'source'> & {
  /** Undefined for a linked one: it has no place in this lake. */
  lakeSchemaId: number | undefined;
  shared?: SharedRow | undefined;
};

/** To whom a bucket is open, by number. */
export type SharedRow = {
  type: SharingType;
  projectIds: number[];
  personIds: number[];
  by: { id: number; name: string };
  at: Date;
};

type Row = {
  id: string;
  project_id: number;
  branch_id: number;
  stage: Stage;
  name: string;
  display_name: string;
  description: string;
  backend: string | null;
  color: string | null;
  lake_schema_id: number | null;
  sharing: SharingType | null;
  shared_with_projects: number[];
  shared_with_persons: number[];
  shared_by: { id: number; name: string } | null;
  shared_at: Date | null;
  created_at: Date;
  updated_at: Date | null;
  changed_at: Date | null;
};

function toBucketRow(row: Row): BucketRow {
  return {
    id: row.id,
    projectId: row.project_id,
    branchId: row.branch_id,
    stage: row.stage,
    name: row.name,
    displayName: row.display_name,
    description: row.description,
    backend: row.backend ?? undefined,
    color: row.color ?? undefined,
    lakeSchemaId: row.lake_schema_id ?? undefined,
    shared:
      row.sharing === null || row.shared_by === null || row.shared_at === null
        ? undefined
        : {
            type: row.sharing,
            projectIds: row.shared_with_projects,
            personIds: row.shared_with_persons,
            by: row.shared_by,
            at: row.shared_at,
          },
    createdAt: row.created_at,
    updatedAt: row.updated_at ?? undefined,
    changedAt: row.changed_at ?? undefined,
  };
}

/** Where buckets and tables live: a branch of a project. An `Actor` is one. */
/** Buckets and tables belong to a branch too: to the default one for every actor, as long as branches have no data of their own. */
export type Place = { projectId: number; storageBranchId: number };

/** `share` keeps the bucket from being deleted until the transaction ends, `update` also from being changed. */
export async function findBucket(
  db: Db,
  place: Place,
  id: string,
  lock?: 'share' | 'update',
): Promise<BucketRow | undefined> {
  const locking = lock === undefined ? sql.empty : lock === 'share' ? sql` for key share` : sql` for no key update`;
  const row = await db.one<Row>(sql`
    select * from buckets where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id}${locking}`);
  return row && toBucketRow(row);
}

export async function listBuckets(db: Db, place: Place): Promise<BucketRow[]> {
  const rows = await db.query<Row>(sql`
    select * from buckets where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} order by id collate "C"`);
  return rows.map(toBucketRow);
}

export async function findBucketByDisplayName(
  db: Db,
  place: Place,
  stage: string,
  displayName: string,
): Promise<BucketRow | undefined> {
  const row = await db.one<Row>(sql`
    select * from buckets
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and stage = ${stage}
      and display_name = ${displayName}`);
  return row && toBucketRow(row);
}

export async function insertBucket(db: Db, bucket: BucketRow): Promise<void> {
  await db.query(sql`
    insert into buckets (project_id, branch_id, id, stage, name, display_name, description, backend, color,
      lake_schema_id, created_at)
    values (${bucket.projectId}, ${bucket.branchId}, ${bucket.id}, ${bucket.stage}, ${bucket.name}, ${bucket.displayName},
      ${bucket.description}, ${bucket.backend ?? null}, ${bucket.color ?? null}, ${bucket.lakeSchemaId ?? null}, ${bucket.createdAt})`);
}

export async function updateBucket(db: Db, bucket: BucketRow): Promise<void> {
  await db.query(sql`
    update buckets set display_name = ${bucket.displayName}, description = ${bucket.description},
      color = ${bucket.color ?? null}, updated_at = ${bucket.updatedAt ?? null}
    where project_id = ${bucket.projectId} and branch_id = ${bucket.branchId} and id = ${bucket.id}`);
}

/** The bucket's own row and those of its tables. */
export async function deleteBucket(db: Db, place: Place, id: string): Promise<void> {
  await db.query(sql`
    delete from buckets where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id}`);
}
