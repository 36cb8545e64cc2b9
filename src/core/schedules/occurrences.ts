import type { Database, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { AppError, toAppError } from '../errors.ts';
import type { Events } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import type { Identity } from '../identity/identity.ts';
import type { Schedule, ScheduleInput, ScheduleTarget } from './schedule-model.ts';
import { claimAgain, claimDue, findNextDue, moveOn } from './schedule-store.ts';
import { nextTime } from './schedule-times.ts';
import { scheduleEvent } from './schedules.ts';

/** What became of a time that was due. */
export type Start =
  | { outcome: 'started'; jobId: number }
  /** Not this time: the run before is still under way, say. */
  | { outcome: 'skipped'; reason: string }
  /** Not yet: something else has run meanwhile. */
  | { outcome: 'postponed'; until: Date };

export type Occurrence = {
  target: ScheduleTarget;
  input: ScheduleInput;
  /** Undefined where it is no schedule that is due, but a change of tables that somebody waits for. */
  schedule: Schedule | undefined;
  now: Date;
  /** The same for this time of this schedule whoever asks, and for no other. */
  dedupeKey: string;
};

/** Makes the job, inside of the given transaction only. Throws when it cannot. */
export type Starter = (tx: Transaction, actor: Actor, occurrence: Occurrence) => Promise<Start>;

export type Starters = {
  /** For components whose runs are not made like those of all others. */
  byComponent: Record<string, Starter>;
  other: Starter;
};

export type Handled = {
  schedule: Schedule;
  dueAt: Date;
  /** From the time it was due to the commit. */
  lagMs: number;
  outcome: Start['outcome'] | 'failed' | 'stopped';
  jobId?: number;
  error?: AppError;
};

export type OccurrenceParts = { db: Database; events: Events; identity: Identity; clock: Clock; starters: Starters };

/**
 * Carries schedules out.
 *
 *   next_run_at <= now ──► claim (skip locked) ──► actor ──► starter ──► job + run + next_run_at   one transaction
 *                                                    │          │
 *                                                    │          ├─ skipped, postponed             next_run_at only
 *                                                    │          └─ cannot start                   event, next_run_at
 *                                                    └─ token or target gone                      event, disabled
 *
 * The row is locked from the look to the commit, so a time is handled once however many schedulers there are, and a
 * process that dies has either done all of it or nothing. Whatever was missed while nobody looked counts as one time.
 */
export class Occurrences {
  readonly #parts: OccurrenceParts;
  readonly #listeners = new Set<(handled: Handled) => void>();

  constructor(parts: OccurrenceParts) {
    this.#parts = parts;
  }

  /** Handles the one that is due for longest. Undefined when nothing is due that nobody else has in hand. */
  async handleNext(): Promise<Handled | undefined> {
    const { db, clock } = this.#parts;
    let claimed: Schedule | undefined;
    let handled: Handled | undefined;
    try {
      handled = await db.transaction(async (tx) => {
        const now = clock.now();
        claimed = await claimDue(tx, now);
        return claimed && this.#start(tx, claimed, now);
      });
    } catch (error) {
      // An outage is nothing that the schedule is to blame for: it is still due.
      if (!claimed || (error instanceof AppError && error.code === 'database.unavailable')) throw error;
      handled = await this.#giveUp(claimed, toAppError(error));
    }
    if (handled) for (const listener of this.#listeners) listener(handled);
    return handled;
  }

  async nextDueAt(): Promise<Date | undefined> {
    return findNextDue(this.#parts.db);
  }

  /** Calls back for each time that was handled in this process. Returns what takes the listener off. */
  onHandled(listener: (handled: Handled) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #start(tx: Transaction, schedule: Schedule, now: Date): Promise<Handled> {
    const { identity, starters } = this.#parts;
    const dueAt = schedule.nextRunAt ?? now;
    const { projectId, branchId, token, target, input, isEnabled, problem } = schedule;
    const lagMs = now.getTime() - dueAt.getTime();
    if (schedule.lastDueAt?.getTime() === dueAt.getTime()) {
      // Somebody with a clock that is behind has changed the schedule, and reckoned the time that was just handled.
      const nextRunAt = nextTime(schedule.recurrence, dueAt, now);
      await moveOn(tx, schedule.id, { nextRunAt, lastDueAt: dueAt, problem, isEnabled });
      return { schedule, dueAt, lagMs, outcome: 'skipped' };
    }
    const actor = await identity.actorForJob({ projectId, branchId, token, runId: undefined, origin: {} }, tx);
    const dedupeKey = `schedule:${schedule.id}:${dueAt.toISOString()}`;
    const start = await startOccurrence(starters, tx, actor, { target, input, schedule, now, dedupeKey });
    const done = { schedule, dueAt, lagMs, outcome: start.outcome };
    if (start.outcome === 'postponed') {
      // The same moment again would be a loop.
      const nextRunAt = new Date(Math.max(start.until.getTime(), now.getTime() + 1000));
      await moveOn(tx, schedule.id, { nextRunAt, lastDueAt: undefined, problem, isEnabled });
      return done;
    }
    const nextRunAt = nextTime(schedule.recurrence, dueAt, now);
    if (start.outcome === 'skipped') {
      await this.#report(tx, schedule, 'schedule.skipped', 'info', `was left out: ${start.reason}`, start.reason);
      await moveOn(tx, schedule.id, { nextRunAt, lastDueAt: dueAt, problem: start.reason, isEnabled });
      return done;
    }
    const { jobId } = start;
    await moveOn(tx, schedule.id, { nextRunAt, lastDueAt: dueAt, jobId, problem: undefined, isEnabled });
    return { ...done, jobId };
  }

  /** Without this, one that cannot start would stay due for ever, and before all others. */
  async #giveUp(claimed: Schedule, error: AppError): Promise<Handled | undefined> {
    const { db, clock } = this.#parts;
    return db.transaction(async (tx) => {
      const schedule = await claimAgain(tx, claimed);
      if (!schedule?.nextRunAt) return undefined;
      const now = clock.now();
      const dueAt = schedule.nextRunAt;
      const nextRunAt = isGone(error) ? undefined : followingTime(schedule, dueAt, now);
      const isEnabled = nextRunAt !== undefined;
      if (isEnabled)
        await this.#report(
          tx,
          schedule,
          'schedule.not-started',
          'error',
          `could not start: ${error.message}`,
          error.message,
        );
      else
        await this.#report(tx, schedule, 'schedule.stopped', 'error', `was stopped: ${error.message}`, error.message);
      await moveOn(tx, schedule.id, { nextRunAt, lastDueAt: dueAt, problem: error.message, isEnabled });
      const lagMs = now.getTime() - dueAt.getTime();
      return { schedule, dueAt, lagMs, outcome: isEnabled ? 'failed' : 'stopped', error };
    });
  }

  /** Once, and again only when the reason is another: a schedule of every minute must not fill the log. */
  async #report(
    tx: Transaction,
    schedule: Schedule,
    name: 'schedule.skipped' | 'schedule.not-started' | 'schedule.stopped',
    type: 'info' | 'error',
    how: string,
    problem: string,
  ): Promise<void> {
    if (name !== 'schedule.stopped' && schedule.problem === problem) return;
    const { projectId, token } = schedule;
    await this.#parts.events.append(tx, {
      ...scheduleEvent(schedule, name, type, how.replace(/\.$/, '')),
      projectId,
      token: { id: token.id, name: token.description },
    });
  }
}

/** Makes the job in the way of its component. */
export async function startOccurrence(
  { byComponent, other }: Starters,
  tx: Transaction,
  actor: Actor,
  occurrence: Occurrence,
): Promise<Start> {
  const { componentId } = occurrence.target;
  const starter = Object.hasOwn(byComponent, componentId) ? byComponent[componentId] : undefined;
  return (starter ?? other)(tx, actor, occurrence);
}

/** What a schedule runs, or in whose name, is not there any more: trying again makes no sense until somebody acts. */
function isGone(error: AppError): boolean {
  return error.kind === 'not-found' || error.code === 'token.gone';
}

/** A time zone may disappear with an update of the runtime. */
function followingTime(schedule: Schedule, dueAt: Date, now: Date): Date | undefined {
  try {
    return nextTime(schedule.recurrence, dueAt, now);
  } catch {
    return undefined;
  }
}
