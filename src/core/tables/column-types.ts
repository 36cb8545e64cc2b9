/**
 * Types of columns: what people ask for, by the names of Snowflake or by the few general ones, and the type of the
 * lake that holds it. Pure.
 */
import type { ColumnType } from '../../drivers/engines/contract.ts';
import { tableErrors } from './table-errors.ts';

/** As it is kept and shown: the type by its main name, its length complete. */
export type ColumnDefinition = {
  type: string;
  length?: string;
  nullable: boolean;
  default?: string;
};

/** As it is asked for: a type with its particulars, or only a general type. */
export type NewColumnDefinition = {
  type?: string | undefined;
  length?: string | undefined;
  nullable?: boolean | undefined;
  default?: string | undefined;
  basetype?: string | undefined;
};

export type BaseType = 'BOOLEAN' | 'DATE' | 'FLOAT' | 'INTEGER' | 'NUMERIC' | 'STRING' | 'TIMESTAMP';

type Length = 'none' | 'decimal' | { most: number; usual: number; least: number };

type TypeFacts = {
  basetype: BaseType;
  length: Length;
  lake: (length: string | undefined) => ColumnType;
  /** Values of these are told and stored as they came; comparing them says nothing. */
  isOpaque?: true;
  isValidDefault: (text: string, length: string | undefined) => boolean;
};

const DATE = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?$/;
const isDate = (text: string) => DATE.test(text) && new Date(`${text}T00:00:00Z`).toISOString().startsWith(text);
const isTimestamp = (text: string) => {
  const [date = '', time = '00:00'] = text.split(/[ T]/);
  return isDate(date) && TIME.test(time);
};
const fraction = { most: 9, usual: 9, least: 0 };

const opaque = (most?: number): TypeFacts => ({
  basetype: 'STRING',
  length: most === undefined ? 'none' : { most, usual: most, least: 1 },
  lake: () => 'varchar',
  isOpaque: true,
  isValidDefault: () => false,
});
const timestamp = (lake: ColumnType): TypeFacts => ({
  basetype: 'TIMESTAMP',
  length: fraction,
  lake: () => lake,
  isValidDefault: isTimestamp,
});

const TYPES: Record<string, TypeFacts> = {
  NUMBER: {
    basetype: 'NUMERIC',
    length: 'decimal',
    lake: (length = '38,0') => `decimal(${length})` as ColumnType,
    isValidDefault: (text, length = '38,0') => {
      const [precision = 38, scale = 0] = length.split(',').map(Number);
      const match = /^[+-]?0*(\d*)(?:\.(\d+))?$/.exec(text);
      return match !== null && /\d/.test(text) && (match[1] ?? '').length <= precision - scale;
    },
  },
  FLOAT: {
    basetype: 'FLOAT',
    length: 'none',
    lake: () => 'float64',
    isValidDefault: (text) => text.trim() !== '' && Number.isFinite(Number(text)),
  },
  VARCHAR: {
    basetype: 'STRING',
    length: { most: 16_777_216, usual: 16_777_216, least: 1 },
    lake: () => 'varchar',
    isValidDefault: (text, length) => [...text].length <= Number(length) && !text.includes('\0'),
  },
  BOOLEAN: {
    basetype: 'BOOLEAN',
    length: 'none',
    lake: () => 'boolean',
    isValidDefault: (text) => /^(true|false|0|1)$/i.test(text),
  },
  DATE: { basetype: 'DATE', length: 'none', lake: () => 'date', isValidDefault: isDate },
  TIME: { basetype: 'STRING', length: fraction, lake: () => 'time', isValidDefault: (text) => TIME.test(text) },
  TIMESTAMP_NTZ: timestamp('timestamp'),
  TIMESTAMP_LTZ: timestamp('timestamptz'),
  TIMESTAMP_TZ: timestamp('timestamptz'),
  VARIANT: opaque(),
  OBJECT: opaque(),
  ARRAY: opaque(),
  BINARY: opaque(8_388_608),
};

/** Other names of the same types; some come with a length of their own. */
const ALIASES: Record<string, { type: string; length?: string }> = {
  ...Object.fromEntries(
    ['INT', 'INTEGER', 'BIGINT', 'SMALLINT', 'TINYINT', 'BYTEINT'].map((name) => [
      name,
      { type: 'NUMBER', length: '38,0' },
    ]),
  ),
  ...Object.fromEntries(['DECIMAL', 'DEC', 'NUMERIC'].map((name) => [name, { type: 'NUMBER' }])),
  ...Object.fromEntries(
    ['DOUBLE', 'DOUBLE PRECISION', 'REAL', 'FLOAT4', 'FLOAT8'].map((name) => [name, { type: 'FLOAT' }]),
  ),
  ...Object.fromEntries(
    ['TEXT', 'STRING', 'NVARCHAR', 'NVARCHAR2', 'CHAR VARYING', 'NCHAR VARYING'].map((name) => [
      name,
      { type: 'VARCHAR' },
    ]),
  ),
  ...Object.fromEntries(['CHAR', 'CHARACTER', 'NCHAR'].map((name) => [name, { type: 'VARCHAR', length: '1' }])),
  VARBINARY: { type: 'BINARY' },
  DATETIME: { type: 'TIMESTAMP_NTZ' },
  TIMESTAMP: { type: 'TIMESTAMP_NTZ' },
};

const BASETYPES: Record<BaseType, { type: string; length?: string }> = {
  BOOLEAN: { type: 'BOOLEAN' },
  DATE: { type: 'DATE' },
  FLOAT: { type: 'FLOAT' },
  INTEGER: { type: 'NUMBER', length: '38,0' },
  NUMERIC: { type: 'NUMBER', length: '38,9' },
  STRING: { type: 'VARCHAR' },
  TIMESTAMP: { type: 'TIMESTAMP_NTZ' },
};

/** Complete and checked. A column of the key is never without a value. */
export function requireDefinition(column: string, asked: NewColumnDefinition, isKey: boolean): ColumnDefinition {
  const named = requireType(column, asked);
  const facts = factsOf(named.type);
  const length = requireLength(column, named.type, facts.length, asked.length ?? named.length);
  if (isKey && asked.nullable === true) {
    throw tableErrors.invalid(`Invalid parameters - columns: Primary key column "${column}" must not be nullable.`);
  }
  if (asked.default !== undefined && !facts.isValidDefault(asked.default, length)) {
    throw tableErrors.invalidDefault(column, asked.default, named.type);
  }
  return {
    type: named.type,
    ...(length !== undefined && { length }),
    nullable: isKey ? false : (asked.nullable ?? true),
    ...(asked.default !== undefined && { default: asked.default }),
  };
}

function requireType(column: string, { type, basetype }: NewColumnDefinition): { type: string; length?: string } {
  if (type !== undefined) {
    const name = type.trim().toUpperCase().replace(/\s+/g, ' ');
    const found = Object.hasOwn(TYPES, name)
      ? { type: name }
      : Object.hasOwn(ALIASES, name)
        ? ALIASES[name]
        : undefined;
    if (found === undefined) {
      throw tableErrors.invalid(`Invalid parameters - columns: "${type}" is not a type for the column "${column}".`);
    }
    return found;
  }
  const name = (basetype ?? 'STRING').trim().toUpperCase();
  if (!Object.hasOwn(BASETYPES, name)) {
    throw tableErrors.invalid(
      `Invalid parameters - columns: "${basetype}" is not a basetype for the column "${column}". ` +
        `Available basetypes are ${Object.keys(BASETYPES).join(', ')}.`,
    );
  }
  return BASETYPES[name as BaseType];
}

function requireLength(column: string, type: string, rule: Length, asked: string | undefined): string | undefined {
  const refuse = () =>
    tableErrors.invalid(`Invalid parameters - columns: '${asked}' is not valid length for ${type} of "${column}".`);
  const text = asked?.replace(/\s+/g, '');
  if (rule === 'none') {
    if (text !== undefined && text !== '') throw refuse();
    return undefined;
  }
  if (rule === 'decimal') {
    if (text === undefined || text === '') return '38,0';
    const match = /^(\d{1,2})(?:,(\d{1,2}))?$/.exec(text);
    const [precision, scale] = [Number(match?.[1]), Number(match?.[2] ?? 0)];
    if (match === null || precision < 1 || precision > 38 || scale > precision || scale > 37) throw refuse();
    return `${precision},${scale}`;
  }
  if (text === undefined || text === '') return String(rule.usual);
  if (!/^\d{1,9}$/.test(text) || Number(text) > rule.most || Number(text) < rule.least) throw refuse();
  return String(Number(text));
}

/** The definition after a change of the particulars that may change: more length, other nullability, no default. */
export function requireChange(
  column: string,
  old: ColumnDefinition,
  change: { length?: string | undefined; nullable?: boolean | undefined; default?: string | null | undefined },
  isKey: boolean,
): ColumnDefinition {
  const length = change.length === undefined ? old.length : change.length;
  const asked = { type: old.type, length, nullable: change.nullable ?? old.nullable };
  const next = requireDefinition(column, asked, isKey);
  if (!isAtLeast(next.length, old.length)) {
    throw tableErrors.invalid(
      `Invalid parameters - length: The length of the column "${column}" can only grow, not from ${old.length} to ${next.length}.`,
    );
  }
  if (change.default !== undefined && change.default !== null && change.default !== old.default) {
    throw tableErrors.invalid(
      `Invalid parameters - default: The default of the column "${column}" can only be removed.`,
    );
  }
  return change.default === null || old.default === undefined ? next : { ...next, default: old.default };
}

function isAtLeast(next: string | undefined, old: string | undefined): boolean {
  if (next === old || next === undefined || old === undefined) return next === old;
  const [precision = 0, scale] = next.split(',').map(Number);
  const [oldPrecision = 0, oldScale] = old.split(',').map(Number);
  return precision >= oldPrecision && scale === oldScale;
}

function factsOf(type: string): TypeFacts {
  const facts = TYPES[type];
  if (facts === undefined) throw new Error(`Unknown column type ${type}`);
  return facts;
}

export function lakeTypeOf({ type, length }: ColumnDefinition): ColumnType {
  return factsOf(type).lake(length);
}

export function basetypeOf({ type }: ColumnDefinition): BaseType {
  return factsOf(type).basetype;
}

export function canBeFiltered({ type }: ColumnDefinition): boolean {
  return !factsOf(type).isOpaque;
}

/** The most characters a text may have; undefined where nothing has to be counted. */
export function maxLengthOf({ type, length }: ColumnDefinition): number | undefined {
  const rule = factsOf(type).length;
  if (type !== 'VARCHAR' || typeof rule === 'string' || Number(length) >= rule.most) return undefined;
  return Number(length);
}

/** For people: `NUMBER(38,0)`. */
export function labelOf({ type, length }: ColumnDefinition): string {
  return length === undefined ? type : `${type}(${length})`;
}

/** What every typed column says of itself in its metadata. */
export function typeMetadataOf(definition: ColumnDefinition): { key: string; value: string }[] {
  const { type, length, nullable } = definition;
  return [
    { key: 'KBC.datatype.type', value: type },
    { key: 'KBC.datatype.nullable', value: nullable ? '1' : '' },
    { key: 'KBC.datatype.basetype', value: basetypeOf(definition) },
    ...(length === undefined ? [] : [{ key: 'KBC.datatype.length', value: length }]),
    ...(definition.default === undefined ? [] : [{ key: 'KBC.datatype.default', value: definition.default }]),
  ];
}
