import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, statfsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineTable, temporaryFolder } from '../../../../test/conformance/engine-world.ts';
import { cleanup } from '../../../../test/support/cleanup.ts';
import { needs } from '../../../../test/support/needs.ts';
import { AppError } from '../../../core/errors.ts';
import { silentLogger } from '../../../lib/logger.ts';
import { type DuckdbEngine, type DuckdbEngineOptions, openDuckdbEngine } from './index.ts';

async function open(
  t: TestContext,
  options: Partial<DuckdbEngineOptions> = {},
): Promise<DuckdbEngine & { folder: string }> {
  const folder = await temporaryFolder(t);
  const engine = await openDuckdbEngine({
    directory: path.join(folder, 'engine'),
    spillDirectory: path.join(folder, 'spill'),
    memoryLimitMb: 500,
    threads: 2,
    log: silentLogger,
    ...options,
  });
  cleanup(t, () => engine.close());
  return { ...engine, folder };
}

const isUnavailable = (error: unknown) => error instanceof AppError && error.kind === 'unavailable' && error.retryable;

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await what()); waited += 20) {
    assert.ok(waited < 10_000, 'waited too long');
    await sleep(20);
  }
}

const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}`) && spawnSync('grep', ['-q', '^State:\\s*Z', `/proc/${pid}/status`]).status !== 0;

const largeCsv = 'abc,"def, ghi",some more text to read\n'.repeat(700_000);

test('there is no process before the first call, and none after a while without calls', async (t) => {
  const engine = await open(t, { idleSeconds: 0.2 });
  assert.equal(await engine.enginePid(), undefined);
  await engine.check();
  const pid = await engine.enginePid();
  assert.ok(pid !== undefined && isAlive(pid));
  await until(async () => (await engine.enginePid()) === undefined);
  assert.ok(!isAlive(pid));
  await until(async () => (await readdir(path.join(engine.folder, 'spill'))).length === 0);
  await engine.check();
  assert.notEqual(await engine.enginePid(), pid);
});

test('calls under way fail as retryable when the process is killed, their files are removed, the next call works', async (t) => {
  const engine = await open(t);
  const table = await EngineTable.make(engine, t, ['a', 'b', 'c']);
  await engine.check();
  const pid = (await engine.enginePid())!;
  const writing = assert.rejects(table.write({ content: largeCsv, primaryKey: [1] }), isUnavailable);
  await until(async () => (await readdir(table.data)).length > 0);
  process.kill(pid, 'SIGKILL');
  await writing;
  assert.deepEqual(await readdir(table.data), []);
  const change = await table.import({ content: 'a,b,c\n' });
  assert.equal(change.totalRows, 1);
  const destination = path.join(table.folder, 'out.csv');
  const again = (await engine.enginePid())!;
  assert.notEqual(again, pid);
  const exporting = engine.tables.export({
    ...table.request(),
    destination,
    format: { kind: 'csv', gzip: true, header: null },
  });
  process.kill(again, 'SIGKILL');
  await assert.rejects(exporting, isUnavailable);
  assert.deepEqual(
    (await readdir(table.folder)).filter((name) => name.startsWith('out')),
    [],
  );
});

test('the process ends by itself when its server is killed, also in the middle of a query', async (t) => {
  const folder = await temporaryFolder(t);
  const content = path.join(folder, 'large.csv');
  await writeFile(content, largeCsv);
  await mkdir(path.join(folder, 'data'));
  const script = `
    import { openDuckdbEngine } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
    const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
    const engine = await openDuckdbEngine({ directory: '${folder}/engine', spillDirectory: '${folder}/spill', memoryLimitMb: 300, threads: 1, log });
    await engine.check();
    console.log(await engine.enginePid());
    await engine.tables.write({ operationId: 'x', primaryKey: [], mode: 'append', directory: '${folder}/data', filePrefix: 'p',
      table: { columns: [{ fieldId: 1, name: 'a', type: 'varchar' }, { fieldId: 2, name: 't', type: 'timestamp' }], files: [] },
      source: { kind: 'csv', paths: ['${content}'], fieldIds: [1, null, null],
        format: { delimiter: ',', enclosure: '"', escapedBy: '', compression: 'none', skipLines: 0, hasHeader: false } },
      timestamp: { fieldId: 2, value: new Date() } });
  `;
  const server = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanup(t, () => server.kill('SIGKILL'));
  const pid = Number(await firstLine(server.stdout));
  await until(async () => (await readdir(path.join(folder, 'data'))).length > 0);
  server.kill('SIGKILL');
  await until(() => !isAlive(pid));
  // What was left on disk is cleared by the next server.
  assert.notDeepEqual(await readdir(path.join(folder, 'spill')), []);
  const next = await openDuckdbEngine({
    directory: `${folder}/engine`,
    spillDirectory: `${folder}/spill`,
    memoryLimitMb: 300,
    threads: 1,
    log: silentLogger,
  });
  assert.deepEqual(await readdir(path.join(folder, 'spill')), []);
  await next.close();
});

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stream })) return line;
  throw new Error('The process said nothing');
}

test('a full disk is told as such and nothing half-written stays', async (t) => {
  if (!needs(t, 'root', 'tmpfs')) return;
  const engine = await open(t);
  const table = await EngineTable.make(engine, t, ['a', 'b', 'c']);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', table.data]);
  if (mounted.status !== 0) return t.skip('needs tmpfs: mounting is not allowed here');
  try {
    const isFull = (error: unknown) =>
      error instanceof AppError && error.kind === 'limit' && error.code === 'disk.full';
    const content = Array.from({ length: 200_000 }, (_, row) => `${row},${Math.sin(row)},${Math.cos(row)}\n`).join('');
    for (const primaryKey of [[], [1]]) {
      await assert.rejects(table.write({ content, primaryKey }), isFull);
      assert.deepEqual(await readdir(table.data), []);
    }
    const small = await table.import({ content: content.slice(0, 200_000).replace(/[^\n]*$/, '') });
    assert.ok(small.totalRows > 1000);
    // Random bytes leave room for a few pages only.
    const free = statfsSync(table.data);
    await writeFile(path.join(table.data, 'filler'), randomBytes((free.bfree - 4) * free.bsize));
    for (const gzip of [false, true]) {
      const destination = path.join(table.data, 'out');
      const format = { kind: 'csv' as const, gzip, header: null };
      await assert.rejects(engine.tables.export({ ...table.request(), destination, format }), isFull);
      assert.equal((await readdir(table.data)).length, 2);
    }
  } finally {
    spawnSync('umount', [table.data]);
  }
});

test('rows too large for row groups of the usual length still load within the memory limit', async (t) => {
  const engine = await open(t, { memoryLimitMb: 300 });
  const table = await EngineTable.make(engine, t, ['id', 'text']);
  const text = 'x y '.repeat(16_000);
  const content = Array.from({ length: 3_000 }, (_, row) => `${row},${text}${row}\n`).join('');
  const change = await table.import({ content, primaryKey: [1] });
  assert.equal(change.totalRows, 3_000);
  assert.deepEqual(await table.rows({ columns: [1], filter: { field: '1', op: 'eq', values: ['2999'] } }), [['2999']]);
});

test('the server process never loads DuckDB', async (t) => {
  const engine = await open(t);
  await engine.check();
  const maps = await readFile('/proc/self/maps', 'utf8');
  assert.ok(!maps.includes('libduckdb'));
});
