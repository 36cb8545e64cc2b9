import type { DuckDBConnection, DuckDBInstance, Json } from '@duckdb/node-api';

/** A DuckDB connection for one request: stops when the request is cancelled, and takes its temporary tables with it. */
export class RequestConnection {
  readonly signal: AbortSignal;
  /** See `RelationOptions.emptyFile`. */
  readonly emptyFile: string;
  readonly #connection: DuckDBConnection;
  #repeat: NodeJS.Timeout | undefined;

  private constructor(connection: DuckDBConnection, emptyFile: string, signal: AbortSignal) {
    this.#connection = connection;
    this.emptyFile = emptyFile;
    this.signal = signal;
    signal.addEventListener('abort', this.#interrupt, { once: true });
  }

  static async open(instance: DuckDBInstance, emptyFile: string, signal: AbortSignal): Promise<RequestConnection> {
    return new RequestConnection(await instance.connect(), emptyFile, signal);
  }

  /** DuckDB forgets an interrupt that arrives just before a query starts, so it is repeated until the close. */
  readonly #interrupt = () => {
    this.#connection.interrupt();
    this.#repeat = setInterval(() => this.#connection.interrupt(), 50);
  };

  async run(sql: string): Promise<void> {
    this.signal.throwIfAborted();
    await this.#connection.run(sql);
  }

  /** Rows as JSON values: 64-bit numbers come as text. */
  async rows(sql: string): Promise<Json[][]> {
    this.signal.throwIfAborted();
    return (await this.#connection.run(sql)).getRowsJson();
  }

  /** The first cell of the first row as a number, 0 when there is none. */
  async count(sql: string): Promise<number> {
    return Number((await this.rows(sql))[0]?.[0] ?? 0);
  }

  close(): void {
    clearInterval(this.#repeat);
    this.signal.removeEventListener('abort', this.#interrupt);
    this.#connection.closeSync();
  }
}
