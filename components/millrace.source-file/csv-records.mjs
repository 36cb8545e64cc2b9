// Turns CSV into messages of the Airbyte protocol byte by byte: a cell of CSV is nearly a string of JSON already, and
// strings made of every cell would cost more than all the rest of a sync together.
import { isUtf8 } from 'node:buffer';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const HEX = Buffer.from('0123456789abcdef');
const FLUSH_BYTES = 1 << 18;

/** What the file itself is to blame for. */
export class CsvError extends Error {}

/**
 * Gets chunks of a CSV file and gives `write` chunks of whole messages. `accepts`, where there is a cursor, is asked
 * with its value for each record.
 */
export class CsvRecords {
  #write;
  #delimiter;
  #cursor;
  #accepts;
  #before;
  #after;
  #carry;
  #names;
  #keys = [];
  #out = Buffer.allocUnsafe(2 * FLUSH_BYTES);
  #used = 0;
  #number = 0;

  constructor({ stream, delimiter = ',', cursor, accepts, write }) {
    if (delimiter.length !== 1 || delimiter.charCodeAt(0) > 0x7e || '"\r\n'.includes(delimiter))
      throw new CsvError('The delimiter must be one ASCII character.');
    this.#delimiter = delimiter.charCodeAt(0);
    this.#cursor = cursor;
    this.#accepts = accepts;
    this.#write = write;
    this.#before = `{"type":"RECORD","record":{"stream":${JSON.stringify(stream)},"data":{`;
  }

  /** Names of the columns, once the first line is complete. */
  get names() {
    return this.#names;
  }

  push(chunk) {
    this.#take(this.#carry ? Buffer.concat([this.#carry, chunk]) : chunk);
  }

  end() {
    // Its last line may lack the newline.
    const rest = this.#carry ?? Buffer.alloc(0);
    this.#take(rest.length > 0 && rest[rest.length - 1] !== NEWLINE ? Buffer.concat([rest, Buffer.from('\n')]) : rest);
    if (this.#carry) throw new CsvError('The file ends within a quoted cell.');
    this.flush();
  }

  flush() {
    const bytes = this.#out.subarray(0, this.#used);
    this.#used = 0;
    if (bytes.length === 0) return;
    // Whole messages: only what the file got wrong is no UTF-8.
    this.#write(isUtf8(bytes) ? bytes : Buffer.from(bytes.toString('utf8')));
  }

  #take(bytes) {
    let at = 0;
    this.#carry = undefined;
    this.#after = Buffer.from(`},"emitted_at":${Date.now()}}}\n`);
    if (!this.#names) {
      const end = this.#takeHeader(bytes);
      if (end === undefined) {
        this.#carry = bytes.length > 0 ? bytes : undefined;
        return;
      }
      at = end;
    }
    while (at < bytes.length) {
      const next = this.#record(bytes, at);
      if (next < 0) {
        this.#carry = Buffer.from(bytes.subarray(at));
        return;
      }
      at = next;
      if (this.#used > FLUSH_BYTES) this.flush();
    }
  }

  /** Where the first record ends; undefined while it does not. */
  #takeHeader(bytes) {
    let isQuoted = false;
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] === QUOTE) isQuoted = !isQuoted;
      else if (bytes[at] === NEWLINE && !isQuoted) {
        const line = bytes
          .toString('utf8', 0, at)
          .replace(/^\ufeff/, '')
          .replace(/\r$/, '');
        // Lines before the header that are empty.
        if (line.trim() === '') continue;
        this.#names = cellsOf(line.replace(/^[\r\n]+/, ''), String.fromCharCode(this.#delimiter));
        this.#keys = this.#names.map((name, index) => {
          const key = `${index === 0 ? this.#before : ','}${JSON.stringify(name)}:"`;
          return Buffer.from(key);
        });
        return at + 1;
      }
    }
    return undefined;
  }

  /** Writes the record that begins here; answers where the next one does, -1 where this one goes on in the next chunk. */
  #record(bytes, start) {
    const first = bytes[start];
    if (first === NEWLINE) return start + 1;
    if (first === RETURN && start + 1 < bytes.length && bytes[start + 1] === NEWLINE) return start + 2;
    const keys = this.#keys;
    const delimiter = this.#delimiter;
    const cursorAt = this.#cursor === undefined ? -1 : this.#names.indexOf(this.#cursor);
    const end = bytes.length;
    let out = this.#out;
    let used = this.#used;
    let at = start;
    let column = 0;
    let cursorStart = 0;
    let cursorEnd = 0;
    for (;;) {
      if (column < keys.length) {
        const key = keys[column];
        for (let i = 0; i < key.length; i++) out[used++] = key[i];
      }
      if (column === cursorAt) cursorStart = used;
      let isQuoted = bytes[at] === QUOTE;
      if (isQuoted) at++;
      let byte = 0;
      for (;;) {
        if (at >= end) return -1;
        byte = bytes[at++];
        if (byte === QUOTE && isQuoted) {
          if (at >= end) return -1;
          if (bytes[at] !== QUOTE) {
            isQuoted = false;
            continue;
          }
          at++;
        } else if (!isQuoted && (byte === delimiter || byte === NEWLINE)) break;
        if (byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH) out[used++] = byte;
        else if (byte === RETURN && !isQuoted && at >= end) return -1;
        else if (byte === RETURN && !isQuoted && bytes[at] === NEWLINE) continue;
        else {
          out[used++] = BACKSLASH;
          if (byte === QUOTE || byte === BACKSLASH) out[used++] = byte;
          else if (byte === NEWLINE) out[used++] = 0x6e;
          else {
            out[used++] = 0x75;
            out[used++] = 0x30;
            out[used++] = 0x30;
            out[used++] = HEX[byte >> 4];
            out[used++] = HEX[byte & 15];
          }
        }
      }
      if (column === cursorAt) cursorEnd = used;
      out[used++] = QUOTE;
      column++;
      if (byte === NEWLINE) break;
    }
    const after = this.#after;
    for (let i = 0; i < after.length; i++) out[used++] = after[i];
    if (used > out.length) {
      // What went over the end of the buffer is nowhere: once more, with room.
      this.flush();
      this.#out = out = Buffer.allocUnsafe(Math.max(out.length, 2 * used));
      return this.#record(bytes, start);
    }
    this.#number++;
    if (column !== keys.length)
      throw new CsvError(`Record ${this.#number} has ${column} cells instead of ${keys.length}.`);
    if (cursorAt < 0 || this.#accepts(JSON.parse(`"${out.toString('utf8', cursorStart, cursorEnd)}"`)))
      this.#used = used;
    return at;
  }
}

/** Cells of one line that may be quoted. */
function cellsOf(line, delimiter) {
  const cells = [];
  for (let at = 0; ; ) {
    let cell = '';
    if (line[at] === '"') {
      for (at++; ; at++) {
        const end = line.indexOf('"', at);
        if (end < 0) throw new CsvError('A quoted name of a column does not end.');
        cell += line.slice(at, end);
        at = end + 1;
        if (line[at] !== '"') break;
        cell += '"';
      }
    }
    const next = line.indexOf(delimiter, at);
    cells.push(cell + line.slice(at, next < 0 ? undefined : next));
    if (next < 0) return cells;
    at = next + 1;
  }
}
