import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunDefinition, RunInput, RunRequest } from '../core/components/run-definition.ts';
import { AppError } from '../core/errors.ts';
import type { Job, JobMetrics } from '../core/jobs/job-model.ts';
import type { RunHandle } from '../drivers/runtimes/contract.ts';
import type { Json } from '../lib/json.ts';
import { JobLog } from './job-log.ts';
import {
  emptyInput,
  type InputReport,
  imageOf,
  type JobRun,
  type RowRun,
  type RunnerParts,
  type SubmittedLoad,
} from './job-run.ts';
import { type JobContext, StopReason } from './kind.ts';
import { runErrors } from './run-errors.ts';
import { openConfiguration, writeConfiguration } from './steps/configuration.ts';
import { awaitProgram, fromHandle, startProgram } from './steps/container.ts';
import { downloadInputFiles, tagProcessedFiles } from './steps/input-files.ts';
import { exportInputTables } from './steps/input-tables.ts';
import { loadObjects } from './steps/objects.ts';
import { storeOutputFiles } from './steps/output-files.ts';
import {
  awaitLoads,
  describeTables,
  folderSources,
  type OutputSource,
  outputReport,
  submitLoads,
} from './steps/output-tables.ts';
import { openSession, runBlocks, sessionSources } from './steps/sql.ts';
import { readStates, readUsage, readVariables, storeStates } from './steps/state.ts';
import { makeWorkDirectory, removeJobDirectory, rowPaths } from './steps/work-dir.ts';

/**
 * Carries out a job of a component:
 *
 *   for each row    folder ─► input tables and files ─► config.json ─► program or SQL ─► output files ─► loads submitted
 *   then            loads awaited ─► metadata ─► tags of processed files ─► finish, with the states ─► folders removed
 *
 * What may happen twice may happen: a job that is taken over repeats every step but the program. Loads are submitted
 * with a key under which the second submission answers the first job, and a program is looked for by its handle:
 * found, it is waited for; never started, it starts; started and gone without a word, the job has failed.
 */
export async function runJob(parts: RunnerParts, ctx: JobContext): Promise<void> {
  const component = parts.core.components.get(ctx.job.componentId ?? '');
  // Programs may need another place than SQL, whose files are better on the disk of the tables.
  const isProgram = component.run !== undefined && 'command' in component.run;
  const jobsDirectory = isProgram ? await parts.runtime.workRoot(parts.jobsDirectory) : parts.jobsDirectory;
  const run: JobRun = { parts, ctx, component, jobsDirectory, log: new JobLog(ctx, component.id) };
  const progress: Progress = { rows: [], usage: [], variables: undefined, images: [], configVersion: undefined };
  try {
    await carryOut(run, progress);
  } catch (error) {
    await conclude(run, progress, error);
  }
  try {
    await run.log.flush();
  } finally {
    await removeJobDirectory(jobsDirectory, ctx.job.id);
  }
}

/** What is known of the job so far; a failure shows it too. */
type Progress = {
  rows: RowRun[];
  usage: Json[];
  variables: { name: string; value: string }[] | undefined;
  images: Json[];
  configVersion: string | undefined;
};

async function carryOut(run: JobRun, progress: Progress): Promise<void> {
  const { ctx, parts, component } = run;
  // Nothing is begun for a job that was killed; what was begun before is taken over below, to be stopped.
  const resumed = fromHandle(ctx.job.handle);
  if (!resumed) ctx.signal.throwIfAborted();
  if (!component.run) throw runErrors.notInstalled(component.id);
  if (ctx.job.mode === 'debug') throw runErrors.unsupportedMode('debug');
  const definitions = await parts.core.configurations.resolveForRun(ctx.actor, toRequest(ctx.job));
  progress.configVersion = definitions[0]?.version?.toString();
  for (const [index, definition] of definitions.entries()) {
    const place = `(row ${index + 1} of ${definitions.length})`;
    if (!resumed || resumed.row < index) {
      if (definition.notice) run.log.warn(definition.notice);
      run.log.info(`Running component ${component.id} ${place}`);
    }
    const row = await openRow(run, definition, index);
    progress.rows.push(row);
    if (!('builtin' in component.run)) await runProgram(run, row, progress, resumed);
    else if (component.run.builtin === 'objects') await loadObjects(run, row);
    else await runSql(run, row);
    progress.images.push([{ id: imageOf(run), digests: [] }]);
    run.log.info(`Finished component ${component.id} ${place}`);
  }
  const ended = await awaitLoads(run, progress.rows);
  await describeTables(run, progress.rows);
  if (ended.size > 0) run.log.info('Output mapping done.');
  ctx.signal.throwIfAborted();
  const states = await readStates(progress.rows);
  for (const row of progress.rows) await tagProcessedFiles(run, row);
  const result = await toResult(run, progress, ended);
  await run.log.flush();
  const outcome = { status: 'succeeded' as const, result, metrics: toMetrics(progress, ended), usage: progress.usage };
  let problems: string[] = [];
  await ctx.finish(outcome, async (tx) => {
    problems = await storeStates(tx, run, states);
  });
  for (const problem of problems) run.log.warn(problem);
}

function toRequest({ componentId, configurationId, configurationRowIds, mode, input }: Job): RunRequest {
  return {
    componentId: componentId ?? '',
    configurationId,
    rowIds: configurationRowIds,
    mode,
    input: input as unknown as Partial<RunInput>,
  };
}

async function openRow(run: JobRun, definition: RunDefinition, index: number): Promise<RowRun> {
  const { checked, state } = openConfiguration(run, definition);
  const paths = rowPaths(run.jobsDirectory, run.ctx.job.id, index);
  return { index, definition, checked, state, paths, input: emptyInput(), loads: [] };
}

async function runSql(run: JobRun, row: RowRun): Promise<void> {
  await makeWorkDirectory(run.jobsDirectory, run.ctx.job.id, row.index);
  const session = await openSession(run, row);
  try {
    await withFailurePass(
      run,
      row,
      (options) => sessionSources(row, session, options),
      async () => {
        await runBlocks(run, row, session);
      },
    );
  } finally {
    await session?.close();
  }
}

async function runProgram(
  run: JobRun,
  row: RowRun,
  progress: Progress,
  resumed: ReturnType<typeof fromHandle>,
): Promise<void> {
  const handle = await resume(run, row, resumed);
  if (handle) Object.assign(row.input, await readInputReport(row));
  else await prepareInput(run, row);
  await withFailurePass(
    run,
    row,
    (options) => folderSources(row, options),
    async () => {
      try {
        if (handle === 'ended') return;
        await awaitProgram(run, row, handle ?? (await startProgram(run, row)));
      } finally {
        // Counted also for a program that failed.
        progress.usage.push(...(await readUsage(row)));
      }
      const variables = await readVariables(run, row);
      if (variables) progress.variables = [...(progress.variables ?? []), ...variables];
      await storeOutputFiles(run, row);
    },
  );
}

/** The program of this row where an earlier worker has started it; `ended` for rows that were through already. */
async function resume(
  run: JobRun,
  row: RowRun,
  resumed: ReturnType<typeof fromHandle>,
): Promise<RunHandle | 'ended' | undefined> {
  if (!resumed || resumed.row < row.index) return undefined;
  if (resumed.row > row.index) return 'ended';
  const recovery = await run.parts.runtime.recover(resumed.run);
  if (recovery === 'lost') throw runErrors.lost();
  if (recovery === 'adopted') return resumed.run;
  run.ctx.signal.throwIfAborted();
  return undefined;
}

const inputReportPath = (row: RowRun) => join(row.paths.home, 'input.json');

async function prepareInput(run: JobRun, row: RowRun): Promise<void> {
  await makeWorkDirectory(run.jobsDirectory, run.ctx.job.id, row.index);
  await Promise.all([exportInputTables(run, row), downloadInputFiles(run, row), writeConfiguration(run, row)]);
  await writeFile(inputReportPath(row), JSON.stringify(row.input), { mode: 0o600 });
}

async function readInputReport(row: RowRun): Promise<InputReport> {
  return JSON.parse(await readFile(inputReportPath(row), 'utf8'));
}

/**
 * Runs the work and submits its outputs. When either fails, outputs that are to be written always are submitted in a
 * second pass; what goes wrong in that one is for the log only, since the first error is what matters.
 */
async function withFailurePass(
  run: JobRun,
  row: RowRun,
  sources: (options: { isFailed: boolean }) => Promise<OutputSource[]>,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
    await submitLoads(run, row, await sources({ isFailed: false }), { isFailed: false });
  } catch (error) {
    if (isForOthers(run, error) || isKilled(run)) throw error;
    try {
      await submitLoads(run, row, await sources({ isFailed: true }), { isFailed: true });
      await awaitLoads(run, [row]);
    } catch (second) {
      run.ctx.log.info({ err: second }, 'outputs of a failed run could not be written');
    }
    throw error;
  }
}

/** The end of a job that did not succeed. Throws on where the worker decides: stopped, handed on, tried again. */
async function conclude(run: JobRun, progress: Progress, error: unknown): Promise<void> {
  await run.log.flush();
  if (isForOthers(run, error)) throw error;
  const isStopped = isKilled(run) || (error instanceof AppError && error.code === 'job.stopping');
  // Loads that are under way read the files of this job until they end.
  const loads = progress.rows.flatMap((row) => row.loads);
  const ends = loads.map((load) => run.parts.core.jobs.awaitEnd(load.job.id, AbortSignal.timeout(60_000)));
  if (isStopped) {
    // The kill has ended those that were there; what was submitted at that moment must not arrive either.
    await Promise.allSettled(loads.map((load) => run.parts.core.jobs.kill(run.ctx.actor, load.job.id)));
    await Promise.allSettled(ends);
    await removeJobDirectory(run.jobsDirectory, run.ctx.job.id);
    throw error;
  }
  const result = await toResult(run, progress, new Map());
  await run.ctx.finish({ status: 'failed', error: masked(run, error), result, usage: progress.usage });
  await Promise.allSettled(ends);
}

function isKilled({ ctx }: JobRun): boolean {
  return ctx.signal.reason instanceof StopReason && ctx.signal.reason.reason === 'killed';
}

/** Whether the job is not ours to end: the server stops, another has it, or it will be tried again. */
function isForOthers(run: JobRun, error: unknown): boolean {
  if (run.ctx.signal.aborted) return !isKilled(run);
  return error instanceof AppError && (error.retryable || error.code === 'job.lease-lost');
}

function masked(run: JobRun, error: unknown): unknown {
  if (!(error instanceof AppError)) return error;
  const { kind, code, message, details, retryable, cause } = error;
  return new AppError(kind, code, run.log.mask(message), { details, retryable, cause });
}

async function toResult(run: JobRun, progress: Progress, ended: Map<SubmittedLoad, Job>): Promise<Json> {
  const { rows } = progress;
  return {
    message: rows.length === 0 ? 'No configurations executed.' : 'Component processing finished.',
    configVersion: progress.configVersion ?? null,
    images: progress.images,
    input: { tables: rows.flatMap((row) => row.input.tables) },
    output: {
      tables: await outputReport(run, ended),
      ...(progress.variables && { variables: progress.variables }),
    },
    artifacts: { uploaded: [], downloaded: [] },
    variables: [],
  };
}

/** As storage counts: in goes what is loaded, out what is read. */
function toMetrics({ rows }: Progress, ended: Map<SubmittedLoad, Job>): JobMetrics {
  const inBytes = [...ended.values()].reduce((sum, { metrics }) => sum + (metrics.inBytes ?? 0), 0);
  const outBytes = rows.reduce((sum, { input }) => sum + input.bytes, 0);
  return { inBytes, outBytes };
}
