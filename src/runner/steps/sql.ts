import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../core/errors.ts';
import type { Session } from '../../drivers/engines/contract.ts';
import type { Json } from '../../lib/json.ts';
import { imageOf, type JobRun, type RowRun } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { asList, asMap } from './config-file.ts';
import { programMemory, programTimeout } from './container.ts';
import { sessionTables } from './input-tables.ts';
import { mappedSources, type OutputSource } from './output-tables.ts';
import { excerpt, isQuery, splitStatements } from './sql-text.ts';
import { runId } from './work-dir.ts';

const DEFAULT_QUERY_TIMEOUT_SECONDS = 7200;

/** A session with the mapped tables in it, read where they lie. */
export async function openSession(run: JobRun, row: RowRun): Promise<Session> {
  const { sessions } = run.parts;
  if (!sessions) throw runErrors.crashed('the engine has no SQL sessions');
  if ((row.checked.storage.input?.files.length ?? 0) > 0)
    throw runErrors.unsupported('storage.input.files of a SQL transformation');
  const spec = {
    sessionId: `${runId(run.ctx.job.id, row.index)}-${run.ctx.job.attempt}`,
    tables: await sessionTables(run, row),
    workDirectory: row.paths.load,
    memoryLimitMb: programMemory(run, row),
  };
  return sessions.open(spec, run.ctx.signal);
}

/** Runs all statements of all blocks, one after the other. */
export async function runBlocks(run: JobRun, row: RowRun, session: Session): Promise<void> {
  const parameters = asMap(row.checked.configuration.parameters);
  const seconds = programTimeout(run, row);
  const deadline = AbortSignal.timeout(seconds * 1000);
  const signal = AbortSignal.any([run.ctx.signal, deadline]);
  const querySeconds = Number(parameters.query_timeout ?? DEFAULT_QUERY_TIMEOUT_SECONDS);
  for (const block of asList(parameters.blocks).map(asMap)) {
    run.log.info(`Processing block "${text(block.name)}".`);
    for (const code of asList(block.codes).map(asMap)) {
      run.log.info(`Processing code "${text(code.name)}".`);
      for (const statement of asList(code.script).flatMap((script) => splitStatements(text(script)))) {
        if (isQuery(statement)) continue;
        run.log.info(`Running query "${excerpt(statement)}".`);
        const limit = AbortSignal.timeout(querySeconds * 1000);
        try {
          await session.run(statement, AbortSignal.any([signal, limit]));
        } catch (error) {
          run.ctx.signal.throwIfAborted();
          if (deadline.aborted) throw runErrors.timeout(imageOf(run), seconds);
          throw queryError(
            error,
            limit.aborted ? `it took longer than ${querySeconds} seconds` : undefined,
            statement,
            text(code.name),
          );
        }
      }
    }
  }
}

function queryError(error: unknown, reason: string | undefined, statement: string, code: string): unknown {
  if (reason === undefined && (!(error instanceof AppError) || error.kind === 'internal')) return error;
  const message = reason ?? (error as AppError).message;
  return runErrors.query(`Query "${excerpt(statement)}" in "${code}" failed with error: "${message}"`);
}

const text = (value: Json | undefined) => (typeof value === 'string' ? value : '');

/** The tables that the output mapping names. After a failure those that are there. */
export async function sessionSources(
  row: RowRun,
  session: Session,
  { isFailed }: { isFailed: boolean },
): Promise<OutputSource[]> {
  const names = mappedSources(row).filter((name) => !isFailed || isAlwaysWritten(row, name));
  const described = await Promise.all(names.map(async (name) => ({ name, columns: await session.describe(name) })));
  const missing = described.filter(({ columns }) => columns === undefined);
  if (missing.length > 0 && !isFailed) {
    const list = missing.map(({ name }) => `"${name}"`).join(', ');
    throw runErrors.output(`Tables ${list} specified in output were not created by the transformation.`);
  }
  return described.flatMap(({ name, columns }, index) => {
    if (columns === undefined) return [];
    // Made once, though several tables may be loaded from it.
    let exported: Promise<string> | undefined;
    return {
      name,
      manifest: {},
      open: async () => {
        exported ??= exportOutput(row, session, name, index);
        return { kind: 'parquet' as const, path: await exported, columns: columns.map((column) => column.name) };
      },
    };
  });
}

function isAlwaysWritten(row: RowRun, name: string): boolean {
  return (row.checked.storage.output?.tables ?? []).some((table) => table.source === name && table.write_always);
}

/** Under a name that stays the same when the job starts over: a load that was submitted before then finds its file. */
async function exportOutput(row: RowRun, session: Session, name: string, index: number): Promise<string> {
  const { path } = await session.exportTable(name);
  const stable = join(row.paths.load, `output-${index}.parquet`);
  if (path !== stable) await rename(path, stable);
  return stable;
}
