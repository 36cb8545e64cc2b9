import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkServedLakes } from '../support/served-lakes.ts';
import { Storm } from './storm.ts';

test('30 random kill -9 of any process lose nothing acknowledged, double nothing and leave nothing behind', {
  timeout: 290_000,
}, async (t) => {
  const seed = Number(process.env.MILLRACE_STORM_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed} (repeat with MILLRACE_STORM_SEED=${seed})`);
  const report = await new Storm(seed).run(30, Date.now() + 200_000, async (server) => {
    // A missing stock DuckDB is a skip of this part only.
    await t.test('a stock DuckDB reads what the storm has left', async (inner) => {
      await checkServedLakes(inner, server);
    });
  });
  t.diagnostic(JSON.stringify(report));
  assert.ok(report.acknowledged.loads > 0 && report.acknowledged.configurations > 0);
});
