import { AppError } from '../errors.ts';
import type { JobStatus } from './job-status.ts';

export const jobErrors = {
  notFound: (id: number | string) => new AppError('not-found', 'job.not-found', `Job "${id}" not found`),
  notKillable: (id: number, status: JobStatus) =>
    new AppError('invalid', 'job.not-killable', `Job "${id}" cannot be terminated: it is ${status}.`, {
      details: { status },
    }),
  /** For the worker only: somebody else has the job now, or it is over. Nothing was committed. */
  leaseLost: (id: number) =>
    new AppError('conflict', 'job.lease-lost', `Job "${id}" is no longer held by this worker.`, { retryable: false }),
  /** For the worker only: the job was killed before it could succeed. Nothing was committed. */
  stopping: (id: number) =>
    new AppError('conflict', 'job.stopping', `Job "${id}" was asked to stop.`, { retryable: false }),
  lost: (id: number, attempts: number) =>
    new AppError(
      'unavailable',
      'job.lost',
      `Job "${id}" was given up after its worker had disappeared ${attempts} times.`,
      { retryable: false },
    ),
  pageTooLong: (max: number) => new AppError('invalid', 'job.limit-too-high', `Limit must be between 0 and ${max}.`),
};
