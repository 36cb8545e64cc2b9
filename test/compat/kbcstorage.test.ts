import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/lib/package-root.ts';
import { keboolaServer } from '../support/keboola.ts';
import { startPlatform } from '../support/platform.ts';
import { pythonEnvironment } from '../support/python.ts';
import { PYTHON_STORAGE_CLIENT } from './clients.ts';

const run = promisify(execFile);
const SCRIPT = path.join(packageRoot, 'test', 'compat', 'kbcstorage_client.py');

/** Runs one part of the script in a folder of its own; answers the lines it printed. */
async function drive(
  t: TestContext,
  python: string,
  part: 'files' | 'tables' | 'workspaces',
  server: { url: string; token: string },
): Promise<string[]> {
  const cwd = await mkdtemp(path.join(tmpdir(), 'millrace-compat-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  const { stdout } = await run(python, [SCRIPT, part, server.url, server.token], { cwd, timeout: 120_000 }).catch(
    (error: Error & { stdout?: string; stderr?: string }) => {
      throw new Error(`${error.stdout}${error.stderr || error.message}`);
    },
  );
  return stdout.trim().split('\n');
}

test('the unmodified Python client uploads, slices, lists, downloads and deletes files', async (t) => {
  const python = await pythonEnvironment(t, PYTHON_STORAGE_CLIENT);
  if (python === undefined) return;
  const server = await keboolaServer(t);
  const url = await server.server.listen();
  const lines = await drive(t, python, 'files', { url, token: server.credentials.keboola.storageToken });
  assert.equal(lines.length, 8, lines.join('\n'));
});

test('the unmodified Python client makes, loads, previews, exports and drops tables', async (t) => {
  const python = await pythonEnvironment(t, PYTHON_STORAGE_CLIENT);
  if (python === undefined) return;
  const { url, credentials } = await startPlatform(t);
  const lines = await drive(t, python, 'tables', { url, token: credentials.keboola.storageToken });
  assert.equal(lines.length, 9, lines.join('\n'));
});

test('the unmodified Python client makes workspaces, loads tables into them and drops them', async (t) => {
  const python = await pythonEnvironment(t, PYTHON_STORAGE_CLIENT);
  if (python === undefined) return;
  const { url, credentials } = await startPlatform(t, { config: { workspacePort: 0 } });
  const lines = await drive(t, python, 'workspaces', { url, token: credentials.keboola.storageToken });
  assert.equal(lines.length, 6, lines.join('\n'));
});
