import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Actor } from '../identity/actor.ts';
import type { BucketRow, Place, SharedRow } from './bucket-store.ts';
import type { BucketLink, SharingType } from './table-model.ts';
import { type TableRow, toTableRow } from './table-store.ts';

/** A table as it is read in a project: its own, or one of a bucket that the project has linked. */
export type ReadableTable = {
  /** The table itself, in the project that owns it. */
  row: TableRow;
  /** What it is called where it is read. */
  id: string;
  bucketId: string;
  /** Set for one of a linked bucket. */
  owner?: { id: number; name: string } | undefined;
};

type LinkedRow = { shown_bucket_id: string; owner_name: string } & Parameters<typeof toTableRow>[0];

function toReadable({ shown_bucket_id: bucketId, owner_name: name, ...row }: LinkedRow): ReadableTable {
  return { row: toTableRow(row), id: `${bucketId}.${row.name}`, bucketId, owner: { id: row.project_id, name } };
}

const LINKED = sql`
  select t.*, b.id as shown_bucket_id, p.name as owner_name from buckets b
  join projects p on p.id = b.source_project_id and p.deleted_at is null
  join tables t on t.project_id = b.source_project_id and t.branch_id = b.source_branch_id
    and t.bucket_id = b.source_bucket_id`;

/** A table of a linked bucket. The link is asked for each time, so that nothing is read once it is gone. */
export async function findLinkedTable(
  db: Db,
  place: Place,
  bucketId: string,
  name: string,
): Promise<ReadableTable | undefined> {
  const row = await db.one<LinkedRow>(sql`
    ${LINKED} where b.project_id = ${place.projectId} and b.branch_id = ${place.storageBranchId} and b.id = ${bucketId}
      and t.name = ${name}`);
  return row && toReadable(row);
}

export async function listLinkedTables(db: Db, place: Place, bucketId?: string): Promise<ReadableTable[]> {
  const inBucket = bucketId === undefined ? sql.empty : sql` and b.id = ${bucketId}`;
  const rows = await db.query<LinkedRow>(sql`
    ${LINKED} where b.project_id = ${place.projectId} and b.branch_id = ${place.storageBranchId}
      and b.source_bucket_id is not null${inBucket}`);
  return rows.map(toReadable);
}

/** Undefined ends the sharing. */
export async function setShare(db: Db, place: Place, id: string, share: SharedRow | undefined): Promise<void> {
  await db.query(sql`
    update buckets set sharing = ${share?.type ?? null}, shared_with_projects = ${share?.projectIds ?? []}::integer[],
      shared_with_persons = ${share?.personIds ?? []}::integer[],
      shared_by = ${share ? JSON.stringify(share.by) : null}, shared_at = ${share?.at ?? null}
    where project_id = ${place.projectId} and branch_id = ${place.storageBranchId} and id = ${id}`);
}

export async function insertLink(db: Db, bucket: BucketRow, source: Place & { bucketId: string }): Promise<void> {
  await db.query(sql`
    insert into buckets (project_id, branch_id, id, stage, name, display_name, description, created_at,
      source_project_id, source_branch_id, source_bucket_id)
    values (${bucket.projectId}, ${bucket.branchId}, ${bucket.id}, ${bucket.stage}, ${bucket.name},
      ${bucket.displayName}, ${bucket.description}, ${bucket.createdAt}, ${source.projectId}, ${source.storageBranchId},
      ${source.bucketId})`);
}

type LinkRow = {
  source_id: string;
  id: string;
  branch_id: number;
  project_id: number;
  project_name: string;
  created_at: Date;
};

/** Who has linked the buckets, by the bucket. */
export async function listLinks(db: Db, place: Place, ids: string[]): Promise<Map<string, BucketLink[]>> {
  const rows = await db.query<LinkRow>(sql`
    select b.source_bucket_id as source_id, b.id, b.branch_id, b.project_id, p.name as project_name, b.created_at
    from buckets b join projects p on p.id = b.project_id and p.deleted_at is null
    where b.source_project_id = ${place.projectId} and b.source_branch_id = ${place.storageBranchId}
      and b.source_bucket_id = any(${ids})
    order by b.created_at, b.project_id`);
  const links = new Map<string, BucketLink[]>();
  for (const row of rows) {
    const { source_id, id: bucketId, branch_id: branchId, created_at: createdAt } = row;
    const link = { bucketId, branchId, createdAt, project: { id: row.project_id, name: row.project_name } };
    links.set(source_id, [...(links.get(source_id) ?? []), link]);
  }
  return links;
}

type LinkableRow = {
  project_id: number;
  project_name: string;
  branch_id: number;
  id: string;
};

/**
 * The buckets of other projects of the organization that the actor may link: which of them decides the kind of sharing.
 * With `only`, that bucket if it is one of them, kept from being deleted or unshared to the end of the transaction.
 */
export async function listLinkable(
  db: Db,
  actor: Actor,
  only?: { projectId: number; bucketId: string },
): Promise<(Place & { id: string; projectName: string })[]> {
  const isMember = actor.token.isMaster && actor.token.person?.role !== 'guest';
  const one = only ? sql` and b.project_id = ${only.projectId} and b.id = ${only.bucketId}` : sql.empty;
  const rows = await db.query<LinkableRow>(sql`
    select b.project_id, p.name as project_name, b.branch_id, b.id
    from buckets b
    join projects p on p.id = b.project_id and p.deleted_at is null
    join projects own on own.id = ${actor.projectId} and own.organization_id = p.organization_id
    where b.project_id <> ${actor.projectId}${one} and (
      (b.sharing = 'organization' and ${isMember}::boolean) or b.sharing = 'organization-project'
      or (b.sharing = 'specific-projects' and ${actor.projectId}::integer = any(b.shared_with_projects))
      or (b.sharing = 'specific-users' and ${actor.token.person?.id ?? null}::integer = any(b.shared_with_persons)))
    order by b.project_id, b.id collate "C"${only ? sql` for share of b` : sql.empty}`);
  return rows.map((row) => ({
    projectId: row.project_id,
    projectName: row.project_name,
    storageBranchId: row.branch_id,
    id: row.id,
  }));
}

/** The projects of the organization among the given ones. */
export async function listProjectsOfOrganization(
  db: Db,
  projectId: number,
  ids: number[],
): Promise<{ id: number; name: string }[]> {
  return db.query(sql`
    select p.id, p.name from projects p join projects own on own.id = ${projectId}
    where p.organization_id = own.organization_id and p.deleted_at is null and p.id = any(${ids}::integer[])
    order by p.id`);
}

/** Persons with a role in some project of the organization, by number or email. */
export async function listPersonsOfOrganization(
  db: Db,
  projectId: number,
  whom: { ids: number[]; emails: string[] },
): Promise<{ id: number; name: string; email: string }[]> {
  return db.query(sql`
    select distinct n.id, n.name, n.email from persons n
    join project_members m on m.person_id = n.id
    join projects p on p.id = m.project_id and p.deleted_at is null
    join projects own on own.id = ${projectId} and own.organization_id = p.organization_id
    where n.id = any(${whom.ids}::integer[]) or lower(n.email) = any(${whom.emails.map((email) => email.toLowerCase())})
    order by n.id`);
}

/** What a linking project is shown of the buckets it has linked. */
export async function listSources(
  db: Db,
  place: Place,
): Promise<
  (Place & {
    linkId: string;
    id: string;
    name: string;
    displayName: string;
    description: string;
    projectName: string;
    sharing: SharingType | null;
    changedAt: Date | null;
  })[]
> {
  return db.query(sql`
    select b.id as "linkId", s.project_id as "projectId", s.branch_id as "storageBranchId", s.id, s.name,
      s.display_name as "displayName", s.description, p.name as "projectName", s.sharing, s.changed_at as "changedAt"
    from buckets b
    join buckets s on s.project_id = b.source_project_id and s.branch_id = b.source_branch_id
      and s.id = b.source_bucket_id
    join projects p on p.id = s.project_id
    where b.project_id = ${place.projectId} and b.branch_id = ${place.storageBranchId} and b.source_bucket_id is not null`);
}
