/** What the database calls a type, what clients of this backend call it, and what it is to every backend. */
const TYPES: Readonly<Record<string, readonly [native: string, base: string]>> = {
  'character varying': ['VARCHAR', 'STRING'],
  character: ['CHAR', 'STRING'],
  smallint: ['SMALLINT', 'INTEGER'],
  integer: ['INTEGER', 'INTEGER'],
  bigint: ['BIGINT', 'INTEGER'],
  numeric: ['NUMERIC', 'NUMERIC'],
  real: ['REAL', 'FLOAT'],
  'double precision': ['DOUBLE PRECISION', 'FLOAT'],
  boolean: ['BOOLEAN', 'BOOLEAN'],
  date: ['DATE', 'DATE'],
  'timestamp without time zone': ['TIMESTAMP', 'TIMESTAMP'],
  'timestamp with time zone': ['TIMESTAMPTZ', 'TIMESTAMP'],
};

type Column = { type: string; length: string | undefined; nullable: boolean };

/** A column's type as metadata of the column of texts that it becomes. */
export function typeMetadata({ type, length, nullable }: Column): { key: string; value: string }[] {
  const [native, base] = TYPES[type] ?? [type.toUpperCase(), 'STRING'];
  return [
    { key: 'KBC.datatype.type', value: native },
    { key: 'KBC.datatype.nullable', value: nullable ? '1' : '' },
    { key: 'KBC.datatype.basetype', value: base },
    ...(length === undefined ? [] : [{ key: 'KBC.datatype.length', value: length }]),
  ];
}
