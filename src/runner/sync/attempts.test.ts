import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attempt, retryDelayMs } from './attempts.ts';

const limits = { firstBackoffMs: 10_000, uselessInARow: 5 };
const failed = (...records: number[]): Attempt[] =>
  records.map((count, number) => ({ number, status: 'failed', records: count, bytes: 0 }));

test('who makes no progress waits longer each time and gives up soon; who makes some goes on at once', () => {
  const zeros = (count: number) => Array.from({ length: count }, () => 0);
  for (const [attempts, expected] of [
    [zeros(1), 10_000],
    [zeros(2), 30_000],
    [zeros(4), 270_000],
    [zeros(5), undefined],
    [[5], 0],
    [[0, 0, 0, 0, 5], 0],
    [[0, 0, 0, 0, 5, 0], 10_000],
    [[...zeros(4), 1, ...zeros(4), 1, 0, 0], undefined],
    [Array.from({ length: 19 }, () => 1), 0],
    [Array.from({ length: 20 }, () => 1), undefined],
  ] as const) {
    assert.equal(retryDelayMs(failed(...attempts), limits), expected, attempts.join());
  }
  assert.equal(retryDelayMs(failed(...zeros(9)), { firstBackoffMs: 600_000, uselessInARow: 99 }), 30 * 60_000);
});
