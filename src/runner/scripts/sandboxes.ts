import { setImmediate as nextTurn } from 'node:timers/promises';
import { SCRIPT_COMPONENT } from '../../core/scripts/script-model.ts';
import type { Logger } from '../../lib/logger.ts';
import type { RunnerParts } from '../job-run.ts';
import { memoryLimitMb } from '../steps/config-file.ts';
import { leaveSandboxes, removeSandbox, type Sandbox, startSandbox } from './sandbox.ts';

/** From the start of a sandbox to the latest end of its script. */
const LIFE_MS = { waiting: 30_000, running: 300_000, grace: 10_000 };

/**
 * Sandboxes for scripts. Starting one takes longer than most scripts, so while scripts run one is kept that has not
 * been used yet. None is used twice, so what one tenant leaves in its sandbox is seen by nobody.
 */
export class Sandboxes {
  readonly #parts: Pick<RunnerParts, 'core' | 'runtime' | 'jobsDirectory'>;
  readonly #log: Logger;
  #waiting: Promise<Sandbox | undefined> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #removals = new Set<Promise<void>>();

  constructor(parts: Pick<RunnerParts, 'core' | 'runtime' | 'jobsDirectory'>, log: Logger) {
    this.#parts = parts;
    this.#log = log;
  }

  /** A sandbox that nobody has used. */
  async take(): Promise<Sandbox> {
    const ready = await this.#letGo();
    if (ready && !(await this.#hasEnded(ready))) return ready;
    if (ready) await this.#remove(ready);
    return this.#start();
  }

  /** After its script: removes it, and makes one ready for the next script. */
  async discard(sandbox: Sandbox): Promise<void> {
    this.#keepOne();
    await this.#remove(sandbox);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#drop();
    await Promise.all(this.#removals);
    await leaveSandboxes(this.#parts);
  }

  async #start(): Promise<Sandbox> {
    const { core, runtime, jobsDirectory } = this.#parts;
    const { directory = '', data } = core.components.get(SCRIPT_COMPONENT);
    const place = { runtime, jobsDirectory, program: directory, memoryMb: memoryLimitMb(data.memory, undefined) };
    return startSandbox(place, LIFE_MS.waiting + LIFE_MS.running + LIFE_MS.grace);
  }

  /** Only where programs are kept from each other: elsewhere one could reach into the sandbox of the next. */
  #keepOne(): void {
    if (this.#isClosed || this.#waiting || !this.#parts.runtime.facts.isolated) return;
    this.#waiting = this.#start().catch((error: unknown) => {
      this.#log.warn({ err: error }, 'no sandbox could be made ready');
      return undefined;
    });
    this.#idle = setTimeout(() => void this.#drop(), LIFE_MS.waiting);
    this.#idle.unref();
  }

  async #drop(): Promise<void> {
    const left = await this.#letGo();
    if (left) await this.#remove(left);
  }

  /** The one that waits, if there is one; from now on it is the caller's. */
  async #letGo(): Promise<Sandbox | undefined> {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    clearTimeout(this.#idle);
    return waiting;
  }

  async #hasEnded({ handle }: Sandbox): Promise<boolean> {
    const ended = this.#parts.runtime.wait(handle).then(() => true);
    return Promise.race([ended, nextTurn(false)]);
  }

  async #remove(sandbox: Sandbox): Promise<void> {
    const removal = removeSandbox(this.#parts.runtime, sandbox).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'the sandbox of a script could not be removed'),
    );
    this.#removals.add(removal);
    await removal.finally(() => this.#removals.delete(removal));
  }
}
