import pg from 'pg';
import { AppError, errors } from '../core/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { backoffMs } from '../lib/retry.ts';
import type { Database, Db, Transaction, TransactionOptions } from './database.ts';
import { Listener } from './listener.ts';
import type { Sql } from './sql.ts';
import { columnTypes } from './types.ts';

export type OpenOptions = { connection: pg.PoolConfig; log: Logger };

const RETRIED_CODES = new Set(['40001', '40P01']);
/** A prepared statement whose table changed shape, or that a connection pooler in between has lost. */
const STALE_STATEMENT_CODES = new Set(['0A000', '26000']);
const MAX_ATTEMPTS = 6;
const RETRY = { firstMs: 10, maxMs: 500 };
const CLOSE_MS = 3000;
/** Connections for readings of limited length. */
const MAX_LIMITED = 6;

/** Opens the pool and proves that the database answers. Throws `unavailable` when it does not. */
export async function openDatabase({ connection, log }: OpenOptions): Promise<Database> {
  const config: pg.PoolConfig = {
    max: 20,
    connectionTimeoutMillis: 15_000,
    idleTimeoutMillis: 60_000,
    ...connection,
    ...ourSettings,
  };
  const database = new PooledDatabase(config, log);
  try {
    await database.ping();
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

/** What every connection of ours has, whoever opens it: our schema first, our types, a name in pg_stat_activity. */
export const ourSettings: pg.PoolConfig = {
  application_name: 'millrace',
  options: '-c search_path=millrace -c timezone=UTC',
  types: columnTypes,
};

function openPool(config: pg.PoolConfig, log: Logger): pg.Pool {
  const pool = new pg.Pool(config);
  // A connection that dies while idle is replaced at the next query; without this listener it would end the process.
  // The driver hangs the whole client on the error, which is nothing for a log.
  pool.on('error', ({ message }) => log.info({ reason: message }, 'an idle database connection was lost'));
  pool.on('connect', (client) => {
    client.on('error', (error) => log.debug({ err: error }, 'a database connection was lost'));
  });
  return pool;
}

/** Statements that stand alone, each on whatever connection is free. */
class PoolQueries implements Db {
  readonly pool: pg.Pool;
  readonly #statements: StatementNames;

  constructor(pool: pg.Pool, statements: StatementNames) {
    this.pool = pool;
    this.#statements = statements;
  }

  async query<Row extends object>(query: Sql): Promise<Row[]> {
    try {
      return await runQuery<Row>(this.pool, this.#statements, query);
    } catch (error) {
      if (!isStaleStatement(error)) throw translate(error);
    }
    try {
      return await runQuery<Row>(this.pool, this.#statements, query);
    } catch (error) {
      throw translate(error);
    }
  }

  async one<Row extends object>(query: Sql): Promise<Row | undefined> {
    return onlyRow(await this.query<Row>(query), query);
  }
}

class PooledDatabase implements Database {
  readonly #pool: pg.Pool;
  readonly #queries: PoolQueries;
  readonly #limited = new Map<number, PoolQueries>();
  readonly #config: pg.PoolConfig;
  readonly #listener: Listener;
  readonly #log: Logger;
  readonly #statements = new StatementNames();
  #closed: Promise<void> | undefined;

  constructor(config: pg.PoolConfig, log: Logger) {
    this.#pool = openPool(config, log);
    this.#queries = new PoolQueries(this.#pool, this.#statements);
    this.#config = config;
    this.#log = log;
    this.#listener = new Listener(config, log);
  }

  query<Row extends object>(query: Sql): Promise<Row[]> {
    return this.#queries.query(query);
  }

  one<Row extends object>(query: Sql): Promise<Row | undefined> {
    return this.#queries.one(query);
  }

  limited(statementTimeoutMs: number): Db {
    if (this.#closed) throw new Error('a query on a database that is closed');
    const ms = Math.trunc(statementTimeoutMs);
    let queries = this.#limited.get(ms);
    if (!queries) {
      const options = `${this.#config.options ?? ''} -c statement_timeout=${ms} -c default_transaction_read_only=on`;
      const pool = openPool({ ...this.#config, options, max: MAX_LIMITED }, this.#log);
      queries = new PoolQueries(pool, this.#statements);
      this.#limited.set(ms, queries);
    }
    return queries;
  }

  async ping(): Promise<void> {
    try {
      await this.#pool.query('select 1');
    } catch (error) {
      throw translate(error);
    }
  }

  async transaction<T>(body: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(body, options);
      } catch (error) {
        if (attempt >= MAX_ATTEMPTS || !isRetried(error)) throw translate(error);
        this.#log.debug({ err: error, attempt }, 'the transaction is tried again');
        await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt, RETRY)));
      }
    }
  }

  async #attempt<T>(body: (tx: Transaction) => Promise<T>, options: TransactionOptions): Promise<T> {
    const client = await this.#pool.connect();
    const tx = new OpenTransaction(client, this.#statements);
    let result: T;
    try {
      await client.query(beginText(options));
      result = await body(tx);
      await tx.commit();
    } catch (error) {
      tx.end();
      // A connection that cannot even roll back is thrown away; the server ends its transaction by itself.
      const broken = await client.query('rollback').then(
        () => undefined,
        (rollbackError: Error) => rollbackError,
      );
      client.release(broken);
      throw error;
    }
    client.release();
    for (const action of tx.actions) {
      // What was committed stays committed: a failing follow-up is reported, not thrown.
      try {
        action();
      } catch (error) {
        this.#log.error({ err: error }, 'an action after a commit failed');
      }
    }
    return result;
  }

  listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>> {
    return this.#listener.listen(channel, onNotify);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#listener.close();
    const pools = [this.#pool, ...[...this.#limited.values()].map(({ pool }) => pool)];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), CLOSE_MS);
    });
    const ended = await Promise.race([Promise.all(pools.map((pool) => pool.end())), late]);
    clearTimeout(timer);
    if (ended === 'late')
      this.#log.warn(
        { open: pools.reduce((sum, pool) => sum + pool.totalCount, 0) },
        'database connections were still in use at close',
      );
  }
}

class OpenTransaction implements Transaction {
  readonly actions: (() => void)[] = [];
  readonly #client: pg.PoolClient;
  readonly #statements: StatementNames;
  #last: Promise<unknown> = Promise.resolve();
  #open = true;

  constructor(client: pg.PoolClient, statements: StatementNames) {
    this.#client = client;
    this.#statements = statements;
  }

  query<Row extends object>(query: Sql): Promise<Row[]> {
    // A forgotten await would otherwise run on a connection that already belongs to somebody else.
    if (!this.#open) throw new Error('query on a transaction that has ended');
    // One after another, also when the body does not wait: the driver wants no second query while one is running.
    const run = () => runQuery<Row>(this.#client, this.#statements, query);
    const result = this.#last.then(run, run);
    this.#last = result;
    return result;
  }

  async one<Row extends object>(query: Sql): Promise<Row | undefined> {
    return onlyRow(await this.query<Row>(query), query);
  }

  afterCommit(action: () => void): void {
    this.actions.push(action);
  }

  async commit(): Promise<void> {
    this.end();
    const { command } = await this.#client.query('commit');
    // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: a swallowed query error.
    if (command === 'ROLLBACK') throw new Error('the transaction was rolled back because a query in it had failed');
  }

  end(): void {
    this.#open = false;
  }
}

/**
 * Names for prepared statements. A text is prepared from its second use on, so that texts with names made up at run
 * time (one schema per project) do not fill the connections; the number of names is bounded for the same reason.
 */
class StatementNames {
  static readonly maxNames = 400;
  static readonly maxTexts = 4000;
  readonly #names = new Map<string, string | undefined>();
  #count = 0;

  nameOf(text: string): string | undefined {
    if (!this.#names.has(text)) {
      if (this.#names.size >= StatementNames.maxTexts) this.#forgetUnnamed();
      this.#names.set(text, undefined);
      return undefined;
    }
    let name = this.#names.get(text);
    if (name === undefined && this.#count < StatementNames.maxNames) {
      name = `s${++this.#count}`;
      this.#names.set(text, name);
    }
    return name === '' ? undefined : name;
  }

  /** The text is never prepared again. */
  ban(text: string): void {
    this.#names.set(text, '');
  }

  #forgetUnnamed(): void {
    for (const [text, name] of this.#names) if (name === undefined) this.#names.delete(text);
  }
}

async function runQuery<Row extends object>(
  client: pg.Pool | pg.PoolClient,
  statements: StatementNames,
  query: Sql,
): Promise<Row[]> {
  const { text, values } = query.compile();
  const name = statements.nameOf(text);
  try {
    const result = await client.query<Row>(name === undefined ? { text, values } : { name, text, values });
    return result.rows;
  } catch (error) {
    if (name !== undefined && isStaleStatement(error)) statements.ban(text);
    throw error;
  }
}

function onlyRow<Row>(rows: Row[], query: Sql): Row | undefined {
  if (rows.length > 1) throw new Error(`more than one row where at most one can be: ${query.compile().text}`);
  return rows[0];
}

function beginText({ isolation, readOnly }: TransactionOptions): string {
  return `begin${isolation ? ` isolation level ${isolation}` : ''}${readOnly ? ' read only' : ''}`;
}

function isRetried(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && (RETRIED_CODES.has(code) || isStaleStatement(error));
}

function isStaleStatement(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && STALE_STATEMENT_CODES.has(code);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** Node's and the driver's own words for a connection that is not there. The driver gives some of them no code. */
const NETWORK_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN']);

/** Texts from outside that PostgreSQL cannot keep: NUL as such, and as `\u0000` in JSON. */
const UNSTORABLE_CODES = new Set(['22021', '22P05']);

/** What is said to be wrong by code and is no bug of ours, in the words of the core. */
function translate(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  if (error instanceof pg.DatabaseError && UNSTORABLE_CODES.has(String(code))) return errors.unstorableText(error);
  const isConnection =
    error instanceof pg.DatabaseError
      ? typeof code === 'string' && (/^(08|57P0|53300)/.test(code) || RETRIED_CODES.has(code))
      : (typeof code === 'string' && NETWORK_CODES.has(code)) || isDriverLoss(error);
  return isConnection ? errors.databaseUnavailable(error) : error;
}

/** `pg` reports a lost connection and a pool timeout as plain errors without a code. */
function isDriverLoss(error: Error): boolean {
  return (
    error.constructor === Error &&
    /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed)/.test(
      error.message,
    )
  );
}

/** Whether a query failed on a unique or exclusion constraint; with a name, on that one. */
export function violates(error: unknown, constraint?: string): boolean {
  return (
    error instanceof pg.DatabaseError &&
    (error.code === '23505' || error.code === '23P01') &&
    (constraint === undefined || error.constraint === constraint)
  );
}
