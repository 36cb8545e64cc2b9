import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConnectorAddress } from '../../core/components/connection-model.ts';
import type { ConnectorDefinition } from '../../core/components/connectors.ts';
import { AppError, errors } from '../../core/errors.ts';
import type { TableLoads } from '../../core/tables/table-loads.ts';
import type { Transaction } from '../../db/database.ts';
import { emptyInput, type JobRun, type RowRun } from '../job-run.ts';
import { checkConfiguration } from '../steps/config-file.ts';
import { describeTables, folderSources, type ResolvedLoad, resolveLoad } from '../steps/output-tables.ts';
import { rowPaths } from '../steps/work-dir.ts';
import type { ConnectorRun } from './connector-program.ts';
import { type ConnectorFailure, failureBy } from './messages.ts';

/** What a destination leaves its tables with. */
export type LandingPlace = {
  run: ConnectorRun;
  loads: TableLoads;
  definition: ConnectorDefinition;
  address: ConnectorAddress;
  /** Number of its work folder. */
  row: number;
};

/** Commits by calling `commitTables` in a transaction that also writes down how far the connection has got. */
export type CommitLanding = (commitTables: (tx: Transaction) => Promise<void>) => Promise<void>;

/**
 * Loads tables that a destination has left, all of them and the state of the connection in one transaction. Answers
 * what is wrong with them; throws what is wrong with us. `wanted`: names of files that have to be there.
 */
export async function landTables(
  place: LandingPlace,
  wanted: readonly string[] | 'all',
  commit: CommitLanding,
): Promise<ConnectorFailure | undefined> {
  const { ctx, parts } = place.run;
  const { run, row } = asComponentRun(place);
  let loads: ResolvedLoad[] = [];
  let names: string[] = [];
  try {
    const isWanted = (name: string) => wanted === 'all' || wanted.includes(name);
    const sources = await folderSources(row, { isFailed: true, isWanted });
    names = sources.map(({ name }) => name);
    // Without its rows no state may be written: they are read again.
    const gone = wanted === 'all' ? undefined : wanted.find((name) => !names.includes(name));
    if (gone !== undefined) throw errors.internal(`what a destination has closed is gone: ${gone}`);
    loads = [];
    for (const source of sources) {
      const key = (tableId: string) => `job:${ctx.job.id}:${place.row}:${tableId}:${source.name}`;
      loads.push(await resolveLoad(run, row, source, undefined, key, { requiresKey: true }));
    }
    const inputs = await Promise.all(
      loads.map(({ destination, content, options }) =>
        parts.core.tables.planLoad(ctx.actor, destination, content, options),
      ),
    );
    await place.loads.loadTogether(ctx, inputs, (_loaded, commitTables) => commit(commitTables));
  } catch (error) {
    const isTheirs = error instanceof AppError && (error.kind === 'invalid' || error.kind === 'forbidden');
    if (ctx.signal.aborted || !isTheirs || error.retryable) throw error;
    return { ...failureBy(error.message), isConfiguration: true };
  }
  for (const name of names) {
    const path = join(row.paths.data, 'out', 'tables', name);
    await rm(path, { force: true });
    await rm(`${path}.manifest`, { force: true });
  }
  await describe(run, row, loads);
  return undefined;
}

/** The rows are there whether this works or not. */
async function describe(run: JobRun, row: RowRun, loads: ResolvedLoad[]): Promise<void> {
  const described = loads.map(({ tableId, existed, rules: { metadata, columnMetadata } }) => ({
    tableId,
    existed,
    metadata,
    columnMetadata,
  }));
  await describeTables(run, [{ definition: row.definition, loads: described }]).catch((error: unknown) => {
    run.ctx.log.warn({ err: error }, 'the tables of a sync could not be described');
  });
}

/** As the steps of a component's run want it: a destination is one whose output needs no mapping. */
function asComponentRun({ run, definition, address, row }: LandingPlace): { run: JobRun; row: RowRun } {
  const { parts, ctx, log, jobsDirectory } = run;
  return {
    run: { parts, ctx, component: definition, log, jobsDirectory },
    row: {
      index: row,
      definition: {
        ...address,
        rowId: undefined,
        version: undefined,
        configuration: {},
        state: {},
        notice: undefined,
      },
      checked: checkConfiguration({}),
      state: {},
      paths: rowPaths(jobsDirectory, ctx.job.id, row),
      input: emptyInput(),
      loads: [],
    },
  };
}
