import type { Db } from '../../db/database.ts';
import { type Sql, sql } from '../../db/sql.ts';

export type Person = {
  id: number;
  email: string;
  name: string;
  metadata: Record<string, unknown>;
  /** Undefined for one who cannot log in by password. */
  passwordHash: string | undefined;
  isSuperAdmin: boolean;
  features: string[];
};

type PersonRow = Omit<Person, 'passwordHash'> & { password_hash: string | null };

const COLUMNS = sql`id, email, name, metadata, password_hash, is_super_admin as "isSuperAdmin", features`;

export async function findPerson(db: Db, by: { id: number } | { email: string }): Promise<Person | undefined> {
  const condition = 'id' in by ? sql`id = ${by.id}` : sql`lower(email) = lower(${by.email})`;
  const row = await db.one<PersonRow>(sql`select ${COLUMNS} from persons where ${condition} and deleted_at is null`);
  return row && toPerson(row);
}

function toPerson({ password_hash: passwordHash, ...person }: PersonRow): Person {
  return { ...person, passwordHash: passwordHash ?? undefined };
}

/** Those whose name or address has the text in it. */
export async function listPersons(
  db: Db,
  { limit, offset, text }: { limit: number; offset: number; text?: string | undefined },
): Promise<Person[]> {
  const isLike =
    text === undefined
      ? sql.empty
      : sql`and (position(lower(${text}) in lower(email)) > 0 or position(lower(${text}) in lower(name)) > 0)`;
  const rows = await db.query<PersonRow>(
    sql`select ${COLUMNS} from persons where deleted_at is null ${isLike} order by id limit ${limit} offset ${offset}`,
  );
  return rows.map(toPerson);
}

/** The person with that address, made when there is none: without a password, so that nobody gets in by it yet. */
export async function ensurePerson(db: Db, email: string, name = email): Promise<number> {
  const [made] = await db.query<{ id: number }>(sql`
    insert into persons (email, name) values (${email}, ${name || email})
    on conflict (lower(email)) do nothing returning id`);
  const id = made?.id ?? (await findPerson(db, { email }))?.id;
  if (id === undefined) throw new Error('a person is neither there nor made');
  return id;
}

/** In how many maintainers and organizations there is nobody else. */
export async function countSoleMemberships(db: Db, personId: number): Promise<number> {
  const row = await db.one<{ count: number }>(sql`
    select (select count(*) from maintainer_members m where m.person_id = ${personId} and not exists (
        select from maintainer_members o where o.maintainer_id = m.maintainer_id and o.person_id <> m.person_id))
      + (select count(*) from organization_members m join organizations g on g.id = m.organization_id
        where m.person_id = ${personId} and g.deleted_at is null and not exists (
        select from organization_members o where o.organization_id = m.organization_id and o.person_id <> m.person_id))
      as count`);
  return Number(row?.count ?? 0);
}

/** The row stays, for all that names it. */
export async function blankPerson(db: Db, id: number): Promise<void> {
  await db.query(sql`delete from tokens where person_id = ${id}`);
  await db.query(sql`delete from pending_memberships where person_id = ${id} or creator_id = ${id}`);
  for (const table of ['maintainer_members', 'organization_members', 'project_members'])
    await db.query(sql`delete from ${sql.name(table)} where person_id = ${id}`);
  await db.query(sql`
    update persons set email = 'DELETED ' || id, name = 'DELETED', password_hash = null, is_super_admin = false,
      features = '{}', metadata = '{}', deleted_at = now() where id = ${id}`);
}

/** False when the email is another person's. */
export async function updatePerson(
  db: Db,
  id: number,
  change: {
    name?: string | undefined;
    email?: string | undefined;
    metadata?: Record<string, unknown> | undefined;
    passwordHash?: string | undefined;
    isSuperAdmin?: boolean | undefined;
    features?: string[] | undefined;
  },
): Promise<boolean> {
  const sets: Sql[] = [];
  const free: Sql[] = [sql`id = ${id}`];
  if (change.name !== undefined) sets.push(sql`name = ${change.name}`);
  if (change.metadata !== undefined) sets.push(sql`metadata = ${JSON.stringify(change.metadata)}`);
  if (change.passwordHash !== undefined) sets.push(sql`password_hash = ${change.passwordHash}`);
  if (change.isSuperAdmin !== undefined) sets.push(sql`is_super_admin = ${change.isSuperAdmin}`);
  if (change.features !== undefined) sets.push(sql`features = ${change.features}`);
  if (change.email !== undefined) {
    sets.push(sql`email = ${change.email}`);
    free.push(sql`not exists (select from persons o where lower(o.email) = lower(${change.email}) and o.id <> ${id})`);
  }
  const rows = await db.query(
    sql`update persons set ${sql.join(sets)} where ${sql.join(free, sql` and `)} returning id`,
  );
  return rows.length > 0;
}
