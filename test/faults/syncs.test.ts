import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncStorm } from './sync-storm.ts';

test('whatever is killed in the middle of syncs, rows and states stay together and nothing is left behind', {
  timeout: 240_000,
}, async (t) => {
  const seed = Number(process.env.MILLRACE_STORM_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed} (repeat with MILLRACE_STORM_SEED=${seed})`);
  const report = await syncStorm(t, seed, Date.now() + 45_000);
  t.diagnostic(JSON.stringify(report));
  assert.ok(report.rows > 0 && Object.keys(report.kills).length > 0);
});
