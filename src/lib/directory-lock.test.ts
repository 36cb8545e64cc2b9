import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { lockDirectory, startTimeOf } from './directory-lock.ts';

function lockFile(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-lock-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return path.join(folder, 'server.lock');
}

/** A process that takes the lock, says what came of it and stays. */
function contender(t: TestContext, file: string): { child: ChildProcess; result: Promise<string> } {
  const script = `
    const { lockDirectory } = await import(${JSON.stringify(import.meta.resolve('./directory-lock.js'))});
    const result = await lockDirectory(${JSON.stringify(file)});
    console.log('lock' in result ? (result.lock.wasStale ? 'stale' : 'held') : 'refused ' + result.heldBy.pid);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return { child, result: once(child.stdout, 'data').then(([chunk]) => String(chunk).trim()) };
}

test('the lock is taken, refused to others with the owner, and free after its release', async (t) => {
  const file = lockFile(t);
  const first = await lockDirectory(file);
  assert.ok('lock' in first);
  assert.equal(first.lock.wasStale, false);
  const second = await lockDirectory(file);
  assert.ok('heldBy' in second);
  assert.deepEqual([second.heldBy.pid, second.isElsewhere], [process.pid, false]);
  first.lock.release();
  assert.equal(existsSync(file), false);
  const third = await lockDirectory(file);
  assert.ok('lock' in third && !third.lock.wasStale);
  third.lock.release();
  assert.deepEqual(readdirSync(path.dirname(file)), []);
});

test('the lock of a killed process is taken over at once', async (t) => {
  const file = lockFile(t);
  const { child, result } = contender(t, file);
  assert.equal(await result, 'held');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const next = await lockDirectory(file);
  assert.ok('lock' in next && next.lock.wasStale);
  next.lock.release();
});

test('a process number that now belongs to another process does not count', async (t) => {
  const file = lockFile(t);
  const taken = await lockDirectory(file);
  assert.ok('lock' in taken);
  const owner = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...owner, startTime: '1' }));
  const next = await lockDirectory(file);
  assert.ok('lock' in next && next.lock.wasStale);
  taken.lock.release();
  assert.ok(existsSync(file), 'the old owner must not release what is no longer its lock');
  next.lock.release();
});

test('a stale lock goes to exactly one of many', async (t) => {
  const file = lockFile(t);
  writeFileSync(file, 'torn by a power cut');
  const results = await Promise.all(Array.from({ length: 8 }, () => contender(t, file).result));
  assert.equal(results.filter((result) => !result.startsWith('refused')).length, 1, results.join());
});

test('an owner in another container or on another machine is known by its heartbeat', async (t) => {
  const file = lockFile(t);
  writeFileSync(file, JSON.stringify({ pid: 1, place: 'elsewhere', startTime: '1' }));
  const heartbeat = setInterval(() => utimesSync(file, new Date(), new Date()), 20);
  const refused = await lockDirectory(file, { watchMs: 500 });
  clearInterval(heartbeat);
  assert.ok('heldBy' in refused && refused.isElsewhere);
  const taken = await lockDirectory(file, { watchMs: 500 });
  assert.ok('lock' in taken && taken.lock.wasStale);
  taken.lock.release();
});

test('a process that does not exist has no start time', () => {
  assert.equal(startTimeOf(2 ** 22 + 1), undefined);
  assert.notEqual(startTimeOf(process.pid), undefined);
});
