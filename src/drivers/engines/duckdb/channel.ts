import type { Socket } from 'node:net';
import { AppError, errors, type SerializedError, toAppError } from '../../../core/errors.ts';

/**
 * Requests and answers as JSON lines over one Unix socket pair, many at a time, each cancellable.
 *
 * Both ends of an engine or session process use this file: the server `call`s, the process `serve`s. The pair is
 * inherited at spawn (file descriptor 3), so there is no path to protect, to keep short or to clean up, and either
 * side sees at once when the other is gone.
 */
export type Handler = (method: string, params: unknown, signal: AbortSignal) => Promise<unknown>;

type Message =
  | { id: number; method: string; params: unknown }
  | { id: number; result: unknown }
  | { id: number; error: SerializedError }
  | { cancel: number };

/** Calls `onMessage` for every line that arrives. */
function readLines(socket: Socket, onMessage: (message: Message) => void): void {
  let pending: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      pending.push(chunk.subarray(start, end));
      const line = Buffer.concat(pending).toString('utf8');
      pending = [];
      start = end + 1;
      onMessage(JSON.parse(line) as Message);
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
  });
}

function send(socket: Socket, message: Message): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

type Waiting = { resolve: (value: unknown) => void; reject: (reason: unknown) => void };

/** The asking end. */
export class CallChannel {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #closedBy: unknown;

  constructor(socket: Socket) {
    this.#socket = socket;
    // A broken pipe shows up as 'close' of the process, which fails the calls with a better reason.
    socket.on('error', () => {});
    readLines(socket, (message) => {
      if (!('id' in message)) return;
      const waiting = this.#waiting.get(message.id);
      if (waiting === undefined) return;
      this.#waiting.delete(message.id);
      if ('error' in message) waiting.reject(AppError.fromJSON(message.error));
      else if ('result' in message) waiting.resolve(message.result);
    });
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  /** Rejects with `signal.reason` only after the other end has stopped, so that its files can be cleaned up. */
  async call(method: string, params: unknown, signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted();
    if (this.#closedBy !== undefined) throw this.#closedBy;
    this.#lastId += 1;
    const id = this.#lastId;
    const cancel = () => send(this.#socket, { cancel: id });
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        send(this.#socket, { id, method, params });
      });
    } catch (thrown) {
      if (signal?.aborted) throw signal.reason;
      throw thrown;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Fails everything that waits and every later call. */
  fail(reason: unknown): void {
    this.#closedBy ??= reason;
    for (const waiting of this.#waiting.values()) waiting.reject(reason);
    this.#waiting.clear();
    this.#socket.destroy();
  }
}

/** The answering end. `onClose` runs when the asking process is gone. */
export function serveChannel(socket: Socket, handler: Handler, onClose: () => void): void {
  const running = new Map<number, AbortController>();
  const answer = async (id: number, method: string, params: unknown) => {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const result = await handler(method, params, controller.signal);
      send(socket, { id, result: result ?? null });
    } catch (thrown) {
      const error = controller.signal.aborted ? errors.unavailable('The call was cancelled') : toAppError(thrown);
      if (error.kind === 'internal') process.stderr.write(`${method}: ${describeCause(error)}\n`);
      send(socket, { id, error: error.toJSON() });
    } finally {
      running.delete(id);
    }
  };
  socket.on('error', onClose);
  socket.on('close', onClose);
  readLines(socket, (message) => {
    if ('cancel' in message) running.get(message.cancel)?.abort();
    else if ('method' in message) void answer(message.id, message.method, message.params);
  });
}

/** For the log only: the cause never crosses to the caller. */
function describeCause(error: AppError): string {
  const cause = error.cause ?? error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
