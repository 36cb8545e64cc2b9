import type { Db } from '../../db/database.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { ProjectRole } from '../identity/actor.ts';
import type { Relation } from './access.ts';
import type { Group, Maintainer, Organization, OrganizationPatch } from './organization-model.ts';

export async function findRelation(
  db: Db,
  group: Group,
  personId: number,
): Promise<Omit<Relation, 'group' | 'isSuperAdmin' | 'byScope'> | undefined> {
  const maintainerMember = (id: Sql) =>
    sql`exists (select from maintainer_members x where x.maintainer_id = ${id} and x.person_id = ${personId})`;
  const organizationMember = (id: Sql) =>
    sql`exists (select from organization_members x where x.organization_id = ${id} and x.person_id = ${personId})`;
  const queries: Record<Group['scope'], Sql> = {
    maintainer: sql`
      select ${maintainerMember(sql`m.id`)} as above, false as inside, null as role, true as auto, null as org,
        false as protected
      from maintainers m where m.id = ${group.id}`,
    organization: sql`
      select ${maintainerMember(sql`o.maintainer_id`)} as above, ${organizationMember(sql`o.id`)} as inside,
        null as role, o.allow_auto_join as auto, o.id as org, false as protected
      from organizations o where o.id = ${group.id} and o.deleted_at is null`,
    project: sql`
      select ${maintainerMember(sql`o.maintainer_id`)} as above, ${organizationMember(sql`o.id`)} as inside,
        m.role, o.allow_auto_join as auto, o.id as org, 'protected-default-branch' = any(p.features) as protected
      from projects p join organizations o on o.id = p.organization_id
      left join project_members m on m.project_id = p.id and m.person_id = ${personId}
        and (m.expires_at is null or m.expires_at > now())
      where p.id = ${group.id} and p.deleted_at is null`,
  };
  const row = await db.one<{
    above: boolean;
    inside: boolean;
    role: ProjectRole | null;
    auto: boolean;
    org: number | null;
    protected: boolean;
  }>(queries[group.scope]);
  return (
    row && {
      isMaintainerMember: row.above,
      isOrganizationMember: row.inside,
      role: row.role ?? undefined,
      allowAutoJoin: row.auto,
      organizationId: row.org ?? undefined,
      isProtected: row.protected,
    }
  );
}

/** All of them, or those of one person. */
export async function listMaintainers(db: Db, memberId: number | undefined): Promise<Maintainer[]> {
  const own =
    memberId === undefined
      ? sql.empty
      : sql`where exists (select from maintainer_members x where x.maintainer_id = m.id and x.person_id = ${memberId})`;
  return db.query<Maintainer>(sql`select id, name, created_at as "createdAt" from maintainers m ${own} order by id`);
}

export async function findMaintainer(db: Db, id: number): Promise<Maintainer | undefined> {
  return db.one<Maintainer>(sql`select id, name, created_at as "createdAt" from maintainers where id = ${id}`);
}

export async function findFirstMaintainer(db: Db): Promise<number | undefined> {
  return (await db.one<{ id: number }>(sql`select id from maintainers order by id limit 1`))?.id;
}

export async function insertMaintainer(db: Db, name: string): Promise<number> {
  const [row] = await db.query<{ id: number }>(sql`insert into maintainers (name) values (${name}) returning id`);
  if (!row) throw new Error('insert returned no row');
  return row.id;
}

export async function renameMaintainer(db: Db, id: number, name: string): Promise<void> {
  await db.query(sql`update maintainers set name = ${name} where id = ${id}`);
}

/** Also organizations that were deleted hold it: their projects may come back. */
export async function deleteMaintainer(db: Db, id: number): Promise<boolean> {
  await db.query(sql`select from maintainers where id = ${id} for update`);
  const gone = await db.query(sql`
    delete from maintainers where id = ${id}
      and not exists (select from organizations where maintainer_id = ${id}) returning id`);
  return gone.length > 0;
}

type OrganizationRow = {
  id: number;
  name: string;
  created_at: Date;
  allow_auto_join: boolean;
  crm_id: string;
  activity_center_project_id: number | null;
  maintainer_id: number;
  maintainer_name: string;
  maintainer_created_at: Date;
};

export async function listOrganizations(
  db: Db,
  by: { memberId: number } | { maintainerId: number } | { id: number } | 'all',
): Promise<Organization[]> {
  const conditions = [sql`o.deleted_at is null`];
  if (by !== 'all') {
    if ('id' in by) conditions.push(sql`o.id = ${by.id}`);
    else if ('maintainerId' in by) conditions.push(sql`o.maintainer_id = ${by.maintainerId}`);
    else
      conditions.push(
        sql`exists (select from organization_members x where x.organization_id = o.id and x.person_id = ${by.memberId})`,
      );
  }
  const rows = await db.query<OrganizationRow>(sql`
    select o.id, o.name, o.created_at, o.allow_auto_join, o.crm_id, o.activity_center_project_id, o.maintainer_id,
      m.name as maintainer_name, m.created_at as maintainer_created_at
    from organizations o join maintainers m on m.id = o.maintainer_id
    where ${sql.join(conditions, sql` and `)} order by o.id`);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    createdAt: row.created_at,
    allowAutoJoin: row.allow_auto_join,
    crmId: row.crm_id,
    activityCenterProjectId: row.activity_center_project_id ?? undefined,
    maintainer: { id: row.maintainer_id, name: row.maintainer_name, createdAt: row.maintainer_created_at },
  }));
}

export async function insertOrganization(
  db: Db,
  organization: { uuid: string; name: string; maintainerId: number; crmId?: string },
): Promise<number> {
  const [row] = await db.query<{ id: number }>(sql`
    insert into organizations (uuid, name, maintainer_id, crm_id)
    values (${organization.uuid}, ${organization.name}, ${organization.maintainerId}, ${organization.crmId ?? ''})
    returning id`);
  if (!row) throw new Error('insert returned no row');
  return row.id;
}

export async function updateOrganization(db: Db, id: number, patch: OrganizationPatch): Promise<void> {
  const sets: Sql[] = [];
  if (patch.name !== undefined) sets.push(sql`name = ${patch.name}`);
  if (patch.maintainerId !== undefined) sets.push(sql`maintainer_id = ${patch.maintainerId}`);
  if (patch.allowAutoJoin !== undefined) sets.push(sql`allow_auto_join = ${patch.allowAutoJoin}`);
  if (patch.crmId !== undefined) sets.push(sql`crm_id = ${patch.crmId}`);
  if (patch.activityCenterProjectId !== undefined)
    sets.push(sql`activity_center_project_id = ${patch.activityCenterProjectId}`);
  if (sets.length > 0) await db.query(sql`update organizations set ${sql.join(sets)} where id = ${id}`);
}

/** False while it has projects. Its row stays for the projects that were deleted and may come back. */
export async function deleteOrganization(db: Db, id: number): Promise<boolean> {
  await db.query(sql`select from organizations where id = ${id} for update`);
  const gone = await db.query(sql`
    update organizations o set deleted_at = now() where id = ${id}
      and not exists (select from projects p where p.organization_id = o.id and p.deleted_at is null) returning id`);
  return gone.length > 0;
}

/** Against a project that is made while its organization goes. Undefined: gone. */
export async function lockOrganization(db: Db, id: number): Promise<boolean> {
  const rows = await db.query(sql`select id from organizations where id = ${id} and deleted_at is null for share`);
  return rows.length > 0;
}
