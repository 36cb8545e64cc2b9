import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { FakeMachine, FakeRuntime } from '../../drivers/runtimes/fake/fake-runtime.ts';
import { makeWorkDirectory, removeTree, rowPaths, runId, sweepJobDirectories } from './work-dir.ts';

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), 'work-dir-'));
  t.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

test('a row that starts anew finds empty folders, and what waits to be loaded stays', async (t) => {
  const jobs = await folder(t);
  const { data, load } = await makeWorkDirectory(jobs, 1, 0);
  await writeFile(path.join(data, 'out/tables/old.csv'), 'x');
  await writeFile(path.join(load, 'output.parquet'), 'x');
  await makeWorkDirectory(jobs, 1, 0);
  assert.deepEqual((await readdir(data)).sort(), ['in', 'out']);
  assert.deepEqual((await readdir(path.join(data, 'in'))).sort(), ['files', 'tables', 'user']);
  assert.deepEqual(await readdir(path.join(data, 'out/tables')), []);
  assert.deepEqual(await readdir(load), ['output.parquet']);
});

test('folders that a program closed are removed all the same', async (t) => {
  const made = await folder(t);
  await mkdir(path.join(made, 'a/b'), { recursive: true });
  await writeFile(path.join(made, 'a/b/c'), '');
  await chmod(path.join(made, 'a/b'), 0);
  await removeTree(path.join(made, 'a'));
  assert.deepEqual(await readdir(made), []);
});

test('a start removes the folders of jobs that are over, ends their programs and leaves the others', async (t) => {
  const jobsDirectory = await folder(t);
  const machine = new FakeMachine();
  const runtime = new FakeRuntime(machine, () => [{ hang: true }]);
  for (const id of [1, 2]) {
    await makeWorkDirectory(jobsDirectory, id, 0);
    const { data, log } = rowPaths(jobsDirectory, id, 0);
    await runtime.start({
      id: runId(id, 0),
      command: [],
      workDirectory: data,
      environment: {},
      readOnlyPaths: [],
      logDirectory: log,
      network: 'none',
      limits: { timeoutMs: 10_000, memoryMb: 1, processes: 1, fileBytes: 1, logBytes: 1 },
    });
  }
  await writeFile(path.join(jobsDirectory, 'note.txt'), 'not a job');
  const next = new FakeRuntime(machine);
  assert.equal(await sweepJobDirectories({ jobsDirectory, runtime: next, unfinished: async () => [2] }), 1);
  assert.deepEqual((await readdir(jobsDirectory)).sort(), ['2', 'note.txt']);
  assert.deepEqual([...machine.programs.keys()], ['job-2-0']);
  await next.remove({ runtime: 'fake', id: 'job-2-0', logDirectory: '' });
});
