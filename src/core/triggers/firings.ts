import type { Database, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { AppError, toAppError } from '../errors.ts';
import type { Events } from '../events/events.ts';
import type { Identity } from '../identity/identity.ts';
import { type Start, type Starters, startOccurrence } from '../schedules/occurrences.ts';
import type { Trigger } from './trigger-model.ts';
import { claimAgain, claimDue, findNextDue, setNotStarted, setStarted } from './trigger-store.ts';
import { isTokenGone, triggerEvent } from './triggers.ts';

export type Fired = {
  trigger: Trigger;
  outcome: Start['outcome'] | 'failed' | 'stopped';
  jobId?: number;
  error?: AppError;
};

export type FiringParts = { db: Database; events: Events; identity: Identity; clock: Clock; starters: Starters };

/**
 * Makes the jobs of triggers whose tables have changed, in the manner of schedules: the row is locked from the look to
 * the commit, so that the job is there and the trigger not due any more, or neither. A change while the job is being
 * made waits for that commit, and makes the trigger due again after its cool-down.
 */
export class Firings {
  readonly #parts: FiringParts;

  constructor(parts: FiringParts) {
    this.#parts = parts;
  }

  /** The one that is due for longest. Undefined when nothing is due that nobody else has in hand. */
  async handleNext(): Promise<Fired | undefined> {
    const { db, clock } = this.#parts;
    let claimed: Trigger | undefined;
    try {
      return await db.transaction(async (tx) => {
        const now = clock.now();
        claimed = await claimDue(tx, now);
        return claimed && this.#start(tx, claimed, now);
      });
    } catch (error) {
      // An outage is nothing that the trigger is to blame for: it is still due.
      if (!claimed || (error instanceof AppError && error.code === 'database.unavailable')) throw error;
      return this.#giveUp(claimed, toAppError(error));
    }
  }

  async nextDueAt(): Promise<Date | undefined> {
    return findNextDue(this.#parts.db);
  }

  async #start(tx: Transaction, trigger: Trigger, now: Date): Promise<Fired> {
    const { identity, starters } = this.#parts;
    const { projectId, branchId, target, runWithTokenId } = trigger;
    const token = { id: runWithTokenId };
    const actor = await identity.actorForJob({ projectId, branchId, token, runId: undefined, origin: {} }, tx);
    const dedupeKey = `trigger:${trigger.id}:${(trigger.dueAt ?? now).toISOString()}`;
    const start = await startOccurrence(starters, tx, actor, {
      target,
      input: {},
      schedule: undefined,
      now,
      dedupeKey,
    });
    if (start.outcome === 'started') {
      await setStarted(tx, trigger.id, now, start.jobId);
      return { trigger, outcome: 'started', jobId: start.jobId };
    }
    // Whatever runs now may have begun before the change: the change still needs a run of its own.
    const dueAt = start.outcome === 'postponed' ? later(start.until, now) : afterCoolDown(trigger, now);
    const problem = start.outcome === 'skipped' ? start.reason : undefined;
    await setNotStarted(tx, trigger.id, { dueAt, problem, isEnabled: true });
    return { trigger, outcome: start.outcome };
  }

  /** Without this, one that cannot start would stay due for ever, and before all others. The next change tries again. */
  async #giveUp(claimed: Trigger, error: AppError): Promise<Fired | undefined> {
    const { db, clock, events } = this.#parts;
    return db.transaction(async (tx) => {
      const trigger = await claimAgain(tx, claimed);
      if (!trigger) return undefined;
      const isEnabled = !isTokenGone(error);
      const dueAt = isEnabled && error.retryable ? afterCoolDown(trigger, clock.now()) : undefined;
      // Once, and again only when the reason is another: tables that change each minute must not fill the log.
      if (!isEnabled || trigger.problem !== error.message) {
        const reason = error.message.replace(/\.$/, '');
        const event = isEnabled
          ? triggerEvent(trigger, 'trigger.not-started', 'error', `could not start: ${reason}`)
          : triggerEvent(trigger, 'trigger.stopped', 'error', `was stopped: ${reason}`);
        await events.append(tx, { ...event, projectId: trigger.projectId });
      }
      await setNotStarted(tx, trigger.id, { dueAt, problem: error.message, isEnabled });
      return { trigger, outcome: isEnabled ? 'failed' : 'stopped', error };
    });
  }
}

function afterCoolDown({ coolDownMinutes }: Trigger, now: Date): Date {
  return new Date(now.getTime() + coolDownMinutes * 60_000);
}

/** The same moment again would be a loop. */
function later(until: Date, now: Date): Date {
  return new Date(Math.max(until.getTime(), now.getTime() + 1000));
}
