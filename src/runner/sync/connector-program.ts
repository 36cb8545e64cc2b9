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
import { ConnectorLog } from './connector-log.ts';
import { LineSplitter, LineTooLong } from './line-splitter.ts';
import { failureOf, type Message, parseMessage } from './messages.ts';

const GRACE_MS = 5000;
/** How long a connector may take for an answer; a replication lasts as long as it has something to move. */
const ANSWER_SECONDS = { spec: 60, check: 5 * 60, discover: 15 * 60 };
const limits = { processes: 512, fileBytes: 64 * 1024 ** 3, logBytes: 256 * 1024 ** 2 };

export type ConnectorParts = RunnerParts & {
  /** Folders of this machine that the operator lets sources read. */
  localSources: readonly string[];
};

export type ConnectorRun = {
  readonly parts: ConnectorParts;
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
      ...(definition.connector.readsLocalFiles && { MILLRACE_LOCAL_SOURCES: JSON.stringify(parts.localSources) }),
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
    ...(definition.connector.readsLocalFiles && { sharedFolders: [...parts.localSources] }),
    logDirectory: paths.log,
    network: definition.data.network === 'none' ? 'none' : 'full',
    limits: {
      ...limits,
      timeoutMs: 1000 * (command in ANSWER_SECONDS ? ANSWER_SECONDS[command as 'check'] : processSeconds(definition)),
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
  const said = new ConnectorLog(log, 'source', name);
  const say = (bytes: Buffer, start: number, end: number) =>
    said.add('info', bytes.toString('utf8', start, end).trimEnd());
  try {
    for await (const { stream, bytes } of parts.runtime.logs(handle)) {
      if (stream !== 'stderr') continue;
      splitter.push(Buffer.from(bytes), say);
      await said.ready();
    }
    splitter.end(say);
    said.flush();
  } catch {
    // The folder is gone with the job.
  }
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
  const log = new ConnectorLog(run.log, 'source', definition.name);
  let answer: Message | undefined;
  let problem: string | undefined;
  const take = (bytes: Buffer, start: number, end: number) => {
    const line = bytes.toString('utf8', start, end);
    const message = log.take(line, parseMessage(line));
    // Anything may come before it: the last one is meant.
    if (message?.type === type) answer = message;
    else if (message?.type === 'TRACE') problem = failureOf(message)?.message ?? problem;
  };
  try {
    const splitter = new LineSplitter();
    for await (const chunk of program.stdout) {
      splitter.push(chunk, take);
      await log.ready();
    }
    splitter.end(take);
    await log.ready();
    const exit = await program.exit;
    run.ctx.signal.throwIfAborted();
    if (exit.reason === 'timeout') problem ??= `The connector did not answer within ${ANSWER_SECONDS[command]} s.`;
    else if (exit.reason !== 'exited') problem ??= `The connector was ended: ${exit.reason}.`;
    else if (exit.code !== 0) problem ??= `The connector ended with exit code ${exit.code}.`;
    return { answer, problem };
  } catch (error) {
    if (!(error instanceof LineTooLong)) throw error;
    return { answer: undefined, problem: `The connector's answer cannot be read: ${error.message}.` };
  } finally {
    run.ctx.signal.removeEventListener('abort', onAbort);
    await program.stop();
  }
}

const processSeconds = (definition: ConnectorDefinition) => definition.data.process_timeout || 86_400;

/** Ends what an earlier worker of the job has left running, and removes its files. */
export async function endLeftovers({ parts, ctx, jobsDirectory }: ConnectorRun, rows: Iterable<number>): Promise<void> {
  for (const row of rows) {
    const { home, log } = rowPaths(jobsDirectory, ctx.job.id, row);
    const handle = { runtime: parts.runtime.name, id: runId(ctx.job.id, row), logDirectory: log };
    if ((await parts.runtime.recover(handle)) === 'adopted') await parts.runtime.remove(handle);
    await removeTree(home);
  }
}
