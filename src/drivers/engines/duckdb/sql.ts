import { errors } from '../../../core/errors.ts';
import type { Comparison, Filter, Order } from '../../../lib/filter.ts';
import type { ColumnType, DataFile, EngineColumn, TableVersion } from '../contract.ts';

/** Texts of DuckDB SQL. Columns are always called `c<fieldId>` inside: names may differ in case only, numbers do not. */

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A string literal. DuckDB's parser ends at a NUL byte, so those are put in by function. */
export function literal(text: string): string {
  const parts = text.split('\0').map((part) => `'${part.replaceAll("'", "''")}'`);
  return parts.length === 1 ? parts[0]! : `(${parts.join(' || chr(0) || ')})`;
}

export const literals = (texts: string[]): string => `[${texts.map(literal).join(', ')}]`;

export const column = (fieldId: number): string => `c${fieldId}`;

/** Microseconds, UTC. */
export const timestampLiteral = (value: Date): string =>
  `TIMESTAMP '${value.toISOString().replace('T', ' ').replace('Z', '')}'`;

/** As DuckDB calls it. */
export const duckdbType = (type: ColumnType): string => (type === 'float64' ? 'DOUBLE' : type.toUpperCase());

/**
 * How a file's columns are found: by field id, whatever they are called in it. A file older than a varchar column
 * gives '' for it, as the catalogue's initial default says.
 */
function schemaMap(columns: EngineColumn[], rowIds = false): string {
  const entries = columns.map(({ fieldId, type, typed }) => {
    const missing = typed ? typed.initialDefault : type === 'varchar' ? '' : undefined;
    const value = missing === undefined ? 'NULL' : literal(missing);
    return `${fieldId}: {name: '${column(fieldId)}', type: '${duckdbType(type)}', default_value: ${value}}`;
  });
  return `MAP {${[...entries, ...(rowIds ? [rowIdEntry] : [])].join(', ')}}`;
}

/** Where DuckLake keeps the ids of rows in files whose rows are not numbered through. */
export const KEPT_ROW_ID = { fieldId: 2147483540, name: '_ducklake_internal_row_id' } as const;
const rowIdEntry = `${KEPT_ROW_ID.fieldId}: {name: '${KEPT_ROW_ID.name}', type: 'BIGINT', default_value: NULL}`;

/** The ids in a file, beside `file_row_number`. */
export const rowIdScan = (path: string): string => `read_parquet(${literal(path)}, schema = MAP {${rowIdEntry}})`;

const positionColumns = ['filename', 'file_row_number'];

/** The deleted positions of a data file. */
export function deletedPositions(deleteFile: NonNullable<DataFile['deleteFile']>): string {
  const upTo =
    deleteFile.rowsUpTo === undefined ? '' : ` WHERE _ducklake_internal_snapshot_id <= ${deleteFile.rowsUpTo}`;
  return `SELECT pos FROM read_parquet(${literal(deleteFile.path)})${upTo}`;
}

export type RelationOptions = {
  /**
   * A Parquet file without rows. DuckDB reads a single file that is mapped by field ids with one core only, two files
   * with all of them.
   */
  emptyFile: string;
  positions?: boolean;
  /** Adds the ids that files keep themselves, as `KEPT_ROW_ID.name`; NULL in the others. */
  rowIds?: boolean;
};

/** Writes a file for `RelationOptions.emptyFile`. */
export const emptyFileCopy = (path: string): string =>
  `COPY (SELECT 1 AS nothing LIMIT 0) TO ${literal(path)} (FORMAT parquet, FIELD_IDS {nothing: 2147483000})`;

/**
 * A table version as a FROM item: the given columns and, if asked for, where each row is (`filename`,
 * `file_row_number`). One scan for all files without deletes, one branch for each of the others: the fastest of the
 * forms measured for DuckLake's delete files.
 */
export function relation(version: TableVersion, fieldIds: number[], options: RelationOptions): string {
  const known = new Map(version.columns.map((item) => [item.fieldId, item]));
  const columns = fieldIds.map((fieldId) => {
    const found = known.get(fieldId);
    if (found === undefined) throw errors.invalid(`The table has no column ${fieldId}.`);
    return found;
  });
  const names = [
    ...columns.map(({ fieldId }) => column(fieldId)),
    ...(options.positions ? positionColumns : []),
    ...(options.rowIds ? [KEPT_ROW_ID.name] : []),
  ];
  // A scan needs at least one mapped column even when only positions or counts are wanted.
  const schema = schemaMap(columns.length > 0 ? columns : version.columns.slice(0, 1), options.rowIds);
  const selected = names.length > 0 ? names.join(', ') : '1';
  const scan = (paths: string[]) => {
    const listed = paths.length === 1 ? [...paths, options.emptyFile] : paths;
    return `SELECT ${selected} FROM read_parquet(${literals(listed)}, schema = ${schema})`;
  };

  const untouched = version.files.filter((file) => file.deleteFile === undefined).map((file) => file.path);
  const branches = untouched.length > 0 ? [scan(untouched)] : [];
  for (const file of version.files) {
    if (file.deleteFile === undefined) continue;
    branches.push(`${scan([file.path])} WHERE file_row_number NOT IN (${deletedPositions(file.deleteFile)})`);
  }
  if (branches.length > 0) return `(${branches.join(' UNION ALL ')})`;

  const typed = [
    ...columns.map(({ fieldId, type }) => `NULL::${duckdbType(type)} AS ${column(fieldId)}`),
    ...(options.positions ? ['NULL::VARCHAR AS filename', 'NULL::BIGINT AS file_row_number'] : []),
    ...(options.rowIds ? [`NULL::BIGINT AS ${KEPT_ROW_ID.name}`] : []),
  ];
  return `(SELECT ${typed.length > 0 ? typed.join(', ') : '1'} WHERE false)`;
}

const operators: Record<Comparison, string> = { eq: '=', ne: '<>', gt: '>', ge: '>=', lt: '<', le: '<=' };

const castTypes = { integer: 'HUGEINT', double: 'DOUBLE' } as const;

/** Field ids a filter and an order mention. */
export function mentionedFields(filter: Filter | undefined, orderBy: Order[] = []): number[] {
  const inFilter = (node: Filter): number[] => {
    if ('all' in node) return node.all.flatMap(inFilter);
    if ('any' in node) return node.any.flatMap(inFilter);
    if ('not' in node) return inFilter(node.not);
    return [Number(node.field)];
  };
  return [...(filter === undefined ? [] : inFilter(filter)), ...orderBy.map((order) => Number(order.field))];
}

/** A WHERE condition. Text is compared bytewise (DuckDB's default); a NULL left by another writer counts as ''. */
export function condition(filter: Filter, columns: EngineColumn[]): string {
  if ('all' in filter) return conjunction(filter.all, 'AND', 'true', columns);
  if ('any' in filter) return conjunction(filter.any, 'OR', 'false', columns);
  if ('not' in filter) return `(NOT coalesce(${condition(filter.not, columns)}, false))`;
  const found = columns.find((item) => String(item.fieldId) === filter.field);
  if (found === undefined) throw errors.invalid(`The table has no column ${filter.field}.`);
  const name = column(found.fieldId);
  if ('contains' in filter) return `contains(lower(CAST(${name} AS VARCHAR)), lower(${literal(filter.contains)}))`;

  const values = filter.op === 'eq' || filter.op === 'ne' ? filter.values : filter.values.slice(0, 1);
  if (values.length === 0) return filter.op === 'ne' ? 'true' : 'false';
  if (found.typed && filter.op === 'eq' && values.every((value) => value === null)) return `${name} IS NULL`;
  if (found.type === 'timestamp' && !found.typed) return listed(name, filter.op, values.map(timestampValue));
  if (filter.cast !== undefined) {
    const type = castTypes[filter.cast];
    const casts = values.map((value) => `TRY_CAST(${literal(String(value ?? ''))} AS ${type})`);
    const cell = found.type === 'varchar' ? name : `CAST(${name} AS VARCHAR)`;
    return listed(`TRY_CAST(${cell} AS ${type})`, filter.op, casts);
  }
  if (found.type !== 'varchar')
    return typedCondition(
      found,
      filter.op,
      values.map((value) => String(value ?? '')),
    );
  const texts = values.map((value) => String(value ?? ''));
  const compared = listed(name, filter.op, texts.map(literal));
  if (filter.op === 'eq') return texts.includes('') ? `(${compared} OR ${name} IS NULL)` : compared;
  if (filter.op === 'ne') return texts.includes('') ? compared : `(${compared} OR ${name} IS NULL)`;
  return compared;
}

/** No value is the empty text, as it is wherever people see it. */
function typedCondition({ fieldId, type }: EngineColumn, op: Comparison, texts: string[]): string {
  const name = column(fieldId);
  const filled = texts.filter((text) => text !== '').map((text) => `TRY_CAST(${literal(text)} AS ${duckdbType(type)})`);
  if (op !== 'eq' && op !== 'ne') return filled.length === 0 ? 'false' : listed(name, op, filled);
  const parts = [
    ...(filled.length > 0 ? [`coalesce(${listed(name, 'eq', filled)}, false)`] : []),
    ...(filled.length < texts.length ? [`${name} IS NULL`] : []),
  ].join(' OR ');
  return op === 'eq' ? `(${parts})` : `(NOT (${parts}))`;
}

function conjunction(filters: Filter[], word: 'AND' | 'OR', empty: string, columns: EngineColumn[]): string {
  return filters.length === 0 ? empty : `(${filters.map((part) => condition(part, columns)).join(` ${word} `)})`;
}

function listed(left: string, op: Comparison, rights: string[]): string {
  if (rights.length === 1) return `${left} ${operators[op]} ${rights[0]}`;
  return `${left} ${op === 'ne' ? 'NOT IN' : 'IN'} (${rights.join(', ')})`;
}

/** Numbers are Unix seconds; texts are ISO or `YYYY-MM-DD hh:mm:ss`, UTC. */
function timestampValue(value: string | number | boolean | null): string {
  if (typeof value === 'number') return `make_timestamp(${Math.round(value * 1_000_000)})`;
  return `TRY_CAST(${literal(String(value ?? ''))} AS TIMESTAMP)`;
}

/** An ORDER BY clause, or nothing. What does not cast comes last in both directions. */
export function ordering(orderBy: Order[] | undefined): string {
  if (orderBy === undefined || orderBy.length === 0) return '';
  const parts = orderBy.map(({ field, direction, cast }) => {
    const name = column(Number(field));
    const key = cast === undefined ? name : `TRY_CAST(${name} AS ${castTypes[cast]})`;
    return `${key} ${direction === 'desc' ? 'DESC' : 'ASC'} NULLS LAST`;
  });
  return ` ORDER BY ${parts.join(', ')}`;
}

/** A column as people see it: text as it is, the internal timestamp to the second, numbers without an idle `.0`. */
export function asText({ fieldId, type, typed }: EngineColumn): string {
  const name = column(fieldId);
  if (type === 'varchar') return name;
  if (!typed) return `strftime(${name}, '%Y-%m-%d %H:%M:%S')`;
  if (type === 'float64') return `regexp_replace(CAST(${name} AS VARCHAR), '\\.0$', '')`;
  // Always in UTC, wherever the server stands.
  if (type === 'timestamptz') return `CAST(${name} AT TIME ZONE 'UTC' AS VARCHAR) || '+00'`;
  return `CAST(${name} AS VARCHAR)`;
}
