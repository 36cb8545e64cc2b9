import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanup } from '../../../test/support/cleanup.ts';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import { openDatabase } from '../../db/open.ts';
import { sql } from '../../db/sql.ts';
import { silentLogger } from '../../lib/logger.ts';
import { AppError } from '../errors.ts';
import { Events } from '../events/events.ts';
import { Identity } from './identity.ts';
import { hashPassword, verifyPassword } from './password.ts';

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  return { db, ...(await testProject(db)) };
}

const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;
const refused = coded('token.invalid');
const admin = { personId: 1, email: 'admin@localhost', isSuperAdmin: true };

test('a master token acts with every right in the default branch of its project', async (t) => {
  const { identity, storageToken } = await setUp(t);
  assert.match(storageToken, /^1-\d+-[0-9A-Za-z]{40,}$/);
  const actor = await identity.authenticateStorageToken(storageToken, {
    runId: '7',
    origin: { address: '10.0.0.1', userAgent: 'curl' },
  });
  assert.equal(actor.projectId, 1);
  assert.ok(actor.isDefaultBranch && actor.token.isMaster && actor.token.canManageTokens);
  assert.deepEqual(actor.token.person, {
    id: 1,
    name: 'Administrator',
    email: 'admin@localhost',
    role: 'admin',
    isOrganizationMember: true,
    features: [],
  });
  assert.deepEqual([actor.runId, actor.origin], ['7', { address: '10.0.0.1', userAgent: 'curl' }]);
});

test('a wrong token is refused without being repeated, and kinds do not open each other', async (t) => {
  const { identity, projects, storageToken } = await setUp(t);
  const credentials = await projects.create(admin, { name: 'Two' });
  const wrong = [
    '',
    'nonsense',
    `${storageToken}x`,
    storageToken.replace(/^1-/, '2-'),
    credentials.airbyte.clientSecret,
    credentials.syncano.apiKey,
  ];
  for (const secret of wrong)
    await assert.rejects(
      identity.authenticateStorageToken(secret),
      (error) => refused(error) && (secret === '' || !String(error).includes(secret)),
    );
  await assert.rejects(identity.authenticateManageToken(storageToken), refused);
});

test('no secret is stored', async (t) => {
  const { db, storageToken } = await setUp(t);
  const [dump] = await db.query<{ text: string }>(sql`
    select string_agg(t::text, '') || (select string_agg(p::text, '') from persons p) as text from tokens t`);
  const secret = storageToken.split('-')[2] ?? '';
  assert.ok(secret !== '' && !dump?.text.includes(secret));
});

test('a token stops working at the moment it expires, is disabled, refreshed or deleted, here and elsewhere', async (t) => {
  const { db, identity, actor, tokenActor } = await setUp(t);
  const elsewhere = await openDatabase({ connection: db.connection, log: silentLogger });
  cleanup(t, () => elsewhere.close());
  const other = new Identity({ db: elsewhere, events: new Events({ db: elsewhere }) });
  const works = async (secret: string, who = identity) => {
    try {
      await who.authenticateStorageToken(secret);
      return true;
    } catch (error) {
      assert.ok(refused(error));
      return false;
    }
  };
  const made = await tokenActor({});
  assert.ok((await works(made.secret)) && (await works(made.secret, other)));
  const { secret } = await identity.refreshToken(made, made.token.id);
  assert.deepEqual([await works(made.secret), await works(secret)], [false, true]);
  // Told by notification, long before what it remembers ends by itself.
  const noLonger = async (old: string) => {
    for (const begin = Date.now(); Date.now() - begin < 4000; await sleep(10)) if (!(await works(old, other))) return;
    assert.fail('the other process was not told');
  };
  await noLonger(made.secret);
  assert.equal(await works(secret, other), true);
  await identity.deleteToken(actor, made.token.id);
  assert.equal(await works(secret), false);
  await noLonger(secret);

  let now = new Date();
  const clocked = new Identity({ db, events: new Events({ db }), clock: { now: () => now } });
  const { secret: short } = await clocked.createToken(actor, { expiresInSeconds: 2 });
  assert.ok(await works(short, clocked));
  now = new Date(now.getTime() + 1999);
  assert.ok(await works(short, clocked));
  now = new Date(now.getTime() + 1);
  assert.equal(await works(short, clocked), false, 'also while it is remembered');

  const disabled = await identity.createToken(actor, {});
  await db.query(sql`update tokens set disabled_at = now() where id = ${disabled.token.id}`);
  assert.equal(await works(disabled.secret), false);
});

test('tokens of a deleted project are refused', async (t) => {
  const { db, identity, projects } = await setUp(t);
  const { keboola, project } = await projects.create(admin, { name: 'Two' });
  await db.query(sql`update projects set deleted_at = now() where id = ${project.id}`);
  await assert.rejects(identity.authenticateStorageToken(keboola.storageToken), refused);
});

test('tokens carry what they were given and nothing else', async (t) => {
  const { identity, actor, events, tokenActor } = await setUp(t);
  const { token } = await identity.createToken(actor, {
    bucketPermissions: { 'in.c-a': 'read', 'out.c-b': 'write' },
    componentAccess: ['ex-1'],
    canReadAllFileUploads: true,
    canReadAllFiles: true,
  } as never);
  assert.equal(token.description, 'Created by admin@localhost');
  assert.deepEqual(token.bucketPermissions, { 'in.c-a': 'read', 'out.c-b': 'write' });
  assert.deepEqual([token.componentAccess, token.rights], [['ex-1'], { canReadAllFiles: true }]);
  assert.deepEqual(token.creator, { id: actor.token.id, description: 'admin@localhost' });
  assert.equal((await events.list(actor, { limit: 1 }))[0]?.name, 'token.created');

  const updated = await identity.updateToken(actor, token.id, {
    description: 'x',
    bucketPermissions: { 'in.c-c': 'read' },
  });
  assert.deepEqual(
    [updated.description, updated.bucketPermissions, updated.componentAccess, updated.rights],
    ['x', { 'in.c-c': 'read' }, ['ex-1'], { canReadAllFiles: true }],
  );
  assert.deepEqual((await identity.updateToken(actor, token.id, { componentAccess: [] })).componentAccess, []);

  for (const right of ['manage', 'x'])
    await assert.rejects(
      identity.createToken(actor, { bucketPermissions: { 'in.c-a': right } }),
      coded('token.invalid-permissions'),
    );
  for (const seconds of [0, -1, Number.NaN])
    await assert.rejects(
      identity.createToken(actor, { expiresInSeconds: seconds }),
      coded('token.expiration-too-short'),
    );

  const bare = await tokenActor({});
  assert.deepEqual(
    (await identity.listTokens(bare)).map(({ id }) => id),
    [bare.token.id],
  );
  assert.equal((await identity.listTokens(actor)).length, 3);
  assert.equal((await identity.ownToken(bare)).id, bare.token.id);
  await identity.updateToken(actor, bare.token.id, { description: 'renamed' });
  assert.equal((await identity.ownToken(bare)).description, 'renamed');
  for (const act of [
    () => identity.getToken(bare, token.id),
    () => identity.createToken(bare, {}),
    () => identity.updateToken(bare, bare.token.id, { description: 'y' }),
    () => identity.deleteToken(bare, token.id),
    () => identity.refreshToken(bare, token.id),
  ])
    await assert.rejects(act(), coded('access.denied'));
  await identity.deleteToken(bare, bare.token.id);
  await assert.rejects(identity.deleteToken(actor, actor.token.id), coded('token.master'));
});

test('tokens and branches of another project are unknown', async (t) => {
  const { identity, projects, actor } = await setUp(t);
  const { keboola } = await projects.create(admin, { name: 'Two' });
  const stranger = await identity.authenticateStorageToken(keboola.storageToken);
  for (const act of [
    () => identity.getToken(stranger, actor.token.id),
    () => identity.updateToken(stranger, actor.token.id, { description: 'mine' }),
    () => identity.deleteToken(stranger, actor.token.id),
    () => identity.refreshToken(stranger, actor.token.id),
  ])
    await assert.rejects(act(), coded('token.not-found'));
  await assert.rejects(identity.selectBranch(stranger, actor.branchId), coded('branch.not-found'));
  const call = { branchId: actor.branchId };
  await assert.rejects(identity.authenticateStorageToken(keboola.storageToken, call), coded('branch.not-found'));
});

test('an actor works in the branch it selects', async (t) => {
  const { db, identity, actor } = await setUp(t);
  const [branch] = await db.query<{ id: number }>(sql`
    insert into branches (project_id, name) values (1, 'dev') returning id`);
  const there = await identity.selectBranch(actor, branch?.id ?? 0);
  assert.deepEqual([there.branchId, there.isDefaultBranch], [branch?.id, false]);
  const back = await identity.selectBranch(there, 'default');
  assert.deepEqual([back.branchId, back.isDefaultBranch], [actor.branchId, true]);
});

test('passwords are kept as slow hashes', async () => {
  const stored = await hashPassword('correct horse');
  assert.ok(!stored.includes('correct'));
  assert.ok(await verifyPassword('correct horse', stored));
  assert.ok(!(await verifyPassword('wrong horse', stored)));
  assert.ok(!(await verifyPassword('x', 'nonsense')));
});
