import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../../lib/logger.ts';
import type { EngineSettings } from './engine-main.ts';
import { engineStopped } from './errors.ts';
import { startWorker, type WorkerProcess } from './worker-process.ts';

/**
 * Keeps the engine process: started by the first call, stopped after a while without calls, started again by the next.
 *
 *   absent ──call──► starting ──► ready ──idle──► absent
 *                        └──────────┴──ended by itself──► absent, and the next start waits a little longer
 */
export type EngineProcessOptions = Omit<EngineSettings, 'spillDirectory'> & {
  spillDirectory: string;
  idleSeconds: number;
  log: Logger;
};

const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 5_000;
/** A process that lived this long was fine: the next start does not wait. */
const STEADY_MS = 30_000;
const SPILL_PREFIX = 'engine-';

export class EngineProcess {
  readonly #options: EngineProcessOptions;
  #worker: Promise<WorkerProcess> | undefined;
  readonly #stopping = new WeakSet<WorkerProcess>();
  #starts = 0;
  #callsUnderway = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  #backoffMs = 0;
  #closed = false;

  constructor(options: EngineProcessOptions) {
    this.#options = options;
  }

  /** Process id while there is one, for tests and for `doctor`. */
  async pid(): Promise<number | undefined> {
    return (await this.#worker)?.pid;
  }

  /** Removes what engines of an earlier server have left behind. */
  async clearSpill(): Promise<void> {
    const { spillDirectory } = this.#options;
    await mkdir(spillDirectory, { recursive: true, mode: 0o700 });
    const stale = (await readdir(spillDirectory)).filter((name) => name.startsWith(SPILL_PREFIX));
    await Promise.all(stale.map((name) => rm(join(spillDirectory, name), { recursive: true, force: true })));
  }

  async call(method: string, params: unknown, signal?: AbortSignal): Promise<unknown> {
    if (this.#closed) throw engineStopped();
    clearTimeout(this.#idleTimer);
    this.#callsUnderway += 1;
    try {
      const worker = await this.#running(signal);
      return await worker.call(method, params, signal);
    } finally {
      this.#callsUnderway -= 1;
      if (this.#callsUnderway === 0 && !this.#closed) this.#stopWhenIdle();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idleTimer);
    await this.#stop();
  }

  #stopWhenIdle(): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => void this.#stop(), this.#options.idleSeconds * 1000);
    this.#idleTimer.unref();
  }

  /** A call that comes meanwhile gets a new process. */
  async #stop(): Promise<void> {
    const starting = this.#worker;
    this.#worker = undefined;
    const worker = await starting?.catch(() => undefined);
    if (worker === undefined) return;
    this.#stopping.add(worker);
    await worker.kill();
  }

  async #running(signal: AbortSignal | undefined): Promise<WorkerProcess> {
    if (this.#worker === undefined) {
      const starting = this.#start();
      this.#worker = starting;
      const forget = () => {
        if (this.#worker === starting) this.#worker = undefined;
      };
      starting.then((worker) => worker.ended.then(forget), forget);
    }
    const worker = await this.#worker;
    signal?.throwIfAborted();
    return worker;
  }

  async #start(): Promise<WorkerProcess> {
    const { log, memoryLimitMb, threads } = this.#options;
    if (this.#backoffMs > 0) await sleep(this.#backoffMs);
    if (this.#closed) throw engineStopped();
    this.#starts += 1;
    const spillDirectory = join(this.#options.spillDirectory, `${SPILL_PREFIX}${process.pid}-${this.#starts}`);
    const startedAt = Date.now();
    const worker = startWorker({ entry: 'engine-main.js', log, lost: engineStopped });
    void worker.ended.then(async (how) => {
      const isExpected = this.#stopping.has(worker);
      if (isExpected) log.debug({ pid: worker.pid }, 'table engine stopped');
      else log.error({ pid: worker.pid, how }, 'table engine ended unexpectedly');
      const wasSteady = isExpected || Date.now() - startedAt > STEADY_MS;
      this.#backoffMs = wasSteady ? 0 : Math.min(LAST_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.#backoffMs * 2));
      await rm(spillDirectory, { recursive: true, force: true });
    });
    try {
      const settings: EngineSettings = { memoryLimitMb, threads, spillDirectory };
      await worker.call('start', settings);
    } catch (thrown) {
      await worker.kill();
      throw thrown;
    }
    log.debug({ pid: worker.pid }, 'table engine started');
    return worker;
  }
}
