import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesOf } from '../faults/processes.ts';
import { Command, dataDirectory } from './command.ts';

const LIMIT_MB = 300;

test('an idle platform stays below 300 MB, all its processes together', async (t) => {
  if (process.platform !== 'linux') return t.skip('needs linux: memory is read from /proc');
  const data = dataDirectory(t);
  const server = new Command(t, ['up', '--data', data, '--port', '0', '--json']);
  const { url } = await server.ready();
  await fetch(`${url}/v2/storage`);
  await sleep(500);
  const rows = processesOf(data).map(({ pid, command }) => ({ command, mb: proportionalMb(pid) }));
  const total = rows.reduce((sum, { mb }) => sum + mb, 0);
  for (const { command, mb } of rows) t.diagnostic(`${mb.toFixed(0)} MB ${command.slice(0, 60)}`);
  t.diagnostic(`${total.toFixed(0)} MB in all`);
  assert.ok(rows.length >= 5, 'server and database were found');
  assert.ok(total < LIMIT_MB, `${total.toFixed(0)} MB`);
});

/** A page that several processes share counts for each of them in part. */
function proportionalMb(pid: number): number {
  try {
    const kb = /^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return Number(kb ?? 0) / 1024;
  } catch {
    // Ended meanwhile.
    return 0;
  }
}
