import { toAppError } from '../core/errors.ts';
import type { Events } from '../core/events/events.ts';
import type { Actor } from '../core/identity/actor.ts';
import { type ClaimedJob, type Job, runOfWork } from '../core/jobs/job-model.ts';
import type { Jobs } from '../core/jobs/jobs.ts';
import type { Logger } from '../lib/logger.ts';
import type { JobContext } from './kind.ts';

export type OpenContext = JobContext & { readonly isFinished: boolean };

/** What a handler gets. `isFinished` once the end of the job is committed. */
export function createJobContext(parts: {
  job: ClaimedJob;
  actor: Actor;
  signal: AbortSignal;
  log: Logger;
  jobs: Jobs;
  events: Events;
}): OpenContext {
  const { job, actor, signal, log, jobs, events } = parts;
  let isFinished = false;
  return {
    job,
    actor,
    signal,
    log,
    get isFinished() {
      return isFinished;
    },
    async finish(outcome, inTx) {
      if (isFinished) throw new Error(`job ${job.id} was finished twice`);
      const ended = await jobs.end(job, outcome, inTx);
      isFinished = true;
      logEnd(log, ended, outcome.status === 'failed' ? outcome.error : undefined);
    },
    async keep(inTx, handle) {
      await jobs.keep(job, inTx, handle);
    },
    async saveHandle(handle) {
      await jobs.queue.saveHandle(job, handle);
    },
    async appendEvent(event) {
      await events.appendNow({
        branchId: job.branchId,
        runId: runOfWork(job),
        configurationId: job.configurationId,
        token: { id: actor.token.id, name: actor.token.description },
        ...event,
        projectId: job.projectId,
      });
    },
  };
}

/** The log has what the job hides: the cause, under the id that the job shows. */
export function logEnd(log: Logger, job: Job, thrown: unknown): void {
  if (job.error?.type === 'application') {
    log.error({ err: causeOf(thrown), exceptionId: job.error.exceptionId, jobId: job.id }, 'a job failed by our fault');
  } else {
    log.debug({ jobId: job.id, status: job.status, code: job.error?.code }, 'a job has ended');
  }
}

function causeOf(thrown: unknown): unknown {
  const error = toAppError(thrown);
  return error.kind === 'internal' && error.cause !== undefined ? error.cause : error;
}
