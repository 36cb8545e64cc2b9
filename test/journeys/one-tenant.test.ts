import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Api, airbyteApi, type Credentials, syncanoApi } from '../../demo/api.ts';
import { Client, pause } from '../../demo/client.ts';
import { cleanup } from '../support/cleanup.ts';
import { startPlatform, type TestPlatform } from '../support/platform.ts';
import { run } from './command.ts';

type Row = Record<string, never>;

test('a project is one tenant in all dialects, the first one and each that is made later', async (t) => {
  const platform = await startPlatform(t);
  const first = { ...platform.credentials, url: platform.url };
  const made = await run(t, ['project', 'create', 'Corner Shop', '--json'], {
    env: { MILLRACE_URL: platform.url, MILLRACE_MANAGE_TOKEN: first.keboola.manageToken },
  });
  assert.equal(made.code, 0, made.stderr);
  const second = JSON.parse(made.stdout) as Credentials;
  assert.deepEqual(second.project, { id: second.project.id, name: 'Corner Shop', slug: 'corner-shop' });
  assert.deepEqual(Object.keys(second), ['url', 'project', 'keboola', 'airbyte', 'syncano']);

  for (const mine of [first, second]) {
    const { owner } = await new Client(mine.url, mine.keboola.storageToken).call<{ owner: Row }>(
      'GET',
      '/v2/storage/tokens/verify',
    );
    assert.deepEqual([owner.id, owner.name], [mine.project.id, mine.project.name]);

    const airbyte = await airbyteApi(mine);
    const { data } = await airbyte.call<{ data: Row[] }>('GET', '/workspaces');
    assert.deepEqual(
      data.map(({ workspaceId, name }) => [workspaceId, name]),
      [[mine.airbyte.workspaceId, mine.project.name]],
    );

    for (const key of [mine.syncano.accountKey, mine.syncano.apiKey]) {
      const { name } = await new Api(mine.url, { 'X-API-KEY': key }).call<Row>(
        'GET',
        `/v1.1/instances/${mine.syncano.instance}/`,
      );
      assert.deepEqual([name, mine.syncano.instance], [mine.project.slug, mine.project.slug]);
    }
    const { objects } = await new Api(mine.url, { 'X-API-KEY': mine.syncano.accountKey }).call<{ objects: Row[] }>(
      'GET',
      '/v1.1/instances/',
    );
    assert.deepEqual(
      objects.map(({ name }) => name),
      [mine.project.slug],
    );
  }

  // With the one's credentials at the other's address.
  const crossed = { ...first, syncano: { ...first.syncano, instance: second.syncano.instance } };
  await assert.rejects(syncanoApi(crossed).call('GET', '/classes/'), /answered 40[34]/);
  await assert.rejects(
    (await airbyteApi(first)).call('GET', `/workspaces/${second.airbyte.workspaceId}`),
    /answered 40[34]/,
  );
});

test('jobs of all dialects read like jobs in the Queue, and what they did stands in the events of the project', async (t) => {
  const { url, credentials } = await startPlatform(t);
  const mine = { ...credentials, url };
  const keboola = new Client(url, mine.keboola.storageToken);
  const airbyte = await airbyteApi(mine);
  const { sourceId, destinationId, connectionId } = await connect(t, airbyte, mine);
  const sync = await runConnection(airbyte, connectionId, 'sync');
  const reset = await runConnection(airbyte, connectionId, 'reset');
  // What the Queue starts, Airbyte shows.
  const started = await keboola.queueJob({ component: 'millrace.connection', config: connectionId, mode: 'run' });
  const seen = await airbyte.call<Row>('GET', `/jobs/${started.id}`);
  assert.deepEqual([seen.jobType, seen.status, seen.rowsSynced], ['sync', 'succeeded', 2]);
  const script = await runScript(mine);
  const sql = await keboola.queueJob({
    component: 'keboola.duckdb-transformation',
    mode: 'run',
    configData: { parameters: { blocks: [] } },
  });

  const jobs = await keboola.call<Row[]>('GET', '/queue/search/jobs?sortOrder=asc');
  const byId = new Map(jobs.map((job) => [String(job.id), job as Record<string, unknown>]));
  const plain = byId.get(sql.id) ?? {};
  assert.deepEqual(
    jobs.map(({ component, config, status, isFinished }) => [component, config, status, isFinished]),
    [
      ['millrace.source-file', sourceId, 'success', true],
      ['millrace.connection', connectionId, 'success', true],
      ['millrace.connection', connectionId, 'success', true],
      ['millrace.connection', connectionId, 'success', true],
      ['millrace.script', script.id, 'success', true],
      ['keboola.duckdb-transformation', null, 'success', true],
    ],
  );
  for (const job of jobs as Record<string, unknown>[]) {
    assert.deepEqual(Object.keys(job), Object.keys(plain), 'a member is missing or new');
    const { message, configVersion, images, input, output } = job.result as Record<string, Row>;
    assert.equal(typeof message, 'string');
    assert.deepEqual([configVersion, Array.isArray(images)], [null, true]);
    assert.deepEqual([Array.isArray(input?.tables), Array.isArray(output?.tables)], [true, true]);
    assert.ok(Number.isInteger(job.durationSeconds) && job.startTime && job.endTime, JSON.stringify(job));
    assert.equal(job.desiredStatus, 'processing');
    assert.equal(job.mode, 'run');
    const alone = await keboola.call<object>('GET', `/queue/jobs/${job.id}`);
    assert.deepEqual(alone, job);
  }
  const messageOf = (id: string | number) => (byId.get(String(id))?.result as Row | undefined)?.message;
  assert.deepEqual([String(jobs[0]?.id), String(sync), String(reset), started.id].map(messageOf), [
    'Found 1 stream.',
    'Synced 2 records.',
    'Cleared 1 stream.',
    'Synced 2 records.',
  ]);
  assert.ok(!JSON.stringify(jobs).includes('json_schema'), 'a list of jobs holds the columns of a source');

  const found = async (query: string) => (await keboola.call<Row[]>('GET', `/queue/search/jobs?${query}`)).length;
  assert.equal(await found('component=millrace.connection'), 3);
  assert.equal(await found(`config=${connectionId}&status=success`), 3);
  assert.equal(await found(`component=millrace.source-file&config=${sourceId}`), 1);

  const events = (query: string) => keboola.call<Row[]>('GET', `/v2/storage/events?limit=1000&${query}`);
  const names = async (query: string) => new Set((await events(query)).map(({ event }) => String(event)));
  const ofSync = await names(`runId=${sync}`);
  for (const name of ['storage.jobCreated', 'storage.jobFinished', 'storage.tableCreated', 'storage.tableImportDone']) {
    assert.ok(ofSync.has(name), `${name} is missing in ${[...ofSync]}`);
  }
  assert.ok(ofSync.has(`ext.millrace.connection.${connectionId}`), 'the log of the sync is missing');
  assert.equal(
    (await events(`component=millrace.connection&configurationId=${connectionId}&runId=${reset}`))[0]?.type,
    'success',
  );
  const about = async (objectId: string) => names(`q=${encodeURIComponent(`objectId:"${objectId}"`)}`);
  assert.ok((await about('in.c-airbyte.people')).has('storage.tableImportDone'));
  assert.ok((await about(destinationId)).has('storage.componentConfigurationCreated'));
  assert.ok((await about(String(sync))).has('storage.jobFinished'));

  assert.ok(
    (await names(`runId=${script.jobId}`)).has('storage.jobFinished'),
    'a run of a script stands in the events',
  );

  await t.test('what a schedule starts stands in the Queue and in the events like what people start', async () => {
    const before = jobs.length;
    const at = new Date(Date.now() + 2000);
    const cronExpression = `${at.getUTCSeconds()} ${at.getUTCMinutes()} ${at.getUTCHours()} * * ? UTC`;
    await airbyte.call('PATCH', `/connections/${connectionId}`, {
      schedule: { scheduleType: 'cron', cronExpression },
    });
    let found: Row[] = [];
    for (const deadline = Date.now() + 20_000; found.length <= before || !found[0]?.isFinished; await pause(50)) {
      assert.ok(Date.now() < deadline, 'the schedule has started nothing');
      found = await keboola.call<Row[]>('GET', '/queue/search/jobs');
    }
    const [fired] = found;
    assert.deepEqual(
      [fired?.component, fired?.config, fired?.status],
      ['millrace.connection', connectionId, 'success'],
    );
    assert.ok((await names(`runId=${fired?.id}`)).has('storage.jobFinished'));
    await airbyte.call('PATCH', `/connections/${connectionId}`, { schedule: { scheduleType: 'manual' } });
  });

  await t.test('configurations of all dialects are configurations of components', async () => {
    const listed = await keboola.call<Row[]>('GET', '/v2/storage/components?include=configuration');
    const of = (component: string) =>
      listed.find(({ id }) => id === component)?.configurations as { id: string }[] | undefined;
    assert.deepEqual(
      of('millrace.source-file')?.map(({ id }) => id),
      [sourceId],
    );
    assert.deepEqual(
      of('millrace.connection')?.map(({ id }) => id),
      [connectionId],
    );
  });

  await t.test('a connector is no component that runs alone', async () => {
    const body = { component: 'millrace.source-file', config: sourceId, mode: 'run' };
    await assert.rejects(keboola.call('POST', '/queue/jobs', body), /answered 400.*run a connection/);
    const inline = { component: 'millrace.connection', configData: { parameters: {} }, mode: 'run' };
    await assert.rejects(keboola.call('POST', '/queue/jobs', inline), /answered 400.*is run by its id/);
    const unknown = { component: 'millrace.connection', config: 'nothing', mode: 'run' };
    await assert.rejects(keboola.call('POST', '/queue/jobs', unknown), /answered 400.*Cannot resolve job parameters/);
  });

  await t.test('what the objects API and Provisioning make stands in the events too', async () => {
    const objects = syncanoApi(mine);
    await objects.call('POST', '/classes/', { name: 'city', schema: [{ name: 'name', type: 'string' }] });
    await objects.call('POST', '/users/', { username: 'ada', password: 'p' });
    const { id } = await keboola.call<{ id: number }>('POST', '/syrup/provisioning/redshift-workspace', {
      type: 'sandbox',
    });
    await keboola.call('DELETE', `/syrup/provisioning/redshift-workspace/${id}`);
    const all = await names('');
    for (const name of ['classCreated', 'endUserCreated', 'workspaceCreated', 'workspaceDeleted'])
      assert.ok(all.has(`storage.${name}`), `${name} is missing in ${[...all]}`);
  });
});

async function runScript(mine: Credentials): Promise<{ id: string; jobId: string }> {
  const objects = syncanoApi(mine);
  const { id } = await objects.call<Row>('POST', '/snippets/scripts/', {
    label: 'hello',
    runtime_name: 'nodejs',
    source: 'console.log("hello")',
  });
  const traces = `/snippets/scripts/${id}/traces`;
  const { id: jobId } = await objects.call<Row>('POST', `/snippets/scripts/${id}/run/`, {});
  for (;;) {
    const { status } = await objects.call<{ status: string }>('GET', `${traces}/${jobId}/`);
    if (status === 'success') return { id: String(id), jobId: String(jobId) };
    assert.ok(['pending', 'processing'].includes(status), status);
    await pause(25);
  }
}

/** A file of two rows and a connection that lands it in Storage. */
async function connect(t: TestContext, airbyte: Api, { airbyte: { workspaceId } }: TestPlatform['credentials']) {
  const files = createServer((_request, response) => response.end('id,name\n1,one\n2,two\n'));
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  cleanup(t, () => void files.close());
  const address = `http://127.0.0.1:${(files.address() as AddressInfo).port}/people.csv`;
  const { sourceId } = await airbyte.call<{ sourceId: string }>('POST', '/sources', {
    name: 'people',
    workspaceId,
    configuration: { sourceType: 'millrace-file', dataset_name: 'people', url: address, primary_key: ['id'] },
  });
  const { destinationId } = await airbyte.call<{ destinationId: string }>('POST', '/destinations', {
    name: 'storage',
    workspaceId,
    configuration: { destinationType: 'millrace-storage' },
  });
  const { connectionId } = await airbyte.call<{ connectionId: string }>('POST', '/connections', {
    sourceId,
    destinationId,
  });
  return { sourceId, destinationId, connectionId };
}

async function runConnection(airbyte: Api, connectionId: string, jobType: string): Promise<number> {
  const { jobId } = await airbyte.call<{ jobId: number }>('POST', '/jobs', { connectionId, jobType });
  for (;;) {
    const { status } = await airbyte.call<{ status: string }>('GET', `/jobs/${jobId}`);
    if (status === 'succeeded') return jobId;
    assert.ok(['pending', 'running'].includes(status), status);
    await pause(50);
  }
}
