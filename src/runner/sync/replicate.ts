import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { streamKey } from '../../core/components/connection-model.ts';
import { jsonMembers } from '../../lib/json-text.ts';
import type { ConnectorLog } from './connector-log.ts';
import type { Program } from './connector-program.ts';
import { descriptorMembers, type Flow, type RecordHead, recordHead } from './flow.ts';
import { LineSplitter, LineTooLong } from './line-splitter.ts';
import {
  type ConnectorFailure,
  failureBy,
  failureOf,
  isBrokenMessage,
  type Message,
  member,
  parseMessage,
  type StateParts,
  stateParts,
  textOf,
} from './messages.ts';
import { type PendingState, PendingStates } from './pending-states.ts';

export type ReplicationFailure = ConnectorFailure & { origin: 'source' | 'destination' | 'replication' };

export type ReplicationLimits = {
  /** A source that sends neither a record nor a state for so long, while somebody waits for it, is given up. */
  sourceSilenceMs: number;
  /** A destination that takes nothing (or, when it has all, says nothing) for so long is given up. */
  destinationSilenceMs: number;
  /** How long a source may live on after it has closed its output. */
  exitGraceMs: number;
};

export type ReplicationEvents = {
  /** The destination has what stands before this state. */
  onState(state: PendingState): void;
  /** A destination that leaves tables has closed some of them: all that is acknowledged of these flows is in them. */
  onTablesClosed(flows: readonly Flow[], names: readonly string[]): void;
};

/** Ways of records to begin that are remembered: sources have one for each stream. */
const MAX_HEADS = 256;

/**
 * Moves records from a source to a destination until both have ended. A record whose beginning is known is passed on
 * as the bytes it came in, apart from that beginning; nothing is parsed that need not be. A state counts once it has
 * come back from the destination.
 */
export class Replicator {
  readonly #flows: readonly Flow[];
  readonly #byKey: Map<string, Flow>;
  readonly #byDestination: Map<string, Flow>;
  readonly #events: ReplicationEvents;
  readonly #logs: { source: ConnectorLog; destination: ConnectorLog };
  readonly #limits: ReplicationLimits;
  readonly #pending = new Map<string, PendingStates>();
  readonly #heads: RecordHead[] = [];
  #head: RecordHead | undefined;
  #sourceFailure: ConnectorFailure | undefined;
  #destinationFailure: ConnectorFailure | undefined;
  #saysStatus = false;
  #stateKind: StateParts['kind'] | undefined;
  #stateIds = 0;
  #emittedAtSharedState = 0;
  /** When each side was last seen at work; undefined while nothing is expected of it. */
  #sourceAt: number | undefined;
  #destinationAt: number | undefined;
  /** What goes to the destination with the chunk at hand. */
  #out: Buffer[] = [];
  #run: { bytes: Buffer; start: number; end: number } | undefined;
  /** Where in a chunk the next one is told. */
  #namespace: { bytes: Buffer | undefined; at: number } = { bytes: undefined, at: 0 };

  constructor(
    flows: readonly Flow[],
    logs: { source: ConnectorLog; destination: ConnectorLog },
    limits: ReplicationLimits,
    events: ReplicationEvents,
  ) {
    this.#flows = flows;
    this.#byKey = new Map(flows.map((flow) => [streamKey(flow.configured.stream), flow]));
    this.#byDestination = new Map(flows.map((flow) => [streamKey(flow.destination), flow]));
    this.#logs = logs;
    this.#limits = limits;
    this.#events = events;
  }

  async run(
    source: Program | undefined,
    destination: Program,
    options: { tellsComplete: boolean },
  ): Promise<{ failure: ReplicationFailure | undefined }> {
    const stopWatching = this.#watch(source, destination);
    try {
      return { failure: await this.#replicate(source, destination, options) };
    } finally {
      stopWatching();
      for (const log of Object.values(this.#logs)) log.flush();
    }
  }

  async #replicate(
    source: Program | undefined,
    destination: Program,
    options: { tellsComplete: boolean },
  ): Promise<ReplicationFailure | undefined> {
    const echoes = this.#readEchoes(destination);
    const state = { hasAll: false, isOver: false };
    const destinationExit = destination.exit.then((exit) => {
      state.isOver = true;
      if (!state.hasAll) this.#destinationFailure ??= exitFailure('destination', exit) ?? endedEarly;
      // Otherwise the source would wait for ever for somebody to take its records.
      if (source && !state.hasAll) void source.stop();
      destination.stdin.destroy();
      return exit;
    });
    const sourceExit = source ? await this.#pump(source, destination, () => state.isOver) : undefined;
    const sourceProblem = sourceExit && (this.#sourceFailure ?? exitFailure('source', sourceExit));
    if (!sourceProblem && !state.isOver) this.#concludeStreams(destination, options.tellsComplete);
    state.hasAll = !state.isOver;
    this.#destinationAt = Date.now();
    destination.stdin.end();
    const exit = await destinationExit;
    await echoes;
    const destinationProblem = this.#destinationFailure ?? exitFailure('destination', exit);
    // A source whose destination has died fails, too, and that is not the reason.
    if (destinationProblem) return { ...destinationProblem, origin: 'destination' };
    if (sourceProblem) return { ...sourceProblem, origin: 'source' };
    const left = this.#flows.find((flow) => !flow.isComplete);
    if (left)
      return {
        ...failureBy(`The stream "${left.configured.stream.name}" did not come to its end.`),
        origin: 'source',
      };
    const unanswered = [...this.#pending.values()].reduce((sum, { size }) => sum + size, 0);
    if (unanswered > 0)
      this.#logs.destination.add(
        'warn',
        `did not confirm ${unanswered} states: what stands behind them will be read again`,
      );
    return undefined;
  }

  async #pump(source: Program, destination: Program, isOver: () => boolean) {
    const splitter = new LineSplitter();
    const take = (bytes: Buffer, start: number, end: number) => this.#take(bytes, start, end);
    let isCut = false;
    source.stdin.end();
    this.#sourceAt = Date.now();
    try {
      for await (const chunk of source.stdout) {
        splitter.push(chunk as Buffer, take);
        await this.#send(destination, isOver);
        await this.#logs.source.ready();
      }
      splitter.end((bytes, start, end) => {
        const text = bytes.toString('utf8', start, end);
        // The source was cut off in the middle of it; then it says itself, or its exit does, how that came.
        if (!parseMessage(text) && isBrokenMessage(text)) isCut = true;
        else this.#take(bytes, start, end);
      });
      await this.#send(destination, isOver);
    } catch (error) {
      if (!(error instanceof StreamError) && !(error instanceof LineTooLong)) throw error;
      this.#sourceFailure ??= failureBy(error instanceof StreamError ? error.message : `The source: ${error.message}.`);
      // What stands before the mistake is as good as ever.
      await this.#send(destination, isOver);
      void source.stop();
    }
    this.#sourceAt = undefined;
    await this.#logs.source.ready();
    const exit = await this.#exitOf(source);
    if (isCut) this.#sourceFailure ??= exitFailure('source', exit) ?? cutOff;
    return exit;
  }

  async #exitOf(source: Program) {
    const cancel = new AbortController();
    const grace = sleep(this.#limits.exitGraceMs, 'late' as const, { signal: cancel.signal }).catch(() => 'ended');
    const first = await Promise.race([source.exit, grace]);
    cancel.abort();
    if (first === 'late') {
      this.#sourceFailure ??= failureBy(
        `The source did not end within ${seconds(this.#limits.exitGraceMs)} of its last output.`,
      );
      await source.stop();
    }
    return source.exit;
  }

  /** What has come together goes to the destination; resolves when it can take more. */
  async #send({ stdin, exit }: Program, isOver: () => boolean): Promise<void> {
    this.#endRun();
    const out = this.#out;
    this.#out = [];
    const bytes = out.length === 1 ? out[0] : Buffer.concat(out);
    if (out.length === 0 || bytes === undefined || isOver() || stdin.write(bytes) || isOver()) return;
    const wasAt = this.#sourceAt;
    this.#sourceAt = undefined;
    this.#destinationAt = Date.now();
    await Promise.race([once(stdin, 'drain').catch(() => undefined), exit]);
    this.#destinationAt = undefined;
    if (wasAt !== undefined) this.#sourceAt = Date.now();
  }

  /** Gives up whoever lets the other wait for too long. */
  #watch(source: Program | undefined, destination: Program): () => void {
    const { sourceSilenceMs, destinationSilenceMs } = this.#limits;
    const look = () => {
      const now = Date.now();
      if (source && this.#sourceAt !== undefined && now - this.#sourceAt > sourceSilenceMs) {
        this.#sourceFailure ??= failureBy(`The source sent nothing for ${seconds(sourceSilenceMs)}.`);
        this.#sourceAt = undefined;
        void source.stop();
      }
      if (this.#destinationAt !== undefined && now - this.#destinationAt > destinationSilenceMs) {
        this.#destinationFailure ??= failureBy(`The destination took nothing for ${seconds(destinationSilenceMs)}.`);
        this.#destinationAt = undefined;
        void destination.stop();
      }
    };
    const timer = setInterval(look, Math.min(1000, sourceSilenceMs / 4, destinationSilenceMs / 4));
    return () => clearInterval(timer);
  }

  /** What of a source's line goes on. */
  #take(bytes: Buffer, start: number, end: number): void {
    const head = this.#headOf(bytes, start, end);
    if (!head) {
      this.#endRun();
      const passed = this.#takeMessage(bytes.toString('utf8', start, end), end - start);
      if (passed) this.#out.push(passed);
      return;
    }
    const { emitted } = head.flow;
    emitted.records++;
    emitted.bytes += end - start;
    if (head.isSame) {
      if (this.#run?.bytes === bytes && this.#run.end === start) this.#run.end = end;
      else {
        this.#endRun();
        this.#run = { bytes, start, end };
      }
      return;
    }
    this.#endRun();
    this.#out.push(head.sent, bytes.subarray(start + head.bytes.length, end));
  }

  #endRun(): void {
    if (!this.#run) return;
    const { bytes, start, end } = this.#run;
    this.#run = undefined;
    this.#out.push(bytes.subarray(start, end));
    if (this.#sourceAt !== undefined) this.#sourceAt = Date.now();
  }

  /** For a record that needs no parser. */
  #headOf(bytes: Buffer, start: number, end: number): RecordHead | undefined {
    // The next record is mostly of the same stream.
    let head = this.#head;
    if (!head || !beginsWith(bytes, start, end, head.bytes)) {
      head = this.#heads.find((one) => beginsWith(bytes, start, end, one.bytes));
      if (!head) return undefined;
      this.#head = head;
    }
    // Data that is no object, a line that was torn, and one that tells the namespace after the data.
    if (bytes[start + head.bytes.length] !== OPEN_BRACE) return undefined;
    if (bytes[end - 2] !== BRACE || bytes[end - 3] !== BRACE) return undefined;
    return this.#hasNamespace(bytes, start + head.bytes.length, end) ? undefined : head;
  }

  /** Looks through each chunk once, however many lines are in it. */
  #hasNamespace(bytes: Buffer, start: number, end: number): boolean {
    if (this.#namespace.bytes !== bytes || this.#namespace.at < start) {
      const at = bytes.indexOf(NAMESPACE, start);
      this.#namespace = { bytes, at: at < 0 ? Number.POSITIVE_INFINITY : at };
    }
    return this.#namespace.at < end;
  }

  #takeMessage(text: string, size: number): Buffer | undefined {
    const message = this.#messageOf(this.#logs.source, text);
    switch (message?.type) {
      case 'RECORD':
        return this.#takeRecord(text, size);
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

  #messageOf(log: ConnectorLog, text: string): Message | undefined {
    const message = parseMessage(text);
    if (!message && isBrokenMessage(text)) throw new StreamError(`The ${log.side} sent a message that is not JSON.`);
    return log.take(text, message);
  }

  #takeRecord(text: string, size: number): Buffer {
    const envelope = jsonMembers(text);
    const record = jsonMembers(envelope?.get('record') ?? '');
    const name = textOf(JSON.parse(record?.get('stream') ?? 'null'));
    const namespace = textOf(JSON.parse(record?.get('namespace') ?? 'null'));
    if (!record || name === undefined) throw new StreamError('The source sent a record of no stream.');
    const flow = this.#byKey.get(streamKey({ name, namespace }));
    if (!flow) throw new StreamError(`The source sent a record of the stream "${name}", which was not asked for.`);
    const data = record.get('data') ?? '';
    if (!data.startsWith('{'))
      throw new StreamError(`The source sent a record of the stream "${name}" whose data is no object.`);
    if (this.#sourceAt !== undefined) this.#sourceAt = Date.now();
    flow.emitted.records++;
    flow.emitted.bytes += size;
    this.#learn(flow, text);
    const { selectedFields } = flow.configured;
    const fields = selectedFields && [...(jsonMembers(data) ?? [])].filter(([key]) => selectedFields.includes(key));
    for (const key of ['stream', 'namespace', 'data']) record.delete(key);
    const rest = [...record].map(([key, value]) => `,${JSON.stringify(key)}:${value}`).join('');
    const kept = fields ? printMembers(fields) : data;
    return Buffer.from(`{"type":"RECORD","record":{${descriptorMembers(flow)},"data":${kept}${rest}}}\n`);
  }

  #learn(flow: Flow, text: string): void {
    if (this.#heads.length >= MAX_HEADS) return;
    const head = recordHead(flow, text);
    if (head && !this.#heads.some(({ bytes }) => bytes.equals(head.bytes))) this.#heads.push(head);
  }

  #takeState(text: string): Buffer | undefined {
    const parts = stateParts(text);
    if (!parts) throw new StreamError('The source sent a state that cannot be read.');
    this.#stateKind ??= parts.kind;
    // A source may move from one state for all to one for each; nothing else makes sense.
    if (this.#stateKind !== parts.kind && !(this.#stateKind === 'legacy' && parts.kind === 'stream'))
      throw new StreamError(`The source sent a ${parts.kind} state after ${this.#stateKind} ones.`);
    this.#stateKind = parts.kind;
    if (this.#sourceAt !== undefined) this.#sourceAt = Date.now();
    const state = jsonMembers(jsonMembers(text)?.get('state') ?? '') ?? new Map<string, string>();
    const id = ++this.#stateIds;
    let count: number;
    if (parts.kind === 'stream') {
      const flow = this.#byKey.get(streamKey(parts));
      // Of a stream that nobody has asked for.
      if (!flow) return undefined;
      flow.hasState = true;
      count = flow.emitted.records - flow.emittedAtState;
      flow.emittedAtState = flow.emitted.records;
      this.#pendingOf(flow).add(id, parts, [flow]);
      const descriptor = JSON.stringify(flow.destination);
      state.set('stream', `{"stream_descriptor":${descriptor},"stream_state":${parts.state ?? 'null'}}`);
    } else {
      const emitted = this.#flows.reduce((sum, flow) => sum + flow.emitted.records, 0);
      count = emitted - this.#emittedAtSharedState;
      this.#emittedAtSharedState = emitted;
      this.#pendingOf(undefined).add(id, parts, this.#flows);
    }
    if (!state.has('sourceStats')) state.set('sourceStats', `{"recordCount":${count}}`);
    state.set('id', String(id));
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
  #concludeStreams(destination: Program, tellsComplete: boolean): void {
    for (const flow of this.#flows) {
      // Older connectors say nothing of their streams: then the good end of all is that of each.
      if (!this.#saysStatus) flow.isComplete = true;
      if (flow.isIncomplete) flow.isComplete = false;
      if (!flow.isComplete) continue;
      const descriptor = JSON.stringify(flow.destination);
      const hasSharedState = this.#stateKind !== undefined && this.#stateKind !== 'stream';
      if (!flow.hasState && !hasSharedState && flow.configured.sourceMode === 'full_refresh') {
        const id = ++this.#stateIds;
        this.#pendingOf(flow).add(id, undefined, [flow]);
        const state = `{"type":"STREAM","stream":{"stream_descriptor":${descriptor},"stream_state":{}},"id":${id}}`;
        destination.stdin.write(`{"type":"STATE","state":${state}}\n`);
      }
      if (tellsComplete) {
        const status = `{"stream_descriptor":${descriptor},"status":"COMPLETE"}`;
        const trace = `{"type":"STREAM_STATUS","emitted_at":${Date.now()},"stream_status":${status}}`;
        destination.stdin.write(`{"type":"TRACE","trace":${trace}}\n`);
      }
    }
  }

  /** Without a flow: of states that are of all streams. */
  #pendingOf(flow: Flow | undefined): PendingStates {
    const key = flow ? streamKey(flow.destination) : '';
    const found = this.#pending.get(key) ?? new PendingStates();
    this.#pending.set(key, found);
    return found;
  }

  async #readEchoes(destination: Program): Promise<void> {
    const splitter = new LineSplitter();
    const take = (bytes: Buffer, start: number, end: number) => this.#takeEcho(bytes.toString('utf8', start, end));
    try {
      for await (const chunk of destination.stdout) {
        splitter.push(chunk as Buffer, take);
        if (this.#destinationAt !== undefined) this.#destinationAt = Date.now();
        await this.#logs.destination.ready();
      }
      splitter.end(take);
    } catch (error) {
      if (!(error instanceof StreamError) && !(error instanceof LineTooLong)) throw error;
      this.#destinationFailure ??= failureBy(
        error instanceof StreamError ? error.message : `The destination: ${error.message}.`,
      );
      void destination.stop();
    }
    await this.#logs.destination.ready();
  }

  #takeEcho(line: string): void {
    const message = this.#messageOf(this.#logs.destination, line);
    if (message?.type === 'TRACE') {
      const failure = failureOf(message);
      if (failure) this.#destinationFailure ??= failure;
      this.#takeClosed(message);
      return;
    }
    if (message?.type !== 'STATE') return;
    const parts = stateParts(line);
    if (!parts) throw new StreamError('The destination sent back a state that cannot be read.');
    const flow = parts.kind === 'stream' ? this.#byDestination.get(streamKey(parts)) : undefined;
    // What was never sent commits nothing.
    if (parts.kind === 'stream' && !flow) return;
    const id = member(message, 'state', 'id');
    const state = this.#pendingOf(flow).take(typeof id === 'number' ? id : undefined, parts);
    if (!state) return;
    for (const { flow: counted, count } of state.counts) counted.acknowledged = count;
    this.#events.onState(state);
  }

  /** Ours alone: a trace that every other platform passes over. */
  #takeClosed(message: Message): void {
    if (member(message, 'trace', 'analytics', 'type') !== 'millrace-tables-closed') return;
    const value = textOf(member(message, 'trace', 'analytics', 'value')) ?? '[]';
    const closed = JSON.parse(value) as { stream: number; file: string }[];
    const flows = closed.flatMap(({ stream }) => this.#flows[stream] ?? []);
    this.#events.onTablesClosed(
      flows,
      closed.map(({ file }) => file),
    );
  }
}

const OPEN_BRACE = 0x7b;
const BRACE = 0x7d;
const NAMESPACE = Buffer.from('"namespace"');

/** A connector does not keep to the protocol in a way that cannot be passed over. */
class StreamError extends Error {}

const endedEarly = failureBy('The destination ended before it had taken everything.');
const cutOff = failureBy('The source ended in the middle of a message.');

function beginsWith(bytes: Buffer, start: number, end: number, head: Buffer): boolean {
  return end - start > head.length && bytes.compare(head, 0, head.length, start, start + head.length) === 0;
}

const printMembers = (members: [string, string][]) =>
  `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`;

const seconds = (ms: number) => `${ms / 1000} s`;

function exitFailure(who: string, { code, reason }: { code: number; reason: string }): ConnectorFailure | undefined {
  if (reason === 'exited' && code === 0) return undefined;
  return failureBy(`The ${who} ${reason === 'exited' ? `ended with exit code ${code}` : `was ended: ${reason}`}.`);
}
