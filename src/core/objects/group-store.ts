import type { Db } from '../../db/database.ts';
import { inListOrder, keysetToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import { tableOf } from './class-store.ts';

export type Group = { id: number; name: string | null; label: string; description: string };

const COLUMNS = sql`id, name, label, description`;

export async function findGroup(db: Db, projectId: number, id: number): Promise<Group | undefined> {
  return db.one<Group>(sql`select ${COLUMNS} from end_user_groups where project_id = ${projectId} and id = ${id}`);
}

/** With `ids`, only those of them. */
export async function listGroups(
  db: Db,
  projectId: number,
  page: KeysetPage<number> & { ids?: readonly number[] | undefined },
): Promise<Group[]> {
  const keyset = keysetToSql(sql`id`, page);
  const where: Sql[] = [sql`project_id = ${projectId}`, ...keyset.where];
  if (page.ids) where.push(sql`id = any(${page.ids}::bigint[])`);
  const groups = await db.query<Group>(sql`
    select ${COLUMNS} from end_user_groups where ${sql.join(where, sql` and `)}
    order by ${keyset.order} limit ${page.limit}`);
  return inListOrder(groups, page);
}

/** Undefined when the name is taken. */
export async function insertGroup(db: Db, projectId: number, group: Omit<Group, 'id'>): Promise<Group | undefined> {
  return db.one<Group>(sql`
    insert into end_user_groups (project_id, name, label, description)
    values (${projectId}, ${group.name}, ${group.label}, ${group.description})
    on conflict on constraint end_user_groups_name_unique do nothing returning ${COLUMNS}`);
}

/** Undefined when the name is another's. */
export async function updateGroup(db: Db, { id, name, label, description }: Group): Promise<Group | undefined> {
  return db.one<Group>(sql`
    update end_user_groups g set name = ${name}, label = ${label}, description = ${description}
    where id = ${id} and not exists (
      select from end_user_groups o where o.project_id = g.project_id and o.name = ${name} and o.id <> g.id)
    returning ${COLUMNS}`);
}

export async function deleteGroup(db: Db, id: number): Promise<void> {
  await db.query(sql`delete from end_user_groups where id = ${id}`);
}

/** Members by their ids. */
export async function listMembers(db: Db, groupId: number, page: KeysetPage<number>): Promise<number[]> {
  const keyset = keysetToSql(sql`user_id`, page);
  const rows = await db.query<{ id: number }>(sql`
    select user_id as id from end_user_group_members
    where ${sql.join([sql`group_id = ${groupId}`, ...keyset.where], sql` and `)}
    order by ${keyset.order} limit ${page.limit}`);
  return inListOrder(rows, page).map(({ id }) => id);
}

/** False when the user is a member already. */
export async function insertMember(db: Db, groupId: number, userId: number): Promise<boolean> {
  const rows = await db.query(sql`
    insert into end_user_group_members (group_id, user_id) values (${groupId}, ${userId})
    on conflict do nothing returning user_id`);
  return rows.length > 0;
}

export async function deleteMember(db: Db, groupId: number, userId: number): Promise<boolean> {
  const rows = await db.query(sql`
    delete from end_user_group_members where group_id = ${groupId} and user_id = ${userId} returning user_id`);
  return rows.length > 0;
}

/** Nobody else changes the user's memberships until the end of the transaction. */
export async function lockMembershipsOf(db: Db, userId: number): Promise<number[]> {
  await db.query(sql`select from end_users where id = ${userId} for no key update`);
  return (await groupIdsOf(db, [userId])).get(userId) ?? [];
}

/** The groups of each user. */
export async function groupIdsOf(db: Db, userIds: readonly number[]): Promise<Map<number, number[]>> {
  const rows = await db.query<{ user_id: number; group_id: number }>(sql`
    select user_id, group_id from end_user_group_members where user_id = any(${userIds}::bigint[])
    order by user_id, group_id`);
  const groups = new Map<number, number[]>();
  for (const { user_id: userId, group_id: groupId } of rows)
    groups.set(userId, [...(groups.get(userId) ?? []), groupId]);
  return groups;
}

/** Classes of the group belong to none any more. */
export async function ungroupClasses(db: Db, projectId: number, groupId: number): Promise<void> {
  await db.query(sql`
    update object_classes set group_id = null where project_id = ${projectId} and group_id = ${groupId}`);
}

/** The same for objects; their documents say it too, before anything that a field could hold. */
export async function ungroupObjects(db: Db, classId: number, groupId: number): Promise<void> {
  await db.query(sql`
    update ${tableOf(classId)} set group_id = null, revision = revision + 1, updated_at = now(),
      document = regexp_replace(regexp_replace(document::text,
        '"revision"\\s*:\\s*\\d+', '"revision":' || (revision + 1)),
        '"group"\\s*:\\s*\\d+', '"group":null')::json
    where group_id = ${groupId}`);
}
