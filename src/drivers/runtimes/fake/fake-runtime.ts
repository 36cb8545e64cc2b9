import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../../core/errors.ts';
import type { LogChunk, Recovery, RunExit, RunHandle, RunSpec, Runtime, RuntimeFacts } from '../contract.ts';
import { followLogs, logNames } from '../log-files.ts';

/** What a program of the fake runtime does, one after another; it exits 0 at the end of the list. */
export type FakeStep =
  | { print: string; to?: 'stdout' | 'stderr' }
  /** Prints a variable of its environment. */
  | { printVariable: string }
  /** Paths are relative to the data folder. */
  | { write: string; text: string }
  | { copy: string; to: string }
  | { sleepMs: number }
  | { exit: number }
  | { hang: true; ignoreTerm?: boolean }
  | { useMemoryMb: number }
  /** The whole machine goes down: nothing is left of the program, not even how it ended. */
  | { vanish: true };

/** Programs that go on while servers come and go: hand the same machine to two runtimes to play a restart. */
export class FakeMachine {
  readonly programs = new Map<string, FakeProgram>();
}

type FakeProgram = {
  exit: Promise<RunExit>;
  end(exit: Pick<RunExit, 'code' | 'reason'>): void;
  isPolite: boolean;
  isLost: boolean;
};

/** The command `['fake', JSON]` with the steps as JSON, or `['fail-at-start']`. `override` wins over every command. */
export class FakeRuntime implements Runtime {
  readonly name = 'fake';
  readonly facts: RuntimeFacts = { isolated: true, runs: 'command', canLimitMemory: true };
  readonly #machine: FakeMachine;
  readonly #override: ((spec: RunSpec) => FakeStep[] | Promise<FakeStep[]>) | undefined;
  /** Every start so far, for tests that ask what was run. */
  readonly started: RunSpec[] = [];

  constructor(machine = new FakeMachine(), override?: (spec: RunSpec) => FakeStep[] | Promise<FakeStep[]>) {
    this.#machine = machine;
    this.#override = override;
  }

  async check(): Promise<void> {}

  async workRoot(preferred: string): Promise<string> {
    return preferred;
  }

  handleOf(spec: RunSpec): RunHandle {
    return { runtime: this.name, id: spec.id, logDirectory: spec.logDirectory };
  }

  async start(spec: RunSpec, signal?: AbortSignal): Promise<RunHandle> {
    signal?.throwIfAborted();
    if (!this.#override && spec.command[0] !== 'fake') {
      throw new AppError('unavailable', 'runtime.unusable', 'The program could not be started', { retryable: false });
    }
    const steps = this.#override ? await this.#override(spec) : (JSON.parse(spec.command[1] ?? '[]') as FakeStep[]);
    mkdirSync(spec.logDirectory, { recursive: true });
    for (const name of Object.values(logNames)) writeFileSync(join(spec.logDirectory, name), '');
    this.started.push(spec);
    this.#run(spec, steps);
    return this.handleOf(spec);
  }

  async wait(handle: RunHandle): Promise<RunExit> {
    const program = this.#machine.programs.get(handle.id);
    if (!program || program.isLost) {
      const now = new Date().toISOString();
      return { code: 137, reason: 'lost', startedAt: now, finishedAt: now };
    }
    return program.exit;
  }

  async stop(handle: RunHandle, graceMs: number): Promise<void> {
    const program = this.#machine.programs.get(handle.id);
    if (!program) return;
    if (program.isPolite && graceMs > 0) program.end({ code: 143, reason: 'stopped' });
    else await Promise.race([program.exit, sleep(graceMs)]);
    program.end({ code: 137, reason: 'stopped' });
    await program.exit;
  }

  async remove(handle: RunHandle): Promise<void> {
    await this.stop(handle, 0);
    this.#machine.programs.delete(handle.id);
  }

  async recover(handle: RunHandle): Promise<Recovery> {
    const program = this.#machine.programs.get(handle.id);
    if (!program) return 'never-started';
    return program.isLost ? 'lost' : 'adopted';
  }

  async *logs(handle: RunHandle, from = { stdout: 0, stderr: 0 }): AsyncGenerator<LogChunk> {
    const program = this.#machine.programs.get(handle.id);
    yield* followLogs(handle.logDirectory, from, program?.exit ?? Promise.resolve());
  }

  async close(): Promise<void> {}

  #run(spec: RunSpec, steps: FakeStep[]): void {
    const startedAt = new Date().toISOString();
    let finish: (exit: RunExit) => void = () => undefined;
    const exit = new Promise<RunExit>((resolve) => {
      finish = resolve;
    });
    const isOver = new AbortController();
    const program: FakeProgram = {
      exit,
      isPolite: !steps.some((step) => 'hang' in step && step.ignoreTerm),
      isLost: false,
      end: ({ code, reason }) => {
        if (isOver.signal.aborted) return;
        isOver.abort();
        finish({ code, reason, startedAt, finishedAt: new Date().toISOString() });
      },
    };
    this.#machine.programs.set(spec.id, program);
    const deadline = setTimeout(() => program.end({ code: 137, reason: 'timeout' }), spec.limits.timeoutMs);
    exit.then(() => clearTimeout(deadline));
    void playSteps(spec, steps, program, isOver.signal);
  }
}

async function playSteps(spec: RunSpec, steps: FakeStep[], program: FakeProgram, over: AbortSignal): Promise<void> {
  const log = (stream: 'stdout' | 'stderr', text: string) => {
    const path = join(spec.logDirectory, logNames[stream]);
    const room = spec.limits.logBytes - readFileSync(path).length;
    appendFileSync(path, Buffer.from(text).subarray(0, room));
    if (Buffer.byteLength(text) >= room) program.end({ code: 137, reason: 'output-limit' });
  };
  const inData = (path: string) => resolve(spec.workDirectory, path);
  for (const step of steps) {
    await new Promise((resolve) => setImmediate(resolve));
    if (over.aborted) return;
    if ('print' in step) log(step.to ?? 'stdout', step.print);
    else if ('printVariable' in step) {
      log('stdout', (spec.environment[step.printVariable] ?? '').replaceAll('{data}', spec.workDirectory));
    } else if ('write' in step) {
      mkdirSync(dirname(inData(step.write)), { recursive: true });
      writeFileSync(inData(step.write), step.text);
    } else if ('copy' in step) writeFileSync(inData(step.to), readFileSync(inData(step.copy)));
    else if ('sleepMs' in step) await sleep(step.sleepMs, undefined, { signal: over }).catch(() => undefined);
    else if ('exit' in step) return program.end({ code: step.exit, reason: 'exited' });
    else if ('hang' in step) return;
    else if ('vanish' in step) {
      program.isLost = true;
      return program.end({ code: 137, reason: 'lost' });
    } else if (step.useMemoryMb > spec.limits.memoryMb) return program.end({ code: 137, reason: 'out-of-memory' });
  }
  program.end({ code: 0, reason: 'exited' });
}
