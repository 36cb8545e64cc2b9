import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../lib/logger.ts';
import { backoffMs } from '../lib/retry.ts';

type Callback = (payload: string) => void;

const HEARTBEAT_MS = 30_000;
const HEARTBEAT_LIMIT_MS = 10_000;
const RECONNECT = { firstMs: 100, maxMs: 5000 };

/**
 * LISTEN over one connection of its own, made at the first subscription. A half-dead connection stays silent for ever,
 * hence the heartbeat. Notifications sent while it reconnects are lost: they are hints, everybody polls as well.
 */
export class Listener {
  readonly #config: pg.ClientConfig;
  readonly #log: Logger;
  readonly #channels = new Map<string, Set<Callback>>();
  #client: pg.Client | undefined;
  #connecting: Promise<void> | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #closing = new AbortController();

  constructor(config: pg.ClientConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  async listen(channel: string, onNotify: Callback): Promise<() => Promise<void>> {
    let callbacks = this.#channels.get(channel);
    const isNew = callbacks === undefined;
    if (!callbacks) {
      callbacks = new Set();
      this.#channels.set(channel, callbacks);
    }
    callbacks.add(onNotify);
    if (!this.#client) await this.#connect();
    // A connection that was made just now has subscribed to every channel of the map already.
    else if (isNew) await this.#run(`listen ${pg.escapeIdentifier(channel)}`);
    return async () => {
      callbacks.delete(onNotify);
      if (callbacks.size > 0 || this.#channels.get(channel) !== callbacks) return;
      this.#channels.delete(channel);
      await this.#run(`unlisten ${pg.escapeIdentifier(channel)}`);
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#heartbeat);
    await this.#connecting?.catch(() => {});
    const client = this.#client;
    this.#client = undefined;
    // An end that the other side never answers must not hold up the stop of the server.
    if (client) await Promise.race([client.end().catch(() => {}), sleep(1000, undefined, { ref: false })]);
  }

  /** A failing statement means a lost connection; reconnecting repeats every LISTEN. */
  async #run(text: string): Promise<void> {
    try {
      await this.#client?.query(text);
    } catch (error) {
      this.#log.warn({ err: error }, 'the notification connection failed');
    }
  }

  #connect(): Promise<void> {
    this.#connecting ??= this.#connectUntilItWorks().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connectUntilItWorks(): Promise<void> {
    for (let failures = 0; !this.#closing.signal.aborted; ) {
      const client = new pg.Client({ ...this.#config, application_name: 'millrace-listen' });
      client.on('notification', ({ channel, payload }) => this.#notify(channel, payload ?? ''));
      client.on('error', (error) => this.#lost(client, error));
      client.on('end', () => this.#lost(client, undefined));
      try {
        await client.connect();
        for (const channel of this.#channels.keys()) await client.query(`listen ${pg.escapeIdentifier(channel)}`);
        this.#client = client;
        this.#startHeartbeat(client);
        return;
      } catch (error) {
        void client.end().catch(() => {});
        failures++;
        this.#log.warn({ err: error, failures }, 'cannot listen for notifications yet');
        await sleep(backoffMs(failures, RECONNECT), undefined, { signal: this.#closing.signal, ref: false }).catch(
          () => {},
        );
      }
    }
  }

  #startHeartbeat(client: pg.Client): void {
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => {
      const limit = setTimeout(() => this.#lost(client, new Error('no answer to the heartbeat')), HEARTBEAT_LIMIT_MS);
      limit.unref();
      client.query('select 1').then(
        () => clearTimeout(limit),
        (error: unknown) => {
          clearTimeout(limit);
          this.#lost(client, error);
        },
      );
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  #lost(client: pg.Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    clearInterval(this.#heartbeat);
    void client.end().catch(() => {});
    if (this.#closing.signal.aborted) return;
    this.#log.warn({ err: error }, 'the notification connection was lost');
    void this.#connect();
  }

  #notify(channel: string, payload: string): void {
    for (const callback of this.#channels.get(channel) ?? []) {
      try {
        callback(payload);
      } catch (error) {
        this.#log.error({ err: error, channel }, 'a notification was not handled');
      }
    }
  }
}
