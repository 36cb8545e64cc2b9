import { once } from 'node:events';
import {
  type ConnectionSettings,
  type ConnectionStream,
  destinationName,
  streamKey,
} from '../../core/components/connection-model.ts';
import { jsonMembers } from '../../lib/json-text.ts';
import type { JobLog } from '../job-log.ts';
import { logOrMessage, type Program } from './connector-program.ts';
import { LineSplitter } from './line-splitter.ts';
import { type ConnectorFailure, failureOf, member, type StateParts, stateParts, textOf } from './messages.ts';

/** A stream on its way. */
export type Flow = {
  configured: ConnectionStream;
  destination: { name: string; namespace: string | undefined };
  /** How a record begins that can go on as it is. Undefined where every record has to be changed. */
  plainHead: Buffer | undefined;
  emitted: number;
  emittedBytes: number;
  committed: number;
  committedBytes: number;
  isComplete: boolean;
  isIncomplete: boolean;
  hasState: boolean;
};

export type Replication = {
  failure: (ConnectorFailure & { origin: 'source' | 'destination' | 'replication' }) | undefined;
};

/** A state that went to the destination and has not come back yet, with what stood before it. */
type Pending = { parts: StateParts | undefined; counts: { flow: Flow; records: number; bytes: number }[] };

export function openFlows(settings: ConnectionSettings): Flow[] {
  return settings.streams.map((configured) => {
    const { stream, selectedFields } = configured;
    const destination = destinationName(settings, stream);
    const isSame = destination.name === stream.name && destination.namespace === stream.namespace;
    const isPlain = isSame && stream.namespace === undefined && !selectedFields;
    const head = `{"type":"RECORD","record":{"stream":${JSON.stringify(stream.name)},"data":{`;
    return {
      configured,
      destination,
      plainHead: isPlain ? Buffer.from(head) : undefined,
      emitted: 0,
      emittedBytes: 0,
      committed: 0,
      committedBytes: 0,
      isComplete: false,
      isIncomplete: false,
      hasState: false,
    };
  });
}

/**
 * Moves records from a source to a destination until both have ended. A record that needs no change is passed on as the
 * bytes it came in; a state counts once it has come back from the destination (`onState`).
 */
export class Replicator {
  readonly #flows: Flow[];
  readonly #byKey: Map<string, Flow>;
  readonly #byDestination: Map<string, Flow>;
  readonly #log: JobLog;
  readonly #onState: (parts: StateParts) => void;
  /** In the order in which they were sent, by stream; everything that is not of one stream under an empty key. */
  readonly #pending = new Map<string, Pending[]>();
  #sourceFailure: ConnectorFailure | undefined;
  #destinationFailure: ConnectorFailure | undefined;
  #last: Flow | undefined;
  #saysStatus = false;
  #hasSharedState = false;

  constructor(flows: Flow[], log: JobLog, onState: (parts: StateParts) => void) {
    this.#flows = flows;
    this.#byKey = new Map(flows.map((flow) => [streamKey(flow.configured.stream), flow]));
    this.#byDestination = new Map(flows.map((flow) => [streamKey(flow.destination), flow]));
    this.#log = log;
    this.#onState = onState;
  }

  async run(
    source: Program | undefined,
    destination: Program,
    options: { tellsComplete: boolean },
  ): Promise<Replication> {
    const echoes = this.#readEchoes(destination);
    let destinationEnded = false;
    const destinationExit = destination.exit.then((exit) => {
      destinationEnded = true;
      // Otherwise the source would wait for ever for somebody to take its records.
      if (source && !destination.stdin.writableEnded) void source.stop();
      destination.stdin.destroy();
      return exit;
    });
    const sourceExit = source ? await this.#pump(source, destination, () => destinationEnded) : undefined;
    const sourceProblem = sourceExit && (this.#sourceFailure ?? exitFailure('source', sourceExit));
    if (!sourceProblem && !destinationEnded) await this.#concludeStreams(destination, options.tellsComplete);
    destination.stdin.end();
    const exit = await destinationExit;
    await echoes;
    const destinationProblem = this.#destinationFailure ?? exitFailure('destination', exit);
    // A source whose destination has died fails, too, and that is not the reason.
    if (destinationProblem) return { failure: { ...destinationProblem, origin: 'destination' } };
    if (sourceProblem) return { failure: { ...sourceProblem, origin: 'source' } };
    const left = this.#flows.find((flow) => !flow.isComplete);
    if (left) {
      const message = `The stream "${left.configured.stream.name}" did not come to its end.`;
      return { failure: { message, internal: '', isConfiguration: false, origin: 'source' } };
    }
    for (const flow of this.#flows) {
      flow.committed = flow.emitted;
      flow.committedBytes = flow.emittedBytes;
    }
    return { failure: undefined };
  }

  async #pump(source: Program, destination: Program, isOver: () => boolean) {
    const splitter = new LineSplitter();
    source.stdin.end();
    const handle = async (lines: Iterable<Buffer>) => {
      const out: Buffer[] = [];
      for (const line of lines) {
        const passed = this.#take(line);
        if (passed) out.push(passed);
      }
      if (out.length === 0 || isOver()) return;
      const { stdin } = destination;
      if (!stdin.write(out.length === 1 ? out[0] : Buffer.concat(out)) && !isOver()) {
        await Promise.race([once(stdin, 'drain').catch(() => undefined), destination.exit]);
      }
      await this.#log.ready();
    };
    try {
      for await (const chunk of source.stdout) await handle(splitter.push(chunk as Buffer));
      await handle(splitter.end());
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.#sourceFailure ??= { message: error.message, internal: '', isConfiguration: false };
      await source.stop();
    }
    return source.exit;
  }

  /** What of a source's line goes on. */
  #take(line: Buffer): Buffer | undefined {
    const plain = this.#plainFlow(line);
    if (plain) {
      plain.emitted++;
      plain.emittedBytes += line.length;
      return line;
    }
    const text = line.toString();
    const message = logOrMessage(this.#log, 'source', text);
    if (!message) return undefined;
    switch (message.type) {
      case 'RECORD':
        return this.#takeRecord(text, line.length);
      case 'STATE':
        return this.#takeState(text);
      case 'TRACE': {
        const failure = failureOf(message);
        if (failure) this.#sourceFailure ??= failure;
        this.#takeStatus(member(message, 'trace', 'stream_status'));
        return undefined;
      }
      default:
        return undefined;
    }
  }

  #plainFlow(line: Buffer): Flow | undefined {
    // The next record is mostly of the same stream.
    let flow = this.#last;
    if (!flow || !startsWith(line, flow.plainHead)) flow = this.#flows.find((one) => startsWith(line, one.plainHead));
    // A namespace may also come after the data.
    if (!flow || line.indexOf('"namespace"', Math.max(0, line.length - 160)) >= 0) return undefined;
    this.#last = flow;
    return flow;
  }

  #takeRecord(text: string, bytes: number): Buffer | undefined {
    const envelope = jsonMembers(text);
    const record = jsonMembers(envelope?.get('record') ?? '');
    const name = JSON.parse(record?.get('stream') ?? 'null');
    const namespace = JSON.parse(record?.get('namespace') ?? 'null') ?? undefined;
    const flow = this.#byKey.get(streamKey({ name, namespace }));
    if (!record || !flow)
      throw new StreamError(`The source sent a record of the stream "${name}", which was not asked for.`);
    const { selectedFields } = flow.configured;
    if (selectedFields) {
      const fields = [...(jsonMembers(record.get('data') ?? '') ?? [])].filter(([key]) => selectedFields.includes(key));
      record.set('data', printMembers(fields));
    }
    flow.emitted++;
    flow.emittedBytes += bytes;
    const { destination } = flow;
    record.set('stream', JSON.stringify(destination.name));
    record.delete('namespace');
    if (destination.namespace !== undefined) record.set('namespace', JSON.stringify(destination.namespace));
    return Buffer.from(`{"type":"RECORD","record":${printMembers([...record])}}\n`);
  }

  #takeState(text: string): Buffer | undefined {
    const parts = stateParts(text);
    if (!parts) throw new StreamError('The source sent a state that cannot be read.');
    const state = jsonMembers(jsonMembers(text)?.get('state') ?? '') ?? new Map<string, string>();
    if (parts.kind !== 'stream') {
      this.#hasSharedState = true;
      this.#remember('', parts, this.#flows);
    } else {
      const flow = this.#byKey.get(streamKey(parts));
      if (!flow) return undefined;
      flow.hasState = true;
      this.#remember(streamKey(flow.destination), parts, [flow]);
      const descriptor = JSON.stringify(flow.destination);
      state.set('stream', `{"stream_descriptor":${descriptor},"stream_state":${parts.state ?? 'null'}}`);
      if (!state.has('sourceStats')) state.set('sourceStats', `{"recordCount":${flow.emitted}}`);
    }
    return Buffer.from(`{"type":"STATE","state":${printMembers([...state])}}\n`);
  }

  #takeStatus(status: ReturnType<typeof member>): void {
    const name = textOf(member(status, 'stream_descriptor', 'name'));
    if (name === undefined) return;
    const namespace = textOf(member(status, 'stream_descriptor', 'namespace'));
    const flow = this.#byKey.get(streamKey({ name, namespace }));
    this.#saysStatus = true;
    if (flow && member(status, 'status') === 'COMPLETE') flow.isComplete = true;
    if (flow && member(status, 'status') === 'INCOMPLETE') flow.isIncomplete = true;
  }

  /** The source is through. What was read in full and has no state gets one, so that it counts, too. */
  async #concludeStreams(destination: Program, tellsComplete: boolean): Promise<void> {
    for (const flow of this.#flows) {
      // Older connectors say nothing of their streams: then the good end of all is that of each.
      if (!this.#saysStatus && !flow.isIncomplete) flow.isComplete = true;
      if (!flow.isComplete) continue;
      const descriptor = JSON.stringify(flow.destination);
      if (!flow.hasState && !this.#hasSharedState && flow.configured.sourceMode === 'full_refresh') {
        this.#remember(streamKey(flow.destination), undefined, [flow]);
        const state = `{"type":"STREAM","stream":{"stream_descriptor":${descriptor},"stream_state":{}}}`;
        destination.stdin.write(`{"type":"STATE","state":${state}}\n`);
      }
      if (tellsComplete) {
        const status = `{"stream_descriptor":${descriptor},"status":"COMPLETE"}`;
        const trace = `{"type":"STREAM_STATUS","emitted_at":${Date.now()},"stream_status":${status}}`;
        destination.stdin.write(`{"type":"TRACE","trace":${trace}}\n`);
      }
    }
  }

  #remember(key: string, parts: StateParts | undefined, flows: Flow[]): void {
    const counts = flows.map((flow) => ({ flow, records: flow.emitted, bytes: flow.emittedBytes }));
    const list = this.#pending.get(key) ?? [];
    this.#pending.set(key, list);
    list.push({ parts, counts });
  }

  async #readEchoes({ stdout }: Program): Promise<void> {
    const splitter = new LineSplitter();
    const take = async (lines: Iterable<Buffer>) => {
      for (const line of lines) this.#takeEcho(line.toString());
      await this.#log.ready();
    };
    for await (const chunk of stdout) await take(splitter.push(chunk as Buffer));
    await take(splitter.end());
  }

  #takeEcho(line: string): void {
    const message = logOrMessage(this.#log, 'destination', line);
    if (message?.type === 'TRACE') {
      const failure = failureOf(message);
      if (failure) this.#destinationFailure ??= failure;
    }
    const parts = message?.type === 'STATE' ? stateParts(line) : undefined;
    if (!parts) return;
    const flow = parts.kind === 'stream' ? this.#byDestination.get(streamKey(parts)) : undefined;
    const pending = this.#pending.get(flow ? streamKey(flow.destination) : '')?.shift();
    // What was never sent commits nothing.
    if (!pending) return;
    for (const { flow: counted, records, bytes } of pending.counts) {
      counted.committed = records;
      counted.committedBytes = bytes;
    }
    if (pending.parts) this.#onState(pending.parts);
  }
}

/** The source does not keep to the protocol in a way that cannot be passed over. */
class StreamError extends Error {}

const startsWith = (line: Buffer, head: Buffer | undefined): boolean =>
  head !== undefined && line.length > head.length && line.compare(head, 0, head.length, 0, head.length) === 0;

const printMembers = (members: [string, string][]) =>
  `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`;

function exitFailure(who: string, { code, reason }: { code: number; reason: string }): ConnectorFailure | undefined {
  if (reason === 'exited' && code === 0) return undefined;
  const how = reason === 'exited' ? `ended with exit code ${code}` : `was ended: ${reason}`;
  return { message: `The ${who} ${how}.`, internal: '', isConfiguration: false };
}
