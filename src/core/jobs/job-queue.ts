import type { Database, Transaction } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import { backoffMs } from '../../lib/retry.ts';
import { PROJECT_LIMITS } from '../projects/project-model.ts';
import { jobErrors } from './job-errors.ts';
import { type ClaimedJob, JOB_LANES, type Job, type JobLane, type Outcome } from './job-model.ts';
import { toJobError } from './job-outcome.ts';
import {
  claimExpired,
  claimQueued,
  expireLeases,
  finishHeld,
  keepHandle,
  lockHeld,
  lockLanes,
  releaseHeld,
  renewLeases,
  requeueHeld,
} from './job-queue-store.ts';
import type { JobSignals } from './job-signals.ts';
import type { JobStatus } from './job-status.ts';

/**
 * The queue is the table of jobs itself, seen by workers.
 *
 * A worker claims jobs in batches, each with a new claim token and a lease. It renews all its leases with one
 * statement every few seconds; whatever it does for a job names the token. When it is gone for longer than a lease,
 * another worker claims the job again and the token of the first one opens nothing any more. So at most one worker can
 * ever commit for a job, whatever each of them believes.
 */
const LEASE_SECONDS = 30;
export const HEARTBEAT_MS = 10_000;

/** A job that failed this often in ways that may pass has failed. */
const MAX_FAILURES = 5;
/** A job whose worker has disappeared this often is taken for the reason. */
export const MAX_ATTEMPTS = 20;
const RETRY_BACKOFF = { firstMs: 400, maxMs: 30_000 };

const LANE_LIMITS = {
  storage: { name: 'storageJobs', fallback: PROJECT_LIMITS.storageJobs },
  component: { name: 'componentJobs', fallback: PROJECT_LIMITS.componentJobs },
  script: { name: 'scriptJobs', fallback: PROJECT_LIMITS.scriptJobs },
} as const;

export type ClaimRequest = {
  workerId: string;
  /** How many more jobs of each lane the worker can take. */
  slots: Partial<Record<JobLane, number>>;
  /**
   * All that the worker runs: never given to it a second time, while what it holds beyond these (a claim that was
   * committed, but whose answer the database died over) comes back at once. Left out, only leases decide.
   */
  running?: number[];
  /** Whether to look for jobs whose worker is gone, too. That takes time to come true, so not every claim need ask. */
  takeOver?: boolean;
};

export class JobQueue {
  readonly #db: Database;
  readonly #leaseSeconds: number;
  readonly #signals: JobSignals;

  constructor(db: Database, signals: JobSignals, leaseSeconds = LEASE_SECONDS) {
    this.#db = db;
    this.#leaseSeconds = leaseSeconds;
    this.#signals = signals;
  }

  /** Up to that many jobs, now held by the worker: first those whose worker has gone, then those that wait. */
  async claim({ workerId, slots, running, takeOver = true }: ClaimRequest): Promise<ClaimedJob[]> {
    const lanes = JOB_LANES.filter((lane) => (slots[lane] ?? 0) > 0);
    if (lanes.length === 0) return [];
    return this.#db.transaction(async (tx) => {
      await lockLanes(tx, lanes);
      const claimed: ClaimedJob[] = [];
      for (const lane of lanes) {
        const limit = slots[lane] ?? 0;
        const claim = {
          workerId,
          lane,
          limit,
          leaseSeconds: this.#leaseSeconds,
          running,
          projectLimit: LANE_LIMITS[lane],
        };
        const expired = takeOver ? await claimExpired(tx, claim) : [];
        claimed.push(...expired);
        if (expired.length < limit)
          claimed.push(...(await claimQueued(tx, { ...claim, limit: limit - expired.length })));
      }
      return claimed;
    });
  }

  /**
   * Renews the leases of what the worker runs, in one statement; answers what of it is still its own. Only what it
   * names: a job whose claim never reached the worker must run out, not be kept for ever.
   */
  async heartbeat(workerId: string, ids: number[]): Promise<{ id: number; claimToken: string; status: JobStatus }[]> {
    return renewLeases(this.#db, workerId, ids, this.#leaseSeconds);
  }

  /** Frees at once what workers that are known to be gone have held. Answers how many jobs that were. */
  async releaseDead(workers: { of: string[] } | { notOf: string[] }): Promise<number> {
    return expireLeases(this.#db, workers);
  }

  /** Throws unless the worker still holds the job and the outcome is one it may have now. */
  async checkHeld(tx: Transaction, job: ClaimedJob, outcome: Outcome['status']): Promise<void> {
    const status = await lockHeld(tx, job);
    if (status === undefined) throw jobErrors.leaseLost(job.id);
    if (status === 'stopping' && outcome === 'succeeded') throw jobErrors.stopping(job.id);
  }

  /** The last state of a job. Part of `Jobs.finish`, which adds the event. */
  async finish(tx: Transaction, job: ClaimedJob, outcome: Outcome): Promise<Job> {
    const finish = {
      status: outcome.status,
      result: outcome.result,
      error: outcome.status === 'failed' ? toJobError(outcome.error) : undefined,
      metrics: outcome.metrics,
      usage: outcome.usage,
    };
    const finished = await finishHeld(tx, job, finish, this.#signals.hint('end', job.id));
    if (finished) {
      this.#signals.afterEnd(tx, finished);
      return finished;
    }
    await this.checkHeld(tx, job, outcome.status);
    throw new Error(`job ${job.id} cannot become ${outcome.status} from where it is`);
  }

  async saveHandle(job: ClaimedJob, handle: Json, tx?: Transaction): Promise<void> {
    if (!(await keepHandle(tx ?? this.#db, job, handle))) throw jobErrors.leaseLost(job.id);
  }

  /**
   * After a failure that may pass: back into the queue, later each time and with jitter. Answers the delay, or
   * undefined when it has failed too often (or is held or wanted no more) and has to end now.
   */
  async retryLater(job: ClaimedJob): Promise<number | undefined> {
    const failures = job.failures + 1;
    if (failures >= MAX_FAILURES) return undefined;
    const delayMs = backoffMs(failures, RETRY_BACKOFF);
    return (await requeueHeld(this.#db, job, { delayMs, failures, uncounted: false })) ? delayMs : undefined;
  }

  /** Back into the queue for a while, with all it has kept and no failure counted. False when it is held or wanted no more. */
  async postpone(job: ClaimedJob, delayMs: number): Promise<boolean> {
    return requeueHeld(this.#db, job, { delayMs, failures: job.failures, uncounted: false });
  }

  /** Back into the queue as if it had never been taken. False when it is held or wanted no more. */
  async requeue(job: ClaimedJob): Promise<boolean> {
    return requeueHeld(this.#db, job, { delayMs: 0, failures: job.failures, uncounted: true });
  }

  /** Still running, but free for the next worker, which recovers it by its handle. */
  async release(job: ClaimedJob): Promise<boolean> {
    return releaseHeld(this.#db, job);
  }
}
