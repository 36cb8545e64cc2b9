import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { AppError } from '../../core/errors.ts';
import type { RunExit, RunHandle, RunSpec } from '../../drivers/runtimes/contract.ts';
import type { Json } from '../../lib/json.ts';
import { cutMiddle, ProgramOutput } from '../job-log.ts';
import { imageOf, type JobRun, type RowRun } from '../job-run.ts';
import { StopReason } from '../kind.ts';
import { runErrors } from '../run-errors.ts';
import { asMap, memoryLimitMb, timeoutSeconds } from './config-file.ts';
import { componentEnvironment } from './configuration.ts';
import { runId } from './work-dir.ts';

/** How long a program that was told to stop may take to do so. */
const GRACE_MS = 5000;

const limits = {
  processes: 512,
  fileBytes: 64 * 1024 ** 3,
  logBytes: 64 * 1024 ** 2,
};

/** What is kept on the job, to find its program again after a restart of the server. */
export type ProgramHandle = { row: number; run: RunHandle };

export const toHandle = (handle: ProgramHandle) => handle as unknown as Json;

export function fromHandle(handle: Json | undefined): ProgramHandle | undefined {
  return typeof handle === 'object' && handle !== null && 'run' in handle
    ? (handle as unknown as ProgramHandle)
    : undefined;
}

/** Starts the component's program. From here on it may go on without this server. */
export async function startProgram(run: JobRun, row: RowRun): Promise<RunHandle> {
  const { runtime } = run.parts;
  const spec = await programSpec(run, row);
  // Before the start: after a crash the runtime then knows whether this run ever began.
  await run.ctx.saveHandle(toHandle({ row: row.index, run: runtime.handleOf(spec) }));
  return runtime.start(spec, run.ctx.signal);
}

async function programSpec(run: JobRun, row: RowRun): Promise<RunSpec> {
  const { component, ctx } = run;
  const { run: how, directory } = component;
  if (!how || !('command' in how) || directory === undefined) throw runErrors.crashed('the component has no program');
  return {
    id: runId(ctx.job.id, row.index),
    command: how.command,
    workDirectory: row.paths.data,
    currentDirectory: directory,
    environment: await componentEnvironment(run, row),
    readOnlyPaths: isAbsolute(directory) ? [directory] : [],
    logDirectory: row.paths.log,
    network: component.data.network === 'none' ? 'none' : 'full',
    limits: { ...limits, timeoutMs: programTimeout(run, row) * 1000, memoryMb: programMemory(run, row) },
  };
}

export function programTimeout({ component }: JobRun, { checked }: RowRun): number {
  return timeoutSeconds(component.data.process_timeout, checked.runtime);
}

export function programMemory({ component, ctx }: JobRun, { checked }: RowRun): number {
  const asked = asMap(asMap(asMap(ctx.job.input).options).backend);
  const size = asked.containerType ?? asked.type;
  return memoryLimitMb(component.data.memory, typeof size === 'string' ? size : checked.runtime.containerType);
}

/**
 * Follows a program to its end, new or taken over, and throws unless it ended well. When the job is killed, so is the
 * program; when only this server goes, the program stays for the next one.
 */
export async function awaitProgram(run: JobRun, row: RowRun, handle: RunHandle): Promise<void> {
  const { runtime } = run.parts;
  const { signal } = run.ctx;
  const output = new ProgramOutput(run.log);
  const onAbort = () => {
    if (isKill(signal))
      runtime.stop(handle, GRACE_MS).catch((error) => run.ctx.log.error({ err: error }, 'stop failed'));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const notes = join(row.paths.home, 'said');
    const followed = (async () => {
      for await (const chunk of runtime.logs(handle, { stdout: await readPosition(notes), stderr: 0 })) {
        // Somebody else follows it now, or will.
        if (signal.aborted && !isKill(signal)) break;
        await output.add(chunk);
        const { saidBytes } = output;
        if (saidBytes > 0) void run.log.flush().then(() => notePosition(notes, saidBytes));
      }
      return runtime.wait(handle);
    })();
    const exit = await (isKill(signal) ? followed : untilTaken(followed, signal));
    output.end();
    signal.throwIfAborted();
    conclude(run, row, exit, output);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** How far an earlier server has passed on what the program says. */
async function readPosition(path: string): Promise<number> {
  return Number(await readFile(path, 'utf8').catch(() => '0')) || 0;
}

/** Less than all of it only repeats a few lines. */
function notePosition(path: string, bytes: number): void {
  try {
    writeFileSync(path, String(bytes));
  } catch {
    // The job has ended meanwhile, and its folder is gone.
  }
}

const isKill = (signal: AbortSignal) => signal.reason instanceof StopReason && signal.reason.reason === 'killed';

/** The result, unless the program is left to somebody else before. */
function untilTaken<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      if (!isKill(signal)) reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    result.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function conclude(run: JobRun, row: RowRun, exit: RunExit, output: ProgramOutput): void {
  const stderr = output.stderr.text();
  const problem = exitProblem(exit, {
    stdout: output.stdout.text(),
    stderr,
    image: imageOf(run),
    name: runId(run.ctx.job.id, row.index),
    program: run.component.run && 'command' in run.component.run ? (run.component.run.command[0] ?? '') : '',
    memoryMb: programMemory(run, row),
    timeoutSeconds: programTimeout(run, row),
    tellsAll:
      (run.component.data.logging as { no_application_errors?: boolean } | undefined)?.no_application_errors ?? false,
  });
  if (problem) throw new AppError(problem.kind, problem.code, run.log.mask(problem.message), { retryable: false });
  run.log.error(stderr);
}

export type ExitFacts = {
  stdout: string;
  stderr: string;
  image: string;
  name: string;
  program: string;
  memoryMb: number;
  timeoutSeconds: number;
  /** Whether the component may show every error to its user. */
  tellsAll: boolean;
};

/** What an exit means for the job, undefined where all is well. In the order in which the reasons count. */
export function exitProblem(exit: RunExit, facts: ExitFacts): AppError | undefined {
  switch (exit.reason) {
    case 'out-of-memory':
      return runErrors.outOfMemory(facts.memoryMb);
    case 'timeout':
      return runErrors.timeout(facts.image, facts.timeoutSeconds);
    case 'output-limit':
      return runErrors.outputLimit();
    case 'lost':
    case 'stopped':
      return runErrors.lost();
    case 'exited':
      break;
  }
  if (exit.code === 0) return undefined;
  const seconds = (Date.parse(exit.finishedAt) - Date.parse(exit.startedAt)) / 1000;
  if (exit.code === 137 || exit.code === 125) {
    return seconds >= facts.timeoutSeconds ? runErrors.timeout(facts.image, facts.timeoutSeconds) : runErrors.killed();
  }
  const message = cutMiddle((facts.stderr.trim() || facts.stdout.trim() || 'No error message.').replaceAll('\0', ''));
  if (exit.code === 1) return runErrors.component(message);
  if (exit.code === 127 && /not found/.test(facts.stderr)) return runErrors.programMissing(facts.program);
  const text = `${facts.image} container '${facts.name}' failed: (${exit.code}) ${message}`;
  return facts.tellsAll ? runErrors.component(text) : runErrors.crashed(text);
}
