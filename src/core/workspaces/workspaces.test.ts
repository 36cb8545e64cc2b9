import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { cleanup } from '../../../test/support/cleanup.ts';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import { openTestProvisioner } from '../../../test/support/workspaces.ts';
import { sql } from '../../db/sql.ts';
import type { Provisioner } from '../../drivers/provisioners/contract.ts';
import { silentLogger } from '../../lib/logger.ts';
import { errors } from '../errors.ts';
import type { ClaimedJob } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { WorkspaceJobs } from './workspace-jobs.ts';
import { WorkspaceSweeper } from './workspace-sweeper.ts';
import { Workspaces } from './workspaces.ts';

const HOUR_MS = 3_600_000;

async function world(t: TestContext, wrap: (provisioner: Provisioner) => Provisioner = (one) => one) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const backend = await openTestProvisioner(t);
  let offsetMs = 0;
  const clock = { now: () => new Date(Date.now() + offsetMs) };
  const make = (provisioner: Provisioner) =>
    new Workspaces({ ...project, db, clock, provisioners: { postgres: provisioner } });
  const workspaces = make(wrap(backend));
  const after = make(backend);
  return {
    ...project,
    db,
    backend,
    /** As before the crash that `wrap` makes. */
    workspaces,
    /** As after a restart: the same backend, which obeys again. */
    after,
    sweeper: new WorkspaceSweeper({ workspaces: after, log: silentLogger }),
    passHours(hours: number) {
      offsetMs += hours * HOUR_MS;
    },
    rows: () => db.query<{ id: number; name: string; state: string }>(sql`select id, name, state from workspaces`),
    /** What the backend holds besides its own. */
    leftOnBackend: () => databasesOn(t, backend),
  };
}

/** All databases of spaces, as a further one sees them that is made for the purpose. */
async function databasesOn(t: TestContext, backend: Provisioner): Promise<string[]> {
  const name = backend.nameFor(0, '');
  const password = 'Watcher1';
  await backend.ensure({ name, password });
  const { host, port } = await backend.address();
  const client = new pg.Client({ host, port, user: name, password, database: name });
  await client.connect();
  cleanup(t, () => client.end().catch(() => undefined));
  const { rows } = await client.query<{ datname: string }>(
    "select datname from pg_database where datname like 'workspace\\_%' and datname not like '%template%' and datname <> $1",
    [name],
  );
  await client.end();
  await backend.destroy(name);
  return rows.map(({ datname }) => datname);
}

const broken = (backend: Provisioner, change: Partial<Provisioner>): Provisioner => ({
  nameFor: (id, purpose) => backend.nameFor(id, purpose),
  describe: (name) => backend.describe(name),
  address: () => backend.address(),
  ensure: (space) => backend.ensure(space),
  inspect: (space) => backend.inspect(space),
  kill: (name) => backend.kill(name),
  destroy: (name) => backend.destroy(name),
  close: () => backend.close(),
  ...change,
});

const wanted = { backend: 'postgres', purpose: 'sandbox' };
const down = () => Promise.reject(errors.unavailable('down'));

test('a death between the backend and the row leaves nothing after the next start', async (t) => {
  const w = await world(t, (backend) =>
    broken(backend, {
      async ensure(space) {
        await backend.ensure(space);
        throw new Error('killed here');
      },
    }),
  );
  await assert.rejects(w.workspaces.ensure(w.actor, wanted));
  assert.deepEqual(
    (await w.rows()).map(({ state }) => state),
    ['creating'],
  );
  assert.equal((await w.leftOnBackend()).length, 1);
  await assert.rejects(w.after.get(w.actor, wanted), /Credentials not found/);
  assert.equal(await w.sweeper.sweepOnce(), 0, 'a young one may have a maker');
  assert.equal(await w.sweeper.sweepOnce({ everything: true }), 1);
  assert.deepEqual([await w.rows(), await w.leftOnBackend()], [[], []]);
});

test('a half-made workspace is completed by the next call for it', async (t) => {
  const w = await world(t, (backend) => broken(backend, { ensure: down }));
  await assert.rejects(w.workspaces.ensure(w.actor, wanted), { kind: 'unavailable' });
  const { workspace } = await w.after.ensure(w.actor, wanted);
  assert.deepEqual(
    (await w.rows()).map(({ id, state }) => [id, state]),
    [[workspace.id, 'active']],
  );
});

test('a drop that the backend could not carry out is carried out later', async (t) => {
  const w = await world(t, (backend) => broken(backend, { destroy: down }));
  await w.after.ensure(w.actor, wanted);
  await assert.rejects(w.workspaces.drop(w.actor, wanted), { kind: 'unavailable' });
  await assert.rejects(w.after.get(w.actor, wanted), /Credentials not found/);
  assert.equal(await w.sweeper.sweepOnce(), 1);
  assert.deepEqual([await w.rows(), await w.leftOnBackend()], [[], []]);
});

test('a drop under way is finished before a new one is made', async (t) => {
  const w = await world(t, (backend) => broken(backend, { destroy: down }));
  const first = await w.after.ensure(w.actor, wanted);
  await assert.rejects(w.workspaces.drop(w.actor, wanted));
  const second = await w.after.ensure(w.actor, wanted);
  assert.notEqual(second.workspace.id, first.workspace.id);
  assert.deepEqual(await w.leftOnBackend(), [second.login.database]);
});

test('its time is over after its lifetime, unless it was extended or somebody is in it', async (t) => {
  const w = await world(t);
  const mortal = { ...wanted, lifetimeSeconds: 24 * 3600 };
  const { workspace, login } = await w.workspaces.ensure(w.actor, mortal);
  w.passHours(20);
  const extended = await w.workspaces.extend(w.actor, { ...wanted, id: workspace.id });
  assert.ok(extended.touchedAt > workspace.touchedAt);
  w.passHours(20);
  assert.equal(await w.sweeper.sweepOnce(), 0);
  w.passHours(20);
  const { host, port, user, password, database } = login;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  assert.equal(await w.sweeper.sweepOnce(), 0, 'somebody was thrown out');
  await client.end();
  for (let tries = 0; tries < 100 && (await w.backend.inspect({ name: user, password })).isInUse; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await w.sweeper.sweepOnce(), 1);
  assert.deepEqual(await w.rows(), []);
});

test('one without a lifetime stays and cannot be extended', async (t) => {
  const w = await world(t);
  const { workspace } = await w.workspaces.ensure(w.actor, wanted);
  await assert.rejects(w.workspaces.extend(w.actor, { ...wanted, id: workspace.id }), /Cannot extend/);
  w.passHours(10_000);
  assert.equal(await w.sweeper.sweepOnce(), 0);
});

test('a workspace goes with its token', async (t) => {
  const w = await world(t);
  const other = await w.tokenActor({});
  await w.workspaces.ensure(other, wanted);
  await w.workspaces.ensure(w.actor, wanted);
  assert.equal(await w.sweeper.sweepOnce(), 0);
  await w.identity.deleteToken(w.actor, other.token.id);
  assert.equal(await w.sweeper.sweepOnce(), 1);
  assert.equal((await w.rows()).length, 1);
});

test('a database that somebody removed is made anew, with the same login', async (t) => {
  const w = await world(t);
  const { login } = await w.workspaces.ensure(w.actor, wanted);
  await w.backend.destroy(login.user);
  await assert.rejects(w.workspaces.get(w.actor, wanted), /Credentials not found/);
  assert.deepEqual((await w.workspaces.ensure(w.actor, wanted)).login, login);
  assert.equal((await w.workspaces.get(w.actor, wanted)).isInUse, false);
});

test('who may only read makes and drops nothing', async (t) => {
  const w = await world(t);
  await w.workspaces.ensure(w.actor, wanted);
  const person = { id: 1, name: 'r', email: 'r@x', role: 'readOnly' as const };
  const reader = { ...w.actor, token: { ...w.actor.token, person } };
  for (const act of [
    () => w.workspaces.ensure(reader, wanted),
    () => w.workspaces.drop(reader, wanted),
    () => w.workspaces.kill(reader, wanted),
  ])
    await assert.rejects(act(), { kind: 'forbidden' });
});

test('a workspace of the project outlives its token, and a dropped one is removed by whoever comes next', async (t) => {
  const w = await world(t, (backend) => broken(backend, { destroy: down }));
  const other = await w.tokenActor({});
  const { workspace } = await w.workspaces.ensure(other, { ...wanted, purpose: 'any', holder: 'project' });
  await w.identity.deleteToken(w.actor, other.token.id);
  assert.equal(await w.sweeper.sweepOnce(), 0);
  const key = { backend: 'postgres', id: workspace.id, among: 'visible' } as const;
  const { id, purpose } = (await w.after.describe(w.actor, key)).workspace;
  assert.deepEqual([id, purpose], [workspace.id, 'any']);

  const outcomes: unknown[] = [];
  const job = { id: 1, input: { backend: 'postgres', workspaceId: workspace.id } } as unknown as ClaimedJob;
  const work = { job, actor: w.actor, finish: async ({ status }: { status: string }) => void outcomes.push(status) };
  const jobs = {} as Jobs;
  await assert.rejects(new WorkspaceJobs({ workspaces: w.workspaces, jobs }).deprovision(work), {
    kind: 'unavailable',
  });
  await assert.rejects(new WorkspaceJobs({ workspaces: w.workspaces, jobs }).deprovision(work), {
    kind: 'unavailable',
  });
  assert.equal((await w.leftOnBackend()).length, 1);
  await new WorkspaceJobs({ workspaces: w.after, jobs }).deprovision(work);
  assert.deepEqual([outcomes, await w.rows(), await w.leftOnBackend()], [['succeeded'], [], []]);
});

test('what the sweep removes stands in the events with its reason', async (t) => {
  const w = await world(t);
  await w.workspaces.ensure(w.actor, { ...wanted, lifetimeSeconds: 3600 });
  w.passHours(2);
  assert.equal(await w.sweeper.sweepOnce(), 1);
  const events = await w.db.query<{ name: string; params: unknown }>(
    sql`select name, params from events where name like 'workspace.%' order by id`,
  );
  assert.deepEqual(
    events.map(({ name }) => name),
    ['workspace.created', 'workspace.deleted'],
  );
  assert.deepEqual(events[1]?.params, { reason: 'expired' });
});
