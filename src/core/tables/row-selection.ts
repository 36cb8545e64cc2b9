/** From column names, as people say them, to field ids, as engines know them. Pure. */
import type { Filter, Order } from '../../lib/filter.ts';
import type { AppError } from '../errors.ts';
import { canBeFiltered } from './column-types.ts';
import { type LakeColumn, userColumns } from './lake-store.ts';
import { isTyped } from './load-plan.ts';
import { TIMESTAMP_COLUMN } from './names.ts';
import { tableErrors } from './table-errors.ts';
import type { RowSelection } from './table-model.ts';

type Columns = { columns: LakeColumn[] };

/** The named columns, or all. The order is the caller's. */
export function resolveColumns(table: Columns, names: readonly string[] | undefined): LakeColumn[] {
  const all = userColumns(table);
  if (names === undefined || names.length === 0) return all;
  const byName = new Map(all.map((column) => [column.name, column]));
  const unknown = names.filter((name) => !byName.has(name));
  if (unknown.length > 0) throw tableErrors.exportColumnsUnknown(unknown);
  return [...new Set(names)].flatMap((name) => byName.get(name) ?? []);
}

function columnOf(table: Columns, name: string, unknown: (name: string) => AppError): LakeColumn {
  const column = table.columns.find((candidate) => candidate.name === name);
  if (column === undefined) throw unknown(name);
  return column;
}

/** A column by the name people use; the internal timestamp may be filtered and sorted by too. */
function fieldOf(table: Columns, name: string, unknown: (name: string) => AppError): string {
  return String(columnOf(table, name, unknown).id);
}

/** The filter of a selection over field ids; undefined when it selects everything. */
export function resolveFilter(
  table: Columns,
  selection: RowSelection,
  unknown: (name: string) => AppError = tableErrors.filterColumnUnknown,
): Filter | undefined {
  const parts: Filter[] = [];
  const filteredField = (name: string) => {
    const { id, definition } = columnOf(table, name, unknown);
    if (definition && !canBeFiltered(definition)) throw tableErrors.cannotFilter(name, definition.type);
    return String(id);
  };
  if (selection.filter !== undefined) parts.push(withFields(selection.filter, filteredField));
  const { changedSince, changedUntil } = selection;
  if (changedSince !== undefined || changedUntil !== undefined) {
    const field = fieldOf(table, TIMESTAMP_COLUMN, unknown);
    if (changedSince !== undefined) parts.push({ field, op: 'ge', values: [toTimestamp(changedSince)] });
    if (changedUntil !== undefined) parts.push({ field, op: 'lt', values: [toTimestamp(changedUntil)] });
  }
  return parts.length > 1 ? { all: parts } : parts[0];
}

export function resolveOrder(table: Columns, orderBy: readonly Order[] | undefined): Order[] {
  if (orderBy?.some(({ cast }) => cast !== undefined) && isTyped(table)) throw tableErrors.orderCastOnTyped();
  return (orderBy ?? []).map((order) => ({
    ...order,
    field: fieldOf(table, order.field, tableErrors.filterColumnUnknown),
  }));
}

function withFields(filter: Filter, fieldOf: (name: string) => string): Filter {
  if ('all' in filter) return { all: filter.all.map((part) => withFields(part, fieldOf)) };
  if ('any' in filter) return { any: filter.any.map((part) => withFields(part, fieldOf)) };
  if ('not' in filter) return { not: withFields(filter.not, fieldOf) };
  return { ...filter, field: fieldOf(filter.field) };
}

/** As the engine writes timestamps: `2025-01-31 12:30:00.123`, UTC. */
function toTimestamp(date: Date): string {
  return date.toISOString().replace('T', ' ').replace('Z', '');
}
