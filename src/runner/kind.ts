import type { NewEvent } from '../core/events/event-model.ts';
import type { Actor } from '../core/identity/actor.ts';
import type { ClaimedJob, JobKind, Outcome } from '../core/jobs/job-model.ts';
import type { Transaction } from '../db/database.ts';
import type { Json } from '../lib/json.ts';
import type { Logger } from '../lib/logger.ts';

/**
 * What a job kind gets while it runs.
 *
 * `signal` is aborted when the job was killed, when its lease is lost or when the server stops; `signal.reason` is a
 * `StopReason`. A handler that sees it cleans up and throws (`signal.throwIfAborted()` will do): the worker knows
 * what the end of the job then is.
 */
export type JobContext = {
  readonly job: ClaimedJob;
  /** The token that made the job, with the run id of the job for everything done in its name. */
  readonly actor: Actor;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /**
   * The only way to end a job: its state, its event and the kind's own rows (`inTx`) commit together. Throws when the
   * lease was lost or the job was killed meanwhile, and then nothing is committed. `inTx` may run more than once (the
   * transaction is retried after a deadlock), so it must have no effects outside of the database. What it returns, if
   * anything, becomes the result: for results that are known only inside.
   */
  finish(outcome: Outcome, inTx?: (tx: Transaction) => Promise<Json | undefined> | Promise<void>): Promise<void>;
  /** Commits what the job has reached so far, and with it a new handle, under the same fence as its end. */
  keep(inTx: (tx: Transaction) => Promise<void>, handle?: Json): Promise<void>;
  /** Keeps what `recover` needs to find the work again; fenced like `finish`. */
  saveHandle(handle: Json): Promise<void>;
  /** Appends to the event log in the job's name. */
  appendEvent(event: Omit<NewEvent, 'projectId'>): Promise<void>;
};

export type KindHandler = {
  readonly kind: JobKind;
  /** Returns after `ctx.finish`; returning without it counts as success with no result. */
  run(ctx: JobContext): Promise<void>;
  /** Called instead of `run` once a worker before has held the job, to take over what it left. */
  recover?(ctx: JobContext): Promise<void>;
};

export type { Outcome };

/** Thrown by a kind that has to wait: the job gives its place up and is taken again after that time, with its handle. */
export class TryLater extends Error {
  readonly delayMs: number;

  constructor(delayMs: number) {
    super(`The job goes on in ${delayMs} ms`);
    this.name = 'TryLater';
    this.delayMs = delayMs;
  }
}

/** Why a running job's signal was aborted. */
export class StopReason extends Error {
  readonly reason: 'killed' | 'lease-lost' | 'shutdown';

  constructor(reason: StopReason['reason']) {
    super(`The job has to stop: ${reason}`);
    this.name = 'StopReason';
    this.reason = reason;
  }
}
