import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from '../support/cleanup.ts';
import { checkServedLakes } from '../support/served-lakes.ts';

/** `npm run demo` after its build, in a process of its own. */
function demo(...args: string[]): { child: ChildProcess; output: () => string; ended: Promise<number | null> } {
  const child = spawn(process.execPath, [path.join(packageRoot, 'dist/demo/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  return { child, output: () => text, ended };
}

test('the demo runs twice, steps aside from a taken port, refuses a second one beside it, and leaves an open lake', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-demo-'));
  cleanup(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const data = path.join(folder, 'data');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  cleanup(t, () => void other.close());
  const taken = (other.address() as AddressInfo).port;

  const first = demo('--exit', '--data', data, '--port', String(taken));
  assert.equal(await first.ended, 0, first.output());
  assert.match(first.output(), new RegExp(`Port ${taken} is taken; using \\d+\\.`));
  assert.match(first.output(), /load all routes, incrementally .* 5,366/);
  assert.match(first.output(), /Every number is as expected/);

  const second = demo('--data', data, '--port', String(taken));
  cleanup(t, () => void second.child.kill('SIGKILL'));
  while (!second.output().includes('Serving until Ctrl-C')) {
    assert.equal(second.child.exitCode, null, second.output());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  const beside = demo('--exit', '--data', data, '--port', String(taken));
  assert.equal(await beside.ended, 1, beside.output());
  assert.match(beside.output(), /already|in use|locked/i);

  const url = /URL\s+(\S+)/.exec(second.output())?.[1] ?? '';
  const credentials = JSON.parse(readFileSync(path.join(data, 'credentials.json'), 'utf8'));
  await t.test('a stock DuckDB reads every table of the demo equal to its export', async (inner) => {
    const tables = await checkServedLakes(inner, { dataDirectory: data, url, token: credentials.keboola.storageToken });
    assert.ok(tables === undefined || tables >= 3);
  });

  second.child.kill('SIGINT');
  assert.equal(await second.ended, 0, second.output());
});
