import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomToken, ulid, uuidv7 } from './ids.ts';

test('a thousand uuids in a row are valid, distinct and sorted', () => {
  const made = Array.from({ length: 5000 }, uuidv7);
  for (const id of made) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(made).size, made.length);
  assert.deepEqual([...made].sort(), made);
  const ms = Number.parseInt((made[0] ?? '').replace('-', '').slice(0, 12), 16);
  assert.ok(Math.abs(ms - Date.now()) < 5000);
});

test('tokens are base62 without a dash, of the asked strength', () => {
  for (const bytes of [1, 16, 30]) {
    const token = randomToken(bytes);
    assert.match(token, /^[0-9A-Za-z]+$/);
    assert.ok(token.length * Math.log2(62) >= bytes * 8);
  }
  assert.notEqual(randomToken(16), randomToken(16));
});

test('ulids sort by time', async () => {
  const first = ulid();
  await new Promise((resolve) => setTimeout(resolve, 2));
  assert.match(first, /^[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.ok(first < ulid());
});
