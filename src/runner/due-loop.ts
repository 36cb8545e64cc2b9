import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { backoffMs } from '../lib/retry.ts';

/** Things in the database that become due, each of which is handled by exactly one of all who look. */
export type DueWork = {
  /** For the log: `schedules`. */
  name: string;
  /** False when nothing is due that nobody else has in hand. */
  handleNext(): Promise<boolean>;
  nextDueAt(): Promise<Date | undefined>;
  /** Calls back when something may be due earlier. Returns what takes the listener off. */
  onChange(listener: () => void): () => void;
  /** How many are handled side by side when many are due. */
  lanes: number;
};

export type DueLoop = {
  start(): void;
  /** Begins nothing more; resolves when what is in hand is done. */
  stop(): Promise<void>;
};

/** Notifications may be lost and clocks be set, so it looks again after a while in any case. */
const LONGEST_SLEEP_MS = 30_000;
/** When what is due is in the hands of another process. */
const HANDS_OFF_MS = { firstMs: 20, maxMs: 1000 };
const OUTAGE_BACKOFF = { firstMs: 100, maxMs: 5000 };

/** Sleeps until the next thing is due, or one has changed. */
export function createDueLoop(parts: { work: DueWork; clock: Clock; log: Logger }): DueLoop {
  return new SleepingLoop(parts);
}

class SleepingLoop implements DueLoop {
  readonly #parts: { work: DueWork; clock: Clock; log: Logger };
  readonly #stopping = new AbortController();
  #unsubscribe: (() => void) | undefined;
  #loop: Promise<void> | undefined;
  #wakeUp: (() => void) | undefined;
  #isHinted = false;

  constructor(parts: { work: DueWork; clock: Clock; log: Logger }) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#loop) return;
    this.#unsubscribe = this.#parts.work.onChange(() => this.#wake());
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
    const { work, clock, log } = this.#parts;
    const { signal } = this.#stopping;
    let failures = 0;
    let idleRounds = 0;
    while (!signal.aborted) {
      this.#isHinted = false;
      try {
        const count = await this.#handleAllDue();
        const next = await work.nextDueAt();
        if (failures > 0) log.info({ failures }, `the ${work.name} answer again`);
        failures = 0;
        const untilDueMs = next ? next.getTime() - clock.now().getTime() + 1 : LONGEST_SLEEP_MS;
        idleRounds = count > 0 || untilDueMs > 0 ? 0 : idleRounds + 1;
        const atLeastMs = untilDueMs > 0 ? 0 : backoffMs(idleRounds + 1, HANDS_OFF_MS);
        await this.#sleepUntilWoken(Math.min(LONGEST_SLEEP_MS, Math.max(atLeastMs, untilDueMs)));
      } catch (error) {
        if (++failures === 1) log.warn({ err: error }, `cannot look for ${work.name}; trying again`);
        await sleep(backoffMs(failures, OUTAGE_BACKOFF), undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Answers how many. Mostly it is one or none; where many are due at once, several are handled side by side. */
  async #handleAllDue(): Promise<number> {
    if (!(await this.#handleOne())) return 0;
    const lanes = await Promise.allSettled(
      Array.from({ length: this.#parts.work.lanes }, async () => {
        for (let count = 0; ; count++) if (!(await this.#handleOne())) return count;
      }),
    );
    return lanes.reduce((sum, lane) => {
      if (lane.status === 'rejected') throw lane.reason;
      return sum + lane.value;
    }, 1);
  }

  async #handleOne(): Promise<boolean> {
    return !this.#stopping.signal.aborted && this.#parts.work.handleNext();
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
