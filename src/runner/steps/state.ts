import { AppError } from '../../core/errors.ts';
import type { Transaction } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import type { RawJson } from '../../lib/json-text.ts';
import type { JobRun, RowRun } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { readOutputJson } from './output-folder.ts';

/** What the program of a row wants to know next time, with what the input mapping does; for `storeStates`. */
export type NewState = { row: RowRun; component: Json };

/** Read before the end of the job, which fails when it cannot be read. Only where there is a configuration to keep it. */
export async function readStates(rows: readonly RowRun[]): Promise<NewState[]> {
  const kept = rows.filter(({ definition }) => definition.configurationId !== undefined);
  return Promise.all(kept.map(async (row) => ({ row, component: await readState(row) })));
}

/**
 * Keeps the states in the transaction that ends the job, since a job that is lost before its end has no state to leave.
 * Returns what could not be kept and why; may be called again after a rollback.
 */
export async function storeStates(tx: Transaction, run: JobRun, states: readonly NewState[]): Promise<string[]> {
  const { configurations } = run.parts.core;
  const problems: string[] = [];
  for (const { row, component } of states) {
    const { configurationId = '', rowId, componentId } = row.definition;
    const address = { componentId, configurationId };
    const { imported, files } = row.input;
    const next = (current: RawJson) =>
      JSON.stringify({ ...asObject(current.parse()), component, storage: { input: { tables: imported, files } } });
    try {
      // Runs may name a configuration that never existed: then there is simply no state.
      if (rowId === undefined) await configurations.keepStateIn(tx, run.ctx.job, address, next);
      else await configurations.rows.keepStateIn(tx, run.ctx.job, address, rowId, next);
    } catch (error) {
      // Said before anything is written, so the transaction goes on.
      if (!(error instanceof AppError) || error.kind !== 'invalid') throw error;
      problems.push(`Failed to store state: ${error.message}`);
    }
  }
  return problems;
}

async function readState(row: RowRun): Promise<Json> {
  try {
    return (await readOutputJson(row.paths.data, 'state.json')) ?? {};
  } catch (error) {
    if (error instanceof SyntaxError) throw runErrors.crashed(`out/state.json is not valid JSON: ${error.message}`);
    throw error;
  }
}

/** What a program counts for billing, appended to the job's usage. */
export async function readUsage(row: RowRun): Promise<{ metric: string; value: number }[]> {
  const invalid = (reason: string) => runErrors.crashed(`Failed to store Job usage: ${reason}`);
  let usage: Json | undefined;
  try {
    usage = await readOutputJson(row.paths.data, 'usage.json');
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid(error.message);
    throw error;
  }
  if (usage === undefined) return [];
  if (!Array.isArray(usage)) throw invalid('it is not a list');
  return usage.map((item) => {
    const { metric, value, ...rest } = asObject(item);
    if (typeof metric !== 'string' || typeof value !== 'number' || Object.keys(rest).length > 0) {
      throw invalid('an item is not {"metric": text, "value": number}');
    }
    return { metric, value };
  });
}

/** Values a program hands to whatever started it. */
export async function readVariables(run: JobRun, row: RowRun): Promise<{ name: string; value: string }[] | undefined> {
  let result: Json | undefined;
  try {
    result = await readOutputJson(row.paths.data, 'result.json');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    run.log.warn(`Failed to parse result.json file "${error.message}".`);
  }
  if (result === undefined) return undefined;
  return Object.entries(asObject(asObject(result).variables ?? {})).flatMap(([name, value]) =>
    typeof value === 'object' ? [] : [{ name, value: run.log.mask(String(value)) }],
  );
}

function asObject(value: Json): { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}
