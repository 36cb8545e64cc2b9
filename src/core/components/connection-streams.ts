import type { Json } from '../../lib/json.ts';
import type { Catalog, CatalogStream, ConnectionStream, SourceMode } from './connection-model.ts';
import { connectorErrors } from './connector-errors.ts';
import type { DestinationMode } from './connector-model.ts';

/** A stream as somebody wants it synced; what is left out is decided here. */
export type WantedStream = {
  name: string;
  namespace?: string | undefined;
  sourceMode?: SourceMode | undefined;
  destinationMode?: DestinationMode | undefined;
  cursorField?: string[] | undefined;
  primaryKey?: string[][] | undefined;
  selectedFields?: string[][] | undefined;
};

const needsKey = (mode: DestinationMode) => mode === 'append_dedup' || mode === 'overwrite_dedup';

/** Checks what is wanted against what source and destination can do. None wanted means all, replaced in full each time. */
export function selectStreams(
  catalog: Catalog,
  wanted: WantedStream[] | undefined,
  destinationModes: readonly DestinationMode[],
): ConnectionStream[] {
  if (!wanted || wanted.length === 0) {
    return catalog.streams.map((stream) => ({
      stream,
      sourceMode: 'full_refresh',
      destinationMode: 'overwrite',
      cursorField: [],
      primaryKey: stream.source_defined_primary_key ?? [],
    }));
  }
  const seen = new Set<CatalogStream>();
  return wanted.map((one) => {
    const stream = findStream(catalog, one);
    if (seen.has(stream)) throw connectorErrors.invalidStream(`The stream "${one.name}" is named twice.`);
    seen.add(stream);
    return selectStream(stream, one, destinationModes);
  });
}

function findStream(catalog: Catalog, { name, namespace }: WantedStream): CatalogStream {
  const named = catalog.streams.filter((stream) => stream.name === name);
  if (named.length === 1 && named[0]) return named[0];
  const exact = named.filter((stream) => (stream.namespace ?? undefined) === namespace);
  if (exact[0]) return exact[0];
  if (named.length > 1)
    throw connectorErrors.invalidStream(`There are several streams "${name}": say the namespace of the one you mean.`);
  const known = catalog.streams.map((stream) => stream.name).join(', ');
  throw connectorErrors.invalidStream(`The source has no stream "${name}". It has: ${known}.`);
}

function selectStream(
  stream: CatalogStream,
  wanted: WantedStream,
  destinationModes: readonly DestinationMode[],
): ConnectionStream {
  const sourceMode = wanted.sourceMode ?? 'full_refresh';
  const destinationMode = wanted.destinationMode ?? 'overwrite';
  const isPlain = sourceMode === 'full_refresh' && destinationMode === 'overwrite';
  const fail = (message: string) => connectorErrors.invalidStream(`Stream "${stream.name}": ${message}`);
  if (!isPlain && !stream.supported_sync_modes.includes(sourceMode))
    throw fail(`the source cannot read it ${sourceMode}; it can: ${stream.supported_sync_modes.join(', ')}.`);
  if (!isPlain && !destinationModes.includes(destinationMode))
    throw fail(`the destination cannot write it ${destinationMode}; it can: ${destinationModes.join(', ')}.`);
  const cursorField = sourceMode === 'incremental' ? chooseCursor(stream, wanted, fail) : (wanted.cursorField ?? []);
  const primaryKey = chooseKey(stream, wanted, needsKey(destinationMode), fail);
  const selectedFields = wanted.selectedFields && checkFields(stream, wanted.selectedFields, fail);
  const needed = [
    ...(needsKey(destinationMode) ? primaryKey.map(([top]) => top) : []),
    ...(sourceMode === 'incremental' ? [cursorField[0]] : []),
  ];
  const missing = selectedFields && needed.find((field) => field !== undefined && !selectedFields.includes(field));
  if (missing !== undefined) throw fail(`the field "${missing}" must be selected: it is the key or the cursor.`);
  return { stream, sourceMode, destinationMode, cursorField, primaryKey, ...(selectedFields && { selectedFields }) };
}

type Fail = (message: string) => Error;

function chooseCursor(stream: CatalogStream, wanted: WantedStream, fail: Fail): string[] {
  const own = stream.default_cursor_field ?? [];
  const asked = wanted.cursorField ?? [];
  if (stream.source_defined_cursor) {
    if (asked.length > 0 && own.length > 0 && !isSame(asked, own))
      throw fail(`the source defines the cursor ${own.join('.')}.`);
    return own;
  }
  const cursor = asked.length > 0 ? asked : own;
  if (cursor.length === 0) throw fail('an incremental sync needs a cursor field.');
  if (!hasField(stream, cursor)) throw fail(`there is no field "${cursor.join('.')}" for the cursor.`);
  return cursor;
}

function chooseKey(stream: CatalogStream, wanted: WantedStream, isNeeded: boolean, fail: Fail): string[][] {
  const own = stream.source_defined_primary_key ?? [];
  const asked = wanted.primaryKey ?? [];
  if (own.length > 0) {
    if (asked.length > 0 && isNeeded && !isSame(asked.map(String), own.map(String)))
      throw fail('the source defines another primary key.');
    return own;
  }
  if (!isNeeded) return asked;
  if (asked.length === 0) throw fail('this mode needs a primary key.');
  if (new Set(asked.map(String)).size !== asked.length) throw fail('the primary key names a field twice.');
  for (const path of asked)
    if (!hasField(stream, path)) throw fail(`there is no field "${path.join('.')}" for the key.`);
  return asked;
}

function checkFields(stream: CatalogStream, fields: string[][], fail: Fail): string[] {
  if (fields.length === 0) throw fail('select at least one field, or leave the selection out.');
  const names = fields.map((path) => {
    if (path.length !== 1) throw fail('only fields of the first level can be selected.');
    if (!hasField(stream, path)) throw fail(`there is no field "${path[0]}" to select.`);
    return path[0] as string;
  });
  if (new Set(names).size !== names.length) throw fail('a field is selected twice.');
  return names;
}

function hasField(stream: CatalogStream, path: string[]): boolean {
  let schema: Json = stream.json_schema;
  for (const name of path) {
    const properties = member(schema, 'properties');
    const next = member(properties, name);
    if (next === undefined) return false;
    schema = next;
  }
  return path.length > 0;
}

function member(value: Json | undefined, key: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

const isSame = (a: string[], b: string[]) => a.length === b.length && a.every((item) => b.includes(item));
