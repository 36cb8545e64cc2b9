import { AppError } from '../../core/errors.ts';
import type { Json } from '../../lib/json.ts';
import type { JobRun, RowRun } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { readOutputJson } from './output-folder.ts';

/** Keeps what the program and the input mapping want to know next time. Only where there is a configuration to keep it. */
export async function storeState(run: JobRun, row: RowRun): Promise<void> {
  const { configurationId, rowId, componentId } = row.definition;
  if (configurationId === undefined) return;
  const { configurations } = run.parts.core;
  const { actor } = run.ctx;
  const component = await readState(row);
  const address = { componentId, configurationId };
  try {
    const configuration = await configurations.get(actor, address);
    const current =
      rowId === undefined ? configuration.state : configuration.rows.find(({ id }) => id === rowId)?.state;
    if (!current) return;
    const { tables, files } = { tables: row.input.imported, files: row.input.files };
    const next = { ...asObject(current.parse()), component, storage: { input: { tables, files } } };
    const text = JSON.stringify(next);
    if (text === current.text) return;
    if (rowId === undefined) await configurations.updateState(actor, address, text);
    else await configurations.rows.updateState(actor, address, rowId, text);
  } catch (error) {
    if (!(error instanceof AppError) || !['not-found', 'forbidden', 'invalid'].includes(error.kind)) throw error;
    // Runs may name a configuration that never existed: then there is simply no state.
    if (error.kind !== 'not-found') run.log.warn(`Failed to store state: ${error.message}`);
  }
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
