import { AppError } from '../../../core/errors.ts';

/**
 * Types as clients name them (those of Redshift, PostgreSQL and Snowflake) and what we make of them. Only these reach a
 * statement: a type is no text that people may write themselves. `brackets` is how many numbers may follow.
 */
const TYPES: Readonly<Record<string, { type: string; brackets?: number; most?: number }>> = {
  varchar: { type: 'varchar', brackets: 1 },
  'character varying': { type: 'varchar', brackets: 1 },
  nvarchar: { type: 'varchar', brackets: 1 },
  string: { type: 'varchar', brackets: 1 },
  bpchar: { type: 'varchar', brackets: 1 },
  text: { type: 'text' },
  char: { type: 'char', brackets: 1 },
  character: { type: 'char', brackets: 1 },
  nchar: { type: 'char', brackets: 1 },
  smallint: { type: 'smallint' },
  int2: { type: 'smallint' },
  integer: { type: 'integer' },
  int: { type: 'integer' },
  int4: { type: 'integer' },
  bigint: { type: 'bigint' },
  int8: { type: 'bigint' },
  numeric: { type: 'numeric', brackets: 2 },
  decimal: { type: 'numeric', brackets: 2 },
  number: { type: 'numeric', brackets: 2 },
  real: { type: 'real' },
  float4: { type: 'real' },
  'double precision': { type: 'double precision' },
  double: { type: 'double precision' },
  float: { type: 'double precision' },
  float8: { type: 'double precision' },
  boolean: { type: 'boolean' },
  bool: { type: 'boolean' },
  date: { type: 'date' },
  time: { type: 'time', brackets: 1, most: 6 },
  timestamp: { type: 'timestamp', brackets: 1, most: 6 },
  'timestamp without time zone': { type: 'timestamp', brackets: 1, most: 6 },
  timestamp_ntz: { type: 'timestamp', brackets: 1, most: 6 },
  datetime: { type: 'timestamp', brackets: 1, most: 6 },
  timestamptz: { type: 'timestamptz', brackets: 1, most: 6 },
  'timestamp with time zone': { type: 'timestamptz', brackets: 1, most: 6 },
  timestamp_tz: { type: 'timestamptz', brackets: 1, most: 6 },
  timestamp_ltz: { type: 'timestamptz', brackets: 1, most: 6 },
  json: { type: 'json' },
  jsonb: { type: 'jsonb' },
  uuid: { type: 'uuid' },
};

/** Longer texts are texts of any length: other backends write their greatest length. */
const LONGEST_TEXT = 10_485_760;

/** The type for a statement that makes a table. Text of any length where none is asked for. */
export function columnType({
  name,
  type,
  length,
}: {
  name: string;
  type?: string | undefined;
  length?: string | undefined;
}) {
  if (type === undefined) return 'varchar';
  const refused = (what: string) => new AppError('invalid', 'workspace.table-create', `Column "${name}": ${what}.`);
  const [, word = '', inside] = /^([a-z0-9_ ]+?)\s*(?:\(([^()]*)\))?$/i.exec(type.trim()) ?? [];
  const known = TYPES[word.toLowerCase().replace(/ +/g, ' ')];
  if (known === undefined || !Object.hasOwn(TYPES, word.toLowerCase().replace(/ +/g, ' ')))
    throw refused(`the type "${type.slice(0, 100)}" is not known`);
  const numbers = (length ?? inside ?? '').split(',').map((part) => part.trim());
  if (numbers.length === 1 && numbers[0] === '') return known.type;
  const { brackets = 0, most } = known;
  if (numbers.length > brackets || numbers.some((number) => !/^\d{1,9}$/.test(number)))
    throw refused(`the length "${(length ?? inside ?? '').slice(0, 100)}" does not suit the type ${word}`);
  if (known.type === 'varchar' && Number(numbers[0]) > LONGEST_TEXT) return 'varchar';
  return `${known.type}(${numbers.map((number) => Math.min(Number(number), most ?? Number.MAX_SAFE_INTEGER)).join(',')})`;
}

/** Whether the type keeps the empty text apart from no value. */
export function isText(type: string): boolean {
  return /^(varchar|text|char)/.test(type);
}
