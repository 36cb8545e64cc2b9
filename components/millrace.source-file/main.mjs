// A source of the Airbyte protocol: the records of one CSV or JSON lines file.
//
// Incremental reading goes through the whole file and sends the records whose cursor is not before the greatest one
// sent so far. Not only those after it: a record that was added with the same value would be lost. So the last ones
// come again, and a destination that deduplicates drops them. Records without a cursor value come every time.
import { closeSync, openSync, readFileSync, readSync, realpathSync, statSync, writeSync } from 'node:fs';
import { sep } from 'node:path';
import { parseArgs } from 'node:util';
import { CsvError, CsvRecords } from './csv-records.mjs';

const SAMPLE = 1000;
const READ_BYTES = 1 << 18;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { config: { type: 'string' }, catalog: { type: 'string' }, state: { type: 'string' } },
});
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Something the person who configured the source can put right. */
class ConfigError extends Error {}

/** Waits until all of it is gone: whoever reads sets the pace. */
function emit(bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
const send = (message) => emit(Buffer.from(`${JSON.stringify(message)}\n`));
const trace = (type, payload) => send({ type: 'TRACE', trace: { type, emitted_at: Date.now(), ...payload } });

/** The bytes of the file. */
async function* chunks(config) {
  if (!/^https?:\/\//i.test(config.url)) {
    yield* localChunks(config.url.replace(/^file:\/\//i, ''));
    return;
  }
  const headers = config.authorization ? { authorization: config.authorization } : {};
  const answer = await fetch(config.url, { headers }).catch((error) => {
    throw new ConfigError(`Cannot reach ${new URL(config.url).host}: ${error.cause?.message ?? error.message}`);
  });
  if (!answer.ok || !answer.body) {
    const message = `The server answered ${answer.status} ${answer.statusText}`;
    throw answer.status >= 500 || answer.status === 429 ? new Error(message) : new ConfigError(message);
  }
  for await (const chunk of answer.body) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** Only of folders that the operator of the machine has opened, also where nothing else keeps us in. */
function* localChunks(path) {
  const folders = JSON.parse(process.env.MILLRACE_LOCAL_SOURCES ?? '[]');
  let real;
  try {
    real = realpathSync(path);
  } catch {
    // The same as for a file that may not be read: whether it is there is nobody's business.
  }
  if (real === undefined || !folders.some((folder) => real.startsWith(folder + sep)))
    throw new ConfigError(`${path} is no file in a folder that this server opens to sources.`);
  if (!statSync(real).isFile()) throw new ConfigError(`${path} is no file.`);
  let file;
  try {
    file = openSync(real, 'r');
  } catch (error) {
    throw new ConfigError(`Cannot open ${path}: ${error.code ?? error.message}`);
  }
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      const size = readSync(file, buffer);
      if (size === 0) return;
      yield buffer.subarray(0, size);
    }
  } finally {
    closeSync(file);
  }
}

/** Batches of texts of JSON objects, each with its value. */
async function* jsonRecords(config) {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let number = 0;
  const parse = (lines) =>
    lines.flatMap((line) => {
      number++;
      const text = line.trim();
      if (text === '') return [];
      let value;
      try {
        value = JSON.parse(text);
      } catch {
        throw new ConfigError(`Line ${number} is not JSON.`);
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw new ConfigError(`Line ${number} is not a JSON object.`);
      return [{ text, value }];
    });
  for await (const chunk of chunks(config)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop();
    yield parse(lines);
  }
  yield parse([rest + decoder.decode()]);
}

const isNumber = (text) => text.trim() !== '' && Number.isFinite(Number(text));
function isBefore(value, last) {
  const [a, b] = [String(value), String(last)];
  return isNumber(a) && isNumber(b) ? Number(a) < Number(b) : a < b;
}

/** How far an incremental reading has got. */
class Cursor {
  constructor(last) {
    this.last = last;
    this.greatest = last;
  }

  accepts(value) {
    if (value === undefined || value === null || value === '') return true;
    if (this.last !== undefined && isBefore(value, this.last)) return false;
    if (this.greatest === undefined || isBefore(this.greatest, value)) this.greatest = value;
    return true;
  }
}

async function sendCsv(config, stream, field, cursor) {
  const accepts = (value) => cursor.accepts(value);
  const records = new CsvRecords({ stream, delimiter: config.delimiter, cursor: field, accepts, write: emit });
  for await (const chunk of chunks(config)) {
    records.push(chunk);
    if (field !== undefined && records.names && !records.names.includes(field))
      throw new ConfigError(`The file has no column "${field}" any more.`);
  }
  records.end();
}

async function sendJson(config, stream, field, cursor) {
  const before = `{"type":"RECORD","record":{"stream":${JSON.stringify(stream)},"data":`;
  for await (const batch of jsonRecords(config)) {
    const after = `,"emitted_at":${Date.now()}}}\n`;
    let text = '';
    for (const one of batch) {
      if (field === undefined || cursor.accepts(one.value[field])) text += before + one.text + after;
    }
    if (text !== '') emit(Buffer.from(text));
  }
}

async function discover(config) {
  const types = new Map();
  if (config.format === 'jsonl') {
    let count = 0;
    for await (const batch of jsonRecords(config)) {
      for (const { value } of batch) {
        for (const [key, member] of Object.entries(value)) {
          const known = types.get(key) ?? new Set();
          types.set(key, known);
          if (member !== null) known.add(typeOf(member));
        }
      }
      count += batch.length;
      if (count >= SAMPLE) break;
    }
  } else {
    // Of a CSV file only the names are certain: `007` is no number.
    for (const name of await csvNames(config)) types.set(name, new Set(['string']));
  }
  if (types.size === 0) throw new ConfigError('The file is empty.');
  const properties = {};
  for (const [name, known] of types) properties[name] = { type: ['null', ...(known.size > 0 ? known : ['string'])] };
  const key = (config.primary_key ?? []).map((name) => [name]);
  const missing = key.find(([name]) => !types.has(name));
  if (missing) throw new ConfigError(`The file has no column "${missing}" for the primary key.`);
  return {
    name: config.dataset_name,
    json_schema: { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', properties },
    supported_sync_modes: ['full_refresh', 'incremental'],
    source_defined_cursor: false,
    ...(key.length > 0 && { source_defined_primary_key: key }),
  };
}

async function csvNames(config) {
  const records = new CsvRecords({ stream: '', delimiter: config.delimiter, write: () => undefined });
  for await (const chunk of chunks(config)) {
    // Records are not looked at yet.
    const end = chunk.indexOf(0x0a);
    records.push(end < 0 ? chunk : chunk.subarray(0, end + 1));
    if (!records.names && end >= 0) records.push(chunk.subarray(end + 1));
    if (records.names) return records.names;
  }
  records.end();
  return records.names ?? [];
}

function typeOf(value) {
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

async function read(config) {
  const states = values.state ? readJson(values.state) : [];
  for (const configured of readJson(values.catalog).streams) {
    const { name } = configured.stream;
    if (name !== config.dataset_name) throw new ConfigError(`There is no stream "${name}".`);
    const descriptor = { stream_descriptor: { name } };
    trace('STREAM_STATUS', { stream_status: { ...descriptor, status: 'STARTED' } });
    const isIncremental = configured.sync_mode === 'incremental';
    const field = isIncremental ? configured.cursor_field?.[0] : undefined;
    if (isIncremental && field === undefined) throw new ConfigError('An incremental read needs a cursor field.');
    const known = Array.isArray(states)
      ? states.find((one) => one.stream?.stream_descriptor?.name === name)?.stream.stream_state
      : undefined;
    const cursor = new Cursor(known?.cursor_field === field ? known?.cursor : undefined);
    await (config.format === 'jsonl' ? sendJson : sendCsv)(config, name, field, cursor);
    if (isIncremental) {
      // Only at the end: a file is in no order, so nothing is known of its rest before.
      const state = { cursor_field: field, ...(cursor.greatest !== undefined && { cursor: cursor.greatest }) };
      send({ type: 'STATE', state: { type: 'STREAM', stream: { ...descriptor, stream_state: state } } });
    }
    trace('STREAM_STATUS', { stream_status: { ...descriptor, status: 'COMPLETE' } });
  }
}

async function main() {
  const [command] = positionals;
  if (command === 'spec') {
    const { connector } = readJson(new URL('component.json', import.meta.url));
    const spec = {
      connectionSpecification: connector.specification,
      supportsIncremental: true,
      protocol_version: '0.2.0',
    };
    return send({ type: 'SPEC', spec });
  }
  const config = readJson(values.config);
  if (command === 'check') {
    const status = await discover(config).then(
      () => ({ status: 'SUCCEEDED' }),
      (error) => ({ status: 'FAILED', message: error.message }),
    );
    return send({ type: 'CONNECTION_STATUS', connectionStatus: status });
  }
  if (command === 'discover') return send({ type: 'CATALOG', catalog: { streams: [await discover(config)] } });
  if (command === 'read') return read(config);
  throw new ConfigError(`Unknown command "${command}".`);
}

try {
  await main();
} catch (error) {
  const isTheirs = error instanceof ConfigError || error instanceof CsvError;
  const failure = isTheirs ? 'config_error' : 'system_error';
  trace('ERROR', {
    error: { message: error.message, internal_message: error.message, stack_trace: error.stack, failure_type: failure },
  });
  process.exitCode = 1;
}
