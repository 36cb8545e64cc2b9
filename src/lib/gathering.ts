/**
 * Carries out calls that come at the same time together: while one round is under way, the calls for the same key wait
 * for the next. A lone call is carried out at once, so nobody waits for company; many share the way to the database and
 * back, and one commit.
 */
export class Gathering<Key, Item, Result> {
  readonly #carryOut: (key: Key, items: Item[]) => Promise<Result[]>;
  readonly #maxItems: number;
  readonly #maxRounds: number;
  readonly #waiting = new Map<Key, Call<Item, Result>[]>();
  readonly #rounds = new Map<Key, number>();

  /** `carryOut` answers in the order of its items; when it throws, all of them fail. */
  constructor(
    carryOut: (key: Key, items: Item[]) => Promise<Result[]>,
    { maxItems, maxRounds }: { maxItems: number; maxRounds: number },
  ) {
    this.#carryOut = carryOut;
    this.#maxItems = maxItems;
    this.#maxRounds = maxRounds;
  }

  call(key: Key, item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(key);
      if (waiting) {
        waiting.push({ item, resolve, reject });
        return;
      }
      this.#waiting.set(key, [{ item, resolve, reject }]);
      // After everything that has come in with the same turn of the event loop.
      setImmediate(() => this.#startRounds(key));
    });
  }

  #startRounds(key: Key): void {
    for (;;) {
      const waiting = this.#waiting.get(key);
      const running = this.#rounds.get(key) ?? 0;
      if (!waiting || running >= this.#maxRounds) return;
      const calls = waiting.splice(0, this.#maxItems);
      if (waiting.length === 0) this.#waiting.delete(key);
      this.#rounds.set(key, running + 1);
      void this.#round(key, calls);
    }
  }

  async #round(key: Key, calls: Call<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#carryOut(
        key,
        calls.map(({ item }) => item),
      );
      for (const [at, { resolve }] of calls.entries()) resolve(results[at] as Result);
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
    const running = (this.#rounds.get(key) ?? 1) - 1;
    if (running === 0) this.#rounds.delete(key);
    else this.#rounds.set(key, running);
    this.#startRounds(key);
  }
}

/** A reading that all who ask for the same at the same time share. None of them gets what was read before he asked. */
export function sharedRead<Item, Result>(
  keyOf: (item: Item) => string,
  read: (item: Item) => Promise<Result>,
): (item: Item) => Promise<Result> {
  const reads = new Gathering<string, Item, Result>(
    async (_key, items) => {
      const result = await read(items[0] as Item);
      return items.map(() => result);
    },
    { maxItems: Number.POSITIVE_INFINITY, maxRounds: 2 },
  );
  return (item) => reads.call(keyOf(item), item);
}

type Call<Item, Result> = { item: Item; resolve: (result: Result) => void; reject: (error: unknown) => void };
