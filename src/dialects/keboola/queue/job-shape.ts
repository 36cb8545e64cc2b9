import type { RunInput } from '../../../core/components/run-definition.ts';
import type { Job } from '../../../core/jobs/job-model.ts';
import { isFinal, type JobStatus } from '../../../core/jobs/job-status.ts';
import type { Json } from '../../../lib/json.ts';
import { RawJson } from '../../../lib/json-text.ts';

export const QUEUE_STATUSES: Record<JobStatus, string> = {
  created: 'created',
  waiting: 'waiting',
  running: 'processing',
  stopping: 'terminating',
  succeeded: 'success',
  failed: 'error',
  stopped: 'terminated',
  cancelled: 'cancelled',
};

/** Once one of these, a job was told to end. */
export const TERMINATING: readonly JobStatus[] = ['stopping', 'stopped', 'cancelled'];

/** What the Queue keeps of a job and the platform does not act on. Every member comes back in the job. */
export type QueueOptions = {
  deduplicationId: string | null;
  delayedStartTime: string | null;
  backend: { type: string | null; containerType: string | null; context: string | null };
  executor: string;
  behavior: { onError: string | null };
  parallelism: string | null;
  type: string;
  orchestrationJobId: string | null;
  orchestrationTaskId: string | null;
  orchestrationPhaseId: string | null;
  onlyOrchestrationTaskIds: string[] | null;
  previousJobId: string | null;
};

/** What holds for jobs that came in through another API, and for members the client left out. */
export const NO_OPTIONS: QueueOptions = {
  deduplicationId: null,
  delayedStartTime: null,
  backend: { type: null, containerType: null, context: null },
  executor: 'dind',
  behavior: { onError: null },
  parallelism: null,
  type: 'standard',
  orchestrationJobId: null,
  orchestrationTaskId: null,
  orchestrationPhaseId: null,
  onlyOrchestrationTaskIds: null,
  previousJobId: null,
};

/**
 * A job of the Queue. Every member is always there, null where it says nothing: the PHP client reads all of them
 * without asking. Empty lists stand where PHP has empty arrays.
 */
export function toQueueJob(
  job: Job,
  context: { project: { id: number; name: string }; queueUrl: string },
): Record<string, unknown> {
  const input = runInputOf(job);
  const options: QueueOptions = { ...NO_OPTIONS, ...(input.options as Partial<QueueOptions> | undefined) };
  const { backend } = options;
  return {
    id: String(job.id),
    deduplicationId: options.deduplicationId,
    runId: job.runId,
    parentRunId: job.parentRunId,
    project: { id: String(context.project.id), name: context.project.name },
    token: { id: String(job.token.id), description: job.token.description },
    status: QUEUE_STATUSES[job.status],
    desiredStatus: TERMINATING.includes(job.status) ? 'terminating' : 'processing',
    mode: job.mode,
    component: job.componentId ?? '',
    config: job.configurationId ?? null,
    configData: input.configData ? new RawJson(input.configData) : [],
    configRowIds: job.configurationRowIds,
    tag: job.tag ?? null,
    createdTime: toQueueDate(job.createdAt),
    startTime: toQueueDate(job.startedAt),
    endTime: toQueueDate(job.finishedAt),
    delayedStartTime: options.delayedStartTime,
    durationSeconds: durationSeconds(job),
    result: toResult(job) ?? [],
    usageData: job.usage,
    isFinished: isFinal(job.status),
    url: `${context.queueUrl}/jobs/${job.id}`,
    branchId: String(job.branchId),
    variableValuesId: input.variableValuesId ?? null,
    variableValuesData: input.variableValuesData ?? { values: [] },
    backend,
    executor: options.executor,
    metrics: {
      storage: { inputTablesBytesSum: job.metrics.outBytes ?? 0, outputTablesBytesSum: job.metrics.inBytes ?? 0 },
      backend: { size: null, containerSize: backend.containerType ?? 'small', context: backend.context },
    },
    behavior: options.behavior,
    parallelism: options.parallelism,
    type: options.type,
    orchestrationJobId: options.orchestrationJobId,
    orchestrationTaskId: options.orchestrationTaskId,
    orchestrationPhaseId: options.orchestrationPhaseId,
    onlyOrchestrationTaskIds: options.onlyOrchestrationTaskIds,
    previousJobId: options.previousJobId,
    runnerId: null,
  };
}

/**
 * The result of a job: what its runner left, and why it failed. A failure of ours does not tell its text; the
 * exception id leads to it in the log.
 */
export function toResult(job: Job): { [key: string]: Json } | undefined {
  const kept = isObject(job.result) ? ofKind(job, job.result) : undefined;
  if (!job.error) return kept;
  const isUsers = job.error.type === 'user';
  return {
    ...NO_RESULT,
    ...kept,
    message: isUsers ? job.error.message : 'Internal Server Error occurred.',
    error: { type: job.error.type, exceptionId: job.error.exceptionId },
  };
}

/** The members that clients read without asking. */
const NO_RESULT = { configVersion: null, images: [], input: { tables: [] }, output: { tables: [] } };

/** Jobs that are no runs of a component leave results of their own; here they read like one. */
function ofKind({ kind }: Job, result: { [key: string]: Json }): { [key: string]: Json } {
  switch (kind) {
    case 'sync':
      return { ...NO_RESULT, message: `Synced ${result.rowsSynced ?? 0} records.`, ...result };
    case 'reset':
      return { ...NO_RESULT, message: `Cleared ${counted(result.streams)}.`, ...result };
    case 'discover':
      // Not the streams themselves: a source of a thousand tables would fill a list of jobs with its columns.
      return { ...NO_RESULT, message: `Found ${counted(result.streams)}.` };
    case 'check': {
      const message = result.message || (result.isFine ? 'The connection works.' : 'The connection does not work.');
      return { ...NO_RESULT, isFine: result.isFine ?? false, message };
    }
    case 'script':
      return { ...NO_RESULT, message: 'Script finished.', ...result };
    default:
      return result;
  }
}

function counted(streams: Json | undefined): string {
  const count = Array.isArray(streams) ? streams.length : 0;
  return count === 1 ? '1 stream' : `${count} streams`;
}

/** Whole seconds it has run, 0 before it has ended. */
export function durationSeconds(job: Job): number {
  if (!job.startedAt || !job.finishedAt) return 0;
  return Math.max(0, Math.round((job.finishedAt.getTime() - job.startedAt.getTime()) / 1000));
}

export function toQueueDate(date: Date): string;
export function toQueueDate(date: Date | undefined): string | null;
export function toQueueDate(date: Date | undefined): string | null {
  return date ? `${date.toISOString().slice(0, 19)}+00:00` : null;
}

export function runInputOf(job: Job): Partial<RunInput> {
  return isObject(job.input) ? (job.input as Partial<RunInput>) : {};
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
