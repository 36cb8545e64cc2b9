import { type ConnectionStream, streamKey } from '../../core/components/connection-model.ts';
import type { StateParts } from './messages.ts';

type StreamState = { name: string; namespace?: string | undefined; state: string };
type Generation = { name: string; namespace?: string | undefined; generation: number };
/** States are JSON texts inside of JSON: so they stay what the connector wrote, digit for digit. */
type Stored = { streams?: StreamState[]; global?: string; legacy?: string; generations?: Generation[] };

/** Where a connection has got to, as it lies in the state of its configuration under `sync`. */
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

  /** What a destination has echoed. A stream's empty state deletes what is known of it. */
  apply(parts: StateParts): void {
    if (parts.kind === 'global') this.#global = parts.text;
    else if (parts.kind === 'legacy') this.#legacy = parts.text;
    else {
      const { name, namespace, state } = parts;
      if (state === undefined) this.#streams.delete(streamKey(parts));
      else this.#streams.set(streamKey(parts), { name, namespace, state });
    }
  }

  /** Forgets streams that are read in full, and those that are not synced any more. */
  prepare(streams: readonly ConnectionStream[]): void {
    const kept = new Set(
      streams.filter(({ sourceMode }) => sourceMode === 'incremental').map(({ stream }) => streamKey(stream)),
    );
    for (const key of [...this.#streams.keys()]) if (!kept.has(key)) this.#streams.delete(key);
    if (kept.size === 0) this.clear();
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
