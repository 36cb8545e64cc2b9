import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';

const KEPT_MS = 5000;

export type NotifiedCacheParts = { db: Database; clock: Clock; channel: string; maxKept: number };

/**
 * Remembers what nearly every request asks for, for a few seconds. A change in this process clears it after the commit,
 * a change in another by NOTIFY on the channel; the short life is for the moments when a notification is lost.
 */
export class NotifiedCache<Value extends object> {
  readonly #parts: NotifiedCacheParts;
  readonly #known = new Map<string, { value: Value; untilMs: number }>();
  /** Grows with each clearing: what was read before must not be kept after it. */
  #generation = 0;
  #listening = false;

  constructor(parts: NotifiedCacheParts) {
    this.#parts = parts;
  }

  async get(key: string, read: () => Promise<Value | undefined>): Promise<Value | undefined> {
    this.#listen();
    const nowMs = this.#parts.clock.now().getTime();
    const kept = this.#known.get(key);
    if (kept && kept.untilMs > nowMs) return kept.value;
    const generation = this.#generation;
    const value = await read();
    // Unknown ones are not kept: guesses must not push real ones out.
    if (value && generation === this.#generation) {
      if (this.#known.size >= this.#parts.maxKept) this.#known.clear();
      this.#known.set(key, { value, untilMs: nowMs + KEPT_MS });
    }
    return value;
  }

  clear(): void {
    this.#generation++;
    this.#known.clear();
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#parts.db
      .listen(this.#parts.channel, () => this.clear())
      .catch(() => {
        // Asked for again by the next call; until then the short life of what is kept has to do.
        this.#listening = false;
      });
  }
}
