import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from '../../demo/client.ts';
import { testConnection } from '../support/database.ts';
import { Command, dataDirectory } from './command.ts';

test('serve splits the platform over processes that meet in DATABASE_URL', async (t) => {
  const data = dataDirectory(t);
  const { host, user, database } = await testConnection(t, { migrated: false });
  const env = { DATABASE_URL: `postgres://${user}@${encodeURIComponent(host)}/${database}` };
  const serve = (roles: string) =>
    new Command(t, ['serve', '--roles', roles, '--data', data, '--port', '0', '--json'], { env });
  const [front, worker] = [serve('http'), serve('worker,engine')];
  const ready = await front.ready();
  assert.deepEqual(Object.keys(await worker.ready()), ['ready', 'dataDir', 'credentials', 'pid']);

  const { keboola } = JSON.parse(readFileSync(ready.credentials, 'utf8')) as { keboola: { storageToken: string } };
  const client = new Client(ready.url, keboola.storageToken);
  await client.call('POST', '/v2/storage/buckets', { stage: 'in', name: 'split' });
  const dataFileId = await client.upload('rows.csv', Buffer.from('id\n1\n2\n'), []);
  await client.storageJob('POST', '/v2/storage/buckets/in.c-split/tables-async', { name: 'rows', dataFileId });
  assert.deepEqual((await client.exportRows('in.c-split.rows')).slice(1).sort(), [['1'], ['2']]);

  worker.child.kill('SIGTERM');
  assert.equal((await worker.finished).code, 0);
  assert.equal((await fetch(`${ready.url}/health`)).status, 200);
});

test('with a certificate the server speaks HTTPS', async (t) => {
  if (spawnSync('openssl', ['version']).status !== 0) return t.skip('needs openssl: it makes the certificate');
  const data = dataDirectory(t);
  const [cert, key] = [path.join(path.dirname(data), 'cert.pem'), path.join(path.dirname(data), 'key.pem')];
  const made = spawnSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '1',
      '-subj',
      '/CN=localhost',
      '-out',
      cert,
      '-keyout',
      key,
    ],
    { stdio: 'ignore' },
  );
  assert.equal(made.status, 0);
  const server = new Command(t, ['up', '--data', data, '--port', '0', '--tls-cert', cert, '--tls-key', key, '--json']);
  const { url } = await server.ready();
  assert.match(url, /^https:\/\//);
  const agent = new Agent({ ca: readFileSync(cert), checkServerIdentity: () => undefined });
  const status = await new Promise((resolve, reject) => {
    get(`${url}/health`, { agent }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
  agent.destroy();
  assert.equal(status, 200);
});
