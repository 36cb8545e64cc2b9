import type { Db } from '../../db/database.ts';
import { inListOrder, keysetToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { Json } from '../../lib/json.ts';
import {
  type DateRange,
  isRunLane,
  JOB_KINDS,
  type Job,
  type JobError,
  type JobFilter,
  type JobKind,
  type JobLane,
  type JobMetrics,
  type JobMode,
  type JobPage,
  LEFT_OUT,
  type NewJob,
} from './job-model.ts';
import { FINAL_STATUSES, type JobStatus } from './job-status.ts';

export type JobRow = {
  id: number;
  project_id: number;
  branch_id: number;
  kind: JobKind;
  lane: JobLane;
  status: JobStatus;
  component_id: string | null;
  configuration_id: string | null;
  configuration_row_ids: string[];
  mode: JobMode;
  tag: string | null;
  input: Json;
  result: Json;
  error: JobError | null;
  run_id: string;
  parent_run_id: string;
  object_id: string | null;
  lock_key: string | null;
  dedupe_key: string | null;
  token_id: number;
  token_description: string;
  origin: { address?: string; userAgent?: string };
  created_at: Date;
  available_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  attempt: number;
  failures: number;
  worker_id: string | null;
  claim_token: string | null;
  handle: Json;
  metrics: JobMetrics;
  usage: Json[];
};

/** Table columns for a `jobs` that is called `j`. */
export const JOB_COLUMNS = columnsWith(sql`j.input, j.result`);

function columnsWith(contents: Sql): Sql {
  return sql`j.id, j.project_id, j.branch_id, j.kind, j.lane, j.status, j.component_id,
  j.configuration_id, j.configuration_row_ids, j.mode, j.tag, ${contents}, j.error, j.run_id, j.parent_run_id,
  j.object_id, j.lock_key, j.dedupe_key, j.token_id, j.token_description, j.origin, j.created_at, j.available_at,
  j.started_at, j.finished_at, j.attempt, j.failures, j.worker_id, j.claim_token, j.handle, j.metrics, j.usage`;
}

/**
 * For those who look at jobs: a `created` one that cannot begin because an earlier one with its lock key has not ended
 * is shown as `waiting`. Nothing stores that, so nothing can be out of date.
 */
const SHOWN_STATUS = sql`case when j.status = 'created' and j.lock_key is not null and exists (
    select from jobs e where e.project_id = j.project_id and e.lock_key = j.lock_key and e.id < j.id
      and e.status in ('created', 'waiting', 'running', 'stopping')) then 'waiting' else j.status end`;
const SHOWN_COLUMNS = sql`${JOB_COLUMNS}, ${SHOWN_STATUS} as shown_status`;

/** Without inputs, and with results only up to a length: a page of the longest would fill the memory. */
function briefColumns(longestResult: number): Sql {
  const result = sql`case when octet_length(j.result::text) > ${longestResult} then ${JSON.stringify(LEFT_OUT)}::json
    else j.result end as result`;
  return sql`${columnsWith(sql`'{}'::json as input, ${result}`)}, ${SHOWN_STATUS} as shown_status`;
}

function toShownJob(row: JobRow & { shown_status: JobStatus }): Job {
  return toJob({ ...row, status: row.shown_status });
}

/** As `findJob`, with the status that people are shown. */
export async function findShownJob(db: Db, id: number, projectId: number): Promise<Job | undefined> {
  const row = await db.one<JobRow & { shown_status: JobStatus }>(
    sql`select ${SHOWN_COLUMNS} from jobs j where j.id = ${id} and j.project_id = ${projectId}`,
  );
  return row && toShownJob(row);
}

export type JobOwner = {
  projectId: number;
  branchId: number;
  token: { id: number; description: string };
  origin: { address?: string | undefined; userAgent?: string | undefined };
  /** The run the caller is part of, if any. */
  runId: string | undefined;
};

/** Undefined when the dedupe key is taken. `hint` is notified with the commit: a statement less than on its own. */
export async function insertJob(db: Db, owner: JobOwner, job: NewJob, hint: string): Promise<Job | undefined> {
  const { lane } = JOB_KINDS[job.kind];
  const callerRun = job.parentRunId ?? owner.runId ?? '';
  // A component job opens a run of its own below the caller's; a storage job is a step of the caller's run.
  const runs = isRunLane(lane)
    ? sql`case when ${callerRun} = '' then id::text else ${callerRun} || '.' || id end, ${callerRun}`
    : sql`case when ${callerRun} = '' then id::text else ${callerRun} end,
          case when ${callerRun} like '%.%' then regexp_replace(${callerRun}, '\\.[^.]*$', '') else '' end`;
  const row = await db.one<JobRow>(sql`
    with made as (insert into jobs (id, project_id, branch_id, kind, lane, component_id, configuration_id, configuration_row_ids,
      mode, tag, input, run_id, parent_run_id, object_id, lock_key, dedupe_key, token_id, token_description, origin,
      available_at)
    select id, ${owner.projectId}, ${owner.branchId}, ${job.kind}, ${lane}, ${job.componentId ?? null},
      ${job.configurationId ?? null}, ${job.configurationRowIds ?? []}, ${job.mode ?? 'run'}, ${job.tag ?? null},
      ${JSON.stringify(job.input ?? {})}, ${runs}, ${job.objectId ?? null}, ${job.lockKey ?? null},
      ${job.dedupeKey ?? null}, ${owner.token.id}, ${owner.token.description}, ${JSON.stringify(owner.origin)},
      coalesce(${job.availableAt ?? null}, now())
    from (select coalesce(${job.id ?? null}::bigint, nextval('object_id')) as id) as new
    on conflict (project_id, dedupe_key) where dedupe_key is not null do nothing
      returning *)
    select ${JOB_COLUMNS}, pg_notify('jobs', ${hint}) from made j`);
  return row && toJob(row);
}

export async function findJobByDedupeKey(db: Db, projectId: number, dedupeKey: string): Promise<Job | undefined> {
  const row = await db.one<JobRow>(
    sql`select ${JOB_COLUMNS} from jobs j where j.project_id = ${projectId} and j.dedupe_key = ${dedupeKey}`,
  );
  return row && toJob(row);
}

/** Takes the key away from a job that is over. */
export async function releaseDedupeKey(db: Db, projectId: number, dedupeKey: string): Promise<void> {
  await db.query(sql`
    update jobs set dedupe_key = null
    where project_id = ${projectId} and dedupe_key = ${dedupeKey} and status = any(${FINAL_STATUSES})`);
}

/** Without a project: for the platform itself, which waits for jobs it has made. */
export async function findJob(db: Db, id: number, projectId?: number): Promise<Job | undefined> {
  const project = projectId === undefined ? sql.empty : sql` and j.project_id = ${projectId}`;
  const row = await db.one<JobRow>(sql`select ${JOB_COLUMNS} from jobs j where j.id = ${id}${project}`);
  return row && toJob(row);
}

/** The given jobs that are over. */
export async function findFinished(db: Db, ids: number[]): Promise<Job[]> {
  const rows = await db.query<JobRow>(sql`
    select ${JOB_COLUMNS} from jobs j where j.id = any(${ids}::bigint[]) and j.status = any(${FINAL_STATUSES})`);
  return rows.map(toJob);
}

/** Those of the given ids whose jobs have not ended. */
export async function listUnfinished(db: Db, ids: number[]): Promise<number[]> {
  const rows = await db.query<{ id: number }>(sql`
    select j.id from jobs j where j.id = any(${ids}::bigint[]) and j.status <> all(${FINAL_STATUSES})`);
  return rows.map(({ id }) => id);
}

/** Storage jobs only. */
export async function listUnfinishedInRun(db: Db, projectId: number, runId: string): Promise<number[]> {
  const rows = await db.query<{ id: number }>(sql`
    select j.id from jobs j
    where j.project_id = ${projectId} and j.run_id = ${runId} and j.lane = 'storage'
      and j.status <> all(${FINAL_STATUSES})`);
  return rows.map(({ id }) => id);
}

export async function lockJob(db: Db, id: number, projectId: number): Promise<Job | undefined> {
  const row = await db.one<JobRow>(
    sql`select ${JOB_COLUMNS} from jobs j where j.id = ${id} and j.project_id = ${projectId} for update`,
  );
  return row && toJob(row);
}

/**
 * The unfinished jobs below a component job: its children's runs, and the storage jobs done in those runs. Whoever calls
 * from inside of a job names it by its id alone, so a run is below either the job's own chain of runs or its id.
 */
export async function lockSubtree(db: Db, root: Job): Promise<Job[]> {
  const under = (run: Sql) => sql`(j.run_id = ${run} or (j.run_id >= ${run} || '.' and j.run_id < ${run} || '/'))`;
  const underOneOf = sql`(${under(sql`above.run_id`)} or ${under(sql`above.id::text`)})`;
  const rows = await db.query<JobRow>(sql`
    with recursive above as (
      select id, run_id from jobs where id = ${root.id}
      union
      select j.id, j.run_id from above
      join jobs j on j.project_id = ${root.projectId} and j.lane <> 'storage' and j.id > above.id and ${underOneOf})
    select ${JOB_COLUMNS} from jobs j
    where j.project_id = ${root.projectId} and j.id > ${root.id} and j.status in ('created', 'waiting', 'running')
      and exists (select from above where ${underOneOf})
    order by j.id for update of j`);
  return rows.map(toJob);
}

/** Never looked at by a worker again: the job has not run, or runs no more. */
export async function setCancelled(db: Db, ids: number[]): Promise<void> {
  await db.query(sql`
    update jobs set status = 'cancelled', finished_at = clock_timestamp()
    where id = any(${ids}::bigint[]) and status in ('created', 'waiting')`);
}

/** Its worker is told and will end it. */
export async function setStopping(db: Db, ids: number[]): Promise<void> {
  await db.query(sql`update jobs set status = 'stopping' where id = any(${ids}::bigint[]) and status = 'running'`);
}

export async function nextObjectId(db: Db): Promise<number> {
  const row = await db.one<{ id: number }>(sql`select nextval('object_id') as id`);
  if (!row) throw new Error('sequence gave no value');
  return row.id;
}

const DURATION = sql`extract(epoch from coalesce(j.finished_at, now()) - j.started_at)`;
const ORDER_COLUMNS: Record<NonNullable<JobPage['order']>['field'], Sql> = {
  id: sql`j.id`,
  runId: sql`j.run_id`,
  branchId: sql`j.branch_id`,
  componentId: sql`j.component_id`,
  configurationId: sql`j.configuration_id`,
  tokenDescription: sql`j.token_description`,
  status: sql`j.status`,
  createdAt: sql`j.created_at`,
  startedAt: sql`j.started_at`,
  finishedAt: sql`j.finished_at`,
  durationSeconds: DURATION,
};

/** Over all projects; served by the partial indexes on unfinished jobs. */
export async function countUnfinished(db: Db): Promise<{ lane: JobLane; status: JobStatus; count: number }[]> {
  return db.query(sql`
    select lane, status, count(*) as count from jobs where status in ('created', 'waiting') group by lane, status
    union all
    select lane, status, count(*) as count from jobs where status in ('running', 'stopping') group by lane, status`);
}

export async function listJobs(
  db: Db,
  projectId: number,
  filter: JobFilter & { storageJobsOfToken?: number | undefined },
  page: JobPage,
): Promise<Job[]> {
  const where: Sql[] = [sql`j.project_id = ${projectId}`];
  const among = (column: Sql, values: readonly (string | number)[] | undefined, type = sql`text[]`) => {
    // One value by itself: then an index may have the rows in order, too.
    if (values?.length === 1) where.push(sql`${column} = (${[...values]}::${type})[1]`);
    else if (values !== undefined) where.push(sql`${column} = any(${[...values]}::${type})`);
  };
  const bigints = sql`bigint[]`;
  among(sql`j.id`, filter.ids, bigints);
  among(sql`j.lane`, filter.lanes);
  // As the index of runs has it, which has them in order.
  if (filter.isRun) where.push(sql`j.lane <> 'storage'`);
  among(sql`j.kind`, filter.kinds);
  among(sql`j.run_id`, filter.runIds);
  among(sql`j.parent_run_id`, filter.parentRunIds);
  among(sql`j.branch_id`, filter.branchIds, bigints);
  among(sql`j.token_id`, filter.tokenIds, bigints);
  among(sql`j.token_description`, filter.tokenDescriptions);
  among(sql`j.component_id`, filter.componentIds);
  among(sql`j.configuration_id`, filter.configurationIds);
  among(sql`j.object_id`, filter.objectIds);
  among(sql`j.mode`, filter.modes);
  if (filter.statuses) {
    // The stored status finds the rows by its index; what is shown decides about those that are queued.
    const queued = filter.statuses.some((status) => status === 'created' || status === 'waiting');
    among(sql`j.status`, queued ? [...new Set([...filter.statuses, 'created'])] : filter.statuses);
    if (queued) among(SHOWN_STATUS, filter.statuses);
  }
  among(sql`j.tag`, filter.tags);
  if (filter.excludedKinds) where.push(sql`j.kind <> all(${filter.excludedKinds})`);
  if (filter.excludedStatuses) where.push(sql`${SHOWN_STATUS} <> all(${filter.excludedStatuses})`);
  if (filter.configurationRowIds) where.push(sql`j.configuration_row_ids && ${filter.configurationRowIds}::text[]`);
  within(where, sql`j.created_at`, filter.created);
  within(where, sql`j.started_at`, filter.started);
  within(where, sql`j.finished_at`, filter.finished);
  if (filter.durationSeconds?.from !== undefined) where.push(sql`${DURATION} >= ${filter.durationSeconds.from}`);
  if (filter.durationSeconds?.to !== undefined) where.push(sql`${DURATION} <= ${filter.durationSeconds.to}`);
  if (filter.storageJobsOfToken !== undefined)
    where.push(sql`(j.lane <> 'storage' or j.token_id = ${filter.storageJobsOfToken})`);
  const keyset = page.keyset && keysetToSql(sql`j.id`, page.keyset);
  if (keyset) where.push(...keyset.where);
  const { field, direction } = page.order ?? { field: 'id', direction: 'desc' };
  const way = direction === 'asc' ? sql`asc` : sql`desc`;
  // The id makes the order of equal ones the same on every page.
  const order = field === 'id' ? sql`j.id ${way}` : sql`${ORDER_COLUMNS[field]} ${way}, j.id ${way}`;
  const rows = await db.query<JobRow & { shown_status: JobStatus }>(sql`
    select ${page.longestResult === undefined ? SHOWN_COLUMNS : briefColumns(page.longestResult)}
    from jobs j where ${sql.join(where, sql` and `)}
    order by ${keyset?.order ?? order} limit ${page.limit} offset ${page.offset ?? 0}`);
  return inListOrder(rows.map(toShownJob), page.keyset ?? {});
}

function within(where: Sql[], column: Sql, range: DateRange | undefined): void {
  if (range?.from) where.push(sql`${column} >= ${range.from}`);
  if (range?.to) where.push(sql`${column} <= ${range.to}`);
}

export function toJob(row: JobRow): Job {
  return {
    id: row.id,
    projectId: row.project_id,
    branchId: row.branch_id,
    kind: row.kind,
    lane: row.lane,
    status: row.status,
    componentId: row.component_id ?? undefined,
    configurationId: row.configuration_id ?? undefined,
    configurationRowIds: row.configuration_row_ids,
    mode: row.mode,
    tag: row.tag ?? undefined,
    input: row.input,
    result: row.result ?? undefined,
    error: row.error ?? undefined,
    runId: row.run_id,
    parentRunId: row.parent_run_id,
    objectId: row.object_id ?? undefined,
    lockKey: row.lock_key ?? undefined,
    dedupeKey: row.dedupe_key ?? undefined,
    token: { id: row.token_id, description: row.token_description },
    origin: row.origin,
    createdAt: row.created_at,
    availableAt: row.available_at,
    startedAt: row.started_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
    attempt: row.attempt,
    failures: row.failures,
    handle: row.handle ?? undefined,
    metrics: row.metrics,
    usage: row.usage,
  };
}
