import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import { openDatabase } from '../../db/open.ts';
import { sql } from '../../db/sql.ts';
import { silentLogger } from '../../lib/logger.ts';
import { AppError, errors } from '../errors.ts';
import { Events } from '../events/events.ts';
import { Jobs } from './jobs.ts';

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const jobs = new Jobs({ db, events: project.events });
  const claimOne = async () => {
    const [job] = await jobs.queue.claim({ workerId: 'w1', slots: { storage: 1, component: 1 } });
    assert.ok(job);
    return job;
  };
  return { db, ...project, jobs, claimOne };
}

const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('a job comes back as it was made', async (t) => {
  const { actor, jobs } = await setUp(t);
  const input = { b: [1, null, 'ž"\n'], a: { '#secret': 'KBC::x' } };
  const made = await jobs.create(
    { ...actor, runId: '12.34' },
    {
      kind: 'component',
      componentId: 'keboola.ex-1',
      configurationId: '77',
      configurationRowIds: ['r1', 'r,2'],
      mode: 'debug',
      tag: '1.2.3',
      input,
    },
  );
  const job = await jobs.get(actor, made.id);
  assert.deepEqual(job, made);
  assert.equal(job.runId, `12.34.${job.id}`);
  assert.equal(job.parentRunId, '12.34');
  assert.deepEqual(job.configurationRowIds, ['r1', 'r,2']);
  assert.equal(JSON.stringify(job.input), JSON.stringify(input), 'keys in their order');
  assert.equal(job.token.id, actor.token.id);
  assert.equal(job.status, 'created');
});

test('storage jobs are steps of the run they were asked for in, or runs of their own', async (t) => {
  const { actor, jobs } = await setUp(t);
  const alone = await jobs.create(actor, { kind: 'table-import' });
  assert.deepEqual([alone.runId, alone.parentRunId], [String(alone.id), '']);
  const step = await jobs.create({ ...actor, runId: '5.6' }, { kind: 'table-import' });
  assert.deepEqual([step.runId, step.parentRunId], ['5.6', '5']);
});

test('ids of jobs and tickets grow together', async (t) => {
  const { actor, jobs } = await setUp(t);
  const before = await jobs.ticket(actor);
  const job = await jobs.create(actor, { kind: 'table-import' });
  const after = await jobs.ticket(actor);
  assert.ok(before < job.id && job.id < after);
});

test('a dedupe key makes one job, also when many ask at once, and outlives its end', async (t) => {
  const { actor, jobs, claimOne } = await setUp(t);
  const ask = () => jobs.create(actor, { kind: 'table-import', dedupeKey: '99/output/1' });
  const ids = new Set((await Promise.all(Array.from({ length: 10 }, ask))).map(({ id }) => id));
  assert.equal(ids.size, 1);
  await jobs.end(await claimOne(), { status: 'succeeded' });
  assert.ok(ids.has((await ask()).id));
});

test('nothing of a job is seen before its transaction commits, and nothing is left when it does not', async (t) => {
  const { db, actor, jobs, events } = await setUp(t);
  const before = (await events.list(actor, {})).length;
  await assert.rejects(
    db.transaction(async (tx) => {
      await jobs.createIn(tx, actor, { kind: 'table-import' });
      assert.deepEqual(await jobs.queue.claim({ workerId: 'w1', slots: { storage: 1 } }), []);
      throw errors.invalid('no');
    }),
  );
  assert.deepEqual(await jobs.list(actor, {}, { limit: 10 }), []);
  assert.equal((await events.list(actor, {})).length, before);
});

test('the end of a job commits with the rows of its kind, or not at all', async (t) => {
  const { db, actor, jobs, events, claimOne } = await setUp(t);
  await db.query(sql`create table kind_rows (id integer)`);
  await jobs.create(actor, { kind: 'table-import' });
  const held = await claimOne();
  await assert.rejects(
    jobs.end(held, { status: 'succeeded' }, async (tx) => {
      await tx.query(sql`insert into kind_rows values (1)`);
      throw errors.invalid('no');
    }),
  );
  assert.equal((await jobs.get(actor, held.id)).status, 'running');
  await jobs.end(held, { status: 'succeeded', metrics: { inBytes: 5 } }, async (tx) => {
    await tx.query(sql`insert into kind_rows values (2)`);
    return { rows: 1 };
  });
  assert.deepEqual(await db.query(sql`select id from kind_rows`), [{ id: 2 }]);
  const ended = await jobs.get(actor, held.id);
  assert.deepEqual([ended.status, ended.result, ended.metrics], ['succeeded', { rows: 1 }, { inBytes: 5 }]);
  assert.ok(ended.startedAt && ended.finishedAt && ended.finishedAt >= ended.startedAt);
  const [last] = await events.list(actor, { limit: 1 });
  assert.deepEqual([last?.name, last?.type, last?.objectId], ['job.finished', 'success', String(held.id)]);
});

test('errors of users show their text, errors of ours only an id', async (t) => {
  const { actor, jobs, claimOne } = await setUp(t);
  const fail = async (error: unknown) => {
    await jobs.create(actor, { kind: 'table-import' });
    const held = await claimOne();
    await jobs.end(held, { status: 'failed', error, result: { partial: true } });
    const job = await jobs.get(actor, held.id);
    assert.equal(job.status, 'failed');
    assert.deepEqual(job.result, { partial: true });
    assert.match(job.error?.exceptionId ?? '', /^exception-[0-9a-f]{32}$/);
    return job.error;
  };
  const user = await fail(new AppError('not-found', 'table.not-found', 'No such table', { details: { id: 'x' } }));
  assert.deepEqual(
    [user?.type, user?.code, user?.message, user?.details],
    ['user', 'table.not-found', 'No such table', { id: 'x' }],
  );
  for (const thrown of [new Error('password=hunter2'), errors.internal('/secret/path'), 'text']) {
    const ours = await fail(thrown);
    assert.deepEqual([ours?.type, ours?.message, ours?.details], ['application', 'Internal error', undefined]);
  }
});

test('listings filter by every field, page, and keep other projects and other tokens out', async (t) => {
  const { actor, tokenActor, projects, identity, jobs, claimOne } = await setUp(t);
  const component = (componentId: string, configurationId: string) =>
    jobs.create(actor, { kind: 'component', componentId, configurationId, configurationRowIds: ['a', 'b'] });
  const a1 = await component('a', '1');
  const a2 = await component('a', '2');
  const b1 = await component('b', '1');
  await jobs.end(await claimOne(), { status: 'succeeded' });
  const limited = await tokenActor({ canManageBuckets: true });
  const own = await jobs.create(limited, { kind: 'table-import' });
  const masters = await jobs.create(actor, { kind: 'table-import' });
  const list = async (filter: Parameters<Jobs['list']>[1], who = actor) =>
    (await jobs.list(who, filter, { limit: 100 })).map(({ id }) => id);
  assert.deepEqual(await list({}), [masters.id, own.id, b1.id, a2.id, a1.id]);
  assert.deepEqual(await list({}, limited), [own.id, b1.id, a2.id, a1.id]);
  await assert.rejects(jobs.get(limited, masters.id), coded('access.denied'));
  assert.deepEqual(await list({ componentIds: ['a'] }), [a2.id, a1.id]);
  assert.deepEqual(await list({ componentIds: ['a', 'b'], configurationIds: ['1'] }), [b1.id, a1.id]);
  assert.deepEqual(await list({ statuses: ['succeeded'] }), [a1.id]);
  assert.deepEqual(await list({ lanes: ['component'], excludedStatuses: ['succeeded'] }), [b1.id, a2.id]);
  assert.deepEqual(await list({ ids: [a1.id, 1] }), [a1.id]);
  assert.deepEqual(await list({ ids: [] }), []);
  assert.deepEqual(await list({ configurationRowIds: ['b', 'c'], lanes: ['component'] }), [b1.id, a2.id, a1.id]);
  assert.deepEqual(await list({ parentRunIds: [''], kinds: ['table-import'] }), [masters.id, own.id]);
  assert.deepEqual(await list({ created: { to: new Date(0) } }), []);
  assert.deepEqual(await list({ finished: { from: new Date(Date.now() - 60_000) } }), [a1.id]);
  assert.deepEqual(await list({ durationSeconds: { from: 3600 } }), []);
  const page = await jobs.list(actor, {}, { limit: 2, offset: 1, order: { field: 'createdAt', direction: 'asc' } });
  assert.deepEqual(
    page.map(({ id }) => id),
    [a2.id, b1.id],
  );
  const other = await projects.create({ personId: 1, email: 'admin@localhost', isSuperAdmin: true }, { name: 'Other' });
  const stranger = await identity.authenticateStorageToken(other.keboola.storageToken);
  assert.deepEqual(await list({}, stranger), []);
  for (const act of [jobs.get(stranger, a1.id), jobs.kill(stranger, a2.id)])
    await assert.rejects(act, coded('job.not-found'));
});

test('tokens run only the components they were given', async (t) => {
  const { tokenActor, jobs } = await setUp(t);
  const limited = await tokenActor({ componentAccess: ['a'] });
  await jobs.create(limited, { kind: 'component', componentId: 'a' });
  await assert.rejects(jobs.create(limited, { kind: 'component', componentId: 'b' }), coded('access.denied'));
});

test('whoever waits for a job hears of its end at once in the same process and soon in another', async (t) => {
  const { db, actor, jobs, claimOne } = await setUp(t);
  const elsewhere = await openDatabase({ connection: db.connection, log: silentLogger });
  try {
    const otherJobs = new Jobs({ db: elsewhere, events: new Events({ db: elsewhere }) });
    const times: { here: number; there: number }[] = [];
    let id = 0;
    for (let i = 0; i < 8; i++) {
      ({ id } = await jobs.create(actor, { kind: 'table-import' }));
      const here = jobs.awaitEnd(id);
      const there = otherJobs.awaitEnd(id);
      const held = await claimOne();
      await new Promise((resolve) => setTimeout(resolve, 20));
      const start = Date.now();
      await jobs.end(held, { status: 'succeeded', result: i });
      assert.equal((await here).result, i);
      const hereMs = Date.now() - start;
      assert.equal((await there).result, i);
      times.push({ here: hereMs, there: Date.now() - start });
    }
    // The best of several, since the machine may be busy. A poll alone would take half a second.
    assert.ok(Math.min(...times.map(({ here }) => here)) < 150, JSON.stringify(times));
    assert.ok(Math.min(...times.map(({ there }) => there)) < 300, JSON.stringify(times));
    assert.equal((await jobs.awaitEnd(id)).status, 'succeeded', 'also when it is over already');
    await assert.rejects(jobs.awaitEnd(1), coded('job.not-found'));
    const next = await jobs.create(actor, { kind: 'table-import' });
    const abort = new AbortController();
    const waiting = jobs.awaitEnd(next.id, abort.signal);
    abort.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
  } finally {
    await elsewhere.close();
  }
});
