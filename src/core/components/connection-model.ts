import type { Json } from '../../lib/json.ts';
import type { DestinationMode, JsonSchema } from './connector-model.ts';

/** Component whose configurations are connections. */
export const CONNECTION_COMPONENT = 'millrace.connection';

export type SourceMode = 'full_refresh' | 'incremental';

/** A stream as a source describes it. Members we do not know are kept and handed on. */
export type CatalogStream = {
  name: string;
  namespace?: string;
  json_schema: JsonSchema;
  supported_sync_modes: SourceMode[];
  source_defined_cursor?: boolean;
  default_cursor_field?: string[];
  source_defined_primary_key?: string[][];
  is_resumable?: boolean;
  [key: string]: Json | undefined;
};

export type Catalog = { streams: CatalogStream[] };

/** A stream that is to be synced, and how. */
export type ConnectionStream = {
  stream: CatalogStream;
  sourceMode: SourceMode;
  destinationMode: DestinationMode;
  cursorField: string[];
  primaryKey: string[][];
  /** Top-level fields; absent: all. */
  selectedFields?: string[];
};

export type ConnectorAddress = { componentId: string; configurationId: string };

export type Namespace =
  | { definition: 'source' }
  | { definition: 'destination' }
  /** `${SOURCE_NAMESPACE}` in it stands for the source's. */
  | { definition: 'custom'; format: string };

export const INTERVAL_UNITS = { minutes: 60, hours: 3600, days: 86_400, weeks: 604_800, months: 30 * 86_400 } as const;

export type ConnectionSchedule =
  | { type: 'manual' }
  | { type: 'cron'; expression: string; timezone: string }
  /** So long after the last sync began; at once where there is none. */
  | { type: 'interval'; every: number; unit: keyof typeof INTERVAL_UNITS };

/** What a connection is, as it is stored in the parameters of its configuration. */
export type ConnectionSettings = {
  source: ConnectorAddress;
  destination: ConnectorAddress;
  namespace: Namespace;
  prefix: string;
  schedule: ConnectionSchedule;
  schemaChanges: 'ignore' | 'disable' | 'propagate_columns' | 'propagate_fully';
  streams: ConnectionStream[];
};

export type Connection = {
  id: string;
  name: string;
  isActive: boolean;
  isDeleted: boolean;
  settings: ConnectionSettings;
  version: number;
  createdAt: Date;
};

/** What a stream is known by on its way: two streams may share a name in different namespaces. */
export function streamKey({ name, namespace }: { name: string; namespace?: string | undefined }): string {
  return JSON.stringify([namespace ?? null, name]);
}

/** Namespace and name under which the destination gets a stream. */
export function destinationName(
  { namespace, prefix }: Pick<ConnectionSettings, 'namespace' | 'prefix'>,
  stream: { name: string; namespace?: string | undefined },
): { name: string; namespace: string | undefined } {
  const name = `${prefix}${stream.name}`;
  switch (namespace.definition) {
    case 'source':
      return { name, namespace: stream.namespace };
    case 'destination':
      return { name, namespace: undefined };
    case 'custom': {
      const text = namespace.format.replaceAll('${SOURCE_NAMESPACE}', stream.namespace ?? '').trim();
      return { name, namespace: text === '' ? undefined : text };
    }
  }
}

/**
 * Whether parameters of a configuration say all that a connection needs, each in its form. Configurations can be written
 * through other APIs, and half of one must not stand in the way of all the others.
 */
export function isWholeConnection(parameters: unknown): boolean {
  if (!isRecord(parameters)) return false;
  const { source, destination, streams, prefix, namespace } = parameters;
  return (
    isAddress(source) &&
    isAddress(destination) &&
    Array.isArray(streams) &&
    streams.every(isWholeStream) &&
    (prefix === undefined || prefix === null || typeof prefix === 'string') &&
    (namespace === undefined || namespace === null || isNamespace(namespace))
  );
}

function isWholeStream(value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value.stream)) return false;
  const { stream, sourceMode, destinationMode, cursorField, primaryKey, selectedFields } = value;
  return (
    typeof stream.name === 'string' &&
    isRecord(stream.json_schema) &&
    Array.isArray(stream.supported_sync_modes) &&
    (sourceMode === 'full_refresh' || sourceMode === 'incremental') &&
    typeof destinationMode === 'string' &&
    isTexts(cursorField) &&
    Array.isArray(primaryKey) &&
    primaryKey.every(isTexts) &&
    (selectedFields === undefined || isTexts(selectedFields))
  );
}

function isNamespace(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { definition, format } = value;
  return (
    definition === 'source' || definition === 'destination' || (definition === 'custom' && typeof format === 'string')
  );
}

const isAddress = (value: unknown) =>
  isRecord(value) && typeof value.componentId === 'string' && typeof value.configurationId === 'string';

const isTexts = (value: unknown) => Array.isArray(value) && value.every((item) => typeof item === 'string');

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
