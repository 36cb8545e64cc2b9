import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { needs } from '../../test/support/needs.ts';
import { runnerWorld } from '../../test/support/runner-world.ts';
import { openProcessRuntime } from '../drivers/runtimes/process/index.ts';
import { silentLogger } from '../lib/logger.ts';

const log = { warn: (message: string) => silentLogger.warn({}, message) };

async function world(t: TestContext) {
  if (!needs(t, 'python3')) return undefined;
  return runnerWorld(t, { runtime: await openProcessRuntime({ mode: 'auto', log }), components: 'real' });
}

const python = (script: string[], storage: object = {}, parameters: object = {}) => ({
  componentId: 'keboola.python-transformation-v2',
  configData: JSON.stringify({
    parameters: { blocks: [{ name: 'b', codes: [{ name: 'c', script }] }], ...parameters },
    storage,
  }),
});

test('a Python transformation reads and writes tables, its scripts being one program', async (t) => {
  const opened = await world(t);
  if (!opened) return;
  const { run, said, table, rows } = opened;
  await table('in.c-main.t', [
    ['id', 'v'],
    ['1', '10'],
    ['2', '32'],
  ]);
  const job = await run(
    python(
      [
        "import csv\nrows = list(csv.DictReader(open('in/tables/t.csv')))\nprint(len(rows), 'rows')",
        "with open('out/tables/sum.csv', 'w') as f:\n    print('total', sum(int(r['v']) for r in rows), sep='\\n', file=f)",
      ],
      {
        input: { tables: [{ source: 'in.c-main.t', destination: 't.csv' }] },
        output: { tables: [{ source: 'sum.csv', destination: 'out.c-made.sum' }] },
      },
    ),
  );
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.deepEqual(await rows('out.c-made.sum'), [['total'], ['42']]);
  assert.ok((await said(job)).includes('2 rows'));
});

test('a failing script shows where it failed, in its own lines only', async (t) => {
  const opened = await world(t);
  if (!opened) return;
  const { run } = opened;
  const job = await run(python(['def f():\n    return 1 / 0', 'f()']));
  assert.equal(job.error?.type, 'user');
  assert.equal(
    job.error?.message,
    [
      'Traceback (most recent call last):',
      '  File "script.py", line 3, in <module>',
      '    f()',
      '  File "script.py", line 2, in f',
      '    return 1 / 0',
      '           ~~^~~',
      'ZeroDivisionError: division by zero',
    ]
      .filter((line) => line !== '           ~~^~~' || job.error?.message.includes('~~^~~'))
      .join('\n'),
  );
  const broken = await run(python(['this is no python']));
  assert.match(broken.error?.message ?? '', /^File "script\.py", line 1\n[\s\S]*SyntaxError: /);
  const exits = await run(python(["import sys; sys.exit('stop here')"]));
  assert.deepEqual([exits.error?.type, exits.error?.message], ['user', 'stop here']);
});

test('packages are refused in words, and a configuration that does not fit its schema too', async (t) => {
  const opened = await world(t);
  if (!opened) return;
  const { run } = opened;
  const packages = await run(python(['print(1)'], {}, { packages: ['pandas'] }));
  assert.match(packages.error?.message ?? '', /^Installing packages is not supported by this version/);
  const odd = await run({ componentId: 'keboola.python-transformation-v2', configData: '{"parameters":{"blocks":1}}' });
  assert.deepEqual([odd.status, odd.error?.type], ['failed', 'user']);
});
