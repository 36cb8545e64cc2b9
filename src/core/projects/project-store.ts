import type { Db } from '../../db/database.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { ProjectRole } from '../identity/actor.ts';
import type { Branch, DisabledProject, Project, ProjectOwner, ProjectSettings } from './project-model.ts';

type ProjectRow = {
  id: number;
  uuid: string;
  slug: string;
  name: string;
  type: string;
  organization_id: number;
  organization_uuid: string;
  organization_name: string;
  default_backend: string;
  features: string[];
  limits: Record<string, number>;
  created_at: Date;
  default_branch_id: number;
  expires_at: Date | null;
  disabled: DisabledProject | null;
  settings: ProjectSettings;
};

const SELECT_ANY = sql`
  select p.id, p.uuid, p.slug, p.name, p.type, o.id as organization_id, o.uuid as organization_uuid,
    o.name as organization_name, p.default_backend, p.features, p.limits, p.created_at, b.id as default_branch_id,
    p.expires_at, p.disabled, p.settings
  from projects p
  join organizations o on o.id = p.organization_id
  join branches b on b.project_id = p.id and b.is_default`;
const SELECT = sql`${SELECT_ANY} where p.deleted_at is null`;

export async function findProject(db: Db, id: number): Promise<Project | undefined> {
  const row = await db.one<ProjectRow>(sql`${SELECT} and p.id = ${id}`);
  return row && toProject(row);
}

export async function listProjectsOf(db: Db, organizationId: number): Promise<Project[]> {
  return (await db.query<ProjectRow>(sql`${SELECT} and p.organization_id = ${organizationId} order by p.id`)).map(
    toProject,
  );
}

export async function findDeletedProjects(
  db: Db,
  query: { id?: number; organizationId?: number | undefined; name?: string | undefined; limit: number; offset: number },
): Promise<(Project & { deletedAt: Date })[]> {
  const conditions = [sql`p.deleted_at is not null`];
  if (query.id !== undefined) conditions.push(sql`p.id = ${query.id}`);
  if (query.organizationId !== undefined) conditions.push(sql`o.id = ${query.organizationId}`);
  if (query.name !== undefined) conditions.push(sql`position(lower(${query.name}) in lower(p.name)) > 0`);
  const rows = await db.query<ProjectRow & { deleted_at: Date }>(sql`
    select d.*, p.deleted_at from (${SELECT_ANY} where ${sql.join(conditions, sql` and `)}) d
    join projects p on p.id = d.id order by d.id limit ${query.limit} offset ${query.offset}`);
  return rows.map((row) => ({ ...toProject(row), deletedAt: row.deleted_at }));
}

export type ProjectChange = {
  name?: string | undefined;
  type?: string | undefined;
  organizationId?: number | undefined;
  expiresAt?: Date | null | undefined;
  disabled?: DisabledProject | null | undefined;
  /** Those given are set, others stay. */
  settings?: ProjectSettings | undefined;
  limits?: Record<string, number> | undefined;
  removedLimit?: string | undefined;
  features?: string[] | undefined;
  isDeleted?: boolean | undefined;
};

export async function updateProject(db: Db, id: number, change: ProjectChange): Promise<void> {
  const sets: Sql[] = [];
  if (change.name !== undefined) sets.push(sql`name = ${change.name}`);
  if (change.type !== undefined) sets.push(sql`type = ${change.type}`);
  if (change.organizationId !== undefined) sets.push(sql`organization_id = ${change.organizationId}`);
  if (change.expiresAt !== undefined) sets.push(sql`expires_at = ${change.expiresAt}`);
  if (change.disabled !== undefined)
    sets.push(sql`disabled = ${change.disabled === null ? null : JSON.stringify(change.disabled)}`);
  if (change.settings !== undefined) sets.push(sql`settings = settings || ${JSON.stringify(change.settings)}::jsonb`);
  if (change.limits !== undefined) sets.push(sql`limits = limits || ${JSON.stringify(change.limits)}::jsonb`);
  if (change.removedLimit !== undefined) sets.push(sql`limits = limits - ${change.removedLimit}::text`);
  if (change.features !== undefined) sets.push(sql`features = ${change.features}`);
  if (change.isDeleted !== undefined) sets.push(sql`deleted_at = ${change.isDeleted ? sql`now()` : sql`null`}`);
  if (change.isDeleted || change.organizationId !== undefined)
    await db.query(
      sql`update organizations set activity_center_project_id = null where activity_center_project_id = ${id}`,
    );
  if (sets.length > 0) await db.query(sql`update projects set ${sql.join(sets)} where id = ${id}`);
}

/** Who has looked after the project for the longest time. */
export async function findOwner(db: Db, projectId: number): Promise<ProjectOwner | undefined> {
  return db.one<ProjectOwner>(sql`
    select p.id, p.email, p.name, p.password_hash is not null as "hasPassword"
    from project_members m join persons p on p.id = m.person_id
    where m.project_id = ${projectId} and m.role = 'admin' order by m.created_at, p.id limit 1`);
}

export async function listProjects(db: Db, memberId: number | undefined): Promise<Project[]> {
  const member =
    memberId === undefined
      ? sql.empty
      : sql` and exists (select from project_members m where m.project_id = p.id and m.person_id = ${memberId})`;
  return (await db.query<ProjectRow>(sql`${SELECT}${member} order by p.id`)).map(toProject);
}

/** Of a project that still exists. */
export async function findIdOfSlug(db: Db, slug: string): Promise<number | undefined> {
  const row = await db.one<{ id: number }>(sql`select id from projects where slug = ${slug} and deleted_at is null`);
  return row?.id;
}

/** Undefined when the slug is taken, also by a deleted project. */
export async function insertProject(
  db: Db,
  project: { organizationId: number; uuid: string; slug: string; name: string; features: string[] },
): Promise<number | undefined> {
  const row = await db.one<{ id: number }>(sql`
    insert into projects (organization_id, uuid, slug, name, features)
    values (${project.organizationId}, ${project.uuid}, ${project.slug}, ${project.name}, ${project.features})
    on conflict (slug) do nothing returning id`);
  return row?.id;
}

/** The first of slug, slug-2, slug-3 ... that no project has ever had. */
export async function freeSlug(db: Db, slug: string): Promise<string> {
  const row = await db.one<{ slug: string }>(sql`
    select candidate as slug from (
      select n, case when n = 1 then ${slug}::text else ${slug}::text || '-' || n end as candidate
      from generate_series(1, (select count(*) + 1 from projects where slug like ${`${slug}%`})) as n) candidates
    where not exists (select from projects where slug = candidate)
    order by n limit 1`);
  return row?.slug ?? slug;
}

export async function insertMember(db: Db, projectId: number, personId: number, role: ProjectRole): Promise<void> {
  await db.query(sql`
    insert into project_members (project_id, person_id, role) values (${projectId}, ${personId}, ${role})`);
}

type BranchRow = {
  id: number;
  project_id: number;
  name: string;
  description: string;
  is_default: boolean;
  creator_token_id: number | null;
  creator_token_description: string | null;
  created_at: Date;
};

const BRANCH_COLUMNS = sql`id, project_id, name, description, is_default, creator_token_id, creator_token_description, created_at`;

export async function insertBranch(
  db: Db,
  branch: { projectId: number; name: string; isDefault: boolean; description?: string; creator?: Branch['creator'] },
): Promise<Branch> {
  const row = await db.one<BranchRow>(sql`
    insert into branches (project_id, name, description, is_default, creator_token_id, creator_token_description)
    values (${branch.projectId}, ${branch.name}, ${branch.description ?? ''}, ${branch.isDefault},
      ${branch.creator?.id ?? null}, ${branch.creator?.description ?? null})
    returning ${BRANCH_COLUMNS}`);
  if (!row) throw new Error('insert returned no row');
  return toBranch(row);
}

export async function listBranches(db: Db, projectId: number): Promise<Branch[]> {
  const rows = await db.query<BranchRow>(sql`
    select ${BRANCH_COLUMNS} from branches where project_id = ${projectId} and deleted_at is null order by id`);
  return rows.map(toBranch);
}

/** Locked until the transaction ends, so that it is changed or deleted once. */
export async function lockBranch(db: Db, projectId: number, id: number): Promise<Branch | undefined> {
  const row = await db.one<BranchRow>(sql`
    select ${BRANCH_COLUMNS} from branches
    where project_id = ${projectId} and id = ${id} and deleted_at is null for update`);
  return row && toBranch(row);
}

/** Held to the end of the transaction: names of branches are given one after another. */
export async function lockBranchNames(db: Db, projectId: number): Promise<void> {
  await db.query(sql`select from projects where id = ${projectId} for no key update`);
}

export async function updateBranch(db: Db, id: number, change: { name: string; description: string }): Promise<void> {
  await db.query(sql`update branches set name = ${change.name}, description = ${change.description} where id = ${id}`);
}

export async function markBranchDeleted(db: Db, id: number): Promise<void> {
  await db.query(sql`update branches set deleted_at = now() where id = ${id}`);
}

export async function findFirstOrganization(db: Db): Promise<number | undefined> {
  return (await db.one<{ id: number }>(sql`select id from organizations where deleted_at is null order by id limit 1`))
    ?.id;
}

export async function insertPerson(
  db: Db,
  person: { email: string; name: string; passwordHash: string; isSuperAdmin: boolean },
): Promise<number> {
  const row = await db.one<{ id: number }>(sql`
    insert into persons (email, name, password_hash, is_super_admin)
    values (${person.email}, ${person.name}, ${person.passwordHash}, ${person.isSuperAdmin}) returning id`);
  if (!row) throw new Error('insert returned no row');
  return row.id;
}

export async function findFirstAdmin(db: Db): Promise<{ id: number; email: string } | undefined> {
  return db.one<{ id: number; email: string }>(sql`
    select id, email from persons where is_super_admin order by id limit 1`);
}

export async function updatePassword(db: Db, personId: number, passwordHash: string): Promise<void> {
  await db.query(sql`update persons set password_hash = ${passwordHash} where id = ${personId}`);
}

/** Held to the end of the transaction, so that two servers do not both find an empty database. */
export async function lockBootstrap(db: Db): Promise<void> {
  await db.query(sql`select pg_advisory_xact_lock(hashtext('millrace bootstrap'))`);
}

function toProject(row: ProjectRow): Project {
  return {
    id: row.id,
    uuid: row.uuid,
    slug: row.slug,
    name: row.name,
    type: row.type,
    organization: { id: row.organization_id, uuid: row.organization_uuid, name: row.organization_name },
    defaultBackend: row.default_backend,
    features: row.features,
    limits: row.limits,
    createdAt: row.created_at,
    defaultBranchId: row.default_branch_id,
    expiresAt: row.expires_at ?? undefined,
    disabled: row.disabled ?? undefined,
    settings: row.settings,
  };
}

function toBranch(row: BranchRow): Branch {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    description: row.description,
    isDefault: row.is_default,
    creator:
      row.creator_token_id === null
        ? undefined
        : { id: row.creator_token_id, description: row.creator_token_description ?? '' },
    createdAt: row.created_at,
  };
}
