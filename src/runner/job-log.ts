import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMask } from '../core/secrets/mask.ts';
import type { LogChunk } from '../drivers/runtimes/contract.ts';
import type { Logger } from '../lib/logger.ts';
import type { JobContext } from './kind.ts';

export const MAX_MESSAGE = 4000;
/** Of one stream, what is kept for the end: enough for every message, however much was printed. */
const KEPT_BYTES = 128 * 1024;
/** A line that does not end is passed on in pieces. */
const MAX_LINE = 64 * 1024;
const QUEUE_LIMIT = 50;

type Level = 'info' | 'warn' | 'error';

/**
 * What a job says while it runs: one event after the other, in order, written behind the back of the work so that no
 * step waits for its own log. A log that cannot be written does not fail the job.
 */
export class JobLog {
  readonly #append: JobContext['appendEvent'];
  readonly #component: string;
  readonly #log: Logger;
  readonly #queue: { type: Level; message: string }[] = [];
  readonly #secrets = new Set<string>();
  #mask: (text: string) => string = (text) => text;
  #pump: Promise<void> | undefined;

  constructor(ctx: Pick<JobContext, 'appendEvent' | 'log'>, component: string) {
    this.#append = ctx.appendEvent;
    this.#log = ctx.log;
    this.#component = component;
  }

  info(message: string): void {
    this.#add('info', message);
  }

  warn(message: string): void {
    this.#add('warn', message);
  }

  error(message: string): void {
    this.#add('error', message);
  }

  /** Texts that leave the job neither in a log nor in an error from now on. */
  hide(secrets: Iterable<string>): void {
    for (const secret of secrets) this.#secrets.add(secret);
    this.#mask = createMask(this.#secrets);
  }

  mask(text: string): string {
    return this.#mask(text);
  }

  /** Resolves when there is room for more. */
  async ready(): Promise<void> {
    // Not at every turn of the loop: a database that hangs must not cost a processor.
    while (this.#queue.length > QUEUE_LIMIT) await sleep(5);
  }

  /** Resolves when everything said so far is written. */
  async flush(): Promise<void> {
    await this.#pump;
  }

  #add(type: Level, text: string): void {
    const message = toMessage(this.#mask(text));
    if (message === '') return;
    this.#queue.push({ type, message });
    this.#pump ??= this.#write();
  }

  async #write(): Promise<void> {
    for (let event = this.#queue[0]; event; event = this.#queue[0]) {
      await this.#append({ name: 'ext', component: this.#component, ...event }).catch((error: unknown) => {
        this.#log.warn({ err: error }, 'a log event of a job could not be written');
      });
      this.#queue.shift();
    }
    // In the same turn as the last look: what comes later finds no pump and starts one.
    this.#pump = undefined;
  }
}

/** Shows the beginning and the end of what is too long: errors tell the most at the end. */
export function cutMiddle(text: string, max = MAX_MESSAGE): string {
  if (text.length <= max) return text;
  const side = Math.floor((max - 5) / 2);
  return `${text.slice(0, side)} ... ${text.slice(-side)}`;
}

/** Fit for the database: no NUL, no half of a surrogate pair, not too long. */
export function toMessage(text: string): string {
  // Encoding puts the replacement character where half a pair is left, also by the cut.
  return Buffer.from(cutMiddle(text.replaceAll('\0', '').trim())).toString();
}

/**
 * A program's output. Whole lines of stdout become info events as they come, several to an event; of both streams the
 * beginning and the end are kept.
 */
export class ProgramOutput {
  readonly stdout = new KeptText();
  readonly stderr = new KeptText();
  readonly #log: JobLog;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';
  #saidBytes = 0;

  constructor(log: JobLog) {
    this.#log = log;
  }

  /** How much of stdout was passed on: where whoever takes over the program goes on. */
  get saidBytes(): number {
    return this.#saidBytes;
  }

  async add({ stream, bytes, offset }: LogChunk): Promise<void> {
    this[stream].add(bytes);
    if (stream === 'stderr') return;
    const text = this.#rest + this.#decoder.write(bytes);
    const isTooLong = text.length > MAX_LINE;
    const end = isTooLong ? text.length : text.lastIndexOf('\n') + 1;
    if (end > 0) this.#saidBytes = offset + (isTooLong ? bytes.length : bytes.lastIndexOf(0x0a) + 1);
    this.#rest = text.slice(end);
    this.#say(text.slice(0, end));
    await this.#log.ready();
  }

  end(): void {
    this.#say(this.#rest + this.#decoder.end());
    this.#rest = '';
  }

  #say(text: string): void {
    for (const part of splitLines(text, MAX_MESSAGE)) this.#log.info(part);
  }
}

class KeptText {
  #head = Buffer.alloc(0);
  #tail = Buffer.alloc(0);
  #isCut = false;

  add(bytes: Buffer): void {
    const room = KEPT_BYTES - this.#head.length;
    if (room > 0) this.#head = Buffer.concat([this.#head, bytes.subarray(0, room)]);
    if (bytes.length <= room) return;
    const tail = Buffer.concat([this.#tail, bytes.subarray(Math.max(0, room))]);
    this.#isCut ||= tail.length > KEPT_BYTES;
    this.#tail = tail.subarray(-KEPT_BYTES);
  }

  text(): string {
    const between = this.#isCut ? '\n ... \n' : '';
    return Buffer.concat([this.#head, Buffer.from(between), this.#tail]).toString('utf8');
  }
}

/** Parts of whole lines, each at most `max` long; a longer line is cut. */
export function splitLines(text: string, max: number): string[] {
  const parts: string[] = [];
  let part = '';
  for (const line of text.split(/(?<=\n)/)) {
    if (part.length + line.length > max) {
      if (part) parts.push(part);
      part = '';
    }
    for (part += line; part.length > max; part = part.slice(max)) parts.push(part.slice(0, max));
  }
  return part ? [...parts, part] : parts;
}
