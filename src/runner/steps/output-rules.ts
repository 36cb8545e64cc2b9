import { runErrors } from '../run-errors.ts';
import { defaultTable, type KeyValue, type OutputTable, type SchemaColumn } from './storage-mapping.ts';

/**
 * What a manifest and a mapping say together. The mapping, written by the person who runs the component, wins over the
 * manifest, written by the component; for keys whose default cannot be told from an omission it wins where it differs.
 */
export function mergeManifest(manifest: Partial<OutputTable>, mapping: OutputTable | undefined): OutputTable {
  const base: OutputTable = { ...defaultTable(), ...manifest };
  if (!mapping) return base;
  const defaults = defaultTable();
  const merged: OutputTable = { ...base };
  const result = merged as Record<string, unknown>;
  for (const [key, value] of Object.entries(mapping)) {
    if (key === 'primary_key') continue;
    if (weakKeys.has(key)) {
      if (value !== defaults[key as keyof OutputTable]) result[key] = value;
    } else if (mergers[key]) result[key] = mergers[key](result[key], value);
    else if (!isBlank(value)) result[key] = value;
  }
  if (base.schema.length > 0) merged.schema = withPrimaryKey(merged.schema, mapping.primary_key);
  // Also an empty list: a mapping without a key takes the key away from an existing table.
  else merged.primary_key = mapping.primary_key;
  return merged;
}

const weakKeys = new Set(['incremental', 'delete_where_operator', 'delimiter', 'enclosure']);

const mergers: Record<string, ((low: unknown, high: unknown) => unknown) | undefined> = {
  metadata: (low, high) => mergeByKey(low as KeyValue[], high as KeyValue[], ({ key }) => key),
  column_metadata: (low, high) => {
    const columns = { ...(low as OutputTable['column_metadata']) };
    for (const [name, items] of Object.entries(high as OutputTable['column_metadata'])) {
      columns[name] = mergeByKey(columns[name] ?? [], items, ({ key }) => key);
    }
    return columns;
  },
  table_metadata: (low, high) => ({ ...(low as object | undefined), ...(high as object) }),
  schema: (low, high) => {
    const merged = new Map((low as SchemaColumn[]).map((column) => [column.name, column]));
    for (const column of high as SchemaColumn[]) {
      const below = merged.get(column.name);
      const parts = {
        ...(below?.data_type || column.data_type ? { data_type: { ...below?.data_type, ...column.data_type } } : {}),
        ...(below?.metadata || column.metadata ? { metadata: { ...below?.metadata, ...column.metadata } } : {}),
      };
      merged.set(column.name, { ...below, ...column, ...parts });
    }
    return [...merged.values()];
  },
};

function mergeByKey<Item>(low: Item[], high: Item[], keyOf: (item: Item) => string): Item[] {
  const merged = new Map(low.map((item) => [keyOf(item), item]));
  for (const item of high) merged.set(keyOf(item), item);
  return [...merged.values()];
}

function withPrimaryKey(schema: SchemaColumn[], primaryKey: string[]): SchemaColumn[] {
  if (primaryKey.length === 0) return schema;
  for (const name of primaryKey) {
    if (!schema.some((column) => column.name === name)) {
      throw runErrors.configuration(`Primary key column "${name}" not found in manifest file.`);
    }
  }
  return schema.map((column) => ({ ...column, primary_key: primaryKey.includes(column.name) }));
}

function isBlank(value: unknown): boolean {
  if (value === '' || value === null || value === undefined || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

export type Destination = { tableId: string; isFromFileName: boolean };

/**
 * Where the rows go: the mapping's destination, else the manifest's, else one made of the file's name and the default
 * bucket. `in.c-main.users` is complete by itself.
 */
export function resolveDestination(names: {
  source: string;
  mapping: string | undefined;
  manifest: string | undefined;
  defaultBucket: string | undefined;
}): Destination {
  const { source, mapping, manifest, defaultBucket } = names;
  if (mapping) {
    if (!hasThreeParts(mapping)) throw unresolved(source);
    return { tableId: assertTableId(mapping), isFromFileName: false };
  }
  const name = manifest || source.replace(/\.csv$/, '');
  const isComplete = name.split('.').length === 3;
  if (!isComplete && !defaultBucket) throw unresolved(source);
  return {
    tableId: assertTableId(isComplete ? name : `${defaultBucket}.${name}`),
    isFromFileName: isComplete && !manifest,
  };
}

const hasThreeParts = (name: string) => name.split('.').length === 3 && name.split('.').every((part) => part !== '');

function assertTableId(id: string): string {
  if (/^(in|out|sys)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(id)) return id;
  throw runErrors.output(`Failed to resolve valid destination. "${id}" is not a valid table ID.`);
}

const unresolved = (source: string) => runErrors.output(`Failed to resolve destination for output table "${source}".`);

/** Where outputs without a destination go; the same for all rows of a configuration. */
export function defaultBucketId(stage: string, componentId: string, configurationId: string): string {
  return `${stage}.c-${componentId.replace(/[^a-zA-Z0-9-]/g, '-')}-${configurationId}`;
}

/** A load as the storage needs it, from everything that was said about it. */
export type LoadRules = {
  columns: string[];
  primaryKey: string[];
  metadata: KeyValue[];
  columnMetadata: Record<string, KeyValue[]>;
};

export function loadRules(table: OutputTable, warn: (message: string) => void): LoadRules {
  const key = (names: string[]) => {
    const named = names.map((name) => name.trim()).filter((name) => name !== '');
    if (named.length < names.length) warn('Found empty column name in key array.');
    return [...new Set(named)];
  };
  const metadata = [
    ...table.metadata,
    ...Object.entries(table.table_metadata ?? {}).map(([name, value]) => ({ key: name, value })),
    ...(table.description === undefined ? [] : [{ key: 'KBC.description', value: table.description }]),
  ];
  const names = table.schema.length > 0 ? table.schema.map(({ name }) => name) : table.columns;
  for (const name of [...names, ...Object.keys(table.column_metadata)]) {
    if (name.toLowerCase() === '_timestamp')
      throw runErrors.output('System columns "_timestamp" cannot be imported to the table.');
  }
  if (table.schema.length === 0) {
    return {
      columns: table.columns,
      primaryKey: key(table.primary_key),
      metadata,
      columnMetadata: table.column_metadata,
    };
  }
  return {
    columns: names,
    primaryKey: key(table.schema.filter((column) => column.primary_key).map(({ name }) => name)),
    metadata,
    columnMetadata: Object.fromEntries(table.schema.map((column) => [column.name, schemaMetadata(column)])),
  };
}

/** Tables hold text: the types a component declares are kept as metadata, where clients look for them. */
function schemaMetadata(column: SchemaColumn): KeyValue[] {
  const items: KeyValue[] = [];
  const add = (key: string, value: string | undefined) => {
    if (value !== undefined) items.push({ key, value });
  };
  const base = column.data_type?.base;
  add('KBC.datatype.basetype', base?.type);
  add('KBC.datatype.length', base?.length);
  add('KBC.datatype.default', base?.default);
  if (base) add('KBC.datatype.nullable', (column.nullable ?? true) ? '1' : '0');
  add('KBC.description', column.description);
  for (const [key, value] of Object.entries(column.metadata ?? {})) add(key, value);
  return items;
}
