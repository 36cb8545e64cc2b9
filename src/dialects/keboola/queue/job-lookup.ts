import { AppError } from '../../../core/errors.ts';
import type { Actor } from '../../../core/identity/actor.ts';
import { isRunLane, type Job } from '../../../core/jobs/job-model.ts';
import type { Jobs } from '../../../core/jobs/jobs.ts';

/** A job that runs a component, by the id as it came in the path. Storage jobs are no jobs here, whoever asks. */
export async function findComponentJob(jobs: Jobs, actor: Actor, id: string): Promise<Job | undefined> {
  if (!/^\d{1,15}$/.test(id)) return undefined;
  try {
    const job = await jobs.get(actor, Number(id));
    return isRunLane(job.lane) ? job : undefined;
  } catch (error) {
    if (error instanceof AppError && (error.kind === 'forbidden' || error.kind === 'not-found')) return undefined;
    throw error;
  }
}
