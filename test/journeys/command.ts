import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from '../support/cleanup.ts';

/** Runs the command line as its users do. */
export type Finished = {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  ms: number;
};

const bin = path.join(packageRoot, 'bin', 'millrace.js');
/** Nothing of the machine's own settings; commits need not survive a power cut here. */
const environment = { PATH: process.env.PATH, HOME: tmpdir(), MILLRACE_DATABASE_FSYNC: 'false' };

export class Command {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = '';
  stderr = '';

  constructor(t: TestContext, args: string[], options: { cwd?: string; env?: Record<string, string> } = {}) {
    const started = performance.now();
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: options.cwd ?? tmpdir(),
      env: { ...environment, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    child.stdout.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.finished = once(child, 'close').then(([code, signal]) => ({
      code,
      signal,
      stdout: this.stdout,
      stderr: this.stderr,
      ms: performance.now() - started,
    }));
    cleanup(t, async () => {
      child.kill('SIGTERM');
      await this.finished;
    });
  }

  /** The ready line of `up --json`. */
  async ready(): Promise<Ready> {
    for (;;) {
      const end = this.stdout.indexOf('\n');
      if (end >= 0) return JSON.parse(this.stdout.slice(0, end)) as Ready;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`it ended before it was ready: ${this.stderr}`);
      }
      await sleep(5);
    }
  }
}

export type Ready = { ready: true; url: string; dataDir: string; credentials: string; pid: number };

export function run(
  t: TestContext,
  args: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Finished> {
  return new Command(t, args, options).finished;
}

/** A path for a data directory that does not exist yet; whatever still lives in it afterwards is killed. */
export function dataDirectory(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-journey-'));
  const data = path.join(folder, 'data');
  cleanup(t, () => {
    const pid = postgresPid(data);
    if (pid !== undefined) kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  return data;
}

export function postgresPid(data: string): number | undefined {
  try {
    return Number(readFileSync(path.join(data, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]);
  } catch {
    // Not running.
    return undefined;
  }
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Ended meanwhile.
  }
}
