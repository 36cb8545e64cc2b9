import type { Comparison, RecordFilter } from '../../../lib/filter.ts';
import type { EngineColumn, PageRequest, RowPage, TypedColumn } from '../contract.ts';
import type { RequestConnection } from './connection.ts';
import { pageTooLarge } from './errors.ts';
import { asText, column, KEPT_ROW_ID, literal, relation } from './sql.ts';

/**
 * A page of rows with typed values and ids, for readers that go through a table page by page:
 *
 *   scan (only files that can have rows of the page) ─► id and typed values ─► filter, place ─► order, limit ─► texts
 */
export async function readPage(connection: RequestConnection, request: PageRequest): Promise<RowPage> {
  const { columns, limit, pageBytes } = request;
  const cells = columns.map((item, index) => `${textOf(item)} AS t${index}`);
  const sizes = columns.map((_, index) => `coalesce(strlen(t${index}), 0)`).join(' + ') || '0';
  const shown = columns.map((_, index) => `CASE WHEN total <= ${pageBytes} THEN t${index} END`);
  const rows = (await connection.rows(
    `WITH page AS MATERIALIZED (SELECT id, ${[...cells, `row_number() OVER (${ordering(request)}) AS place`].join(', ')}
       FROM (${selection(request, connection.emptyFile)})),
     size AS (SELECT coalesce(sum(${sizes}), 0)::DOUBLE AS total FROM page)
     SELECT id::VARCHAR, total, ${shown.length > 0 ? shown.join(', ') : 'NULL'} FROM page, size ORDER BY place`,
  )) as [string, number, ...(string | null)[]][];
  const [first] = rows;
  if (first && first[1] > pageBytes) throw pageTooLarge(pageBytes);
  const page = rows.map(([id, _total, ...values]) => ({ id: Number(id), cells: values.slice(0, columns.length) }));
  return request.back && limit > 0 ? page.reverse() : page;
}

export async function countRows(connection: RequestConnection, request: PageRequest): Promise<number> {
  const { filter, columns } = request;
  const where = filter === undefined ? '' : ` WHERE ${condition(filter, columns)}`;
  return connection.count(`SELECT count(*)::DOUBLE FROM (${typedRows(request, connection.emptyFile)})${where}`);
}

/** The rows of the page, in no order. */
function selection(request: PageRequest, emptyFile: string): string {
  const { filter, columns } = request;
  const conditions = [...(filter ? [condition(filter, columns)] : []), ...place(request)];
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  return `SELECT * FROM (${typedRows(request, emptyFile)})${where} ${ordering(request)} LIMIT ${Math.trunc(request.limit)}`;
}

/** Every row with its id and, as `v<field id>`, its values. */
function typedRows({ table, firstRowIds, columns }: PageRequest, emptyFile: string): string {
  const known = new Map(table.columns.map((item) => [item.fieldId, item]));
  const fieldIds = [...new Set(columns.map(({ fieldId }) => fieldId))];
  const keptIds = firstRowIds.slice(0, table.files.length).includes(null);
  const scan = relation(table, fieldIds, { emptyFile, positions: true, rowIds: keptIds });
  const values = columns.map((item) => `${typedValue(item, known.get(item.fieldId))} AS ${name(item)}`);
  const files = table.files.map(({ path }, index) => `(${literal(path)}, ${firstRowIds[index] ?? 'NULL'})`);
  // Without files there are no rows; one file needs no look-up of where its ids begin.
  if (files.length <= 1) {
    const id = keptIds ? `${KEPT_ROW_ID.name} + 1` : `${firstRowIds[0] ?? 0} + file_row_number`;
    return `SELECT ${id} AS id${listed(values)} FROM ${scan}`;
  }
  const id = keptIds ? `coalesce(first + file_row_number, ${KEPT_ROW_ID.name} + 1)` : 'first + file_row_number';
  return `SELECT ${id} AS id${listed(values)} FROM ${scan} scanned
    JOIN (VALUES ${files.join(', ')}) places (path, first) ON scanned.filename = places.path`;
}

const listed = (items: string[]) => items.map((item) => `, ${item}`).join('');

const name = ({ fieldId }: TypedColumn) => `v${fieldId}`;

/** NULL for a text that is none of its type; never an infinity or a fraction cut off. */
function typedValue({ fieldId, type }: TypedColumn, known: EngineColumn | undefined): string {
  if (known?.type === 'timestamp' && (!known.typed || type === 'timestamp')) return column(fieldId);
  const cell = known ? asText(known) : column(fieldId);
  switch (type) {
    case 'text':
      return `coalesce(${cell}, '')`;
    case 'integer':
      return `CASE WHEN TRY_CAST(${cell} AS DOUBLE) = TRY_CAST(${cell} AS BIGINT) THEN TRY_CAST(${cell} AS BIGINT) END`;
    case 'double':
      return `CASE WHEN isfinite(TRY_CAST(${cell} AS DOUBLE)) THEN TRY_CAST(${cell} AS DOUBLE) END`;
    case 'boolean':
      return `TRY_CAST(${cell} AS BOOLEAN)`;
    case 'timestamp':
      return `CASE WHEN TRY_CAST(${cell} AS TIMESTAMP) BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'
        THEN TRY_CAST(${cell} AS TIMESTAMP) END`;
  }
}

function textOf(item: TypedColumn): string {
  return item.type === 'timestamp' ? `strftime(${name(item)}, '%Y-%m-%dT%H:%M:%S.%fZ')` : `${name(item)}::VARCHAR`;
}

/** Rows without a value come last in ascending order and first in descending. */
function ordering({ order, back }: PageRequest): string {
  const isDescending = (order?.direction === 'desc') !== (back ?? false);
  const byId = `id ${isDescending ? 'DESC' : 'ASC'}`;
  if (!order || order.field === ROW_ID) return `ORDER BY ${byId}`;
  return `ORDER BY v${Number(order.field)} ${isDescending ? 'DESC NULLS FIRST' : 'ASC NULLS LAST'}, ${byId}`;
}

/** Beyond the cursor, in the direction of reading. */
function place({ order, back, cursor, columns }: PageRequest): string[] {
  if (!cursor) return [];
  const isDescending = (order?.direction === 'desc') !== (back ?? false);
  const after = isDescending ? '<' : '>';
  const byId = `id ${after} ${Math.trunc(cursor.id)}`;
  if (!order || order.field === ROW_ID) return [byId];
  const found = columns.find(({ fieldId }) => String(fieldId) === order.field);
  if (!found) throw new Error(`No column for the order ${order.field}`);
  const value = name(found);
  if (cursor.value === undefined || cursor.value === null) {
    return [isDescending ? `(${value} IS NOT NULL OR ${byId})` : `(${value} IS NULL AND ${byId})`];
  }
  const at = valueLiteral(found, cursor.value);
  const rest = isDescending ? '' : ` OR ${value} IS NULL`;
  return [`(${value} ${after} ${at} OR (${value} = ${at} AND ${byId})${rest})`];
}

export const ROW_ID = 'row';

const operators: Record<Comparison, string> = { eq: '=', ne: '<>', gt: '>', ge: '>=', lt: '<', le: '<=' };

/** Means what the same filter means over the metadata database: no value matches only where null is asked for or `ne`. */
function condition(filter: RecordFilter, columns: TypedColumn[]): string {
  if ('all' in filter) return group(filter.all, 'AND', 'true', columns);
  if ('any' in filter) return group(filter.any, 'OR', 'false', columns);
  if ('not' in filter) return `(NOT coalesce(${condition(filter.not, columns)}, false))`;
  const isId = filter.field === ROW_ID;
  const found = columns.find(({ fieldId }) => String(fieldId) === filter.field);
  if (!isId && !found) throw new Error(`No column for the filter field ${filter.field}`);
  const left = found && !isId ? name(found) : 'id';
  if ('like' in filter) return `${left} ${filter.ignoresCase ? 'ILIKE' : 'LIKE'} ${literal(filter.like)} ESCAPE '\\'`;
  if (!('op' in filter)) throw new Error('A filter that rows of tables do not know');
  const { op, values } = filter;
  if (op === 'ne') return `(NOT coalesce(${condition({ ...filter, op: 'eq' }, columns)}, false))`;
  const rights = values
    .filter((value) => value !== null)
    .map((value) => (found && !isId ? valueLiteral(found, String(value)) : String(Math.trunc(Number(value)))));
  if (op !== 'eq') return `${left} ${operators[op]} ${rights[0] ?? 'NULL'}`;
  const parts = [
    ...(rights.length > 0 ? [`${left} IN (${rights.join(', ')})`] : []),
    ...(values.includes(null) ? [`${left} IS NULL`] : []),
  ];
  return parts.length === 0 ? 'false' : `(${parts.join(' OR ')})`;
}

function group(filters: RecordFilter[], word: 'AND' | 'OR', empty: string, columns: TypedColumn[]): string {
  return filters.length === 0 ? empty : `(${filters.map((part) => condition(part, columns)).join(` ${word} `)})`;
}

const types = { text: 'VARCHAR', integer: 'BIGINT', double: 'DOUBLE', boolean: 'BOOLEAN', timestamp: 'TIMESTAMP' };

function valueLiteral({ type }: TypedColumn, value: string): string {
  return type === 'text' ? literal(value) : `TRY_CAST(${literal(value)} AS ${types[type]})`;
}
