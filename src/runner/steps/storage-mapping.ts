import type { Json } from '../../lib/json.ts';
import { runErrors } from '../run-errors.ts';

/**
 * The `storage` section of a configuration (and the manifests a program writes), checked key by key and completed with
 * defaults, in the words of Keboola's common interface: it is handed to programs in exactly this form.
 */
export type InputTable = {
  source: string;
  destination?: string;
  columns: string[];
  column_types: { source: string }[];
  where_column?: string;
  where_values: string[];
  where_operator: 'eq' | 'ne';
  changed_since?: string;
  days?: number;
  limit?: number;
};

export type InputFile = {
  tags: string[];
  source?: { tags: { name: string; match?: string }[] };
  query?: string;
  file_ids: (number | string)[];
  changed_since?: string;
  limit?: number;
  overwrite: boolean;
  processed_tags: string[];
};

export type KeyValue = { key: string; value: string };

/** Of a manifest, or of a mapping. */
export type OutputTable = {
  source?: string;
  destination?: string;
  incremental: boolean;
  primary_key: string[];
  columns: string[];
  distribution_key: string[];
  delete_where_column?: string;
  delete_where_values: string[];
  delete_where_operator: 'eq' | 'ne';
  delete_where?: DeleteWhere[];
  delimiter: string;
  enclosure: string;
  metadata: KeyValue[];
  column_metadata: Record<string, KeyValue[]>;
  write_always: boolean;
  tags: string[];
  has_header?: boolean;
  description?: string;
  table_metadata?: Record<string, string>;
  schema: SchemaColumn[];
};

export type DeleteWhere = {
  changed_since?: string;
  changed_until?: string;
  where_filters?: { column: string; operator?: 'eq' | 'ne'; values_from_set?: string[] }[];
};

export type SchemaColumn = {
  name: string;
  data_type?: Record<string, { type: string; length?: string; default?: string }>;
  nullable?: boolean;
  primary_key?: boolean;
  description?: string;
  metadata?: Record<string, string>;
};

/** Of a manifest in out/files, or of a mapping. */
export type OutputFile = {
  source?: string;
  tags: string[];
  is_public: boolean;
  is_permanent: boolean;
  is_encrypted: boolean;
  notify: boolean;
};

export type StorageMapping = {
  input?: { tables: InputTable[]; files: InputFile[] };
  output?: { tables: OutputTable[]; files: OutputFile[]; default_bucket?: string };
};

type Field = {
  type: 'scalar' | 'boolean' | 'integer' | 'scalars' | 'list' | 'map' | 'any';
  default?: Json;
  /** Only these values; null and '' stand for the default. */
  values?: string[];
  /** Known from Keboola and not done here: a configuration that uses it is refused instead of run wrongly. */
  isUnsupported?: boolean;
  /** The text for a missing one. */
  required?: string;
};

const operator: Field = { type: 'scalar', default: 'eq', values: ['eq', 'ne'] };

const inputTableFields: Record<string, Field> = {
  source: { type: 'scalar', required: 'The "source" must be configured.' },
  source_branch_id: { type: 'scalar', isUnsupported: true },
  source_search: { type: 'any', isUnsupported: true },
  destination: { type: 'scalar' },
  columns: { type: 'scalars', default: [] },
  column_types: { type: 'list', default: [] },
  where_column: { type: 'scalar' },
  where_values: { type: 'scalars', default: [] },
  where_operator: operator,
  changed_since: { type: 'scalar' },
  days: { type: 'integer' },
  limit: { type: 'integer' },
  overwrite: { type: 'boolean', default: false },
  // How a table gets into a workspace makes no difference to a file or a view.
  load_type: { type: 'scalar' },
  use_view: { type: 'boolean' },
  keep_internal_timestamp_column: { type: 'boolean', default: true },
  file_type: { type: 'scalar', values: ['csv'] },
};

const inputFileFields: Record<string, Field> = {
  tags: { type: 'scalars', default: [] },
  source: { type: 'map' },
  query: { type: 'scalar' },
  file_ids: { type: 'scalars', default: [] },
  filter_by_run_id: { type: 'boolean', isUnsupported: true },
  changed_since: { type: 'scalar' },
  limit: { type: 'integer' },
  overwrite: { type: 'boolean', default: true },
  processed_tags: { type: 'scalars', default: [] },
};

const outputTableFields: Record<string, Field> = {
  source: { type: 'scalar' },
  destination: { type: 'scalar' },
  incremental: { type: 'boolean', default: false },
  primary_key: { type: 'scalars', default: [] },
  columns: { type: 'scalars', default: [] },
  distribution_key: { type: 'scalars', default: [] },
  deduplication_strategy: { type: 'scalar', isUnsupported: true },
  delete_where_column: { type: 'scalar' },
  delete_where_values: { type: 'scalars', default: [] },
  delete_where_operator: operator,
  delete_where: { type: 'list' },
  delimiter: { type: 'scalar', default: ',' },
  enclosure: { type: 'scalar', default: '"' },
  metadata: { type: 'list', default: [] },
  column_metadata: { type: 'map', default: [] },
  write_always: { type: 'boolean', default: false },
  tags: { type: 'scalars', default: [] },
  has_header: { type: 'boolean' },
  description: { type: 'scalar' },
  table_metadata: { type: 'map' },
  schema: { type: 'list', default: [] },
  unload_strategy: { type: 'scalar', isUnsupported: true },
  manifest_type: { type: 'scalar' },
};

const outputFileFields: Record<string, Field> = {
  source: { type: 'scalar' },
  tags: { type: 'scalars', default: [] },
  is_public: { type: 'boolean', default: false },
  is_permanent: { type: 'boolean', default: false },
  is_encrypted: { type: 'boolean', default: true },
  notify: { type: 'boolean', default: false },
};

const inputFields: Record<string, Field> = {
  tables: { type: 'list', default: [] },
  files: { type: 'list', default: [] },
  read_only_storage_access: { type: 'boolean', isUnsupported: true },
};

const outputFields: Record<string, Field> = {
  tables: { type: 'list', default: [] },
  files: { type: 'list', default: [] },
  table_files: { type: 'map' },
  default_bucket: { type: 'scalar' },
  data_type_support: { type: 'scalar' },
  table_modifications: { type: 'scalar' },
  treat_values_as_null: { type: 'scalars', isUnsupported: true },
};

type Container = { [key: string]: Json };

/** The section with every check done; what it returns is what config.json shows. */
export function parseStorageMapping(storage: Json | undefined): StorageMapping {
  const root = toMap(storage ?? {}, 'container.storage');
  const checked = checkFields(root, { input: { type: 'map' }, output: { type: 'map' } }, 'container.storage');
  const input =
    checked.input === undefined
      ? undefined
      : section('input', checked.input, inputFields, inputTableFields, inputFileFields);
  const output =
    checked.output === undefined
      ? undefined
      : section('output', checked.output, outputFields, outputTableFields, outputFileFields);
  const mapping = { ...checked, ...(input && { input }), ...(output && { output }) } as unknown as StorageMapping;
  for (const table of mapping.input?.tables ?? []) completeInputTable(table);
  for (const file of mapping.input?.files ?? []) checkInputFile(file);
  for (const table of mapping.output?.tables ?? []) checkOutputTable(table, table.source ?? '');
  return mapping;
}

/** Throws with the reason when the text is no manifest. */
export function parseTableManifest(value: Json): Partial<OutputTable> {
  const given = toMap(value, 'table');
  // Defaults would hide what the manifest leaves to the mapping.
  const checked = checkFields(given, outputTableFields, 'table', { fillIn: false });
  return checked as unknown as Partial<OutputTable>;
}

export function parseFileManifest(value: Json): OutputFile {
  return checkFields(toMap(value, 'file'), outputFileFields, 'file') as unknown as OutputFile;
}

export const defaultTable = () => checkFields({}, outputTableFields, 'table') as unknown as OutputTable;
export const defaultFile = () => checkFields({}, outputFileFields, 'file') as unknown as OutputFile;

function section(
  name: string,
  value: Json,
  own: Record<string, Field>,
  table: Record<string, Field>,
  file: Record<string, Field>,
): Container {
  const path = `container.storage.${name}`;
  const checked = checkFields(toMap(value, path), own, path);
  const items = (key: string, fields: Record<string, Field>) =>
    toItems(checked[key]).map((item, index) =>
      checkFields(toMap(item, `${path}.${key}.${index}`), fields, `${path}.${key}.${index}`),
    );
  return { ...checked, tables: items('tables', table), files: items('files', file) };
}

/** Known keys with values of the right kind, in the order given; missing ones with a default come last. */
export function checkFields(
  value: Container,
  fields: Record<string, Field>,
  path: string,
  { fillIn = true }: { fillIn?: boolean } = {},
): Container {
  const result: Container = {};
  for (const [key, item] of Object.entries(value)) {
    const field = fields[key];
    if (!field) {
      const known = Object.keys(fields).map((name) => `"${name}"`);
      throw runErrors.configuration(
        `Unrecognized option "${key}" under "${path}". Available options are ${known.join(', ')}.`,
      );
    }
    if (item === null) continue;
    if (field.isUnsupported && !isEmpty(item)) throw runErrors.unsupported(`${path.replace('container.', '')}.${key}`);
    const checked = checkValue(item, field, `${path}.${key}`);
    if (checked !== undefined) result[key] = checked;
  }
  for (const [key, field] of Object.entries(fields)) {
    if (field.required && (result[key] === undefined || result[key] === ''))
      throw runErrors.configuration(field.required);
    if (fillIn && result[key] === undefined && field.default !== undefined)
      result[key] = structuredClone(field.default);
  }
  return result;
}

function checkValue(value: Json, field: Field, path: string): Json | undefined {
  const wrong = (expected: string, what: Json = value, where = path) =>
    runErrors.configuration(`Invalid type for path "${where}". Expected "${expected}", but got "${typeName(what)}".`);
  switch (field.type) {
    case 'scalar': {
      if (typeof value === 'object') throw wrong('scalar');
      if (!field.values) return typeof value === 'string' ? value : String(value);
      if (value === '') return undefined;
      if (!field.values.includes(String(value))) {
        const allowed = field.values.map((name) => `"${name}"`).join(', ');
        throw runErrors.configuration(
          `The value ${JSON.stringify(value)} is not allowed for path "${path}". Permissible values: ${allowed}`,
        );
      }
      return value;
    }
    case 'boolean':
      if (typeof value !== 'boolean') throw wrong('bool');
      return value;
    case 'integer':
      if (!Number.isInteger(value)) throw wrong('int');
      return value;
    case 'scalars':
      if (typeof value !== 'object') throw wrong('array');
      return toItems(value).map((item, index) => {
        if (typeof item === 'object') throw wrong('scalar', item, `${path}.${index}`);
        return String(item);
      });
    case 'list':
      if (typeof value !== 'object') throw wrong('array');
      return toItems(value);
    case 'map':
      if (typeof value !== 'object') throw wrong('array');
      return value;
    case 'any':
      return value;
  }
}

function completeInputTable(table: InputTable): void {
  const { where_column, where_values, columns, column_types } = table;
  if (where_column && where_values.length === 0) {
    throw runErrors.configuration('When "where_column" is set, "where_values" must be provided.');
  }
  if (where_values.length > 0 && !where_column) {
    throw runErrors.configuration('When "where_values" is set, non-empty string in "where_column" must be provided.');
  }
  if (table.days !== undefined && table.changed_since !== undefined) {
    throw runErrors.configuration('Cannot set both parameters "days" and "changed_since".');
  }
  if (column_types.length === 0) return;
  const typed = column_types.map((column) => column.source);
  if (columns.length === 0) {
    table.columns = typed;
    return;
  }
  const surplus = columns.filter((name) => !typed.includes(name));
  const surplusTypes = typed.filter((name) => !columns.includes(name));
  const both = 'Both "columns" and "column_types" are specified,';
  if (surplus.length > 0) {
    throw runErrors.configuration(`${both} "columns" field contains surplus columns: "${surplus.join(', ')}".`);
  }
  if (surplusTypes.length > 0) {
    throw runErrors.configuration(
      `${both} "column_types" field contains surplus columns: "${surplusTypes.join(', ')}".`,
    );
  }
}

function checkInputFile(file: InputFile): void {
  const bySource = (file.source?.tags?.length ?? 0) > 0;
  if (file.tags.length === 0 && !bySource && !file.query && file.file_ids.length === 0) {
    throw runErrors.configuration(
      'At least one of "tags", "source.tags", "query" or "file_ids" parameters must be defined.',
    );
  }
  if (file.tags.length > 0 && bySource) {
    throw runErrors.configuration('Both "tags" and "source.tags" cannot be defined.');
  }
  if (
    file.file_ids.length > 0 &&
    (file.tags.length > 0 || bySource || file.query || file.changed_since || file.limit)
  ) {
    throw runErrors.configuration('The file_ids filter can be combined only with overwrite flag and processed_tags');
  }
  if (file.query && file.changed_since) {
    throw runErrors.configuration('The changed_since parameter is not supported for query configurations');
  }
  if (!file.overwrite) throw runErrors.configuration('Overwrite cannot be turned off for local mapping.');
}

/** The rules between keys, for a mapping and for what a mapping and a manifest make together. */
export function checkOutputTable(table: OutputTable, source: string): void {
  const fail = (reason: string) =>
    runErrors.configuration(`Failed to prepare mapping configuration for table ${source}: ${reason}`);
  if (table.delete_where_column && table.delete_where_values.length === 0) {
    throw fail('When "delete_where_column" option is set, then the "delete_where_values" is required.');
  }
  if (table.delete_where_column && table.delete_where?.length) {
    throw fail('Only one of "delete_where_column" or "delete_where" can be defined.');
  }
  for (const entry of table.delete_where ?? []) {
    if (!entry.changed_since && !entry.changed_until && !entry.where_filters?.length) {
      throw fail('At least one of "changed_since", "changed_until", or "where_filters" must be defined.');
    }
    for (const filter of entry.where_filters ?? []) {
      if (!filter.values_from_set) throw runErrors.unsupported('delete_where.where_filters without values_from_set');
    }
  }
  if (table.description !== undefined && table.table_metadata?.['KBC.description'] !== undefined) {
    throw fail('Only one of "description" or "table_metadata.KBC.description" can be defined.');
  }
  if (table.schema.length === 0) return;
  const excluded: [string, boolean][] = [
    ['columns', table.columns.length > 0],
    ['metadata', table.metadata.length > 0],
    ['column_metadata', Object.keys(table.column_metadata).length > 0],
  ];
  for (const [key, isSet] of excluded) if (isSet) throw fail(`Only one of "schema" or "${key}" can be defined.`);
  for (const column of table.schema) {
    for (const backend of Object.keys(column.data_type ?? {})) {
      if (!['base', 'snowflake', 'bigquery'].includes(backend))
        throw fail(`The "${backend}" data type is not supported.`);
    }
  }
}

/** An empty list is how PHP clients write an empty object. */
function toMap(value: Json, path: string): Container {
  if (Array.isArray(value) && value.length === 0) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw runErrors.configuration(`Invalid type for path "${path}". Expected "array", but got "${typeName(value)}".`);
  }
  return value;
}

/** A list, or an object with numbers as keys, which is what lists become in careless clients. */
function toItems(value: Json | undefined): Json[] {
  if (value === undefined || value === null || typeof value !== 'object') return [];
  return Array.isArray(value) ? value : Object.values(value);
}

function isEmpty(value: Json): boolean {
  return (
    value === '' ||
    value === false ||
    (typeof value === 'object' && (value === null || Object.keys(value).length === 0))
  );
}

function typeName(value: Json): string {
  if (value === null) return 'null';
  if (typeof value === 'object') return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  return typeof value === 'boolean' ? 'bool' : 'string';
}
