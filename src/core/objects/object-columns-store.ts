import type { FilterColumn } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { ClassField } from './class-model.ts';
import { OWN_FIELDS } from './object-model.ts';

const OWN_COLUMNS: Record<keyof typeof OWN_FIELDS, Sql> = {
  id: sql`id`,
  created_at: sql`created_at`,
  updated_at: sql`updated_at`,
  revision: sql`revision`,
  owner: sql`owner_id`,
  group: sql`group_id`,
  channel: sql`channel`,
  channel_room: sql`channel_room`,
};

/** Where a field's value is. The indexes are on exactly these expressions. */
export function fieldColumn({ name, type }: ClassField): FilterColumn {
  const key = sql.literal(name);
  switch (type) {
    case 'integer':
    case 'float':
      return { column: sql`(document->>${key})::numeric`, type: 'number' };
    case 'boolean':
      return { column: sql`(document->>${key})::boolean`, type: 'boolean' };
    case 'datetime':
      // Texts of one form in one time zone: they sort as times do, and an index may be on them.
      return { column: sql`(document->${key}->>'value') collate "C"`, type: 'text' };
    case 'reference':
      return { column: sql`(document->${key}->>'value')::bigint`, type: 'integer' };
    case 'relation':
      return { column: sql`(document->${key}->'value')::jsonb`, type: 'json' };
    case 'array':
      return { column: sql`(document->${key})::jsonb`, type: 'json' };
    case 'geopoint':
      return { column: sql`(document->>${key})::jsonb`, type: 'point' };
    default:
      return { column: sql`(document->>${key}) collate "C"`, type: 'text' };
  }
}

/** Every listing asks for them, and the fields of a class that is remembered stay the same list. */
const known = new WeakMap<readonly ClassField[], Readonly<Record<string, FilterColumn>>>();

/** Everything an object of the class can be filtered and ordered by. */
export function columnsOf(fields: readonly ClassField[]): Readonly<Record<string, FilterColumn>> {
  const columns = known.get(fields) ?? makeColumns(fields);
  known.set(fields, columns);
  return columns;
}

function makeColumns(fields: readonly ClassField[]): Record<string, FilterColumn> {
  const own = Object.entries(OWN_COLUMNS).map(([name, column]): [string, FilterColumn] => [
    name,
    { column, type: OWN_FIELDS[name as keyof typeof OWN_FIELDS] },
  ]);
  return Object.fromEntries([
    ...own,
    ...fields.map((field): [string, FilterColumn] => [field.name, fieldColumn(field)]),
  ]);
}
