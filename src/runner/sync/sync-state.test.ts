import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionStream } from '../../core/components/connection-model.ts';
import { SyncState } from './sync-state.ts';

const stream = (name: string): ConnectionStream => ({
  stream: { name, json_schema: {}, supported_sync_modes: ['incremental'] },
  sourceMode: 'incremental',
  destinationMode: 'append',
  cursorField: [],
  primaryKey: [],
});

test('a state of all streams forgets those that are not synced any more, and nothing else', () => {
  const one = (name: string) =>
    `{"stream_descriptor": {"name":"${name}"}, "stream_state":{"lsn":9007199254740993123.0}}`;
  const global = `{"shared_state":{"lsn":1.0},"stream_states":[${one('a')}, ${one('b')}]}`;
  const stored = JSON.stringify({ sync: { global } });
  const same = new SyncState(stored);
  same.prepare([stream('a'), stream('b')], () => false);
  assert.equal(same.toFile(), `[{"type":"GLOBAL","global":${global}}]`);
  const less = new SyncState(stored);
  less.prepare([stream('b')], () => false);
  const kept = `{"shared_state":{"lsn":1.0},"stream_states":[${one('b')}]}`;
  assert.equal(less.toFile(), `[{"type":"GLOBAL","global":${kept}}]`);
  assert.equal(JSON.parse(less.print('{}')).sync.global, kept);
});
