import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, type ErrorKind } from '../../core/errors.ts';
import type { ReadOptions, Table } from '../../core/tables/table-model.ts';
import type { SessionSpec } from '../../drivers/engines/contract.ts';
import { parseDateText } from '../../lib/date-text.ts';
import type { Filter } from '../../lib/filter.ts';
import type { Json } from '../../lib/json.ts';
import type { JobRun, RowRun, TableReport } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { sourceInBranch } from './branch-tables.ts';
import { asList, asMap, printJson } from './config-file.ts';
import type { InputTable } from './storage-mapping.ts';

/** How many exports a job has running at a time. */
const AT_ONCE = 4;

/** Every mapped table as a CSV file with its manifest in in/tables. */
export async function exportInputTables(run: JobRun, row: RowRun): Promise<void> {
  const tables = row.checked.storage.input?.tables ?? [];
  if (tables.length === 0) return;
  run.log.info(`Processing ${tables.length} local table exports.`);
  const waiting = tables.map((table, index) => ({ table, index }));
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await exportTable(run, row, next.table, next.index);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, tables.length) }, worker));
  run.log.info('All tables were fetched.');
}

async function exportTable(run: JobRun, row: RowRun, mapping: InputTable, index: number): Promise<void> {
  const { core } = run.parts;
  const { actor, signal } = run.ctx;
  const name = fileName(mapping.destination || mapping.source);
  const path = join(row.paths.data, 'in', 'tables', name);
  try {
    const source = await sourceInBranch(run, mapping.source);
    const table = await core.tables.get(actor, source);
    const { columns, sizeBytes } = await core.tables.exportTo(
      actor,
      source,
      readOptions(mapping, row.state),
      path,
      signal,
    );
    await writeFile(`${path}.manifest`, printJson(await tableManifest(run, table, columns)));
    row.input.bytes += sizeBytes;
    report(row, index, mapping, table, columns);
  } catch (error) {
    throw asInputError(error);
  }
  run.log.info(`Fetched table ${mapping.source}.`);
}

/** The mapped tables for a SQL session, which reads them where they lie. */
export async function sessionTables(run: JobRun, row: RowRun): Promise<SessionSpec['tables']> {
  const mappings = row.checked.storage.input?.tables ?? [];
  const tables = mappings.map(async (mapping, index) => {
    try {
      const source = await sourceInBranch(run, mapping.source);
      const { table, version, columns } = await run.parts.core.tables.version(run.ctx.actor, source);
      const byName = new Map(columns.map((column) => [column.name, column]));
      const timestamp = version.columns.find(({ name }) => name === '_timestamp');
      const fieldOf = (column: string) => {
        const field = column === '_timestamp' ? timestamp : byName.get(column);
        if (!field)
          throw runErrors.input(
            `Cannot import data from Storage API: column "${column}" was not found in table "${mapping.source}"`,
          );
        return field.fieldId;
      };
      const { filter, changedSince, limit } = readOptions(mapping, row.state);
      const conditions: Filter[] = [];
      if (filter && 'field' in filter) conditions.push({ ...filter, field: String(fieldOf(filter.field)) });
      if (changedSince) {
        const since = changedSince.toISOString().replace('T', ' ').replace('Z', '');
        conditions.push({ field: String(fieldOf('_timestamp')), op: 'ge', values: [since] });
      }
      const wanted = mapping.columns.length > 0 ? mapping.columns : columns.map((column) => column.name);
      report(row, index, mapping, table, wanted);
      return {
        name: mapping.destination || mapping.source,
        version,
        columns: wanted.map((column) => ({ fieldId: fieldOf(column), name: column })),
        ...(conditions.length > 0 && { filter: { all: conditions } }),
        ...(limit !== undefined && { limit }),
      };
    } catch (error) {
      throw asInputError(error);
    }
  });
  return Promise.all(tables);
}

/** Notes what was read, for the job's result and for the state. */
export function report(row: RowRun, index: number, mapping: InputTable, table: Table, columns: string[]): void {
  const { input } = row;
  input.tables[index] = tableReport({ ...table, columns });
  // Rows of that very import carry the same time and have been read: what comes next is later.
  const next = table.importedAt && new Date(table.importedAt.getTime() + 1).toISOString();
  input.imported[index] = { source: mapping.source, lastImportDate: next ?? '' };
}

export function tableReport({ id, name, displayName, columns }: Table): TableReport {
  return { id, name, displayName, columns: columns.map((column) => ({ name: column })) };
}

/** Which rows and columns a mapping asks for. */
export function readOptions(mapping: InputTable, state: { [key: string]: Json }, now = new Date()): ReadOptions {
  const since = changedSince(mapping, state, now);
  return {
    columns: mapping.columns,
    ...(mapping.where_column && {
      filter: { field: mapping.where_column, op: mapping.where_operator, values: mapping.where_values },
    }),
    ...(since && { changedSince: since }),
    ...(mapping.limit !== undefined && mapping.limit > 0 && { limit: mapping.limit }),
  };
}

function changedSince(mapping: InputTable, state: { [key: string]: Json }, now: Date): Date | undefined {
  if (mapping.days !== undefined && mapping.days > 0) return parseDateText(`-${mapping.days} days`, now);
  const text = mapping.changed_since;
  if (text === undefined || text === '') return undefined;
  if (text !== 'adaptive') {
    const date = parseDateText(text, now);
    if (!date)
      throw runErrors.input(
        `Cannot import data from Storage API: "${text}" is not a date (changed_since of "${mapping.source}")`,
      );
    return date;
  }
  const entries = asList(asMap(asMap(state.storage).input).tables).map(asMap);
  const last = entries.find((entry) => entry.source === mapping.source)?.lastImportDate;
  if (typeof last !== 'string' || last === '') return undefined;
  const date = parseDateText(last, now);
  if (!date) {
    throw runErrors.input(
      `Invalid lastImportDate value "${last}" for table "${mapping.source}". This value cannot be converted to a valid timestamp.`,
    );
  }
  return date;
}

async function tableManifest(run: JobRun, table: Table, columns: string[]): Promise<Json> {
  const { metadata } = run.parts.core;
  const { actor } = run.ctx;
  const [own, ofColumns] = await Promise.all([
    metadata.listMany(actor, 'table', [table.id]),
    metadata.listColumns(actor, [table.id]),
  ]);
  const items = (list: { id: number; key: string; value: string; provider: string; updatedAt?: Date }[] | undefined) =>
    (list ?? []).map(({ key, value, id, provider, updatedAt }) => ({
      key,
      value,
      id,
      provider,
      timestamp: formatDate(updatedAt) ?? null,
    }));
  const byColumn = ofColumns.get(table.id);
  return {
    id: table.id,
    uri: `${run.parts.publicUrl()}/v2/storage/tables/${table.id}`,
    name: table.name,
    primary_key: table.primaryKey,
    distribution_key: [],
    created: formatDate(table.createdAt) ?? null,
    last_change_date: formatDate(table.changedAt) ?? null,
    last_import_date: formatDate(table.importedAt) ?? null,
    ...(table.description !== '' && { description: table.description }),
    columns,
    metadata: items(own.get(table.id)),
    column_metadata: Object.fromEntries(columns.map((column) => [column, items(byColumn?.get(column))])),
  };
}

/** As Keboola writes dates: `2025-01-31T12:30:00+0000`. */
export function formatDate(date: Date | undefined): string | undefined {
  return date?.toISOString().replace(/\.\d+Z$/, '+0000');
}

/** A plain name in one folder: names come from configurations and must not lead anywhere else. */
export function fileName(name: string): string {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || Buffer.byteLength(name) > 240) {
    throw runErrors.input(`"${name}" cannot be the name of a file.`);
  }
  return name;
}

const ourFault: ErrorKind[] = ['internal', 'unavailable'];

/** What the user can change about a failed read; what is ours stays what it is. */
export function asInputError(error: unknown): unknown {
  if (!(error instanceof AppError) || ourFault.includes(error.kind) || error.code.startsWith('run.')) return error;
  return runErrors.input(`Cannot import data from Storage API: ${error.message}`);
}
