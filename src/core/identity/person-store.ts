import type { Db } from '../../db/database.ts';
import { type Sql, sql } from '../../db/sql.ts';

export type Person = {
  id: number;
  email: string;
  name: string;
  metadata: Record<string, unknown>;
  /** Undefined for one who cannot log in by password. */
  passwordHash: string | undefined;
};

type PersonRow = Omit<Person, 'passwordHash'> & { password_hash: string | null };

const COLUMNS = sql`id, email, name, metadata, password_hash`;

export async function findPerson(db: Db, by: { id: number } | { email: string }): Promise<Person | undefined> {
  const condition = 'id' in by ? sql`id = ${by.id}` : sql`lower(email) = lower(${by.email})`;
  const row = await db.one<PersonRow>(sql`select ${COLUMNS} from persons where ${condition}`);
  if (!row) return undefined;
  const { password_hash: passwordHash, ...person } = row;
  return { ...person, passwordHash: passwordHash ?? undefined };
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
  },
): Promise<boolean> {
  const sets: Sql[] = [];
  const free: Sql[] = [sql`id = ${id}`];
  if (change.name !== undefined) sets.push(sql`name = ${change.name}`);
  if (change.metadata !== undefined) sets.push(sql`metadata = ${JSON.stringify(change.metadata)}`);
  if (change.passwordHash !== undefined) sets.push(sql`password_hash = ${change.passwordHash}`);
  if (change.email !== undefined) {
    sets.push(sql`email = ${change.email}`);
    free.push(sql`not exists (select from persons o where lower(o.email) = lower(${change.email}) and o.id <> ${id})`);
  }
  const rows = await db.query(
    sql`update persons set ${sql.join(sets)} where ${sql.join(free, sql` and `)} returning id`,
  );
  return rows.length > 0;
}
