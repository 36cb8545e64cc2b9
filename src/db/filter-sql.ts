import type { Comparison } from '../lib/filter.ts';
import type { QueryFilter } from '../lib/query-string.ts';
import { type Sql, sql } from './sql.ts';

/**
 * Where a field of a listing's filter lives. `list` is a text[]: a comparison holds when it holds for one item.
 * Values of `number` and `date` columns are compared as such.
 */
export type FilterColumn = { column: Sql; type: 'text' | 'list' | 'number' | 'boolean' | 'date' };

const OPERATORS: Record<Comparison, Sql> = {
  eq: sql`=`,
  ne: sql`<>`,
  gt: sql`>`,
  ge: sql`>=`,
  lt: sql`<`,
  le: sql`<=`,
};

const PARAMETER_TYPES = {
  text: sql`text`,
  list: sql`text`,
  number: sql`numeric`,
  boolean: sql`boolean`,
  date: sql`timestamptz`,
};

/** A filter tree as a condition over the given columns. A field without a column is a bug of the caller. */
export function filterToSql(filter: QueryFilter, columns: Record<string, FilterColumn>): Sql {
  if ('all' in filter) return group(filter.all, sql` and `, sql`true`, columns);
  if ('any' in filter) return group(filter.any, sql` or `, sql`false`, columns);
  // `is not true` also keeps rows whose value is null, as people mean by "not x".
  if ('not' in filter) return sql`(${filterToSql(filter.not, columns)}) is not true`;
  const found = Object.hasOwn(columns, filter.field) ? columns[filter.field] : undefined;
  if (!found) throw new Error(`No column for the filter field ${filter.field}`);
  if ('contains' in filter) return forEach(found, (value) => sql`${value} ilike ${`%${escapeLike(filter.contains)}%`}`);
  if ('matches' in filter) return forEach(found, (value) => sql`${value} ilike ${globToLike(filter.matches)}`);
  return comparison(found, filter.op, filter.values);
}

function group(filters: QueryFilter[], separator: Sql, empty: Sql, columns: Record<string, FilterColumn>): Sql {
  if (filters.length === 0) return empty;
  const parts = filters.map((filter) => filterToSql(filter, columns));
  return sql`(${sql.join(parts, separator)})`;
}

function comparison(found: FilterColumn, op: Comparison, values: (string | number | boolean | null)[]): Sql {
  const type = PARAMETER_TYPES[found.type];
  const texts = values.map((value) => (value === null ? null : String(value)));
  if (op === 'ne') return sql`(${comparison(found, 'eq', values)}) is not true`;
  if (op === 'eq') {
    const isNull = texts.includes(null) ? sql` or ${found.column} is null` : sql.empty;
    const wanted = texts.filter((text) => text !== null);
    const isOne = forEach(found, (value) => sql`${value} = any(${wanted}::text[]::${type}[])`);
    return sql`(${isOne}${isNull})`;
  }
  return forEach(found, (value) => sql`${value} ${OPERATORS[op]} ${texts[0] ?? null}::text::${type}`);
}

function forEach(found: FilterColumn, test: (value: Sql) => Sql): Sql {
  if (found.type === 'list') {
    return sql`exists (select from unnest(${found.column}) as item (value) where ${test(sql`item.value`)})`;
  }
  return test(found.column);
}

function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

/** `*` and `?` become LIKE's wildcards; what a backslash precedes is meant literally. */
function globToLike(glob: string): string {
  return glob.replace(/\\([\s\S])|[\s\S]/g, (char, escaped: string | undefined) => {
    if (escaped !== undefined) return escapeLike(escaped);
    return char === '*' ? '%' : char === '?' ? '_' : escapeLike(char);
  });
}
