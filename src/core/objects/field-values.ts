import type { ClassField } from './class-model.ts';
import { OBJECT_LIMITS } from './object-model.ts';

/** What is wrong with one value, for whoever sent it. */
export class ValueProblem extends Error {}

/** A stored value: its JSON as it is answered. */
export type StoredValue = string | number | boolean | null | object;

const MAX_INT = 2_147_483_647;
const DATETIME = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?Z$/;

/** NUL, or half of a surrogate pair, in a JSON text. */
const UNKEPT_ESCAPE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

/** Reads what somebody sent for a field. Whether references lead somewhere is checked elsewhere. */
export function readValue(field: ClassField, value: unknown, target: string | undefined): StoredValue {
  if (value === null || value === undefined) return null;
  switch (field.type) {
    case 'string':
      return readText(value, OBJECT_LIMITS.stringLength);
    case 'text':
      return readText(value, OBJECT_LIMITS.textLength);
    case 'integer':
      return readInteger(value);
    case 'float':
      return readFloat(value);
    case 'boolean':
      return readBoolean(value);
    case 'datetime':
      return { type: 'datetime', value: readDatetime(member(value, 'datetime')) };
    case 'file':
      throw new ValueProblem('Files cannot be stored in data objects yet.');
    case 'reference':
      return { type: 'reference', target: target ?? 'user', value: readId(member(value, 'reference')) };
    case 'relation':
      return toRelation(readIds(member(value, 'relation')), target);
    case 'array':
      return readArray(value);
    case 'object':
      return readObject(value);
    case 'geopoint':
      return readPoint(value);
  }
}

const LOOSE_DATETIME =
  /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?)(\.\d{1,6})?\d*)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/;

/** A value from a cell of a table: a text, where an empty one is no value for all types but texts. */
export function readCell(field: ClassField, cell: string | null, target: string | undefined): StoredValue {
  if (cell === null || (cell === '' && field.type !== 'string' && field.type !== 'text')) return null;
  return readValue(field, field.type === 'datetime' ? strictDatetime(cell) : cell, target);
}

/** Dates and times as databases write them, in UTC unless they say otherwise; anything else as it is. */
function strictDatetime(text: string): string {
  const [, day, time = '00:00:00', fraction = '', zone = 'Z'] = LOOSE_DATETIME.exec(text.trim()) ?? [];
  if (day === undefined) return text;
  const seconds = time.length === 5 ? `${time}:00` : time;
  if (zone === 'Z' || zone === 'UTC') return `${day}T${seconds}${fraction}Z`;
  const offset = `${zone.slice(0, 3)}:${zone.slice(-2)}`;
  const moved = new Date(`${day}T${seconds}${offset}`);
  if (Number.isNaN(moved.getTime())) return text;
  return `${moved.toISOString().slice(0, 19)}${fraction}Z`;
}

/** What a change makes of a field: a new value, or the old one changed by an operator such as `_increment`. */
export function changeValue(
  field: ClassField,
  before: StoredValue,
  change: unknown,
  target: string | undefined,
): StoredValue {
  const operation = readOperation(field, change);
  if (!operation) return readValue(field, change, target);
  const [operator, operand] = operation;
  switch (operator) {
    case '_increment': {
      const sum = Number(before ?? 0) + readFloat(operand);
      return field.type === 'integer' ? readInteger(sum) : readFloat(sum);
    }
    case '_add':
    case '_addunique':
    case '_remove':
      return field.type === 'relation'
        ? changeRelation(before, operator, operand, target)
        : changeArray(before, operator, operand);
    default:
      return readValue(field, change, target);
  }
}

/** A datetime as it is stored: UTC with six digits of seconds, so that texts sort as times do. */
export function readDatetime(value: unknown): string {
  const match = typeof value === 'string' ? DATETIME.exec(value) : null;
  const [year, month, day, hour, minute, second] = (match ?? []).slice(1, 7).map(Number);
  if (!match || year === undefined || year === 0 || month === undefined || day === undefined) throw wrongDatetime();
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const isDay = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!isDay || (hour ?? 99) > 23 || (minute ?? 99) > 59 || (second ?? 99) > 59) throw wrongDatetime();
  return `${match[0].slice(0, 19)}.${(match[7] ?? '').padEnd(6, '0')}Z`;
}

export function readInteger(value: unknown): number {
  const number = typeof value === 'string' && /^\s*[+-]?\d{1,15}(\.0*)?\s*$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number)) throw new ValueProblem('A valid integer is required.');
  if (number > MAX_INT) throw new ValueProblem(`Ensure this value is less than or equal to ${MAX_INT}.`);
  if (number < -MAX_INT - 1) throw new ValueProblem(`Ensure this value is greater than or equal to ${-MAX_INT - 1}.`);
  return number;
}

export function readFloat(value: unknown): number {
  const number = typeof value === 'string' && value.trim() !== '' && value.length <= 1000 ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) throw new ValueProblem('A valid number is required.');
  return number;
}

export function readBoolean(value: unknown): boolean {
  if (value === true || value === 1 || value === 'true' || value === 'True' || value === '1') return true;
  if (value === false || value === 0 || value === 'false' || value === 'False' || value === '0') return false;
  throw new ValueProblem('Not a valid boolean.');
}

export function readId(value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    const kind = typeof value === 'string' ? 'str' : Array.isArray(value) ? 'list' : typeof value;
    throw new ValueProblem(`Incorrect type. Expected pk value, received ${kind}.`);
  }
  return number;
}

export function toRelation(ids: readonly number[], target: string | undefined): StoredValue {
  if (ids.length === 0) return null;
  const unique = [...new Set(ids)].sort((a, b) => a - b);
  if (unique.length > OBJECT_LIMITS.relationLength)
    throw new ValueProblem(`Relation length limit exceeded (${OBJECT_LIMITS.relationLength}).`);
  return { type: 'relation', target: target ?? 'user', value: unique };
}

/** The ids that a stored reference or relation leads to. */
export function idsIn(value: StoredValue | undefined): number[] {
  if (typeof value !== 'object' || value === null) return [];
  const ids = (value as { value?: unknown }).value;
  return Array.isArray(ids) ? ids : typeof ids === 'number' ? [ids] : [];
}

/** PostgreSQL's JSON keeps neither NUL nor halves of surrogate pairs in texts. */
function checkText(text: string): string {
  if (text.includes('\0')) throw new ValueProblem('Null characters are not allowed.');
  return /\p{Surrogate}/u.test(text) ? Buffer.from(text).toString() : text;
}

function readText(value: unknown, maxLength: number): string {
  if (typeof value !== 'string' && typeof value !== 'number') throw new ValueProblem('Not a valid string.');
  const text = checkText(String(value));
  if (text.length > maxLength) throw new ValueProblem(`Ensure this field has no more than ${maxLength} characters.`);
  return text;
}

function wrongDatetime(): ValueProblem {
  return new ValueProblem('Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm:ss.uuuuuuZ.');
}

/** The value inside of `{type, value}`, which is how values of some types are answered. */
function member(value: unknown, type: string): unknown {
  const object = parsed(value);
  if (typeof object !== 'object' || object === null || Array.isArray(object)) return object;
  const { type: named, value: inner } = object as { type?: unknown; value?: unknown };
  return named === type || named === undefined ? inner : object;
}

/** Forms carry lists and objects as JSON texts. */
function parsed(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

function readArray(value: unknown): unknown[] {
  const list = parsed(value);
  if (!Array.isArray(list)) throw new ValueProblem('Not a valid array.');
  return list.map((item: unknown) => {
    if (typeof item === 'string') return checkText(item);
    if (typeof item === 'boolean' || (typeof item === 'number' && Number.isFinite(item))) return item;
    throw new ValueProblem('Array can only contain strings, booleans, integers and floats.');
  });
}

function readObject(value: unknown): object {
  const object = parsed(value);
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new ValueProblem('Not a valid object.');
  if (UNKEPT_ESCAPE.test(JSON.stringify(object))) throw new ValueProblem('Null characters are not allowed.');
  return object;
}

function readIds(value: unknown): number[] {
  if (!Array.isArray(value)) throw new ValueProblem('Not a valid relation.');
  return value.map((item: unknown) => {
    const id = typeof item === 'string' && /^\d{1,15}$/.test(item) ? Number(item) : item;
    if (typeof id !== 'number' || !Number.isSafeInteger(id))
      throw new ValueProblem('Relation can only contain integers (object ids).');
    return id;
  });
}

function readPoint(value: unknown): object {
  const point = parsed(value);
  if (typeof point !== 'object' || point === null || Array.isArray(point))
    throw new ValueProblem('Not a valid geopoint.');
  const { longitude, latitude } = point as { longitude?: unknown; latitude?: unknown };
  const [x, y] = [longitude, latitude].map((part) => (typeof part === 'string' && part !== '' ? Number(part) : part));
  if (typeof x !== 'number' || typeof y !== 'number' || !(Math.abs(x) <= 180) || !(Math.abs(y) <= 90))
    throw new ValueProblem('Not a valid geopoint.');
  return { type: 'geopoint', longitude: x, latitude: y };
}

const OPERATORS: Partial<Record<ClassField['type'], readonly string[]>> = {
  integer: ['_increment'],
  float: ['_increment'],
  array: ['_add', '_addunique', '_remove'],
  relation: ['_add', '_remove'],
};

function readOperation(field: ClassField, change: unknown): [operator: string, operand: unknown] | undefined {
  const known = OPERATORS[field.type];
  const object = known && parsed(change);
  if (typeof object !== 'object' || object === null || Array.isArray(object)) return undefined;
  const [entry, more] = Object.entries(object);
  return entry && !more && known?.includes(entry[0]) ? entry : undefined;
}

function changeArray(before: StoredValue, operator: string, operand: unknown): unknown[] {
  const list = Array.isArray(before) ? before : [];
  const items = readArray(Array.isArray(parsed(operand)) ? operand : [operand]);
  if (operator === '_remove') return list.filter((item) => !items.includes(item));
  if (operator === '_add') return [...list, ...items];
  return [...list, ...items.filter((item, at) => !list.includes(item) && items.indexOf(item) === at)];
}

function changeRelation(
  before: StoredValue,
  operator: string,
  operand: unknown,
  target: string | undefined,
): StoredValue {
  const ids = readIds(Array.isArray(operand) ? operand : [operand]);
  const kept = idsIn(before);
  return toRelation(operator === '_remove' ? kept.filter((id) => !ids.includes(id)) : [...kept, ...ids], target);
}
