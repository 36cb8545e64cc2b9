import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Components } from '../../src/core/components/components.ts';
import { composeConnectors } from '../../src/core/components/compose-connectors.ts';
import { Configurations } from '../../src/core/components/configurations.ts';
import { Jobs } from '../../src/core/jobs/jobs.ts';
import { sql } from '../../src/db/sql.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { Command, dataDirectory } from '../journeys/command.ts';
import { testDatabase } from '../support/database.ts';
import { testProject } from '../support/project.ts';

const BURSTS = 6;
const PER_BURST = 16;
const APART_MS = 1400;
const DAY_MS = 86_400_000;

test('two schedulers, killed again and again while schedules are due, start each of them once', {
  timeout: 90_000,
}, async (t) => {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { actor, events } = project;
  const components = await Components.load(path.join(packageRoot, 'components'));
  const jobs = new Jobs({ db, events });
  const configurations = new Configurations({ ...project, db, components });
  const { schedules } = composeConnectors({ ...project, db, clock: systemClock, components, configurations, jobs });
  const componentId = 'keboola.duckdb-transformation';
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });

  const { host, user, database } = db.connection;
  const env = { DATABASE_URL: `postgres://${user}@${encodeURIComponent(host)}/${database}` };
  const data = dataDirectory(t);
  const start = () => new Command(t, ['serve', '--roles', 'scheduler', '--data', data, '--json'], { env });
  const running = [start()];
  await running[0]?.ready();
  running.push(start());
  await running[1]?.ready();

  const ids: number[] = [];
  for (let i = 0; i < BURSTS * PER_BURST; i++) {
    const recurrence = { type: 'interval' as const, seconds: DAY_MS / 1000, timezone: 'UTC' };
    const target = { componentId, configurationId: 'c' };
    ids.push((await schedules.create(actor, { name: '', target, recurrence })).id);
  }
  const firstMs = Date.now() + 500;
  const dues = new Map(ids.map((id, i) => [id, new Date(firstMs + Math.floor(i / PER_BURST) * APART_MS)]));
  await db.transaction(async (tx) => {
    for (const [id, due] of dues) await tx.query(sql`update schedules set next_run_at = ${due} where id = ${id}`);
    await tx.query(sql`select pg_notify('schedules', '')`);
  });
  let kills = 0;
  let cutShort = 0;
  for (let burst = 0; burst < BURSTS; burst++) {
    await sleep(firstMs + burst * APART_MS - Date.now() + 5 + Math.random() * 60);
    for (const at of burst % 2 === 0 ? [0, 1] : [(burst >> 1) % 2]) {
      running[at]?.child.kill('SIGKILL');
      kills++;
      running[at] = start();
    }
    const late = await db.query(sql`select from schedules where next_run_at <= now()`);
    if (late.length > 0) cutShort++;
  }
  const left = () => db.query(sql`select from schedules where next_run_at < now()`);
  for (const deadline = Date.now() + 20_000; (await left()).length > 0 && Date.now() < deadline; ) await sleep(50);

  const rows = await db.query<{ id: number; due: Date; next: Date; runs: number; jobs: number }>(sql`
    select s.id, s.last_due_at as due, s.next_run_at as next,
      (select count(*) from schedule_runs r join jobs j on j.id = r.job_id where r.schedule_id = s.id) as runs,
      (select count(*) from jobs j where j.dedupe_key like 'schedule:' || s.id || ':%') as jobs
    from schedules s`);
  t.diagnostic(`${kills} kills, ${cutShort} of ${BURSTS} bursts were cut short`);
  assert.equal(rows.length, ids.length);
  for (const { id, due, next, runs, jobs: count } of rows) {
    const wanted = dues.get(id);
    assert.deepEqual(
      { runs, count, due: due?.getTime(), next: next.getTime() },
      { runs: 1, count: 1, due: wanted?.getTime(), next: (wanted?.getTime() ?? 0) + DAY_MS },
      `schedule ${id}`,
    );
  }
  const [all] = await db.query<{ count: number }>(sql`select count(*) as count from jobs`);
  assert.equal(all?.count, ids.length);
});
