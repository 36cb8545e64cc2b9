import assert from 'node:assert/strict';
import { cpSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from '../../demo/client.ts';
import { Command, dataDirectory } from './command.ts';

async function open(t: Parameters<typeof dataDirectory>[0], data: string) {
  const server = new Command(t, ['up', '--data', data, '--port', '0', '--json']);
  const { url, credentials } = await server.ready();
  const { keboola } = JSON.parse(readFileSync(credentials, 'utf8')) as { keboola: { storageToken: string } };
  return { server, client: new Client(url, keboola.storageToken) };
}

test('a copy of a stopped data directory works in another place', async (t) => {
  const data = dataDirectory(t);
  const first = await open(t, data);
  await first.client.call('POST', '/v2/storage/buckets', { stage: 'in', name: 'kept' });
  const dataFileId = await first.client.upload('rows.csv', Buffer.from('id,text\n1,one\n2,two\n'), []);
  await first.client.storageJob('POST', '/v2/storage/buckets/in.c-kept/tables-async', { name: 'rows', dataFileId });
  first.server.child.kill('SIGTERM');
  await first.server.finished;

  const copy = path.join(path.dirname(dataDirectory(t)), 'restored', 'data');
  // What docs/operations.md leaves out of a backup.
  const needless = ['logs', 'tmp', 'run'].map((name) => path.join(data, name));
  cpSync(data, copy, { recursive: true, filter: (source) => !needless.includes(source) });
  renameSync(data, `${data}.gone`);

  const second = await open(t, copy);
  const rows = await second.client.exportRows('in.c-kept.rows');
  assert.deepEqual(rows.slice(1).sort(), [
    ['1', 'one'],
    ['2', 'two'],
  ]);
});
