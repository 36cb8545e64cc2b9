import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeboolaServer, keboolaServer } from '../../../../test/support/keboola.ts';
import { errors } from '../../../core/errors.ts';

const componentId = 'keboola.duckdb-transformation';
const otherId = 'keboola.python-transformation-v2';

async function withConfiguration(t: Parameters<typeof keboolaServer>[0]): Promise<KeboolaServer> {
  const app = await keboolaServer(t);
  await app.core.configurations.create(app.actor, componentId, { id: 'next-order-1', name: 'x' });
  await app.core.configurations.rows.create(
    app.actor,
    { componentId, configurationId: 'next-order-1' },
    { id: 'my-row' },
  );
  return app;
}

test('every spelling of the run call makes a job', async (t) => {
  const app = await withConfiguration(t);
  const branch = app.actor.branchId;
  const cases: [url: string, tag: string, mode: string][] = [
    [`/syrup/docker/${componentId}/run`, '1', 'run'],
    [`/syrup/${componentId}/run`, '1', 'run'],
    [`/syrup/${componentId}/run/`, '1', 'run'],
    [`/syrup/docker/${componentId}/run/tag/2.3`, '2.3', 'run'],
    [`/syrup/${componentId}/run/tag/2.3`, '2.3', 'run'],
    [`/syrup/docker/${componentId}/debug`, '1', 'debug'],
    [`/syrup/docker/branch/${branch}/${componentId}/run`, '1', 'run'],
    [`/syrup/branch/default/${componentId}/run/tag/4`, '4', 'run'],
    [`/syrup/docker/branch/${branch}/${componentId}/debug`, '1', 'debug'],
  ];
  for (const [url, tag, mode] of cases) {
    const answer = await app.request('POST', url, {
      config: 'next-order-1',
      row: 'my-row',
      mode: 'other',
      tag: 'ignored',
    });
    assert.equal(answer.status, 202, `${url}: ${answer.text}`);
    const accepted = answer.body as { id: string; url: string; status: string };
    assert.deepEqual(accepted, {
      id: accepted.id,
      url: `http://localhost:8000/syrup/queue/job/${accepted.id}`,
      status: 'waiting',
    });
    const job = await app.core.jobs.get(app.actor, Number(accepted.id));
    assert.deepEqual([job.tag, job.mode, job.configurationId], [tag, mode, 'next-order-1'], url);
    assert.deepEqual(job.configurationRowIds, ['my-row']);
  }
});

test("the documentation's curl call, whose JSON goes out under the form content type", async (t) => {
  const app = await withConfiguration(t);
  const answer = await app.request('POST', `/${componentId}/run`, '{"config": "next-order-1"}', {
    headers: { host: 'syrup.localhost:8000', 'content-type': 'application/x-www-form-urlencoded' },
  });
  assert.equal(answer.status, 202, answer.text);
  const { id, url } = answer.body as { id: string; url: string };
  assert.equal(url, `http://syrup.localhost:8000/queue/job/${id}`);
  assert.equal((await app.core.jobs.get(app.actor, Number(id))).configurationId, 'next-order-1');
});

test('refused bodies, in the order in which they are checked', async (t) => {
  const app = await withConfiguration(t);
  const allowed =
    "'component', 'config', 'row', 'configData', 'mode', 'tag', 'format', 'variableValuesId', 'variableValuesData', 'branchId'";
  const cases: [component: string, body: object, message: string | RegExp][] = [
    ['no.such', { nonsense: 1 }, "Component 'no.such' not found."],
    [componentId, { config: 'x', extra: 1 }, `Parameter 'extra' is not allowed. Allowed params are ${allowed}.`],
    [componentId, {}, "Specify 'config' or 'configData'."],
    [componentId, { row: 'a' }, "Specify both 'row' and 'config'."],
    [componentId, { row: 'a', configData: {} }, "Specify both 'row' and 'config'."],
    [componentId, { config: ['a'] }, "Body parameter 'config' is not a number."],
    [componentId, { config: 'next-order-1', configData: 'x' }, "Body parameter 'configData' is not an object."],
    ['keboola.ex-http', { configData: {} }, /^The component "keboola\.ex-http" is not runnable\. It is not installed/],
  ];
  for (const [component, body, message] of cases) {
    const answer = await app.request('POST', `/syrup/docker/${component}/run`, body, {
      headers: { 'x-kbc-runid': '5.7' },
    });
    const { message: text, exceptionId, ...rest } = answer.body as Record<string, unknown>;
    assert.equal(answer.status, 400, answer.text);
    if (typeof message === 'string') assert.equal(text, message);
    else assert.match(String(text), message);
    assert.deepEqual(rest, { status: 'error', error: 'User error', code: 400, runId: 7 });
    assert.ok(exceptionId);
  }
  assert.equal((await app.request('POST', '/syrup/docker/run', {})).status, 400);
  assert.equal((await app.request('POST', `/syrup/${componentId}/run`, {}, { token: null })).status, 401);
  const unknown = await app.request('POST', `/syrup/${componentId}/run`, { config: 'none' });
  assert.equal((unknown.body as { message: string }).message, 'Configuration "none" not found');
});

test('paths of other Syrup services are not taken for components', async (t) => {
  const app = await keboolaServer(t);
  for (const url of ['/syrup/transformation/run', '/syrup/gooddata-writer/run', '/syrup/orchestrator/run']) {
    assert.equal((await app.request('POST', url, { config: '1' })).status, 501, url);
  }
  for (const url of ['/syrup/orchestrator/orchestrations/1', '/syrup/oauth-v2']) {
    const answer = await app.request('GET', url);
    assert.equal(answer.status, 501, url);
    assert.equal((answer.body as { code: number }).code, 501);
  }
  assert.equal((await app.request('POST', `/syrup/docker/${componentId}/action/test`, {})).status, 501);
  assert.equal((await app.request('GET', '/syrup/nonsense')).status, 404);
});

test('a job as the old queue shows it', async (t) => {
  const app = await withConfiguration(t);
  const headers = { 'x-kbc-runid': '12' };
  const { id } = (await app.request('POST', `/syrup/${componentId}/run`, { config: 'next-order-1' }, { headers }))
    .body as {
    id: string;
  };
  const job = (await app.request('GET', `/syrup/queue/job/${id}`)).body as Record<string, unknown>;
  assert.deepEqual(job, {
    id: Number(id),
    runId: `12.${id}`,
    lockName: `docker-${app.actor.projectId}-${componentId}-next-order-1`,
    project: { id: String(app.actor.projectId), name: 'Demo' },
    token: { id: String(app.actor.token.id), description: app.actor.token.description },
    component: 'docker',
    command: 'run',
    params: {
      config: 'next-order-1',
      component: componentId,
      mode: 'run',
      row: null,
      tag: '1',
      format: null,
      variableValuesId: null,
      variableValuesData: { values: [] },
    },
    result: {},
    status: 'waiting',
    process: { host: null, pid: null },
    createdTime: job.createdTime,
    startTime: null,
    endTime: null,
    durationSeconds: 0,
    waitSeconds: null,
    nestingLevel: 1,
    encrypted: true,
    error: null,
    errorNote: null,
    terminatedBy: null,
    usage: [],
    _index: null,
    _type: null,
    isFinished: false,
    url: `http://localhost:8000/syrup/queue/job/${id}`,
  });
  assert.equal((await app.request('GET', '/syrup/queue/job/1')).status, 404);

  const other = (await app.request('POST', `/syrup/${otherId}/run`, { configData: { a: { '#b': 'hunter2' } } }))
    .body as {
    id: string;
  };
  const [first] = await app.core.jobs.queue.claim({ workerId: 'w', slots: { component: 1, storage: 0 } });
  await app.core.jobs.end(first!, { status: 'failed', error: errors.invalid('Wrong input') });
  const failed = (await app.request('GET', `/syrup/queue/job/${id}`)).body as Record<string, unknown>;
  assert.deepEqual([failed.status, failed.error, failed.isFinished], ['error', 'user', true]);
  assert.equal((failed.result as { message: string }).message, 'Wrong input');

  const list = async (query: string) =>
    ((await app.request('GET', `/syrup/queue/jobs${query}`)).body as { id: number }[]).map((one) => String(one.id));
  assert.deepEqual(await list(''), [other.id, id]);
  assert.deepEqual(await list(`?component=${otherId}`), [other.id]);
  assert.deepEqual(await list('?status=error'), [id]);
  assert.deepEqual(await list('?status=warning'), []);
  const killed = await app.request('POST', `/syrup/queue/jobs/${other.id}/kill`);
  assert.deepEqual([killed.status, killed.body], [202, {}]);
  const cancelled = await app.request('GET', `/syrup/queue/job/${other.id}`);
  assert.equal((cancelled.body as { status: string }).status, 'cancelled');
  assert.doesNotMatch(cancelled.text, /hunter2/);
});
