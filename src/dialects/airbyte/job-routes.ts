import { Type } from 'typebox';
import type { SyncFilter, SyncKind } from '../../core/components/syncs.ts';
import { AppError } from '../../core/errors.ts';
import type { Job } from '../../core/jobs/job-model.ts';
import { isFinal, type JobStatus } from '../../core/jobs/job-status.ts';
import type { AirbyteApp, AirbyteDeps } from './deps.ts';
import { airbyteErrors } from './errors.ts';
import { pageQuery, queryList, toPage } from './paging.ts';
import { asksForOwn } from './workspace-routes.ts';

/** A job that waits for its next attempt runs, for clients: some take anything else for the end. */
const STATUSES: Record<JobStatus, string> = {
  created: 'pending',
  waiting: 'running',
  running: 'running',
  stopping: 'running',
  succeeded: 'succeeded',
  failed: 'failed',
  stopped: 'cancelled',
  cancelled: 'cancelled',
};

/** Some are never said here; asking for them finds nothing. */
const KNOWN_STATUSES = ['pending', 'queued', 'running', 'incomplete', 'failed', 'succeeded', 'cancelled'];

const KINDS: Record<string, SyncKind[]> = { sync: ['sync'], reset: ['reset'], clear: [], refresh: [] };

export function registerJobRoutes(app: AirbyteApp, deps: AirbyteDeps): void {
  const { connections, syncs } = deps.core;
  const params = Type.Object({ jobId: Type.String() });
  const time = Type.Optional(Type.String());

  app.get(
    '/jobs',
    {
      schema: {
        summary: 'List jobs',
        querystring: Type.Object({
          ...pageQuery,
          connectionId: Type.Optional(Type.String()),
          jobType: Type.Optional(Type.String()),
          status: Type.Optional(Type.String()),
          createdAtStart: time,
          createdAtEnd: time,
          updatedAtStart: time,
          updatedAtEnd: time,
          orderBy: Type.Optional(Type.String()),
        }),
      },
    },
    async (request) => {
      const { limit, offset, connectionId, jobType, status, orderBy = 'createdAt|ASC', ...times } = request.query;
      const order = /^(createdAt|updatedAt)\|(ASC|DESC)$/.exec(orderBy);
      if (!order) throw airbyteErrors.invalid(`It cannot be ordered by "${orderBy}".`);
      const kinds = jobType === undefined ? undefined : KINDS[jobType];
      if (jobType !== undefined && !kinds) throw airbyteErrors.invalid(`There is no job type "${jobType}".`);
      if (status !== undefined && !KNOWN_STATUSES.includes(status))
        throw airbyteErrors.invalid(`There is no job status "${status}".`);
      const isAsked =
        connectionId !== undefined || (await asksForOwn(deps.core, request.actor, queryList(request, 'workspaceIds')));
      const filter: SyncFilter = {
        ...(kinds && { kinds }),
        ...(connectionId !== undefined && { configurationIds: [connectionId] }),
        ...(status !== undefined && { statuses: statusesOf(status) }),
        ...range('created', times.createdAtStart, times.createdAtEnd),
        ...range('finished', times.updatedAtStart, times.updatedAtEnd),
      };
      const direction = order[2] === 'ASC' ? 'asc' : 'desc';
      const field = order[1] === 'createdAt' ? 'createdAt' : 'finishedAt';
      const found = isAsked
        ? await syncs.list(request.actor, filter, { limit: limit + 1, offset, order: { field, direction } })
        : [];
      return toPage(request, deps, found, toJob);
    },
  );

  app.post(
    '/jobs',
    {
      schema: {
        summary: 'Start a sync or a reset',
        body: Type.Object({ connectionId: Type.String(), jobType: Type.String() }),
      },
    },
    async ({ actor, body: { connectionId, jobType } }) => {
      await connections.get(actor, connectionId);
      switch (jobType) {
        case 'sync':
          return toJob(await syncs.sync(actor, connectionId));
        case 'reset':
        case 'clear':
          return toJob(await syncs.reset(actor, connectionId));
        default:
          throw airbyteErrors.unprocessable(`Jobs of the type "${jobType}" cannot be started here.`);
      }
    },
  );

  app.get('/jobs/:jobId', { schema: { summary: 'Get a job', params } }, async (request) =>
    toJob(await syncs.get(request.actor, toJobId(request.params.jobId))),
  );

  app.delete('/jobs/:jobId', { schema: { summary: 'Cancel a job', params } }, async (request) => {
    const id = toJobId(request.params.jobId);
    const job = await syncs.get(request.actor, id);
    if (isFinal(job.status))
      throw new AppError('conflict', 'job.not-running', `The job ${id} is not running.`, { retryable: false });
    return toJob(await syncs.cancel(request.actor, id));
  });
}

function toJobId(text: string): number {
  const id = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(id))
    throw airbyteErrors.invalid(`"${text}" is not the number of a job.`);
  return id;
}

function statusesOf(status: string): JobStatus[] {
  return (Object.keys(STATUSES) as JobStatus[]).filter((one) => STATUSES[one] === status);
}

function range(
  name: 'created' | 'finished',
  from: string | undefined,
  to: string | undefined,
): Pick<SyncFilter, 'created' | 'finished'> {
  if (from === undefined && to === undefined) return {};
  return { [name]: { ...(from && { from: toDate(from) }), ...(to && { to: toDate(to) }) } };
}

function toDate(text: string): Date {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) throw airbyteErrors.invalid(`"${text}" is not a time.`);
  return date;
}

function toJob(job: Job): object {
  const end = job.finishedAt ?? (job.startedAt && new Date());
  const { rowsSynced, bytesSynced } = (job.result ?? {}) as { rowsSynced?: number; bytesSynced?: number };
  return {
    jobId: job.id,
    status: STATUSES[job.status],
    jobType: job.kind,
    // Seconds always: one client cannot read a time without them.
    startTime: toIso(job.createdAt),
    connectionId: job.configurationId,
    ...(job.finishedAt && { lastUpdatedAt: toIso(job.finishedAt) }),
    ...(end && { duration: toDuration(end.getTime() - job.createdAt.getTime()) }),
    ...(rowsSynced !== undefined && { rowsSynced }),
    ...(bytesSynced !== undefined && { bytesSynced }),
  };
}

const toIso = (date: Date) => `${date.toISOString().slice(0, 19)}Z`;

/** ISO 8601, in hours, minutes and seconds. */
function toDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [
    [Math.floor(seconds / 3600), 'H'],
    [Math.floor(seconds / 60) % 60, 'M'],
    [seconds % 60, 'S'],
  ] as const;
  const text = parts.flatMap(([value, unit]) => (value > 0 ? [`${value}${unit}`] : [])).join('');
  return `PT${text || '0S'}`;
}
