import type { CatalogStream, ConnectionStream } from '../../core/components/connection-model.ts';
import type { Json } from '../../lib/json.ts';
import type { Flow } from './flow.ts';
import type { SyncState } from './sync-state.ts';

/** Whether what a stream brings takes the place of all that was there before. */
const isReplacing = ({ destinationMode }: ConnectionStream) => destinationMode.startsWith('overwrite');

/** What the source is asked for. */
export function sourceCatalog(streams: readonly ConnectionStream[]) {
  return { streams: streams.map(sourceStream) };
}

/** What the destination is told to expect, under the names that the streams have there. */
export function destinationCatalog(flows: readonly Flow[], state: SyncState, jobId: number, isReset: boolean) {
  return {
    streams: flows.map(({ configured, destination }) => {
      const generation = state.generation(configured.stream);
      const replaces = isReset || isReplacing(configured);
      const { namespace: _namespace, ...stream } = sourceStream(configured).stream;
      return {
        ...sourceStream(configured),
        stream: { ...stream, ...destination },
        destination_sync_mode: isReset ? 'overwrite' : configured.destinationMode,
        generation_id: generation,
        minimum_generation_id: replaces ? generation : 0,
        sync_id: jobId,
      };
    }),
  };
}

function sourceStream(configured: ConnectionStream) {
  const { stream, sourceMode, destinationMode, cursorField, primaryKey, selectedFields } = configured;
  return {
    stream: selectedFields ? pruned(stream, selectedFields) : stream,
    sync_mode: sourceMode,
    destination_sync_mode: destinationMode === 'overwrite_dedup' ? 'overwrite' : destinationMode,
    cursor_field: cursorField,
    primary_key: primaryKey,
  };
}

function pruned(stream: CatalogStream, fields: string[]): CatalogStream {
  const properties = (stream.json_schema.properties ?? {}) as { [key: string]: Json };
  const kept = Object.fromEntries(Object.entries(properties).filter(([name]) => fields.includes(name)));
  return { ...stream, json_schema: { ...stream.json_schema, properties: kept } };
}
