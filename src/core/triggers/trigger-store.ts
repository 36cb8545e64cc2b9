import type { Db } from '../../db/database.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { Trigger, TriggerFilter } from './trigger-model.ts';

type TriggerRow = {
  id: number;
  project_id: number;
  branch_id: number;
  component_id: string;
  configuration_id: string;
  cool_down_minutes: number;
  table_ids: string[];
  run_with_token_id: number;
  creator_token_id: number;
  creator_token_description: string;
  is_enabled: boolean;
  due_at: Date | null;
  last_run_at: Date | null;
  last_job_id: number | null;
  problem: string | null;
  created_at: Date;
};

const COLUMNS = sql`t.id, t.project_id, t.branch_id, t.component_id, t.configuration_id, t.cool_down_minutes,
  t.run_with_token_id, t.creator_token_id, t.creator_token_description, t.is_enabled, t.due_at, t.last_run_at,
  t.last_job_id, t.problem, t.created_at,
  (select coalesce(array_agg(w.table_id order by w.position), '{}') from trigger_tables w
    where w.trigger_id = t.id) as table_ids`;

type Place = { projectId: number; branchId: number };
/** What its owner decides. */
export type TriggerContent = Pick<Trigger, 'target' | 'coolDownMinutes' | 'tableIds' | 'runWithTokenId'>;

export async function insertTrigger(
  db: Db,
  place: Place,
  content: TriggerContent,
  creator: { id: number; description: string },
): Promise<number> {
  const row = await db.one<{ id: number }>(sql`
    insert into triggers (project_id, branch_id, component_id, configuration_id, cool_down_minutes, run_with_token_id,
      creator_token_id, creator_token_description)
    values (${place.projectId}, ${place.branchId}, ${content.target.componentId}, ${content.target.configurationId},
      ${content.coolDownMinutes}, ${content.runWithTokenId}, ${creator.id}, ${creator.description})
    returning id`);
  if (!row) throw new Error('the insert gave no row');
  await setTables(db, row.id, content.tableIds);
  return row.id;
}

/** It is enabled again by that, and a run that is due stays so. */
export async function updateTrigger(db: Db, id: number, content: TriggerContent): Promise<void> {
  await db.query(sql`
    update triggers set component_id = ${content.target.componentId},
      configuration_id = ${content.target.configurationId}, cool_down_minutes = ${content.coolDownMinutes},
      run_with_token_id = ${content.runWithTokenId}, is_enabled = true, problem = null,
      due_at = case when due_at is null then null
        else greatest(now(), last_run_at + make_interval(mins => ${content.coolDownMinutes})) end
    where id = ${id}`);
  await setTables(db, id, content.tableIds);
}

async function setTables(db: Db, id: number, tableIds: string[]): Promise<void> {
  await db.query(sql`delete from trigger_tables where trigger_id = ${id}`);
  await db.query(sql`
    insert into trigger_tables (trigger_id, position, table_id)
    select ${id}, w.position, w.table_id from unnest(${tableIds}::text[]) with ordinality w (table_id, position)`);
}

export async function deleteTrigger(db: Db, id: number): Promise<void> {
  await db.query(sql`delete from triggers where id = ${id}`);
}

/** Locked to the end of the transaction where `lock` is set. */
export async function findTrigger(
  db: Db,
  place: Place,
  id: number,
  options: { lock?: boolean } = {},
): Promise<Trigger | undefined> {
  const row = await db.one<TriggerRow>(sql`
    select ${COLUMNS} from triggers t
    where t.id = ${id} and t.project_id = ${place.projectId} and t.branch_id = ${place.branchId}
    ${options.lock ? sql`for update of t` : sql.empty}`);
  return row && toTrigger(row);
}

export async function listTriggers(
  db: Db,
  place: Place,
  { componentId, configurationId, componentIds }: TriggerFilter & { componentIds?: string[] | undefined },
): Promise<Trigger[]> {
  const where: Sql[] = [sql`t.project_id = ${place.projectId}`, sql`t.branch_id = ${place.branchId}`];
  if (componentId !== undefined) where.push(sql`t.component_id = ${componentId}`);
  if (configurationId !== undefined) where.push(sql`t.configuration_id = ${configurationId}`);
  if (componentIds) where.push(sql`t.component_id = any(${componentIds})`);
  const rows = await db.query<TriggerRow>(
    sql`select ${COLUMNS} from triggers t where ${sql.join(where, sql` and `)} order by t.id`,
  );
  return rows.map(toTrigger);
}

/** Others of the project that count wait for the end of the transaction. */
export async function countTriggers(db: Db, projectId: number): Promise<number> {
  await db.query(sql`select pg_advisory_xact_lock(hashtext('millrace triggers'), ${projectId})`);
  const row = await db.one<{ count: number }>(
    sql`select count(*) as count from triggers where project_id = ${projectId}`,
  );
  return row?.count ?? 0;
}

/** Those of the given tables that are there. */
export async function listKnownTables(
  db: Db,
  place: { projectId: number; storageBranchId: number },
  tableIds: string[],
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    select id from tables where project_id = ${place.projectId} and branch_id = ${place.storageBranchId}
      and id = any(${tableIds})`);
  return rows.map(({ id }) => id);
}

/** Keeps the token from being deleted to the end of the transaction. */
export async function lockToken(db: Db, projectId: number, tokenId: number): Promise<void> {
  await db.query(sql`select from tokens where id = ${tokenId} and project_id = ${projectId} for key share`);
}

export type ChangedTable = { projectId: number; branchId: number; tableId: string };

/** Makes those due that wait for one of the tables; one that is due already has it in its next run. */
export async function makeDue(db: Db, changed: ChangedTable[], now: Date): Promise<void> {
  await db.query(sql`
    update triggers t
    set due_at = greatest(${now}::timestamptz, t.last_run_at + make_interval(mins => t.cool_down_minutes))
    where t.is_enabled and t.due_at is null and t.id in (
      select w.trigger_id
      from unnest(${changed.map(({ projectId }) => projectId)}::integer[],
        ${changed.map(({ branchId }) => branchId)}::bigint[],
        ${changed.map(({ tableId }) => tableId)}::text[]) c (project_id, branch_id, table_id)
      join trigger_tables w on w.table_id = c.table_id
      join triggers o on o.id = w.trigger_id and o.project_id = c.project_id and o.branch_id = c.branch_id)`);
}

/** One that is due and that nobody else has in hand, kept so to the end of the transaction. */
export async function claimDue(db: Db, now: Date): Promise<Trigger | undefined> {
  const row = await db.one<TriggerRow>(sql`
    select ${COLUMNS} from triggers t where t.due_at <= ${now}
    order by t.due_at, t.id limit 1 for update of t skip locked`);
  return row && toTrigger(row);
}

/** The same one again, unless somebody else has moved it on. */
export async function claimAgain(db: Db, { id, dueAt }: Trigger): Promise<Trigger | undefined> {
  const row = await db.one<TriggerRow>(
    sql`select ${COLUMNS} from triggers t where t.id = ${id} and t.due_at = ${dueAt} for update of t skip locked`,
  );
  return row && toTrigger(row);
}

/** When the next one is due, whoever has it. */
export async function findNextDue(db: Db): Promise<Date | undefined> {
  const row = await db.one<{ next: Date | null }>(
    sql`select min(due_at) as next from triggers where due_at is not null`,
  );
  return row?.next ?? undefined;
}

export async function setStarted(db: Db, id: number, at: Date, jobId: number): Promise<void> {
  await db.query(
    sql`update triggers set due_at = null, last_run_at = ${at}, last_job_id = ${jobId}, problem = null where id = ${id}`,
  );
}

export async function setNotStarted(
  db: Db,
  id: number,
  next: { dueAt: Date | undefined; problem: string | undefined; isEnabled: boolean },
): Promise<void> {
  await db.query(sql`
    update triggers set due_at = ${next.dueAt ?? null}, problem = ${next.problem ?? null}, is_enabled = ${next.isEnabled}
    where id = ${id}`);
}

/** Tells those who look for what is due, in all processes, that it may be earlier than they think. */
export async function notifyTriggers(db: Db): Promise<void> {
  await db.query(sql`select pg_notify('triggers', '')`);
}

function toTrigger(row: TriggerRow): Trigger {
  return {
    id: row.id,
    projectId: row.project_id,
    branchId: row.branch_id,
    target: { componentId: row.component_id, configurationId: row.configuration_id },
    coolDownMinutes: row.cool_down_minutes,
    tableIds: row.table_ids,
    runWithTokenId: row.run_with_token_id,
    creator: { id: row.creator_token_id, description: row.creator_token_description },
    isEnabled: row.is_enabled,
    dueAt: row.due_at ?? undefined,
    lastRunAt: row.last_run_at ?? undefined,
    lastJobId: row.last_job_id ?? undefined,
    problem: row.problem ?? undefined,
    createdAt: row.created_at,
  };
}
