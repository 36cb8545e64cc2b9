import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import { sql } from '../../db/sql.ts';
import { AppError, errors } from '../errors.ts';
import type { ClaimedJob, NewJob } from './job-model.ts';
import { Jobs } from './jobs.ts';

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const jobs = new Jobs({ db, events: project.events });
  const create = (job: Partial<NewJob> = {}) => jobs.create(project.actor, { kind: 'table-import', ...job });
  const claim = (workerId = 'w1', storage = 10) => jobs.queue.claim({ workerId, slots: { storage, component: 10 } });
  return { db, ...project, jobs, create, claim };
}

const ids = (jobs: { id: number }[]) => jobs.map(({ id }) => id);
const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('twenty claimers never get the same job, nor more of a project than its limit', async (t) => {
  const { db, jobs, create } = await setUp(t);
  await db.query(sql`update projects set limits = '{"storageJobs": 30}'`);
  const made = await Promise.all(Array.from({ length: 60 }, () => create()));
  const claimed = await Promise.all(
    Array.from({ length: 20 }, (_, i) => jobs.queue.claim({ workerId: `w${i}`, slots: { storage: 5 } })),
  );
  const all = claimed.flat();
  assert.equal(all.length, 30);
  assert.equal(new Set(ids(all)).size, 30);
  assert.deepEqual(ids(all).sort(), ids(made).sort().slice(0, 30), 'the oldest first');
});

test('jobs with one lock key run one at a time in the order of their ids, whoever claims', async (t) => {
  const { jobs, create } = await setUp(t);
  const made = [];
  for (let i = 0; i < 6; i++) made.push(await create({ lockKey: 'table:in.c-a.t' }));
  const free = await create({ lockKey: 'table:in.c-a.other' });
  const order: number[] = [];
  for (let round = 0; order.length < made.length; round++) {
    const claimed = (
      await Promise.all(
        Array.from({ length: 5 }, (_, i) => jobs.queue.claim({ workerId: `w${i}`, slots: { storage: 10 } })),
      )
    ).flat();
    const locked = claimed.filter(({ id }) => id !== free.id);
    assert.equal(locked.length, 1, `round ${round}`);
    for (const job of claimed) await jobs.end(job, { status: 'succeeded' });
    order.push(...ids(locked));
  }
  assert.deepEqual(order, ids(made));
});

test('a job that was committed late does not run beside a younger one with its lock key', async (t) => {
  const { db, actor, jobs, create, claim } = await setUp(t);
  let late!: { id: number };
  const [younger] = await db.transaction(async (tx) => {
    late = await jobs.createIn(tx, actor, { kind: 'table-import', lockKey: 'k' });
    await create({ lockKey: 'k' });
    return claim();
  });
  assert.ok(younger && younger.id > late.id);
  assert.deepEqual(await claim(), []);
  await jobs.end(younger, { status: 'succeeded' });
  assert.deepEqual(ids(await claim()), [late.id]);
});

test('the database itself refuses a second running job of a lock key', async (t) => {
  const { db, create, claim } = await setUp(t);
  await create({ lockKey: 'k' });
  const second = await create({ lockKey: 'k' });
  await claim();
  await assert.rejects(
    db.query(sql`update jobs set status = 'running', claim_token = gen_random_uuid(), lease_expires_at = now()
      where id = ${second.id}`),
    /jobs_one_running_per_lock/,
  );
});

test('a busy project leaves room for the others, and the lanes for each other', async (t) => {
  const { projects, identity, jobs, create, claim } = await setUp(t);
  const other = await projects.create({ personId: 1, email: 'admin@localhost', isSuperAdmin: true }, { name: 'Other' });
  const otherActor = await identity.authenticateStorageToken(other.keboola.storageToken);
  for (let i = 0; i < 20; i++) await create();
  const theirs = await jobs.create(otherActor, { kind: 'table-import' });
  const component = await create({ kind: 'component', componentId: 'c' });
  const claimed = await claim('w1', 3);
  assert.equal(claimed.length, 4);
  assert.ok(ids(claimed).includes(theirs.id) && ids(claimed).includes(component.id));
});

test('a job is not claimed before its time, and does not hold up its lock key until then', async (t) => {
  const { db, jobs, create, claim } = await setUp(t);
  const delayed = await create({ lockKey: 'k', availableAt: new Date(Date.now() + 3_600_000) });
  const next = await create({ lockKey: 'k' });
  const [running] = await claim();
  assert.equal(running?.id, next.id);
  await db.query(sql`update jobs set available_at = now() where id = ${delayed.id}`);
  assert.deepEqual(await claim(), [], 'the lock is held');
  await jobs.end(running, { status: 'succeeded' });
  assert.deepEqual(ids(await claim()), [delayed.id]);
});

test('a lease that ran out is claimed again, and the first worker can commit nothing any more', async (t) => {
  const { db, jobs, create, claim } = await setUp(t);
  const { id } = await create();
  const [first] = await claim('w1');
  assert.ok(first);
  assert.deepEqual(await claim('w2'), [], 'the lease holds');
  await db.query(sql`update jobs set lease_expires_at = now() - interval '1 second' where id = ${id}`);
  const [second] = await claim('w2');
  assert.equal(second?.id, id);
  assert.equal(second?.attempt, 2);
  let ran = false;
  await assert.rejects(
    jobs.end(first, { status: 'succeeded' }, async () => {
      ran = true;
    }),
    coded('job.lease-lost'),
  );
  assert.equal(ran, false, 'the kind did not even begin to write');
  await assert.rejects(jobs.end(first, { status: 'failed', error: errors.invalid('x') }), coded('job.lease-lost'));
  await assert.rejects(jobs.queue.saveHandle(first, { pid: 1 }), coded('job.lease-lost'));
  assert.equal(await jobs.queue.retryLater(first), undefined);
  assert.equal(await jobs.queue.requeue(first), false);
  assert.equal(await jobs.queue.release(first), false);
  assert.deepEqual(await jobs.queue.heartbeat('w1', [id]), []);
  await jobs.end(second, { status: 'succeeded' });
  const rows = await db.query(sql`select status from jobs where id = ${id}`);
  assert.deepEqual(rows, [{ status: 'succeeded' }]);
});

test('heartbeats keep a lease, and a worker is never given what it runs already', async (t) => {
  const { db, jobs, create, claim } = await setUp(t);
  const { id } = await create();
  const [held] = await claim('w1');
  const expire = () => db.query(sql`update jobs set lease_expires_at = now() - interval '1 second'`);
  await expire();
  assert.deepEqual(await jobs.queue.heartbeat('w1', [id]), [{ id, claimToken: held?.claimToken, status: 'running' }]);
  assert.deepEqual(await claim('w2'), [], 'renewed, because nobody else had taken it yet');
  assert.deepEqual(await jobs.queue.heartbeat('w1', []), [], 'what the worker does not name is not kept for it');
  await expire();
  assert.deepEqual(await jobs.queue.claim({ workerId: 'w1', slots: { storage: 1 }, running: [id] }), []);
  assert.deepEqual(await jobs.queue.claim({ workerId: 'w2', slots: { storage: 1 }, takeOver: false }), []);
  assert.deepEqual(ids(await claim('w2')), [id]);
});

test('what dead workers held is free at once', async (t) => {
  const { jobs, create, claim } = await setUp(t);
  const made = [await create(), await create()];
  await claim('dead', 1);
  const [alive] = await claim('alive', 1);
  assert.equal(await jobs.queue.releaseDead({ notOf: ['alive'] }), 1);
  assert.deepEqual(ids(await claim('new')), [made[0]?.id]);
  assert.equal(alive?.id, made[1]?.id);
  assert.equal(await jobs.queue.releaseDead({ of: ['new'] }), 1);
});

test('a killed job that waits is cancelled at once, a running one stops, a finished one refuses', async (t) => {
  const { actor, jobs, create, claim, events } = await setUp(t);
  const queued = await create();
  assert.equal((await jobs.kill(actor, queued.id)).status, 'cancelled');
  assert.deepEqual(await claim(), []);

  const { id } = await create();
  const [held] = (await claim()) as [ClaimedJob];
  assert.equal((await jobs.kill(actor, id)).status, 'stopping');
  assert.equal((await jobs.kill(actor, id)).status, 'stopping', 'twice is the same as once');
  assert.equal((await jobs.queue.heartbeat('w1', [id]))[0]?.status, 'stopping');
  await assert.rejects(jobs.end(held, { status: 'succeeded' }), coded('job.stopping'));
  assert.equal(await jobs.queue.retryLater(held), undefined);
  await jobs.end(held, { status: 'stopped' });
  for (const finished of [id, queued.id]) await assert.rejects(jobs.kill(actor, finished), coded('job.not-killable'));
  await assert.rejects(jobs.kill(actor, 1), coded('job.not-found'));
  const names = (await events.list(actor, { runId: String(id), direction: 'asc' })).map(({ name }) => name);
  assert.deepEqual(names, ['job.created', 'job.stopping', 'job.finished']);
});

test('killing a component job kills all that runs below it and nothing beside it', async (t) => {
  const { actor, jobs, create, claim } = await setUp(t);
  const root = await create({ kind: 'component', componentId: 'c' });
  const inRun = { ...actor, runId: root.runId };
  const child = await jobs.create(inRun, { kind: 'component', componentId: 'c' });
  const grandChild = await jobs.create({ ...actor, runId: child.runId }, { kind: 'component', componentId: 'c' });
  const load = await jobs.create(inRun, { kind: 'table-import' });
  // From inside of a job, its id alone is the run: in the storage jobs it makes, and in what a program calls.
  const ofChild = { ...actor, runId: String(child.id) };
  const childsLoad = await jobs.create(ofChild, { kind: 'table-import' });
  const called = await jobs.create(ofChild, { kind: 'component', componentId: 'c' });
  const calledsLoad = await jobs.create({ ...actor, runId: String(called.id) }, { kind: 'table-import' });
  const besidesLoad = await jobs.create({ ...actor, runId: `${root.id}0` }, { kind: 'table-import' });
  const beside = await create({ kind: 'component', componentId: 'c' });
  await jobs.queue.claim({ workerId: 'w1', slots: { component: 2 } });
  assert.equal(child.runId, `${root.id}.${child.id}`);
  assert.equal(child.parentRunId, root.runId);
  await jobs.kill(actor, root.id);
  const statuses = await Promise.all(
    [root, child, grandChild, load, childsLoad, called, calledsLoad].map(
      async ({ id }) => (await jobs.get(actor, id)).status,
    ),
  );
  assert.deepEqual(statuses, ['stopping', 'stopping', ...Array(5).fill('cancelled')]);
  const others = await Promise.all([beside, besidesLoad].map(async ({ id }) => (await jobs.get(actor, id)).status));
  assert.deepEqual(others, ['created', 'created']);
  assert.equal((await claim()).length, 2);
});

test('a claim whose answer was lost comes back to the worker at its next claim', async (t) => {
  const { jobs, create, claim } = await setUp(t);
  const { id } = await create();
  const [lost] = await claim('w1');
  const [again] = await jobs.queue.claim({ workerId: 'w1', slots: { storage: 1 }, running: [] });
  assert.equal(again?.id, id);
  assert.equal(again?.attempt, 2);
  assert.notEqual(again?.claimToken, lost?.claimToken, 'what the lost answer held opens nothing any more');
  assert.deepEqual(await jobs.queue.claim({ workerId: 'w1', slots: { storage: 1 }, running: [id] }), []);
});

test('a failure that may pass is retried later each time, and the fifth is the end', async (t) => {
  const { db, jobs, create, claim } = await setUp(t);
  const { id } = await create();
  const delays: number[] = [];
  for (;;) {
    await db.query(sql`update jobs set available_at = now() where id = ${id}`);
    const [held] = (await claim()) as [ClaimedJob];
    assert.equal(held.attempt, delays.length + 1);
    const delay = await jobs.queue.retryLater(held);
    if (delay === undefined) break;
    delays.push(delay);
    assert.deepEqual(await claim(), [], 'not before its time');
  }
  assert.equal(delays.length, 4);
  assert.ok(
    delays.every((delay, i) => delay >= 200 * 2 ** i && delay <= 400 * 2 ** i),
    String(delays),
  );
});

test('handed back jobs do not count as tried', async (t) => {
  const { jobs, create, claim } = await setUp(t);
  await create();
  for (let i = 0; i < 3; i++) {
    const [held] = (await claim()) as [ClaimedJob];
    assert.equal(held.attempt, 1);
    assert.equal(await jobs.queue.requeue(held), true);
  }
  const [held] = (await claim()) as [ClaimedJob];
  assert.equal(await jobs.queue.release(held), true);
  assert.equal((await claim('w2'))[0]?.attempt, 2);
});
