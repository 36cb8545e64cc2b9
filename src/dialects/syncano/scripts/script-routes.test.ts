import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, type Page, scriptServer, type Trace } from '../../../../test/support/scripts.ts';

test('a script is made, run and leaves a trace, as clients know it', async (t) => {
  const { call, base, credentials, end } = await scriptServer(t);
  const made = await call<Record<string, unknown>>('POST', 'snippets/scripts/', {
    label: 's',
    runtime_name: 'nodejs_v6',
    source: 'console.log(ARGS.n)',
  });
  assert.equal(made.status, 201);
  const { id, created_at: createdAt, updated_at: updatedAt, ...rest } = made.body;
  const self = `${base}snippets/scripts/${id}/`;
  assert.match(String(createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.match(String(updatedAt), /Z$/);
  assert.deepEqual(rest, {
    runtime_name: 'nodejs_v6',
    source: 'console.log(ARGS.n)',
    config: {},
    label: 's',
    description: '',
    links: { self, runtimes: `${base}snippets/scripts/runtimes/`, run: `${self}run/`, traces: `${self}traces/` },
  });
  const stub = await call<Trace>('POST', `${self}run/`, { payload: '{"n":5}' });
  assert.equal(stub.status, 200);
  assert.equal(stub.body.duration, null);
  assert.deepEqual(stub.body.result, {});
  const trace = await end(stub.body.links.self);
  assert.equal(trace.status, 'success');
  assert.deepEqual(trace.result, { stdout: '5', stderr: '' });
  assert.equal(typeof trace.duration, 'number');
  // The same run is a job of the project.
  const jobs = await fetch(`${new URL(self, credentials.url).origin}/queue/search/jobs?componentId=millrace.script`, {
    headers: { 'x-storageapi-token': credentials.keboola.storageToken },
  });
  const [job] = (await jobs.json()) as { id: string; component: string; status: string; config: string }[];
  assert.deepEqual(
    [job?.component, job?.status, job?.id, job?.config],
    ['millrace.script', 'success', String(trace.id), String(id)],
  );
});

test('a script sees its arguments, configuration and caller, and the modules of Node', async (t) => {
  const { runSource, credentials } = await scriptServer(t);
  const source = `
    const path = require('path');
    const { createHash } = require('crypto');
    console.log(JSON.stringify({ ARGS, CONFIG, by: META.executed_by, instance: META.instance, base: path.basename('/a/b') }));
    console.error(createHash('md5').update('ž').digest('hex'));
  `;
  const trace = await runSource(source, { text: 'žluťoučký' }, { config: { greeting: 'hi', '#secret': 'hush-hush' } });
  assert.equal(trace.status, 'success', JSON.stringify(trace));
  assert.deepEqual(JSON.parse(trace.result.stdout ?? ''), {
    ARGS: { text: 'žluťoučký' },
    // Secrets reach the script and leave it nowhere.
    CONFIG: { greeting: 'hi', '#secret': '[hidden]' },
    by: 'codebox',
    instance: credentials.syncano.instance,
    base: 'b',
  });
  assert.equal(trace.result.stderr?.length, 32);
});

test('what a script answers stands in its trace, however it ends', async (t) => {
  const { runSource } = await scriptServer(t);
  const set = await runSource(
    'setResponse(new HttpResponse(201, {a: 1}, "application/json", {"X-N": 5})); process.exit(3)',
  );
  assert.equal(set.status, 'failure');
  assert.deepEqual(set.result.response, {
    status: 201,
    content: '{"a":1}',
    content_type: 'application/json',
    headers: { 'X-N': '5' },
  });
  const returned = await runSource(
    'async ({args, HttpResponse}) => { await null; return new HttpResponse(200, "v" + args.v, "text/plain") }',
    { v: 7 },
  );
  assert.equal(returned.result.response?.content, 'v7');
  const odd = await runSource('require("fs").writeFileSync("/data/out/response.json", "[]"); console.log("x")');
  assert.deepEqual([odd.status, odd.result.response], ['success', undefined]);
});

test('a script that throws, ends itself or runs too long has failed, with what it printed', async (t) => {
  const { create, run, runSource } = await scriptServer(t);
  const thrown = await runSource('console.log("before"); throw new TypeError("no such thing")');
  assert.equal(thrown.status, 'failure');
  assert.equal(thrown.result.stdout, 'before');
  assert.match(thrown.result.stderr ?? '', /script\.js:1[\s\S]*TypeError: no such thing/);
  const rejected = await runSource('Promise.reject(new Error("late"))');
  assert.equal(rejected.status, 'failure');
  assert.match(rejected.result.stderr ?? '', /late/);
  const broken = await runSource('this is no script');
  assert.match(broken.result.stderr ?? '', /SyntaxError/);
  const coded = await runSource('process.exit(7)');
  assert.deepEqual([coded.status, coded.result.stderr], ['failure', 'The script ended with exit code 7.']);
  const id = await create('console.log("begun"); for (;;) {}', { config: { timeout: 1 } });
  const late = await run(id);
  assert.deepEqual([late.status, late.result.stdout], ['timeout', 'begun']);
  const foreign = await runSource('print(1)', {}, { runtime_name: 'python' });
  assert.deepEqual([foreign.status, foreign.result.stderr], ['failure', 'The runtime "python" is not installed.']);
});

test('runs are kept apart, and none changes what the next one sees', async (t) => {
  const { create, run } = await scriptServer(t);
  const id = await create(
    'console.log(typeof leaked, require("fs").existsSync("/tmp/left")); leaked = 1; require("fs").writeFileSync("/tmp/left", "x")',
  );
  for (const trace of [await run(id), await run(id), ...(await Promise.all([run(id), run(id), run(id)]))])
    assert.deepEqual([trace.status, trace.result.stdout], ['success', 'undefined false']);
});

test('traces are listed newest first, page by page, both ways', async (t) => {
  const { create, run, call, base } = await scriptServer(t);
  const id = await create('');
  const other = await create('');
  const ids: number[] = [];
  for (let n = 0; n < 5; n++) ids.unshift((await run(id)).id);
  await run(other);
  const path = `${base}snippets/scripts/${id}/traces/`;
  const idsOf = ({ body }: Answer<Page<Trace>>) => body.objects.map((trace) => trace.id);
  const all = await call<Page<Trace>>('GET', path);
  assert.deepEqual(idsOf(all), ids);
  assert.deepEqual([all.body.next, all.body.prev], [null, null]);
  const first = await call<Page<Trace>>('GET', `${path}?page_size=2`);
  assert.deepEqual(idsOf(first), ids.slice(0, 2));
  assert.equal(first.body.next, `${path}?page_size=2&direction=1&last_pk=${ids[1]}`);
  const second = await call<Page<Trace>>('GET', first.body.next ?? '');
  assert.deepEqual(idsOf(second), ids.slice(2, 4));
  assert.equal(second.body.prev, `${path}?page_size=2&direction=0&last_pk=${ids[2]}`);
  const third = await call<Page<Trace>>('GET', second.body.next ?? '');
  assert.deepEqual(idsOf(third), ids.slice(4));
  assert.equal(third.body.next, null);
  assert.deepEqual(idsOf(await call('GET', second.body.prev ?? '')), ids.slice(0, 2));
  assert.deepEqual(idsOf(await call('GET', `${path}?ordering=asc&page_size=3`)), ids.slice(2).reverse());
  assert.deepEqual((await call<Page<Trace>>('GET', `${path}?page_size=0`)).body.objects, []);
  assert.equal((await call('GET', `${path}?direction=2`)).status, 400);
  assert.equal((await call('GET', `${path}?last_pk=x`)).status, 400);
  // Long results are in the trace itself only.
  const long = await run(await create('console.log("x".repeat(70000))'));
  assert.equal(long.result.stdout?.length, 70_000);
  const short = await call<Page<Trace>>('GET', long.links.self.replace(/[^/]+\/$/, ''));
  assert.deepEqual(short.body.objects[0]?.result, { __error__: 'Result is too big to show in trace.' });
  // A trace of one script is none of another's.
  assert.equal((await call('GET', `${base}snippets/scripts/${other}/traces/${ids[0]}/`)).status, 404);
});

test('scripts are listed, changed and deleted', async (t) => {
  const { create, call, base } = await scriptServer(t);
  const ids = [await create('1'), await create('2'), await create('x'.repeat(70_000))];
  const list = await call<Page<{ id: number; source: string }>>('GET', 'snippets/scripts/');
  assert.deepEqual(
    list.body.objects.map(({ id }) => id),
    ids,
  );
  assert.ok(list.body.objects[2]?.source.endsWith('\n(...truncated...)'));
  const back = await call<Page<{ id: number }>>(
    'GET',
    `snippets/scripts/?ordering=desc&page_size=1&direction=1&last_pk=${ids[2]}`,
  );
  assert.deepEqual(
    back.body.objects.map(({ id }) => id),
    [ids[1]],
  );
  const script = `${base}snippets/scripts/${ids[0]}/`;
  const patched = await call('PATCH', script, { label: 'new', config: '{"a":1}' });
  assert.deepEqual(
    [patched.status, patched.body.label, patched.body.source, patched.body.config],
    [200, 'new', '1', { a: 1 }],
  );
  const put = await call('PUT', script, { label: 'put' });
  assert.deepEqual([put.status, put.body], [400, { runtime_name: ['This field is required.'] }]);
  const runtimes = await call<Record<string, { installed: boolean }>>('GET', 'snippets/scripts/runtimes/');
  assert.equal(runtimes.body.nodejs?.installed, true);
  assert.equal((await call('DELETE', script)).status, 204);
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', 'run/'],
    ['GET', 'traces/'],
    ['PATCH', ''],
  ] as const) {
    const gone = await call(
      method,
      script + path,
      method === 'GET' || method === 'DELETE' ? undefined : { label: 'x' },
    );
    assert.deepEqual([method, gone.status, gone.body], [method, 404, { detail: 'Script was not found.' }]);
  }
});

test('bad scripts and payloads are refused at their member, and keys of programs have no scripts', async (t) => {
  const { create, call, credentials } = await scriptServer(t);
  const whole = { label: 'l', runtime_name: 'nodejs', source: '' };
  for (const [change, expected] of [
    [{ runtime_name: 'cobol' }, { runtime_name: ['"cobol" is not a valid choice.'] }],
    [{ label: '' }, { label: ['This field may not be blank.'] }],
    [{ label: 'x'.repeat(65) }, { label: ['Ensure this field has no more than 64 characters.'] }],
    [{ label: undefined }, { label: ['This field is required.'] }],
    [{ source: null }, { source: ['This field may not be null.'] }],
    [
      { source: 'x'.repeat(3 * 1024 * 1024 + 1) },
      { source: ['Ensure this field has no more than 3145728 characters.'] },
    ],
    [{ config: '[]' }, { config: ['Config passed in invalid format.'] }],
    [{ config: { ['k'.repeat(65)]: 1 } }, { config: ['Too long key defined (exceeds 64).'] }],
    [{ description: 'a\0b' }, { description: ['Null characters are not allowed.'] }],
  ] as const) {
    const { status, body } = await call('POST', 'snippets/scripts/', { ...whole, ...change });
    assert.deepEqual([status, body], [400, expected]);
  }
  const id = await create('');
  for (const payload of ['{', 5, true, '"x"'])
    assert.equal((await call('POST', `snippets/scripts/${id}/run/`, { payload })).status, 400, String(payload));
  assert.equal(
    (await call('POST', `snippets/scripts/${id}/run/`, { payload: { x: 'x'.repeat(600_000) } })).status,
    413,
  );
  assert.equal((await call('GET', 'snippets/scripts/nope/')).status, 404);
  for (const path of ['snippets/scripts/', `snippets/scripts/${id}/`, `snippets/scripts/${id}/traces/`]) {
    const { status, body } = await call('GET', path, undefined, credentials.syncano.apiKey);
    assert.deepEqual([status, body], [403, { detail: 'You do not have permission to perform this action.' }]);
  }
  const { apiKey } = credentials.syncano;
  assert.equal((await call('POST', `snippets/scripts/${id}/run/`, {}, apiKey)).status, 403);
  assert.equal((await call('POST', 'snippets/scripts/', whole, apiKey)).status, 403);
});
