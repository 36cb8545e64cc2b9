import { writeFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { ConnectorDefinition } from '../../core/components/connectors.ts';
import type { PipedRun, RunExit, RunSpec } from '../../drivers/runtimes/contract.ts';
import type { Json } from '../../lib/json.ts';
import type { JobLog } from '../job-log.ts';
import type { RunnerParts } from '../job-run.ts';
import type { JobContext } from '../kind.ts';
import { runErrors } from '../run-errors.ts';
import { memoryLimitMb } from '../steps/config-file.ts';
import { makeWorkDirectory, type RowPaths, removeTree, rowPaths, runId } from '../steps/work-dir.ts';
import { LineSplitter } from './line-splitter.ts';
import { failureOf, type Message, member, parseMessage, textOf } from './messages.ts';

const GRACE_MS = 5000;
const limits = { processes: 512, fileBytes: 64 * 1024 ** 3, logBytes: 256 * 1024 ** 2 };

export type ConnectorRun = {
  readonly parts: RunnerParts;
  readonly ctx: JobContext;
  readonly log: JobLog;
  readonly jobsDirectory: string;
};

/** A running connector and its files. */
export type Program = PipedRun & { paths: RowPaths; exit: Promise<RunExit>; stop(): Promise<void> };

/** Starts a connector in the work folder with this number, with the given files in it. */
export async function startConnector(
  run: ConnectorRun,
  definition: ConnectorDefinition,
  row: number,
  command: 'spec' | 'check' | 'discover' | 'read' | 'write',
  files: { config?: Json; catalog?: Json; state?: string },
): Promise<Program> {
  const { parts, ctx, jobsDirectory } = run;
  const { runtime } = parts;
  const how = definition.run;
  if (!how || !('command' in how) || definition.directory === undefined) throw runErrors.notInstalled(definition.id);
  if (!runtime.startPiped) throw runErrors.crashed('the runtime cannot run connectors');
  const paths = await makeWorkDirectory(jobsDirectory, ctx.job.id, row);
  const names = { config: 'config.json', catalog: 'catalog.json', state: 'state.json' };
  const options: string[] = [];
  for (const name of ['config', 'catalog', 'state'] as const) {
    const content = files[name];
    if (content === undefined) continue;
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    await writeFile(join(paths.data, names[name]), text, { mode: 0o600 });
    options.push(`--${name}`, `{data}/${names[name]}`);
  }
  const { directory } = definition;
  const program = how.command.map((part) => {
    if (part === '{node}') return process.execPath;
    return !isAbsolute(part) && /\.[a-z]+$/.test(part) ? join(directory, part) : part;
  });
  const spec: RunSpec = {
    id: runId(ctx.job.id, row),
    command: [...program, command, ...options],
    workDirectory: paths.data,
    environment: {
      // Node reads the machine's settings at start, which not every machine shows to every user, and dies over it.
      ...(program[0] === process.execPath && { OPENSSL_CONF: '/dev/null' }),
      // Else Python keeps what it prints until it has a lot of it.
      PYTHONUNBUFFERED: '1',
      AIRBYTE_ROLE: '',
      DEPLOYMENT_MODE: 'OSS',
      WORKER_ENVIRONMENT: 'DOCKER',
      WORKER_JOB_ID: String(ctx.job.id),
      WORKER_JOB_ATTEMPT: String(row),
      USE_STREAM_CAPABLE_STATE: 'true',
      DATA_CHANNEL_FORMAT: 'JSONL',
      DATA_CHANNEL_MEDIUM: 'STDIO',
    },
    readOnlyPaths: [directory],
    logDirectory: paths.log,
    network: definition.data.network === 'none' ? 'none' : 'full',
    limits: {
      ...limits,
      timeoutMs: (definition.data.process_timeout || 86_400) * 1000,
      memoryMb: memoryLimitMb(definition.data.memory ?? '1g', undefined),
    },
  };
  const piped = await runtime.startPiped(spec, ctx.signal);
  // A program that ends before it has read everything is no fault of the stream.
  piped.stdin.on('error', () => undefined);
  piped.stdout.on('error', () => undefined);
  void passOn(run, piped, definition.name);
  return {
    ...piped,
    paths,
    exit: runtime.wait(piped.handle),
    stop: () => runtime.stop(piped.handle, ctx.signal.aborted ? GRACE_MS / 5 : GRACE_MS),
  };
}

/** What it prints beside its messages. */
async function passOn({ parts, log }: ConnectorRun, { handle }: PipedRun, name: string): Promise<void> {
  const splitter = new LineSplitter();
  try {
    for await (const { stream, bytes } of parts.runtime.logs(handle)) {
      if (stream !== 'stderr') continue;
      for (const line of splitter.push(Buffer.from(bytes))) log.info(`${name}: ${line}`);
      await log.ready();
    }
    for (const line of splitter.end()) log.info(`${name}: ${line}`);
  } catch {
    // The folder is gone with the job.
  }
}

/** Log messages of a connector, and whatever else it printed, in the log of the job. Answers what is a message. */
export function logOrMessage(log: JobLog, name: string, line: string): Message | undefined {
  const message = parseMessage(line);
  if (!message) {
    log.info(`${name}: ${line}`);
    return undefined;
  }
  if (message.type !== 'LOG') return message;
  const level = textOf(member(message, 'log', 'level')) ?? 'INFO';
  const text = `${name}: ${textOf(member(message, 'log', 'message')) ?? ''}`;
  if (level === 'FATAL' || level === 'ERROR') log.error(text);
  else if (level === 'WARN') log.warn(text);
  else if (level === 'INFO') log.info(text);
  return undefined;
}

/** Runs a command that answers with one message; undefined where none came. */
export async function askConnector(
  run: ConnectorRun,
  definition: ConnectorDefinition,
  command: 'spec' | 'check' | 'discover',
  type: string,
  config: Json,
): Promise<{ answer: Message | undefined; problem: string | undefined }> {
  const program = await startConnector(run, definition, 0, command, { config });
  const onAbort = () => void program.stop();
  run.ctx.signal.addEventListener('abort', onAbort, { once: true });
  program.stdin.end();
  let answer: Message | undefined;
  let problem: string | undefined;
  const take = async (line: Buffer) => {
    const message = logOrMessage(run.log, definition.name, line.toString());
    if (message?.type === type) answer = message;
    else if (message?.type === 'TRACE') problem = failureOf(message)?.message ?? problem;
    await run.log.ready();
  };
  try {
    const splitter = new LineSplitter();
    for await (const chunk of program.stdout) for (const line of splitter.push(chunk)) await take(line);
    for (const line of splitter.end()) await take(line);
    const exit = await program.exit;
    run.ctx.signal.throwIfAborted();
    if (exit.reason !== 'exited') problem ??= `The connector was ended: ${exit.reason}.`;
    else if (exit.code !== 0) problem ??= `The connector ended with exit code ${exit.code}.`;
    return { answer, problem };
  } finally {
    run.ctx.signal.removeEventListener('abort', onAbort);
    await program.stop();
  }
}

/** Ends what an earlier worker of the job has left running, and removes its files. */
export async function endLeftovers({ parts, ctx, jobsDirectory }: ConnectorRun, rows: Iterable<number>): Promise<void> {
  for (const row of rows) {
    const { home, log } = rowPaths(jobsDirectory, ctx.job.id, row);
    const handle = { runtime: parts.runtime.name, id: runId(ctx.job.id, row), logDirectory: log };
    if ((await parts.runtime.recover(handle)) === 'adopted') await parts.runtime.remove(handle);
    await removeTree(home);
  }
}
