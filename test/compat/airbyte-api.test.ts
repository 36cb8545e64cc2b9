import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { AIRBYTE_PREFIXES } from '../../src/dialects/airbyte/index.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { installConnector } from '../support/connectors.ts';
import { keboolaServer } from '../support/keboola.ts';
import { startPlatform } from '../support/platform.ts';
import { pythonEnvironment } from '../support/python.ts';
import { PYTHON_AIRBYTE_CLIENT, PYTHON_CONNECTOR } from './clients.ts';

const run = promisify(execFile);
const SCRIPT = path.join(packageRoot, 'test', 'compat', 'airbyte_client.py');

type Application = { clientId: string; clientSecret: string; workspaceId: string };

/** Answers the lines that the part of the script printed. */
async function drive(python: string, part: 'resources' | 'sync', url: string, airbyte: Application): Promise<string[]> {
  const { clientId, clientSecret, workspaceId } = airbyte;
  const args = [SCRIPT, part, url, clientId, clientSecret, workspaceId];
  const { stdout } = await run(python, args, { timeout: 120_000 }).catch(
    (error: Error & { stdout?: string; stderr?: string }) => {
      throw new Error(`${error.stdout}${error.stderr || error.message}`);
    },
  );
  return stdout.trim().split('\n');
}

for (const prefix of AIRBYTE_PREFIXES) {
  test(`the unmodified Python client gets a token and changes resources under ${prefix}`, async (t) => {
    const python = await pythonEnvironment(t, PYTHON_AIRBYTE_CLIENT);
    if (python === undefined) return;
    const server = await keboolaServer(t);
    const url = await server.server.listen();
    const lines = await drive(python, 'resources', `${url}${prefix}`, server.credentials.airbyte);
    assert.equal(lines.length, 5, lines.join('\n'));
  });
}

test('the unmodified Python client syncs a connector of other makers into tables', async (t) => {
  const python = await pythonEnvironment(t, PYTHON_AIRBYTE_CLIENT);
  if (python === undefined) return;
  const { url, dataDir, credentials, platform } = await startPlatform(t);
  if (!(await installConnector(t, dataDir, PYTHON_CONNECTOR))) return;
  await platform.core.components.refresh();
  const lines = await drive(python, 'sync', `${url}${AIRBYTE_PREFIXES[0]}`, credentials.airbyte);
  assert.equal(lines.length, 5, lines.join('\n'));
  const actor = await platform.core.identity.authenticateStorageToken(credentials.keboola.storageToken);
  const users = await platform.core.tables.preview(actor, 'in.c-airbyte.fake_users', { limit: 100 });
  const column = (name: string) => users.rows.map((row) => String(row[users.columns.indexOf(name)]));
  assert.deepEqual(
    column('id')
      .map(Number)
      .sort((a, b) => a - b),
    Array.from({ length: 60 }, (_, index) => index + 1),
  );
  for (const email of column('email')) assert.match(email, /^\S+@\S+\.\S+$/);
  for (const address of column('address')) assert.ok('city' in (JSON.parse(address) as object), address);
  const products = await platform.core.tables.preview(actor, 'in.c-airbyte.fake_products', { limit: 200 });
  assert.deepEqual([products.columns, products.rows.length], [['id', 'make'], 60]);
});
