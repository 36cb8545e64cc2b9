import { type JobLog, MAX_MESSAGE } from '../job-log.ts';
import { type Message, member, textOf } from './messages.ts';

type Level = 'info' | 'warn' | 'error';

/** What a connector says beside its data, in the log of the job: lines that follow each other share an entry. */
export class ConnectorLog {
  readonly side: 'source' | 'destination';
  readonly #log: JobLog;
  readonly #name: string;
  #level: Level = 'info';
  #text = '';

  constructor(log: JobLog, side: 'source' | 'destination', name: string = side) {
    this.#log = log;
    this.side = side;
    this.#name = name;
  }

  add(level: Level, text: string): void {
    const line = `${this.#name}: ${text}`;
    if (level !== this.#level || this.#text.length + line.length > MAX_MESSAGE) this.flush();
    this.#level = level;
    this.#text += this.#text === '' ? line : `\n${line}`;
  }

  /** Keeps what is for the log, and answers what is for somebody else. `message`: what the line was parsed to. */
  take(line: string, message: Message | undefined): Message | undefined {
    if (!message) {
      if (line.trim() !== '') this.add('info', line.trimEnd());
      return undefined;
    }
    if (!TYPES.has(message.type)) {
      this.add('warn', `a message of the unknown type "${message.type.slice(0, 100)}" is passed over`);
      return undefined;
    }
    if (message.type !== 'LOG') return message;
    const level = textOf(member(message, 'log', 'level')) ?? 'INFO';
    const text = textOf(member(message, 'log', 'message')) ?? '';
    if (level === 'FATAL' || level === 'ERROR') this.add('error', text);
    else if (level === 'WARN') this.add('warn', text);
    else if (level !== 'DEBUG' && level !== 'TRACE') this.add('info', text);
    return undefined;
  }

  flush(): void {
    const text = this.#text;
    this.#text = '';
    if (text !== '') this.#log[this.#level](text);
  }

  /** Passes on what has come together; resolves when there is room for more. */
  async ready(): Promise<void> {
    this.flush();
    await this.#log.ready();
  }
}

const TYPES = new Set([
  'RECORD',
  'STATE',
  'LOG',
  'SPEC',
  'CONNECTION_STATUS',
  'CATALOG',
  'TRACE',
  'CONTROL',
  'DESTINATION_CATALOG',
]);
