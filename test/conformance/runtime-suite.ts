import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunHandle, RunSpec, Runtime } from '../../src/drivers/runtimes/contract.ts';

/** What the suite asks programs to do; every runtime under test says how its programs do that. */
export type Programs = {
  printBoth(out: string, err: string): string[];
  printVariable(name: string): string[];
  exitWith(code: number): string[];
  sleepThen(ms: number, out: string): string[];
  hang(): string[];
  hangPolitelyDeaf(): string[];
  copyInData(from: string, to: string): string[];
  printForever(): string[];
  useMemory(mb: number): string[];
};

export type RuntimeFixture = {
  name: string;
  programs: Programs;
  /** A reason, where this machine cannot run it. */
  skip?: string;
  /** A runtime on the machine that `previous` runs on, as after a restart of the server. */
  open(previous?: Runtime): Promise<Runtime>;
};

export type Bench = {
  runtime: Runtime;
  run(command: string[], options?: Partial<RunSpec>): Promise<{ handle: RunHandle; spec: RunSpec }>;
  output(handle: RunHandle): Promise<{ stdout: string; stderr: string }>;
  directory: string;
};

/** A runtime with folders of its own; everything it started is gone after the test. */
export async function openBench(t: TestContext, fixture: RuntimeFixture): Promise<Bench> {
  const runtime = await fixture.open();
  const directory = await mkdtemp(join(tmpdir(), 'runtime-test-'));
  const root = await runtime.workRoot(directory);
  const handles: RunHandle[] = [];
  let count = 0;
  t.after(async () => {
    for (const handle of handles) await runtime.remove(handle);
    await runtime.close();
    for (const folder of new Set([directory, root])) await rm(folder, { recursive: true, force: true });
  });
  return {
    runtime,
    directory: root,
    async run(command, options = {}) {
      const home = join(root, `run-${++count}`);
      const spec: RunSpec = {
        id: `test-${process.pid}-${Date.now()}-${count}`,
        command,
        workDirectory: join(home, 'data'),
        environment: {},
        readOnlyPaths: [],
        logDirectory: join(home, 'log'),
        network: 'none',
        limits: { timeoutMs: 20_000, memoryMb: 256, processes: 64, fileBytes: 1 << 26, logBytes: 1 << 20 },
        ...options,
      };
      if (root !== directory) await mkdir(root, { recursive: true, mode: 0o711 });
      await mkdir(home, { mode: 0o711 });
      await mkdir(spec.workDirectory, { recursive: true });
      if (options.workDirectory === undefined) await writeFile(join(spec.workDirectory, 'in.txt'), 'from outside');
      const handle = await runtime.start(spec);
      handles.push(handle);
      return { handle, spec };
    },
    output: (handle) => readAll(runtime, handle),
  };
}

export async function readAll(runtime: Runtime, handle: RunHandle, from?: { stdout: number; stderr: number }) {
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  for await (const { stream, bytes } of runtime.logs(handle, from)) chunks[stream].push(bytes);
  return { stdout: Buffer.concat(chunks.stdout).toString(), stderr: Buffer.concat(chunks.stderr).toString() };
}

export function runtimeSuite(fixture: RuntimeFixture): void {
  const { programs } = fixture;
  const on = (name: string, body: (bench: Bench) => Promise<void>) =>
    test(`${fixture.name}: ${name}`, fixture.skip ? { skip: fixture.skip } : {}, async (t) =>
      body(await openBench(t, fixture)),
    );

  on('output of both streams arrives complete, and the exit code is told', async ({ runtime, run, output }) => {
    const { handle } = await run(programs.printBoth('hello', 'oh no'));
    assert.deepEqual(await output(handle), { stdout: 'hello', stderr: 'oh no' });
    const exit = await runtime.wait(handle);
    assert.equal(exit.code, 0);
    assert.equal(exit.reason, 'exited');
    assert.ok(exit.startedAt <= exit.finishedAt);
  });

  on('reading can begin in the middle of the output', async ({ runtime, run }) => {
    const { handle } = await run(programs.printBoth('hello', 'oh no'));
    await runtime.wait(handle);
    assert.deepEqual(await readAll(runtime, handle, { stdout: 3, stderr: 5 }), { stdout: 'lo', stderr: '' });
  });

  on('exit codes are told as they are', async ({ runtime, run }) => {
    for (const code of [1, 2, 137]) {
      const { handle } = await run(programs.exitWith(code));
      const { reason, code: told } = await runtime.wait(handle);
      assert.deepEqual({ reason, told }, { reason: 'exited', told: code });
    }
  });

  on('a program finds its data folder and only the environment it was given', async ({ run, output }) => {
    const { handle } = await run(programs.printVariable('WHERE'), { environment: { WHERE: '{data}/' } });
    const { stdout } = await output(handle);
    assert.match(stdout, /^\/.*\/$/);
    process.env.SECRET_OF_SERVER = 'secret';
    const { handle: second } = await run(programs.printVariable('SECRET_OF_SERVER'));
    assert.equal((await output(second)).stdout.trim(), '');
    delete process.env.SECRET_OF_SERVER;
  });

  on('a program stopped in the moment of its start ends', async ({ runtime, run }) => {
    for (let time = 0; time < 5; time++) {
      const { handle } = await run(programs.hang());
      await runtime.stop(handle, 0);
      assert.equal((await runtime.wait(handle)).reason, 'stopped');
    }
  });

  on('what a program writes into the data folder is there afterwards', async ({ runtime, run }) => {
    const { handle, spec } = await run(programs.copyInData('in.txt', 'out.txt'));
    assert.equal((await runtime.wait(handle)).code, 0);
    assert.equal(await readFile(join(spec.workDirectory, 'out.txt'), 'utf8'), 'from outside');
  });

  on('the time limit ends a program with code 137', async ({ runtime, run }) => {
    const begin = Date.now();
    const { handle } = await run(programs.hang(), {
      limits: { timeoutMs: 300, memoryMb: 256, processes: 64, fileBytes: 1 << 20, logBytes: 1 << 20 },
    });
    const { code, reason } = await runtime.wait(handle);
    assert.deepEqual({ code, reason }, { code: 137, reason: 'timeout' });
    assert.ok(Date.now() - begin < 1300);
  });

  on('the memory limit ends a program', async ({ runtime, run }) => {
    const { handle } = await run(programs.useMemory(1000), {
      limits: { timeoutMs: 20_000, memoryMb: 100, processes: 64, fileBytes: 1 << 26, logBytes: 1 << 20 },
    });
    const { code, reason } = await runtime.wait(handle);
    assert.deepEqual({ code, reason }, { code: 137, reason: 'out-of-memory' });
  });

  on('memory within the limit is left alone', async ({ runtime, run }) => {
    const { handle } = await run(programs.useMemory(50));
    const { code, reason } = await runtime.wait(handle);
    assert.deepEqual({ code, reason }, { code: 0, reason: 'exited' });
  });

  on('endless output is cut off at its limit', async ({ runtime, run, output }) => {
    const { handle } = await run(programs.printForever(), {
      limits: { timeoutMs: 20_000, memoryMb: 256, processes: 64, fileBytes: 2 << 20, logBytes: 1 << 20 },
    });
    assert.equal((await runtime.wait(handle)).reason, 'output-limit');
    assert.ok((await output(handle)).stdout.length <= 2 << 20);
  });

  on('stop is polite first, and then final', async ({ runtime, run }) => {
    const polite = await run(programs.hang());
    await sleep(150);
    const begin = Date.now();
    await runtime.stop(polite.handle, 5000);
    assert.ok(Date.now() - begin < 3000, 'a program that listens need not be waited for');
    assert.equal((await runtime.wait(polite.handle)).reason, 'stopped');
    const deaf = await run(programs.hangPolitelyDeaf());
    await sleep(150);
    await runtime.stop(deaf.handle, 200);
    const { code, reason } = await runtime.wait(deaf.handle);
    assert.deepEqual({ code, reason }, { code: 137, reason: 'stopped' });
    await runtime.stop(deaf.handle, 200);
  });

  on('a stopped start starts nothing', async ({ runtime, directory }) => {
    const logDirectory = join(directory, 'never');
    const spec: RunSpec = {
      id: 'never',
      command: programs.hang(),
      workDirectory: directory,
      environment: {},
      readOnlyPaths: [],
      logDirectory,
      network: 'none',
      limits: { timeoutMs: 20_000, memoryMb: 256, processes: 64, fileBytes: 1 << 26, logBytes: 1 << 20 },
    };
    await assert.rejects(runtime.start(spec, AbortSignal.abort()));
    assert.equal(await runtime.recover(runtime.handleOf(spec)), 'never-started');
  });

  on('a restarted server finds a live program again, its output and its end', async ({ runtime, run }) => {
    const { handle, spec } = await run(programs.sleepThen(600, 'done'));
    assert.deepEqual(handle, runtime.handleOf(spec), 'the handle is known before the start');
    assert.deepEqual(JSON.parse(JSON.stringify(handle)), handle);
    await runtime.close();
    const next = await fixture.open(runtime);
    assert.equal(await next.recover(handle), 'adopted');
    assert.equal((await readAll(next, handle)).stdout, 'done');
    const { code, reason } = await next.wait(handle);
    assert.deepEqual({ code, reason }, { code: 0, reason: 'exited' });
    await next.close();
  });

  on('a restarted server learns how a program ended meanwhile', async ({ runtime, run }) => {
    const { handle } = await run(programs.exitWith(3));
    await runtime.wait(handle);
    await runtime.close();
    const next = await fixture.open(runtime);
    assert.equal(await next.recover(handle), 'adopted');
    assert.equal((await next.wait(handle)).code, 3);
    await next.close();
  });

  on('limits hold again after a restart, and a program can be stopped', async ({ runtime, run }) => {
    const { handle } = await run(programs.hang());
    await runtime.close();
    const next = await fixture.open(runtime);
    assert.equal(await next.recover(handle), 'adopted');
    await next.stop(handle, 1000);
    assert.equal((await next.wait(handle)).reason, 'stopped');
    await next.close();
  });

  on('a removed run is forgotten, its data folder is not', async ({ runtime, run }) => {
    const { handle, spec } = await run(programs.exitWith(0));
    await runtime.wait(handle);
    await runtime.remove(handle);
    assert.equal(await runtime.recover(handle), 'never-started');
    assert.ok(existsSync(spec.workDirectory));
  });
}
