import { AppError } from '../../../core/errors.ts';
import { type ClassField, type FieldType, type ObjectClass, PROFILE_CLASS } from '../../../core/objects/class-model.ts';
import { targetOf } from '../../../core/objects/field-definitions.ts';
import {
  readBoolean,
  readDatetime,
  readFloat,
  readId,
  readInteger,
  ValueProblem,
} from '../../../core/objects/field-values.ts';
import { objectErrors } from '../../../core/objects/object-errors.ts';
import { OWN_FIELDS, USER_FIELDS } from '../../../core/objects/object-model.ts';
import type { RecordFilter } from '../../../lib/filter.ts';

const MAX_FIELDS = 16;
const MAX_KEY = 64;
const MAX_LENGTH = 8192;
const MAX_VALUES = 128;
const MAX_NESTED = 4;
const MAX_TEXT = 128;
const KM_PER_MILE = 1.609344;
const DEFAULT_KM = 100 * KM_PER_MILE;

type Scalar = string | number | boolean;
type QueriedField = { name: string; type: FieldType | 'id'; isOwn: boolean };

const COMPARISONS: Record<string, 'gt' | 'ge' | 'lt' | 'le'> = { gt: 'gt', gte: 'ge', lt: 'lt', lte: 'le' };
const TEXT_LOOKUPS = [
  'contains',
  'icontains',
  'startswith',
  'istartswith',
  'endswith',
  'iendswith',
  'like',
  'ilike',
  'ieq',
];
const SCALARS: readonly QueriedField['type'][] = [
  'string',
  'integer',
  'float',
  'boolean',
  'datetime',
  'reference',
  'id',
];

/** A class by its name; throws when there is none. */
export type ResolveClass = (name: string) => Promise<ObjectClass>;

/** What fields are looked for in: a class, or the end users with their profiles. */
type Queried = { of: ObjectClass; isUser?: boolean };

/** `{"field": {"_lookup": value}}`, all of which must hold, as a filter; undefined for an empty query. */
export async function parseQuery(
  texts: readonly string[],
  of: ObjectClass,
  resolve: ResolveClass,
): Promise<RecordFilter | undefined> {
  const filters: RecordFilter[] = [];
  let nested = 0;
  const parseNested = async (field: QueriedField, value: unknown): Promise<RecordFilter> => {
    if (++nested > MAX_NESTED) throw objectErrors.query(`Too many nested queries defined (exceeds ${MAX_NESTED}).`);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType('is', field.name);
    const target = await resolveTarget(field, of, resolve);
    const parts: RecordFilter[] = [];
    for (const [name, lookups] of Object.entries(value))
      parts.push(
        ...(await parseField(name, lookups, target, () => {
          throw objectErrors.query('Double nested queries are not allowed.');
        })),
      );
    return { field: field.name, refersTo: { all: parts } };
  };
  for (const text of texts) {
    if (text.length > MAX_LENGTH) throw objectErrors.query('Query passed in invalid format.');
    const query = parseJson(text);
    const fields = Object.entries(query);
    if (fields.length > MAX_FIELDS) throw objectErrors.query(`Too many keys defined (exceeds ${MAX_FIELDS}).`);
    for (const [name, lookups] of fields) filters.push(...(await parseField(name, lookups, { of }, parseNested)));
  }
  return filters.length === 0 ? undefined : { all: filters };
}

function parseJson(text: string): object {
  let query: unknown;
  try {
    query = JSON.parse(text);
  } catch {
    throw objectErrors.query('Not a valid JSON string.');
  }
  if (typeof query !== 'object' || query === null || Array.isArray(query))
    throw objectErrors.query('Query passed in invalid format.');
  return query;
}

async function resolveTarget({ name }: QueriedField, of: ObjectClass, resolve: ResolveClass): Promise<Queried> {
  const field = of.fields.find((one) => one.name === name);
  const target = field && targetOf(field, of);
  if (target === of.name) return { of };
  const found = await resolve(target ?? PROFILE_CLASS).catch((error: unknown) => {
    if (!(error instanceof AppError) || error.kind !== 'not-found') throw error;
    throw objectErrors.query(`Referenced class "${target}" does not exist.`);
  });
  return { of: found, isUser: target === undefined };
}

async function parseField(
  name: string,
  lookups: unknown,
  queried: Queried,
  parseNested: (field: QueriedField, value: unknown) => Promise<RecordFilter>,
): Promise<RecordFilter[]> {
  const field = name.length <= MAX_KEY ? findField(name, queried) : undefined;
  if (!field) throw objectErrors.query(`Invalid field name defined: "${name}".`);
  if (typeof lookups !== 'object' || lookups === null || Array.isArray(lookups))
    throw objectErrors.query(`Invalid field "${name}" lookup type. Expected JSON object.`);
  const filters: RecordFilter[] = [];
  for (const [lookup, value] of Object.entries(lookups)) {
    const isNested = lookup === '_is' && (field.type === 'reference' || field.type === 'relation');
    const filter = isNested
      ? await parseNested(field, value)
      : lookup.startsWith('_')
        ? parseLookup(field, lookup.slice(1), value)
        : undefined;
    if (!filter) throw objectErrors.query(`Invalid lookup "${lookup}" defined for field "${name}".`);
    filters.push(filter);
  }
  return filters;
}

function findField(name: string, { of, isUser }: Queried): QueriedField | undefined {
  if (isUser && Object.hasOwn(USER_FIELDS, name)) {
    const kind = USER_FIELDS[name as keyof typeof USER_FIELDS];
    return { name, type: kind === 'date' ? 'datetime' : kind === 'text' ? 'string' : 'id', isOwn: false };
  }
  if (!isUser && Object.hasOwn(OWN_FIELDS, name)) {
    const kind = OWN_FIELDS[name as keyof typeof OWN_FIELDS];
    const type = kind === 'date' ? 'datetime' : kind === 'text' ? 'string' : 'id';
    return { name, type, isOwn: true };
  }
  const field = of.fields.find((one) => one.name === name);
  if (field && !field.filterIndex)
    throw objectErrors.query(`Field "${name}" cannot be used in a query as it is not indexed.`);
  return field && { name, type: field.type, isOwn: false };
}

/** Undefined for a lookup that the field does not have. */
function parseLookup(field: QueriedField, lookup: string, value: unknown): RecordFilter | undefined {
  const { name, type } = field;
  if (lookup === 'exists') {
    if (type === 'array') return undefined;
    if (typeof value !== 'boolean') throw wrongType(lookup, name);
    const isNull: RecordFilter = { field: name, op: 'eq', values: [null] };
    // Of a point no part can be compared with anything.
    return value ? { not: isNull } : isNull;
  }
  if (type === 'geopoint') return lookup === 'near' ? { field: name, near: parseNear(value, name) } : undefined;
  if (type === 'array' || type === 'relation') {
    if (lookup !== 'contains') return undefined;
    return { field: name, hasAll: parseList(lookup, value, name).map((one) => listItem(type, one, name)) };
  }
  if (!SCALARS.includes(type)) return undefined;
  const comparison = COMPARISONS[lookup];
  if (comparison) return { field: name, op: comparison, values: [readScalar(field, lookup, value)] };
  if (lookup === 'eq' || lookup === 'neq') {
    const values = [readScalar(field, lookup, value)];
    return { field: name, op: lookup === 'eq' ? 'eq' : 'ne', values };
  }
  if (lookup === 'in' || lookup === 'nin') {
    const values = parseList(lookup, value, name).map((one) => readScalar(field, lookup, one));
    return { field: name, op: lookup === 'in' ? 'eq' : 'ne', values };
  }
  if (!TEXT_LOOKUPS.includes(lookup)) return undefined;
  if (type !== 'string') return undefined;
  if (field.isOwn) throw objectErrors.query(`"${lookup}" is not supported on this field type.`);
  return textFilter(name, lookup, value);
}

function textFilter(field: string, lookup: string, value: unknown): RecordFilter {
  if (typeof value !== 'string') throw wrongType(lookup, field);
  if (value.length > MAX_TEXT || value.includes('\0'))
    throw objectErrors.query(
      `Validation of value provided for "${lookup}" lookup of field "${field}" failed: Ensure this field has no more than ${MAX_TEXT} characters.`,
    );
  const ignoresCase = lookup.startsWith('i');
  const kind = ignoresCase ? lookup.slice(1) : lookup;
  const literal = value.replace(/[\\%_]/g, '\\$&');
  // A backslash at the end has nothing to take literally, and the database refuses it.
  const pattern = /(?<!\\)(?:\\\\)*\\$/.test(value) ? `${value}\\` : value;
  const likes: Record<string, string> = {
    contains: `%${literal}%`,
    startswith: `${literal}%`,
    endswith: `%${literal}`,
    like: pattern,
    eq: literal,
  };
  return { field, like: likes[kind] ?? literal, ignoresCase };
}

function parseList(lookup: string, value: unknown, name: string): unknown[] {
  if (!Array.isArray(value)) throw wrongType(lookup, name);
  if (value.length > MAX_VALUES)
    throw objectErrors.query(`Too many values provided for "${lookup}" lookup of field "${name}". Max ${MAX_VALUES}.`);
  return value;
}

function listItem(type: FieldType, value: unknown, name: string): Scalar {
  if (type === 'relation') return readScalar({ name, type: 'id', isOwn: false }, 'contains', value);
  if (typeof value === 'string' && !value.includes('\0')) return value;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  throw wrongType('contains', name);
}

function readScalar({ name, type }: QueriedField, lookup: string, value: unknown): Scalar {
  const inner = datetimeText(type, value);
  if (inner === null || typeof inner === 'object' || (type === 'boolean' && typeof inner !== 'boolean'))
    throw wrongType(lookup, name);
  try {
    switch (type) {
      case 'integer':
        return readInteger(inner);
      case 'float':
        return readFloat(inner);
      case 'boolean':
        return readBoolean(inner);
      case 'datetime':
        return readDatetime(inner);
      case 'reference':
      case 'id':
        return readId(inner);
      default:
        if (typeof inner !== 'string' || inner.includes('\0')) throw wrongType(lookup, name);
        return inner;
    }
  } catch (error) {
    if (!(error instanceof ValueProblem)) throw error;
    throw objectErrors.query(
      `Validation of value provided for "${lookup}" lookup of field "${name}" failed: ${error.message}`,
    );
  }
}

/** Datetimes may come as they are answered. */
function datetimeText(type: QueriedField['type'], value: unknown): unknown {
  const { type: kind, value: inner } = (value ?? {}) as { type?: unknown; value?: unknown };
  return type === 'datetime' && kind === 'datetime' ? inner : value;
}

function parseNear(value: unknown, name: string) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType('near', name);
  const {
    longitude,
    latitude,
    distance_in_kilometers: km,
    distance_in_miles: miles,
  } = value as Record<string, unknown>;
  const isInside = (part: unknown, limit: number): part is number => typeof part === 'number' && Math.abs(part) < limit;
  if (!isInside(longitude, 180) || !isInside(latitude, 90))
    throw objectErrors.query('Invalid longitude/latitude values.');
  const distance = km ?? miles;
  if (distance === undefined) return { longitude, latitude, kilometers: DEFAULT_KM };
  const kilometers = typeof distance !== 'number' ? -1 : km === undefined ? distance * KM_PER_MILE : distance;
  if (kilometers < 0 || kilometers > 40_075) throw objectErrors.query('Invalid distance value.');
  return { longitude, latitude, kilometers };
}

function wrongType(lookup: string, name: string) {
  return objectErrors.query(`Invalid value type provided for "${lookup}" lookup of field "${name}".`);
}

/** Whether objects may be ordered by the field. */
export function orderField(name: string, of: ObjectClass): ClassField | 'own' {
  if (name === 'id' || name === 'created_at' || name === 'updated_at') return 'own';
  const field = of.fields.find((one) => one.name === name);
  if (!field) throw objectErrors.order();
  if (!field.orderIndex)
    throw objectErrors.order('Cannot use specified order_by field. Set required index on schema first.');
  return field;
}
