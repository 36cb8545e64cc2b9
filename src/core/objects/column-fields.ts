import type { OpenTable } from '../tables/table-rows.ts';
import { CLASS_LIMITS, type ClassField, type FieldType } from './class-model.ts';
import { isReservedFieldName } from './field-definitions.ts';

/** What a column of texts can be understood as in a class over a table. */
export const COLUMN_TYPES = [
  'string',
  'text',
  'integer',
  'float',
  'boolean',
  'datetime',
] as const satisfies readonly FieldType[];

/**
 * The field each column of a table is: its own name where a field can have it, else the nearest one. A letter must come
 * first, then letters, digits and underscores; the names of an object's own members (`id`, `group` ...) get `c_` before
 * them; of names that differ in case only, the later ones get a number.
 */
export function fieldNames(columns: readonly string[]): string[] {
  const taken = new Set<string>();
  return columns.map((column) => {
    const plain = column.replace(/[^A-Za-z0-9_]/g, '_');
    const isFine = /^[A-Za-z]/.test(plain) && !isReservedFieldName(plain);
    const first = (isFine ? plain : `c_${plain}`).slice(0, CLASS_LIMITS.nameLength);
    let name = first;
    for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${first.slice(0, CLASS_LIMITS.nameLength - 4)}_${n}`;
    taken.add(name.toLowerCase());
    return name;
  });
}

export type ColumnField = { field: ClassField; fieldId: number };

/**
 * The fields of a class over a table, as the table is now. Who defined fields gets those of them whose column is there;
 * who did not gets every column as a string that can be filtered and ordered by.
 */
export function columnFields(defined: readonly ClassField[], table: OpenTable): ColumnField[] {
  const names = fieldNames(table.columns.map(({ name }) => name));
  const byName = new Map(names.map((name, at) => [name.toLowerCase(), table.columns[at]?.fieldId ?? 0]));
  if (defined.length > 0) {
    return defined.flatMap((field) => {
      const fieldId = byName.get(field.name.toLowerCase());
      return fieldId === undefined ? [] : [{ field, fieldId }];
    });
  }
  return names.map((name, at) => ({
    fieldId: table.columns[at]?.fieldId ?? 0,
    field: {
      number: at + 1,
      name,
      type: 'string',
      filterIndex: true,
      orderIndex: true,
      unique: false,
      target: undefined,
    },
  }));
}
