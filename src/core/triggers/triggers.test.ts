import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import type { Database, Transaction } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import { systemClock } from '../../lib/clock.ts';
import { deferred } from '../../lib/deferred.ts';
import { silentLogger } from '../../lib/logger.ts';
import { packageRoot } from '../../lib/package-root.ts';
import { createDispatcher } from '../../runner/dispatcher.ts';
import { Components } from '../components/components.ts';
import { composeConnectors } from '../components/compose-connectors.ts';
import { Configurations } from '../components/configurations.ts';
import { AppError } from '../errors.ts';
import type { EventName } from '../events/event-names.ts';
import { eventFor } from '../events/events.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Buckets } from '../tables/buckets.ts';

const componentId = 'keboola.duckdb-transformation';
const target = { componentId, configurationId: 'c' };
const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { actor, events, identity } = project;
  let now = new Date();
  const clock = { now: () => now };
  const components = await Components.load(path.join(packageRoot, 'components'));
  const jobs = new Jobs({ db, events });
  const configurations = new Configurations({ ...project, db, components });
  const composed = composeConnectors({ ...project, db, clock, components, configurations, jobs });
  const { triggers, firings, dispatcher } = composed;
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });
  await new Buckets({ db, events, jobs, clock: systemClock }).create(actor, { stage: 'in', name: 'b' });
  for (const name of ['a', 'b', 'c']) {
    await db.query(sql`
      insert into tables (project_id, branch_id, id, bucket_id, name, display_name, description, lake_table_id, primary_key, created_at)
      values (${actor.projectId}, ${actor.branchId}, ${`in.c-b.${name}`}, 'in.c-b', ${name}, ${name}, '', ${name.charCodeAt(0)}, '{}', now())`);
  }
  const { token } = await identity.createToken(actor, { description: 'runs', canManageBuckets: true });
  const say = (table: string, name: EventName = 'table.imported', tx?: Transaction) => {
    const event = { name, component: 'storage', type: 'info' as const, message: 'm', objectType: 'table' };
    const whole = eventFor(actor, { ...event, objectId: `in.c-b.${table}` });
    return tx ? events.append(tx, whole) : events.appendNow(whole);
  };
  return {
    ...project,
    ...composed,
    db,
    jobs,
    token,
    configurations,
    say,
    later: (minutes: number) => {
      now = new Date(now.getTime() + minutes * 60_000);
    },
    make: (tables: string[] = ['a'], more: object = {}) =>
      triggers.create(actor, {
        target,
        coolDownMinutes: 5,
        tableIds: tables.map((name) => `in.c-b.${name}`),
        runWithTokenId: token.id,
        ...more,
      }),
    /** Brings what is in the log to its consumers, and fires what is due. */
    async run() {
      await othersAreOver(db);
      while ((await dispatcher.handleNext()) > 0);
      const outcomes: string[] = [];
      for (let fired = await firings.handleNext(); fired; fired = await firings.handleNext())
        outcomes.push(fired.outcome);
      return outcomes;
    },
    jobsOf: () => jobs.list(actor, { componentIds: [componentId] }, { limit: 100 }),
    names: async () => (await events.list(actor, { objectType: 'trigger', direction: 'asc' })).map(({ name }) => name),
  };
}

/** Transactions of other tests, in other databases of the cluster, hold the readers of the log up as well. */
async function othersAreOver(db: Database): Promise<void> {
  const older = sql`
    select pid, backend_xid::text as xid from pg_stat_activity
    where datname <> current_database() and backend_xid is not null`;
  const open = (await db.query<{ pid: number; xid: string }>(older)).map(({ pid, xid }) => `${pid} ${xid}`);
  for (;;) {
    const now = new Set((await db.query<{ pid: number; xid: string }>(older)).map(({ pid, xid }) => `${pid} ${xid}`));
    if (!open.some((one) => now.has(one))) return;
    await sleep(10);
  }
}

test('a change of a table starts one job in the name of its token, and a burst starts one more after the cool-down', async (t) => {
  const { make, run, say, jobsOf, later, token, triggers, actor, names } = await setUp(t);
  await run();
  const { id } = await make(['a', 'b']);
  assert.deepEqual(await run(), []);
  await say('c');
  assert.deepEqual(await run(), []);
  await say('b');
  await say('a');
  assert.deepEqual(await run(), ['started']);
  const [job] = await jobsOf();
  assert.deepEqual([job?.token.id, job?.configurationId, job?.kind], [token.id, 'c', 'component']);
  for (let i = 0; i < 5; i++) {
    await say('a', i % 2 ? 'table.rows-deleted' : 'table.created');
    assert.deepEqual(await run(), []);
  }
  later(4.9);
  assert.deepEqual(await run(), []);
  later(0.2);
  assert.deepEqual(await run(), ['started']);
  later(60);
  assert.deepEqual(await run(), []);
  assert.equal((await jobsOf()).length, 2);
  const { lastRunAt, lastJobId, dueAt } = await triggers.get(actor, id);
  assert.deepEqual([lastJobId, dueAt], [(await jobsOf())[0]?.id, undefined]);
  assert.ok(lastRunAt);
  assert.deepEqual(await names(), ['trigger.created']);
});

test('a change that commits after a younger one is not left out', async (t) => {
  const { db, make, run, say, jobsOf } = await setUp(t);
  await run();
  await make();
  const [said, commit] = [deferred(), deferred()];
  const old = db.transaction(async (tx) => {
    await say('a', 'table.imported', tx);
    said.resolve();
    await commit.promise;
  });
  await said.promise;
  await say('c');
  assert.deepEqual(await run(), []);
  commit.resolve();
  await old;
  for (const deadline = Date.now() + 5000; (await jobsOf()).length === 0 && Date.now() < deadline; await sleep(20))
    await run();
  assert.equal((await jobsOf()).length, 1);
});

test('what the log was read for is undone with the place in it', async (t) => {
  const { db, make, run, say, jobsOf, dispatcher } = await setUp(t);
  await run();
  await make();
  await say('a');
  await db.query(sql`alter table triggers add constraint refuses check (due_at is null)`);
  await assert.rejects(dispatcher.handleNext());
  await assert.rejects(dispatcher.handleNext());
  await db.query(sql`alter table triggers drop constraint refuses`);
  assert.deepEqual(await run(), ['started']);
  assert.deepEqual(await run(), []);
  assert.equal((await jobsOf()).length, 1);
});

test('a trigger whose token is gone stops, and one whose configuration is gone tries again with the next change', async (t) => {
  const { db, make, run, say, triggers, actor, token, names, configurations, identity, later } = await setUp(t);
  await run();
  const { id } = await make(['a'], { target: { componentId, configurationId: 'none' } });
  for (let i = 0; i < 2; i++) {
    await say('a');
    assert.deepEqual(await run(), ['failed']);
  }
  assert.match((await triggers.get(actor, id)).problem ?? '', /none/);
  await configurations.create(actor, componentId, { id: 'none', name: 'x' });
  await say('a');
  assert.deepEqual(await run(), ['started']);
  await assert.rejects(identity.deleteToken(actor, token.id), coded('token.used-by-trigger'));
  await db.query(sql`update tokens set expires_at = now() - interval '1 minute' where id = ${token.id}`);
  await say('a');
  later(10);
  assert.deepEqual(await run(), ['stopped']);
  await say('a');
  assert.deepEqual(await run(), []);
  assert.equal((await triggers.get(actor, id)).isEnabled, false);
  assert.deepEqual(await names(), ['trigger.created', 'trigger.not-started', 'trigger.stopped']);
  await db.query(sql`update tokens set expires_at = null where id = ${token.id}`);
  await triggers.update(actor, id, { coolDownMinutes: 1 });
  await say('a');
  assert.deepEqual(await run(), ['started']);
  await triggers.delete(actor, id);
  await identity.deleteToken(actor, token.id);
  await assert.rejects(triggers.get(actor, id), coded('trigger.not-found'));
});

test('triggers are refused with the reasons clients know, and to whom they do not concern', async (t) => {
  const { make, triggers, actor, token, tokenActor, identity, projects, newProject } = await setUp(t);
  await assert.rejects(make(['a'], { coolDownMinutes: 0 }), coded('trigger.cool-down'));
  await assert.rejects(make(['none']), coded('table.not-found'));
  await assert.rejects(make([]), coded('trigger.no-tables'));
  await assert.rejects(make(['none'], { runWithTokenId: 9999 }), coded('trigger.token-unknown'));
  const { token: passing } = await identity.createToken(actor, { expiresInSeconds: 100 });
  await assert.rejects(make(['none'], { runWithTokenId: passing.id }), coded('trigger.token-expires'));
  const limited = await tokenActor({ componentAccess: [componentId], bucketPermissions: { 'in.c-b': 'read' } });
  const input = { target, coolDownMinutes: 1, tableIds: ['in.c-b.a'], runWithTokenId: token.id };
  const own = await triggers.create(limited, input);
  await assert.rejects(
    triggers.create(limited, { ...input, runWithTokenId: actor.token.id }),
    coded('trigger.token-of-admin'),
  );
  await assert.rejects(triggers.update(limited, own.id, { componentId: 'other' }), (error: unknown) => {
    return error instanceof AppError && error.message.includes(`component(s) "${componentId}, other"`);
  });
  const elsewhere = await tokenActor({ componentAccess: ['other'] });
  await assert.rejects(triggers.get(elsewhere, own.id), coded('access.denied'));
  assert.deepEqual(await triggers.list(elsewhere, {}), []);
  assert.equal((await triggers.list(limited, { componentId, configurationId: 'c' })).length, 1);
  assert.deepEqual(await triggers.list(actor, { configurationId: 'd' }), []);
  assert.ok(projects);
  const other = await newProject('Other');
  const stranger = await identity.authenticateStorageToken(other.keboola.storageToken);
  await assert.rejects(triggers.get(stranger, own.id), coded('trigger.not-found'));
  await assert.rejects(triggers.create(stranger, input), coded('trigger.token-unknown'));
  await assert.rejects(
    triggers.create(stranger, { ...input, runWithTokenId: stranger.token.id }),
    coded('table.not-found'),
  );
});

test('the loops hear of a change and start its job at once', async (t) => {
  const { make, say, jobsOf, dispatcher, triggers, firings } = await setUp(t);
  const loops = createDispatcher({ dispatcher, triggers, firings, clock: systemClock, log: silentLogger });
  loops.start();
  try {
    await sleep(100);
    await make();
    await say('a');
    for (const deadline = Date.now() + 5000; (await jobsOf()).length === 0 && Date.now() < deadline; ) await sleep(10);
    assert.equal((await jobsOf()).length, 1);
  } finally {
    await loops.stop();
  }
});
