import { AppError } from '../../../core/errors.ts';
import type { ReadOptions, RowSelection } from '../../../core/tables/table-model.ts';
import type { Comparison, Filter, Order } from '../../../lib/filter.ts';
import { parseDate } from '../scalars.ts';
import { invalidRequest, type Problem } from '../validation.ts';

/**
 * Which rows, in Keboola's words: `whereFilters`, the older triple `whereColumn`, `whereValues`, `whereOperator`,
 * `changedSince` and `changedUntil`, `orderBy`. The wordings of what is wrong are compared by clients' tests.
 */
export type RowParameters = {
  whereFilters?: unknown;
  orderBy?: unknown;
  whereColumn?: string | undefined;
  whereValues?: string[] | undefined;
  whereOperator?: string | undefined;
  changedSince?: string | undefined;
  changedUntil?: string | undefined;
};

const OPERATORS: Record<string, Comparison> = {
  eq: 'eq',
  ne: 'ne',
  // The Python client sends this one.
  neq: 'ne',
  gt: 'gt',
  ge: 'ge',
  lt: 'lt',
  le: 'le',
};

const CASTS: Record<string, 'integer' | 'double'> = { INTEGER: 'integer', DOUBLE: 'double' };

const invalid = (message: string) => new AppError('invalid', 'table.invalid', message);

export function toRowSelection(parameters: RowParameters): RowSelection {
  const filters = toFilters(parameters.whereFilters);
  if (parameters.whereColumn !== undefined) filters.push(toLegacyFilter(parameters.whereColumn, parameters));
  return {
    filter: filters.length > 1 ? { all: filters } : filters[0],
    changedSince: toDate(parameters.changedSince, 'changedSince'),
    changedUntil: toDate(parameters.changedUntil, 'changedUntil'),
  };
}

export function toReadOptions(
  parameters: RowParameters & {
    columns?: string[] | undefined;
    limit?: number | undefined;
    includeInternalTimestamp?: boolean | undefined;
  },
): ReadOptions {
  return {
    ...toRowSelection(parameters),
    columns: parameters.columns,
    orderBy: toOrders(parameters.orderBy),
    limit: parameters.limit,
    includeInternalTimestamp: parameters.includeInternalTimestamp,
  };
}

function toFilters(value: unknown): Filter[] {
  return requireObjects(value, 'whereFilters').map((item, i) => {
    const problems: Problem[] = [];
    const missing = (name: string) =>
      problems.push({ key: `whereFilters[${i}][${name}]`, message: 'This field is missing.' });
    const values = toValues(item.values);
    if (typeof item.column !== 'string' || item.column === '') missing('column');
    if (values === undefined || values.length === 0) missing('values');
    if (problems.length > 0) throw invalidRequest(problems, 'table.invalid');
    const op = toOperator(item.operator);
    const cast = toCast(item.dataType);
    const kind = item.type ?? 'SCALAR';
    if (kind !== 'SCALAR' && kind !== 'TIME_STRING') {
      throw invalid(`Filter type ${String(kind)} not recognized. Possible types are [SCALAR|TIME_STRING]`);
    }
    const shown = kind === 'TIME_STRING' ? values?.map(toTimeText) : values;
    return { field: String(item.column), op, values: shown ?? [], ...(cast && { cast }) };
  });
}

function toLegacyFilter(column: string, { whereValues, whereOperator }: RowParameters): Filter {
  if (whereValues === undefined || whereValues.length === 0) {
    throw invalidRequest([{ key: 'whereColumn', message: 'To use "whereColumn" specify "whereValues".' }]);
  }
  const op = toOperator(whereOperator);
  if (op !== 'eq' && op !== 'ne') throw invalid(`Invalid where operator ${whereOperator}`);
  return { field: column, op, values: whereValues };
}

function toOrders(value: unknown): Order[] {
  return requireObjects(value, 'orderBy').map((item, i) => {
    if (typeof item.column !== 'string' || item.column === '') {
      throw invalidRequest([{ key: `orderBy[${i}][column]`, message: 'This field is missing.' }], 'table.invalid');
    }
    const order = String(item.order ?? 'ASC').toUpperCase();
    if (order !== 'ASC' && order !== 'DESC') {
      throw invalid(`Invalid sort order ${item.order}. Available orders are [DESC|ASC]`);
    }
    const cast = toCast(item.dataType);
    return { field: item.column, direction: order === 'ASC' ? 'asc' : 'desc', ...(cast && { cast }) };
  });
}

function requireObjects(value: unknown, name: string): Record<string, unknown>[] {
  if (value === undefined || value === null || value === '') return [];
  // A form may number its items from anywhere.
  const items = isNumberedMap(value) ? Object.values(value) : value;
  if (!Array.isArray(items)) {
    throw invalid(`Parameter "${name}" should be an array, but parameter contains:\n${JSON.stringify(value)}`);
  }
  if (items.some((item) => typeof item !== 'object' || item === null || Array.isArray(item))) {
    throw invalid(
      `All items in param "${name}" should be an arrays, but parameter contains:\n${JSON.stringify(value)}`,
    );
  }
  return items;
}

function isNumberedMap(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => /^\d+$/.test(key));
}

function toValues(value: unknown): string[] | undefined {
  const items = isNumberedMap(value) ? Object.values(value) : value;
  if (!Array.isArray(items)) return undefined;
  return items.map((item) => (item === null || item === undefined ? '' : String(item)));
}

function toOperator(value: unknown): Comparison {
  const operator = OPERATORS[String(value ?? 'eq')];
  if (operator === undefined) throw invalid(`Invalid where operator ${String(value)}`);
  return operator;
}

function toCast(value: unknown): 'integer' | 'double' | undefined {
  if (value === undefined || value === null || value === '' || value === 'STRING') return undefined;
  const cast = CASTS[String(value)];
  if (cast === undefined) {
    throw invalid(`Data type ${String(value)} not recognized. Possible datatypes are [INTEGER|DOUBLE]`);
  }
  return cast;
}

function toTimeText(value: string): string {
  const date = parseDate(value);
  if (date === undefined) throw invalid(`Cannot read "${value}" as a time.`);
  return date.toISOString().slice(0, 19).replace('T', ' ');
}

function toDate(value: string | undefined, name: string): Date | undefined {
  if (value === undefined || value === '') return undefined;
  const date = parseDate(value);
  if (date === undefined) throw invalid(`Parameter "${name}" is not a date: "${value}".`);
  return date;
}
