import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from '../support/cleanup.ts';
import { Command, dataDirectory, kill, postgresPid, run } from './command.ts';

type CredentialsFile = {
  url: string;
  admin: { email: string; password: string };
  project: { id: number; name: string; slug: string };
  keboola: { storageToken: string; manageToken: string };
  airbyte: { workspaceId: string; clientId: string; clientSecret: string };
  syncano: { instance: string; accountKey: string; apiKey: string };
};

function readCredentials(file: string): CredentialsFile {
  return JSON.parse(readFileSync(file, 'utf8')) as CredentialsFile;
}

async function verify(url: string, token: string): Promise<number> {
  const response = await fetch(`${url}/v2/storage/tokens/verify`, { headers: { 'X-StorageApi-Token': token } });
  await response.arrayBuffer();
  return response.status;
}

const up = (data: string) => ['up', '--data', data, '--port', '0', '--json'];

/** One data directory through its life: making the database is the slow part of a first start. */
test('up, restart, refusal, kill -9, lost credentials', async (t) => {
  const data = dataDirectory(t);
  let credentials: CredentialsFile;

  await t.test('prints one exact ready line and writes private files', async (t) => {
    const server = new Command(t, up(data));
    const ready = await server.ready();
    const line = {
      ready: true,
      url: ready.url,
      dataDir: data,
      credentials: path.join(data, 'credentials.json'),
      pid: server.child.pid,
    };
    assert.equal(server.stdout, `${JSON.stringify(line)}\n`);
    assert.match(ready.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(statSync(data).mode & 0o777, 0o700);
    assert.equal(statSync(ready.credentials).mode & 0o777, 0o600);
    assert.equal(statSync(path.join(data, 'encryption.key')).mode & 0o777, 0o600);

    const health = await fetch(`${ready.url}/health`);
    const version = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')).version;
    assert.deepEqual([health.status, await health.json()], [200, { status: 'ok', version }]);

    credentials = readCredentials(ready.credentials);
    assert.equal(credentials.url, ready.url);
    assert.deepEqual(credentials.project, { id: credentials.project.id, name: 'Demo', slug: 'demo' });
    assert.equal(credentials.admin.email, 'admin@localhost');
    assert.match(credentials.syncano.accountKey, /^[0-9a-f]{40}$/);
    assert.match(credentials.syncano.apiKey, /^[0-9a-f]{40}$/);
    assert.equal(await verify(ready.url, credentials.keboola.storageToken), 200);
    assert.equal(await verify(ready.url, 'wrong'), 401);
  });

  await t.test('SIGTERM has ended everything and no secret was logged', async () => {
    assert.equal(postgresPid(data), undefined);
    assert.equal(existsSync(path.join(data, 'server.lock')), false);
    const log = readFileSync(path.join(data, 'logs', 'server.log'), 'utf8');
    for (const secret of [credentials.keboola.storageToken, credentials.admin.password, credentials.syncano.apiKey]) {
      assert.ok(!log.includes(secret), 'a secret was logged');
    }
  });

  await t.test('a restart keeps the credentials; a second server is refused; a kill -9 is survived', async (t) => {
    const first = new Command(t, up(data));
    const ready = await first.ready();
    const kept = readCredentials(ready.credentials);
    assert.deepEqual({ ...kept, url: '' }, { ...credentials, url: '' });
    assert.equal(kept.url, ready.url);

    const second = await run(t, up(data));
    assert.deepEqual([second.code, second.stdout], [1, ''], second.stderr);
    assert.match(second.stderr, new RegExp(`in use by the Millrace with process number ${first.child.pid}\\b`));
    assert.equal((await fetch(`${ready.url}/health`)).status, 200);

    const postgres = postgresPid(data);
    first.child.kill('SIGKILL');
    await first.finished;
    const third = new Command(t, up(data));
    const again = await third.ready();
    assert.equal(postgresPid(data), postgres, 'the database that lived on is adopted');
    assert.equal(await verify(again.url, credentials.keboola.storageToken), 200);

    kill(postgresPid(data) ?? 0, 'SIGKILL');
    third.child.kill('SIGKILL');
    await third.finished;
    const fourth = new Command(t, up(data));
    assert.equal(await verify((await fourth.ready()).url, credentials.keboola.storageToken), 200);
  });

  await t.test('lost credentials are made anew and the old ones end', async (t) => {
    rmSync(path.join(data, 'credentials.json'));
    const server = new Command(t, up(data));
    const ready = await server.ready();
    const renewed = readCredentials(ready.credentials);
    assert.deepEqual(renewed.project, credentials.project);
    assert.notEqual(renewed.keboola.storageToken, credentials.keboola.storageToken);
    assert.equal(await verify(ready.url, renewed.keboola.storageToken), 200);
    assert.equal(await verify(ready.url, credentials.keboola.storageToken), 401);
    assert.match(server.stderr, /credentials\.json was missing/);
  });

  await t.test('a taken port, a wrong setting and another database version are told in a sentence', async (t) => {
    await refusals(t, data);
  });
});

async function refusals(t: TestContext, data: string): Promise<void> {
  const blocker = createServer().listen(0, '127.0.0.1');
  cleanup(t, () => blocker.close());
  await once(blocker, 'listening');
  const { port } = blocker.address() as { port: number };
  const taken = await run(t, ['up', '--data', data, '--port', String(port), '--json']);
  assert.equal(taken.code, 1, taken.stderr);
  assert.match(taken.stderr, new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is taken`));
  assert.equal(postgresPid(data), undefined);

  const wrong = await run(t, ['up', '--data', data, '--port', 'many'], { env: { MILLRACE_RUNTIME: 'docker' } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /--port: must be a whole number/);
  assert.match(wrong.stderr, /MILLRACE_RUNTIME: must be one of/);

  const otherKey = await run(t, up(data), { env: { MILLRACE_ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64') } });
  assert.notEqual(otherKey.code, 0, 'another key than the one the secrets were encrypted with');

  writeFileSync(path.join(data, 'postgres', 'PG_VERSION'), '17\n');
  const major = await run(t, up(data));
  assert.equal(major.code, 1);
  assert.match(major.stderr, /made by PostgreSQL 17.*docs\/operations\.md/);
}

test('a signal while the server starts stops it, and a second one ends it at once', async (t) => {
  const data = dataDirectory(t);
  const first = new Command(t, up(data));
  while (!existsSync(path.join(data, 'server.lock'))) await new Promise((resolve) => setTimeout(resolve, 5));
  first.child.kill('SIGINT');
  const stopped = await first.finished;
  assert.equal(stopped.code, 0);
  assert.ok(stopped.ms < 20_000);

  const second = new Command(t, up(data));
  await second.ready();
  second.child.kill('SIGTERM');
  second.child.kill('SIGTERM');
  assert.ok([0, 143].includes((await second.finished).code ?? -1));
  const third = new Command(t, up(data));
  assert.equal((await third.ready()).ready, true);
});
