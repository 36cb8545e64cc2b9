import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lifecycle } from './lifecycle.ts';
import { silentLogger } from './logger.ts';

test('what was opened last is closed first, once', async () => {
  const order: string[] = [];
  const lifecycle = new Lifecycle(silentLogger);
  for (const name of ['a', 'b', 'c']) lifecycle.onStop(name, 1000, () => order.push(name));
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  assert.deepEqual(order, ['c', 'b', 'a']);
});

test('a closer that fails or hangs does not keep the others from closing', async () => {
  const reports: string[] = [];
  const closed: string[] = [];
  const report = (_fields: object, message?: string) => void reports.push(message ?? '');
  const lifecycle = new Lifecycle({ ...silentLogger, warn: report, error: report });
  lifecycle.onStop('first', 1000, () => closed.push('first'));
  lifecycle.onStop('hangs', 20, () => new Promise(() => {}));
  lifecycle.onStop('fails', 1000, () => {
    throw new Error('no');
  });
  await lifecycle.stop();
  assert.deepEqual(closed, ['first']);
  assert.deepEqual(reports, ['stopping failed; going on', 'stopping took too long; going on without it']);
});
