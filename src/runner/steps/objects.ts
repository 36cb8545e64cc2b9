import { AppError } from '../../core/errors.ts';
import type { ClassField, FieldDefinition, FieldType } from '../../core/objects/class-model.ts';
import { fieldNames } from '../../core/objects/column-fields.ts';
import { readFieldDefinitions } from '../../core/objects/field-definitions.ts';
import { LOAD_MODES, type LoadMode } from '../../core/objects/object-loads.ts';
import type { Table } from '../../core/tables/table-model.ts';
import type { Json } from '../../lib/json.ts';
import { imageOf, type JobRun, type RowRun } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import { sourceInBranch } from './branch-tables.ts';
import { asList, asMap } from './config-file.ts';
import { programTimeout } from './container.ts';
import { asInputError, readOptions, report } from './input-tables.ts';
import { runId } from './work-dir.ts';

/** Each batch is a scan of the file it lies in; what is too large for one page comes in smaller ones. */
const BATCH_ROWS = 10_000;
const PROGRESS_MS = 5000;

type Parameters = {
  className: string;
  mode: LoadMode;
  key: string | undefined;
  isCreated: boolean;
  /** As they stand in the configuration: definitions of a class, each with the column it is filled from. */
  fields: { [key: string]: Json }[];
};

/**
 * Writes the mapped table into a class. The rows go from the engine into the class batch by batch, in one transaction
 * that also says that this job's row has been done: a job that is taken over finds it done, or nothing of it.
 */
export async function loadObjects(run: JobRun, row: RowRun): Promise<void> {
  const { core } = run.parts;
  const { actor, job } = run.ctx;
  const seconds = programTimeout(run, row);
  const deadline = AbortSignal.timeout(seconds * 1000);
  const signal = AbortSignal.any([run.ctx.signal, deadline]);
  const parameters = readParameters(asMap(row.checked.configuration.parameters));
  const mappings = row.checked.storage.input?.tables ?? [];
  const [mapping] = mappings;
  if (!mapping || mappings.length > 1)
    throw runErrors.configuration('The input mapping has to name exactly one table: the one whose rows are written.');
  let table: Table;
  let source: string;
  try {
    source = await sourceInBranch(run, mapping.source);
    table = await core.tables.get(actor, source);
  } catch (error) {
    throw asInputError(error);
  }
  const options = readOptions(mapping, row.state);
  const wanted = mapping.columns.length > 0 ? mapping.columns : table.columns;
  report(row, 0, mapping, table, wanted);
  const columns = toColumns(wanted, parameters.fields);
  try {
    const of = await ensureClass(run, parameters, table, columns);
    const known = new Set(of.map(({ name }) => name));
    const used = columns.filter(({ field }) => known.has(field));
    const unused = columns.filter(({ field }) => !known.has(field)).map(({ column }) => `"${column}"`);
    if (used.length === 0)
      throw runErrors.configuration(`Class "${parameters.className}" has no field for any column of the table.`);
    if (unused.length > 0)
      run.log.warn(`Class "${parameters.className}" has no field for ${unused.join(', ')}: left out.`);
    run.log.info(`Writing table ${mapping.source} into class "${parameters.className}" (${parameters.mode}).`);
    let saidAt = Date.now();
    const counts = await core.objectLoads.load(actor, {
      className: parameters.className,
      mode: parameters.mode,
      key: parameters.key,
      columns: used,
      rows: () =>
        core.tables.readBatches(
          actor,
          source,
          { ...options, columns: used.map(({ column }) => column), batchRows: BATCH_ROWS },
          signal,
        ),
      id: runId(job.id, row.index),
      signal,
      onProgress: (rows) => {
        if (Date.now() - saidAt < PROGRESS_MS) return;
        saidAt = Date.now();
        run.log.info(`${rows} rows written.`);
      },
    });
    run.log.info(
      `Class "${parameters.className}": ${counts.created} objects created, ${counts.updated} changed, ` +
        `${counts.unchanged} as they were, ${counts.deleted} deleted.`,
    );
  } catch (error) {
    run.ctx.signal.throwIfAborted();
    if (deadline.aborted) throw runErrors.timeout(imageOf(run), seconds);
    throw asLoadError(error);
  }
}

/** What the user can change about a failed load. */
function asLoadError(error: unknown): unknown {
  if (!(error instanceof AppError) || error.code.startsWith('run.')) return error;
  const isUsers = error.kind === 'invalid' || error.kind === 'forbidden' || error.kind === 'not-found';
  return isUsers || error.kind === 'limit' ? runErrors.output(error.message) : error;
}

function readParameters(parameters: { [key: string]: Json }): Parameters {
  const { class: name, mode = 'append', key, create_class: isCreated = false } = parameters;
  if (typeof name !== 'string' || name === '') throw runErrors.configuration('parameters.class has to name a class.');
  const known = LOAD_MODES.find((one) => one === mode);
  if (!known) throw runErrors.configuration(`parameters.mode has to be one of ${LOAD_MODES.join(', ')}.`);
  if (known === 'upsert' && (typeof key !== 'string' || key === ''))
    throw runErrors.configuration('parameters.key has to name the field by which rows find their objects.');
  return {
    className: name.toLowerCase(),
    mode: known,
    key: known === 'upsert' ? String(key) : undefined,
    isCreated: isCreated === true,
    fields: asList(parameters.fields).map(asMap),
  };
}

/** The field of each column: the one that names it, else the one of its name. */
function toColumns(columns: readonly string[], fields: Parameters['fields']): { column: string; field: string }[] {
  const names = fieldNames(columns);
  const columnOf = (field: { [key: string]: Json }) => field.column ?? field.name;
  const missing = fields.find((field) => {
    const column = columnOf(field);
    return typeof column !== 'string' || !(columns.includes(column) || names.includes(column));
  });
  if (missing) throw runErrors.configuration(`The table has no column ${JSON.stringify(columnOf(missing) ?? null)}.`);
  return columns.map((column, at) => {
    const plain = names[at] ?? column;
    const field = fields.find((one) => columnOf(one) === column) ?? fields.find((one) => columnOf(one) === plain);
    return { column, field: typeof field?.name === 'string' ? field.name : plain };
  });
}

/** The class's fields; made of the table's columns where it is missing and may be made. */
async function ensureClass(
  run: JobRun,
  parameters: Parameters,
  table: Table,
  columns: { column: string; field: string }[],
): Promise<ClassField[]> {
  const { core } = run.parts;
  const { actor } = run.ctx;
  const { className, isCreated, fields, key } = parameters;
  try {
    return (await core.classes.get(actor, className)).fields;
  } catch (error) {
    if (!(error instanceof AppError) || error.kind !== 'not-found') throw error;
    if (!isCreated)
      throw runErrors.configuration(`Class "${className}" does not exist. Set "create_class" to make it.`);
  }
  const types = await columnTypes(run, table);
  const definitions = columns.map(({ column, field }) => {
    const own = fields.find(({ name }) => name === field);
    if (own) {
      const { column: _, ...definition } = own;
      return { ...definition, ...(field === key && { unique: true }) };
    }
    return { name: field, type: types.get(column) ?? 'string', ...(field === key && { unique: true }) };
  });
  const read: FieldDefinition[] = readFieldDefinitions(definitions);
  const made = await core.classes.create(actor, { name: className, fields: read });
  run.log.info(`Created class "${made.name}" with ${made.fields.length} fields.`);
  return made.fields;
}

const TYPES: Record<string, FieldType> = {
  INTEGER: 'integer',
  NUMERIC: 'float',
  FLOAT: 'float',
  BOOLEAN: 'boolean',
  DATE: 'datetime',
  TIMESTAMP: 'datetime',
};

/** What columns were declared to be by whatever made the table; most are texts. */
async function columnTypes(run: JobRun, table: Table): Promise<Map<string, FieldType>> {
  const metadata = await run.parts.core.metadata.listColumns(run.ctx.actor, [table.id]);
  const types = [...(metadata.get(table.id) ?? [])].map(([column, items]): [string, FieldType] => {
    const declared = items.findLast(({ key }) => key === 'KBC.datatype.basetype')?.value ?? '';
    return [column, TYPES[declared] ?? 'string'];
  });
  return new Map(types);
}
