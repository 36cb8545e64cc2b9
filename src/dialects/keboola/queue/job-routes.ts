import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { Actor } from '../../../core/identity/actor.ts';
import type { Job } from '../../../core/jobs/job-model.ts';
import type { Json } from '../../../lib/json.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { jsonParameter } from '../storage/json-parameters.ts';
import { findComponentJob } from './job-lookup.ts';
import { parseJobQuery } from './job-query.ts';
import { parseJobRequest, resolveBackend } from './job-request.ts';
import { toQueueJob } from './job-shape.ts';

const JobParams = Type.Object({ jobId: Type.String() });

/** The Queue: runs of components. Storage jobs share the numbers but do not show here. */
export function registerQueueRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { jobs, runs, components, identity, projects } = deps.core;

  const shape = async (request: FastifyRequest, list: Job[]) => {
    const project = await projects.get(request.actor);
    const queueUrl = deps.serviceUrl(request, 'queue');
    return list.map((job) => toQueueJob(job, { project, queueUrl }));
  };

  app.get('/', { config: { public: true }, schema: { summary: 'Name of the service' } }, async (request) => ({
    api: 'job-queue',
    appName: 'job-queue',
    documentation: `${deps.baseUrl(request)}/docs`,
  }));

  app.post('/jobs', { schema: { summary: 'Run a component' } }, async (request, reply) => {
    const parsed = parseJobRequest(request.body as Record<string, unknown>, new Date());
    const actor = await inBranch(request.actor, parsed.branchId);
    const backend = resolveBackend(
      parsed.options.backend,
      components.find(parsed.run.componentId),
      request.actor.projectId,
    );
    const run = {
      ...parsed.run,
      // The header is set by whoever runs us, the body by whoever wrote the call.
      parentRunId: request.actor.runId ?? parsed.run.parentRunId,
      configData: parsed.hasConfigData ? jsonParameter(request, 'configData') : undefined,
      deduplicationId: parsed.options.deduplicationId ?? undefined,
      options: { ...parsed.options, backend } as { [key: string]: Json },
    };
    const job = await runs.start(actor, run).catch(asUnresolvable);
    reply.code(201);
    return (await shape(request, [job]))[0];
  });

  app.get('/jobs/:jobId', { schema: { summary: 'One job', params: JobParams } }, async (request) => {
    const job = await getComponentJob(request.actor, request.params.jobId);
    return (await shape(request, [job]))[0];
  });

  app.post('/jobs/:jobId/kill', { schema: { summary: 'End a job', params: JobParams } }, async (request, reply) => {
    const { id } = await getComponentJob(request.actor, request.params.jobId);
    const job = await jobs.kill(request.actor, id);
    reply.code(202);
    return (await shape(request, [job]))[0];
  });

  for (const path of ['/search/jobs', '/jobs']) {
    app.get(path, { schema: { summary: 'Jobs of the project, newest first' } }, async (request) => {
      const project = await projects.get(request.actor);
      const { filter, page } = parseJobQuery(request.query as Record<string, unknown>, {
        actor: request.actor,
        components,
        defaultBranchId: project.defaultBranchId,
        now: new Date(),
      });
      return filter ? shape(request, await jobs.list(request.actor, filter, page)) : [];
    });
  }

  async function inBranch(actor: Actor, branchId: string | undefined): Promise<Actor> {
    if (branchId === undefined) return actor;
    if (!/^\d{1,15}$/.test(branchId)) {
      throw new AppError('invalid', 'job.invalid', `Cannot resolve job parameters: Branch "${branchId}" not found`);
    }
    return identity.selectBranch(actor, Number(branchId)).catch(asUnresolvable);
  }

  async function getComponentJob(actor: Actor, id: string): Promise<Job> {
    const job = await findComponentJob(jobs, actor, id);
    if (!job) throw new AppError('not-found', 'job.not-found', `Job "${id}" not found`);
    return job;
  }
}

/** What the job refers to is looked up when it is made; the Queue answers for what is missing as for a bad request. */
function asUnresolvable(error: unknown): never {
  if (error instanceof AppError && error.kind === 'not-found') {
    throw new AppError('invalid', error.code, `Cannot resolve job parameters: ${error.message}`, {
      details: error.details,
    });
  }
  throw error;
}
