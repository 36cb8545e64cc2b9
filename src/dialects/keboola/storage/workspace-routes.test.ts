import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { keboolaServer } from '../../../../test/support/keboola.ts';
import { startPlatform } from '../../../../test/support/platform.ts';

type Connection = { host: string; port: number; database: string; schema: string; user: string; password?: string };
type Shown = { id: number; name: string; component: string | null; configurationId: string | null } & {
  connection: Connection & { backend: string; region: string; ssoLoginAvailable: boolean };
};

const WORKSPACES = '/v2/storage/workspaces';

async function ask({ host, port, database, user }: Connection, password: string, statement: string) {
  const client = new pg.Client({ host, port, database, user, password });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

test('a workspace of the project is made, listed, shown, entered, gets a new password and is dropped', async (t) => {
  const app = await keboolaServer(t);
  const made = await app.request('POST', WORKSPACES, { backend: 'redshift' });
  assert.equal(made.status, 201, made.text);
  const { id, name, connection } = made.body as Shown;
  const { password = '', ...shown } = connection;
  assert.equal(name, `WORKSPACE_${id}`);
  assert.deepEqual([shown.backend, shown.region, shown.ssoLoginAvailable], ['redshift', 'local', false]);
  await ask(connection, password, 'create table t as select 1 as x');

  const detail = (await app.request('GET', `${WORKSPACES}/${id}`)).body as Shown;
  assert.deepEqual(detail, { ...(made.body as Shown), connection: shown });
  assert.deepEqual((await app.request('GET', WORKSPACES)).body, [detail]);

  const reset = await app.request('POST', `${WORKSPACES}/${id}/password`);
  assert.equal(reset.status, 201);
  const renewed = (reset.body as { password: string }).password;
  assert.notEqual(renewed, password);
  await assert.rejects(ask(connection, password, 'select 1'), /password authentication failed/);
  assert.deepEqual(await ask(connection, renewed, 'select x from t'), [{ x: 1 }]);

  assert.equal((await app.request('DELETE', `${WORKSPACES}/${id}`)).status, 204);
  await assert.rejects(ask(connection, renewed, 'select 1'));
  for (const [method, rest] of [
    ['GET', ''],
    ['DELETE', ''],
    ['DELETE', '?async=1'],
    ['POST', '/password'],
  ] as const) {
    const answer = await app.request(method, `${WORKSPACES}/${id}${rest}`);
    assert.equal(answer.status, 404, `${method} ${rest}`);
    const { error, code } = answer.body as { error: string; code: string };
    assert.deepEqual([error, code], [`Workspace "${id}" not found.`, 'workspace.workspaceNotFound']);
  }
  assert.deepEqual((await app.request('GET', WORKSPACES)).body, []);
  const events = await app.request('GET', '/v2/storage/events');
  for (const event of ['workspaceCreated', 'workspacePasswordReset', 'workspaceDeleted'])
    assert.match(events.text, new RegExp(event));
  assert.ok(!events.text.includes(password) && !events.text.includes(renewed));
});

test('several workspaces side by side; those of a configuration stand in both lists', async (t) => {
  const app = await keboolaServer(t);
  const configs = '/v2/storage/components/keboola.duckdb-transformation/configs';
  const { id: configuration } = (await app.request('POST', configs, { name: 'c' })).body as { id: string };
  const plain = (await app.request('POST', WORKSPACES)).body as Shown;
  const ofConfig = (await app.request('POST', `${configs}/${configuration}/workspaces`, {})).body as Shown;
  assert.deepEqual(
    [ofConfig.component, ofConfig.configurationId],
    ['keboola.duckdb-transformation', String(configuration)],
  );
  const ids = async (url: string) => ((await app.request('GET', url)).body as Shown[]).map(({ id }) => id);
  assert.deepEqual(await ids(WORKSPACES), [plain.id, ofConfig.id]);
  assert.deepEqual(await ids(`${configs}/${configuration}/workspaces`), [ofConfig.id]);
  assert.equal((await app.request('POST', `${configs}/nothing/workspaces`, {})).status, 404);
});

test('who manages buckets sees the workspaces of the project, others their own', async (t) => {
  const app = await keboolaServer(t);
  const mine = (await app.request('POST', WORKSPACES)).body as Shown;
  const { secret: small } = await app.tokenActor({});
  const { secret: manager } = await app.tokenActor({ canManageBuckets: true });
  const theirs = (await app.request('POST', WORKSPACES, {}, { token: small })).body as Shown;
  const ids = async (token: string) =>
    ((await app.request('GET', WORKSPACES, undefined, { token })).body as Shown[]).map(({ id }) => id);
  assert.deepEqual(await ids(small), [theirs.id]);
  assert.deepEqual(await ids(manager), [mine.id, theirs.id]);
  assert.equal((await app.request('GET', `${WORKSPACES}/${mine.id}`, undefined, { token: small })).status, 404);
  assert.equal((await app.request('POST', `${WORKSPACES}/${mine.id}/password`, {}, { token: small })).status, 404);
  assert.equal((await app.request('DELETE', `${WORKSPACES}/${theirs.id}`, undefined, { token: manager })).status, 204);
});

test('credentials of Provisioning are workspaces of their token: dropped here, they are made anew there', async (t) => {
  const app = await keboolaServer(t);
  const provisioning = '/syrup/provisioning/redshift-workspace';
  type Created = { id: number; credentials: { workspaceId: string } };
  const first = (await app.request('POST', provisioning, { type: 'writer' })).body as Created;
  const ofProject = (await app.request('POST', WORKSPACES)).body as Shown;
  assert.equal((await app.request('GET', `${provisioning}/${ofProject.id}`)).status, 404);
  assert.equal((await app.request('GET', `${WORKSPACES}/${first.credentials.workspaceId}`)).status, 200);
  assert.equal((await app.request('DELETE', `${WORKSPACES}/${first.credentials.workspaceId}`)).status, 204);
  assert.equal((await app.request('GET', `${provisioning}/${first.id}`)).status, 404);
  const second = (await app.request('POST', provisioning, { type: 'writer' })).body as Created;
  assert.notEqual(second.credentials.workspaceId, first.credentials.workspaceId);
});

test('what cannot be had is refused', async (t) => {
  const app = await keboolaServer(t);
  for (const [body, status, code] of [
    [{ backend: 'snowflake' }, 400, 'workspace.backendNotSupported'],
    [{ backend: 'constructor' }, 400, 'workspace.backendNotSupported'],
    [{ backend: 'redshift', loginType: 'snowflake-person-sso' }, 501, undefined],
    [{ readOnlyStorageAccess: true }, 501, undefined],
    [{ statementTimeoutSeconds: 5 }, 501, undefined],
  ] as const) {
    const answer = await app.request('POST', WORKSPACES, body);
    assert.equal(answer.status, status, answer.text);
    if (code) assert.equal((answer.body as { code: string }).code, code);
  }
  assert.equal((await app.request('GET', `${WORKSPACES}/abc`)).status, 404);
});

test('as jobs: made without a password, which a reset then tells, and dropped', async (t) => {
  const { url, credentials } = await startPlatform(t, { config: { workspacePort: 0 } });
  type Job = { id: number; status: string; operationName: string; results: unknown };
  const call = async <T>(method: string, path: string): Promise<T> => {
    const headers = { 'x-storageapi-token': credentials.keboola.storageToken };
    const response = await fetch(`${url}${path}`, { method, headers });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return (await response.json()) as T;
  };
  const finished = async (method: string, path: string): Promise<Job> => {
    let job = await call<Job>(method, path);
    while (!['success', 'error'].includes(job.status)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      job = await call<Job>('GET', `/v2/storage/jobs/${job.id}`);
    }
    return job;
  };
  const made = await finished('POST', `${WORKSPACES}?async=1`);
  assert.deepEqual([made.operationName, made.status], ['workspaceCreate', 'success']);
  const workspace = made.results as Shown;
  assert.equal(workspace.connection.password, undefined);
  assert.deepEqual(await call('GET', `${WORKSPACES}/${workspace.id}`), workspace);
  const { password } = await call<{ password: string }>('POST', `${WORKSPACES}/${workspace.id}/password`);
  assert.deepEqual(await ask(workspace.connection, password, 'select 1 as one'), [{ one: 1 }]);
  const dropped = await finished('DELETE', `${WORKSPACES}/${workspace.id}?async=1`);
  assert.deepEqual([dropped.operationName, dropped.status], ['workspaceDrop', 'success']);
  await assert.rejects(ask(workspace.connection, password, 'select 1'));
});
