import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, toAppError } from '../core/errors.ts';
import type { Events } from '../core/events/events.ts';
import type { Identity } from '../core/identity/identity.ts';
import { jobErrors } from '../core/jobs/job-errors.ts';
import {
  type ClaimedJob,
  JOB_KINDS,
  JOB_LANES,
  type JobKind,
  type JobLane,
  type Outcome,
  runOfWork,
} from '../core/jobs/job-model.ts';
import { HEARTBEAT_MS, MAX_ATTEMPTS } from '../core/jobs/job-queue.ts';
import type { Jobs } from '../core/jobs/jobs.ts';
import type { Logger } from '../lib/logger.ts';
import { backoffMs } from '../lib/retry.ts';
import { createJobContext, logEnd, type OpenContext } from './job-context.ts';
import { type KindHandler, StopReason, TryLater } from './kind.ts';

/**
 * Takes jobs from the queue and runs them, each as often as it takes until its end is committed or it is handed on.
 *
 *   wake or poll ─► claim ─► actor ─► run / recover ─► finished               nothing left to do
 *                                          │
 *                                          ├─ killed                          stopped
 *                                          ├─ server stops                    requeued, or left to be recovered
 *                                          ├─ lease lost                      somebody else's job now: dropped
 *                                          ├─ database away                   waits for it, then requeued uncounted
 *                                          ├─ has to wait                     requeued later, its place is free
 *                                          ├─ error that may pass             requeued later, a few times
 *                                          └─ any other error                 failed
 *
 * Notifications are hints: it polls too, every second at first and less often while nothing comes. The database may go
 * away at any time; the worker then waits and goes on, and running jobs that needed it meanwhile start again.
 */
export type WorkerParts = {
  jobs: Jobs;
  identity: Identity;
  events: Events;
  handlers: KindHandler[];
  /** How many jobs of each lane this worker runs at a time. */
  concurrency: Record<JobLane, number>;
  log: Logger;
  workerId: string;
  /** Shorter in tests. Must stay well below the lease. */
  heartbeatMs?: number;
};

export type Worker = {
  start(): void;
  /**
   * Claims nothing more, lets running jobs end for about half of the time, and hands back the others. Resolves within
   * `graceMs`, whatever the handlers do.
   */
  stop(graceMs: number): Promise<void>;
};

/** How often to look for jobs whose worker is gone. */
const TAKE_OVER_MS = 1000;
const POLL_MS = { first: 1000, max: 5000 };
const OUTAGE_BACKOFF = { firstMs: 100, maxMs: 5000 };

/** Throws with every problem at once unless each job kind has exactly one handler. */
export function createWorker(parts: WorkerParts): Worker {
  return new ClaimingWorker(parts, indexHandlers(parts.handlers));
}

function indexHandlers(handlers: KindHandler[]): Map<JobKind, KindHandler> {
  const byKind = new Map(handlers.map((handler) => [handler.kind, handler]));
  const problems = [
    ...(Object.keys(JOB_KINDS) as JobKind[])
      .filter((kind) => !byKind.has(kind))
      .map((kind) => `job kind "${kind}" has no handler`),
    ...handlers
      .filter((handler) => byKind.get(handler.kind) !== handler)
      .map(({ kind }) => `job kind "${kind}" has more than one handler`),
    ...[...byKind.keys()].filter((kind) => !(kind in JOB_KINDS)).map((kind) => `"${kind}" is no job kind`),
  ];
  if (problems.length > 0) throw new Error(problems.join('; '));
  return byKind;
}

type Running = { job: ClaimedJob; abort: AbortController; done: Promise<void>; context: OpenContext | undefined };

class ClaimingWorker implements Worker {
  readonly #parts: WorkerParts;
  readonly #handlers: Map<JobKind, KindHandler>;
  readonly #running = new Map<number, Running>();
  readonly #stopping = new AbortController();
  #unsubscribe: (() => void)[] = [];
  #loop: Promise<void> | undefined;
  /** Set while the loop sleeps: ends the sleep. */
  #wakeUp: (() => void) | undefined;
  /** Where a hint said to look, since the loop looked last. */
  #hinted = new Set<JobLane>();
  #beatTimer: NodeJS.Timeout | undefined;
  #beating = false;
  #beatAgain = false;

  constructor(parts: WorkerParts, handlers: Map<JobKind, KindHandler>) {
    this.#parts = parts;
    this.#handlers = handlers;
  }

  start(): void {
    if (this.#loop) return;
    const { signals } = this.#parts.jobs;
    this.#unsubscribe = [
      signals.on('wake', (lane) => this.#wake(lane)),
      // Something may have waited for that job's lock or place. The end of an own job is told by itself.
      signals.on('end', (id) => {
        if (!this.#running.has(id)) this.#wake();
      }),
      // What was killed is learnt from the answer to a heartbeat.
      signals.on('stop', () => this.#beat()),
    ];
    this.#beatTimer = setInterval(() => this.#beat(), this.#parts.heartbeatMs ?? HEARTBEAT_MS);
    this.#loop = this.#claimLoop();
  }

  async stop(graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#wake();
    // A claim that is under way may still bring jobs.
    await atMost(this.#loop, graceMs / 4);
    await this.#settled(graceMs / 2);
    for (const { abort } of this.#running.values()) abort.abort(new StopReason('shutdown'));
    await this.#settled(deadline - Date.now() - Math.min(500, graceMs / 4));
    // Whoever did not listen loses the job; its claim token opens nothing from now on.
    const deaf = [...this.#running.values()].map(({ job }) => this.#handBack(job).catch(() => {}));
    await atMost(Promise.all(deaf), deadline - Date.now());
    clearInterval(this.#beatTimer);
  }

  #settled(limitMs: number): Promise<void> {
    return atMost(Promise.all([...this.#running.values()].map(({ done }) => done)), limitMs);
  }

  #wake(lane?: JobLane): void {
    for (const hinted of lane ? [lane] : JOB_LANES) this.#hinted.add(hinted);
    this.#wakeUp?.();
  }

  async #claimLoop(): Promise<void> {
    let idleMs = POLL_MS.first;
    let failures = 0;
    let tookOverMs = 0;
    this.#wake();
    while (!this.#stopping.signal.aborted) {
      const lanes = this.#hinted.size > 0 ? this.#hinted : new Set(JOB_LANES);
      this.#hinted = new Set();
      const takeOver = Date.now() - tookOverMs > TAKE_OVER_MS;
      try {
        await this.#claim(lanes, takeOver);
        if (takeOver) tookOverMs = Date.now();
        if (failures > 0) this.#parts.log.info({ failures }, 'the queue answers again');
        failures = 0;
      } catch (error) {
        this.#wake();
        if (++failures === 1) this.#parts.log.warn({ err: error }, 'cannot look for jobs; trying again');
        await sleep(backoffMs(failures, OUTAGE_BACKOFF), undefined, { signal: this.#stopping.signal }).catch(() => {});
        continue;
      }
      if (this.#hinted.size > 0) continue;
      await this.#sleepUntilWoken(idleMs);
      idleMs = this.#hinted.size > 0 ? POLL_MS.first : Math.min(POLL_MS.max, idleMs * 1.5);
    }
  }

  #sleepUntilWoken(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#wakeUp = undefined;
        resolve();
      };
      const timer = setTimeout(wake, limitMs);
      this.#wakeUp = wake;
    });
  }

  /** Fills the free slots of the lanes. What does not find one waits for the end of a job, which wakes the loop. */
  async #claim(lanes: Set<JobLane>, takeOver: boolean): Promise<void> {
    const { jobs, workerId, concurrency } = this.#parts;
    const slots: Partial<Record<JobLane, number>> = {};
    for (const lane of takeOver ? JOB_LANES : lanes) {
      const busy = [...this.#running.values()].filter(({ job }) => job.lane === lane).length;
      slots[lane] = concurrency[lane] - busy;
    }
    const claimed = await jobs.queue.claim({ workerId, slots, running: [...this.#running.keys()], takeOver });
    for (const job of claimed) {
      const running: Running = { job, abort: new AbortController(), done: Promise.resolve(), context: undefined };
      this.#running.set(job.id, running);
      running.done = this.#carryOut(running).finally(() => {
        // Handed back, it may have been claimed again before this is heard.
        if (this.#running.get(job.id) === running) this.#running.delete(job.id);
        // What waited for its place is in its lane, what waited for its lock may be in any.
        this.#wake(job.lockKey === undefined ? job.lane : undefined);
      });
    }
  }

  #beat(): void {
    // One at a time, and one more after it for whoever asked meanwhile.
    if (this.#beating) {
      this.#beatAgain = true;
      return;
    }
    this.#beating = true;
    void this.#renew().finally(() => {
      this.#beating = false;
      if (!this.#beatAgain) return;
      this.#beatAgain = false;
      this.#beat();
    });
  }

  async #renew(): Promise<void> {
    const { jobs, workerId, log } = this.#parts;
    // Only what ran before the question: what is claimed meanwhile may be missing in the answer.
    const asked = [...this.#running.values()];
    if (asked.length === 0) return;
    let held: Map<number, { claimToken: string; status: string }>;
    try {
      const ids = asked.map(({ job }) => job.id);
      held = new Map((await jobs.queue.heartbeat(workerId, ids)).map((renewed) => [renewed.id, renewed]));
    } catch (error) {
      log.warn({ err: error }, 'leases could not be renewed');
      return;
    }
    for (const { job, abort, context } of asked) {
      if (context?.isFinished || this.#running.get(job.id)?.job !== job) continue;
      const renewed = held.get(job.id);
      if (renewed?.claimToken !== job.claimToken) abort.abort(new StopReason('lease-lost'));
      else if (renewed.status === 'stopping') abort.abort(new StopReason('killed'));
    }
  }

  /** Never throws: what cannot be concluded here is left to whoever claims it after the lease. */
  async #carryOut(running: Running): Promise<void> {
    const { job, abort } = running;
    const log = this.#parts.log.child({ jobId: job.id, jobKind: job.kind });
    try {
      await this.#run(running, log);
      return;
    } catch (error) {
      if (running.context?.isFinished) {
        log.error({ err: error }, 'a job kind failed after it had finished its job');
        return;
      }
      await this.#conclude(job, abort.signal, error, log).catch((failure: unknown) => {
        if (hasCode(failure, 'job.lease-lost')) log.warn({ err: error }, 'the job is held by somebody else now');
        else log.error({ err: failure }, 'the end of a job could not be written; its lease will run out');
      });
    }
  }

  async #run(running: Running, log: Logger): Promise<void> {
    const { job, abort } = running;
    const { jobs, events, identity } = this.#parts;
    const handler = this.#handlers.get(job.kind);
    if (!handler) throw new Error(`no handler for job kind ${job.kind}`);
    if (job.status === 'stopping') {
      // Killed while nobody held it. Only a kind that recovers may have something left to stop.
      abort.abort(new StopReason('killed'));
      if (!handler.recover) abort.signal.throwIfAborted();
    }
    if (job.attempt > MAX_ATTEMPTS) throw jobErrors.lost(job.id, MAX_ATTEMPTS);
    const actor = await identity.actorForJob({ ...job, runId: runOfWork(job) });
    const context = createJobContext({ job, actor, signal: abort.signal, log, jobs, events });
    running.context = context;
    if (job.attempt > 1 && handler.recover) await handler.recover(context);
    else await handler.run(context);
    if (context.isFinished) return;
    abort.signal.throwIfAborted();
    await context.finish({ status: 'succeeded' });
  }

  /** Decides what becomes of a job whose handler threw. */
  async #conclude(job: ClaimedJob, signal: AbortSignal, thrown: unknown, log: Logger): Promise<void> {
    const reason = signal.reason instanceof StopReason ? signal.reason.reason : undefined;
    if (reason === 'lease-lost' || hasCode(thrown, 'job.lease-lost')) throw jobErrors.leaseLost(job.id);
    if (reason === 'killed' || hasCode(thrown, 'job.stopping')) return this.#end(job, { status: 'stopped' }, log);
    if (reason === 'shutdown') return this.#handBack(job);
    if (thrown instanceof TryLater) return this.#postpone(job, thrown.delayMs);
    if (isOutage(thrown)) {
      log.warn({}, 'the database went away under a job; it starts again');
      return this.#handBack(job);
    }
    const error = toAppError(thrown);
    if (error.retryable) {
      const delayMs = await this.#persist(() => this.#parts.jobs.queue.retryLater(job));
      if (delayMs !== undefined) {
        log.info({ err: error, delayMs, failures: job.failures + 1 }, 'a job failed and will be tried again');
        setTimeout(() => this.#wake(job.lane), delayMs).unref();
        return;
      }
    }
    await this.#end(job, { status: 'failed', error: thrown }, log);
  }

  async #end(job: ClaimedJob, outcome: Outcome, log: Logger): Promise<void> {
    const ended = await this.#persist(() => this.#parts.jobs.end(job, outcome));
    logEnd(log, ended, outcome.status === 'failed' ? outcome.error : undefined);
  }

  async #postpone(job: ClaimedJob, delayMs: number): Promise<void> {
    const { queue } = this.#parts.jobs;
    await this.#persist(async () => {
      // Killed at this moment, it is taken once more, to be ended.
      if (!(await queue.postpone(job, delayMs))) await queue.release(job);
    });
    setTimeout(() => this.#wake(job.lane), delayMs).unref();
  }

  async #handBack(job: ClaimedJob): Promise<void> {
    const { queue } = this.#parts.jobs;
    await this.#persist(async () => {
      // A killed job cannot be queued again; like one with something left outside it waits for who takes it over.
      if (JOB_KINDS[job.kind].handBack === 'restart' && (await queue.requeue(job))) return;
      await queue.release(job);
    });
  }

  /** Tries until the database answers, or until the worker has to stop: then the lease decides. */
  async #persist<T>(act: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await act();
      } catch (error) {
        if (!isOutage(error) || this.#stopping.signal.aborted) throw error;
        await sleep(backoffMs(failures, OUTAGE_BACKOFF));
      }
    }
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof AppError && error.code === code;
}

function isOutage(error: unknown): boolean {
  return hasCode(error, 'database.unavailable');
}

async function atMost(promise: Promise<unknown> | undefined, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, limitMs));
  });
  await Promise.race([promise, limit]);
  clearTimeout(timer);
}
