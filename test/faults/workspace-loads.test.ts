import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Command, dataDirectory, kill, postgresPid } from '../journeys/command.ts';
import { cleanup } from '../support/cleanup.ts';

type Job = { id: number; status: string; results: { rowsCount?: number } | null; error?: object };

const ROWS = 150_000;

test('a server killed while it loads a workspace or a table from one does each of it once', async (t) => {
  const home = dataDirectory(t);
  cleanup(t, () => {
    const pid = postgresPid(path.join(home, 'workspaces'));
    if (pid !== undefined) kill(pid, 'SIGKILL');
  });
  let server = await start();

  async function start() {
    const command = new Command(t, ['up', '--json', '--data', home, '--port', '0'], {
      env: { MILLRACE_WORKSPACE_PORT: '0' },
    });
    const { url } = await command.ready();
    return { command, url: `${url}/v2/storage` };
  }
  async function call<T>(method: string, rest: string, body?: object): Promise<T> {
    const { keboola } = JSON.parse(readFileSync(path.join(home, 'credentials.json'), 'utf8'));
    const response = await fetch(`${server.url}${rest}`, {
      method,
      headers: { 'x-storageapi-token': keboola.storageToken, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${method} ${rest}: ${response.status} ${await response.clone().text()}`);
    return (await response.json()) as T;
  }
  /** Begins the work, kills the server in the middle, and waits for the end of the job after its start. */
  async function killedAfter(ms: number, rest: string, body: object): Promise<Job> {
    let job = await call<Job>('POST', rest, body);
    await sleep(ms);
    server.command.child.kill('SIGKILL');
    await server.command.finished;
    server = await start();
    for (const limit = Date.now() + 60_000; !['success', 'error'].includes(job.status); await sleep(100)) {
      assert.ok(Date.now() < limit, 'the job does not end');
      job = await call<Job>('GET', `/jobs/${job.id}`);
    }
    assert.equal(job.status, 'success', JSON.stringify(job.error));
    return job;
  }

  await call('POST', '/buckets', { stage: 'in', name: 'b' });
  const lines = Array.from({ length: ROWS }, (_, i) => `${i},some text of row ${i}\n`);
  await call('POST', '/buckets/in.c-b/tables', { name: 't', dataString: `id,text\n${lines.join('')}` });
  const { id: workspaceId, connection } = await call<{ id: number; connection: pg.ClientConfig }>(
    'POST',
    '/workspaces',
    { backend: 'redshift' },
  );
  const count = async (table: string): Promise<number> => {
    const client = new pg.Client(connection);
    await client.connect();
    const { rows } = await client.query(`select count(*)::int as n from ${table}`);
    await client.end();
    return rows[0].n;
  };
  const source = 'in.c-b.t';
  for (const [turn, ms] of [60, 400].entries()) {
    await killedAfter(ms, `/workspaces/${workspaceId}/load`, {
      preserve: true,
      input: [
        // Done twice, the one would fail and the other would have its rows twice.
        { source, destination: `made_${turn}` },
        { source, destination: 'added', incremental: true },
      ],
    });
    assert.equal(await count(`made_${turn}`), ROWS, `killed after ${ms} ms`);
    assert.equal(await count('added'), ROWS * (turn + 1), `killed after ${ms} ms`);
  }
  for (const [turn, ms] of [60, 300].entries()) {
    const name = `from_${turn}`;
    const body = { name, dataWorkspaceId: workspaceId, dataObject: 'made_0' };
    const job = await killedAfter(ms, '/buckets/in.c-b/tables-async', body);
    assert.equal(job.results?.rowsCount, ROWS, `killed after ${ms} ms`);
  }
  const tables = await call<{ id: string; rowsCount: number }[]>('GET', '/tables');
  assert.deepEqual(
    tables.map(({ id, rowsCount }) => [id, rowsCount]),
    ['from_0', 'from_1', 't'].map((name) => [`in.c-b.${name}`, ROWS]),
  );
});
