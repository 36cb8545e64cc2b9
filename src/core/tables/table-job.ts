import type { Transaction } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import type { Logger } from '../../lib/logger.ts';
import { AppError } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import type { ClaimedJob, Outcome } from '../jobs/job-model.ts';

/** What carrying out a table job needs of its worker. */
export type TableJob = {
  readonly job: ClaimedJob;
  readonly actor: Actor;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Ends the job; `inTx` commits with it or not at all, and may run more than once. */
  finish(outcome: Outcome, inTx?: (tx: Transaction) => Promise<void>): Promise<void>;
};

/** Inputs and results are plain JSON by their types, which the compiler cannot see through optional members. */
export function toJson(value: object): Json {
  return value as Json;
}

/** The table changed under the writer: the same work over its new version may succeed at once. */
export function isLakeConflict(error: unknown): boolean {
  return error instanceof AppError && error.code === 'lake.conflict';
}

/** How often a load starts over by itself before its job goes back to the queue. */
export const CONFLICT_RETRIES = { attempts: 4, firstMs: 20, maxMs: 500 };
