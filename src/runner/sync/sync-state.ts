import { type ConnectionStream, streamKey } from '../../core/components/connection-model.ts';
import type { Json } from '../../lib/json.ts';
import { jsonElements, jsonMembers } from '../../lib/json-text.ts';
import { member, type StateParts, textOf } from './messages.ts';

/** `reading`: how the stream was read and written when it got to this state. */
type StreamState = { name: string; namespace?: string | undefined; state: string; reading?: string | undefined };
type Generation = { name: string; namespace?: string | undefined; generation: number };
/** States are JSON texts inside of JSON: so they stay what the connector wrote, digit for digit. */
type Stored = { streams?: StreamState[]; global?: string; legacy?: string; generations?: Generation[] };

/** Where a connection has got to, as it lies in the state of its configuration under `sync`. It is of one kind. */
export class SyncState {
  #streams: Map<string, StreamState>;
  #global: string | undefined;
  #legacy: string | undefined;
  readonly #generations: Map<string, Generation>;

  constructor(configurationState: string) {
    const { sync } = JSON.parse(configurationState) as { sync?: Stored };
    this.#streams = new Map((sync?.streams ?? []).map((stream) => [streamKey(stream), stream]));
    this.#global = sync?.global;
    this.#legacy = sync?.legacy;
    this.#generations = new Map((sync?.generations ?? []).map((one) => [streamKey(one), one]));
  }

  /** The same configuration state with this in it. */
  print(configurationState: string): string {
    const sync: Stored = {
      streams: [...this.#streams.values()],
      ...(this.#global !== undefined && { global: this.#global }),
      ...(this.#legacy !== undefined && { legacy: this.#legacy }),
      generations: [...this.#generations.values()],
    };
    return JSON.stringify({ ...(JSON.parse(configurationState) as object), sync });
  }

  /**
   * What a destination has echoed. A stream's empty state deletes what is known of it; a state of another kind than
   * before is that of a source that has changed its ways, which has read all it needs of the old one.
   */
  apply(parts: StateParts, streams: readonly ConnectionStream[]): void {
    if (parts.kind !== 'stream') {
      this.clear();
      if (parts.kind === 'global') this.#global = parts.text;
      else this.#legacy = parts.text;
      return;
    }
    this.#global = undefined;
    this.#legacy = undefined;
    const { name, namespace, state } = parts;
    const key = streamKey(parts);
    const configured = streams.find(({ stream }) => streamKey(stream) === key);
    if (state === undefined) this.#streams.delete(key);
    else this.#streams.set(key, { name, namespace, state, reading: configured && readingOf(configured) });
  }

  /**
   * Forgets streams that are read in full (unless this goes on with such a reading), those that are not synced any
   * more, and those whose mode, cursor or key is another than when they got there.
   */
  prepare(streams: readonly ConnectionStream[], isResumed: (stream: ConnectionStream) => boolean): void {
    const kept = streams.filter((one) => one.sourceMode === 'incremental' || isResumed(one));
    const readings = new Map(kept.map((one) => [streamKey(one.stream), readingOf(one)]));
    for (const [key, { reading }] of [...this.#streams]) {
      const now = readings.get(key);
      if (now === undefined || (reading !== undefined && reading !== now)) this.#streams.delete(key);
    }
    if (kept.length === 0) this.clear();
    const configured = new Set(streams.map(({ stream }) => streamKey(stream)));
    if (this.#global !== undefined) this.#global = withoutOthers(this.#global, configured);
  }

  clear(): void {
    this.#streams = new Map();
    this.#global = undefined;
    this.#legacy = undefined;
  }

  generation(stream: { name: string; namespace?: string }): number {
    return this.#generations.get(streamKey(stream))?.generation ?? 0;
  }

  nextGeneration(stream: { name: string; namespace?: string }): void {
    const { name, namespace } = stream;
    this.#generations.set(streamKey(stream), { name, namespace, generation: this.generation(stream) + 1 });
  }

  /** The state file of a source; undefined where there is nothing to say. */
  toFile(): string | undefined {
    if (this.#global !== undefined) return `[{"type":"GLOBAL","global":${this.#global}}]`;
    if (this.#streams.size > 0) {
      const entries = [...this.#streams.values()].map(({ name, namespace, state }) => {
        const descriptor = JSON.stringify({ name, namespace });
        return `{"type":"STREAM","stream":{"stream_descriptor":${descriptor},"stream_state":${state}}}`;
      });
      return `[${entries.join(',')}]`;
    }
    return this.#legacy;
  }
}

/** A global state without what it says of streams that are not synced any more: should they come back, all is read. */
function withoutOthers(text: string, configured: ReadonlySet<string>): string {
  const members = jsonMembers(text);
  const entries = jsonElements(members?.get('stream_states') ?? '');
  if (!members || !entries) return text;
  const kept = entries.filter((entry) => {
    const descriptor = JSON.parse(jsonMembers(entry)?.get('stream_descriptor') ?? 'null') as Json;
    const name = textOf(member(descriptor, 'name'));
    return (
      name === undefined || configured.has(streamKey({ name, namespace: textOf(member(descriptor, 'namespace')) }))
    );
  });
  if (kept.length === entries.length) return text;
  members.set('stream_states', `[${kept.join(',')}]`);
  return `{${[...members].map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`;
}

function readingOf({ sourceMode, destinationMode, cursorField, primaryKey }: ConnectionStream): string {
  return JSON.stringify([sourceMode, destinationMode, cursorField, primaryKey]);
}
