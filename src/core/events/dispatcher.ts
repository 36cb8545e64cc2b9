import type { Database, Transaction } from '../../db/database.ts';
import { claimCursor, ensureCursor, hasNews, moveCursor, readLog } from './dispatch-store.ts';
import type { Event } from './event-model.ts';
import { DISPATCHED_CHANNEL, type DispatchedEventName } from './event-names.ts';
import { findEvents } from './event-store.ts';

/** Somebody whose state follows what happens. */
export type EventConsumer = {
  /** Its place in the log is kept under this name for ever. */
  name: string;
  events: readonly DispatchedEventName[];
  /**
   * In the order of the log, which is that of the commits as far as one depended on another. All it does is done within
   * the transaction; what it throws undoes it, and the same events come again.
   */
  handle(tx: Transaction, events: Event[]): Promise<void>;
};

const BATCH = 500;
/** When something is there that cannot be read yet, because an older transaction is still under way. */
const NOT_COMPLETE_MS = 50;

/**
 * Brings the events of the log to their consumers.
 *
 *   event_cursors ──► lock (skip locked) ──► events after it, below the oldest open transaction ──► handle ──► move   one transaction
 *
 * The place of a consumer moves on with what it did, or not at all: however often processes die, and however many look,
 * no event is left out and none has its effect twice.
 */
export class EventDispatcher {
  readonly #db: Database;
  readonly #consumers: readonly EventConsumer[];
  readonly #listeners = new Set<() => void>();
  #isListening = false;
  #isPrepared = false;

  constructor(parts: { db: Database; consumers: readonly EventConsumer[] }) {
    this.#db = parts.db;
    this.#consumers = parts.consumers;
  }

  /** One batch for each consumer. Answers how many events of the log were passed, those nobody waits for as well. */
  async handleNext(): Promise<number> {
    if (!this.#isPrepared) {
      for (const { name } of this.#consumers) await ensureCursor(this.#db, name);
      this.#isPrepared = true;
    }
    let count = 0;
    for (const consumer of this.#consumers) count += await this.#handleBatch(consumer);
    return count;
  }

  /** When to look again although nobody has called. */
  async nextDueAt(now: Date): Promise<Date | undefined> {
    return (await hasNews(this.#db)) ? new Date(now.getTime() + NOT_COMPLETE_MS) : undefined;
  }

  /** Calls back when there may be something to do, in whatever process it was written. A hint only. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#listen();
    return () => this.#listeners.delete(listener);
  }

  async #handleBatch({ name, events: wanted, handle }: EventConsumer): Promise<number> {
    return this.#db.transaction(async (tx) => {
      const cursor = await claimCursor(tx, name);
      const log = cursor ? await readLog(tx, cursor, BATCH) : [];
      const last = log.at(-1);
      if (!last) return 0;
      const ids = log.flatMap((entry) => ((wanted as readonly string[]).includes(entry.name) ? [entry.id] : []));
      if (ids.length > 0) await handle(tx, await findEvents(tx, ids));
      await moveCursor(tx, name, last);
      return log.length;
    });
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#db
      .listen(DISPATCHED_CHANNEL, () => {
        for (const listener of this.#listeners) listener();
      })
      .catch(() => {
        // Tried again with the next listener; until then looking from time to time has to do.
        this.#isListening = false;
      });
  }
}
