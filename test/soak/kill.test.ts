import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Storm } from '../faults/storm.ts';

test('200 random kill -9 of any process lose nothing acknowledged, double nothing and leave nothing behind', {
  timeout: 3_000_000,
}, async (t) => {
  const seed = Number(process.env.MILLRACE_STORM_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed} (repeat with MILLRACE_STORM_SEED=${seed})`);
  const report = await new Storm(seed).run(200, Date.now() + 2_900_000);
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.rounds, 200);
});
