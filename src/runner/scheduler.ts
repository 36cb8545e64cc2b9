import { setTimeout as sleep } from 'node:timers/promises';
import type { Occurrences } from '../core/schedules/occurrences.ts';
import type { Schedules } from '../core/schedules/schedules.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { backoffMs } from '../lib/retry.ts';

export type SchedulerParts = { occurrences: Occurrences; schedules: Schedules; clock: Clock; log: Logger };

export type Scheduler = {
  start(): void;
  /** Begins nothing more; resolves when what is in hand is done. */
  stop(): Promise<void>;
};

/**
 * Sleeps until the next schedule is due, or one has changed. Notifications may be lost and clocks be set, so it looks
 * again after a while in any case.
 */
const LONGEST_SLEEP_MS = 30_000;
/** When what is due is in the hands of another scheduler. */
const HANDS_OFF_MS = { firstMs: 20, maxMs: 1000 };
/** How many are handled side by side when many are due. */
const LANES = 4;
const OUTAGE_BACKOFF = { firstMs: 100, maxMs: 5000 };

export function createScheduler(parts: SchedulerParts): Scheduler {
  return new SleepingScheduler(parts);
}

class SleepingScheduler implements Scheduler {
  readonly #parts: SchedulerParts;
  readonly #stopping = new AbortController();
  #unsubscribe: (() => void) | undefined;
  #loop: Promise<void> | undefined;
  #wakeUp: (() => void) | undefined;
  #isHinted = false;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#loop) return;
    this.#unsubscribe = this.#parts.schedules.onChange(() => this.#wake());
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#unsubscribe?.();
    this.#wake();
    await this.#loop;
  }

  #wake(): void {
    this.#isHinted = true;
    this.#wakeUp?.();
  }

  async #run(): Promise<void> {
    const { occurrences, clock, log } = this.#parts;
    const { signal } = this.#stopping;
    let failures = 0;
    let idleRounds = 0;
    while (!signal.aborted) {
      this.#isHinted = false;
      try {
        const count = await this.#handleAllDue();
        const next = await occurrences.nextDueAt();
        if (failures > 0) log.info({ failures }, 'the schedules answer again');
        failures = 0;
        const untilDueMs = next ? next.getTime() - clock.now().getTime() + 1 : LONGEST_SLEEP_MS;
        idleRounds = count > 0 || untilDueMs > 0 ? 0 : idleRounds + 1;
        const atLeastMs = untilDueMs > 0 ? 0 : backoffMs(idleRounds + 1, HANDS_OFF_MS);
        await this.#sleepUntilWoken(Math.min(LONGEST_SLEEP_MS, Math.max(atLeastMs, untilDueMs)));
      } catch (error) {
        if (++failures === 1) log.warn({ err: error }, 'cannot look for schedules; trying again');
        await sleep(backoffMs(failures, OUTAGE_BACKOFF), undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Answers how many. Mostly it is one or none; where many are due at once, several are handled side by side. */
  async #handleAllDue(): Promise<number> {
    if (!(await this.#handleOne())) return 0;
    const lanes = await Promise.allSettled(
      Array.from({ length: LANES }, async () => {
        for (let count = 0; ; count++) if (!(await this.#handleOne())) return count;
      }),
    );
    return lanes.reduce((sum, lane) => {
      if (lane.status === 'rejected') throw lane.reason;
      return sum + lane.value;
    }, 1);
  }

  async #handleOne(): Promise<boolean> {
    if (this.#stopping.signal.aborted) return false;
    const { occurrences, log } = this.#parts;
    const handled = await occurrences.handleNext();
    if (!handled) return false;
    const { schedule, dueAt, lagMs, outcome, jobId, error } = handled;
    const fields = { scheduleId: schedule.id, dueAt: dueAt.toISOString(), lagMs, outcome, jobId };
    if (error?.kind === 'internal') log.error({ ...fields, err: error.cause ?? error }, 'a schedule failed');
    else if (error) log.warn({ ...fields, reason: error.message }, 'a schedule could not start');
    else log.debug(fields, 'a schedule was due');
    return true;
  }

  #sleepUntilWoken(limitMs: number): Promise<void> {
    if (this.#isHinted || this.#stopping.signal.aborted) return Promise.resolve();
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
}
