import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { deferred } from './deferred.ts';
import { Gathering, sharedRead } from './gathering.ts';

test('calls that come together are carried out together, each with its own result', async () => {
  const rounds: number[][] = [];
  const doubled = new Gathering<string, number, number>(
    async (_key, items) => {
      rounds.push(items);
      await sleep(5);
      return items.map((item) => item * 2);
    },
    { maxItems: 3, maxRounds: 1 },
  );
  const results = await Promise.all([1, 2, 3, 4, 5].map((item) => doubled.call('a', item)));
  assert.deepEqual(results, [2, 4, 6, 8, 10]);
  assert.deepEqual(rounds, [
    [1, 2, 3],
    [4, 5],
  ]);
  assert.equal(await doubled.call('a', 6), 12, 'a lone call needs no company');
});

test('calls with different keys do not wait for each other', async () => {
  const order: string[] = [];
  const gathering = new Gathering<string, number, void>(
    async (key, items) => {
      await sleep(key === 'slow' ? 30 : 1);
      order.push(key);
      return items.map(() => undefined);
    },
    { maxItems: 10, maxRounds: 1 },
  );
  await Promise.all([gathering.call('slow', 1), gathering.call('quick', 1)]);
  assert.deepEqual(order, ['quick', 'slow']);
});

test('a failed round fails its own calls and no later ones', async () => {
  let round = 0;
  const gathering = new Gathering<string, number, number>(
    async (_key, items) => {
      if (round++ === 0) throw new Error('lost');
      return items;
    },
    { maxItems: 2, maxRounds: 1 },
  );
  const results = await Promise.allSettled([1, 2, 3].map((item) => gathering.call('a', item)));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled'],
  );
});

test('a shared reading is read once for all who ask together, and anew for who asks while it is under way', async () => {
  let value = 1;
  let reads = 0;
  const begun = deferred();
  const released = deferred();
  const read = sharedRead(String, async (key: number) => {
    const found = `${key}: ${value}`;
    if (++reads === 2) begun.resolve();
    await released.promise;
    return found;
  });
  const first = Promise.all([read(7), read(7), read(8)]);
  await begun.promise;
  value = 2;
  const later = read(7);
  released.resolve();
  assert.deepEqual(await Promise.all([first, later]), [['7: 1', '7: 1', '8: 1'], '7: 2']);
  assert.equal(reads, 3);
});
