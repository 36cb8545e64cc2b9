import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../core/errors.ts';
import type { Job } from '../../core/jobs/job-model.ts';
import type { ImportOptions, ImportSource, NewTable, Table } from '../../core/tables/table-model.ts';
import { parseDateText } from '../../lib/date-text.ts';
import type { Filter } from '../../lib/filter.ts';
import type { JobRun, RowRun, SubmittedLoad, TableReport } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { tableInBranch } from './branch-tables.ts';
import { tableReport } from './input-tables.ts';
import {
  manifestOwner,
  type OutputEntry,
  orphans,
  readManifest,
  readOutputFolder,
  readSlices,
} from './output-folder.ts';
import { defaultBucketId, type LoadRules, loadRules, mergeManifest, resolveDestination } from './output-rules.ts';
import { checkOutputTable, type OutputTable, parseTableManifest } from './storage-mapping.ts';

/** Something a run has made that may become a table: a file or folder in out/tables, or a table of an SQL session. */
export type OutputSource = {
  name: string;
  manifest: Partial<OutputTable>;
  /** What to load, given the columns that manifest and mapping name. */
  open(columns: string[]): Promise<ImportSource>;
};

/** Files and folders in out/tables with their manifests. */
export async function folderSources(
  row: RowRun,
  { isFailed, isWanted = () => true }: { isFailed: boolean; isWanted?: (name: string) => boolean },
): Promise<OutputSource[]> {
  const all = await readOutputFolder(row.paths.data, 'tables');
  const folder = {
    entries: all.entries.filter(({ name }) => isWanted(name)),
    manifests: all.manifests.filter(({ name }) => isWanted(manifestOwner(name))),
  };
  const orphan = orphans(folder)[0];
  if (orphan !== undefined) throw runErrors.output(`Found orphaned table manifest: "${orphan}"`);
  const present = new Set(folder.entries.map(({ name }) => name));
  const missing = mappedSources(row).filter((name) => !present.has(name));
  if (missing.length > 0 && !isFailed) {
    throw runErrors.output(`Table sources not found: ${missing.map((name) => `"${name}"`).join(', ')}`);
  }
  return Promise.all(
    folder.entries.map(async (entry) => {
      const manifest = await readManifest(folder, entry.name);
      return {
        name: entry.name,
        manifest: manifest === undefined ? {} : parseTableManifest(manifest),
        open: (columns: string[]) => openEntry(row, entry, columns),
      };
    }),
  );
}

export function mappedSources(row: RowRun): string[] {
  return [...new Set((row.checked.storage.output?.tables ?? []).map(({ source }) => source ?? ''))];
}

async function openEntry(row: RowRun, entry: OutputEntry, columns: string[]): Promise<ImportSource> {
  if (!entry.isFolder) return { kind: 'paths', paths: [entry.path] };
  if (columns.length === 0) throw runErrors.output(`Sliced file "${entry.name}" columns specification missing.`);
  const slices = await readSlices(entry);
  if (slices.length > 0) return { kind: 'paths', paths: slices.map(({ path }) => path) };
  // No slices are no rows, of a table that is made all the same.
  const empty = join(row.paths.load, 'empty.csv');
  await writeFile(empty, '');
  return { kind: 'paths', paths: [empty] };
}

/** Submits a load for every output, without waiting for any. After a failure only what is to be written always. */
export async function submitLoads(
  run: JobRun,
  row: RowRun,
  sources: OutputSource[],
  { isFailed }: { isFailed: boolean },
): Promise<void> {
  const mappings = row.checked.storage.output?.tables ?? [];
  for (const source of sources) {
    const own = mappings.filter((mapping) => mapping.source === source.name);
    for (const mapping of own.length > 0 ? own : [undefined]) {
      if (isFailed && !(mapping?.write_always || source.manifest.write_always)) continue;
      await submitLoad(run, row, source, mapping);
    }
  }
}

/** A load that is ready to be asked for: where it goes is there, but for the table itself where that is new. */
export type ResolvedLoad = {
  tableId: string;
  existed: boolean;
  destination: string | NewTable;
  content: ImportSource;
  options: ImportOptions;
  rules: LoadRules;
};

async function submitLoad(
  run: JobRun,
  row: RowRun,
  source: OutputSource,
  mapping: OutputTable | undefined,
): Promise<void> {
  const { core } = run.parts;
  const { actor, job } = run.ctx;
  const key = (tableId: string) => `job:${job.id}:${row.index}:${tableId}:${source.name}`;
  const load = await resolveLoad(run, row, source, mapping, key);
  const { tableId, existed, destination, content, options, rules } = load;
  await asOutput(tableId, async () => {
    const dedupeKey = key(tableId);
    const submitted = await core.tables.importFrom(actor, destination, content, { ...options, dedupeKey });
    const { metadata, columnMetadata } = rules;
    row.loads.push({ job: submitted, tableId, existed, metadata, columnMetadata });
  });
}

/**
 * Makes the bucket and adapts the table, as far as they are there. `key` names what this run asks of a table. With
 * `requiresKey`, a table that cannot have the primary key is an error: rows that were to replace others would double.
 */
export async function resolveLoad(
  run: JobRun,
  row: RowRun,
  source: OutputSource,
  mapping: OutputTable | undefined,
  key: (tableId: string) => string,
  { requiresKey = false } = {},
): Promise<ResolvedLoad> {
  run.log.info(`Loading table "${source.name}"`);
  const table = mergeManifest(source.manifest, mapping);
  checkOutputTable(table, source.name);
  const { tableId: named, isFromFileName } = resolveDestination({
    source: source.name,
    mapping: mapping?.destination,
    manifest: source.manifest.destination,
    defaultBucket: defaultBucket(run, row),
  });
  const tableId = tableInBranch(run, named);
  if (isFromFileName) {
    run.log.warn(
      `The destination "${tableId}" was taken from the name of a file. Name it in the output mapping instead.`,
    );
  }
  const rules = loadRules(table, (message) => run.log.warn(message));
  const content = await source.open(rules.columns);
  const [stage, bucket, name = ''] = tableId.split('.');
  const bucketId = `${stage}.${bucket}`;
  return asOutput(tableId, async () => {
    await ensureBucket(run, row, bucketId);
    const existing = await findTable(run, tableId);
    if (existing) await prepareTable(run, existing, table, rules, { dedupeKey: key(tableId), requiresKey });
    return {
      tableId,
      existed: existing !== undefined,
      destination: existing ? tableId : { bucketId, name, primaryKey: rules.primaryKey },
      content,
      options: { incremental: table.incremental, ...(content.kind !== 'parquet' && csvOptions(table, rules)) },
      rules,
    };
  });
}

async function asOutput<T>(tableId: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof AppError && error.kind !== 'internal' && error.kind !== 'unavailable') {
      throw runErrors.output(`${error.message} [${tableId}]`);
    }
    throw error;
  }
}

function csvOptions(table: OutputTable, rules: LoadRules) {
  return {
    delimiter: table.delimiter,
    enclosure: table.enclosure,
    ...(rules.columns.length > 0 && { columns: rules.columns }),
    // Said columns replace the header; one that is there all the same has to be passed over.
    ...(rules.columns.length > 0 && table.has_header && { ignoredLinesCount: 1 }),
  };
}

function defaultBucket({ component }: JobRun, { definition, checked }: RowRun): string | undefined {
  const named = checked.storage.output?.default_bucket;
  if (named) return named;
  if (!component.data.default_bucket || definition.configurationId === undefined) return undefined;
  return defaultBucketId(component.data.default_bucket_stage ?? 'in', component.id, definition.configurationId);
}

async function findTable(run: JobRun, tableId: string): Promise<Table | undefined> {
  return run.parts.core.tables.get(run.ctx.actor, tableId).catch((error: unknown) => {
    if (error instanceof AppError && error.kind === 'not-found') return undefined;
    throw error;
  });
}

async function ensureBucket(run: JobRun, row: RowRun, bucketId: string): Promise<void> {
  const { buckets, metadata } = run.parts.core;
  const { actor } = run.ctx;
  const exists = await buckets.get(actor, bucketId).then(
    () => true,
    (error: unknown) => {
      if (error instanceof AppError && error.kind === 'not-found') return false;
      throw error;
    },
  );
  if (exists) return;
  try {
    await buckets.ensure(actor, bucketId);
  } catch (error) {
    if (error instanceof AppError && error.kind !== 'internal') {
      throw runErrors.output(`Cannot create bucket "${bucketId}" in Storage API: ${error.message}`);
    }
    throw error;
  }
  await metadata.set(actor, { type: 'bucket', id: bucketId }, 'system', authorship(run, row, 'createdBy'));
}

function authorship(
  { component, ctx }: JobRun,
  { definition }: Pick<RowRun, 'definition'>,
  what: 'createdBy' | 'lastUpdatedBy',
) {
  const facts: Record<string, string | undefined> = {
    'component.id': component.id,
    'configuration.id': definition.configurationId,
    'configurationRow.id': definition.rowId,
    'branch.id': String(ctx.job.branchId),
  };
  return Object.entries(facts).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key: `KBC.${what}.${key}`, value }],
  );
}

/** What a load alone would not do to a table that is there already. */
async function prepareTable(
  run: JobRun,
  existing: Table,
  table: OutputTable,
  rules: LoadRules,
  { dedupeKey, requiresKey }: { dedupeKey: string; requiresKey: boolean },
): Promise<void> {
  const { tables } = run.parts.core;
  const { actor } = run.ctx;
  const known = new Set(existing.columns);
  const lowerCase = new Set(existing.columns.map((column) => column.toLowerCase()));
  if (table.schema.length > 0) {
    const missing = existing.columns.filter((column) => !rules.columns.includes(column));
    if (missing.length > 0) {
      const counts = `Table columns: ${known.size}, schema columns: ${rules.columns.length}`;
      throw runErrors.output(
        `Table "${existing.id}" does not contain the same number of columns as the schema. ${counts}.`,
      );
    }
  }
  for (const column of [...rules.columns, ...Object.keys(rules.columnMetadata)]) {
    if (known.has(column) || lowerCase.has(column.toLowerCase())) continue;
    lowerCase.add(column.toLowerCase());
    await tables.addColumn(actor, existing.id, column);
  }
  if (!isSameSet(existing.primaryKey, rules.primaryKey))
    await changePrimaryKey(run, existing, table, rules, requiresKey);
  for (const [index, selection] of rowDeletions(table).entries()) {
    await tables.deleteRows(actor, existing.id, { ...selection, dedupeKey: `${dedupeKey}:delete:${index}` });
  }
}

async function changePrimaryKey(
  run: JobRun,
  existing: Table,
  table: OutputTable,
  { primaryKey }: LoadRules,
  isRequired: boolean,
): Promise<void> {
  const names = (columns: string[]) => columns.join(',');
  run.log.warn(
    `Modifying primary key of table "${existing.id}" from "${names(existing.primaryKey)}" to "${names(primaryKey)}".`,
  );
  try {
    if (table.incremental && primaryKey.length > 0 && existing.rowsCount > 0)
      throw runErrors.output('the rows that are kept may not be unique by it');
    await run.parts.core.tables.setPrimaryKey(run.ctx.actor, existing.id, primaryKey);
  } catch (error) {
    if (!(error instanceof AppError) || error.kind === 'internal') throw error;
    const message = `Error changing primary key of table ${existing.id}: ${error.message}`;
    if (table.schema.length > 0 || isRequired) throw runErrors.output(message);
    run.log.warn(message);
  }
}

/** Which rows to delete before a load. Done by jobs of their own, before the load in the line of the table. */
function rowDeletions(table: OutputTable): { filter?: Filter; changedSince?: Date; changedUntil?: Date }[] {
  if (table.delete_where_column) {
    const { delete_where_column: field, delete_where_operator: op, delete_where_values: values } = table;
    return [{ filter: { field, op, values } }];
  }
  return (table.delete_where ?? []).map((entry) => {
    const filters: Filter[] = (entry.where_filters ?? []).map(({ column, operator, values_from_set }) => ({
      field: column,
      op: operator ?? 'eq',
      values: values_from_set ?? [],
    }));
    return {
      ...(filters.length > 0 && { filter: { all: filters } }),
      ...(entry.changed_since && { changedSince: requireDate(entry.changed_since) }),
      ...(entry.changed_until && { changedUntil: requireDate(entry.changed_until) }),
    };
  });
}

function requireDate(text: string): Date {
  const date = parseDateText(text);
  if (!date) throw runErrors.configuration(`"${text}" is not a date.`);
  return date;
}

const isSameSet = (a: string[], b: string[]) => a.length === b.length && a.every((item) => b.includes(item));

/** Waits for all loads of all rows; throws one error for all that failed. */
export async function awaitLoads(run: JobRun, rows: RowRun[]): Promise<Map<SubmittedLoad, Job>> {
  const loads = rows.flatMap((row) => row.loads);
  const ended = new Map<SubmittedLoad, Job>();
  if (loads.length === 0) return ended;
  run.log.info(`Waiting for ${loads.length} Storage jobs to finish.`);
  await Promise.all(
    loads.map(async (load) => {
      ended.set(load, await run.parts.core.jobs.awaitEnd(load.job.id, run.ctx.signal));
    }),
  );
  const failures = loads.flatMap((load) => {
    const job = ended.get(load);
    if (job?.status === 'succeeded') return [];
    return [`Failed to load table "${load.tableId}": ${job?.error?.message ?? `the job was ${job?.status}`}`];
  });
  if (failures.length > 0) throw runErrors.output(`Failed to process output mapping: ${failures.join('\n')}`);
  return ended;
}

/** Says on each table who made and who last wrote it, and what mappings and manifests say about it. */
export async function describeTables(
  run: JobRun,
  rows: { definition: RowRun['definition']; loads: Omit<SubmittedLoad, 'job'>[] }[],
): Promise<void> {
  const { metadata } = run.parts.core;
  for (const row of rows) {
    for (const load of row.loads) {
      const object = { type: 'table' as const, id: load.tableId };
      const system = [
        ...(load.existed ? [] : authorship(run, row, 'createdBy')),
        ...authorship(run, row, 'lastUpdatedBy'),
      ];
      const columns = Object.entries(load.columnMetadata).filter(([, items]) => items.length > 0);
      const own = [
        ...(load.metadata.length > 0 ? [{ object, items: load.metadata }] : []),
        ...columns.map(([column, items]) => ({
          object: { type: 'column' as const, id: `${load.tableId}.${column}` },
          items,
        })),
      ];
      try {
        await metadata.setMany(run.ctx.actor, 'system', [{ object, items: system }]);
        if (own.length > 0) await metadata.setMany(run.ctx.actor, run.component.id, own);
      } catch (error) {
        if (!(error instanceof AppError) || error.kind === 'internal' || error.kind === 'unavailable') throw error;
        throw runErrors.output(`Failed to update metadata for table "${load.tableId}": ${error.message}`);
      }
    }
  }
}

/** For the result: the tables as they are after the loads, each once. */
export async function outputReport(
  run: JobRun,
  ended: Map<SubmittedLoad, Job>,
): Promise<(TableReport & { metrics?: { name: string; value: number }[] })[]> {
  const reports = [...ended].map(async ([load, job]) => {
    const table = await findTable(run, load.tableId);
    const rows = (job.result as { importedRowsCount?: number } | undefined)?.importedRowsCount;
    const base = table ? tableReport(table) : { id: load.tableId, name: '', displayName: '', columns: [] };
    return load.existed && rows !== undefined
      ? { ...base, metrics: [{ name: 'importedRowsCount', value: rows }] }
      : base;
  });
  return Promise.all(reports);
}
