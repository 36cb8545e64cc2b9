import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeboolaServer, keboolaServer } from '../../../../test/support/keboola.ts';
import { errors } from '../../../core/errors.ts';

const componentId = 'keboola.duckdb-transformation';

type QueueJob = Record<string, unknown> & { id: string; runId: string; url: string; result: never; message: string };

async function create(app: KeboolaServer, body: object = {}, headers: Record<string, string> = {}): Promise<QueueJob> {
  const answer = await app.request('POST', '/queue/jobs', { component: componentId, ...body }, { headers });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

test('a fresh job has every documented member with its documented type', async (t) => {
  const app = await keboolaServer(t);
  const job = await create(app, { configData: { parameters: {} } });
  const types: Record<string, RegExp> = {
    string: /^(id|runId|parentRunId|status|desiredStatus|mode|component|tag|createdTime|url|branchId|executor|type)$/,
    null: /^(deduplicationId|config|startTime|endTime|delayedStartTime|variableValuesId|parallelism|orchestration(Job|Task|Phase)Id|onlyOrchestrationTaskIds|previousJobId|runnerId)$/,
    array: /^(configRowIds|result|usageData)$/,
    object: /^(project|token|configData|variableValuesData|backend|metrics|behavior)$/,
    number: /^durationSeconds$/,
    boolean: /^isFinished$/,
  };
  for (const [key, value] of Object.entries(job)) {
    const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
    assert.match(key, types[type] ?? /^$/, `${key} is ${type}`);
  }
  const names =
    'id deduplicationId runId parentRunId project token status desiredStatus mode component config configData configRowIds tag ' +
    'createdTime startTime endTime delayedStartTime durationSeconds result usageData isFinished url branchId variableValuesId ' +
    'variableValuesData backend executor metrics behavior parallelism type orchestrationJobId orchestrationTaskId ' +
    'orchestrationPhaseId onlyOrchestrationTaskIds previousJobId runnerId';
  assert.deepEqual(Object.keys(job).sort(), names.split(' ').sort());
  const { id, projectId } = { id: job.id, projectId: String(app.actor.projectId) };
  assert.deepEqual(
    { ...job, createdTime: '', metrics: null },
    {
      ...{ id, deduplicationId: null, runId: id, parentRunId: '', project: { id: projectId, name: 'Demo' } },
      token: { id: String(app.actor.token.id), description: app.actor.token.description },
      ...{ status: 'created', desiredStatus: 'processing', mode: 'run', component: componentId, config: null },
      ...{
        configData: { parameters: {} },
        configRowIds: [],
        tag: '1',
        createdTime: '',
        startTime: null,
        endTime: null,
      },
      ...{ delayedStartTime: null, durationSeconds: 0, result: [], usageData: [], isFinished: false },
      url: `http://localhost:8000/queue/jobs/${id}`,
      branchId: String(app.actor.branchId),
      ...{ variableValuesId: null, variableValuesData: { values: [] } },
      backend: { type: null, containerType: null, context: `${projectId}-transformation` },
      ...{ executor: 'dind', metrics: null, behavior: { onError: null }, parallelism: null, type: 'standard' },
      ...{ orchestrationJobId: null, orchestrationTaskId: null, orchestrationPhaseId: null },
      ...{ onlyOrchestrationTaskIds: null, previousJobId: null, runnerId: null },
    },
  );
  assert.match(job.createdTime as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
  assert.deepEqual((await app.request('GET', `/queue/jobs/${id}`)).body, job);
});

test('bodies as the clients really send them', async (t) => {
  const app = await keboolaServer(t);
  await app.core.configurations.create(app.actor, componentId, { id: '11', name: 'x' });
  const cases: [string, object, Record<string, unknown>][] = [
    [
      'PHP sends every member, with [] for an empty object',
      {
        ...{ config: '11', configData: [], configRowIds: [], tag: null, branchId: null, mode: 'run' },
        ...{ orchestrationJobId: null, parentRunId: null },
      },
      { config: '11', configData: [] },
    ],
    [
      'Go sends the size as a text',
      { config: '11', backend: 'small' },
      { backend: { type: null, containerType: 'small', context: '1-transformation' } },
    ],
    [
      'Go sends the branch as a number',
      { config: '11', branchId: app.actor.branchId },
      { branchId: String(app.actor.branchId) },
    ],
    ['a branch by its word', { config: 11, branchId: 'default' }, { config: '11' }],
    [
      'null everywhere',
      { config: null, configData: {}, backend: null, behavior: null, variableValuesData: null, delay: null },
      { config: null, configData: {} },
    ],
    ['what it does not know is ignored', { config: '11', surprise: 1, configRow: 'x' }, { config: '11' }],
    [
      'variables',
      { config: '11', variableValuesData: { values: [{ name: 'a', value: 1 }] } },
      { variableValuesData: { values: [{ name: 'a', value: '1' }] } },
    ],
    ['a tag of its own', { config: '11', tag: '2.0' }, { tag: '2.0' }],
    ['the tag of the configuration', { configData: { runtime: { tag: '3' } } }, { tag: '3' }],
    ['parallelism as a number', { config: '11', parallelism: 5 }, { parallelism: '5' }],
    [
      'flow members',
      {
        config: '11',
        orchestrationTaskId: 't',
        orchestrationPhaseId: 'p',
        onlyOrchestrationTaskIds: ['a', 1],
        behavior: { onError: 'stop' },
      },
      { orchestrationTaskId: 't', onlyOrchestrationTaskIds: ['a', '1'], behavior: { onError: 'stop' } },
    ],
  ];
  for (const [what, body, expected] of cases) {
    const job = await create(app, body);
    const shown = Object.fromEntries(Object.keys(expected).map((key) => [key, job[key]]));
    assert.deepEqual(shown, expected, what);
  }
});

test('an inline configuration comes back as it was written, with its secrets as ciphers', async (t) => {
  const app = await keboolaServer(t);
  const text = '{"10":1.0,"2":{},"parameters":{"#pw":"hunter2","list":[]}}';
  const answer = await app.request('POST', '/queue/jobs', `{"component":"${componentId}","configData":${text}}`, {
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(answer.status, 201);
  assert.doesNotMatch(answer.text, /hunter2/);
  assert.match(
    answer.text,
    /"configData":\{"10":1\.0,"2":\{\},"parameters":\{"#pw":"KBC::ProjectSecure::[^"]+","list":\[\]\}\}/,
  );
});

test('refused bodies', async (t) => {
  const app = await keboolaServer(t);
  await app.core.configurations.create(app.actor, componentId, { id: 'off', name: 'x', isDisabled: true });
  const cases: [object, number, string | RegExp][] = [
    [{ component: '' }, 400, /"component" parameter is required/],
    [{ component: 'no.such' }, 400, 'Cannot resolve job parameters: Component "no.such" not found'],
    [{ component: 'keboola.ex-http' }, 400, /^The component "keboola\.ex-http" is not runnable\. It is not installed/],
    [{ config: 'none' }, 400, 'Cannot resolve job parameters: Configuration "none" not found'],
    [{ config: 'off' }, 400, 'Configuration "off" of component "keboola.duckdb-transformation" is disabled.'],
    [{ mode: 'walk' }, 400, 'Mode must be one of "run", "forceRun" or "debug".'],
    [{ type: 'container' }, 501, 'Not implemented: jobs of type container'],
    [{ type: 'odd' }, 400, /^Job type must be one of/],
    [{ branchId: 999999 }, 400, /^Cannot resolve job parameters: /],
    [{ branchId: 'abc' }, 400, /^Cannot resolve job parameters: /],
    [{ delay: 1, delayedStartTime: '2030-01-01' }, 400, 'delayedStartTime and delay cannot be set simultaneously.'],
    [{ parallelism: 101 }, 400, /^Parallelism value must be/],
    [{ previousJobId: '' }, 400, /value cannot be empty string/],
    [{ orchestrationTaskId: 7 }, 400, /value must be a string/],
    [{ variableValuesId: 'a', variableValuesData: { values: [{ name: 'a', value: 'b' }] } }, 400, /but not both/],
    [{ configData: 'text' }, 400, /must be an object/],
    [{ config: 'a\0b' }, 400, /"config" parameter is too long or has a NUL/],
    [{ parentRunId: '1.'.repeat(2000) }, 400, /"parentRunId" parameter is too long/],
    [{ configRowIds: ['\0'] }, 400, /"configRowIds" parameter/],
  ];
  for (const [body, status, message] of cases) {
    const answer = await app.request('POST', '/queue/jobs', { component: componentId, ...body });
    const { error, ...rest } = answer.body as Record<string, unknown>;
    assert.equal(answer.status, status, answer.text);
    if (typeof message === 'string') assert.equal(error, message);
    else assert.match(String(error), message);
    assert.equal(rest.code, status);
    assert.equal(rest.status, 'error');
    assert.match(String(rest.exceptionId), /^exception-/);
  }
  assert.equal((await create(app, { config: 'off', mode: 'forceRun' })).mode, 'forceRun');
  assert.equal((await app.request('POST', '/queue/jobs', {}, { token: null })).status, 401);
  const headers = { 'x-kbc-runid': '1.'.repeat(2000) };
  assert.equal((await app.request('POST', '/queue/jobs', { component: componentId }, { headers })).status, 400);
  const scoped = await app.tokenActor({ componentAccess: ['dummy'] });
  const refused = await app.request('POST', '/queue/jobs', { component: componentId }, { token: scoped.secret });
  assert.equal(refused.status, 403);
  assert.equal((refused.body as { error: string }).error, `Token is not allowed to run component "${componentId}"`);
});

test('unknown jobs, storage jobs and jobs of others are not found', async (t) => {
  const app = await keboolaServer(t);
  const storageJob = await app.core.jobs.create(app.actor, { kind: 'table-drop' });
  for (const id of ['123', 'abc', '99999999999999999999', String(storageJob.id)]) {
    for (const [method, url] of [
      ['GET', `/queue/jobs/${id}`],
      ['POST', `/queue/jobs/${id}/kill`],
    ] as const) {
      const answer = await app.request(method, url);
      assert.equal(answer.status, 404, url);
      assert.equal((answer.body as { error: string }).error, `Job "${id}" not found`);
    }
  }
});

test('a job is waiting while an earlier one of its configuration is not over, created while only room is missing', async (t) => {
  const app = await keboolaServer(t);
  await app.core.configurations.create(app.actor, componentId, { id: '11', name: 'x' });
  const first = await create(app, { config: '11' });
  const second = await create(app, { config: '11' });
  const other = await create(app, { configData: {} });
  const shown = async ({ id }: { id: string }) =>
    ((await app.request('GET', `/queue/jobs/${id}`)).body as QueueJob).status;
  const found = async (status: string) =>
    ((await app.request('GET', `/queue/search/jobs?status=${status}`)).body as QueueJob[]).map(({ id }) => id);
  assert.equal(await shown(first), 'created');
  assert.equal(await shown(second), 'waiting');
  assert.equal(await shown(other), 'created');
  assert.deepEqual(await found('waiting'), [second.id]);
  assert.deepEqual(await found('created'), [other.id, first.id]);
  await app.request('POST', `/queue/jobs/${first.id}/kill`);
  assert.equal(await shown(second), 'created');
  assert.deepEqual(await found('waiting'), []);
});

test('run ids: a job belongs to the run of the header, or else of the body', async (t) => {
  const app = await keboolaServer(t);
  const parent = await create(app);
  const child = await create(app, { parentRunId: '7' }, { 'x-kbc-runid': parent.runId });
  assert.deepEqual([child.parentRunId, child.runId], [parent.id, `${parent.id}.${child.id}`]);
  const other = await create(app, { parentRunId: '5.6' });
  assert.deepEqual([other.parentRunId, other.runId], ['5.6', `5.6.${other.id}`]);
});

test('kill: a waiting job is cancelled, a finished one refuses', async (t) => {
  const app = await keboolaServer(t);
  const { id } = await create(app, { delay: 3600 });
  const killed = await app.request('POST', `/queue/jobs/${id}/kill`);
  assert.equal(killed.status, 202);
  const { status, desiredStatus, isFinished } = killed.body as Record<string, unknown>;
  assert.deepEqual([status, desiredStatus, isFinished], ['cancelled', 'terminating', true]);
  assert.equal((await app.request('POST', `/queue/jobs/${id}/kill`)).status, 400);
});

test('a deduplication id is taken until its job has ended', async (t) => {
  const app = await keboolaServer(t);
  const body = { component: componentId, deduplicationId: 'nightly' };
  const first = await create(app, body);
  assert.equal(first.deduplicationId, 'nightly');
  const refused = await app.request('POST', '/queue/jobs', body);
  assert.equal(refused.status, 409, refused.text);
  assert.deepEqual((refused.body as { context: object }).context, { stringCode: 'dbDeduplicationIdConflict' });
  await app.request('POST', `/queue/jobs/${first.id}/kill`);
  assert.notEqual((await create(app, body)).id, first.id);
});

test('a configuration never has two jobs running, inline jobs do', async (t) => {
  const app = await keboolaServer(t);
  await app.core.configurations.create(app.actor, componentId, { id: '11', name: 'x' });
  for (let i = 0; i < 2; i++) await create(app, { config: '11' });
  for (let i = 0; i < 2; i++) await create(app, { configData: {} });
  const claimed = await app.core.jobs.queue.claim({ workerId: 'w', slots: { component: 10, storage: 10, script: 10 } });
  assert.deepEqual(claimed.map((job) => job.configurationId).sort(), ['11', undefined, undefined]);
  const stopping = await app.request('POST', `/queue/jobs/${claimed[0]?.id}/kill`);
  assert.equal((stopping.body as { status: string }).status, 'terminating');
});

test('results: success, failure of the user, failure of ours', async (t) => {
  const app = await keboolaServer(t);
  const ids = [(await create(app)).id, (await create(app)).id, (await create(app)).id];
  const [one, two, three] = await app.core.jobs.queue.claim({
    workerId: 'w',
    slots: { component: 10, storage: 10, script: 10 },
  });
  const result = {
    message: 'Component processing finished.',
    configVersion: null,
    images: [[]],
    input: { tables: [] },
    output: { tables: [] },
  };
  await app.core.jobs.end(one!, { status: 'succeeded', result, metrics: { inBytes: 5, outBytes: 7 } });
  await app.core.jobs.end(two!, { status: 'failed', error: errors.invalid('The column is missing') });
  await app.core.jobs.end(three!, { status: 'failed', error: new Error('secret detail') });
  const [success, user, ours] = await Promise.all(
    ids.map(async (id) => (await app.request('GET', `/queue/jobs/${id}`)).body as QueueJob),
  );
  assert.deepEqual([success?.status, success?.isFinished, success?.result], ['success', true, result]);
  assert.deepEqual((success!.metrics as { storage: unknown }).storage, {
    inputTablesBytesSum: 7,
    outputTablesBytesSum: 5,
  });
  assert.equal(user?.status, 'error');
  const failure = user?.result as unknown as {
    message: string;
    error: { type: string; exceptionId: string };
    input: object;
  };
  assert.deepEqual(
    [failure.message, failure.error.type, failure.input],
    ['The column is missing', 'user', { tables: [] }],
  );
  const internal = ours?.result as unknown as typeof failure;
  assert.deepEqual([internal.message, internal.error.type], ['Internal Server Error occurred.', 'application']);
  assert.ok(internal.error.exceptionId);
  assert.doesNotMatch(JSON.stringify(ours), /secret detail/);
});

test('search', async (t) => {
  const app = await keboolaServer(t);
  await app.core.configurations.create(app.actor, componentId, { id: '11', name: 'x' });
  const root = await create(app, { config: '11' });
  const child = await create(app, { configData: {}, mode: 'debug' }, { 'x-kbc-runid': root.runId });
  const delayed = await create(app, { config: '11', configRowIds: ['a', 'b'], tag: '9', delay: 60 });
  await app.request('POST', `/queue/jobs/${delayed.id}/kill`);
  await app.core.jobs.create(app.actor, { kind: 'table-drop' });
  const [r, c, d] = [root.id, child.id, delayed.id];
  const cases: [string, string[]][] = [
    ['', [d, c, r]],
    ['?sortOrder=asc', [r, c, d]],
    ['?limit=1&offset=1', [c]],
    [`?id=${r}`, [r]],
    [`?id[]=${r}&id[]=${c}`, [c, r]],
    [`?id[0]=${r}&id[1]=${d}&sortOrder=asc`, [r, d]],
    ['?id=abc', []],
    ['?config=11', [d, r]],
    ['?config=%00', []],
    [`?componentId=${componentId}&configId=11`, [d, r]],
    ['?component=keboola.ex-http', []],
    ['?componentProps[type]=transformations', [d, c, r]],
    ['?componentProps[type]=extractors', []],
    ['?configRowIds[]=b&configRowIds[]=z', [d]],
    ['?mode=debug', [c]],
    ['?status=created', [c, r]],
    ['?status[]=cancelled&status[]=error', [d]],
    ['?status=warning', []],
    ['?desiredStatus=terminating', [d]],
    ['?status=created&desiredStatus=terminating', []],
    ['?tag=9', [d]],
    ['?type=standard', [d, c, r]],
    ['?type=container', []],
    ['?parentRunId=', [d, r]],
    [`?parentRunId=${r}`, [c]],
    [`?runId=${r}.${c}`, [c]],
    ['?branchId=null', [d, c, r]],
    [`?branchId=${app.actor.branchId}`, [d, c, r]],
    [`?projectId=${app.actor.projectId}`, [d, c, r]],
    ['?projectId=999', []],
    [`?tokenId=${app.actor.token.id}`, [d, c, r]],
    ['?createdTimeFrom=-1%20hour', [d, c, r]],
    ['?createdTimeFrom=2100-01-01', []],
    ['?createdTimeTo=2000-01-01T00:00:00%2B10:00', []],
    ['?durationSecondsFrom=5', []],
    ['?sortBy=createdTime&sortOrder=asc&limit=1', [r]],
  ];
  for (const [query, ids] of cases) {
    const answer = await app.request('GET', `/queue/search/jobs${query}`);
    assert.equal(answer.status, 200, `${query}: ${answer.text}`);
    assert.deepEqual(
      (answer.body as QueueJob[]).map((job) => job.id),
      ids,
      query,
    );
  }
  assert.deepEqual((await app.request('GET', '/queue/jobs?mode=debug')).body, [
    (await app.request('GET', `/queue/jobs/${c}`)).body,
  ]);
  for (const query of [
    '?limit=501',
    '?limit=x',
    '?sortBy=nothing',
    '?status=odd',
    '?createdTimeFrom=someday',
    '?sortOrder=up',
  ]) {
    assert.equal((await app.request('GET', `/queue/search/jobs${query}`)).status, 400, query);
  }
});

test('the service under its host name, and calls that are not built', async (t) => {
  const app = await keboolaServer(t);
  const { id } = await create(app);
  const byHost = await app.request('GET', `/jobs/${id}`, undefined, { headers: { host: 'queue.localhost:8000' } });
  assert.equal((byHost.body as QueueJob).url, `http://queue.localhost:8000/jobs/${id}`);
  assert.equal((await app.request('GET', '/queue/search/grouped-jobs')).status, 501);
  assert.equal((await app.request('GET', '/queue/stats/project/')).status, 501);
  assert.equal((await app.request('GET', '/queue/nonsense')).status, 404);
  assert.equal((await app.request('GET', '/queue/', undefined, { token: null })).status, 200);
});
