// A destination of the Airbyte protocol: leaves CSV files and manifests in out/tables of its work folder, from where the
// platform loads them into tables. Of an incremental stream a file is closed at a state every now and then, and said to
// be: the platform then commits its rows together with that state, while the sync goes on.
import { mkdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TableFile } from './table-file.mjs';

const READ_BYTES = 1 << 20;
const NEWLINE = 10;
const DATA = Buffer.from('"data":');
const DEFAULT_CHECKPOINT_SECONDS = 60;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { config: { type: 'string' }, catalog: { type: 'string' } },
});
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const send = (message) => emit(`${JSON.stringify(message)}\n`);
const trace = (type, payload) => send({ type: 'TRACE', trace: { type, emitted_at: Date.now(), ...payload } });

function emit(text) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += patiently(() => writeSync(1, bytes, at));
}

/** Streams may be set not to wait. */
function patiently(act) {
  for (;;) {
    try {
      return act();
    } catch (error) {
      if (error.code === 'EOF') return 0;
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

const keyOf = ({ name, namespace }) => JSON.stringify([namespace ?? null, name]);

/** Complete lines of the input, as `take(bytes, start, end)`; `end` is that of the newline. */
function readLines(take) {
  let buffer = Buffer.allocUnsafe(READ_BYTES);
  let used = 0;
  for (;;) {
    if (used === buffer.length) buffer = Buffer.concat([buffer], 2 * buffer.length);
    const size = patiently(() => readSync(0, buffer, used, buffer.length - used));
    const searched = used;
    used += size;
    let start = 0;
    for (let end = buffer.indexOf(NEWLINE, searched); end >= 0 && end < used; end = buffer.indexOf(NEWLINE, start)) {
      take(buffer, start, end);
      start = end + 1;
      if (start >= used) break;
    }
    if (size === 0) {
      if (start < used) take(buffer, start, used);
      return;
    }
    buffer.copyWithin(0, start, used);
    used -= start;
  }
}

function write(config) {
  const folder = join('out', 'tables');
  mkdirSync(folder, { recursive: true });
  const checkpointMs = 1000 * (config.checkpoint_seconds ?? DEFAULT_CHECKPOINT_SECONDS);
  const bucket = config.bucket || 'in.c-airbyte';
  const takenIds = new Set();
  const tables = readJson(values.catalog).streams.map((configured, index) => ({
    key: keyOf(configured.stream),
    file: new TableFile(configured, { index, bucket, takenIds, folder, checkpointMs }),
  }));
  const byKey = new Map(tables.map((table) => [table.key, table]));
  const tableOf = (descriptor) => {
    const table = byKey.get(keyOf(descriptor));
    if (!table) throw new Error(`The stream "${descriptor.name}" is not in the catalog.`);
    return table;
  };
  const takeMessage = (line) => {
    if (line.trim() === '') return;
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      throw new Error('A message from the source is not valid JSON.');
    }
    if (message.type === 'RECORD') {
      const { stream, namespace, data } = message.record;
      tableOf({ name: stream, namespace }).file.add(data, line);
    } else if (message.type === 'STATE') {
      const { stream } = message.state;
      const closed = (stream ? [tableOf(stream.stream_descriptor)] : tables).flatMap((table) => {
        const file = table.file.checkpoint();
        return file === undefined ? [] : [{ stream: tables.indexOf(table), file }];
      });
      emit(`${line.trimEnd()}\n`);
      if (closed.length > 0) {
        // Said in a way that every other platform passes over.
        trace('ANALYTICS', { analytics: { type: 'millrace-tables-closed', value: JSON.stringify(closed) } });
      }
    } else if (message.type === 'TRACE' && message.trace.stream_status?.status === 'COMPLETE') {
      tableOf(message.trace.stream_status.stream_descriptor).file.isComplete = true;
    }
  };
  const byHead = new Map(tables.map(({ file }) => [file.head.toString('latin1'), file]));
  let last = tables[0]?.file;
  readLines((bytes, start, end) => {
    // The next record is mostly of the same stream.
    if (last === undefined || !beginsWith(bytes, start, end, last.head)) {
      const data = bytes.indexOf(DATA, start);
      last = data < 0 || data > end ? undefined : byHead.get(bytes.toString('latin1', start, data + DATA.length));
    }
    if (last?.addPlain(bytes, start + last.head.length, end)) return;
    takeMessage(bytes.toString('utf8', start, end));
  });
  for (const { file } of tables) file.close();
  send({ type: 'LOG', log: { level: 'INFO', message: `${tables.length} streams written` } });
}

function beginsWith(bytes, start, end, head) {
  return end - start > head.length && bytes.compare(head, 0, head.length, start, start + head.length) === 0;
}

function main() {
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
  main();
} catch (error) {
  const failure = { message: error.message, stack_trace: error.stack, failure_type: 'system_error' };
  trace('ERROR', { error: failure });
  process.exitCode = 1;
}
