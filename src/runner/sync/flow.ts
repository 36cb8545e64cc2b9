import {
  type ConnectionSettings,
  type ConnectionStream,
  destinationName,
} from '../../core/components/connection-model.ts';

/** Records and their bytes, as far as something has got. */
export type Count = { records: number; bytes: number };

/** A stream on its way. */
export type Flow = {
  readonly index: number;
  readonly configured: ConnectionStream;
  readonly destination: { name: string; namespace: string | undefined };
  /** Sent by the source. */
  emitted: Count;
  /** How many of them when it sent its last state. */
  emittedAtState: number;
  /** Covered by states that the destination has echoed. */
  acknowledged: Count;
  isComplete: boolean;
  isIncomplete: boolean;
  hasState: boolean;
};

export function openFlows(settings: ConnectionSettings): Flow[] {
  return settings.streams.map((configured, index) => ({
    index,
    configured,
    destination: destinationName(settings, configured.stream),
    emitted: { records: 0, bytes: 0 },
    emittedAtState: 0,
    acknowledged: { records: 0, bytes: 0 },
    isComplete: false,
    isIncomplete: false,
    hasState: false,
  }));
}

/** A way in which records of a stream begin, up to the first byte of their data, and how they go on to the destination. */
export type RecordHead = { flow: Flow; bytes: Buffer; sent: Buffer; isSame: boolean };

const HEAD =
  /^\s*\{\s*"type"\s*:\s*"RECORD"\s*,\s*"record"\s*:\s*\{(?:\s*"(?:stream|namespace)"\s*:\s*(?:"(?:[^"\\]|\\.)*"|null)\s*,)*\s*"data"\s*:\s*(?=\{)/;

/** Undefined where the records begin in another way, or have to be changed further inside. */
export function recordHead(flow: Flow, line: string): RecordHead | undefined {
  const [head] = HEAD.exec(line) ?? [];
  if (head === undefined || flow.configured.selectedFields) return undefined;
  // Where the stream is told after the data, the destination must not learn of it twice.
  if (!head.includes('"stream"')) return undefined;
  const bytes = Buffer.from(head);
  const sent = Buffer.from(`{"type":"RECORD","record":{${descriptorMembers(flow)},"data":`);
  return { flow, bytes, sent, isSame: bytes.equals(sent) };
}

export function descriptorMembers({ destination: { name, namespace } }: Flow): string {
  const place = namespace === undefined ? '' : `,"namespace":${JSON.stringify(namespace)}`;
  return `"stream":${JSON.stringify(name)}${place}`;
}
