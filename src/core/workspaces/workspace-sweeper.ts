import type { Logger } from '../../lib/logger.ts';
import type { Workspaces } from './workspaces.ts';

const INTERVAL_MS = 60_000;

/** Finishes what a crash left half-done and drops what has expired or lost its token. */
export class WorkspaceSweeper {
  readonly #workspaces: Workspaces;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(parts: { workspaces: Workspaces; log: Logger }) {
    this.#workspaces = parts.workspaces;
    this.#log = parts.log;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => this.sweepOnce());
    }, INTERVAL_MS);
    this.#timer.unref();
  }

  /** Resolves when the workspace under way is done with. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  /** Returns how many were removed. A backend that is down fails its own only; they are tried again later. */
  async sweepOnce(options: { everything?: boolean } = {}): Promise<number> {
    let removed = 0;
    try {
      for (const due of await this.#workspaces.listDue(options)) {
        if (this.#isStopped) break;
        try {
          if (await this.#workspaces.sweep(due)) removed++;
        } catch (error) {
          this.#log.warn({ err: error, workspaceId: due.id, reason: due.reason }, 'a workspace could not be removed');
        }
      }
    } catch (error) {
      this.#log.error({ err: error }, 'sweeping workspaces failed; it is tried again later');
    }
    if (removed > 0) this.#log.info({ removed }, 'removed workspaces');
    return removed;
  }
}
