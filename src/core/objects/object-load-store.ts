import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';

export type LoadCounts = { created: number; updated: number; unchanged: number; deleted: number };

/** Far longer than any job is tried again. */
const KEPT = sql`interval '30 days'`;

/**
 * Marks a load as begun; false when it was carried out before. Who finds another at work on the same one waits for its
 * end, and carries it out himself when that one fails.
 */
export async function beginLoad(db: Db, id: string, projectId: number): Promise<boolean> {
  const rows = await db.query(sql`
    insert into object_loads (id, project_id, result) values (${id}, ${projectId}, '{}') on conflict do nothing
    returning id`);
  return rows.length > 0;
}

export async function endLoad(db: Db, id: string, counts: LoadCounts): Promise<void> {
  await db.query(sql`update object_loads set result = ${JSON.stringify(counts)} where id = ${id}`);
}

export async function findLoad(db: Db, id: string): Promise<LoadCounts | undefined> {
  return (await db.one<{ result: LoadCounts }>(sql`select result from object_loads where id = ${id}`))?.result;
}

export async function forgetOldLoads(db: Db): Promise<void> {
  await db.query(sql`delete from object_loads where created_at < now() - ${KEPT}`);
}
