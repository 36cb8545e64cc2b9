import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { type KeboolaServer, keboolaServer } from '../../../../test/support/keboola.ts';

type Credentials = Record<'hostname' | 'db' | 'schema' | 'user' | 'password' | 'workspaceId', string> & {
  id: number;
  port: number;
};
type Created = { credentials: Credentials; id: number; status: string; touch: number; url: string };

const REDSHIFT = '/syrup/provisioning/redshift-workspace';

async function create(app: KeboolaServer, type?: string, token?: string): Promise<Created> {
  const answer = await app.request('POST', REDSHIFT, type === undefined ? undefined : { type }, token ? { token } : {});
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

async function connect(t: TestContext, { hostname, port, db, user, password }: Credentials): Promise<pg.Client> {
  const client = new pg.Client({ host: hostname, port, database: db, user, password });
  client.on('error', () => {
    // The kill or drop that the test is about.
  });
  await client.connect();
  t.after(() => client.end().catch(() => undefined));
  return client;
}

test('credentials are made once per token and type, and log in', async (t) => {
  const app = await keboolaServer(t);
  assert.equal((await app.request('GET', `${REDSHIFT}?type=sandbox`)).status, 404);
  const created = await create(app, 'sandbox');
  const { credentials, id } = created;
  assert.equal(created.status, 'ok');
  assert.equal(created.url, `redshift-workspace/${id}`);
  assert.equal(credentials.id, id);
  assert.equal(credentials.workspaceId, String(id));
  assert.equal(typeof created.touch, 'number');
  assert.match(credentials.password, /^[A-Za-z0-9]{32,}$/);
  const again = await create(app, 'sandbox');
  assert.deepEqual([again.id, again.credentials, again.touch], [id, credentials, created.touch]);
  assert.notEqual((await create(app)).id, id, 'the default type is another');

  const idle = (await app.request('GET', `${REDSHIFT}/${id}`)).body as Record<string, unknown>;
  assert.deepEqual(idle, {
    id,
    credentials,
    inUse: false,
    touch: created.touch,
    expiration: null,
    canExtend: false,
    status: 'ok',
  });
  const client = await connect(t, credentials);
  await client.query('create table t as select 1 as x');
  const { rows } = await client.query(`select x from ${credentials.schema}.t`);
  assert.deepEqual(rows, [{ x: 1 }]);
  const used = (await app.request('GET', `${REDSHIFT}?type=sandbox`)).body as { inUse: boolean; id: number };
  assert.deepEqual([used.inUse, used.id], [true, id]);
});

test('many calls at once make one', async (t) => {
  const app = await keboolaServer(t);
  const ids = await Promise.all(Array.from({ length: 8 }, async () => (await create(app, 'writer')).id));
  assert.equal(new Set(ids).size, 1);
});

test('kill ends the sessions, drop ends everything, and a new one starts empty', async (t) => {
  const app = await keboolaServer(t);
  const { id, credentials } = await create(app, 'sandbox');
  const client = await connect(t, credentials);
  await client.query('create table t (x int)');
  assert.deepEqual((await app.request('POST', `${REDSHIFT}/${id}/kill`)).body, { status: 'ok' });
  await assert.rejects(client.query('select 1'));
  const second = await connect(t, credentials);
  assert.deepEqual((await app.request('DELETE', `${REDSHIFT}/${id}`)).body, { status: 'ok' });
  await assert.rejects(second.query('select 1'));
  await assert.rejects(connect(t, credentials));
  for (const [method, url] of [
    ['GET', `${REDSHIFT}/${id}`],
    ['DELETE', `${REDSHIFT}/${id}`],
    ['POST', `${REDSHIFT}/${id}/kill`],
    ['POST', `${REDSHIFT}/${id}/extend`],
    ['GET', `${REDSHIFT}/abc`],
    ['GET', `${REDSHIFT}?type=sandbox`],
  ] as const) {
    const answer = await app.request(method, url);
    assert.equal(answer.status, 404, `${method} ${url}`);
    assert.match((answer.body as { message: string }).message, /^Credentials not found\./);
  }
  const fresh = await create(app, 'sandbox');
  assert.notEqual(fresh.id, id);
  const third = await connect(t, fresh.credentials);
  await assert.rejects(third.query('select * from t'), /does not exist/);
});

test('another token of the same project sees nothing of it', async (t) => {
  const app = await keboolaServer(t);
  const { secret: token } = await app.tokenActor({});
  const mine = await create(app, 'sandbox');
  assert.equal((await app.request('GET', `${REDSHIFT}/${mine.id}`, undefined, { token })).status, 404);
  assert.equal((await app.request('DELETE', `${REDSHIFT}/${mine.id}`, undefined, { token })).status, 404);
  const other = await create(app, 'sandbox', token);
  assert.notEqual(other.credentials.user, mine.credentials.user);
});

test('what cannot be had is refused in the words of the original', async (t) => {
  const app = await keboolaServer(t);
  for (const backend of ['mysql', 'snowflake', 'docker', 'wrdb', 'constructor']) {
    for (const [method, rest] of [
      ['POST', ''],
      ['GET', ''],
      ['GET', '/1'],
      ['DELETE', '/1'],
      ['POST', '/1/kill'],
      ['POST', '/1/extend'],
    ] as const) {
      const answer = await app.request(method, `/syrup/provisioning/${backend}${rest}`);
      assert.equal(answer.status, 404, `${method} ${backend}${rest}`);
      assert.equal((answer.body as { message: string }).message, `'${backend}' not found.`);
    }
  }
  assert.equal((await app.request('POST', '/syrup/provisioning/async/docker', { type: 'rstudio' })).status, 404);
  assert.equal((await app.request('DELETE', '/syrup/provisioning/async/docker/4')).status, 404);
  assert.equal((await app.request('POST', '/syrup/provisioning/async/redshift-workspace', {})).status, 400);
  const wrongType = await app.request('POST', REDSHIFT, { type: 'rstudio' });
  assert.deepEqual([wrongType.status, (wrongType.body as { code: number }).code], [400, 400]);
  assert.equal((await app.request('GET', `${REDSHIFT}?type=no`)).status, 400);
  const { id } = await create(app);
  const extended = await app.request('POST', `${REDSHIFT}/${id}/extend`);
  assert.equal(extended.status, 400);
  assert.match((extended.body as { message: string }).message, /Cannot extend workspace credentials/);
  assert.equal((await app.request('POST', REDSHIFT, {}, { token: null })).status, 401);
});

test('the password stands in no event and not in the database', async (t) => {
  const app = await keboolaServer(t);
  const { credentials, id } = await create(app);
  await app.request('DELETE', `${REDSHIFT}/${id}`);
  const events = await app.request('GET', '/v2/storage/events');
  assert.match(events.text, /workspaceCreated/);
  assert.match(events.text, /workspaceDeleted/);
  assert.ok(!events.text.includes(credentials.password));
});
