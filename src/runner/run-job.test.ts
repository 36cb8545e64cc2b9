import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runnerWorld } from '../../test/support/runner-world.ts';
import { AppError } from '../core/errors.ts';
import { sql } from '../db/sql.ts';
import type { RunSpec } from '../drivers/runtimes/contract.ts';
import { FakeMachine, FakeRuntime, type FakeStep } from '../drivers/runtimes/fake/fake-runtime.ts';

const components = {
  'my.app': { run: { command: ['program', 'main'] }, data: { default_bucket: true, default_bucket_stage: 'in' } },
  'my.known': {},
};

type Script = (spec: RunSpec) => FakeStep[] | Promise<FakeStep[]>;

const world = (t: Parameters<typeof runnerWorld>[0], script: Script, machine?: FakeMachine) =>
  runnerWorld(t, { runtime: new FakeRuntime(machine, script), components });

const inline = (configuration: object) => ({ componentId: 'my.app', configData: JSON.stringify(configuration) });

test('a program gets its folder, its configuration and its environment', async (t) => {
  let seen: { config: string; state: string; spec: RunSpec } | undefined;
  const { run, said, actor, workFolders } = await world(t, async (spec) => {
    const read = (name: string) => readFile(path.join(spec.workDirectory, name), 'utf8');
    seen = { config: await read('config.json'), state: await read('in/state.json'), spec };
    return [{ print: 'one\ntwo\n' }, { print: 'careful', to: 'stderr' }];
  });
  const job = await run(inline({ parameters: { a: 1 }, runtime: { process_timeout: 5 } }));
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.deepEqual(JSON.parse(seen?.config ?? ''), {
    parameters: { a: 1 },
    image_parameters: {},
    action: 'run',
    shared_code_row_ids: [],
    storage: {},
    authorization: {},
  });
  assert.equal(seen?.state, '{}');
  const { spec } = seen ?? assert.fail();
  assert.equal(spec.environment.KBC_DATADIR, '{data}/');
  assert.equal(spec.environment.KBC_RUNID, String(job.id));
  assert.equal(spec.environment.KBC_PROJECTID, String(actor.projectId));
  assert.equal(spec.environment.KBC_STACKID, 'localhost:8000');
  assert.equal(spec.environment.KBC_CONFIGVERSION, '');
  assert.match(spec.environment.KBC_CONFIGID ?? '', /^[0-9a-f]{40}$/);
  assert.match(spec.environment.KBC_PROJECT_FEATURE_GATES ?? '', /queuev2/);
  assert.equal(spec.environment.KBC_CONFIGROWID, undefined);
  assert.equal(spec.limits.timeoutMs, 5000);
  assert.equal(spec.limits.memoryMb, 256);
  assert.deepEqual(await said(job), [
    'Running component my.app (row 1 of 1)',
    'one\ntwo',
    'careful',
    'Finished component my.app (row 1 of 1)',
  ]);
  assert.deepEqual(job.result, {
    message: 'Component processing finished.',
    configVersion: null,
    images: [[{ id: 'my.app:latest', digests: [] }]],
    input: { tables: [] },
    output: { tables: [] },
    artifacts: { uploaded: [], downloaded: [] },
    variables: [],
  });
  // Removed just after whoever waits has heard of the end.
  for (let i = 0; i < 500 && (await workFolders()).length > 0; i++) await sleep(10);
  assert.deepEqual(await workFolders(), []);
});

test('failures are told as what they are', async (t) => {
  const scripts: Record<string, FakeStep[]> = {
    one: [{ print: 'bad key', to: 'stderr' }, { exit: 1 }],
    two: [{ print: 'stack trace', to: 'stderr' }, { exit: 2 }],
    hang: [{ hang: true }],
    memory: [{ useMemoryMb: 500 }],
  };
  const { run, workFolders } = await world(t, async (spec) => {
    const { parameters } = JSON.parse(await readFile(path.join(spec.workDirectory, 'config.json'), 'utf8'));
    return scripts[parameters.script] ?? [];
  });
  const outcome = async (script: string, runtime: object = {}) => {
    const { status, error } = await run(inline({ parameters: { script }, runtime }));
    return [status, error?.type, error?.message];
  };
  assert.deepEqual(await outcome('one'), ['failed', 'user', 'bad key']);
  assert.deepEqual(await outcome('two'), ['failed', 'application', 'Internal error']);
  assert.deepEqual(await outcome('hang', { process_timeout: 1 }), [
    'failed',
    'user',
    'Running my.app:latest container exceeded the timeout of 1 seconds.',
  ]);
  assert.deepEqual(await outcome('memory'), ['failed', 'user', 'Component out of memory (exceeded 256M)']);
  // Removed just after whoever waits has heard of the end.
  for (let i = 0; i < 500 && (await workFolders()).length > 0; i++) await sleep(10);
  assert.deepEqual(await workFolders(), []);
});

test('what cannot run says so before anything is started', async (t) => {
  const runtime = new FakeRuntime(new FakeMachine(), () => []);
  const { run } = await runnerWorld(t, { runtime, components });
  const message = async (configuration: object) => (await run(inline(configuration))).error?.message;
  assert.match((await message({ nonsense: 1 })) ?? '', /^Unrecognized option "nonsense" under "container"/);
  assert.equal(
    await message({ processors: { after: [{ definition: { component: 'x' } }] } }),
    'The configuration key "processors" is not supported by this version.',
  );
  assert.match((await message({ storage: { input: { tables: [{}] } } })) ?? '', /"source" must be configured/);
  assert.match(
    (await message({ storage: { input: { tables: [{ source: 'in.c-a.b' }] } } })) ?? '',
    /^Cannot import data from Storage API: The table "b" was not found in the bucket "in\.c-a"/,
  );
  assert.equal(runtime.started.length, 0);
});

test('secrets reach the program and nothing else', async (t) => {
  let config = '';
  const { run, said } = await world(t, async (spec) => {
    config = await readFile(path.join(spec.workDirectory, 'config.json'), 'utf8');
    return [{ print: 'key is sesame\n' }, { print: 'sesame failed', to: 'stderr' }, { exit: 1 }];
  });
  const job = await run(inline({ parameters: { '#key': 'sesame' } }));
  assert.equal(JSON.parse(config).parameters['#key'], 'sesame');
  assert.equal(job.error?.message, '[hidden] failed');
  assert.deepEqual((await said(job)).slice(1), ['key is [hidden]']);
});

test('state goes from one run to the next, and only when all went well', async (t) => {
  const states: string[] = [];
  let failing = false;
  const { run, core, actor } = await world(t, async (spec) => {
    states.push(await readFile(path.join(spec.workDirectory, 'in/state.json'), 'utf8'));
    const state = JSON.stringify({ count: states.length, '#token': 'secret' });
    return [{ write: 'out/state.json', text: state }, { exit: failing ? 1 : 0 }];
  });
  const { id } = await core.configurations.create(actor, 'my.app', { name: 'x', configuration: '{}' });
  const address = { componentId: 'my.app', configurationId: id };
  await run(address);
  const stored = (await core.configurations.get(actor, address)).state.parse() as Record<
    string,
    Record<string, string>
  >;
  assert.equal(stored.component?.count, 1);
  assert.match(stored.component?.['#token'] ?? '', /^KBC::/);
  failing = true;
  await run(address);
  failing = false;
  await run(address);
  assert.deepEqual(
    states.map((text) => JSON.parse(text)),
    [{}, { count: 1, '#token': 'secret' }, { count: 1, '#token': 'secret' }],
  );
});

test('a job that does not get to its end leaves no state', async (t) => {
  const { run, core, actor } = await world(t, () => [{ write: 'out/state.json', text: '{"count":1}' }]);
  const { id } = await core.configurations.create(actor, 'my.app', { name: 'x', configuration: '{}' });
  const address = { componentId: 'my.app', configurationId: id };
  const finish = core.jobs.finish.bind(core.jobs);
  let seen = '';
  core.jobs.finish = async (tx, job, outcome) => {
    if (job.kind !== 'component' || seen !== '') return finish(tx, job, outcome);
    const row = await tx.one<{ state: string }>(sql`select state::text from configurations where id = ${id}`);
    seen = row?.state ?? 'none';
    throw new Error('the server dies here');
  };
  assert.equal((await run(address)).status, 'failed');
  assert.match(seen, /"count":1/);
  assert.equal((await core.configurations.get(actor, address)).state.text, '{}');
  await run(address);
  assert.match((await core.configurations.get(actor, address)).state.text, /"count":1/);
});

test('rows run one after another, each with its own configuration and state', async (t) => {
  const seen: unknown[] = [];
  const { run, said, core, actor } = await world(t, async (spec) => {
    const { parameters } = JSON.parse(await readFile(path.join(spec.workDirectory, 'config.json'), 'utf8'));
    seen.push([spec.environment.KBC_CONFIGROWID, parameters]);
    return [{ write: 'out/state.json', text: JSON.stringify(parameters) }];
  });
  const { id } = await core.configurations.create(actor, 'my.app', {
    name: 'x',
    configuration: '{"parameters":{"a":1}}',
  });
  const address = { componentId: 'my.app', configurationId: id };
  for (const row of ['r1', 'r2']) {
    await core.configurations.rows.create(actor, address, {
      id: row,
      name: row,
      configuration: `{"parameters":{"b":"${row}"}}`,
    });
  }
  const job = await run(address);
  assert.equal(job.status, 'succeeded');
  assert.deepEqual(seen, [
    ['r1', { a: 1, b: 'r1' }],
    ['r2', { a: 1, b: 'r2' }],
  ]);
  assert.equal((await said(job))[2], 'Running component my.app (row 2 of 2)');
  const { rows, state } = await core.configurations.get(actor, address);
  assert.deepEqual(
    rows.map((row) => (row.state.parse() as { component: unknown }).component),
    [
      { a: 1, b: 'r1' },
      { a: 1, b: 'r2' },
    ],
  );
  assert.equal(state.text, '{}');
});

test('a file with a very long name goes in under the end of it', async (t) => {
  let names: string[] = [];
  const { run, core, actor, directory } = await world(t, async (spec) => {
    names = await readdir(path.join(spec.workDirectory, 'in/files'));
    return [];
  });
  const local = path.join(directory, 'long');
  await writeFile(local, 'x');
  const { id } = await core.files.createFrom(actor, { name: `${'ž'.repeat(400)}.csv` }, local);
  const job = await run(inline({ storage: { input: { files: [{ file_ids: [id] }] } } }));
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.deepEqual(names.sort(), [`${id}_${'ž'.repeat(98)}.csv`, `${id}_${'ž'.repeat(98)}.csv.manifest`]);
});

test('files go in by tag and come out with tags', async (t) => {
  const { run, said, core, actor, directory } = await world(t, async (spec) => {
    const { parameters } = JSON.parse(await readFile(path.join(spec.workDirectory, 'config.json'), 'utf8'));
    const name = `in/files/${parameters.id}_hello.txt`;
    const manifest = JSON.parse(await readFile(path.join(spec.workDirectory, `${name}.manifest`), 'utf8'));
    return [
      { copy: name, to: 'out/files/copy.txt' },
      { write: 'out/files/copy.txt.manifest', text: JSON.stringify({ tags: manifest.tags, is_permanent: true }) },
      { write: 'out/files/sliced/b', text: 'b' },
      { write: 'out/files/sliced/a', text: 'a' },
    ];
  });
  const local = path.join(directory, 'hello.txt');
  await writeFile(local, 'hello');
  const { id } = await core.files.createFrom(actor, { name: 'hello.txt', tags: ['x', 'y'] }, local);
  const storage = { input: { files: [{ tags: ['x', 'y'], processed_tags: ['done'] }] } };
  const job = await run(inline({ parameters: { id }, storage }));
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.ok((await said(job)).includes(`Fetched file "${id}_hello.txt".`));
  assert.deepEqual((await core.files.get(actor, id)).tags, ['x', 'y', 'done']);
  const made = await core.files.list(actor, { tags: ['componentId: my.app'] }, { limit: 10, offset: 0 });
  const copy = made.find(({ name }) => name === 'copy.txt') ?? assert.fail();
  assert.equal(copy.isPermanent, true);
  assert.deepEqual(copy.tags, [
    'x',
    'y',
    'componentId: my.app',
    'configurationId: ',
    `branchId: ${actor.branchId}`,
    `runId: ${job.runId}`,
  ]);
  const [copied] = (await core.files.openSlices(actor, copy.id)).paths;
  assert.equal(await readFile(copied ?? '', 'utf8'), 'hello');
  const sliced = made.find(({ name }) => name === 'sliced') ?? assert.fail();
  assert.equal((await core.files.openSlices(actor, sliced.id)).paths.length, 2);
});

test('a killed job stops its program and leaves nothing behind', async (t) => {
  const runtime = new FakeRuntime(new FakeMachine(), () => [{ print: 'begun\n' }, { hang: true }]);
  const { start, end, core, actor, workFolders } = await runnerWorld(t, { runtime, components });
  const job = await start(inline({}));
  while (runtime.started.length === 0) await sleep(10);
  await core.jobs.kill(actor, job.id);
  assert.equal((await end(job)).status, 'stopped');
  // Removed just after whoever waits has heard of the end.
  for (let i = 0; i < 500 && (await workFolders()).length > 0; i++) await sleep(10);
  assert.deepEqual(await workFolders(), []);
});

test('a job that ends between two tries, or after its last one, leaves no folder either', async (t) => {
  const { start, end, core, actor, db, workFolders } = await world(t, () => {
    throw new AppError('unavailable', 'test.busy', 'Not now.', { retryable: true });
  });
  const waiting = async () => {
    const { id } = await start(inline({}));
    while ((await core.jobs.get(actor, id)).status !== 'waiting') await sleep(5);
    return id;
  };
  const gone = async (id: number) => {
    for (const until = Date.now() + 5000; (await workFolders()).includes(String(id)); await sleep(10)) {
      assert.ok(Date.now() < until, 'the folder stays');
    }
  };
  const killed = await waiting();
  assert.ok((await workFolders()).includes(String(killed)));
  assert.equal((await core.jobs.kill(actor, killed)).status, 'cancelled');
  await gone(killed);
  const tired = await waiting();
  await db.query(sql`update jobs set failures = 4 where id = ${tired}`);
  assert.equal((await end(await core.jobs.get(actor, tired))).status, 'failed');
  await gone(tired);
});

test('a program that outlives its server is waited for by the next, not started again', async (t) => {
  const machine = new FakeMachine();
  const runtime = new FakeRuntime(machine, () => [
    { print: 'early\n' },
    { sleepMs: 1500 },
    { print: 'late\n' },
    { write: 'out/files/a.txt', text: 'a' },
  ]);
  const { start, end, said, restart, core, actor } = await runnerWorld(t, { runtime, components });
  const job = await start(inline({}));
  while (!(await said(job)).includes('early')) await sleep(10);
  const next = new FakeRuntime(machine, () => assert.fail('started twice'));
  await restart(next);
  const ended = await end(job);
  assert.equal(ended.status, 'succeeded', ended.error?.message);
  assert.deepEqual(await said(job), [
    'Running component my.app (row 1 of 1)',
    'early',
    'late',
    'Finished component my.app (row 1 of 1)',
  ]);
  assert.equal((await core.files.list(actor, { tags: ['componentId: my.app'] }, { limit: 10, offset: 0 })).length, 1);
});

test('a program that vanished with its machine fails the job and is never run a second time', async (t) => {
  const machine = new FakeMachine();
  const runtime = new FakeRuntime(machine, () => [{ sleepMs: 1000 }, { vanish: true }]);
  const { start, end, restart } = await runnerWorld(t, { runtime, components });
  const job = await start(inline({}));
  while (runtime.started.length === 0) await sleep(10);
  await restart(new FakeRuntime(machine, () => assert.fail('started twice')));
  const { status, error } = await end(job);
  assert.deepEqual([status, error?.type], ['failed', 'application']);
});

test('a job whose program never began starts from the beginning', async (t) => {
  const machine = new FakeMachine();
  const runtime = new FakeRuntime(machine, () => [{ hang: true }]);
  const { start, end, restart } = await runnerWorld(t, { runtime, components });
  const job = await start(inline({}));
  while (runtime.started.length === 0) await sleep(10);
  // The first server has to be waiting for the program before the machine forgets it.
  await sleep(500);
  // As after a crash between the saved handle and the start.
  const forgotten = [...machine.programs.values()];
  machine.programs.clear();
  const next = new FakeRuntime(machine, () => []);
  await restart(next);
  assert.equal((await end(job)).status, 'succeeded');
  assert.equal(next.started.length, 1);
  for (const program of forgotten) program.end({ code: 137, reason: 'stopped' });
});
