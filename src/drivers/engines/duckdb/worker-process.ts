import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { constants, setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { AppError } from '../../../core/errors.ts';
import type { Logger } from '../../../lib/logger.ts';
import { CallChannel } from './channel.ts';

/** One child process of ours with DuckDB in it, and the channel to it. */
export type WorkerProcess = {
  readonly pid: number | undefined;
  readonly alive: boolean;
  readonly inFlight: number;
  call(method: string, params: unknown, signal?: AbortSignal): Promise<unknown>;
  /** Resolves when the process is gone, with what ended it, for the log. */
  readonly ended: Promise<string>;
  /** Ends the process at once; what it writes meanwhile is never committed by anyone. */
  kill(): Promise<void>;
};

export type WorkerOptions = {
  /** File name of the compiled entry, beside this one. */
  entry: 'engine-main.js' | 'session-main.js';
  log: Logger;
  /** What a failed call says when the process ended under it. */
  lost: () => AppError;
  /** Program and arguments put before `node entry` (a sandbox). */
  wrap?: string[];
};

/**
 * The environment is scrubbed: DuckDB reads proxies, tokens and home directories from it. Queries occupy threads of
 * the libuv pool for as long as they run, hence the larger pool; two malloc arenas keep freed memory returning.
 */
export function workerEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    TZ: 'UTC',
    LC_ALL: 'C.UTF-8',
    UV_THREADPOOL_SIZE: '16',
    MALLOC_ARENA_MAX: '2',
  };
}

export function startWorker(options: WorkerOptions): WorkerProcess {
  const entry = fileURLToPath(new URL(`./${options.entry}`, import.meta.url));
  // V8's heap holds little here (previews, file lists); a small young generation keeps idle memory down.
  const command = [...(options.wrap ?? []), process.execPath, '--max-semi-space-size=2', '--enable-source-maps', entry];
  const child: ChildProcess = spawn(command[0]!, command.slice(1), {
    env: workerEnvironment(),
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    // A process group of its own, see kill.
    detached: true,
  });
  // Whoever waits for an answer of the server goes before a long query; an idle machine gives the query everything.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  const channel = new CallChannel(child.stdio[3] as Socket);
  let alive = true;
  const ended = new Promise<string>((resolve) => {
    const end = (how: string) => {
      if (!alive) return;
      alive = false;
      channel.fail(options.lost());
      resolve(how);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
  });
  child.stdin?.on('error', () => {});
  createInterface({ input: child.stderr as Readable }).on('line', (line) => options.log.warn({ pid: child.pid }, line));
  return {
    get pid() {
      return child.pid;
    },
    get alive() {
      return alive;
    },
    get inFlight() {
      return channel.inFlight;
    },
    call: (method, params, signal) => channel.call(method, params, signal),
    ended,
    async kill() {
      // The group, because a sandbox that is only being set up has a second process which does not yet die with the first.
      if (alive && child.pid !== undefined) killGroup(child.pid);
      await ended;
      // Whoever may still hold the other ends must not keep this process waiting.
      for (const stream of child.stdio) stream?.destroy();
    },
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
