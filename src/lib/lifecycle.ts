import type { Logger } from './logger.ts';

/**
 * What has been opened and how it is closed: last in, first out, each within its time. A closer that fails or takes too
 * long is reported, and the others still get their turn.
 */
export class Lifecycle {
  readonly #closers: { name: string; limitMs: number; close: () => unknown }[] = [];
  readonly #log: Logger;
  #stopped: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  onStop(name: string, limitMs: number, close: () => unknown): void {
    this.#closers.push({ name, limitMs, close });
  }

  /** Runs every closer once, however often it is called. */
  stop(): Promise<void> {
    this.#stopped ??= this.#closeAll();
    return this.#stopped;
  }

  async #closeAll(): Promise<void> {
    for (let closer = this.#closers.pop(); closer; closer = this.#closers.pop()) {
      const { name, limitMs, close } = closer;
      const started = performance.now();
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<'late'>((resolve) => {
        timer = setTimeout(() => resolve('late'), limitMs);
      });
      try {
        const ended = await Promise.race([(async () => close())(), limit]);
        const ms = Math.round(performance.now() - started);
        if (ended === 'late') this.#log.warn({ phase: name, limitMs }, 'stopping took too long; going on without it');
        else this.#log.debug({ phase: name, ms }, 'stopped');
      } catch (error) {
        this.#log.error({ err: error, phase: name }, 'stopping failed; going on');
      } finally {
        clearTimeout(timer);
      }
    }
  }
}
