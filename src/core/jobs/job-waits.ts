import type { Database } from '../../db/database.ts';
import { type Deferred, deferred } from '../../lib/deferred.ts';
import { jobErrors } from './job-errors.ts';
import type { Job } from './job-model.ts';
import type { JobSignals } from './job-signals.ts';
import { isFinal } from './job-status.ts';
import { findFinished, findJob } from './job-store.ts';

const POLL_MS = 500;

/** Everybody in this process who waits for a job to end, with one poll for all of them. */
export class JobWaits {
  readonly #db: Database;
  readonly #signals: JobSignals;
  readonly #waiting = new Map<number, Set<Deferred<Job>>>();
  #timer: NodeJS.Timeout | undefined;
  #subscribed = false;

  constructor(db: Database, signals: JobSignals) {
    this.#db = db;
    this.#signals = signals;
  }

  /** Resolves with the finished job; rejects with the signal's reason when that is aborted first. */
  async awaitEnd(id: number, signal?: AbortSignal): Promise<Job> {
    signal?.throwIfAborted();
    if (!this.#subscribed) {
      this.#subscribed = true;
      this.#signals.on('end', (endedId, job) => this.#ended(endedId, job));
    }
    // Entered before the first look, so that an end between the two is not missed.
    const waiter = deferred<Job>();
    // It may be rejected while nobody listens yet, during the first look.
    waiter.promise.catch(() => {});
    const waiters = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiters.add(waiter));
    const onAbort = () => waiter.reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#poll();
    try {
      const now = await findJob(this.#db, id);
      if (!now) throw jobErrors.notFound(id);
      return isFinal(now.status) ? now : await waiter.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiting.delete(id);
    }
  }

  #ended(id: number, job: Job | undefined): void {
    if (!this.#waiting.has(id)) return;
    if (job) this.#resolve(job);
    else void this.#look([id]);
  }

  #resolve(job: Job): void {
    for (const waiter of this.#waiting.get(job.id) ?? []) waiter.resolve(job);
  }

  #poll(): void {
    this.#timer ??= setTimeout(() => {
      void this.#look([...this.#waiting.keys()]).finally(() => {
        this.#timer = undefined;
        if (this.#waiting.size > 0) this.#poll();
      });
    }, POLL_MS);
    // Who waits must not keep a server alive that wants to end.
    this.#timer.unref();
  }

  async #look(ids: number[]): Promise<void> {
    try {
      for (const job of ids.length > 0 ? await findFinished(this.#db, ids) : []) this.#resolve(job);
    } catch {
      // The database is away; the next poll asks again.
    }
  }
}
