import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';

const CHECK = 'data-key.check';

/** Keeps the check value unless there is one, and answers the one that is kept. */
export async function ensureKeyCheck(db: Db, cipher: string): Promise<string> {
  await db.query(sql`
    insert into settings (key, value) values (${CHECK}, ${JSON.stringify({ cipher })}::jsonb)
    on conflict (key) do nothing`);
  const row = await db.one<{ cipher: string }>(
    sql`select value->>'cipher' as cipher from settings where key = ${CHECK}`,
  );
  return row?.cipher ?? cipher;
}
