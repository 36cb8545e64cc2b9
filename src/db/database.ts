import type { Sql } from './sql.ts';

/**
 * The metadata database as the core sees it. `Db` is either the pool or an open transaction: stores take a `Db` and
 * never begin one; operations open the transaction and hand it down.
 *
 * bigint columns come back as `number` (all our ids stay below 2^53; a larger value throws), timestamptz as `Date`,
 * json and jsonb parsed, numeric as string.
 */
export type Db = {
  query<Row extends object = Record<string, unknown>>(query: Sql): Promise<Row[]>;
  /** The only row, or undefined. More than one row is a bug and throws. */
  one<Row extends object = Record<string, unknown>>(query: Sql): Promise<Row | undefined>;
};

export type Transaction = Db & {
  /** Runs once the transaction has committed (waking workers, dropping caches). Never runs after a rollback. */
  afterCommit(action: () => void): void;
};

export type TransactionOptions = {
  isolation?: 'repeatable read';
  readOnly?: boolean;
};

export type Database = Db & {
  /**
   * READ COMMITTED by default. Serialization failures and deadlocks (40001, 40P01) are retried a few times, so the
   * body must not have effects outside of the database; those belong in `afterCommit`.
   */
  transaction<T>(body: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /**
   * For readings whose length somebody else decides: a statement that takes longer is ended with 57014. They have a few
   * connections of their own, so that slow ones leave those of everybody else alone.
   */
  limited(statementTimeoutMs: number): Db;
  /** Calls back on every NOTIFY of the channel, over a connection of its own that reconnects by itself. Hints only. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
};
