import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';

/**
 * Whether a job that changes the table has been at it for a while. It would have to begin again if the files under it
 * were replaced now, and that is worth more than the compaction.
 */
export async function isLoadUnderway(
  db: Db,
  projectId: number,
  lockKey: string,
  olderThanMs: number,
): Promise<boolean> {
  const row = await db.one<{ found: boolean }>(sql`
    select exists (select from jobs where project_id = ${projectId} and lock_key = ${lockKey}
      and status in ('running', 'stopping')
      and started_at < clock_timestamp() - make_interval(secs => ${olderThanMs / 1000})) as found`);
  return row?.found ?? false;
}
