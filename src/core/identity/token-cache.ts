import type { Database } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { KnownToken } from './token-store.ts';

const KEPT_MS = 5000;
const MAX_KEPT = 10_000;

/**
 * Remembers tokens for a few seconds, because every request asks for one. A change in this process clears it after the
 * commit, a change in another by NOTIFY; the short life is for the moments when a notification is lost.
 */
export class TokenCache {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #known = new Map<string, { token: KnownToken; untilMs: number }>();
  /** Grows with each clearing: what was read before must not be kept after it. */
  #generation = 0;
  #listening = false;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async get(key: string, read: () => Promise<KnownToken | undefined>): Promise<KnownToken | undefined> {
    this.#listen();
    const nowMs = this.#clock.now().getTime();
    const kept = this.#known.get(key);
    if (kept && kept.untilMs > nowMs) return kept.token;
    const generation = this.#generation;
    const token = await read();
    // Unknown ones are not kept: guesses must not push real tokens out.
    if (token && generation === this.#generation) {
      if (this.#known.size >= MAX_KEPT) this.#known.clear();
      this.#known.set(key, { token, untilMs: nowMs + KEPT_MS });
    }
    return token;
  }

  clear(): void {
    this.#generation++;
    this.#known.clear();
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#db
      .listen('tokens', () => this.clear())
      .catch(() => {
        // Asked for again by the next call; until then the short life of what is kept has to do.
        this.#listening = false;
      });
  }
}
