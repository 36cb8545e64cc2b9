import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { Actor } from '../../../core/identity/actor.ts';
import type { DateRange, Job, JobFilter, JobKind } from '../../../core/jobs/job-model.ts';
import type { JobStatus } from '../../../core/jobs/job-status.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { parseDate } from '../scalars.ts';
import { shapeJob } from './job-shape.ts';

const Status = Type.Optional(
  Type.Array(Type.String(), { 'x-list': true, description: 'waiting, processing, success, error' }),
);

const JobsQuery = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 20 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
  storage_job_status: Status,
  excluded_storage_job_status: Status,
  created_time: Type.Optional(Type.String()),
  created_time_from: Type.Optional(Type.String()),
  created_time_to: Type.Optional(Type.String()),
  start_time: Type.Optional(Type.String()),
  start_time_from: Type.Optional(Type.String()),
  start_time_to: Type.Optional(Type.String()),
  end_time: Type.Optional(Type.String()),
  end_time_from: Type.Optional(Type.String()),
  end_time_to: Type.Optional(Type.String()),
});

/** What the platform does on its own; clients know no name for it. */
const HOUSEKEEPING: JobKind[] = ['table-compact'];

const CORE_STATUSES: Record<string, JobStatus[]> = {
  waiting: ['created', 'waiting'],
  processing: ['running', 'stopping'],
  success: ['succeeded'],
  error: ['failed', 'stopped', 'cancelled'],
};

export function registerJobRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { jobs } = deps.core;

  app.get('/jobs', { schema: { summary: 'Storage jobs, newest first', querystring: JobsQuery } }, async (request) => {
    const { limit = 20, offset = 0, ...query } = request.query;
    const filter: JobFilter = {
      lanes: ['storage'],
      excludedKinds: HOUSEKEEPING,
      ...(query.storage_job_status && { statuses: toCoreStatuses(query.storage_job_status) }),
      ...(query.excluded_storage_job_status && {
        excludedStatuses: toCoreStatuses(query.excluded_storage_job_status),
      }),
      ...rangeOf('created', query.created_time, query.created_time_from, query.created_time_to),
      ...rangeOf('started', query.start_time, query.start_time_from, query.start_time_to),
      ...rangeOf('finished', query.end_time, query.end_time_from, query.end_time_to),
    };
    const page = await jobs.list(request.actor, filter, { limit, offset });
    return Promise.all(page.map((job) => shapeJob(request, deps, job)));
  });

  app.get(
    '/jobs/:jobId',
    { schema: { summary: 'One storage job', params: Type.Object({ jobId: Type.Integer() }) } },
    async (request) => {
      const job = await jobs.get(request.actor, request.params.jobId);
      // Jobs of components have their own service.
      if (job.lane !== 'storage' || HOUSEKEEPING.includes(job.kind)) throw jobNotFound(job.id);
      return shapeJob(request, deps, isYoung(job) ? await settled(deps, request.actor, job) : job);
    },
  );
}

/**
 * Clients poll at once and then sleep for one to four seconds, however small the job is. A moment's patience in the
 * first answers saves them that; older jobs are answered as they are.
 */
const FIRST_POLL_WAIT_MS = 1500;
const YOUNG_JOB_MS = 3000;

function isYoung(job: Job): boolean {
  return job.finishedAt === undefined && Date.now() - job.createdAt.getTime() < YOUNG_JOB_MS;
}

async function settled(deps: KeboolaDeps, actor: Actor, job: Job): Promise<Job> {
  const patience = AbortSignal.timeout(FIRST_POLL_WAIT_MS);
  try {
    return await deps.core.jobs.awaitEnd(job.id, patience);
  } catch (error) {
    if (patience.aborted) return deps.core.jobs.get(actor, job.id);
    throw error;
  }
}

function jobNotFound(id: number): AppError {
  return new AppError('not-found', 'job.not-found', `Job "${id}" not found`);
}

/** A status nobody knows selects nothing, unlike no status at all. */
function toCoreStatuses(names: readonly string[]): JobStatus[] {
  return names.flatMap((name) => CORE_STATUSES[name] ?? []);
}

function rangeOf(
  key: 'created' | 'started' | 'finished',
  exact: string | undefined,
  from: string | undefined,
  to: string | undefined,
): Partial<Record<typeof key, DateRange>> {
  const range: DateRange = {};
  const since = dateOf(from ?? exact);
  const until = dateOf(to ?? exact);
  if (since) range.from = since;
  if (until) range.to = until;
  return since || until ? { [key]: range } : {};
}

function dateOf(text: string | undefined): Date | undefined {
  if (text === undefined || text === '') return undefined;
  const date = parseDate(text);
  if (!date) throw new AppError('invalid', 'request.invalid', `"${text}" is not a date.`);
  return date;
}
