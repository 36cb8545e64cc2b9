import type { RowPage, TypedColumn, ValueType } from '../../drivers/engines/contract.ts';
import type { Comparison, RecordFilter } from '../../lib/filter.ts';
import type { OpenTable, RowQuery, TableRows } from '../tables/table-rows.ts';
import type { FieldType, ObjectClass } from './class-model.ts';
import { type ColumnField, columnFields } from './column-fields.ts';
import { objectErrors } from './object-errors.ts';
import type { ObjectDocument, ObjectQuery } from './object-model.ts';

/** As long as a listing of stored objects may take. */
const MAX_MS = 2000;

/**
 * The objects of classes over tables: rows, read where they lie. The id of an object is the row's (see TableRows), its
 * times are when the row was last written, its revision is always 1, and it has neither owner nor group: who may read
 * the class sees every row.
 */
export class TableObjects {
  readonly #rows: TableRows;

  constructor(rows: TableRows) {
    this.#rows = rows;
  }

  async get(of: ObjectClass, id: number): Promise<ObjectDocument> {
    const filter: RecordFilter = { field: 'id', op: 'eq', values: [id] };
    const [found] = await this.list(of, { filter, limit: 1 });
    if (!found) throw objectErrors.notFound();
    return found;
  }

  async list(of: ObjectClass, query: ObjectQuery): Promise<ObjectDocument[]> {
    const { table, fields } = open(of);
    const { filter, order, cursor, limit, back } = query;
    const columns = typedColumns(table, fields);
    const request: RowQuery = {
      columns,
      limit,
      filter: filter && toRowFilter(filter, table, fields),
      order: order && { ...order, field: orderField(order.field, table, fields) },
      cursor: cursor && { id: cursor.id, value: cursor.value ?? null },
      back,
    } as RowQuery;
    const page = await inTime((signal) => this.#rows.page(table, request, signal));
    return page.map((row) => toDocument(row, fields));
  }

  async count(of: ObjectClass, filter: RecordFilter | undefined): Promise<number> {
    const { table, fields } = open(of);
    const columns = typedColumns(table, fields);
    if (filter === undefined) return table.rowsCount;
    const wanted = toRowFilter(filter, table, fields);
    return inTime((signal) => this.#rows.count(table, { columns, filter: wanted }, signal));
  }

  /** Which of the ids are there. */
  async known(of: ObjectClass, ids: readonly number[]): Promise<number[]> {
    const filter: RecordFilter = { field: 'id', op: 'eq', values: [...ids] };
    return (await this.list(of, { filter, limit: ids.length })).map(({ id }) => id);
  }
}

function open(of: ObjectClass): { table: OpenTable; fields: ColumnField[] } {
  if (!of.source) throw objectErrors.sourceMissing(of.sourceTableId ?? '');
  return { table: of.source, fields: columnFields(of.fields, of.source) };
}

async function inTime<T>(read: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(MAX_MS);
  try {
    return await read(signal);
  } catch (error) {
    if (signal.aborted) throw objectErrors.tooSlow();
    throw error;
  }
}

const VALUE_TYPES: Partial<Record<FieldType, ValueType>> = {
  integer: 'integer',
  float: 'double',
  boolean: 'boolean',
  datetime: 'timestamp',
};

/** The fields of the class in their order, then when the row was written. */
function typedColumns(table: OpenTable, fields: readonly ColumnField[]): TypedColumn[] {
  return [
    ...fields.map(({ field, fieldId }): TypedColumn => ({ fieldId, type: VALUE_TYPES[field.type] ?? 'text' })),
    { fieldId: table.timestampFieldId, type: 'timestamp' },
  ];
}

function orderField(name: string, table: OpenTable, fields: readonly ColumnField[]): string {
  const field = rowField(name, table, fields);
  if (field === undefined) throw objectErrors.order();
  return field;
}

/** The engine's name of what an object can be filtered and ordered by; undefined for what no row has. */
function rowField(name: string, table: OpenTable, fields: readonly ColumnField[]): string | undefined {
  if (name === 'id') return 'row';
  if (name === 'created_at' || name === 'updated_at') return String(table.timestampFieldId);
  const found = fields.find(({ field }) => field.name === name);
  return found && String(found.fieldId);
}

/** The own members of an object that are the same in every row. */
const SAME_IN_ALL: Record<string, number | null> = {
  revision: 1,
  owner: null,
  group: null,
  channel: null,
  channel_room: null,
};

const ALWAYS: RecordFilter = { all: [] };
const NEVER: RecordFilter = { any: [] };

function toRowFilter(filter: RecordFilter, table: OpenTable, fields: readonly ColumnField[]): RecordFilter {
  if ('all' in filter) return { all: filter.all.map((part) => toRowFilter(part, table, fields)) };
  if ('any' in filter) return { any: filter.any.map((part) => toRowFilter(part, table, fields)) };
  if ('not' in filter) return { not: toRowFilter(filter.not, table, fields) };
  const field = rowField(filter.field, table, fields);
  if (field !== undefined) return { ...filter, field } as RecordFilter;
  const same = Object.hasOwn(SAME_IN_ALL, filter.field) ? SAME_IN_ALL[filter.field] : undefined;
  if (same === undefined || !('op' in filter))
    throw objectErrors.query(`Invalid field name defined: "${filter.field}".`);
  return holds(same, filter.op, filter.values) ? ALWAYS : NEVER;
}

function holds(actual: number | null, op: Comparison, values: readonly unknown[]): boolean {
  if (op === 'eq') return values.some((value) => (value === null ? actual === null : actual === Number(value)));
  if (op === 'ne') return !holds(actual, 'eq', values);
  const wanted = Number(values[0]);
  if (actual === null || !Number.isFinite(wanted)) return false;
  return { gt: actual > wanted, ge: actual >= wanted, lt: actual < wanted, le: actual <= wanted }[op];
}

function toDocument({ id, cells }: RowPage[number], fields: readonly ColumnField[]): ObjectDocument {
  const writtenAt = JSON.stringify(cells[fields.length] ?? null);
  const values = fields.map(
    ({ field }, at) => `,${JSON.stringify(field.name)}:${toJson(field.type, cells[at] ?? null)}`,
  );
  const document = `{"id":${id},"created_at":${writtenAt},"updated_at":${writtenAt},"revision":1,"owner":null,\
"owner_permissions":"full","group":null,"group_permissions":"none","other_permissions":"read","channel":null,\
"channel_room":null${values.join('')}}`;
  return { id, revision: 1, ownerId: undefined, groupId: undefined, document };
}

function toJson(type: FieldType, cell: string | null): string {
  if (cell === null) return 'null';
  if (type === 'datetime') return `{"type":"datetime","value":${JSON.stringify(cell)}}`;
  if (type === 'integer' || type === 'float' || type === 'boolean') return cell;
  return JSON.stringify(cell);
}
