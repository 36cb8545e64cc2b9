import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { EventName } from './event-names.ts';
import type { EventPosition } from './event-store.ts';

/** A new consumer begins with what happens from now on. */
export async function ensureCursor(db: Db, consumer: string): Promise<void> {
  await db.query(sql`
    insert into event_cursors (consumer, xid, id) select ${consumer}, pg_snapshot_xmin(pg_current_snapshot()), 0
    where not exists (select from event_cursors where consumer = ${consumer})
    on conflict do nothing`);
}

/** Undefined while another process has it in hand. */
export async function claimCursor(db: Db, consumer: string): Promise<EventPosition | undefined> {
  return db.one<EventPosition>(
    sql`select xid::text as xid, id from event_cursors where consumer = ${consumer} for update skip locked`,
  );
}

export async function moveCursor(db: Db, consumer: string, to: EventPosition): Promise<void> {
  await db.query(sql`update event_cursors set xid = ${to.xid}::xid8, id = ${to.id} where consumer = ${consumer}`);
}

/**
 * What comes next in the log, over all projects, as far as it is complete: below the oldest transaction that is still
 * under way nothing can appear any more.
 */
export async function readLog(
  db: Db,
  after: EventPosition,
  limit: number,
): Promise<(EventPosition & { name: EventName })[]> {
  return db.query(sql`
    select xid::text as xid, id, name from events
    where (xid, id) > (${after.xid}::xid8, ${after.id}) and xid < pg_snapshot_xmin(pg_current_snapshot())
    order by xid, id limit ${limit}`);
}

/** Whether there is anything after what some consumer has done, complete or not. */
export async function hasNews(db: Db): Promise<boolean> {
  const row = await db.one<{ found: boolean }>(sql`
    select exists (
      select from event_cursors c cross join lateral (
        select from events e where (e.xid, e.id) > (c.xid, c.id) order by e.xid, e.id limit 1) next) as found`);
  return row?.found ?? false;
}
