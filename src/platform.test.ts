import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform } from '../test/support/platform.ts';

async function healthOf(url: string): Promise<[number, unknown]> {
  const response = await fetch(`${url}/health`);
  return [response.status, await response.json()];
}

test('two platforms with different configurations live in one process', async (t) => {
  const first = await startPlatform(t, { config: { storageConcurrency: 1 } });
  const second = await startPlatform(t);
  assert.notEqual(first.url, second.url);
  assert.notEqual(first.credentials.keboola.storageToken, second.credentials.keboola.storageToken);
  for (const { url } of [first, second]) assert.equal((await healthOf(url))[0], 200);
  const foreign = await fetch(`${first.url}/v2/storage/tokens/verify`, {
    headers: { 'X-StorageApi-Token': second.credentials.keboola.storageToken },
  });
  assert.equal(foreign.status, 401);
});

test('while it stops a platform says so, and stopping twice is the same as once', async (t) => {
  const { url, platform } = await startPlatform(t);
  const stopped = platform.stop();
  const during = await healthOf(url).catch(() => undefined);
  if (during) assert.deepEqual(during, [503, { status: 'unavailable', reason: 'stopping', version: '0.1.0' }]);
  await Promise.all([stopped, platform.stop()]);
  await assert.rejects(fetch(`${url}/health`));
});

test('a platform without the role http works without a port', async (t) => {
  const { platform } = await startPlatform(t, { roles: ['worker'] });
  assert.equal(platform.url, undefined);
});
