import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

type Job = { id: number; status: string } & Record<string, never>;

test('jobs are listed newest first, by page, status and time', async (t) => {
  const { call } = await keboolaServer(t);
  await call('POST', '/v2/storage/buckets', { payload: { name: 'main' } });
  const ids: number[] = [];
  for (let i = 0; i < 22; i++) {
    const payload = { name: `t${i}`, dataFileId: 1 };
    const answer = await call('POST', '/v2/storage/buckets/in.c-main/tables-async', { payload });
    ids.unshift(answer.json<Job>().id);
  }
  const list = async (query = '') => {
    const answer = await call('GET', `/v2/storage/jobs?${query}`);
    assert.equal(answer.status, 200, answer.body);
    return (JSON.parse(answer.body) as Job[]).map(({ id }) => id);
  };
  assert.deepEqual(await list(), ids.slice(0, 20));
  assert.deepEqual(await list('limit=5&offset=20'), ids.slice(20));
  assert.deepEqual(await list('limit=5&offset=22'), []);
  assert.equal((await list('storage_job_status=waiting&limit=100')).length, 22);
  assert.equal((await list('storage_job_status=success,error')).length, 0);
  assert.equal((await list('storage_job_status=unheard-of')).length, 0);
  assert.equal((await list('excluded_storage_job_status=waiting')).length, 0);
  assert.equal((await list('created_time_from=-1+hour&limit=100')).length, 22);
  assert.equal((await list('created_time_to=-1+hour')).length, 0);
  for (const query of ['limit=0', 'limit=1001', 'offset=-1', 'limit=x', 'created_time_from=soon']) {
    assert.equal((await call('GET', `/v2/storage/jobs?${query}`)).status, 400, query);
  }
});

test('a storage job is seen by its token and by masters, a component job not here at all', async (t) => {
  const { call } = await keboolaServer(t);
  await call('POST', '/v2/storage/buckets', { payload: { name: 'main' } });
  const newToken = async () =>
    (await call('POST', '/v2/storage/tokens', { payload: { bucketPermissions: { 'in.c-main': 'write' } } })).json<
      { token: string } & Record<string, never>
    >().token;
  const [owner, other] = [await newToken(), await newToken()];
  const payload = { name: 't', dataFileId: 1 };
  const made = await call('POST', '/v2/storage/buckets/in.c-main/tables-async', {
    payload,
    token: owner,
    headers: { 'x-kbc-runid': '7.8' },
  });
  const { id } = made.json<Job>();
  const seen = await call('GET', `/v2/storage/jobs/${id}`, { token: owner });
  assert.equal(seen.status, 200);
  assert.match(seen.body, /"runId":"7\.8"/);
  const alone = await call('POST', '/v2/storage/buckets/in.c-main/tables-async', { payload, token: owner });
  assert.match(alone.body, /"runId":null/);
  assert.match(seen.body, /"creatorToken":\{"id":"\d+"/);
  assert.match(seen.body, /"operationParams":\{/);
  assert.equal((await call('GET', `/v2/storage/jobs/${id}`)).status, 200);
  assert.equal((await call('GET', `/v2/storage/jobs/${id}`, { token: other })).status, 403);
  assert.equal((await call('GET', '/v2/storage/jobs', { token: other })).body, '[]');

  const run = await call('POST', '/queue/jobs', {
    payload: { component: 'keboola.duckdb-transformation', mode: 'run', configData: {} },
  });
  assert.equal(run.status, 201, run.body);
  assert.equal(
    (await call('GET', `/v2/storage/jobs/${run.json<{ id: string } & Record<string, never>>().id}`)).status,
    404,
  );
});
