import type { Db } from '../../db/database.ts';
import { inListOrder, keysetToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import type { Schedule, ScheduleDefinition, ScheduleFilter, ScheduleInput } from './schedule-model.ts';
import type { Recurrence } from './schedule-times.ts';

type ScheduleRow = {
  id: number;
  project_id: number;
  branch_id: number;
  name: string;
  description: string;
  component_id: string;
  configuration_id: string;
  input: ScheduleInput;
  definition_component_id: string | null;
  definition_configuration_id: string | null;
  definition_version: number | null;
  cron: string | null;
  interval_seconds: number | null;
  timezone: string;
  is_enabled: boolean;
  token_id: number;
  token_description: string;
  next_run_at: Date | null;
  last_due_at: Date | null;
  last_job_id: number | null;
  problem: string | null;
  created_at: Date;
  updated_at: Date;
};

const COLUMNS = sql`s.id, s.project_id, s.branch_id, s.name, s.description, s.component_id, s.configuration_id, s.input,
  s.definition_component_id, s.definition_configuration_id, s.definition_version, s.cron, s.interval_seconds,
  s.timezone, s.is_enabled, s.token_id, s.token_description, s.next_run_at, s.last_due_at, s.last_job_id, s.problem,
  s.created_at, s.updated_at`;

/** What of a schedule its owner decides, with the owner. */
export type ScheduleContent = Pick<
  Schedule,
  'name' | 'description' | 'target' | 'input' | 'recurrence' | 'isEnabled' | 'token' | 'nextRunAt'
> & { definition: ScheduleDefinition | undefined };

export async function insertSchedule(
  db: Db,
  place: { projectId: number; branchId: number },
  content: ScheduleContent,
): Promise<Schedule> {
  const row = await db.one<ScheduleRow>(sql`
    insert into schedules as s (project_id, branch_id, name, description, component_id, configuration_id, input,
      definition_component_id, definition_configuration_id, definition_version, cron, interval_seconds, timezone,
      is_enabled, token_id, token_description, next_run_at)
    values (${place.projectId}, ${place.branchId}, ${content.name}, ${content.description},
      ${content.target.componentId}, ${content.target.configurationId}, ${JSON.stringify(content.input)},
      ${content.definition?.componentId ?? null}, ${content.definition?.configurationId ?? null},
      ${content.definition?.version ?? null}, ${cronOf(content.recurrence)}, ${secondsOf(content.recurrence)},
      ${content.recurrence.timezone}, ${content.isEnabled}, ${content.token.id}, ${content.token.description},
      ${content.nextRunAt ?? null})
    returning ${COLUMNS}`);
  if (!row) throw new Error('the insert gave no row');
  return toSchedule(row);
}

export async function updateSchedule(db: Db, id: number, content: ScheduleContent): Promise<Schedule> {
  const row = await db.one<ScheduleRow>(sql`
    update schedules as s set name = ${content.name}, description = ${content.description},
      component_id = ${content.target.componentId}, configuration_id = ${content.target.configurationId},
      input = ${JSON.stringify(content.input)}, definition_version = ${content.definition?.version ?? null},
      cron = ${cronOf(content.recurrence)}, interval_seconds = ${secondsOf(content.recurrence)},
      timezone = ${content.recurrence.timezone}, is_enabled = ${content.isEnabled}, token_id = ${content.token.id},
      token_description = ${content.token.description}, next_run_at = ${content.nextRunAt ?? null}, problem = null,
      updated_at = now()
    where s.id = ${id} returning ${COLUMNS}`);
  if (!row) throw new Error('the schedule is not there');
  return toSchedule(row);
}

export async function deleteSchedule(db: Db, id: number): Promise<void> {
  await db.query(sql`delete from schedules where id = ${id}`);
}

/** Locked to the end of the transaction where `lock` is set. */
export async function findSchedule(
  db: Db,
  projectId: number,
  id: number,
  filter: ScheduleFilter & { lock?: boolean } = {},
): Promise<Schedule | undefined> {
  const row = await db.one<ScheduleRow>(sql`
    select ${COLUMNS} from schedules s where s.id = ${id} and ${sql.join(conditions(projectId, filter), sql` and `)}
    ${filter.lock ? sql`for update` : sql.empty}`);
  return row && toSchedule(row);
}

export async function lockByDefinition(
  db: Db,
  branchId: number,
  definition: Pick<ScheduleDefinition, 'componentId' | 'configurationId'>,
): Promise<Schedule | undefined> {
  const row = await db.one<ScheduleRow>(sql`
    select ${COLUMNS} from schedules s
    where s.branch_id = ${branchId} and s.definition_component_id = ${definition.componentId}
      and s.definition_configuration_id = ${definition.configurationId}
    for update`);
  return row && toSchedule(row);
}

export async function listSchedules(
  db: Db,
  projectId: number,
  filter: ScheduleFilter & { componentIds?: string[] | undefined },
  page: KeysetPage<number>,
): Promise<Schedule[]> {
  const keyset = keysetToSql(sql`s.id`, page);
  const where = [...conditions(projectId, filter), ...keyset.where];
  if (filter.componentIds) where.push(sql`s.component_id = any(${filter.componentIds})`);
  const rows = await db.query<ScheduleRow>(sql`
    select ${COLUMNS} from schedules s where ${sql.join(where, sql` and `)} order by ${keyset.order}
    limit ${page.limit}`);
  return inListOrder(rows.map(toSchedule), page);
}

/** How many stand for themselves. Others of the project that count wait for the end of the transaction. */
export async function countOwn(db: Db, projectId: number, componentId: string): Promise<number> {
  await db.query(sql`select pg_advisory_xact_lock(hashtext('millrace schedules'), ${projectId})`);
  const row = await db.one<{ count: number }>(sql`
    select count(*) as count from schedules
    where project_id = ${projectId} and component_id = ${componentId} and definition_component_id is null`);
  return row?.count ?? 0;
}

/** One that is due and that no other scheduler has in its hands, kept so to the end of the transaction. */
export async function claimDue(db: Db, now: Date): Promise<Schedule | undefined> {
  const row = await db.one<ScheduleRow>(sql`
    select ${COLUMNS} from schedules s where s.next_run_at <= ${now}
    order by s.next_run_at, s.id limit 1 for update skip locked`);
  return row && toSchedule(row);
}

/** The same one again, unless somebody else has moved it on. */
export async function claimAgain(db: Db, { id, nextRunAt }: Schedule): Promise<Schedule | undefined> {
  const row = await db.one<ScheduleRow>(sql`
    select ${COLUMNS} from schedules s where s.id = ${id} and s.next_run_at = ${nextRunAt} for update skip locked`);
  return row && toSchedule(row);
}

/** When the next one is due, whoever has it. */
export async function findNextDue(db: Db): Promise<Date | undefined> {
  const row = await db.one<{ next: Date | null }>(
    sql`select min(next_run_at) as next from schedules where next_run_at is not null`,
  );
  return row?.next ?? undefined;
}

/**
 * After a time that was due. Fails when that time has led to a job before. What old times have led to is forgotten:
 * they do not come again, and the jobs themselves know what made them.
 */
export async function moveOn(
  db: Db,
  id: number,
  next: {
    nextRunAt: Date | undefined;
    lastDueAt: Date | undefined;
    jobId?: number | undefined;
    problem: string | undefined;
    isEnabled: boolean;
  },
): Promise<void> {
  await db.query(sql`
    with run as (
      insert into schedule_runs (schedule_id, due_at, job_id)
      select ${id}, ${next.lastDueAt ?? null}, ${next.jobId ?? null}::bigint where ${next.jobId ?? null}::bigint is not null),
      forgotten as (
        delete from schedule_runs
        where schedule_id = ${id} and due_at < ${next.lastDueAt ?? null}::timestamptz - interval '7 days')
    update schedules set next_run_at = ${next.nextRunAt ?? null}, is_enabled = ${next.isEnabled},
      last_due_at = coalesce(${next.lastDueAt ?? null}, last_due_at),
      last_job_id = coalesce(${next.jobId ?? null}, last_job_id), problem = ${next.problem ?? null}
    where id = ${id}`);
}

/** Tells the schedulers of all processes that something may be due earlier than they think. */
export async function notifySchedules(db: Db): Promise<void> {
  await db.query(sql`select pg_notify('schedules', '')`);
}

export type ScheduleCounts = { enabled: number; disabled: number; stopped: number; overdue: number };

/** Over all projects. Overdue: due for longer than `graceSeconds`, so that nobody seems to look. */
export async function countSchedules(db: Db, now: Date, graceSeconds: number): Promise<ScheduleCounts> {
  const row = await db.one<ScheduleCounts>(sql`
    select count(*) filter (where is_enabled) as enabled,
      count(*) filter (where not is_enabled and problem is null) as disabled,
      count(*) filter (where not is_enabled and problem is not null) as stopped,
      count(*) filter (where next_run_at < ${now}::timestamptz - make_interval(secs => ${graceSeconds})) as overdue
    from schedules`);
  return row ?? { enabled: 0, disabled: 0, stopped: 0, overdue: 0 };
}

function conditions(projectId: number, { componentId, configurationId }: ScheduleFilter): Sql[] {
  const where = [sql`s.project_id = ${projectId}`];
  if (componentId !== undefined) where.push(sql`s.component_id = ${componentId}`);
  if (configurationId !== undefined) where.push(sql`s.configuration_id = ${configurationId}`);
  return where;
}

const cronOf = (recurrence: Recurrence) => (recurrence.type === 'cron' ? recurrence.expression : null);
const secondsOf = (recurrence: Recurrence) => (recurrence.type === 'interval' ? recurrence.seconds : null);

function toSchedule(row: ScheduleRow): Schedule {
  const { timezone } = row;
  return {
    id: row.id,
    projectId: row.project_id,
    branchId: row.branch_id,
    name: row.name,
    description: row.description,
    target: { componentId: row.component_id, configurationId: row.configuration_id },
    input: row.input,
    definition:
      row.definition_component_id === null || row.definition_configuration_id === null
        ? undefined
        : {
            componentId: row.definition_component_id,
            configurationId: row.definition_configuration_id,
            version: row.definition_version ?? 0,
          },
    recurrence:
      row.cron === null
        ? { type: 'interval', seconds: row.interval_seconds ?? 0, timezone }
        : { type: 'cron', expression: row.cron, timezone },
    isEnabled: row.is_enabled,
    token: { id: row.token_id, description: row.token_description },
    nextRunAt: row.next_run_at ?? undefined,
    lastDueAt: row.last_due_at ?? undefined,
    lastJobId: row.last_job_id ?? undefined,
    problem: row.problem ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
