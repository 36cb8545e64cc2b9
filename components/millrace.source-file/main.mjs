// A source of the Airbyte protocol: the records of one CSV or JSON lines file.
import { createReadStream, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const SAMPLE = 1000;
const WRITE_CHARACTERS = 1 << 16;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { config: { type: 'string' }, catalog: { type: 'string' }, state: { type: 'string' } },
});
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Something the person who configured the source can put right. */
class ConfigError extends Error {}

let pending = '';
async function emit(text) {
  pending += text;
  if (pending.length > WRITE_CHARACTERS) await flush();
}
async function flush() {
  const text = pending;
  pending = '';
  if (text !== '' && !process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve));
}
const send = (message) => emit(`${JSON.stringify(message)}\n`);
const trace = (type, payload) => send({ type: 'TRACE', trace: { type, emitted_at: Date.now(), ...payload } });

async function open(config) {
  if (!/^https?:\/\//i.test(config.url)) {
    const path = config.url.replace(/^file:\/\//i, '');
    const stream = createReadStream(path, { highWaterMark: 1 << 18 });
    await new Promise((resolve, reject) => {
      stream.once('open', resolve);
      stream.once('error', (error) => reject(new ConfigError(`Cannot open ${path}: ${error.code ?? error.message}`)));
    });
    return stream;
  }
  const headers = config.authorization ? { authorization: config.authorization } : {};
  const answer = await fetch(config.url, { headers }).catch((error) => {
    throw new ConfigError(`Cannot reach ${new URL(config.url).host}: ${error.cause?.message ?? error.message}`);
  });
  if (answer.ok && answer.body) return answer.body;
  const message = `The server answered ${answer.status} ${answer.statusText}`;
  throw answer.status >= 500 || answer.status === 429 ? new Error(message) : new ConfigError(message);
}

/** Lines without their ends, several at a time. */
async function* lines(config) {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  const stream = await open(config);
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop();
    yield parts;
  }
  rest += decoder.decode();
  if (rest !== '') yield [rest];
}

/** Cells of a record, or undefined while a quoted cell goes on in the next line. */
function splitQuoted(line, delimiter) {
  const cells = [];
  for (let at = 0; ; ) {
    if (line[at] === '"') {
      let cell = '';
      for (at++; ; at++) {
        const end = line.indexOf('"', at);
        if (end < 0) return undefined;
        cell += line.slice(at, end);
        at = end + 1;
        if (line[at] !== '"') break;
        cell += '"';
      }
      const next = line.indexOf(delimiter, at);
      cells.push(cell + line.slice(at, next < 0 ? undefined : next));
      if (next < 0) return cells;
      at = next + 1;
    } else {
      const next = line.indexOf(delimiter, at);
      cells.push(line.slice(at, next < 0 ? undefined : next));
      if (next < 0) return cells;
      at = next + 1;
    }
  }
}

async function* csvRows(config) {
  const delimiter = config.delimiter ?? ',';
  let open = '';
  for await (const batch of lines(config)) {
    const rows = [];
    for (const raw of batch) {
      const line = open === '' ? raw : `${open}\n${raw}`;
      const text = line.endsWith('\r') ? line.slice(0, -1) : line;
      if (!line.includes('"')) {
        if (text !== '') rows.push(text.split(delimiter));
        continue;
      }
      const cells = splitQuoted(text, delimiter);
      open = cells ? '' : line;
      if (cells) rows.push(cells);
    }
    yield rows;
  }
  if (open !== '') throw new ConfigError('The file ends within a quoted cell.');
}

/** Batches of [JSON text of the record, value of the cursor]. */
async function* records(config, cursor) {
  if (config.format === 'jsonl') {
    let number = 0;
    for await (const batch of lines(config)) {
      yield batch.flatMap((line) => {
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
        return [[text, cursor === undefined ? undefined : value[cursor]]];
      });
    }
    return;
  }
  let keys;
  let names;
  let number = 0;
  for await (const rows of csvRows(config)) {
    if (!keys && rows.length > 0) {
      names = rows.shift().map((name, index) => (index === 0 ? name.replace(/^\ufeff/, '') : name));
      keys = names.map((name, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`);
    }
    const at = names?.indexOf(cursor) ?? -1;
    yield rows.map((cells) => {
      number++;
      if (cells.length !== keys.length)
        throw new ConfigError(`Record ${number} has ${cells.length} cells instead of ${keys.length}.`);
      let text = '';
      for (let i = 0; i < cells.length; i++) text += keys[i] + JSON.stringify(cells[i]);
      return [`${text}}`, at < 0 ? undefined : cells[at]];
    });
  }
}

const isNumber = (text) => text !== '' && Number.isFinite(Number(text));
function isAfter(value, last) {
  const [a, b] = [String(value), String(last)];
  return isNumber(a) && isNumber(b) ? Number(a) > Number(b) : a > b;
}

function typeOf(value) {
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

async function discover(config) {
  const types = new Map();
  if (config.format === 'jsonl') {
    let count = 0;
    for await (const batch of records(config)) {
      for (const [text] of batch) {
        for (const [key, value] of Object.entries(JSON.parse(text))) {
          const known = types.get(key) ?? new Set();
          types.set(key, known);
          if (value !== null) known.add(typeOf(value));
        }
      }
      count += batch.length;
      if (count >= SAMPLE) break;
    }
  } else {
    // Of a CSV file only the names are certain: `007` is no number.
    for await (const [head] of csvRows(config)) {
      if (!head) continue;
      for (const [index, name] of head.entries())
        types.set(index === 0 ? name.replace(/^\ufeff/, '') : name, new Set(['string']));
      break;
    }
  }
  if (types.size === 0) throw new ConfigError('The file is empty.');
  const properties = {};
  for (const [name, known] of types) properties[name] = { type: ['null', ...(known.size > 0 ? known : ['string'])] };
  const key = (config.primary_key ?? []).map((name) => [name]);
  return {
    name: config.dataset_name,
    json_schema: { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', properties },
    supported_sync_modes: ['full_refresh', 'incremental'],
    source_defined_cursor: false,
    ...(key.length > 0 && { source_defined_primary_key: key }),
  };
}

async function read(config) {
  const states = values.state ? readJson(values.state) : [];
  for (const configured of readJson(values.catalog).streams) {
    const { name } = configured.stream;
    if (name !== config.dataset_name) throw new ConfigError(`There is no stream "${name}".`);
    const descriptor = { stream_descriptor: { name } };
    await trace('STREAM_STATUS', { stream_status: { ...descriptor, status: 'STARTED' } });
    const isIncremental = configured.sync_mode === 'incremental';
    const cursor = isIncremental ? configured.cursor_field?.[0] : undefined;
    if (isIncremental && cursor === undefined) throw new ConfigError('An incremental read needs a cursor field.');
    const known = states.find((one) => one.stream?.stream_descriptor?.name === name)?.stream.stream_state;
    const last = known?.cursor_field === cursor ? known?.cursor : undefined;
    let next = last;
    const before = `{"type":"RECORD","record":{"stream":${JSON.stringify(name)},"data":`;
    for await (const batch of records(config, cursor)) {
      const after = `,"emitted_at":${Date.now()}}}\n`;
      for (const [text, value] of batch) {
        if (isIncremental) {
          if (last !== undefined && !isAfter(value ?? '', last)) continue;
          if (value !== undefined && value !== null && (next === undefined || isAfter(value, next))) next = value;
        }
        await emit(before + text + after);
      }
    }
    if (isIncremental) {
      // Only at the end: a file is in no order, so nothing is known of its rest before.
      const state = { cursor_field: cursor, ...(next !== undefined && { cursor: next }) };
      await send({ type: 'STATE', state: { type: 'STREAM', stream: { ...descriptor, stream_state: state } } });
    }
    await trace('STREAM_STATUS', { stream_status: { ...descriptor, status: 'COMPLETE' } });
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
  await flush();
} catch (error) {
  const failure = error instanceof ConfigError ? 'config_error' : 'system_error';
  await trace('ERROR', {
    error: { message: error.message, internal_message: error.message, stack_trace: error.stack, failure_type: failure },
  });
  await flush();
  process.exitCode = 1;
}
