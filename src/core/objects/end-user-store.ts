import type { Db } from '../../db/database.ts';
import { inListOrder, keysetToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { KeysetPage } from '../../lib/filter.ts';

export type EndUser = {
  id: number;
  projectId: number;
  username: string;
  /** Its object in the class of profiles. */
  profileId: number;
  /** In ascending order. */
  groupIds: number[];
};

/** With what nobody outside of the operations sees. */
export type EndUserRecord = EndUser & { passwordHash: string; keyCipher: string };

const COLUMNS = sql`id, project_id as "projectId", username, profile_id as "profileId", password_hash as "passwordHash",
  key_cipher as "keyCipher",
  array(select group_id from end_user_group_members m where m.user_id = end_users.id order by group_id) as "groupIds"`;

export async function findEndUser(
  db: Db,
  projectId: number,
  by: { id: number } | { username: string } | { keyHash: Buffer },
): Promise<EndUserRecord | undefined> {
  const condition =
    'id' in by ? sql`id = ${by.id}` : 'username' in by ? sql`username = ${by.username}` : sql`key_hash = ${by.keyHash}`;
  return db.one<EndUserRecord>(sql`select ${COLUMNS} from end_users where project_id = ${projectId} and ${condition}`);
}

export async function listEndUsers(
  db: Db,
  projectId: number,
  page: KeysetPage<number> & { only?: number | undefined },
): Promise<EndUserRecord[]> {
  const keyset = keysetToSql(sql`id`, page);
  const where: Sql[] = [sql`project_id = ${projectId}`, ...keyset.where];
  if (page.only !== undefined) where.push(sql`id = ${page.only}`);
  const users = await db.query<EndUserRecord>(sql`
    select ${COLUMNS} from end_users where ${sql.join(where, sql` and `)}
    order by ${keyset.order} limit ${page.limit}`);
  return inListOrder(users, page);
}

export async function countEndUsers(db: Db, projectId: number): Promise<number> {
  const row = await db.one<{ count: number }>(
    sql`select count(*) as count from end_users where project_id = ${projectId}`,
  );
  return row?.count ?? 0;
}

/** Taken before the insert, because the profile names its owner. */
export async function nextEndUserId(db: Db): Promise<number> {
  const row = await db.one<{ id: number }>(sql`select nextval(pg_get_serial_sequence('end_users', 'id')) as id`);
  if (!row) throw new Error('sequence gave no value');
  return row.id;
}

/** False when the name is taken. */
export async function insertEndUser(db: Db, user: EndUserRecord & { keyHash: Buffer }): Promise<boolean> {
  const rows = await db.query(sql`
    insert into end_users (id, project_id, username, password_hash, key_hash, key_cipher, profile_id)
    overriding system value
    values (${user.id}, ${user.projectId}, ${user.username}, ${user.passwordHash}, ${user.keyHash}, ${user.keyCipher},
      ${user.profileId})
    on conflict on constraint end_users_name_unique do nothing returning id`);
  return rows.length > 0;
}

/** False when the name is taken by another. */
export async function updateEndUser(
  db: Db,
  id: number,
  change: {
    username?: string | undefined;
    passwordHash?: string | undefined;
    key?: { hash: Buffer; cipher: string } | undefined;
  },
): Promise<boolean> {
  const sets: Sql[] = [sql`updated_at = now()`];
  const free: Sql[] = [sql`id = ${id}`];
  if (change.username !== undefined) {
    sets.push(sql`username = ${change.username}`);
    free.push(sql`not exists (select from end_users other where other.project_id = end_users.project_id
      and other.username = ${change.username} and other.id <> ${id})`);
  }
  if (change.passwordHash !== undefined) sets.push(sql`password_hash = ${change.passwordHash}`);
  if (change.key) sets.push(sql`key_hash = ${change.key.hash}, key_cipher = ${change.key.cipher}`);
  const rows = await db.query(
    sql`update end_users set ${sql.join(sets)} where ${sql.join(free, sql` and `)} returning id`,
  );
  return rows.length > 0;
}

export async function deleteEndUser(db: Db, id: number): Promise<void> {
  await db.query(sql`delete from end_users where id = ${id}`);
}

export async function knownUserIds(db: Db, projectId: number, ids: readonly number[]): Promise<number[]> {
  const rows = await db.query<{ id: number }>(
    sql`select id from end_users where project_id = ${projectId} and id = any(${ids}::bigint[])`,
  );
  return rows.map(({ id }) => id);
}

/** Tells every process that what it remembers of end users may be wrong. */
export async function notifyEndUsers(db: Db): Promise<void> {
  await db.query(sql`select pg_notify('end_users', '')`);
}
