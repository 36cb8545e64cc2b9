import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import type { Database, Transaction } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import { deferred } from '../../lib/deferred.ts';
import { AppError } from '../errors.ts';
import type { EventQuery } from './event-model.ts';
import { eventFor } from './events.ts';

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { events, actor } = project;
  const say = (message: string, tx?: Transaction) => {
    const event = eventFor(actor, { name: 'ext', component: 'test', type: 'info', message });
    return tx ? events.append(tx, event) : events.appendNow(event);
  };
  const read = async (query: EventQuery, who = actor) =>
    (await events.list(who, { component: 'test', ...query })).map(({ message }) => message);
  return { db, ...project, say, read };
}

const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

/** A transaction that has said its word and commits when told. */
async function openTransaction(db: Database, act: (tx: Transaction) => Promise<unknown>) {
  const said = deferred();
  const commit = deferred();
  const done = db.transaction(async (tx) => {
    await act(tx);
    said.resolve();
    await commit.promise;
  });
  await said.promise;
  return async () => {
    commit.resolve();
    await done;
  };
}

test('a reader that goes on from its last event misses nothing that commits late', async (t) => {
  const { db, events, actor, say, read } = await setUp(t);
  const { uuid: start } = await say('start');
  // The older transaction writes after the younger one and commits after it too, and both orders of ids occur.
  let sayInOld!: (message: string) => Promise<unknown>;
  const commitOld = await openTransaction(db, async (tx) => {
    await say('old 1', tx);
    sayInOld = (message) => say(message, tx);
  });
  const commitYoung = await openTransaction(db, (tx) => say('young 1', tx));
  await sayInOld('old 2');
  await say('alone');
  await commitYoung();

  const seen: string[] = [];
  let last = start;
  const follow = async () => {
    const news = await events.list(actor, { component: 'test', sinceId: last, direction: 'asc', limit: 2 });
    seen.push(...news.map(({ message }) => message));
    last = news.at(-1)?.uuid ?? last;
    return news.length;
  };
  assert.equal(await follow(), 0, 'nothing is shown while something before it may still come');
  assert.deepEqual(await read({}), ['alone', 'young 1', 'start'], 'who only looks sees all that is committed');
  await commitOld();
  await say('end');
  // Transactions of other tests, in other databases of the cluster, hold the reader up as well: it goes on until the end.
  for (const deadline = Date.now() + 20_000; seen.at(-1) !== 'end' && Date.now() < deadline; await sleep(10))
    await follow();
  assert.deepEqual(seen, ['old 1', 'old 2', 'young 1', 'alone', 'end']);
});

test('many writers and a reader that follows: everything arrives once', async (t) => {
  const { events, actor, say, db } = await setUp(t);
  const { uuid: start } = await say('start');
  let writing = true;
  const writers = Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; i < 15; i++)
        await db.transaction(async (tx) => {
          await say(`${writer}-${i}a`, tx);
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 8));
          await say(`${writer}-${i}b`, tx);
        });
    }),
  ).finally(() => {
    writing = false;
  });
  const seen: string[] = [];
  let last = start;
  for (const deadline = Date.now() + 60_000; (writing || seen.length < 240) && Date.now() < deadline; ) {
    const news = await events.list(actor, { component: 'test', sinceId: last, direction: 'asc', limit: 7 });
    seen.push(...news.map(({ message }) => message));
    last = news.at(-1)?.uuid ?? last;
  }
  await writers;
  assert.equal(seen.length, 240);
  assert.equal(new Set(seen).size, 240);
});

test('sinceId and maxId exclude their own event, and know uuids and numbers', async (t) => {
  const { events, actor, say, read } = await setUp(t);
  const [a, b, c] = [await say('a'), await say('b'), await say('c')];
  while ((await read({ sinceId: b.uuid })).length === 0) await sleep(10);
  assert.deepEqual(await read({ sinceId: a.uuid }), ['c', 'b']);
  assert.deepEqual(await read({ sinceId: String(a.id), maxId: String(c.id) }), ['b']);
  assert.deepEqual(await read({ maxId: b.uuid, direction: 'asc' }), ['a']);
  assert.deepEqual(await read({ limit: 1, offset: 1 }), ['b']);
  assert.deepEqual(await read({ sinceId: '0', direction: 'asc', limit: 1 }), ['a']);
  assert.equal((await events.get(actor, b.uuid)).message, 'b');
  assert.equal((await events.get(actor, String(b.id))).uuid, b.uuid);
  for (const id of ['999999', 'nonsense', '00000000-0000-7000-8000-000000000000', '99999999999999999999']) {
    await assert.rejects(events.get(actor, id), coded('event.not-found'));
    await assert.rejects(events.list(actor, { sinceId: id }), coded('event.not-found'));
  }
  await assert.rejects(events.list(actor, { limit: 10_001 }), coded('event.limit-too-high'));
});

test('a run is found with everything below it, and not with what only begins alike', async (t) => {
  const { events, actor, read } = await setUp(t);
  for (const runId of ['1', '1.2', '1.2.3', '12', '10.2', 'x%'])
    await events.create(actor, { component: 'test', message: runId, runId });
  assert.deepEqual((await read({ runId: '1' })).sort(), ['1', '1.2', '1.2.3']);
  assert.deepEqual((await read({ runId: '1.2' })).sort(), ['1.2', '1.2.3']);
  assert.deepEqual(await read({ runId: '%' }), []);
  assert.deepEqual(await read({ runId: 'x%' }), ['x%']);
});

test('tokens see their own events; masters, and those with the right for it, all of the project', async (t) => {
  const { events, projects, identity, actor, tokenActor, read } = await setUp(t);
  const limited = await tokenActor({});
  const reader = await tokenActor({ canReadAllEvents: true });
  const mine = await events.create(actor, { component: 'test', message: 'of the master' });
  await events.create(limited, { component: 'test', message: 'of the limited one' });
  assert.deepEqual(await read({}), ['of the limited one', 'of the master']);
  assert.deepEqual(await read({}, reader), ['of the limited one', 'of the master']);
  assert.deepEqual(await read({}, limited), ['of the limited one']);
  assert.deepEqual(await read({ tokenId: actor.token.id }, limited), []);
  assert.deepEqual(await read({ tokenId: limited.token.id }), ['of the limited one']);
  await assert.rejects(events.get(limited, mine.uuid), coded('event.not-found'));
  const other = await projects.create({ personId: 1, email: 'admin@localhost', isSuperAdmin: true }, { name: 'Other' });
  const stranger = await identity.authenticateStorageToken(other.keboola.storageToken);
  assert.deepEqual(await read({}, stranger), []);
  await assert.rejects(events.get(stranger, String(mine.id)), coded('event.not-found'));
  await assert.rejects(events.list(stranger, { sinceId: mine.uuid }), coded('event.not-found'));
});

test('what clients report keeps its parts, has a limit, and loses what no database can keep', async (t) => {
  const { events, actor } = await setUp(t);
  const event = await events.create(
    { ...actor, runId: '5', origin: { address: '10.0.0.1', userAgent: 'curl' } },
    {
      component: 'ex',
      message: 'with \0 inside',
      type: 'warn',
      configurationId: '1',
      params: { b: 1, a: ['\0'] },
      results: { x: null },
      durationSeconds: 1.5,
    },
  );
  assert.equal(event.message, 'with \ufffd inside');
  assert.equal(JSON.stringify(event.params), '{"b":1,"a":["\\u0000"]}');
  assert.deepEqual(
    [event.name, event.runId, event.type, event.durationSeconds, event.origin.userAgent, event.branchId],
    ['ext', '5', 'warn', 1.5, 'curl', actor.branchId],
  );
  assert.deepEqual(event.token, { id: actor.token.id, name: actor.token.description });
  const big = { component: 'ex', message: 'x'.repeat(200 * 1024) };
  await assert.rejects(events.create(actor, big), coded('event.too-large'));
  const type = 'fatal' as 'error';
  await assert.rejects(events.create(actor, { component: 'ex', message: 'm', type }), coded('event.unknown-type'));
});

test('events restored from another cluster are shown again', async (t) => {
  const { db, events, say, read } = await setUp(t);
  const a = await say('a');
  await say('b');
  assert.equal(await events.repairAfterRestore(), 0);
  await db.query(sql`update events set xid = '999999999999'`);
  assert.deepEqual(await read({ sinceId: a.uuid }), []);
  assert.ok((await events.repairAfterRestore()) >= 2);
  await say('c');
  const news = () => read({ sinceId: a.uuid, direction: 'asc' });
  for (const deadline = Date.now() + 20_000; (await news()).length < 2 && Date.now() < deadline; ) await sleep(10);
  assert.deepEqual(await news(), ['b', 'c']);
});
