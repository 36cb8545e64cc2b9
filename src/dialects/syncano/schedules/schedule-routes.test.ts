import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPlatform } from '../../../../test/support/platform.ts';
import { syncanoServer } from '../../../../test/support/syncano.ts';
import { sql } from '../../../db/sql.ts';

type Schedule = { id: number; scheduled_next: string | null; [name: string]: unknown };
type Page = { next: string | null; prev: string | null; objects: { id: number; links: { self: string } }[] };

async function setUp(t: TestContext) {
  const world = await syncanoServer(t);
  const { call, server } = world;
  const script = { label: 's', runtime_name: 'nodejs', source: 'console.log("uh ah!")' };
  const { id } = (await call<{ id: number }>('POST', 'snippets/scripts/', script)).body;
  return {
    ...world,
    script: id,
    /** As if its time had come. */
    async fire(schedule: number) {
      await server.db.query(sql`update schedules set next_run_at = now() - interval '1 second' where id = ${schedule}`);
      return (await server.core.occurrences.handleNext())?.outcome;
    },
  };
}

test('a schedule of a script is made, read, changed and deleted as clients know it', async (t) => {
  const { call, script, instance } = await setUp(t);
  const made = await call<Schedule>('POST', 'schedules/', {
    label: 'nightly',
    script,
    crontab: '0 2 * * *',
    timezone: 'Europe/Warsaw',
  });
  assert.equal(made.status, 201, made.text);
  const { id, created_at: createdAt, scheduled_next: next, ...rest } = made.body;
  assert.match(String(createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.match(String(next), /T0[01]:00:00\.000000Z$/);
  const self = `${instance}schedules/${id}/`;
  assert.deepEqual(rest, {
    label: 'nightly',
    description: '',
    interval_sec: null,
    crontab: '0 2 * * *',
    script,
    timezone: 'Europe/Warsaw',
    links: { self, traces: `${self}traces/`, script: `${instance}snippets/scripts/${script}/` },
  });
  assert.deepEqual((await call<Schedule>('GET', self)).body, made.body);
  const everyMinute = await call<Schedule>('PATCH', self, { interval_sec: 60, payload: '{"n":5}' });
  assert.equal(everyMinute.status, 200, everyMinute.text);
  assert.deepEqual(
    [everyMinute.body.interval_sec, everyMinute.body.crontab, everyMinute.body.payload],
    [60, null, { n: 5 }],
  );
  const untilMs = new Date(String(everyMinute.body.scheduled_next)).getTime() - Date.now();
  assert.ok(untilMs > 40_000 && untilMs <= 60_000, `${untilMs}`);
  const put = await call<Schedule>('PUT', self, { label: 'x', script: String(script), interval_sec: '86400' });
  assert.deepEqual([put.status, put.body.interval_sec, put.body.payload], [200, 86_400, undefined]);
  const zone = await call<Schedule>('PATCH', self, { crontab: '5 5 * * 1', interval_sec: null, timezone: 'UTC' });
  assert.deepEqual([zone.body.crontab, zone.body.interval_sec], ['5 5 * * 1', null]);
  const names = await call<{ name: string; actions: { POST: Record<string, { type: string }> } }>(
    'OPTIONS',
    'schedules/',
  );
  assert.deepEqual([names.body.name, names.body.actions.POST.interval_sec?.type], ['Schedule List', 'integer']);
  assert.equal((await call<{ name: string }>('OPTIONS', `${self}traces/`)).body.name, 'Schedule Trace List');
  const other = await call<Schedule>('POST', 'schedules/', { label: 'b', script, interval_sec: 30 });
  const ids = async (query: string) =>
    (await call<Page>('GET', `schedules/${query}`)).body.objects.map((one) => one.id);
  assert.deepEqual(await ids(''), [id, other.body.id]);
  assert.deepEqual(await ids('?ordering=desc&page_size=1'), [other.body.id]);
  assert.deepEqual(await ids(`?page_size=1&direction=1&last_pk=${id}`), [other.body.id]);
  assert.deepEqual(await ids(`?direction=0&last_pk=${other.body.id}`), [id]);
  assert.equal((await call('DELETE', self)).status, 204);
  assert.equal((await call('GET', self)).status, 404);
  assert.deepEqual((await call<object>('GET', self)).body, { detail: 'Not found.' });
  assert.deepEqual((await call<object>('GET', `${self}traces/`)).body, { detail: 'Schedule was not found.' });
});

test('what is wrong with a schedule is told by field, all at once', async (t) => {
  const { call, script, server, credentials } = await setUp(t);
  const good = { label: 'x', script, interval_sec: 30 };
  const rows: [object, object][] = [
    [
      {},
      {
        label: ['This field is required.'],
        script: ['This field is required.'],
        non_field_errors: ['Either crontab or interval_sec has to be specified.'],
      },
    ],
    [{ ...good, crontab: '* * * * *' }, { non_field_errors: ["You can't specify both crontab and interval_sec."] }],
    [{ ...good, interval_sec: 29 }, { interval_sec: ['Ensure this value is greater than or equal to 30.'] }],
    [{ ...good, interval_sec: 86_401 }, { interval_sec: ['Ensure this value is less than or equal to 86400.'] }],
    [{ ...good, interval_sec: 'often' }, { interval_sec: ['A valid integer is required.'] }],
    [{ label: 'x', script, crontab: '* * * *' }, { crontab: ['Crontab has to have 5 parts specified.'] }],
    [{ label: 'x', script, crontab: '0 0 30 2 *' }, { crontab: ['Not a valid crontab, "0 0 30 2 *" never comes.'] }],
    [{ ...good, timezone: 'Mars/Base' }, { timezone: ['"Mars/Base" is not a valid choice.'] }],
    [{ ...good, script: 987654 }, { script: ['Invalid pk "987654" - object does not exist.'] }],
    [{ ...good, script: 'mine' }, { script: ['Incorrect type. Expected pk value, received str.'] }],
    [{ ...good, label: 'x'.repeat(65) }, { label: ['Ensure this field has no more than 64 characters.'] }],
    [{ ...good, label: '' }, { label: ['This field may not be blank.'] }],
    [{ ...good, payload: 5 }, { payload: ['Payload passed in invalid format. Expected JSON object or array.'] }],
  ];
  for (const [body, problems] of rows) {
    const answer = await call<object>('POST', 'schedules/', body);
    assert.deepEqual([answer.status, answer.body], [400, problems], JSON.stringify(body));
  }
  const refused = await call('GET', 'schedules/', undefined, { 'x-api-key': credentials.apiKey });
  assert.equal(refused.status, 403, 'keys of programs have no part in schedules');
  assert.equal((await call('POST', 'schedules/', good, { 'x-api-key': credentials.apiKey })).status, 403);
  await server.db.query(sql`
    insert into schedules (project_id, branch_id, component_id, configuration_id, cron, timezone, is_enabled, token_id,
      token_description)
    select ${server.actor.projectId}, ${server.actor.branchId}, 'millrace.script', ${String(script)}, '* * * * *', 'UTC',
      false, ${server.actor.token.id}, '' from generate_series(1, 100)`);
  const full = await call<object>('POST', 'schedules/', good);
  assert.deepEqual([full.status, full.body], [400, { detail: 'Schedule count exceeded (100).' }]);
});

test('the traces of a schedule are the runs it has started, under both of its addresses', async (t) => {
  const { call, script, fire, instance, server } = await setUp(t);
  const make = async () =>
    (await call<Schedule>('POST', 'schedules/', { label: 'x', script, interval_sec: 30, payload: { n: 1 } })).body.id;
  const id = await make();
  const other = await make();
  await call('POST', `snippets/scripts/${script}/run/`, {});
  assert.equal(await fire(other), 'started');
  assert.equal(await fire(id), 'started');
  assert.equal(await fire(id), 'skipped', 'the first run has not begun');
  await server.db.query(sql`update jobs set status = 'cancelled'`);
  assert.equal(await fire(id), 'started');
  const list = await call<Page>('GET', `schedules/${id}/traces/`);
  const [second, first] = list.body.objects;
  assert.equal(list.body.objects.length, 2);
  assert.ok((second?.id ?? 0) > (first?.id ?? 0), 'newest first');
  assert.equal(first?.links.self, `${instance}schedules/${id}/traces/${first?.id}/`);
  const old = `${instance}snippets/scripts/${script}/schedules/${id}/traces/`;
  const page = await call<Page>('GET', `${old}?page_size=1&direction=1&last_pk=${second?.id}`);
  assert.deepEqual(
    page.body.objects.map((one) => one.links.self),
    [`${old}${first?.id}/`],
  );
  assert.equal(page.body.next, `${old}?page_size=1&direction=1&last_pk=${first?.id}`);
  assert.equal((await call('GET', `${old}${first?.id}/`)).status, 200);
  assert.equal((await call('GET', `schedules/${other}/traces/${first?.id}/`)).status, 404);
  assert.equal((await call('GET', `snippets/scripts/${script + 1}/schedules/${id}/traces/`)).status, 404);
  const job = await server.core.jobs.get(server.actor, first?.id ?? 0);
  assert.deepEqual((job.input as { args: object }).args, { n: 1 });
});

test('a schedule fires a script on a running platform, within a moment of its time', async (t) => {
  const { url, credentials, platform } = await startPlatform(t);
  const { instance, accountKey } = credentials.syncano;
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const response = await fetch(`${url}/v1.1/instances/${instance}/${path}`, {
      method,
      headers: { 'x-api-key': accountKey, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return (await response.json()) as T;
  };
  const source = 'console.log(META.executed_by, META.executor, ARGS.n)';
  const script = await call<{ id: number }>('POST', 'snippets/scripts/', {
    label: 's',
    runtime_name: 'nodejs',
    source,
  });
  const body = { label: 'x', script: script.id, interval_sec: 30, payload: { n: 42 } };
  const { id } = await call<Schedule>('POST', 'schedules/', body);
  const due = new Date(Date.now() + 300);
  await platform.db.query(sql`update schedules set next_run_at = ${due} where id = ${id}`);
  await platform.db.query(sql`select pg_notify('schedules', '')`);
  type Trace = { id: number; status: string; executed_at: string; result: { stdout: string } };
  const traces = () => call<{ objects: Trace[] }>('GET', `schedules/${id}/traces/`);
  let [trace] = (await traces()).objects;
  for (const deadline = Date.now() + 20_000; trace?.status !== 'success' && Date.now() < deadline; await sleep(20))
    [trace] = (await traces()).objects;
  assert.equal(trace?.result.stdout, `schedule ${id} 42`);
  const lateMs = new Date(trace?.executed_at ?? 0).getTime() - due.getTime();
  assert.ok(lateMs > -50 && lateMs < 2000, `${lateMs} ms`);
  assert.equal((await traces()).objects.length, 1);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /millrace_schedule_times_total\{outcome="started"\} 1/);
  assert.match(metrics, /millrace_schedules\{state="enabled"\} 1/);
  assert.match(metrics, /millrace_schedules_overdue 0/);
  const { scheduled_next: next } = await call<Schedule>('GET', `schedules/${id}/`);
  assert.equal(new Date(String(next)).getTime(), due.getTime() + 30_000);
});
