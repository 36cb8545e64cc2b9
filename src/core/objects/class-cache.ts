import type { Database } from '../../db/database.ts';
import type { ObjectClass } from './class-model.ts';
import { findClass } from './class-store.ts';

const KEPT_MS = 5000;
const MAX_KEPT = 5000;

/**
 * Remembers classes for a few seconds, because every object call asks for one. Writers name the revision they know, so
 * an old one in here can make a write start over but never go wrong. Cleared by NOTIFY when any process changes one.
 */
export class ClassCache {
  readonly #db: Database;
  readonly #known = new Map<string, { found: ObjectClass; untilMs: number }>();
  #generation = 0;
  #listening = false;

  constructor(db: Database) {
    this.#db = db;
  }

  async find(projectId: number, name: string): Promise<ObjectClass | undefined> {
    const key = `${projectId} ${name}`;
    const kept = this.#known.get(key);
    if (kept && kept.untilMs > Date.now()) return kept.found;
    this.#listen();
    const generation = this.#generation;
    const found = await findClass(this.#db, projectId, name);
    if (found && generation === this.#generation) {
      if (this.#known.size >= MAX_KEPT) this.#known.clear();
      this.#known.set(key, { found, untilMs: Date.now() + KEPT_MS });
    }
    return found;
  }

  clear(): void {
    this.#generation++;
    this.#known.clear();
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#db
      .listen('object_classes', () => this.clear())
      .catch(() => {
        // Asked for again by the next call; until then the short life of what is kept has to do.
        this.#listening = false;
      });
  }
}
