import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, retry } from './retry.ts';

test('delays double up to their limit, and half of each is chance', () => {
  for (let i = 1; i <= 10; i++) {
    const full = Math.min(1000, 100 * 2 ** (i - 1));
    const delay = backoffMs(i, { firstMs: 100, maxMs: 1000 });
    assert.ok(delay >= full / 2 && delay <= full, `${i}: ${delay}`);
  }
});

test('only errors that may pass are tried again, and not for ever', async () => {
  const backoff = { attempts: 3, firstMs: 1, maxMs: 2 };
  let calls = 0;
  const fail = async () => {
    calls++;
    throw new Error(`call ${calls}`);
  };
  await assert.rejects(
    retry(fail, () => true, backoff),
    /call 3/,
  );
  calls = 0;
  await assert.rejects(
    retry(fail, () => false, backoff),
    /call 1/,
  );
  assert.equal(
    await retry(
      async (attempt) => (attempt < 3 ? Promise.reject(new Error()) : attempt),
      () => true,
      backoff,
    ),
    3,
  );
});

test('an aborted signal ends the waiting', async () => {
  const signal = AbortSignal.timeout(20);
  const slow = { attempts: 5, firstMs: 60_000, maxMs: 60_000 };
  await assert.rejects(
    retry(
      () => Promise.reject(new Error('x')),
      () => true,
      slow,
      signal,
    ),
    { name: 'AbortError' },
  );
});
