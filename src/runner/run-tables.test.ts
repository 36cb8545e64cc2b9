import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runnerWorld } from '../../test/support/runner-world.ts';
import type { RunSpec } from '../drivers/runtimes/contract.ts';
import { FakeMachine, FakeRuntime, type FakeStep } from '../drivers/runtimes/fake/fake-runtime.ts';

const components = {
  'my.app': { run: { command: ['program'] }, data: { default_bucket: true, default_bucket_stage: 'in' } },
  'my.sql': { run: { builtin: 'sql' }, data: { memory: '512m' } },
};

const world = (
  t: TestContext,
  script: (spec: RunSpec) => FakeStep[] | Promise<FakeStep[]> = () => [],
  machine?: FakeMachine,
) => runnerWorld(t, { runtime: new FakeRuntime(machine, script), components });

const app = (storage: object, parameters: object = {}) => ({
  componentId: 'my.app',
  configData: JSON.stringify({ parameters, storage }),
});

const sql = (script: string[], storage: object, parameters: object = {}) => ({
  componentId: 'my.sql',
  configData: JSON.stringify({
    parameters: { blocks: [{ name: 'Block', codes: [{ name: 'Code', script }] }], ...parameters },
    storage,
  }),
});

test('tables go in as CSV with manifests and come out as tables', async (t) => {
  let input = '';
  let manifest: Record<string, unknown> = {};
  const { run, said, table, rows, core, actor } = await world(t, async (spec) => {
    input = await readFile(path.join(spec.workDirectory, 'in/tables/people.csv'), 'utf8');
    manifest = JSON.parse(await readFile(path.join(spec.workDirectory, 'in/tables/people.csv.manifest'), 'utf8'));
    return [
      { copy: 'in/tables/people.csv', to: 'out/tables/copy.csv' },
      { write: 'out/tables/headless', text: '1;x\n2;y\n' },
      {
        write: 'out/tables/headless.manifest',
        text: JSON.stringify({
          destination: 'out.c-made.headless',
          columns: ['id', 'v'],
          delimiter: ';',
          primary_key: ['id'],
          metadata: [{ key: 'my.key', value: '1' }],
          column_metadata: { v: [{ key: 'my.column', value: '2' }] },
        }),
      },
      { write: 'out/tables/sliced/part1', text: '"a","1"\n' },
      { write: 'out/tables/sliced/part2', text: '"b","2"\n' },
    ];
  });
  await table(
    'in.c-main.people',
    [
      ['id', 'name', 'age'],
      ['1', 'Ann "A"', '30'],
      ['2', 'Bob', ''],
    ],
    ['id'],
  );
  const job = await run(
    app({
      input: { tables: [{ source: 'in.c-main.people', destination: 'people.csv', columns: ['name', 'id'] }] },
      output: {
        tables: [
          { source: 'copy.csv', destination: 'out.c-made.copy' },
          { source: 'copy.csv', destination: 'out.c-made.second', primary_key: ['id'] },
          { source: 'sliced', destination: 'out.c-made.sliced', columns: ['k', 'v'] },
        ],
      },
    }),
  );
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.equal(input, '"name","id"\n"Ann ""A""","1"\n"Bob","2"\n');
  assert.deepEqual(Object.keys(manifest), [
    'id',
    'uri',
    'name',
    'primary_key',
    'distribution_key',
    'created',
    'last_change_date',
    'last_import_date',
    'columns',
    'metadata',
    'column_metadata',
  ]);
  assert.deepEqual([manifest.id, manifest.primary_key, manifest.columns], ['in.c-main.people', ['id'], ['name', 'id']]);
  assert.match(String(manifest.last_import_date), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000$/);
  const people = [
    ['name', 'id'],
    ['Ann "A"', '1'],
    ['Bob', '2'],
  ];
  assert.deepEqual(await rows('out.c-made.copy'), people);
  assert.deepEqual(await rows('out.c-made.second'), people);
  assert.deepEqual(await rows('out.c-made.headless'), [
    ['id', 'v'],
    ['1', 'x'],
    ['2', 'y'],
  ]);
  assert.deepEqual(await rows('out.c-made.sliced'), [
    ['k', 'v'],
    ['a', '1'],
    ['b', '2'],
  ]);
  assert.deepEqual((await core.tables.get(actor, 'out.c-made.headless')).primaryKey, ['id']);
  assert.deepEqual((await core.tables.get(actor, 'out.c-made.second')).primaryKey, ['id']);
  const metadata = await core.metadata.list(actor, { type: 'table', id: 'out.c-made.headless' });
  assert.deepEqual(metadata.map(({ provider, key, value }) => [provider, key, value]).sort(), [
    ['my.app', 'my.key', '1'],
    ['system', 'KBC.createdBy.branch.id', String(actor.branchId)],
    ['system', 'KBC.createdBy.component.id', 'my.app'],
    ['system', 'KBC.lastUpdatedBy.branch.id', String(actor.branchId)],
    ['system', 'KBC.lastUpdatedBy.component.id', 'my.app'],
  ]);
  const [columnItem] = await core.metadata.list(actor, { type: 'column', id: 'out.c-made.headless.v' });
  assert.equal(columnItem?.value, '2');
  const result = job.result as { input: unknown; output: { tables: { id: string }[] } };
  assert.deepEqual(result.input, {
    tables: [
      { id: 'in.c-main.people', name: 'people', displayName: 'people', columns: [{ name: 'name' }, { name: 'id' }] },
    ],
  });
  assert.deepEqual(result.output.tables.map(({ id }) => id).sort(), [
    'out.c-made.copy',
    'out.c-made.headless',
    'out.c-made.second',
    'out.c-made.sliced',
  ]);
  const messages = await said(job);
  for (const message of [
    'Processing 1 local table exports.',
    'Fetched table in.c-main.people.',
    'All tables were fetched.',
    'Loading table "copy.csv"',
    'Waiting for 4 Storage jobs to finish.',
    'Output mapping done.',
  ]) {
    assert.ok(messages.includes(message), message);
  }
});

test('an existing table is added to, upserted or replaced, and follows its mapping', async (t) => {
  let text = '';
  const { run, table, rows, core, actor, said } = await world(t, () => [{ write: 'out/tables/t.csv', text }]);
  await table(
    'out.c-x.t',
    [
      ['id', 'v'],
      ['1', 'a'],
      ['2', 'b'],
    ],
    ['id'],
  );
  const load = async (mapping: object) => {
    const job = await run(app({ output: { tables: [{ source: 't.csv', destination: 'out.c-x.t', ...mapping }] } }));
    assert.equal(job.status, 'succeeded', job.error?.message);
    return job;
  };
  text = '"id","v"\n"2","B"\n"3","c"\n';
  const upsert = await load({ incremental: true, primary_key: ['id'] });
  assert.deepEqual(await rows('out.c-x.t'), [
    ['id', 'v'],
    ['1', 'a'],
    ['2', 'B'],
    ['3', 'c'],
  ]);
  assert.deepEqual((upsert.result as { output: { tables: { metrics: object }[] } }).output.tables[0]?.metrics, [
    { name: 'importedRowsCount', value: 2 },
  ]);
  text = '"id","v","new"\n"9","z","n"\n';
  await load({ incremental: true, primary_key: ['id'], delete_where_column: 'v', delete_where_values: ['a', 'c'] });
  assert.deepEqual(await rows('out.c-x.t'), [
    ['id', 'v', 'new'],
    ['2', 'B', ''],
    ['9', 'z', 'n'],
  ]);
  text = '"id","v","new"\n"1","x",""\n"1","x",""\n';
  const replaced = await load({});
  assert.deepEqual(await rows('out.c-x.t'), [
    ['id', 'v', 'new'],
    ['1', 'x', ''],
    ['1', 'x', ''],
  ]);
  assert.deepEqual((await core.tables.get(actor, 'out.c-x.t')).primaryKey, []);
  assert.deepEqual(await said(replaced, 'warn'), ['Modifying primary key of table "out.c-x.t" from "id" to "".']);
});

test('input mappings choose rows', async (t) => {
  let files: Record<string, string> = {};
  const { run, table } = await world(t, async (spec) => {
    const read = (name: string) => readFile(path.join(spec.workDirectory, 'in/tables', name), 'utf8').catch(() => '');
    files = { where: await read('where'), not: await read('not'), limit: await read('limit'), old: await read('old') };
    return [];
  });
  await table('in.c-main.t', [
    ['id', 'kind'],
    ['1', 'a'],
    ['2', 'b'],
    ['3', 'a'],
    ['4', ''],
  ]);
  const source = 'in.c-main.t';
  const job = await run(
    app({
      input: {
        tables: [
          { source, destination: 'where', where_column: 'kind', where_values: ['a', ''] },
          { source, destination: 'not', where_column: 'kind', where_values: ['a', 'b'], where_operator: 'ne' },
          { source, destination: 'limit', limit: 1 },
          { source, destination: 'old', changed_since: '+1 day', columns: ['id'] },
        ],
      },
    }),
  );
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.equal(files.where?.split('\n').length, 5);
  assert.equal(files.not, '"id","kind"\n"4",""\n');
  assert.equal(files.limit?.split('\n').length, 3);
  assert.equal(files.old, '"id"\n');
  const outside = await run(app({ input: { tables: [{ source, destination: '../../escape' }] } }));
  assert.equal(outside.error?.message, '"../../escape" cannot be the name of a file.');
});

test('what is wrong with outputs is told, and no output of the run is loaded', async (t) => {
  let steps: FakeStep[] = [];
  const { run, core, actor } = await world(t, () => steps);
  const message = async (given: FakeStep[], output: object = {}) => {
    steps = given;
    const job = await run(app({ output }));
    assert.equal(job.status, 'failed');
    return job.error?.message;
  };
  const write = (name: string, text: string): FakeStep => ({ write: `out/tables/${name}`, text });
  assert.equal(await message([write('a.csv.manifest', '{}')]), 'Found orphaned table manifest: "a.csv.manifest"');
  assert.equal(
    await message([], {
      tables: [
        { source: 'x', destination: 'out.c-a.x' },
        { source: 'y', destination: 'out.c-a.y' },
      ],
    }),
    'Table sources not found: "x", "y"',
  );
  assert.equal(await message([write('a.csv', 'a\n1\n')]), 'Failed to resolve destination for output table "a.csv".');
  assert.match(
    (await message([write('a.csv', 'a\n1\n'), write('a.csv.manifest', '{oops')])) ?? '',
    /^Failed to parse manifest file "out\/tables\/a\.csv\.manifest" as "json"/,
  );
  assert.match(
    (await message([write('in.c-a.b.csv', 'a,b\n1\n')])) ?? '',
    /^Failed to process output mapping: Failed to load table "in\.c-a\.b": /,
  );
  assert.equal(
    await message([write('s/part', '1\n')], { tables: [{ source: 's', destination: 'out.c-a.s' }] }),
    'Sliced file "s" columns specification missing.',
  );
  assert.deepEqual(await core.tables.list(actor), []);
});

test('links that lead out of the folder and names that are no text are refused', async (t) => {
  const { symlink, rm, mkdir, writeFile } = await import('node:fs/promises');
  let prepare: (data: string) => Promise<void> = async () => {};
  const { run } = await world(t, async (spec) => {
    await prepare(spec.workDirectory);
    return [];
  });
  const output = { tables: [{ source: 'x', destination: 'out.c-a.x' }] };
  prepare = (data) => symlink('/etc/passwd', path.join(data, 'out/tables/x'));
  assert.equal((await run(app({ output }))).error?.message, 'Output "x" is neither a file nor a folder.');
  prepare = (data) => writeFile(Buffer.concat([Buffer.from(`${data}/out/tables/x`), Buffer.from([0xff])]), '1\n');
  assert.equal((await run(app({ output }))).error?.message, 'The name of the output "x\ufffd" is not UTF-8.');
  prepare = async (data) => {
    await mkdir(path.join(data, 'elsewhere'));
    await rm(path.join(data, 'out'), { recursive: true });
    await symlink('/etc', path.join(data, 'out'));
  };
  assert.equal((await run(app({ output }))).error?.message, 'Table sources not found: "x"');
});

test('after a failure only outputs that are to be written always are', async (t) => {
  const { run, rows, core, actor } = await world(t, () => [
    { write: 'out/tables/log.csv', text: '"m"\n"failed"\n' },
    { write: 'out/tables/data.csv', text: '"m"\n"half"\n' },
    { write: 'out/files/f.txt', text: 'x' },
    { print: 'it broke', to: 'stderr' },
    { exit: 1 },
  ]);
  const job = await run(
    app({
      output: {
        tables: [
          { source: 'log.csv', destination: 'out.c-a.log', write_always: true },
          { source: 'data.csv', destination: 'out.c-a.data' },
        ],
      },
    }),
  );
  assert.deepEqual([job.status, job.error?.message], ['failed', 'it broke']);
  assert.deepEqual(await rows('out.c-a.log'), [['m'], ['failed']]);
  assert.deepEqual(
    (await core.tables.list(actor)).map(({ id }) => id),
    ['out.c-a.log'],
  );
  assert.deepEqual(await core.files.list(actor, {}, { limit: 10, offset: 0 }), []);
});

test('only what changed since the last run comes again, when that is asked for', async (t) => {
  const seen: string[] = [];
  const { run, table, core, actor } = await world(t, async (spec) => {
    seen.push(await readFile(path.join(spec.workDirectory, 'in/tables/in.c-main.t'), 'utf8'));
    return [];
  });
  await table('in.c-main.t', [['id'], ['1']]);
  const configuration = JSON.stringify({
    storage: { input: { tables: [{ source: 'in.c-main.t', changed_since: 'adaptive' }] } },
  });
  const { id } = await core.configurations.create(actor, 'my.app', { name: 'x', configuration });
  const address = { componentId: 'my.app', configurationId: id };
  assert.equal((await run(address)).status, 'succeeded');
  assert.equal((await run(address)).status, 'succeeded');
  await table('in.c-main.t', [['id'], ['2']]);
  assert.equal((await run(address)).status, 'succeeded');
  assert.deepEqual(seen, ['"id"\n"1"\n', '"id"\n', '"id"\n"2"\n']);
});

test('a job taken over after its program ended loads its outputs once', async (t) => {
  const machine = new FakeMachine();
  const runtime = new FakeRuntime(machine, () => [
    { write: 'out/tables/t.csv', text: '"id"\n"1"\n' },
    { sleepMs: 1500 },
  ]);
  const { start, end, restart, rows } = await runnerWorld(t, { runtime, components });
  const output = { tables: [{ source: 't.csv', destination: 'out.c-a.t', incremental: true }] };
  const job = await start(app({ output }));
  while (runtime.started.length === 0) await sleep(10);
  await restart(new FakeRuntime(machine, () => assert.fail('started twice')));
  const ended = await end(job);
  assert.equal(ended.status, 'succeeded', ended.error?.message);
  assert.deepEqual(await rows('out.c-a.t'), [['id'], ['1']]);
});

test('SQL reads its inputs where they lie and makes tables', async (t) => {
  const { run, table, rows, said } = await world(t);
  await table('in.c-main.people', [
    ['id', 'city'],
    ['1', 'Brno'],
    ['2', 'Praha'],
    ['3', 'Brno'],
  ]);
  const job = await run(
    sql(
      [
        '-- count them\nCREATE TABLE "by_city" AS SELECT city, count(*) AS people FROM "people" GROUP BY city; SELECT 1',
        "INSERT INTO by_city VALUES ('it''s; fine', 0);",
        'CREATE TABLE ids AS SELECT * FROM brno',
      ],
      {
        input: {
          tables: [
            { source: 'in.c-main.people', destination: 'people' },
            {
              source: 'in.c-main.people',
              destination: 'brno',
              columns: ['id'],
              where_column: 'city',
              where_values: ['Brno'],
            },
          ],
        },
        output: {
          tables: [
            { source: 'by_city', destination: 'out.c-made.by_city', primary_key: ['city'] },
            { source: 'ids', destination: 'out.c-made.ids' },
          ],
        },
      },
    ),
  );
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.deepEqual(await rows('out.c-made.by_city'), [
    ['city', 'people'],
    ['Brno', '2'],
    ['Praha', '1'],
    ["it's; fine", '0'],
  ]);
  assert.deepEqual(await rows('out.c-made.ids'), [['id'], ['1'], ['3']]);
  assert.deepEqual((await said(job)).slice(0, 6), [
    'Running component my.sql (row 1 of 1)',
    'Processing block "Block".',
    'Processing code "Code".',
    'Running query "CREATE TABLE "by_city" AS SELECT city, count(*) AS people FROM "people" GROUP BY city".',
    "Running query \"INSERT INTO by_city VALUES ('it''s; fine', 0)\".",
    'Running query "CREATE TABLE ids AS SELECT * FROM brno".',
  ]);
});

test('what goes wrong in SQL names the query and the code', async (t) => {
  const { run, rows, core, actor } = await world(t);
  const output = (...sources: string[]) => ({
    output: { tables: sources.map((source) => ({ source, destination: `out.c-a.${source}` })) },
  });
  const failed = await run(sql(['CREATE TABLE a AS SELECT 1 AS x', 'SELECTED nonsense'], output('a')));
  assert.match(failed.error?.message ?? '', /^Query "SELECTED nonsense" in "Code" failed with error: ".+"$/s);
  assert.equal(failed.error?.type, 'user');
  const missing = await run(sql(['CREATE TABLE a AS SELECT 1 AS x'], output('a', 'b', 'c')));
  assert.equal(missing.error?.message, 'Tables "b", "c" specified in output were not created by the transformation.');
  const outside = await run(sql(["CREATE TABLE a AS SELECT * FROM read_csv('/etc/passwd')"], output('a')));
  assert.equal(outside.status, 'failed');
  assert.doesNotMatch(outside.error?.message ?? '', /root:/);
  const slow = await run(
    sql(['CREATE TABLE a AS SELECT count(*) FROM range(100000000) x, range(100000) y'], output('a'), {
      query_timeout: 1,
    }),
  );
  assert.match(slow.error?.message ?? '', /failed with error: "it took longer than 1 seconds"$/);
  assert.deepEqual(await core.tables.list(actor), []);
  const always = await run(
    sql(['CREATE TABLE log AS SELECT 1 AS x', 'FAIL'], {
      output: { tables: [{ source: 'log', destination: 'out.c-a.log', write_always: true }] },
    }),
  );
  assert.equal(always.status, 'failed');
  assert.deepEqual(await rows('out.c-a.log'), [['x'], ['1']]);
});

test('a killed SQL job ends at once', async (t) => {
  const { start, end, said, core, actor } = await world(t);
  const job = await start(sql(['CREATE TABLE a AS SELECT count(*) FROM range(100000000) x, range(100000) y'], {}));
  while (!(await said(job)).some((message) => message.startsWith('Running query'))) await sleep(20);
  const begin = Date.now();
  await core.jobs.kill(actor, job.id);
  assert.equal((await end(job)).status, 'stopped');
  assert.ok(Date.now() - begin < 3000);
});
