import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { ProjectRole } from '../identity/actor.ts';
import type { Group, Member, PendingMembership, PersonName } from './organization-model.ts';

const table = ({ scope }: Group) => sql.name(`${scope}_members`);
const key = ({ scope }: Group) => sql.name(`${scope}_id`);

type MemberRow = {
  id: number;
  name: string;
  email: string;
  features: string[];
  created_at: Date;
  invitor: PersonName | null;
  approver: PersonName | null;
  role: ProjectRole | null;
  reason: string | null;
  expires_at: Date | null;
};

const person = (alias: string) =>
  sql`case when ${sql.name(alias, 'id')} is not null then jsonb_build_object('id', ${sql.name(alias, 'id')},
    'name', ${sql.name(alias, 'name')}, 'email', ${sql.name(alias, 'email')}) end`;

export async function listMembers(db: Db, group: Group): Promise<Member[]> {
  const isProject = group.scope === 'project';
  const rows = await db.query<MemberRow>(sql`
    select p.id, p.name, p.email, p.features, m.created_at, ${person('i')} as invitor,
      ${isProject ? person('a') : sql`null`} as approver,
      ${isProject ? sql`m.role, m.reason, m.expires_at` : sql`null as role, null as reason, null as expires_at`}
    from ${table(group)} m
    join persons p on p.id = m.person_id
    left join persons i on i.id = m.invitor_id
    ${isProject ? sql`left join persons a on a.id = m.approver_id` : sql.empty}
    where m.${key(group)} = ${group.id}
      ${isProject ? sql`and (m.expires_at is null or m.expires_at > now())` : sql.empty}
    order by p.id`);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    email: row.email,
    features: row.features,
    createdAt: row.created_at,
    invitor: row.invitor ?? undefined,
    approver: row.approver ?? undefined,
    role: row.role ?? 'admin',
    reason: row.reason ?? undefined,
    expiresAt: row.expires_at ?? undefined,
  }));
}

/** Everybody in at least one project of an organization. */
export async function listProjectsUsers(
  db: Db,
  organizationId: number,
): Promise<(PersonName & { features: string[] })[]> {
  return db.query<PersonName & { features: string[] }>(sql`
    select distinct p.id, p.name, p.email, p.features from persons p
    join project_members m on m.person_id = p.id and (m.expires_at is null or m.expires_at > now())
    join projects r on r.id = m.project_id
    where r.organization_id = ${organizationId} and r.deleted_at is null order by p.id`);
}

export type NewMember = {
  personId: number;
  invitorId?: number | undefined;
  approverId?: number | undefined;
  role?: ProjectRole | undefined;
  reason?: string | undefined;
  expiresAt?: Date | undefined;
};

/** False when he is one already. A membership that has ended is replaced. */
export async function insertMember(db: Db, group: Group, member: NewMember): Promise<boolean> {
  const { personId, invitorId = null } = member;
  const rows =
    group.scope === 'project'
      ? await db.query(sql`
        insert into project_members as m (project_id, person_id, role, invitor_id, approver_id, reason, expires_at)
        values (${group.id}, ${personId}, ${member.role ?? 'admin'}, ${invitorId}, ${member.approverId ?? null},
          ${member.reason ?? null}, ${member.expiresAt ?? null})
        on conflict (project_id, person_id) do update set role = excluded.role, invitor_id = excluded.invitor_id,
          approver_id = excluded.approver_id, reason = excluded.reason, expires_at = excluded.expires_at,
          created_at = now()
        where m.expires_at <= now() returning person_id`)
      : await db.query(sql`
        insert into ${table(group)} (${key(group)}, person_id, invitor_id)
        values (${group.id}, ${personId}, ${invitorId}) on conflict do nothing returning person_id`);
  return rows.length > 0;
}

export async function updateMemberRole(
  db: Db,
  projectId: number,
  personId: number,
  role: ProjectRole,
): Promise<boolean> {
  const rows = await db.query(sql`
    update project_members set role = ${role}
    where project_id = ${projectId} and person_id = ${personId} and (expires_at is null or expires_at > now())
    returning person_id`);
  return rows.length > 0;
}

/** With the person's own credentials in a project: they are worth nothing without the membership. */
export async function deleteMember(db: Db, group: Group, personId: number): Promise<boolean> {
  const rows = await db.query(sql`
    delete from ${table(group)} where ${key(group)} = ${group.id} and person_id = ${personId} returning person_id`);
  if (group.scope === 'project')
    await db.query(sql`delete from tokens where project_id = ${group.id} and person_id = ${personId}`);
  return rows.length > 0;
}

/** Held to the end of the transaction, so that two do not leave at once and nobody stays. */
export async function lockMembers(db: Db, group: Group): Promise<number> {
  const rows = await db.query(
    sql`select person_id from ${table(group)} where ${key(group)} = ${group.id} order by person_id for update`,
  );
  return rows.length;
}

type PendingRow = {
  id: number;
  kind: PendingMembership['kind'];
  scope: Group['scope'];
  target_id: number;
  target_name: string | null;
  person: PersonName;
  creator: PersonName;
  role: ProjectRole | null;
  reason: string | null;
  expires_at: Date | null;
  created_at: Date;
};

export type PendingQuery = {
  kind: PendingMembership['kind'];
  scope: Group['scope'];
  groupId?: number | undefined;
  personId?: number | undefined;
  id?: number | undefined;
};

/** Those that still count: not expired, and of a group that is still there. */
export async function listPending(db: Db, query: PendingQuery): Promise<PendingMembership[]> {
  const conditions = [
    sql`w.kind = ${query.kind}`,
    sql`w.scope = ${query.scope}`,
    sql`(w.expires_at is null or w.expires_at > now())`,
  ];
  if (query.groupId !== undefined) conditions.push(sql`w.target_id = ${query.groupId}`);
  if (query.personId !== undefined) conditions.push(sql`w.person_id = ${query.personId}`);
  if (query.id !== undefined) conditions.push(sql`w.id = ${query.id}`);
  const isAlive = query.scope === 'maintainer' ? sql.empty : sql`and g.deleted_at is null`;
  const rows = await db.query<PendingRow>(sql`
    select w.id, w.kind, w.scope, w.target_id, g.name as target_name, ${person('p')} as person,
      ${person('c')} as creator, w.role, w.reason, w.expires_at, w.created_at
    from pending_memberships w
    join persons p on p.id = w.person_id
    join persons c on c.id = w.creator_id
    join ${sql.name(`${query.scope}s`)} g on g.id = w.target_id ${isAlive}
    where ${sql.join(conditions, sql` and `)} order by w.id`);
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    group: { scope: row.scope, id: row.target_id, name: row.target_name ?? '' },
    person: row.person,
    creator: row.creator,
    role: row.role ?? 'admin',
    reason: row.reason ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    createdAt: row.created_at,
  }));
}

/** The kind of what waits already, when there is something; else the new one's id. */
export async function insertPending(
  db: Db,
  pending: NewMember & { kind: PendingMembership['kind']; group: Group; creatorId: number },
): Promise<{ id: number } | { waiting: PendingMembership['kind'] }> {
  const { kind, group, personId, creatorId, role, reason, expiresAt } = pending;
  const [made] = await db.query<{ id: number }>(sql`
    insert into pending_memberships as w (kind, scope, target_id, person_id, creator_id, role, reason, expires_at)
    values (${kind}, ${group.scope}, ${group.id}, ${personId}, ${creatorId}, ${role ?? null}, ${reason ?? null},
      ${expiresAt ?? null})
    on conflict (scope, target_id, person_id) do update set kind = excluded.kind, creator_id = excluded.creator_id,
      role = excluded.role, reason = excluded.reason, expires_at = excluded.expires_at, created_at = now()
    where w.expires_at <= now() returning id`);
  if (made) return made;
  const row = await db.one<{ kind: PendingMembership['kind'] }>(sql`
    select kind from pending_memberships
    where scope = ${group.scope} and target_id = ${group.id} and person_id = ${personId}`);
  return { waiting: row?.kind ?? kind };
}

/** By id, or whatever a person has waiting in a group. */
export async function deletePending(db: Db, by: { id: number } | { group: Group; personId: number }): Promise<boolean> {
  const condition =
    'id' in by
      ? sql`id = ${by.id}`
      : sql`scope = ${by.group.scope} and target_id = ${by.group.id} and person_id = ${by.personId}`;
  return (await db.query(sql`delete from pending_memberships where ${condition} returning id`)).length > 0;
}

export async function deletePendingOf(db: Db, group: Group): Promise<void> {
  await db.query(sql`delete from pending_memberships where scope = ${group.scope} and target_id = ${group.id}`);
}
