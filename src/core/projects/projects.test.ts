import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { testDatabase } from '../../../test/support/database.ts';
import { sql } from '../../db/sql.ts';
import { AppError } from '../errors.ts';
import { Events } from '../events/events.ts';
import { Identity } from '../identity/identity.ts';
import { Lakes } from '../tables/lakes.ts';
import { isSlug, slugify } from './project-model.ts';
import { listBranches } from './project-store.ts';
import { Projects } from './projects.ts';

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const events = new Events({ db });
  const identity = new Identity({ db, events });
  const lakes = new Lakes({ directory: `/nonexistent/${randomBytes(4).toString('hex')}` });
  const projects = new Projects({ db, identity, events, lakes });
  return { db, events, identity, projects, lakes };
}

const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('the first start makes one project with the credentials of all dialects, however many start at once', async (t) => {
  const { db, identity, projects } = await setUp(t);
  const made = (await Promise.all(Array.from({ length: 4 }, () => projects.bootstrap()))).filter(Boolean);
  assert.equal(made.length, 1);
  const credentials = made[0];
  assert.ok(credentials);
  assert.deepEqual(credentials.project, { id: 1, name: 'Demo', slug: 'demo' });
  assert.equal(credentials.admin.email, 'admin@localhost');
  assert.match(credentials.keboola.storageToken, /^1-1-[0-9A-Za-z]+$/);
  assert.match(credentials.airbyte.workspaceId, /^[0-9a-f-]{36}$/);
  assert.match(credentials.airbyte.clientId, /^[0-9a-f-]{36}$/);
  assert.equal(credentials.syncano.instance, 'demo');
  for (const key of [credentials.syncano.accountKey, credentials.syncano.apiKey]) assert.match(key, /^[0-9a-f]{40}$/);
  const manager = await identity.authenticateManageToken(credentials.keboola.manageToken);
  assert.equal(manager.isSuperAdmin, true);
  const actor = await identity.authenticateStorageToken(credentials.keboola.storageToken);
  const project = await projects.get(actor);
  assert.deepEqual(
    [project.uuid, project.features, project.defaultBackend, project.defaultBranchId],
    [credentials.airbyte.workspaceId, ['queuev2'], 'snowflake', actor.branchId],
  );
  assert.deepEqual(
    (await listBranches(db, actor.projectId)).map(({ name, isDefault }) => [name, isDefault]),
    [['Main', true]],
  );
  const lakes = await db.query(sql`select nspname from pg_namespace where nspname like 'lake\\_%'`);
  assert.deepEqual(lakes, [{ nspname: 'lake_1' }]);
});

test('further projects get names of their own, and only administrators make them', async (t) => {
  const { identity, projects, events } = await setUp(t);
  const first = await projects.bootstrap();
  const manager = await identity.authenticateManageToken(first?.keboola.manageToken ?? '');
  const slugs = [];
  for (const name of ['Demo', 'demo ', 'Žluťoučký  kůň!', '42', '???'])
    slugs.push((await projects.create(manager, { name })).project.slug);
  assert.deepEqual(slugs, ['demo-2', 'demo-3', 'zlutoucky-kun', 'p-42', 'project']);
  const many = await Promise.all(Array.from({ length: 5 }, () => projects.create(manager, { name: 'Same' })));
  assert.equal(new Set(many.map(({ project }) => project.slug)).size, 5);
  const chosen = await projects.create(manager, { name: 'Chosen', slug: 'my-shop' });
  assert.equal(chosen.project.slug, 'my-shop');
  await assert.rejects(projects.create(manager, { name: 'x', slug: 'my-shop' }), coded('project.slug-taken'));
  for (const slug of ['', 'Ab', '1a', 'a_b', 'a'.repeat(65)])
    await assert.rejects(projects.create(manager, { name: 'x', slug }), coded('project.invalid-slug'));
  for (const name of [' ', 'x'.repeat(256)])
    await assert.rejects(projects.create(manager, { name }), coded('project.name-missing'));
  await assert.rejects(projects.create({ ...manager, isSuperAdmin: false }, { name: 'x' }), coded('access.denied'));
  assert.equal((await projects.list(manager)).length, 12);
  assert.deepEqual(await projects.list({ personId: 99, isSuperAdmin: false }), []);
  const actor = await identity.authenticateStorageToken(chosen.keboola.storageToken);
  assert.equal((await events.list(actor, {}))[0]?.name, 'project.created');
});

test('a project that cannot get its lake is not made at all', async (t) => {
  const { db, identity, projects, events } = await setUp(t);
  const first = await projects.bootstrap();
  const manager = await identity.authenticateManageToken(first?.keboola.manageToken ?? '');
  const lakes = {
    create: async () => {
      throw new Error('no room');
    },
  };
  await assert.rejects(new Projects({ db, identity, events, lakes }).create(manager, { name: 'Half' }), /no room/);
  const [left] = await db.query(sql`
    select (select count(*)::int from projects) as projects, (select count(*)::int from branches) as branches,
      (select count(*)::int from tokens where project_id <> 1) as tokens`);
  assert.deepEqual(left, { projects: 1, branches: 1, tokens: 0 });
});

test('lost credentials are replaced, and the lost ones open nothing any more', async (t) => {
  const { identity, projects } = await setUp(t);
  const lost = await projects.bootstrap();
  assert.ok(lost);
  const before = await identity.authenticateStorageToken(lost.keboola.storageToken);
  const found = await projects.resetCredentials();
  const after = await identity.authenticateStorageToken(found.keboola.storageToken);
  assert.equal(after.token.id, before.token.id, 'still the same token for jobs and events');
  assert.equal((await identity.authenticateManageToken(found.keboola.manageToken)).isSuperAdmin, true);
  await assert.rejects(identity.authenticateStorageToken(lost.keboola.storageToken), coded('token.invalid'));
  await assert.rejects(identity.authenticateManageToken(lost.keboola.manageToken), coded('token.invalid'));
  assert.deepEqual(
    [found.project, found.airbyte.clientId, found.airbyte.workspaceId],
    [lost.project, lost.airbyte.clientId, lost.airbyte.workspaceId],
  );
  for (const part of ['airbyte', 'syncano'] as const) assert.notDeepEqual(found[part], lost[part]);
});

test('slugs are made of what every dialect can take', () => {
  for (const name of ['', 'ÁÉ', '-a-', 'a--b', 'x'.repeat(100), '日本', '9 lives'])
    assert.ok(isSlug(slugify(name)), name);
  assert.equal(slugify('Hello, World'), 'hello-world');
});
