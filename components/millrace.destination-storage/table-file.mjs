// The rows of one stream on their way into a table: CSV files, with a manifest once the platform may load them.
import { closeSync, ftruncateSync, openSync, renameSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const BUFFER_BYTES = 1 << 16;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const NEWLINE = 0x0a;
const CLOSE = 0x7d;
const SPACE = 0x20;
const MINUS = 0x2d;

/** Names as tables and columns may have: letters, digits and underscores. */
const plain = (name) =>
  name
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^A-Za-z0-9_]+/g, '_')
    .replace(/^_+/, '')
    .slice(0, 60) || 'unnamed';

function unique(name, taken) {
  let candidate = name;
  for (let i = 1; taken.has(candidate.toLowerCase()); i++) candidate = `${name}_${i}`;
  taken.add(candidate.toLowerCase());
  return candidate;
}

export class TableFile {
  #folder;
  #index;
  #segment = -1;
  #columns;
  #manifest;
  #checkpointMs;
  #replaces;
  /** Read in full, its rows are worth something only once all of them are there. */
  #isWhole;
  /** In the order of the file; those of the first record first, as they come in it. */
  #fields;
  #keys;
  #name;
  #file;
  #openedAt = 0;
  #out;
  #used = 0;
  #bytes = 0;
  #certainBytes = 0;
  #headBytes = 0;
  isComplete = false;

  constructor(configured, { index, bucket, takenIds, folder, checkpointMs }) {
    const { stream, destination_sync_mode: mode } = configured;
    this.#folder = folder;
    this.#index = index;
    this.#checkpointMs = checkpointMs;
    // Both ways to say it: by name, or by generation with everything older to go.
    this.#replaces =
      mode.startsWith('overwrite') ||
      (configured.minimum_generation_id > 0 && configured.minimum_generation_id === configured.generation_id);
    this.#isWhole = this.#replaces || configured.sync_mode !== 'incremental';
    const taken = new Set();
    const fields = Object.keys(stream.json_schema?.properties ?? {});
    this.#columns = new Map(fields.map((field) => [field, unique(plain(field), taken)]));
    const place = stream.namespace ? `in.c-${plain(stream.namespace)}` : bucket;
    this.#manifest = {
      destination: unique(`${place}.${plain(stream.name)}`, takenIds),
      incremental: !this.#replaces,
      primary_key: mode.endsWith('_dedup') ? keyColumns(configured, this.#columns) : [],
    };
    const namespace = stream.namespace ? `,"namespace":${JSON.stringify(stream.namespace)}` : '';
    /** How the platform begins a record of this stream. */
    this.head = Buffer.from(`{"type":"RECORD","record":{"stream":${JSON.stringify(stream.name)}${namespace},"data":`);
  }

  /** A record whose text begins at the brace. True when that was all it takes: what is simple is not parsed. */
  addPlain(bytes, start, end) {
    const keys = this.#keys;
    if (keys === undefined) return false;
    if (this.#out.length - this.#used < end - start) {
      this.#flush();
      if (this.#out.length < end - start) return false;
    }
    const out = this.#out;
    let used = this.#used;
    let at = start;
    for (let column = 0; column < keys.length; column++) {
      const key = keys[column];
      for (let i = 0; i < key.length; i++) if (bytes[at + i] !== key[i]) return false;
      at += key.length;
      if (column > 0) out[used++] = COMMA;
      let byte = bytes[at];
      if (byte === QUOTE) {
        // Apart from escapes, the text of a JSON string is that of a CSV cell.
        out[used++] = QUOTE;
        for (byte = bytes[++at]; byte !== QUOTE; byte = bytes[++at]) {
          if (byte === BACKSLASH) {
            byte = bytes[++at];
            if (byte === QUOTE) out[used++] = QUOTE;
            else if (byte === 0x6e) byte = NEWLINE;
            else if (byte !== BACKSLASH) return false;
          } else if (byte < SPACE) return false;
          out[used++] = byte;
        }
        out[used++] = QUOTE;
        at++;
      } else if (byte === 0x6e) {
        at += 4;
      } else if ((byte >= 0x30 && byte <= 0x39) || byte === MINUS || byte === 0x74 || byte === 0x66) {
        out[used++] = QUOTE;
        while (byte !== COMMA && byte !== CLOSE) {
          if (byte <= SPACE) return false;
          out[used++] = byte;
          byte = bytes[++at];
        }
        out[used++] = QUOTE;
      } else return false;
    }
    if (bytes[at] !== CLOSE) return false;
    out[used++] = NEWLINE;
    this.#used = used;
    return true;
  }

  /** Any record, with the line it came in. */
  add(record, line) {
    if (this.#fields === undefined) this.#open(Object.keys(record));
    let exact;
    let row = '';
    for (let i = 0; i < this.#fields.length; i++) {
      const field = this.#fields[i];
      const value = record[field];
      if (i > 0) row += ',';
      if (value === null || value === undefined) continue;
      let cell;
      if (typeof value === 'string') cell = value;
      else if (typeof value === 'boolean') cell = String(value);
      else {
        // As it was written: numbers may have more digits than we can count with.
        exact ??= exactMembers(line);
        cell = exact.get(field) ?? JSON.stringify(value);
      }
      row += cell.includes('"') ? `"${cell.replaceAll('"', '""')}"` : `"${cell}"`;
    }
    this.#append(Buffer.from(`${row}\n`));
  }

  /** All rows so far stand behind a state. Answers the file that is closed with it, if one is. */
  checkpoint() {
    this.#flush();
    this.#certainBytes = this.#bytes;
    const isDue = !this.#isWhole && this.#bytes > this.#headBytes && Date.now() - this.#openedAt >= this.#checkpointMs;
    if (!isDue) return undefined;
    const name = this.#name;
    this.#seal();
    this.#fields = undefined;
    this.#keys = undefined;
    return name;
  }

  /**
   * Of a stream that did not come to its end, only what a state stands behind; nothing where all of it is read again.
   * A complete stream without a row makes its table, or empties it, all the same.
   */
  close() {
    if (this.#fields === undefined) {
      if (!this.isComplete || (!this.#isWhole && this.#segment >= 0)) return;
      this.#open([]);
    }
    this.#flush();
    if (!this.isComplete) {
      if (this.#isWhole || this.#certainBytes <= this.#headBytes) {
        closeSync(this.#file);
        unlinkSync(join(this.#folder, this.#name));
        return;
      }
      ftruncateSync(this.#file, this.#certainBytes);
    }
    this.#seal();
  }

  #open(first) {
    const known = first.filter((field) => this.#columns.has(field));
    const others = [...this.#columns.keys()].filter((field) => !known.includes(field));
    this.#fields = [...known, ...others];
    // Only for records that have all fields and no others: of every other, somebody has to look at the names.
    if (others.length === 0 && known.length === first.length)
      this.#keys = this.#fields.map((field, i) => Buffer.from(`${i === 0 ? '{' : ','}${JSON.stringify(field)}:`));
    this.#segment++;
    this.#name = `${this.#index}-${this.#segment}.csv`;
    this.#file = openSync(join(this.#folder, this.#name), 'w');
    this.#openedAt = Date.now();
    this.#out ??= Buffer.allocUnsafe(BUFFER_BYTES);
    this.#bytes = 0;
    this.#certainBytes = 0;
    this.#append(Buffer.from(`${this.#fields.map((field) => `"${this.#columns.get(field)}"`).join(',')}\n`));
    this.#flush();
    this.#headBytes = this.#bytes;
  }

  /** The manifest last, and whole: with it the platform takes the file. */
  #seal() {
    closeSync(this.#file);
    const path = join(this.#folder, `${this.#name}.manifest`);
    writeFileSync(`${this.#folder}/.${this.#name}`, JSON.stringify(this.#manifest));
    renameSync(`${this.#folder}/.${this.#name}`, path);
  }

  #append(bytes) {
    if (bytes.length > this.#out.length - this.#used) this.#flush();
    if (bytes.length > this.#out.length) {
      this.#write(bytes);
      return;
    }
    bytes.copy(this.#out, this.#used);
    this.#used += bytes.length;
  }

  #flush() {
    if (this.#used === 0) return;
    const bytes = this.#out.subarray(0, this.#used);
    this.#used = 0;
    this.#write(bytes);
  }

  #write(bytes) {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.#bytes += bytes.length;
  }
}

function keyColumns({ primary_key: key = [] }, columns) {
  return key.map(([field]) => columns.get(field) ?? plain(field));
}

/** The texts of the members of `record.data`. */
function exactMembers(line) {
  const members = (text) => {
    const found = new Map();
    let depth = 0;
    let key;
    let start = -1;
    for (let at = 0; at < text.length; at++) {
      const char = text[at];
      if (char === '"') {
        const from = at;
        for (at++; text[at] !== '"'; at++) if (text[at] === '\\') at++;
        if (depth === 1 && start < 0) key = JSON.parse(text.slice(from, at + 1));
      } else if (char === '{' || char === '[') depth++;
      else if (char === '}' || char === ']') depth--;
      if (depth === 1 && char === ':' && start < 0) start = at + 1;
      else if (start >= 0 && ((depth === 1 && char === ',') || depth === 0)) {
        found.set(key, text.slice(start, at).trim());
        start = -1;
      }
    }
    return found;
  };
  return members(members(members(line).get('record')).get('data'));
}
