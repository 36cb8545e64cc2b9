import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineTable, temporaryFolder } from '../../../../test/conformance/engine-world.ts';
import { cleanup } from '../../../../test/support/cleanup.ts';
import { needs } from '../../../../test/support/needs.ts';
import { AppError } from '../../../core/errors.ts';
import { silentLogger } from '../../../lib/logger.ts';
import { openDuckdbEngine } from './index.ts';

async function open(t: TestContext) {
  const folder = await temporaryFolder(t);
  const engine = await openDuckdbEngine({
    directory: path.join(folder, 'engine'),
    spillDirectory: path.join(folder, 'spill'),
    memoryLimitMb: 300,
    threads: 2,
    log: silentLogger,
  });
  cleanup(t, () => engine.close());
  let count = 0;
  const session = (tenant?: string) => {
    count += 1;
    const spec = { sessionId: `s${count}`, tables: [], workDirectory: folder, memoryLimitMb: 200 };
    return engine.sessions!.open(tenant === undefined ? spec : { ...spec, tenant });
  };
  return { engine, folder, session };
}

/** Session processes that are ours, or of a sandbox of ours. */
async function sessionProcesses(parent = process.pid): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    if (!new RegExp(`^PPid:\\s*${parent}$`, 'm').test(status) || /^State:\s*Z/m.test(status)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('session-main') && !command.startsWith('bwrap')) found.push(pid);
    else found.push(...(await sessionProcesses(pid)));
  }
  return found;
}

test('a session process that dies is reported and hurts nobody else', async (t) => {
  const { session } = await open(t);
  const first = await session();
  const [victim] = await sessionProcesses();
  const second = await session();
  const running = first.run(
    'CREATE TABLE x AS SELECT sum(a.i * b.i) AS s FROM range(10000000) a(i), range(10000) b(i)',
  );
  setTimeout(() => process.kill(victim!, 'SIGKILL'), 50);
  await assert.rejects(
    running,
    (error) => error instanceof AppError && error.code === 'session.ended' && !error.retryable,
  );
  await second.run('CREATE TABLE x AS SELECT 1 AS a');
  await first.close();
  await second.close();
});

test('a spare process is kept after the first session, and closing leaves no process and no file', async (t) => {
  const { engine, folder, session } = await open(t);
  assert.deepEqual(await sessionProcesses(), []);
  await (await session()).close();
  await sleep(1000);
  assert.equal((await sessionProcesses()).length, 1);
  const started = performance.now();
  const warm = await session();
  const took = performance.now() - started;
  assert.ok(took < 1000, `${took} ms`);
  t.diagnostic(`open with a spare process: ${took.toFixed(1)} ms`);
  await warm.close();
  await engine.close();
  assert.deepEqual(await sessionProcesses(), []);
  assert.equal(existsSync(path.join(folder, 'engine', 'sessions')), false);
});

test('a process serves the sessions of one tenant, each from nothing, and never those of another', async (t) => {
  const { session } = await open(t);
  const first = await session('a');
  await first.run("CREATE TABLE x AS SELECT 1 AS a; SET VARIABLE v = 'mine'; CREATE MACRO m() AS 1");
  const used = await sessionProcesses();
  await first.close();

  const other = await session('b');
  const second = await session('a');
  assert.ok(
    (await sessionProcesses()).some((pid) => used.includes(pid)),
    'the process lives on for its tenant',
  );
  assert.equal(await second.describe('x'), undefined);
  await assert.rejects(second.run('CREATE TABLE y AS SELECT m() AS a'));
  await second.run(
    "CREATE TABLE z AS SELECT coalesce(getvariable('v'), 'nothing') AS a WHERE getvariable('v') IS NULL",
  );
  assert.equal((await second.exportTable('z')).rows, 1);
  await second.close();
  await other.close();

  const foreign = await session('c');
  assert.equal(await foreign.describe('z'), undefined);
  await foreign.close();
});

test('a process with a failed or stopped session serves its tenant no less well', async (t) => {
  const { session } = await open(t);
  const failed = await session('a');
  await assert.rejects(failed.run('SELEC 1'));
  await failed.close();
  const stopped = await session('a');
  const stop = new AbortController();
  const running = stopped.run(
    'CREATE TABLE x AS SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000) b(i)',
    stop.signal,
  );
  setTimeout(() => stop.abort(), 50);
  await assert.rejects(running);
  await stopped.close();
  const next = await session('a');
  await next.run('CREATE TABLE x AS SELECT 1 AS a');
  assert.equal((await next.exportTable('x')).rows, 1);
  await next.close();
});

test('in a sandbox the session sees its inputs and nothing else', async (t) => {
  if (!needs(t, 'bubblewrap')) return;
  const { engine, session } = await open(t);
  const table = await EngineTable.make(engine, t, ['a']);
  await table.import({ content: '1\n2\n' });
  await table.deleteRows({ field: '1', op: 'eq', values: ['1'] });
  const sql = await engine.sessions!.open({
    sessionId: 'boxed',
    tables: [{ name: 't', version: table.version, columns: [{ fieldId: 1, name: 'a' }] }],
    workDirectory: table.folder,
    memoryLimitMb: 200,
  });
  const pids = await sessionProcesses();
  const mounts = await readFile(`/proc/${pids[0]}/mounts`, 'utf8');
  assert.ok(!mounts.includes(table.data));
  await sql.run('CREATE TABLE o AS SELECT * FROM t');
  const exported = await sql.exportTable('o');
  assert.equal(exported.rows, 1);
  assert.equal(path.dirname(exported.path), table.folder);
  await sql.close();
  await (await session()).close();
});

test('sessions opened at the same moment get processes of their own', async (t) => {
  const { session } = await open(t);
  await (await session()).close();
  await sleep(500);
  const sessions = await Promise.all([session(), session(), session()]);
  for (const [index, each] of sessions.entries()) await each.run(`CREATE TABLE x AS SELECT ${index} AS a`);
  await Promise.all(sessions.map((each) => each.close()));
});
