/**
 * Connectors for tests, as real programs. A source does what its configuration says: `steps`, one after the other.
 *
 *   {"records": 3, "stream": "s"}   the next ids of the stream, from where the state says
 *   {"state": "s"}                  a state with the last id of the stream ("global", "legacy": of all streams)
 *   {"line": "text"}, {"part": "text"}, {"trace": {...}}, {"status": "COMPLETE", "stream": "s"}
 *   {"pause": ms}, {"exit": code}, {"kill": true}, {"hang": true}, {"close": true}
 *   {"once": "name", ...}           only while the state does not say that it has got further: see `from`
 *   {"from": n, ...}                only when the state had less than n ids of the stream
 */
export const sourceProgram = `
import { readFileSync, writeSync } from 'node:fs';
const [command, ...rest] = process.argv.slice(2);
const file = (name) => { const at = rest.indexOf('--' + name); return at < 0 ? undefined : JSON.parse(readFileSync(rest[at + 1], 'utf8')); };
const print = (text) => { const bytes = Buffer.from(text); for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at); };
const send = (message) => print(JSON.stringify(message) + '\\n');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const config = file('config') ?? {};
const streams = config.streams ?? ['s'];
if (command === 'check') send({ type: 'CONNECTION_STATUS', connectionStatus: { status: 'SUCCEEDED' } });
if (command === 'discover') {
  const properties = { id: { type: 'integer' }, name: { type: 'string' } };
  send({ type: 'CATALOG', catalog: { streams: streams.map((name) => ({ name, json_schema: { type: 'object', properties },
    supported_sync_modes: ['full_refresh', 'incremental'], source_defined_cursor: true, default_cursor_field: ['id'],
    source_defined_primary_key: [['id']] })) } });
}
if (command === 'read') {
  const state = file('state');
  const at = {};
  for (const one of Array.isArray(state) ? state : state ? [{ type: 'LEGACY', data: state }] : []) {
    if (one.type === 'STREAM') at[one.stream.stream_descriptor.name] = one.stream.stream_state.id;
    if (one.type === 'GLOBAL') Object.assign(at, one.global.shared_state);
    if (one.type === 'LEGACY') Object.assign(at, one.data);
  }
  const began = { ...at };
  const wanted = file('catalog').streams.map(({ stream }) => stream.name);
  for (const step of config.steps) {
    const stream = step.stream ?? 's';
    if (step.from !== undefined && (began[stream] ?? 0) >= step.from) continue;
    if (step.until !== undefined && (at[stream] ?? 0) >= step.until) continue;
    if (step.records) {
      const lines = [];
      for (let i = 0; i < step.records && (at[stream] ?? 0) < (step.upTo ?? Infinity); i++) {
        at[stream] = (at[stream] ?? 0) + 1;
        lines.push(JSON.stringify({ type: 'RECORD', record: { stream, data: { id: at[stream], name: 'n' + at[stream] }, emitted_at: 1 } }) + '\\n');
      }
      print(lines.join(''));
    }
    if (step.state === 'global') send({ type: 'STATE', state: { type: 'GLOBAL', global: { shared_state: at, stream_states: [] } } });
    else if (step.state === 'legacy') send({ type: 'STATE', state: { data: at } });
    else if (step.state) send({ type: 'STATE', state: { type: 'STREAM', stream: { stream_descriptor: { name: step.state }, stream_state: { id: at[step.state] } } } });
    if (step.line !== undefined) print(step.line + '\\n');
    if (step.part !== undefined) print(step.part);
    if (step.trace) send({ type: 'TRACE', trace: { emitted_at: 1, ...step.trace } });
    if (step.status) send({ type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { stream_descriptor: { name: stream }, status: step.status } } });
    if (step.said) send({ type: 'LOG', log: { level: 'INFO', message: 'state ' + JSON.stringify(state ?? null) } });
    if (step.pause) await sleep(step.pause);
    if (step.kill) process.kill(process.pid, 'SIGKILL');
    if (step.hang) await sleep(600_000);
    if (step.close) { (await import('node:fs')).closeSync(1); await sleep(600_000); }
    if (step.exit !== undefined) process.exit(step.exit);
  }
}
`;

/** A destination that takes everything and keeps nothing. It echoes states, as its configuration says. */
export const destinationProgram = `
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
const [command, ...rest] = process.argv.slice(2);
const file = (name) => JSON.parse(readFileSync(rest[rest.indexOf('--' + name) + 1], 'utf8'));
const send = (message) => process.stdout.write(JSON.stringify(message) + '\\n');
if (command === 'check') send({ type: 'CONNECTION_STATUS', connectionStatus: { status: 'SUCCEEDED' } });
if (command === 'write') {
  const { dieAfter, hangAfter, leaveAfter, echo = 'all', trace, says } = file('config');
  const names = {};
  let records = 0;
  let states = [];
  for (const { stream, generation_id, minimum_generation_id } of file('catalog').streams)
    send({ type: 'LOG', log: { level: 'INFO', message: 'generation ' + stream.name + ' ' + generation_id + ' ' + minimum_generation_id } });
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line);
    if (message.type === 'RECORD') {
      records++;
      const { stream, namespace } = message.record;
      const name = (namespace ? namespace + '.' : '') + stream;
      names[name] = (names[name] ?? 0) + 1;
      if (records === hangAfter) await new Promise((resolve) => setTimeout(resolve, 600_000));
      if (records === dieAfter) { if (trace) send({ type: 'TRACE', trace: { type: 'ERROR', emitted_at: 1, error: trace } }); process.exit(1); }
      if (records === leaveAfter) process.exit(0);
    } else if (message.type === 'STATE') {
      if (says) send({ type: 'LOG', log: { level: 'INFO', message: line } });
      if (echo === 'all') process.stdout.write(line + '\\n');
      else if (echo === 'rewritten') { delete message.state.id; delete message.state.sourceStats; states.push(message); }
    }
  }
  if (echo === 'rewritten') send(states.at(-1));
  send({ type: 'LOG', log: { level: 'INFO', message: 'records ' + JSON.stringify(names) } });
}
`;

export function connectorComponent(role: 'source' | 'destination', program: string, network = 'none') {
  return {
    type: role === 'source' ? 'extractor' : 'writer',
    run: { command: ['{node}', 'main.mjs'] },
    data: { memory: '512m', network },
    connector: {
      role,
      uuid: role === 'source' ? '11111111-1111-4111-8111-111111111111' : '22222222-2222-4222-8222-222222222222',
      slug: `test-${role}`,
      image: `test/${role}`,
      version: '1',
      specification: { type: 'object' },
    },
    program,
  };
}
