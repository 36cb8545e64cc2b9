import type { Db } from '../../db/database.ts';
import { type FilterColumn, filterToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { Event, EventQuery, NewEvent } from './event-model.ts';
import { DISPATCHED_CHANNEL, DISPATCHED_EVENTS, type EventName } from './event-names.ts';

/** Where an event stands in the log; see migrations/0002 for why the id alone would not do. */
export type EventPosition = { xid: string; id: number };

type EventRow = {
  id: number;
  uuid: string;
  project_id: number;
  branch_id: number | null;
  name: EventName;
  component: string;
  type: Event['type'];
  message: string;
  description: string;
  object_type: string | null;
  object_id: string | null;
  object_name: string | null;
  configuration_id: string | null;
  run_id: string | null;
  token_id: number | null;
  token_name: string | null;
  params: Record<string, unknown>;
  results: Record<string, unknown>;
  performance: Record<string, unknown>;
  duration_seconds: number | null;
  remote_address: string | null;
  user_agent: string | null;
  created_at: Date;
};

const COLUMNS = sql`id, uuid, project_id, branch_id, name, component, type, message, description, object_type, object_id,
  object_name, configuration_id, run_id, token_id, token_name, params, results, performance, duration_seconds,
  remote_address, user_agent, created_at`;

export async function insertEvent(db: Db, uuid: string, event: NewEvent): Promise<Event> {
  const isDispatched = (DISPATCHED_EVENTS as readonly EventName[]).includes(event.name);
  const row = await db.one<EventRow>(sql`
    insert into events (uuid, project_id, branch_id, name, component, type, message, description, object_type, object_id,
      object_name, configuration_id, run_id, token_id, token_name, params, results, performance, duration_seconds,
      remote_address, user_agent)
    values (${uuid}, ${event.projectId}, ${event.branchId ?? null}, ${event.name}, ${text(event.component)}, ${event.type},
      ${text(event.message)}, ${text(event.description) ?? ''}, ${event.objectType ?? null}, ${text(event.objectId)},
      ${text(event.objectName)}, ${text(event.configurationId)}, ${text(event.runId)}, ${event.token?.id ?? null},
      ${text(event.token?.name)}, ${json(event.params)}, ${json(event.results)}, ${json(event.performance)},
      ${event.durationSeconds ?? null}, ${text(event.origin?.address)}, ${text(event.origin?.userAgent)})
    returning ${COLUMNS}${isDispatched ? sql`, pg_notify(${DISPATCHED_CHANNEL}, '')` : sql.empty}`);
  if (!row) throw new Error('insert returned no row');
  return toEvent(row);
}

/** PostgreSQL keeps no NUL in texts; what people send may have one. */
function text(value: string | undefined): string | null {
  return value === undefined ? null : value.replaceAll('\0', '\ufffd');
}

function json(value: object | undefined): string {
  return JSON.stringify(value ?? {});
}

export async function findEvent(
  db: Db,
  projectId: number,
  key: { uuid: string } | { id: number },
): Promise<Event | undefined> {
  const by = 'uuid' in key ? sql`uuid = ${key.uuid}` : sql`id = ${key.id}`;
  const row = await db.one<EventRow>(sql`select ${COLUMNS} from events where project_id = ${projectId} and ${by}`);
  return row && toEvent(row);
}

/** By their numbers, over all projects, in the order of the log. */
export async function findEvents(db: Db, ids: number[]): Promise<Event[]> {
  const rows = await db.query<EventRow>(
    sql`select ${COLUMNS} from events where id = any(${ids}::bigint[]) order by xid, id`,
  );
  return rows.map(toEvent);
}

export async function findPosition(
  db: Db,
  projectId: number,
  key: { uuid: string } | { id: number },
): Promise<EventPosition | undefined> {
  const by = 'uuid' in key ? sql`uuid = ${key.uuid}` : sql`id = ${key.id}`;
  return db.one<EventPosition>(sql`select xid::text as xid, id from events where project_id = ${projectId} and ${by}`);
}

export type EventSelection = Omit<EventQuery, 'sinceId' | 'maxId' | 'limit' | 'offset' | 'direction'> & {
  projectId: number;
  after?: EventPosition | undefined;
  before?: EventPosition | undefined;
  limit: number;
  offset: number;
  direction: 'asc' | 'desc';
};

const FILTER_COLUMNS: Record<string, FilterColumn> = {
  event: { column: sql`name`, type: 'text' },
  'token.id': { column: sql`token_id`, type: 'number' },
  objectId: { column: sql`object_id`, type: 'text' },
  objectName: { column: sql`object_name`, type: 'text' },
  objectType: { column: sql`object_type`, type: 'text' },
  idBranch: { column: sql`branch_id`, type: 'number' },
  component: { column: sql`component`, type: 'text' },
  runId: { column: sql`run_id`, type: 'text' },
  configurationId: { column: sql`configuration_id`, type: 'text' },
  type: { column: sql`type`, type: 'text' },
  message: { column: sql`message`, type: 'text' },
};

export async function listEvents(db: Db, query: EventSelection): Promise<Event[]> {
  const where: Sql[] = [sql`project_id = ${query.projectId}`];
  if (query.component !== undefined) where.push(sql`component = ${query.component}`);
  if (query.configurationId !== undefined) where.push(sql`configuration_id = ${query.configurationId}`);
  if (query.runId !== undefined)
    where.push(sql`(run_id = ${query.runId} or (run_id >= ${`${query.runId}.`} and run_id < ${`${query.runId}/`}))`);
  if (query.names !== undefined) where.push(sql`name = any(${query.names})`);
  if (query.excludedNames !== undefined) where.push(sql`name <> all(${query.excludedNames})`);
  if (query.objectType !== undefined) where.push(sql`object_type = ${query.objectType}`);
  if (query.objectId !== undefined) where.push(sql`object_id = ${query.objectId}`);
  if (query.tokenId !== undefined) where.push(sql`token_id = ${query.tokenId}`);
  if (query.branchId !== undefined) where.push(sql`branch_id = ${query.branchId}`);
  if (query.where) where.push(filterToSql(query.where, FILTER_COLUMNS));
  if (query.before) where.push(sql`(xid, id) < (${query.before.xid}::xid8, ${query.before.id})`);
  // Whoever goes on from an event must not be shown anything that may still get company before it.
  if (query.after) {
    where.push(sql`(xid, id) > (${query.after.xid}::xid8, ${query.after.id})`);
    where.push(sql`xid < pg_snapshot_xmin(pg_current_snapshot())`);
  }
  const direction = query.direction === 'asc' ? sql`asc` : sql`desc`;
  const rows = await db.query<EventRow>(sql`
    select ${COLUMNS} from events where ${sql.join(where, sql` and `)}
    order by xid ${direction}, id ${direction} limit ${query.limit} offset ${query.offset}`);
  return rows.map(toEvent);
}

/**
 * After a restore from a dump into another cluster the kept transaction numbers are from a clock that does not exist
 * any more, and may lie in this one's future. Everything restored is complete, so it all moves to the beginning of time,
 * where the id alone decides the order.
 */
export async function rebaseAfterRestore(db: Db): Promise<number> {
  const ahead = await db.one<{ ahead: boolean }>(sql`
    select exists (
      select from projects p cross join lateral (
        select xid from events where project_id = p.id order by xid desc, id desc limit 1) newest
      where newest.xid >= pg_snapshot_xmax(pg_current_snapshot()))
      or exists (select from event_cursors where xid > pg_snapshot_xmax(pg_current_snapshot())) as ahead`);
  if (!ahead?.ahead) return 0;
  // What a consumer has not done yet is still to come in the new order: some of it may come twice, none is left out.
  await db.query(sql`
    update event_cursors c set xid = '3', id = coalesce(
      (select min(e.id) - 1 from events e where (e.xid, e.id) > (c.xid, c.id)), (select max(id) from events), 0)`);
  const rows = await db.query(sql`update events set xid = '3' where xid > '3' returning id`);
  return rows.length;
}

function toEvent(row: EventRow): Event {
  return {
    id: row.id,
    uuid: row.uuid,
    projectId: row.project_id,
    branchId: row.branch_id ?? undefined,
    name: row.name,
    component: row.component,
    type: row.type,
    message: row.message,
    description: row.description,
    objectType: row.object_type ?? undefined,
    objectId: row.object_id ?? undefined,
    objectName: row.object_name ?? undefined,
    configurationId: row.configuration_id ?? undefined,
    runId: row.run_id ?? undefined,
    token: row.token_id === null ? undefined : { id: row.token_id, name: row.token_name ?? '' },
    params: row.params,
    results: row.results,
    performance: row.performance,
    durationSeconds: row.duration_seconds ?? undefined,
    origin: { address: row.remote_address ?? undefined, userAgent: row.user_agent ?? undefined },
    createdAt: row.created_at,
  };
}
