import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Json } from '../../lib/json.ts';
import type { ClaimedJob, Job, JobError, JobLane, JobMetrics } from './job-model.ts';
import { HELD_STATUSES, type JobStatus, QUEUED_STATUSES, statusesBefore } from './job-status.ts';
import { JOB_COLUMNS, type JobRow, toJob } from './job-store.ts';

/**
 * One claimer of a lane at a time, to the end of the transaction. Without it two claimers would both count the running
 * jobs of a project before either has added its own, and exceed the project's limit. Claims take a millisecond and are
 * batched, so nobody waits long.
 */
export async function lockLanes(db: Db, lanes: JobLane[]): Promise<void> {
  await db.query(sql`
    select pg_advisory_xact_lock(hashtext('millrace claim'), hashtext(lane)) from unnest(${lanes}::text[]) as lane`);
}

/**
 * Jobs of a lane whose worker has not been heard of, and those that this worker is said to hold but does not run (its
 * claim was committed, but the database died before it could answer): taken over as they are, with a new claim token.
 */
export async function claimExpired(db: Db, claim: Claim): Promise<ClaimedJob[]> {
  const rows = await db.query<JobRow>(sql`
    update jobs j set worker_id = ${claim.workerId}, claim_token = gen_random_uuid(), attempt = j.attempt + 1,
      lease_expires_at = clock_timestamp() + make_interval(secs => ${claim.leaseSeconds})
    where j.id in (
      select id from jobs
      where lane = ${claim.lane} and status in ('running', 'stopping')
        and (lease_expires_at < clock_timestamp() or worker_id = ${claim.running ? claim.workerId : null})
        and id <> all(${claim.running ?? []}::bigint[])
      order by id limit ${claim.limit} for update skip locked)
    returning ${JOB_COLUMNS}`);
  return rows.map(toClaimed);
}

export type Claim = {
  workerId: string;
  lane: JobLane;
  limit: number;
  leaseSeconds: number;
  /** What the worker runs itself. */
  running: number[] | undefined;
  /** Name of the project's own limit, and what holds where it has none. */
  projectLimit: { name: string; fallback: number };
};

/**
 * Takes queued jobs of a lane: from every project as many as its limit leaves room for, the first of each project
 * before the second of any, so that a project with thousands of jobs cannot starve the others. A job with a lock key
 * comes only when nothing earlier with that key is unfinished; one that waits for a later start does not hold the others up.
 *
 * Walks from project to project through the index instead of reading the whole queue.
 */
export async function claimQueued(db: Db, claim: Claim): Promise<ClaimedJob[]> {
  const rows = await db.query<JobRow>(sql`
    with recursive tenants as (
      (select project_id from jobs where lane = ${claim.lane} and status in ('created', 'waiting')
       order by project_id limit 1)
      union all
      select (select q.project_id from jobs q
              where q.lane = ${claim.lane} and q.status in ('created', 'waiting') and q.project_id > t.project_id
              order by q.project_id limit 1)
      from tenants t where t.project_id is not null
    ), room as (
      select t.project_id, greatest(0,
          coalesce((p.limits ->> ${claim.projectLimit.name})::integer, ${claim.projectLimit.fallback}::integer)
          - (select count(*) from jobs r
             where r.lane = ${claim.lane} and r.project_id = t.project_id and r.status in ('running', 'stopping'))) as free
      from tenants t join projects p on p.id = t.project_id
    ), chosen as (
      select c.id from room cross join lateral (
        select next.id, row_number() over (order by next.id) as place from (
          select q.id from jobs q
          where q.project_id = room.project_id and q.lane = ${claim.lane} and q.status in ('created', 'waiting')
            and q.available_at <= clock_timestamp()
            and (q.lock_key is null or not exists (
              select from jobs e
              where e.project_id = q.project_id and e.lock_key = q.lock_key and e.id <> q.id
                and (e.status in ('running', 'stopping')
                  or (e.id < q.id and e.status in ('created', 'waiting')
                    and (e.attempt > 0 or e.available_at <= clock_timestamp())))))
          order by q.id limit room.free) next) c
      order by c.place, c.id limit ${claim.limit}
    )
    update jobs j set status = 'running', worker_id = ${claim.workerId}, claim_token = gen_random_uuid(),
      attempt = j.attempt + 1, started_at = coalesce(j.started_at, clock_timestamp()),
      lease_expires_at = clock_timestamp() + make_interval(secs => ${claim.leaseSeconds})
    where j.id in (
      select id from jobs where id in (select id from chosen) and status = any(${QUEUED_STATUSES})
      for update skip locked)
    returning ${JOB_COLUMNS}`);
  return rows.map(toClaimed).sort((a, b) => a.id - b.id);
}

/** Renews the given jobs of the worker and tells which those are: what is missing, it has lost. */
export async function renewLeases(
  db: Db,
  workerId: string,
  ids: number[],
  leaseSeconds: number,
): Promise<{ id: number; claimToken: string; status: JobStatus }[]> {
  return db.query(sql`
    update jobs set lease_expires_at = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    where id = any(${ids}::bigint[]) and worker_id = ${workerId} and status in ('running', 'stopping')
    returning id, claim_token as "claimToken", status`);
}

/** Lets go of what the named workers hold, or of what all but the named ones hold. */
export async function expireLeases(db: Db, workers: { of: string[] } | { notOf: string[] }): Promise<number> {
  const whose = 'of' in workers ? sql`worker_id = any(${workers.of})` : sql`worker_id <> all(${workers.notOf})`;
  const rows = await db.query(sql`
    update jobs set lease_expires_at = '-infinity'
    where status in ('running', 'stopping') and (worker_id is null or ${whose}) returning id`);
  return rows.length;
}

/** All below change a job only for who holds the newest claim; they answer whether they did. */
type Held = Pick<ClaimedJob, 'id' | 'claimToken'>;

export type Finish = {
  status: 'succeeded' | 'failed' | 'stopped';
  result: Json | undefined;
  error: JobError | undefined;
  metrics: JobMetrics | undefined;
  usage: Json[] | undefined;
};

export async function finishHeld(db: Db, job: Held, finish: Finish, hint: string): Promise<Job | undefined> {
  const row = await db.one<JobRow>(sql`
    with ended as (update jobs j set status = ${finish.status}, result = ${text(finish.result)}, error = ${text(finish.error)},
      metrics = coalesce(${text(finish.metrics)}::json, j.metrics), usage = coalesce(${text(finish.usage)}::json, j.usage),
      finished_at = clock_timestamp(), worker_id = null, claim_token = null, lease_expires_at = null, handle = null
    where j.id = ${job.id} and j.claim_token = ${job.claimToken} and j.status = any(${statusesBefore(finish.status)})
      returning *)
    select ${JOB_COLUMNS}, pg_notify('jobs', ${hint}) from ended j`);
  return row && toJob(row);
}

export async function keepHandle(db: Db, job: Held, handle: Json): Promise<boolean> {
  const row = await db.one(sql`
    update jobs set handle = ${JSON.stringify(handle)}
    where id = ${job.id} and claim_token = ${job.claimToken} and status = any(${HELD_STATUSES}) returning id`);
  return row !== undefined;
}

/** Back into the queue: after a failure that may pass, or (uncounted) when the worker has to stop. */
export async function requeueHeld(
  db: Db,
  job: Held,
  how: { delayMs: number; failures: number; uncounted: boolean },
): Promise<boolean> {
  const row = await db.one(sql`
    update jobs set status = 'waiting', worker_id = null, claim_token = null, lease_expires_at = null,
      available_at = clock_timestamp() + make_interval(secs => ${how.delayMs / 1000}), failures = ${how.failures},
      attempt = attempt - ${how.uncounted ? 1 : 0}::integer
    where id = ${job.id} and claim_token = ${job.claimToken} and status = any(${statusesBefore('waiting')})
      and status = 'running'
    returning id`);
  return row !== undefined;
}

/** Still running for everybody outside, and free for the next worker. */
export async function releaseHeld(db: Db, job: Held): Promise<boolean> {
  const row = await db.one(sql`
    update jobs set worker_id = null, lease_expires_at = '-infinity', claim_token = gen_random_uuid()
    where id = ${job.id} and claim_token = ${job.claimToken} and status = any(${HELD_STATUSES}) returning id`);
  return row !== undefined;
}

/** The status, or undefined for who holds the job no more. Keeps it as it is to the end of the transaction. */
export async function lockHeld(db: Db, job: Held): Promise<JobStatus | undefined> {
  const row = await db.one<{ status: JobStatus }>(sql`
    select status from jobs where id = ${job.id} and claim_token = ${job.claimToken} for update`);
  return row?.status;
}

export async function notifyJobs(db: Db, payload: string): Promise<void> {
  await db.query(sql`select pg_notify('jobs', ${payload})`);
}

function text(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function toClaimed(row: JobRow): ClaimedJob {
  return { ...toJob(row), workerId: row.worker_id ?? '', claimToken: row.claim_token ?? '' };
}
