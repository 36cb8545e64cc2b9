import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { keboolaServer } from '../../../test/support/keboola.ts';
import { silentLogger } from '../../lib/logger.ts';
import type { ClaimedJob, Outcome } from '../jobs/job-model.ts';

test('a load that was committed before the server died is not done again', async (t) => {
  const { core, actor } = await keboolaServer(t);
  const wanted = { backend: 'postgres', purpose: 'p', holder: 'project' } as const;
  const { workspace, login } = await core.workspaces.ensure(actor, wanted);
  const client = new pg.Client(login);
  await client.connect();
  await client.query('begin');
  const { rows } = await client.query('create table t (x int); select pg_current_xact_id()::text as id').then((all) => {
    const [, selected] = all as unknown as pg.QueryResult<{ id: string }>[];
    return selected ?? { rows: [] };
  });
  await client.query('commit');
  await client.end();

  const tables = [{ tableId: 'in.c-gone.t', destination: 't', columns: [], primaryKey: [] }];
  const input = { backend: 'postgres', workspaceId: workspace.id, keep: true, tables };
  const ends: Outcome[] = [];
  await core.workspaceTables.load({
    job: { id: 1, input, handle: { transaction: rows[0]?.id, rows: [5] } } as unknown as ClaimedJob,
    actor,
    signal: new AbortController().signal,
    log: silentLogger,
    async finish(outcome) {
      ends.push(outcome);
    },
    saveHandle: () => assert.fail('it was loaded again'),
  });
  assert.deepEqual(ends, [{ status: 'succeeded' }]);
});
