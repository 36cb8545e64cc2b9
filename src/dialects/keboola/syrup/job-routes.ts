import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError, errors } from '../../../core/errors.ts';
import type { Job, JobFilter } from '../../../core/jobs/job-model.ts';
import { JOB_STATUSES } from '../../../core/jobs/job-status.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { findComponentJob } from '../queue/job-lookup.ts';
import { parseDate } from '../scalars.ts';
import { SYRUP_STATUSES, toSyrupJob } from './job-shape.ts';

const JobParams = Type.Object({ jobId: Type.String() });
const ListQuery = Type.Object({
  component: Type.Optional(Type.String()),
  runId: Type.Optional(Type.String()),
  status: Type.Optional(Type.Array(Type.String(), { 'x-list': true })),
  since: Type.Optional(Type.String({ description: 'jobs made since then' })),
  until: Type.Optional(Type.String()),
  q: Type.Optional(Type.String()),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
});

/** The queue before the Queue. It shows the same jobs, and only those that run components. */
export function registerSyrupJobRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { jobs, projects } = deps.core;

  const shape = async (request: FastifyRequest, list: Job[]) => {
    const project = await projects.get(request.actor);
    const syrupUrl = deps.serviceUrl(request, 'syrup');
    return list.map((job) => toSyrupJob(job, { project, syrupUrl }));
  };

  app.get('/queue/job/:jobId', { schema: { summary: 'One job', params: JobParams } }, async (request) => {
    const job = await getJob(request, request.params.jobId);
    return (await shape(request, [job]))[0];
  });

  app.get('/queue/jobs', { schema: { summary: 'Jobs, newest first', querystring: ListQuery } }, async (request) => {
    const { component, runId, status, since, until, q, limit = 100, offset = 0 } = request.query;
    if (q) throw errors.notImplemented('full text search of jobs');
    const from = since === undefined ? undefined : dateOf(since, 'since');
    const to = until === undefined ? undefined : dateOf(until, 'until');
    const filter: JobFilter = {
      isRun: true,
      ...(runId !== undefined && { runIds: [runId] }),
      ...(status && { statuses: JOB_STATUSES.filter((one) => status.includes(SYRUP_STATUSES[one])) }),
      ...((from || to) && { created: { ...(from && { from }), ...(to && { to }) } }),
    };
    // All jobs here are of the one application; a component id is what people mean who write anything else.
    if (component !== undefined && component !== 'docker') filter.componentIds = [component];
    if (filter.statuses?.length === 0) return [];
    return shape(request, await jobs.list(request.actor, filter, { limit, offset }));
  });

  app.post(
    '/queue/jobs/:jobId/kill',
    { schema: { summary: 'End a job', params: JobParams } },
    async (request, reply) => {
      const { id } = await getJob(request, request.params.jobId);
      await jobs.kill(request.actor, id);
      reply.code(202);
      return {};
    },
  );

  async function getJob(request: FastifyRequest, id: string): Promise<Job> {
    const job = await findComponentJob(jobs, request.actor, id);
    if (!job) throw new AppError('not-found', 'job.not-found', `Job '${id}' not found`);
    return job;
  }
}

function dateOf(text: string, key: string): Date {
  const date = parseDate(text);
  if (!date) throw new AppError('invalid', 'job.invalid-query', `The '${key}' parameter is not a valid date.`);
  return date;
}
