import {
  CLASS_LIMITS,
  type ClassField,
  FIELD_TYPES,
  type FieldDefinition,
  type FieldType,
  type ObjectClass,
} from './class-model.ts';
import { objectErrors } from './object-errors.ts';

const SCALARS: readonly FieldType[] = ['string', 'integer', 'float', 'datetime', 'boolean', 'reference'];
const FILTERED: readonly FieldType[] = [...SCALARS, 'relation', 'array', 'geopoint'];
const TARGETED: readonly FieldType[] = ['reference', 'relation'];

/** The names of an object's own members. */
const RESERVED = new Set(
  `expected_revision links self id created_at updated_at revision owner owner_id owner_permissions group group_id
  group_permissions other_permissions channel channel_id channel_room acl`.split(/\s+/),
);
/** Whether a member of every object has the name. */
export function isReservedFieldName(name: string): boolean {
  return RESERVED.has(name.toLowerCase());
}

const MEMBERS = ['name', 'type', 'filter_index', 'order_index', 'unique', 'target'];

/** The fields of a class as people define them: a list of objects. Throws what is wrong with it. */
export function readFieldDefinitions(value: unknown): FieldDefinition[] {
  if (!Array.isArray(value)) throw problem('Schema passed in invalid format.');
  if (value.length > CLASS_LIMITS.fields) throw problem(`Too many fields defined (exceeds ${CLASS_LIMITS.fields}).`);
  const definitions = value.map((one: unknown, at) => {
    try {
      return readDefinition(one);
    } catch (error) {
      if (!(error instanceof DefinitionProblem)) throw error;
      const name = (one as { name?: unknown } | null)?.name;
      throw problem(
        `Error processing field definition "${typeof name === 'string' ? name : ''}" #${at}: ${error.message}`,
      );
    }
  });
  const names = definitions.map(({ name }) => name.toLowerCase());
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw problem(`Field "${twice}" defined more than once.`);
  const indexes = definitions.reduce((sum, one) => sum + Number(one.filterIndex) + Number(one.orderIndex), 0);
  if (indexes > CLASS_LIMITS.indexes) throw problem(`Too many indexes defined (exceeds ${CLASS_LIMITS.indexes}).`);
  if (definitions.filter(({ type, filterIndex }) => type === 'geopoint' && filterIndex).length > 1)
    throw problem('Too many indexes defined on field type geopoint (exceeds 1).');
  return definitions;
}

/** The fields a class has after a change: those that stay what they were keep their numbers. */
export function numberFields(definitions: readonly FieldDefinition[], before: readonly ClassField[]): ClassField[] {
  let last = before.reduce((max, { number }) => Math.max(max, number), 0);
  return definitions.map((definition) => {
    const known = before.find((field) => isSameField(field, definition));
    if (definition.unique && known && !known.unique)
      throw problem('Unique index can only be set on a new field. Delete field first.');
    return { ...definition, number: known?.number ?? ++last };
  });
}

/** Whether the definition is about the same values. */
function isSameField(field: ClassField, definition: FieldDefinition): boolean {
  const { name, type, target } = definition;
  return field.name === name && field.type === type && field.target === target;
}

/** The other classes that the fields point to. */
export function targetClasses(fields: readonly FieldDefinition[]): string[] {
  const targets = fields.flatMap(({ target }) => (target === undefined || isOwnWord(target) ? [] : [target]));
  return [...new Set(targets)];
}

function isOwnWord(target: string): boolean {
  return target === 'self' || target === 'user';
}

/** The class a reference points to; undefined for end users. */
export function targetOf(field: ClassField, of: Pick<ObjectClass, 'name'>): string | undefined {
  if (field.target === 'user') return undefined;
  return field.target === 'self' ? of.name : field.target;
}

export function canBeFiltered({ filterIndex }: ClassField): boolean {
  return filterIndex;
}

class DefinitionProblem extends Error {}

function readDefinition(value: unknown): FieldDefinition {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DefinitionProblem('Field definition needs to be an object.');
  const { name, type, target, ...flags } = value as Record<string, unknown>;
  if (Object.keys(value).some((key) => !MEMBERS.includes(key)))
    throw new DefinitionProblem(`Field definition can only consist of ${MEMBERS.join(', ')}.`);
  if (name === undefined || type === undefined) throw new DefinitionProblem('Field name and type is required.');
  if (typeof name !== 'string') throw new DefinitionProblem('Invalid type of field name. Expected string.');
  if (typeof type !== 'string') throw new DefinitionProblem('Invalid type of field type. Expected string.');
  if (!/^[a-z][a-z0-9_]*$/i.test(name)) throw new DefinitionProblem(`Wrong characters used in field name "${name}".`);
  if (name.length > CLASS_LIMITS.nameLength)
    throw new DefinitionProblem(`Value of name is too long, maximum length is ${CLASS_LIMITS.nameLength}.`);
  if (isReservedFieldName(name)) throw new DefinitionProblem(`Field name "${name}" is reserved.`);
  const kind = FIELD_TYPES.find((known) => known === type.toLowerCase());
  if (!kind) throw new DefinitionProblem(`Invalid field type value. Possible types: ${FIELD_TYPES.join(', ')}.`);
  const unique = readFlag(flags, 'unique');
  const filterIndex = readFlag(flags, 'filter_index') || unique;
  const orderIndex = readFlag(flags, 'order_index');
  if (filterIndex && !FILTERED.includes(kind))
    throw new DefinitionProblem(`Filter index cannot be set on field type ${kind}.`);
  if (orderIndex && !SCALARS.includes(kind))
    throw new DefinitionProblem(`Order index cannot be set on field type ${kind}.`);
  if (unique && !SCALARS.includes(kind))
    throw new DefinitionProblem(`Unique index cannot be set on field type ${kind}.`);
  return { name, type: kind, filterIndex, orderIndex, unique, target: readTarget(kind, target) };
}

function readFlag(flags: Record<string, unknown>, name: string): boolean {
  const value = flags[name];
  if (value === undefined || value === false) return false;
  if (value === true) return true;
  throw new DefinitionProblem(`Invalid value of ${name}. Expected boolean.`);
}

function readTarget(kind: FieldType, target: unknown): string | undefined {
  if (!TARGETED.includes(kind)) {
    if (target === undefined) return undefined;
    throw new DefinitionProblem(`Target cannot be set on field type ${kind}.`);
  }
  if (typeof target !== 'string' || target === '')
    throw new DefinitionProblem('Invalid value of target. Expected non-empty string.');
  const name = target.toLowerCase();
  if (name === 'users') throw new DefinitionProblem('Target must specify class name, "self" or "user".');
  return name;
}

function problem(text: string) {
  return objectErrors.invalid({ schema: [text] });
}
