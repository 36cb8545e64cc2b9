import type { Comparison, KeysetPage, RecordFilter } from '../lib/filter.ts';
import { type Sql, sql } from './sql.ts';

/**
 * Where a field of a listing's filter lives. `list` is a text[]: a comparison holds when it holds for one item.
 * Values of `integer`, `number` and `date` columns are compared as such. `json` is a jsonb list of scalars; `point` a
 * json object with longitude and latitude.
 */
export type FilterColumn = {
  column: Sql;
  type: 'text' | 'list' | 'integer' | 'number' | 'boolean' | 'date' | 'json' | 'point';
  /** A query for the ids of those records the field can lead to for which a filter holds. */
  targets?: ((filter: RecordFilter) => Sql) | undefined;
};

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
  integer: sql`bigint`,
  number: sql`numeric`,
  boolean: sql`boolean`,
  date: sql`timestamptz`,
  json: sql`jsonb`,
  point: sql`jsonb`,
};

const EARTH_RADIUS_KM = 6371;

/** A filter tree as a condition over the given columns. A field without a column is a bug of the caller. */
export function filterToSql(filter: RecordFilter, columns: Record<string, FilterColumn>): Sql {
  if ('all' in filter) return group(filter.all, sql` and `, sql`true`, columns);
  if ('any' in filter) return group(filter.any, sql` or `, sql`false`, columns);
  // `is not true` also keeps rows whose value is null, as people mean by "not x".
  if ('not' in filter) return sql`(${filterToSql(filter.not, columns)}) is not true`;
  const found = Object.hasOwn(columns, filter.field) ? columns[filter.field] : undefined;
  if (!found) throw new Error(`No column for the filter field ${filter.field}`);
  if ('contains' in filter) return forEach(found, (value) => sql`${value} ilike ${`%${escapeLike(filter.contains)}%`}`);
  if ('matches' in filter) return forEach(found, (value) => sql`${value} ilike ${globToLike(filter.matches)}`);
  if ('like' in filter) {
    const { like, ignoresCase } = filter;
    return forEach(found, (value) => (ignoresCase ? sql`${value} ilike ${like}` : sql`${value} like ${like}`));
  }
  if ('hasAll' in filter) return sql`${found.column} @> ${JSON.stringify(filter.hasAll)}::text::jsonb`;
  if ('refersTo' in filter) return reference(found, filter.refersTo);
  if ('near' in filter) return nearby(found.column, filter.near);
  return comparison(found, filter.op, filter.values);
}

function reference({ column, type, targets }: FilterColumn, filter: RecordFilter): Sql {
  if (!targets) throw new Error('A filter on what a field leads to that leads nowhere');
  if (type !== 'json') return sql`${column} in (${targets(filter)})`;
  return sql`exists (
    select from jsonb_array_elements_text(${column}) as item (id) where item.id::bigint in (${targets(filter)}))`;
}

/** The haversine formula: exact enough everywhere, and stable for points that lie close together. */
function nearby(point: Sql, center: { longitude: number; latitude: number; kilometers: number }): Sql {
  const latitude = sql`(${point}->>'latitude')::float8`;
  const longitude = sql`(${point}->>'longitude')::float8`;
  const haversine = sql`power(sind((${latitude} - ${center.latitude}::float8) / 2), 2)
    + cosd(${latitude}) * cosd(${center.latitude}::float8) * power(sind((${longitude} - ${center.longitude}::float8) / 2), 2)`;
  return sql`${2 * EARTH_RADIUS_KM}::float8 * asin(least(1, sqrt(${haversine}))) < ${center.kilometers}::float8`;
}

function group(filters: RecordFilter[], separator: Sql, empty: Sql, columns: Record<string, FilterColumn>): Sql {
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

/** What to read for a page of a list that is ordered by this key; `inListOrder` then puts the rows right. */
export function keysetToSql(
  key: Sql,
  { after, back = false, isDescending = false }: Omit<KeysetPage<string | number>, 'limit'>,
): { where: Sql[]; order: Sql } {
  const readsDown = isDescending !== back;
  return {
    where: after === undefined ? [] : [readsDown ? sql`${key} < ${after}` : sql`${key} > ${after}`],
    order: readsDown ? sql`${key} desc` : sql`${key} asc`,
  };
}

export function inListOrder<Row>(rows: Row[], { back }: Pick<KeysetPage<number>, 'back'>): Row[] {
  return back ? rows.reverse() : rows;
}
