import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/lib/package-root.ts';
import { keboolaServer } from '../support/keboola.ts';
import { npmPackages } from '../support/npm.ts';
import { NODE_BLOB_CLIENT } from './clients.ts';

const run = promisify(execFile);
const SCRIPT = path.join(packageRoot, 'test', 'compat', 'azure-blob-client.mjs');

type Prepared = {
  absUploadParams: { container: string; blobName: string; absCredentials: { SASConnectionString: string } };
};

test('the unmodified Azure blob client uploads, stages blocks, reads ranges, lists and deletes', async (t) => {
  const home = await npmPackages(t, NODE_BLOB_CLIENT);
  if (home === undefined) return;
  const server = await keboolaServer(t);
  const url = await server.server.listen();
  const prepare = async (name: string) => {
    const response = await fetch(`${url}/v2/storage/files/prepare`, {
      method: 'POST',
      headers: { 'x-storageapi-token': server.credentials.keboola.storageToken, 'content-type': 'application/json' },
      body: JSON.stringify({ name, federationToken: true }),
    });
    return ((await response.json()) as Prepared).absUploadParams;
  };
  const params = await prepare('a.csv');
  const grant = server.core.files.sign({ container: params.container }, 'rwld');
  const sas = params.absCredentials.SASConnectionString.replace(/sp=.*/, '');
  const deleting = `${sas}sp=rwld&se=${encodeURIComponent(grant.expiresAt)}&sig=${grant.signature}`;
  const { stdout } = await run(
    process.execPath,
    [SCRIPT, home, JSON.stringify({ ...params, deleting }), JSON.stringify(await prepare('other'))],
    { timeout: 60_000 },
  ).catch((error: Error & { stderr?: string }) => {
    throw new Error(error.stderr || error.message);
  });
  assert.equal(stdout.trim().split('\n').length, 9, stdout);
});
