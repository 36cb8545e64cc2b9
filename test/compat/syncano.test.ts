import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/lib/package-root.ts';
import { npmPackages } from '../support/npm.ts';
import { startPlatform } from '../support/platform.ts';
import { SYNCANO_CLIENT } from './clients.ts';

const run = promisify(execFile);
const SCRIPT = path.join(packageRoot, 'test', 'compat', 'syncano-client.mjs');

test('the unmodified JavaScript client of 2016 works with classes, objects, users, scripts, schedules and endpoints', async (t) => {
  const home = await npmPackages(t, SYNCANO_CLIENT);
  if (home === undefined) return;
  const { url, credentials } = await startPlatform(t);
  // The client itself refuses names of less than five letters, such as that of the first project.
  const made = await fetch(`${url}/manage/projects`, {
    method: 'POST',
    headers: { 'x-kbc-manageapitoken': credentials.keboola.manageToken, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bookshop' }),
  });
  const { syncano } = (await made.json()) as Pick<typeof credentials, 'syncano'>;
  const given = JSON.stringify({ url, ...syncano });
  const { stdout } = await run(process.execPath, [SCRIPT, home, given], { timeout: 60_000 }).catch(
    (error: Error & { stdout?: string; stderr?: string }) => {
      throw new Error(`${error.stdout}${error.stderr || error.message}`);
    },
  );
  assert.deepEqual(stdout.trim().split('\n'), [
    'instances',
    'classes',
    'objects',
    'users',
    'scripts',
    'schedules',
    'endpoints',
  ]);
});
