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

type Code = { block: string; code: string; statements: string[] };

/** The statements of all blocks, in order. What would only show rows is left out: nobody sees them. */
export function readBlocks(row: RowRun): Code[] {
  const parameters = asMap(row.checked.configuration.parameters);
  return asList(parameters.blocks)
    .map(asMap)
    .flatMap((block) =>
      asList(block.codes)
        .map(asMap)
        .map((code) => ({
          block: text(block.name),
          code: text(code.name),
          statements: asList(code.script)
            .flatMap((script) => splitStatements(text(script)))
            .filter((statement) => !isQuery(statement)),
        })),
    );
}

/**
 * A session with the mapped tables in it, read where they lie. Undefined when there is nothing to do in one: a process
 * costs more than all the rest of an empty job.
 */
export async function openSession(run: JobRun, row: RowRun): Promise<Session | undefined> {
  const { sessions } = run.parts;
  if (!sessions) throw runErrors.crashed('the engine has no SQL sessions');
  if ((row.checked.storage.input?.files.length ?? 0) > 0) {
    throw runErrors.unsupported('storage.input.files of a SQL transformation');
  }
  const tables = await sessionTables(run, row);
  const isIdle = mappedSources(row).length === 0 && readBlocks(row).every(({ statements }) => statements.length === 0);
  if (isIdle) return undefined;
  const spec = {
    sessionId: `${runId(run.ctx.job.id, row.index)}-${run.ctx.job.attempt}`,
    tenant: String(run.ctx.job.projectId),
    tables,
    workDirectory: row.paths.load,
    memoryLimitMb: programMemory(run, row),
  };
  return sessions.open(spec, run.ctx.signal);
}

/** Runs all statements of all blocks, one after the other. */
export async function runBlocks(run: JobRun, row: RowRun, session: Session | undefined): Promise<void> {
  const parameters = asMap(row.checked.configuration.parameters);
  const seconds = programTimeout(run, row);
  const deadline = AbortSignal.timeout(seconds * 1000);
  const signal = AbortSignal.any([run.ctx.signal, deadline]);
  const querySeconds = Number(parameters.query_timeout ?? DEFAULT_QUERY_TIMEOUT_SECONDS);
  let current: string | undefined;
  for (const { block, code, statements } of readBlocks(row)) {
    if (block !== current) run.log.info(`Processing block "${block}".`);
    current = block;
    run.log.info(`Processing code "${code}".`);
    for (const statement of statements) {
      run.log.info(`Running query "${excerpt(statement)}".`);
      const limit = AbortSignal.timeout(querySeconds * 1000);
      try {
        await session?.run(statement, AbortSignal.any([signal, limit]));
      } catch (error) {
        run.ctx.signal.throwIfAborted();
        if (deadline.aborted) throw runErrors.timeout(imageOf(run), seconds);
        throw queryError(
          error,
          limit.aborted ? `it took longer than ${querySeconds} seconds` : undefined,
          statement,
          code,
        );
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
  session: Session | undefined,
  { isFailed }: { isFailed: boolean },
): Promise<OutputSource[]> {
  if (!session) return [];
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
