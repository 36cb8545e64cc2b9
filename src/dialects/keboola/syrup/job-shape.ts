import type { Job } from '../../../core/jobs/job-model.ts';
import { isFinal, type JobStatus } from '../../../core/jobs/job-status.ts';
import { RawJson } from '../../../lib/json-text.ts';
import { durationSeconds, runInputOf, toQueueDate, toResult } from '../queue/job-shape.ts';

/** Never `warning`: the PHP client does not know it for an end and would poll for ever. */
export const SYRUP_STATUSES: Record<JobStatus, string> = {
  created: 'waiting',
  waiting: 'waiting',
  running: 'processing',
  stopping: 'terminating',
  succeeded: 'success',
  failed: 'error',
  stopped: 'terminated',
  cancelled: 'cancelled',
};

/** A job as the queue before the Queue showed it: numbers for ids, and everything asked for under `params`. */
export function toSyrupJob(
  job: Job,
  context: { project: { id: number; name: string }; syrupUrl: string },
): Record<string, unknown> {
  const input = runInputOf(job);
  const failure = job.error && toResult(job);
  return {
    id: job.id,
    runId: job.runId,
    lockName: `docker-${context.project.id}-${job.componentId ?? ''}-${job.configurationId ?? job.id}`,
    project: { id: String(context.project.id), name: context.project.name },
    token: { id: String(job.token.id), description: job.token.description },
    // The application that ran it; the component is one of its parameters.
    component: 'docker',
    command: 'run',
    params: {
      config: job.configurationId ?? null,
      component: job.componentId ?? null,
      mode: job.mode,
      row: job.configurationRowIds[0] ?? null,
      ...(input.configData ? { configData: new RawJson(input.configData) } : {}),
      tag: job.tag ?? null,
      format: input.options?.format ?? null,
      variableValuesId: input.variableValuesId ?? null,
      variableValuesData: input.variableValuesData ?? { values: [] },
    },
    result: failure
      ? { message: failure.message, exceptionId: job.error?.exceptionId, context: [] }
      : (toResult(job) ?? {}),
    status: SYRUP_STATUSES[job.status],
    process: { host: null, pid: null },
    createdTime: toQueueDate(job.createdAt),
    startTime: toQueueDate(job.startedAt),
    endTime: toQueueDate(job.finishedAt),
    durationSeconds: durationSeconds(job),
    waitSeconds: job.startedAt
      ? Math.max(0, Math.round((job.startedAt.getTime() - job.createdAt.getTime()) / 1000))
      : null,
    nestingLevel: job.runId.split('.').length - 1,
    encrypted: true,
    error: job.error ? job.error.type : null,
    errorNote: null,
    terminatedBy: null,
    usage: job.usage,
    _index: null,
    _type: null,
    isFinished: isFinal(job.status),
    url: `${context.syrupUrl}/queue/job/${job.id}`,
  };
}
