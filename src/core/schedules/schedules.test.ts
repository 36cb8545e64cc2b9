import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { cleanup } from '../../../test/support/cleanup.ts';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import { readMigrations } from '../../db/migrate.ts';
import { openDatabase } from '../../db/open.ts';
import { sql } from '../../db/sql.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/logger.ts';
import { packageRoot } from '../../lib/package-root.ts';
import { createScheduler } from '../../runner/scheduler.ts';
import { Components } from '../components/components.ts';
import { composeConnectors } from '../components/compose-connectors.ts';
import { Configurations } from '../components/configurations.ts';
import { CONNECTION_COMPONENT, type ConnectionSchedule } from '../components/connection-model.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Occurrences } from './occurrences.ts';
import type { Schedule } from './schedule-model.ts';
import type { Recurrence } from './schedule-times.ts';

const componentId = 'keboola.duckdb-transformation';
const target = { componentId, configurationId: 'c' };
const hourly: Recurrence = { type: 'cron', expression: '0 * * * *', timezone: 'UTC' };

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { actor, events } = project;
  let now = new Date();
  const clock = { now: () => now };
  const components = await Components.load(path.join(packageRoot, 'components'));
  const jobs = new Jobs({ db, events });
  const configurations = new Configurations({ ...project, db, components });
  const composed = composeConnectors({ ...project, db, clock, components, configurations, jobs });
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });
  const { schedules, occurrences } = composed;
  const eventNames = async () =>
    (await events.list(actor, { objectType: 'schedule', direction: 'asc' })).map(({ name }) => name);
  return {
    ...project,
    ...composed,
    db,
    jobs,
    configurations,
    eventNames,
    at: (time: Date | string) => {
      now = new Date(time);
    },
    now: () => now,
    make: (recurrence: Recurrence = hourly) => schedules.create(actor, { name: 'nightly', target, recurrence }),
    /** Everything that is due, one after the other. */
    async handleAll() {
      const outcomes: string[] = [];
      for (let handled = await occurrences.handleNext(); handled; handled = await occurrences.handleNext())
        outcomes.push(handled.outcome);
      return outcomes;
    },
    runsOf: (id: number) =>
      db.query<{ jobId: number; dueAt: Date }>(
        sql`select job_id as "jobId", due_at as "dueAt" from schedule_runs where schedule_id = ${id} order by due_at`,
      ),
    jobsOf: () => jobs.list(actor, { componentIds: [componentId, CONNECTION_COMPONENT] }, { limit: 1000 }),
  };
}

test('a schedule makes one job each time it is due, in the name of who made it', async (t) => {
  const { schedules, actor, at, make, handleAll, jobsOf, eventNames, runsOf } = await setUp(t);
  at('2026-01-01T00:30:00Z');
  const made = await make();
  assert.equal(made.nextRunAt?.toISOString(), '2026-01-01T01:00:00.000Z');
  assert.deepEqual(await handleAll(), []);
  at('2026-01-01T00:59:59.999Z');
  assert.deepEqual(await handleAll(), []);
  at('2026-01-01T01:00:00Z');
  assert.deepEqual(await handleAll(), ['started']);
  assert.deepEqual(await handleAll(), []);
  at('2026-01-01T02:00:07Z');
  assert.deepEqual(await handleAll(), ['started']);
  const [second, first] = await jobsOf();
  assert.deepEqual(
    [first?.kind, first?.token.id, first?.configurationId, first?.dedupeKey],
    ['component', actor.token.id, 'c', `schedule:${made.id}:2026-01-01T01:00:00.000Z`],
  );
  const { nextRunAt, lastDueAt, lastJobId } = await schedules.get(actor, made.id);
  assert.equal(nextRunAt?.toISOString(), '2026-01-01T03:00:00.000Z');
  assert.deepEqual([lastDueAt?.toISOString(), lastJobId], ['2026-01-01T02:00:00.000Z', second?.id]);
  assert.deepEqual(
    (await runsOf(made.id)).map(({ jobId, dueAt }) => [jobId, dueAt.toISOString()]),
    [
      [first?.id, '2026-01-01T01:00:00.000Z'],
      [second?.id, '2026-01-01T02:00:00.000Z'],
    ],
  );
  assert.deepEqual(await eventNames(), ['schedule.created']);
});

test('what was missed while nobody looked happens once', async (t) => {
  const { at, make, handleAll, jobsOf, schedules, actor } = await setUp(t);
  at('2026-01-01T00:30:00Z');
  const { id } = await make();
  const { id: interval } = await make({ type: 'interval', seconds: 30, timezone: 'UTC' });
  at('2026-01-09T17:45:10Z');
  assert.deepEqual(await handleAll(), ['started', 'started']);
  assert.equal((await jobsOf()).length, 2);
  assert.equal((await schedules.get(actor, id)).nextRunAt?.toISOString(), '2026-01-09T18:00:00.000Z');
  assert.equal((await schedules.get(actor, interval)).nextRunAt?.toISOString(), '2026-01-09T17:45:30.000Z');
});

test('a time that was handled does not come again by a clock that is behind', async (t) => {
  const { at, make, handleAll, jobsOf, schedules, actor } = await setUp(t);
  at('2026-01-01T00:30:00Z');
  const { id } = await make();
  at('2026-01-01T01:00:00Z');
  assert.deepEqual(await handleAll(), ['started']);
  at('2026-01-01T00:59:58Z');
  await schedules.update(actor, id, { isEnabled: false });
  await schedules.update(actor, id, { isEnabled: true });
  at('2026-01-01T01:00:00Z');
  assert.deepEqual(await handleAll(), ['skipped']);
  assert.equal((await jobsOf()).length, 1);
  assert.equal((await schedules.get(actor, id)).nextRunAt?.toISOString(), '2026-01-01T02:00:00.000Z');
});

test('20 schedulers at once start each of 40 schedules once', async (t) => {
  const { db, at, make, jobsOf, occurrences } = await setUp(t);
  at('2026-01-01T00:30:00Z');
  for (let i = 0; i < 40; i++) await make();
  at('2026-01-01T01:00:00Z');
  const handled: number[] = [];
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let idle = 0; idle < 3; ) {
        const one = await occurrences.handleNext();
        if (one) handled.push(one.schedule.id);
        else idle++;
      }
    }),
  );
  assert.equal(handled.length, 40);
  assert.equal(new Set(handled).size, 40);
  assert.equal((await jobsOf()).length, 40);
  assert.equal((await db.query(sql`select from schedule_runs`)).length, 40);
});

test('a scheduler that dies in the middle has done nothing, and the next one does it', async (t) => {
  const { db, at, make, handleAll, jobsOf, events, identity, now } = await setUp(t);
  at('2026-01-01T00:30:00Z');
  await make();
  at('2026-01-01T01:00:00Z');
  // Its database connection goes between the job and the commit, as it does with kill -9.
  const dying = await openDatabase({ connection: db.connection, log: silentLogger });
  const jobs = new Jobs({ db: dying, events });
  const doomed = new Occurrences({
    db: dying,
    events,
    identity,
    clock: { now },
    starters: {
      byComponent: {},
      async other(tx, actor, { dedupeKey }) {
        const job = await jobs.createIn(tx, actor, { kind: 'component', componentId, dedupeKey });
        const [mine] = await tx.query<{ pid: number }>(sql`select pg_backend_pid() as pid`);
        await db.query(sql`select pg_terminate_backend(${mine?.pid})`);
        await sleep(50);
        return { outcome: 'started', jobId: job.id };
      },
    },
  });
  await assert.rejects(doomed.handleNext());
  await dying.close();
  assert.deepEqual(await jobsOf(), []);
  assert.deepEqual(await handleAll(), ['started']);
  assert.equal((await jobsOf()).length, 1);
});

test('one that cannot start leaves an event, not one for each time, and does not hold up others', async (t) => {
  const { at, make, handleAll, configurations, actor, schedules, eventNames, events } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'good', name: 'x' });
  at('2026-01-01T00:30:00Z');
  const bad = await make();
  await schedules.create(actor, { name: '', target: { componentId, configurationId: 'good' }, recurrence: hourly });
  await configurations.update(actor, target, { isDisabled: true });
  at('2026-01-01T01:00:00Z');
  assert.deepEqual((await handleAll()).sort(), ['failed', 'started']);
  at('2026-01-01T02:00:00Z');
  assert.deepEqual((await handleAll()).sort(), ['failed', 'started']);
  assert.deepEqual(await eventNames(), ['schedule.created', 'schedule.created', 'schedule.not-started']);
  const shown = await schedules.get(actor, bad.id);
  assert.match(shown.problem ?? '', /disabled/);
  assert.equal(shown.isEnabled, true);
  const [event] = await events.list(actor, { names: ['schedule.not-started'] });
  assert.deepEqual([event?.configurationId, event?.objectId, event?.type], ['c', String(bad.id), 'error']);
  await configurations.update(actor, target, { isDisabled: false });
  at('2026-01-01T03:00:00Z');
  assert.deepEqual(await handleAll(), ['started', 'started']);
  assert.equal((await schedules.get(actor, bad.id)).problem, undefined);
});

test('it stops when its target or its token is gone, and goes on when somebody changes it', async (t) => {
  const { at, handleAll, configurations, actor, schedules, eventNames, identity, tokenActor } = await setUp(t);
  const other = await tokenActor({ componentAccess: [componentId] });
  at('2026-01-01T00:30:00Z');
  const byOther = await schedules.create(other, { name: 'a', target, recurrence: hourly });
  await identity.deleteToken(actor, other.token.id);
  at('2026-01-01T01:00:00Z');
  assert.deepEqual(await handleAll(), ['stopped']);
  const stopped = await schedules.get(actor, byOther.id);
  assert.deepEqual([stopped.isEnabled, stopped.nextRunAt], [false, undefined]);
  assert.match(stopped.problem ?? '', /Token/);
  const revived = await schedules.update(actor, byOther.id, { description: 'mine now' });
  assert.deepEqual([revived.isEnabled, revived.token.id, revived.problem], [true, actor.token.id, undefined]);
  at('2026-01-01T02:00:00Z');
  assert.deepEqual(await handleAll(), ['started']);
  await configurations.delete(actor, target);
  at('2026-01-01T03:00:00Z');
  assert.deepEqual(await handleAll(), ['stopped']);
  assert.deepEqual(await eventNames(), [
    'schedule.created',
    'schedule.stopped',
    'schedule.changed',
    'schedule.stopped',
  ]);
  assert.deepEqual(await schedules.count(), { enabled: 0, disabled: 0, stopped: 1, overdue: 0 });
});

test('a right that the owner has lost is not used', async (t) => {
  const { at, handleAll, actor, schedules, identity, tokenActor } = await setUp(t);
  const other = await tokenActor({ componentAccess: [componentId] });
  at('2026-01-01T00:30:00Z');
  const { id } = await schedules.create(other, { name: 'a', target, recurrence: hourly });
  await identity.updateToken(actor, other.token.id, { componentAccess: [] });
  at('2026-01-01T01:00:00Z');
  assert.deepEqual(await handleAll(), ['failed']);
  assert.match((await schedules.get(actor, id)).problem ?? '', /not allowed to run/);
});

test('changing another recurrence begins anew, changing anything else does not', async (t) => {
  const { at, make, schedules, actor } = await setUp(t);
  at('2026-01-01T00:30:00Z');
  const { id } = await make({ type: 'interval', seconds: 3600, timezone: 'UTC' });
  const next = async (patch: object) => (await schedules.update(actor, id, patch)).nextRunAt?.toISOString();
  at('2026-01-01T00:40:00Z');
  assert.equal(await next({ name: 'b', input: { payload: 1 } }), '2026-01-01T01:30:00.000Z');
  assert.equal(
    await next({ recurrence: { type: 'interval', seconds: 60, timezone: 'UTC' } }),
    '2026-01-01T00:41:00.000Z',
  );
  assert.equal(await next({ isEnabled: false }), undefined);
  assert.equal(await next({ isEnabled: true }), '2026-01-01T00:41:00.000Z');
  assert.equal(await next({ recurrence: hourly }), '2026-01-01T01:00:00.000Z');
});

test('only who may run the target may make, see or change its schedules', async (t) => {
  const { make, schedules, actor, tokenActor, newProject, identity } = await setUp(t);
  const { id } = await make();
  const stranger = await tokenActor({ componentAccess: ['other'] });
  const foreign = await identity.authenticateStorageToken((await newProject('b')).keboola.storageToken);
  const reader = { ...actor, token: { ...actor.token, person: { ...actor.token.person!, role: 'readOnly' as const } } };
  assert.equal((await schedules.get(reader, id)).id, id);
  const cases: [() => Promise<unknown>, string][] = [
    [() => schedules.create(stranger, { name: '', target, recurrence: hourly }), 'access.denied'],
    [() => schedules.create(reader, { name: '', target, recurrence: hourly }), 'access.denied'],
    [() => schedules.get(stranger, id), 'access.denied'],
    [() => schedules.update(stranger, id, { name: 'x' }), 'access.denied'],
    [() => schedules.update(reader, id, { name: 'x' }), 'access.denied'],
    [() => schedules.delete(reader, id), 'access.denied'],
    [() => schedules.get(foreign, id), 'schedule.not-found'],
    [() => schedules.update(foreign, id, { name: 'x' }), 'schedule.not-found'],
    [() => schedules.delete(foreign, id), 'schedule.not-found'],
    [() => schedules.create(foreign, { name: '', target, recurrence: hourly }), 'configuration.not-found'],
    [() => schedules.get(actor, id, { componentId: 'other' }), 'schedule.not-found'],
  ];
  for (const [act, code] of cases) await assert.rejects(act, { code });
  const listed = async (by: typeof actor) => (await schedules.list(by, {}, { limit: 10 })).length;
  assert.deepEqual([await listed(actor), await listed(stranger), await listed(foreign)], [1, 0, 0]);
});

test('a project has at most 100 schedules of a component, however many are made at once', async (t) => {
  const { db, make } = await setUp(t);
  const { id } = await make();
  await db.query(sql`
    insert into schedules (project_id, branch_id, component_id, configuration_id, cron, timezone, is_enabled, token_id,
      token_description)
    select project_id, branch_id, component_id, configuration_id, cron, timezone, false, token_id, token_description
    from schedules, generate_series(1, 97) where id = ${id}`);
  const outcomes = await Promise.allSettled([make(), make(), make(), make()]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'fulfilled', 'rejected', 'rejected']);
});

async function connectionWorld(t: TestContext) {
  const world = await setUp(t);
  const { actor, connectors, connections, schedules } = world;
  const make = async (role: 'source' | 'destination', slug: string, configuration: Record<string, string>) => {
    const definition = connectors.definition(role, { slug });
    return {
      componentId: definition.id,
      configurationId: (await connectors.create(actor, definition, { name: 'x', configuration })).id,
    };
  };
  const source = await make('source', 'millrace-file', { dataset_name: 'x', url: 'x' });
  const destination = await make('destination', 'millrace-storage', {});
  const connect = (schedule: ConnectionSchedule, isActive = true) =>
    connections.create(actor, {
      name: 'x',
      isActive,
      settings: {
        source,
        destination,
        namespace: { definition: 'destination' },
        prefix: '',
        schedule,
        schemaChanges: 'ignore',
        streams: [],
      },
    });
  const scheduleOf = async (id: string): Promise<Schedule | undefined> =>
    (await schedules.list(actor, { componentId: CONNECTION_COMPONENT, configurationId: id }, { limit: 5 }))[0];
  return { ...world, connect, scheduleOf };
}

const daily: ConnectionSchedule = { type: 'cron', expression: '0 0 12 * * ?', timezone: 'UTC' };

test('the schedule of a connection is what its settings say, whoever changes them', async (t) => {
  const { actor, at, connect, scheduleOf, connections, configurations, schedules, eventNames } =
    await connectionWorld(t);
  at('2026-01-01T00:00:00Z');
  const { id } = await connect(daily);
  const address = { componentId: CONNECTION_COMPONENT, configurationId: id };
  const made = await scheduleOf(id);
  assert.equal(made?.nextRunAt?.toISOString(), '2026-01-01T12:00:00.000Z');
  assert.deepEqual(made?.definition, { ...address, version: 1 });
  const next = async () => (await scheduleOf(id))?.nextRunAt?.toISOString();
  await connections.update(actor, id, { name: 'renamed' });
  assert.deepEqual([await next(), (await scheduleOf(id))?.name], ['2026-01-01T12:00:00.000Z', 'renamed']);
  await connections.update(actor, id, { isActive: false });
  assert.equal(await next(), undefined);
  await connections.update(actor, id, { isActive: true });
  assert.equal(await next(), '2026-01-01T12:00:00.000Z');
  await configurations.rollback(actor, address, 1);
  assert.equal(await next(), '2026-01-01T12:00:00.000Z');
  await connections.update(actor, id, { settings: { schedule: { type: 'manual' } } });
  assert.equal(await scheduleOf(id), undefined);
  await configurations.rollback(actor, address, 1);
  assert.equal(await next(), '2026-01-01T12:00:00.000Z');
  await assert.rejects(
    connections.update(actor, id, { settings: { schedule: { ...daily, expression: '0 0 99 * * ?' } } }),
    { code: 'schedule.invalid-time' },
  );
  const made2 = await scheduleOf(id);
  await assert.rejects(schedules.delete(actor, made2?.id ?? 0), { code: 'schedule.defined-elsewhere' });
  await configurations.delete(actor, address);
  assert.equal(await scheduleOf(id), undefined);
  await configurations.restore(actor, address);
  assert.equal(await next(), '2026-01-01T12:00:00.000Z');
  assert.equal((await eventNames()).filter((name) => name === 'schedule.deleted').length, 2);
});

test('what a schedule has led to is remembered for a week', async (t) => {
  const { at, make, handleAll, runsOf, jobsOf } = await setUp(t);
  at('2026-01-01T00:30:00Z');
  const { id } = await make({ type: 'cron', expression: '0 0 * * *', timezone: 'UTC' });
  for (let day = 2; day <= 12; day++) {
    at(`2026-01-${String(day).padStart(2, '0')}T00:00:00Z`);
    assert.deepEqual(await handleAll(), ['started']);
  }
  assert.equal((await jobsOf()).length, 11);
  assert.deepEqual(
    (await runsOf(id)).map(({ dueAt }) => dueAt.getUTCDate()),
    [5, 6, 7, 8, 9, 10, 11, 12],
  );
});

test('connections from before there were schedules get theirs, and start nothing by that', async (t) => {
  const { actor, at, connect, handleAll, scheduleOf, connections, configurations, db } = await connectionWorld(t);
  at('2026-01-01T00:00:00Z');
  const kept = await connect(daily);
  const { id } = await connect({ ...daily, timezone: 'Europe/Prague' });
  const interval = await connect({ type: 'interval', every: 2, unit: 'hours' });
  const inactive = await connect(daily, false);
  const gone = await connect(daily);
  await connections.delete(actor, gone.id);
  await connect({ type: 'manual' });
  await configurations.create(actor, CONNECTION_COMPONENT, {
    name: 'x',
    configuration: JSON.stringify({ parameters: { schedule: 'a text', streams: [], name: '\u0000' } }),
  });
  const before = await scheduleOf(kept.id);
  await db.query(sql`delete from schedules where id <> ${before?.id}`);
  const migration = (await readMigrations(path.join(packageRoot, 'migrations'))).find(({ name }) =>
    name.includes('schedules-of-connections'),
  );
  const client = new pg.Client(db.connection);
  await client.connect();
  for (let times = 0; times < 2; times++) await client.query(`begin; ${migration?.text}; commit`);
  await client.end();
  at(new Date(Date.now() + 1000));
  assert.deepEqual(
    await handleAll(),
    ['started', 'skipped', 'skipped'],
    'what was there before is due, the others not',
  );
  const made = await scheduleOf(id);
  assert.deepEqual(
    [made?.recurrence.timezone, made?.isEnabled, made?.token.id],
    ['Europe/Prague', true, actor.token.id],
  );
  assert.equal(made?.definition?.version, 1);
  assert.match(made?.nextRunAt?.toISOString() ?? '', /T1[01]:00:00.000Z$/);
  const next = (await scheduleOf(interval.id))?.nextRunAt?.getTime() ?? 0;
  assert.ok(Math.abs(next - Date.now() - 2 * 3600_000) < 60_000);
  assert.deepEqual([(await scheduleOf(inactive.id))?.isEnabled, await scheduleOf(gone.id)], [false, undefined]);
  assert.equal((await db.query(sql`select from schedules`)).length, 4);
});

test('a connection has one job at a time: a time that comes meanwhile is left out', async (t) => {
  const { actor, at, connect, handleAll, jobs, jobsOf, syncs, eventNames } = await connectionWorld(t);
  at('2026-01-01T00:00:00Z');
  const { id } = await connect({ type: 'cron', expression: '0 */5 * * * ?', timezone: 'UTC' });
  const job = await syncs.sync(actor, id);
  at('2026-01-01T00:05:00Z');
  assert.deepEqual(await handleAll(), ['skipped']);
  at('2026-01-01T00:10:00Z');
  assert.deepEqual(await handleAll(), ['skipped']);
  assert.deepEqual(await eventNames(), ['schedule.created', 'schedule.skipped']);
  await jobs.kill(actor, job.id);
  at('2026-01-01T00:15:00Z');
  assert.deepEqual(await handleAll(), ['started']);
  assert.deepEqual(
    (await jobsOf()).map(({ kind }) => kind),
    ['sync', 'sync'],
  );
});

test('a connection whose connector is not installed leaves an event instead of a job', async (t) => {
  const { actor, at, connect, handleAll, connectors, connections, jobsOf, scheduleOf } = await connectionWorld(t);
  at('2026-01-01T00:00:00Z');
  const { id } = await connect(daily);
  const definition = connectors.definition('source', { slug: 'faker' });
  const { id: configurationId } = await connectors.create(actor, definition, { name: 'x', configuration: {} });
  const { settings } = await connections.get(actor, id);
  const source = { componentId: definition.id, configurationId };
  await connections.delete(actor, id);
  const made = await connections.create(actor, { name: 'x', isActive: true, settings: { ...settings, source } });
  at('2026-01-01T12:00:00Z');
  assert.deepEqual(await handleAll(), ['failed']);
  assert.match((await scheduleOf(made.id))?.problem ?? '', /not installed/);
  await connectors.delete(actor, 'source', configurationId);
  at('2026-01-02T12:00:00Z');
  assert.deepEqual(await handleAll(), ['stopped'], 'the source is gone');
  assert.deepEqual(await jobsOf(), []);
});

test('an interval of a connection begins at once and counts from the last sync, whoever asked for that', async (t) => {
  const { actor, at, connect, handleAll, jobs, syncs, scheduleOf, connections, db } = await connectionWorld(t);
  const begin = new Date();
  const later = (minutes: number) => new Date(begin.getTime() + minutes * 60_000);
  at(begin);
  const { id } = await connect({ type: 'interval', every: 1, unit: 'hours' });
  assert.deepEqual(await handleAll(), ['started']);
  const [first] = await syncs.list(actor, {}, { limit: 1 });
  await jobs.kill(actor, first?.id ?? 0);
  at(later(30));
  const manual = await syncs.sync(actor, id);
  await db.query(sql`update jobs set created_at = ${later(30)} where id = ${manual.id}`);
  await jobs.kill(actor, manual.id);
  at(later(60));
  assert.deepEqual(await handleAll(), ['postponed']);
  assert.equal((await scheduleOf(id))?.nextRunAt?.getTime(), later(90).getTime());
  at(later(90));
  assert.deepEqual(await handleAll(), ['started']);
  const [last] = await syncs.list(actor, {}, { limit: 1 });
  await jobs.kill(actor, last?.id ?? 0);
  // Taken up again within the hour, it waits for the rest of it.
  await db.query(sql`update jobs set created_at = ${later(90)} where id = ${last?.id}`);
  await connections.update(actor, id, { isActive: false });
  at(later(100));
  await connections.update(actor, id, { isActive: true });
  assert.deepEqual(await handleAll(), ['postponed']);
  assert.equal((await scheduleOf(id))?.nextRunAt?.getTime(), later(150).getTime());
});

test('a scheduler sleeps until something is due, is woken by changes, and ends what it has in hand', async (t) => {
  const { db, schedules, occurrences, make, at, jobsOf, actor, runsOf } = await setUp(t);
  let looks = 0;
  const counted = Object.assign(Object.create(occurrences) as Occurrences, {
    handleNext: () => occurrences.handleNext(),
    nextDueAt: () => {
      looks++;
      return occurrences.nextDueAt();
    },
  });
  const scheduler = createScheduler({ occurrences: counted, schedules, clock: systemClock, log: silentLogger });
  scheduler.start();
  cleanup(t, () => scheduler.stop());
  await sleep(400);
  assert.equal(looks, 1, 'an idle scheduler looks once and sleeps');
  at(new Date(Date.now() - 1000 + 300));
  const begin = Date.now();
  const { id } = await make({ type: 'interval', seconds: 1, timezone: 'UTC' });
  at(new Date());
  const timer = setInterval(() => at(new Date()), 5);
  while ((await runsOf(id)).length < 2 && Date.now() < begin + 5000) await sleep(10);
  clearInterval(timer);
  await schedules.delete(actor, id);
  assert.ok(Date.now() - begin < 3000, `${Date.now() - begin} ms`);
  assert.ok(looks < 20, `${looks} looks`);
  assert.ok((await jobsOf()).length >= 2);
  assert.equal((await db.query(sql`select from schedule_runs`)).length, 0, 'runs go with their schedule');
});

test('a scheduler outlives an outage of its database', async (t) => {
  const { db, schedules, occurrences, make, runsOf, at } = await setUp(t);
  const scheduler = createScheduler({ occurrences, schedules, clock: systemClock, log: silentLogger });
  scheduler.start();
  cleanup(t, () => scheduler.stop());
  const { id } = await make({ type: 'interval', seconds: 3600, timezone: 'UTC' });
  const cut = () =>
    db.query(sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`);
  for (let i = 0; i < 3; i++) {
    await cut();
    await sleep(30);
  }
  // The connection that brings notifications comes back a little later than the others.
  await sleep(300);
  at(new Date());
  await db.query(sql`update schedules set next_run_at = ${new Date(Date.now() - 1000)} where id = ${id}`);
  await db.query(sql`select pg_notify('schedules', '')`);
  for (const deadline = Date.now() + 5000; (await runsOf(id)).length === 0 && Date.now() < deadline; ) await sleep(10);
  assert.equal((await runsOf(id)).length, 1);
});
