import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/lib/package-root.ts';
import { freePort } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import { startPlatform } from '../support/platform.ts';

test('the commands of docs/one-tenant.md work as they stand there', async (t) => {
  if (!needs(t, 'curl')) return;
  const text = readFileSync(path.join(packageRoot, 'docs/one-tenant.md'), 'utf8');
  const blocks = [...text.matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1] ?? '');
  const { dataDir } = await startPlatform(t);
  symlinkSync(dataDir, path.join(dataDir, 'millrace-data'));
  // All but the port of the server with the CSV, which may be taken here.
  const script = ['set -eo pipefail', ...blocks].join('\n').replaceAll('8901', String(await freePort()));
  const shell = spawn('bash', ['-c', script], {
    cwd: dataDir,
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk) => (output += chunk));
  const [code] = await once(shell, 'close');
  assert.equal(code, 0, output);
  for (const said of [
    '"1","Prague","1397880"',
    'Cities <> Storage',
    'Synced 3 records.',
    '"event":"storage.jobFinished"',
    '"city":"Brno"',
    '1800619',
    'hostname:',
  ])
    assert.ok(output.includes(said), `${said} is missing in ${output}`);
});
