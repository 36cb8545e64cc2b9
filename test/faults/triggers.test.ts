import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Components } from '../../src/core/components/components.ts';
import { composeConnectors } from '../../src/core/components/compose-connectors.ts';
import { Configurations } from '../../src/core/components/configurations.ts';
import { eventFor } from '../../src/core/events/events.ts';
import { Jobs } from '../../src/core/jobs/jobs.ts';
import { sql } from '../../src/db/sql.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { Command, dataDirectory } from '../journeys/command.ts';
import { testDatabase } from '../support/database.ts';
import { testProject } from '../support/project.ts';

const ROUNDS = 2;
const TRIGGERS = 60;

test('two dispatchers, killed again and again while tables change, start the job of each trigger once', {
  timeout: 60_000,
}, async (t) => {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { actor, events } = project;
  const components = await Components.load(path.join(packageRoot, 'components'));
  const jobs = new Jobs({ db, events });
  const configurations = new Configurations({ ...project, db, components });
  const { dispatcher } = composeConnectors({ ...project, db, clock: systemClock, components, configurations, jobs });
  const componentId = 'keboola.duckdb-transformation';
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });
  await dispatcher.handleNext();
  // One trigger for each table; the cool-down is longer than the test, so that whoever fires twice is seen.
  await db.query(sql`
    insert into triggers (project_id, branch_id, component_id, configuration_id, cool_down_minutes, run_with_token_id,
      creator_token_id, creator_token_description)
    select ${actor.projectId}, ${actor.branchId}, ${componentId}, 'c', 60, ${actor.token.id}, ${actor.token.id}, ''
    from generate_series(1, ${ROUNDS * TRIGGERS})`);
  await db.query(sql`
    insert into trigger_tables (trigger_id, position, table_id)
    select id, 1, 'in.c-b.t' || row_number() over (order by id) from triggers`);

  const { host, user, database } = db.connection;
  const env = { DATABASE_URL: `postgres://${user}@${encodeURIComponent(host)}/${database}` };
  const data = dataDirectory(t);
  const start = () => new Command(t, ['serve', '--roles', 'dispatcher', '--data', data, '--json'], { env });
  const running = [start(), start()];
  let table = 0;
  let cutShort = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(running.map((command) => command.ready()));
    const changes = Array.from({ length: TRIGGERS }, () => `in.c-b.t${++table}`);
    // Transactions that overlap commit in another order than they began.
    const writes = changes.map((objectId) =>
      db.transaction(async (tx) => {
        const event = { name: 'table.imported', component: 'storage', type: 'info', message: 'm' } as const;
        await events.append(tx, eventFor(actor, { ...event, objectType: 'table', objectId }));
        await sleep(Math.random() * 60);
      }),
    );
    await sleep(20 + Math.random() * 60);
    for (const at of round % 2 === 0 ? [0, 1] : [round >> 1]) {
      running[at]?.child.kill('SIGKILL');
      running[at] = start();
    }
    await Promise.all(writes);
    if ((await db.query(sql`select from triggers where last_job_id is null limit 1`)).length > 0) cutShort++;
  }
  const left = () => db.query(sql`select from triggers where last_job_id is null`);
  for (const deadline = Date.now() + 20_000; (await left()).length > 0 && Date.now() < deadline; ) await sleep(50);
  await sleep(200);

  t.diagnostic(`${cutShort} of ${ROUNDS} rounds were cut short`);
  const counts = await db.query<{ jobs: number; due: Date | null }>(sql`
    select t.due_at as due, (select count(*) from jobs j where j.dedupe_key like 'trigger:' || t.id || ':%') as jobs
    from triggers t`);
  assert.equal(counts.length, ROUNDS * TRIGGERS);
  assert.deepEqual([...new Set(counts.map(({ jobs: count }) => count))], [1]);
  assert.ok(counts.every(({ due }) => due === null));
});
