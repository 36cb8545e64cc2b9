import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import mysql from 'mysql2/promise';
import { cleanup } from '../../../../test/support/cleanup.ts';
import { type KeboolaServer, keboolaServer } from '../../../../test/support/keboola.ts';
import { startMariadb } from '../../../../test/support/mariadb.ts';
import { needs } from '../../../../test/support/needs.ts';

type Credentials = { id: number; hostname: string; port: number; db: string; user: string; password: string };
type Shown = { id: number; credentials: Credentials; touch: number; expiration: string; status: string; url: string };

const MYSQL = '/syrup/provisioning/mysql';
const DAY = 24 * 3600;

async function create(app: KeboolaServer, type?: string, token?: string): Promise<Shown> {
  const answer = await app.request('POST', MYSQL, type === undefined ? undefined : { type }, token ? { token } : {});
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

async function connect(t: TestContext, { hostname, port, db, user, password }: Credentials) {
  const client = await mysql.createConnection({ host: hostname, port, database: db, user, password });
  client.on('error', () => {
    // The kill or drop that the test is about.
  });
  cleanup(t, () => client.destroy());
  return client;
}

test('mysql credentials over HTTP: made once, used, extended, killed, dropped, and made anew', async (t) => {
  if (!needs(t, 'mariadb')) return;
  const { url, stop, start } = await startMariadb(t);
  const app = await keboolaServer(t, { mysqlUrl: url });
  assert.equal((await app.request('GET', `${MYSQL}?type=sandbox`)).status, 404);
  const { owner } = (await app.request('GET', '/v2/storage/tokens/verify')).body as { owner: Record<string, unknown> };
  assert.deepEqual([owner.hasMysql, owner.hasRedshift], [true, true]);

  const sandbox = await create(app, 'sandbox');
  const { credentials, id } = sandbox;
  assert.deepEqual(Object.keys(credentials), ['id', 'hostname', 'port', 'db', 'user', 'password']);
  assert.match(credentials.user, /^tapi_\d+_\w+_sand$/);
  assert.deepEqual([sandbox.status, sandbox.url, credentials.db], ['ok', `mysql/${id}`, credentials.user]);
  assert.equal(Date.parse(sandbox.expiration) / 1000 - sandbox.touch, 14 * DAY);
  const transformations = await create(app);
  assert.equal(Date.parse(transformations.expiration) / 1000 - transformations.touch, 7 * DAY);
  assert.notEqual(transformations.id, id);
  assert.equal((await app.request('POST', MYSQL, { type: 'writer' })).status, 400);

  const client = await connect(t, credentials);
  await client.query('create table t (id int primary key, name varchar(20)); '.trim());
  await client.query("insert into t values (1, 'ěščř')");
  const [rows] = await client.query('select name from t');
  assert.deepEqual(rows, [{ name: 'ěščř' }]);
  const [databases] = await client.query('show databases');
  assert.deepEqual(databases, [{ Database: 'information_schema' }, { Database: credentials.db }]);
  assert.equal(((await app.request('GET', `${MYSQL}/${id}`)).body as { inUse: boolean }).inUse, true);

  await new Promise((resolve) => setTimeout(resolve, 1100));
  const again = await create(app, 'sandbox');
  assert.deepEqual([again.id, again.credentials, again.touch], [id, credentials, sandbox.touch]);
  const extended = (await app.request('POST', `${MYSQL}/${id}/extend`)).body as Shown;
  assert.deepEqual(Object.keys(extended).sort(), ['expiration', 'id', 'touch']);
  assert.ok(extended.touch > sandbox.touch);

  const { secret: token } = await app.tokenActor({});
  for (const [method, rest] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/kill'],
    ['POST', '/extend'],
  ] as const)
    assert.equal((await app.request(method, `${MYSQL}/${id}${rest}`, undefined, { token })).status, 404);
  const foreign = await create(app, 'sandbox', token);
  assert.notEqual(foreign.credentials.db, credentials.db);
  await assert.rejects(client.query(`use ${foreign.credentials.db}`), { code: 'ER_DBACCESS_DENIED_ERROR' });

  assert.deepEqual((await app.request('POST', `${MYSQL}/${id}/kill`)).body, { status: 'ok' });
  await assert.rejects(client.query('select 1'));
  const second = await connect(t, credentials);
  await second.query('select * from t');

  // While the server is away every call says so, and nothing is lost when it is back.
  await stop();
  for (const [method, rest, body] of [
    ['GET', `/${id}`, undefined],
    ['POST', '', { type: 'sandbox' }],
    ['POST', `/${id}/kill`, undefined],
    ['DELETE', `/${transformations.id}`, undefined],
  ] as const) {
    const answer = await app.request(method, `${MYSQL}${rest}`, body);
    assert.equal(answer.status, 503, `${method} ${rest}: ${answer.text}`);
    assert.equal(answer.headers['retry-after'], '5');
    const { status, code, message, reason } = answer.body as Record<string, unknown>;
    assert.deepEqual([status, code, reason], ['error', 503, message]);
    assert.match(String(message), /workspace database is not available/);
    assert.doesNotMatch(answer.text, /ECONN|127\.0\.0\.1|operator/);
  }
  await start();
  assert.deepEqual((await create(app, 'sandbox')).credentials, credentials);
  await (await connect(t, credentials)).query('select * from t');
  // The drop that was asked for and could not be: those are gone for the client, and its next ones are others.
  assert.equal((await app.request('GET', `${MYSQL}/${transformations.id}`)).status, 404);
  assert.notEqual((await create(app)).id, transformations.id);

  const third = await connect(t, credentials);
  assert.deepEqual((await app.request('DELETE', `${MYSQL}/${id}`)).body, { status: 'ok' });
  await assert.rejects(third.query('select 1'));
  await assert.rejects(connect(t, credentials), { code: 'ER_ACCESS_DENIED_ERROR' });
  const fresh = await create(app, 'sandbox');
  assert.notEqual(fresh.id, id);
  await assert.rejects((await connect(t, fresh.credentials)).query('select * from t'), { code: 'ER_NO_SUCH_TABLE' });
});
