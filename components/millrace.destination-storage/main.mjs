// A destination of the Airbyte protocol: leaves a CSV file and a manifest for each stream in out/tables of its work
// folder, from where the platform loads them into tables.
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const WRITE_CHARACTERS = 1 << 18;
const NEWLINE = 10;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { config: { type: 'string' }, catalog: { type: 'string' } },
});
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const send = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const log = (level, message) => send({ type: 'LOG', log: { level, message } });

const keyOf = ({ name, namespace }) => JSON.stringify([namespace ?? null, name]);

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

class Table {
  constructor(configured, index, bucket, takenIds) {
    const { stream } = configured;
    this.mode = configured.destination_sync_mode;
    // Both ways to say it: by name, or by generation with everything older to go.
    this.replaces =
      this.mode.startsWith('overwrite') ||
      (configured.minimum_generation_id > 0 && configured.minimum_generation_id === configured.generation_id);
    this.fields = Object.keys(stream.json_schema?.properties ?? {});
    const taken = new Set();
    const columns = new Map(this.fields.map((field) => [field, unique(plain(field), taken)]));
    const place = stream.namespace ? `in.c-${plain(stream.namespace)}` : bucket;
    const id = unique(`${place}.${plain(stream.name)}`, takenIds);
    const isDeduplicated = this.mode.endsWith('_dedup');
    this.manifest = {
      destination: id,
      incremental: !this.replaces,
      primary_key: isDeduplicated
        ? (configured.primary_key ?? []).map(([field]) => columns.get(field) ?? plain(field))
        : [],
    };
    this.path = join('out', 'tables', `${index}.csv`);
    this.file = openSync(this.path, 'w');
    this.text = `${[...columns.values()].map((name) => `"${name}"`).join(',')}\n`;
    this.bytes = 0;
    this.flush();
    this.certainBytes = this.bytes;
    this.hasState = false;
    this.isComplete = false;
    this.unknown = new Set();
  }

  add(record, line) {
    let exact;
    let row = '';
    for (let i = 0; i < this.fields.length; i++) {
      const field = this.fields[i];
      const value = record[field];
      if (i > 0) row += ',';
      if (value === null || value === undefined) continue;
      let cell;
      if (typeof value === 'string') cell = value;
      else if (typeof value === 'object' || (typeof value === 'number' && !Number.isSafeInteger(value))) {
        // As it was written: numbers may have more digits than we can count with.
        exact ??= exactMembers(line);
        cell = exact.get(field) ?? JSON.stringify(value);
      } else cell = String(value);
      row += cell.includes('"') ? `"${cell.replaceAll('"', '""')}"` : `"${cell}"`;
    }
    this.text += `${row}\n`;
    if (this.text.length > WRITE_CHARACTERS) this.flush();
  }

  flush() {
    const bytes = Buffer.from(this.text);
    this.text = '';
    for (let at = 0; at < bytes.length; ) at += writeSync(this.file, bytes, at);
    this.bytes += bytes.length;
  }

  checkpoint() {
    this.flush();
    this.certainBytes = this.bytes;
    this.hasState = true;
  }

  /** Of a stream that did not come to its end, only what a state stands behind; nothing where it would replace a table. */
  close() {
    this.flush();
    if (!this.isComplete) ftruncateSync(this.file, this.certainBytes);
    closeSync(this.file);
    if (this.isComplete || (this.hasState && !this.replaces))
      writeFileSync(`${this.path}.manifest`, JSON.stringify(this.manifest));
    else unlinkSync(this.path);
  }
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

async function write(config) {
  mkdirSync(join('out', 'tables'), { recursive: true });
  const ids = new Set();
  const tables = new Map();
  for (const [index, configured] of readJson(values.catalog).streams.entries()) {
    tables.set(keyOf(configured.stream), new Table(configured, index, config.bucket || 'in.c-airbyte', ids));
  }
  const tableOf = (descriptor) => {
    const table = tables.get(keyOf(descriptor));
    if (!table) throw new Error(`The stream "${descriptor.name}" is not in the catalog.`);
    return table;
  };
  const take = (line) => {
    if (line.trim() === '') return;
    const message = JSON.parse(line);
    if (message.type === 'RECORD') {
      const { stream, namespace, data } = message.record;
      tableOf({ name: stream, namespace }).add(data, line);
    } else if (message.type === 'STATE') {
      const { stream } = message.state;
      for (const table of stream ? [tableOf(stream.stream_descriptor)] : tables.values()) table.checkpoint();
      process.stdout.write(`${line}\n`);
    } else if (message.type === 'TRACE' && message.trace.stream_status?.status === 'COMPLETE') {
      tableOf(message.trace.stream_status.stream_descriptor).isComplete = true;
    }
  };
  let carry;
  for await (const chunk of process.stdin) {
    const bytes = carry ? Buffer.concat([carry, chunk]) : chunk;
    const end = bytes.lastIndexOf(NEWLINE);
    carry = end + 1 < bytes.length ? bytes.subarray(end + 1) : undefined;
    if (end < 0) continue;
    for (const line of bytes.toString('utf8', 0, end).split('\n')) take(line);
  }
  if (carry) take(carry.toString());
  for (const table of tables.values()) table.close();
  log('INFO', `${tables.size} streams written`);
}

async function main() {
  const [command] = positionals;
  if (command === 'spec') {
    const { connector } = readJson(new URL('component.json', import.meta.url));
    return send({
      type: 'SPEC',
      spec: {
        connectionSpecification: connector.specification,
        supportsIncremental: true,
        supported_destination_sync_modes: ['append', 'overwrite', 'append_dedup'],
        protocol_version: '0.2.0',
      },
    });
  }
  if (command === 'check') return send({ type: 'CONNECTION_STATUS', connectionStatus: { status: 'SUCCEEDED' } });
  if (command === 'write') return write(readJson(values.config));
  throw new Error(`Unknown command "${command}".`);
}

try {
  await main();
} catch (error) {
  const failure = { message: error.message, stack_trace: error.stack, failure_type: 'system_error' };
  send({ type: 'TRACE', trace: { type: 'ERROR', emitted_at: Date.now(), error: failure } });
  process.exitCode = 1;
}
