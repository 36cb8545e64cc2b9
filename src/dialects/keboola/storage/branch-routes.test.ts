import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeboolaServer, keboolaServer } from '../../../../test/support/keboola.ts';
import { AppError } from '../../../core/errors.ts';
import type { Actor } from '../../../core/identity/actor.ts';

type Body = Record<string, unknown>;
type Config = Body & { configuration: Body; rows: Body[]; currentVersion: Body };

const branches = '/v2/storage/dev-branches';
const configs = 'components/keboola.ex-http/configs';

/** What the job of `POST dev-branches` does; nothing runs jobs here. */
async function makeBranch({ core, db, actor }: KeboolaServer, name: string, as: Actor = actor): Promise<number> {
  return (await db.transaction((tx) => core.branches.createIn(tx, as, { name, description: '' }))).id;
}

const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('branches are made and deleted by jobs, and renamed at once', async (t) => {
  const app = await keboolaServer(t);
  const made = await app.request('POST', branches, { name: 'try', description: 'd' });
  assert.equal(made.status, 202, made.text);
  const job = made.body as Body & { creatorToken: Body };
  assert.deepEqual(
    [job.operationName, job.operationParams, job.creatorToken.id],
    ['devBranchCreate', { queue: 'main', values: { name: 'try' } }, String(app.actor.token.id)],
  );
  const id = await makeBranch(app, 'try');
  const one = (await app.request('GET', `${branches}/${id}`)).body as Body;
  const { id: tokenId, description } = app.actor.token;
  assert.deepEqual(
    [one.id, one.name, one.isDefault, one.creatorToken],
    [id, 'try', false, { id: tokenId, name: description }],
  );
  assert.match(one.created as string, /\+0000$/);
  const refusals: [string, string, unknown, number, string][] = [
    ['POST', branches, { name: 'TRY' }, 400, 'devBranch.duplicateName'],
    ['POST', branches, { name: 'Main' }, 400, 'devBranch.duplicateName'],
    ['POST', branches, { name: ' ' }, 400, 'storage.validation'],
    ['POST', branches, {}, 400, 'storage.validation'],
    ['PUT', `${branches}/default`, { name: 'Other' }, 400, 'storage.validation'],
    ['PUT', `${branches}/${id}`, { name: 'main' }, 400, 'devBranch.duplicateName'],
    ['DELETE', `${branches}/${app.actor.branchId}`, undefined, 400, 'storage.validation'],
    ['DELETE', `${branches}/999999`, undefined, 404, 'storage.branches.notFound'],
    ['GET', `${branches}/nonsense`, undefined, 404, 'storage.branches.notFound'],
  ];
  for (const [method, url, body, status, code] of refusals) {
    const answer = await app.request(method, url, body);
    assert.deepEqual([answer.status, (answer.body as Body).code], [status, code], `${method} ${url} ${answer.text}`);
  }
  const renamed = (await app.request('PUT', `${branches}/${id}`, { name: 'Try 2' })).body as Body;
  assert.deepEqual([renamed.name, renamed.description], ['Try 2', '']);
  const main = (await app.request('PUT', `${branches}/default`, { description: 'ours' })).body as Body;
  assert.deepEqual([main.name, main.description, main.creatorToken], ['Main', 'ours', []]);
  const deleted = await app.request('DELETE', `${branches}/${id}/`);
  assert.equal(deleted.status, 202);
  assert.deepEqual((deleted.body as Body).operationParams, { queue: 'main', values: { id } });
  await app.db.transaction((tx) => app.core.branches.deleteIn(tx, app.actor, id));
  for (const url of [`${branches}/${id}`, `/v2/storage/branch/${id}/${configs}`, `/v2/storage/branch/${id}/buckets`]) {
    const gone = await app.request('GET', url);
    assert.deepEqual([gone.status, (gone.body as Body).error], [404, `Branch id:"${id}" was not found.`]);
  }
  const names = (await app.request('GET', '/v2/storage/events?q=objectType:devBranch')).body as Body[];
  assert.deepEqual(
    names.map((event) => event.event),
    ['Deleted', 'Updated', 'Updated', 'Created'].map((act) => `storage.devBranch${act}`),
  );
});

test('a new branch has the configurations of the default one, and from then on both go their own ways', async (t) => {
  const app = await keboolaServer(t);
  const main = `/v2/storage/${configs}`;
  const text = '{"10":1.0,"a":[],"o":{}}';
  await app.request('POST', main, { configurationId: 'c', name: 'One', configuration: text, state: { s: 1 } });
  await app.request('PUT', `${main}/c`, { description: 'second' });
  for (const rowId of ['b', 'a']) await app.request('POST', `${main}/c/rows`, { rowId, name: rowId, state: { r: 1 } });
  await app.request('POST', `${main}/c/rows`, { rowId: 'gone' });
  await app.request('DELETE', `${main}/c/rows/gone`);
  await app.request('PUT', `${main}/c`, { rowsSortOrder: ['a', 'b'] });
  await app.request('PUT', `${main}/c/rows/a`, { name: 'row a' });
  await app.request('POST', main, { configurationId: 'trashed', name: 'x' });
  await app.request('DELETE', `${main}/trashed`);
  const before = (await app.request('GET', `${main}/c`)).body as Config;

  const id = await makeBranch(app, 'dev');
  const dev = `/v2/storage/branch/${id}/${configs}`;
  const answer = await app.request('GET', `${dev}/c`);
  const copy = answer.body as Config;
  assert.ok(answer.text.includes(`"configuration":${text},`), 'byte for byte');
  assert.deepEqual(
    [copy.version, copy.changeDescription, copy.state, copy.rowsSortOrder, copy.description],
    [1, `Copied from default branch configuration "One" (c) version ${before.version}`, { s: 1 }, ['a', 'b'], 'second'],
  );
  assert.equal(copy.currentVersion.versionIdentifier, before.currentVersion.versionIdentifier);
  assert.deepEqual(
    copy.rows.map((row) => [row.id, row.name, row.version, row.state, row.changeDescription]),
    [
      ['a', 'row a', 1, { r: 1 }, 'Copied from default branch configuration row "row a" (a) version 2'],
      ['b', 'b', 1, { r: 1 }, 'Copied from default branch configuration row "b" (b) version 1'],
    ],
  );
  assert.equal(((await app.request('GET', `${dev}?isDeleted=1`)).body as Body[]).length, 0);
  assert.equal(((await app.request('GET', `${dev}/c/versions`)).body as Body[]).length, 1);

  // Isolated in both directions.
  assert.equal((await app.request('PUT', `${dev}/c`, { name: 'Dev' })).status, 200);
  const stateful = await app.request('PUT', `${dev}/c`, { state: {} });
  assert.equal(stateful.status, 400);
  assert.match((stateful.body as Body).error as string, /restricted for dev\/branch context/);
  await app.request('PUT', `${dev}/c/state`, { state: { s: 2 } });
  await app.request('DELETE', `${dev}/c/rows/b`);
  const still = (await app.request('GET', `${main}/c`)).body as Config;
  assert.deepEqual(still, before);
  await app.request('POST', dev, { configurationId: 'own', name: 'Own' });
  assert.equal((await app.request('GET', `${main}/own`)).status, 404);
  await app.request('DELETE', `${main}/c`);
  assert.equal(((await app.request('GET', `${dev}/c`)).body as Body).name, 'Dev');
  await app.request('POST', `${main}/c/restore`);
  await app.request('DELETE', `${dev}/c`);
  const twice = await app.request('DELETE', `${dev}/c`);
  assert.deepEqual([twice.status, (twice.body as Body).code], [400, 'storage.components.cannotDeleteConfiguration']);

  // Back to what the default branch has, which has nothing of `own`.
  const onMain = await app.request('POST', `${main}/c/reset-to-default`);
  assert.deepEqual(
    [onMain.status, (onMain.body as Body).error],
    [400, 'Reset to default branch is not implemented for default branch'],
  );
  for (const one of ['c', 'own'])
    assert.equal((await app.request('POST', `${dev}/${one}/reset-to-default`)).status, 204);
  const reset = (await app.request('GET', `${dev}/c`)).body as Config;
  assert.deepEqual([reset.name, reset.version, reset.rows.length, reset.isDeleted], ['One', 1, 2, false]);
  assert.equal((await app.request('GET', `${dev}/own`)).status, 404);
  assert.equal((await app.request('POST', `${dev}/own/reset-to-default`)).status, 404);
});

test('buckets and tables are the same in every branch', async (t) => {
  const app = await keboolaServer(t);
  const id = await makeBranch(app, 'dev');
  const dev = `/v2/storage/branch/${id}`;
  const made = await app.request('POST', `${dev}/buckets`, { stage: 'in', name: 'b' });
  assert.equal(made.status, 201, made.text);
  assert.deepEqual((await app.request('GET', '/v2/storage/buckets/in.c-b')).body, made.body);
  const again = await app.request('POST', '/v2/storage/buckets', { stage: 'in', name: 'b' });
  assert.equal((again.body as Body).code, 'storage.buckets.alreadyExists');
  const metadata = { provider: 'p', metadata: [{ key: 'k', value: 'v' }] };
  await app.request('POST', `${dev}/buckets/in.c-b/metadata`, metadata);
  assert.equal(((await app.request('GET', '/v2/storage/buckets/in.c-b/metadata')).body as Body[]).length, 1);
});

test('who may do what with branches', async (t) => {
  const app = await keboolaServer(t);
  const id = await makeBranch(app, 'dev');
  const plain = await app.tokenActor({ canManageBuckets: true });
  const token = { token: plain.secret };
  assert.equal((await app.request('GET', branches, undefined, token)).status, 200);
  assert.equal((await app.request('GET', `/v2/storage/branch/${id}/metadata`, undefined, token)).status, 200);
  const writes: [string, string, unknown][] = [
    ['POST', branches, { name: 'x' }],
    ['PUT', `${branches}/${id}`, { name: 'x' }],
    ['DELETE', `${branches}/${id}`, undefined],
    ['POST', '/v2/storage/branch/default/metadata', { metadata: [{ key: 'k', value: 'v' }] }],
    ['DELETE', '/v2/storage/branch/default/metadata/1', undefined],
  ];
  for (const [method, url, body] of writes) {
    const refused = await app.request(method, url, body, token);
    assert.deepEqual(
      [refused.status, (refused.body as Body).error],
      [403, "You don't have access to the resource."],
      `${method} ${url}`,
    );
  }
  const guest: Actor = {
    ...app.actor,
    token: { ...app.actor.token, id: 999, person: { id: 9, name: 'g', email: 'g@localhost', role: 'guest' } },
  };
  await assert.rejects(app.core.branches.deleteLater(guest, id), coded('access.denied'));
  assert.ok(await app.core.branches.deleteLater(guest, await makeBranch(app, 'of the guest', guest)));
  const other = await app.newProject('Other');
  const stranger = { token: other.keboola.storageToken };
  for (const url of [`${branches}/${id}`, `/v2/storage/branch/${id}/${configs}`]) {
    assert.equal((await app.request('GET', url, undefined, stranger)).status, 404, url);
  }
});

test('metadata of the default branch comes along into a new one', async (t) => {
  const app = await keboolaServer(t);
  const metadata = '/v2/storage/branch/default/metadata';
  await app.request('POST', metadata, { metadata: [{ key: 'KBC.a', value: '1' }] });
  const all = await app.request('POST', metadata, { metadata: [{ key: 'b', value: '' }] });
  assert.equal(all.status, 201);
  assert.deepEqual(
    (all.body as Body[]).map(({ key, value, provider }) => [key, value, provider]),
    [
      ['KBC.a', '1', undefined],
      ['b', '', undefined],
    ],
  );
  const id = await makeBranch(app, 'dev');
  const own = `/v2/storage/branch/${id}/metadata`;
  const copied = (await app.request('GET', own)).body as Body[];
  assert.deepEqual(
    copied.map(({ key, value }) => [key, value]),
    [
      ['KBC.a', '1'],
      ['b', ''],
    ],
  );
  await app.request('POST', own, { metadata: [{ key: 'b', value: 'dev' }] });
  assert.deepEqual((await app.request('GET', metadata)).body, all.body);
  assert.equal((await app.request('DELETE', `${metadata}/${copied[0]?.id}`)).status, 404, 'an item of another branch');
  assert.equal((await app.request('DELETE', `${own}/${copied[0]?.id}`)).status, 204);
  const unknown = await app.request('DELETE', `${metadata}/9`);
  assert.deepEqual([unknown.status, (unknown.body as Body).error], [404, 'Metadata with id "9" not found']);
  const bad: [unknown, string][] = [
    [{}, 'storage.metadata.invalidParameter'],
    [{ metadata: [{ key: 'x' }] }, 'storage.metadata.invalidStructure'],
    [{ metadata: [{ key: '%', value: '' }] }, 'storage.metadata.invalidKey'],
  ];
  for (const [body, code] of bad) {
    assert.equal(((await app.request('POST', metadata, body)).body as Body).code, code);
  }
});

test('branches of one name are made once, and a copy has each configuration as it was at one moment', async (t) => {
  const app = await keboolaServer(t);
  const main = `/v2/storage/${configs}`;
  await app.request('POST', main, { configurationId: 'c', name: 'v1', configuration: { n: 1 } });
  await app.request('POST', `${main}/c/rows`, { rowId: 'r', name: 'v1' });
  let isDone = false;
  const writing = (async () => {
    for (let n = 2; !isDone; n++) await app.request('PUT', `${main}/c`, { name: `v${n}`, configuration: { n } });
  })();
  const made = await Promise.allSettled(['same', 'same', 'Same', 'a', 'b', 'c'].map((name) => makeBranch(app, name)));
  isDone = true;
  await writing;
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 4);
  for (const one of made) {
    if (one.status === 'rejected') {
      assert.ok(coded('branch.duplicate-name')(one.reason), String(one.reason));
      continue;
    }
    const copy = (await app.request('GET', `/v2/storage/branch/${one.value}/${configs}/c`)).body as Config;
    assert.equal(copy.name, `v${copy.configuration.n}`);
    assert.equal(copy.rows.length, 1);
  }
});

test('a branch of a thousand configurations takes no time', async (t) => {
  const app = await keboolaServer(t);
  const main = `/v2/storage/${configs}`;
  await app.request('POST', main, { configurationId: 'c0', name: 'x', configuration: { a: 'x'.repeat(1000) } });
  const first = await makeBranch(app, 'first');
  // A thousand more, as if people had made them.
  for (let n = 1; n <= 1000; n++) {
    await app.core.configurations.create(app.actor, 'keboola.ex-http', {
      id: `c${n}`,
      name: `Configuration ${n}`,
      configuration: JSON.stringify({ parameters: { text: 'x'.repeat(1000) } }),
    });
  }
  const begin = performance.now();
  const id = await makeBranch(app, 'large');
  const tookMs = performance.now() - begin;
  t.diagnostic(`${Math.round(tookMs)} ms`);
  assert.ok(tookMs < 2000, `${tookMs} ms`);
  const count = async (branch: number) =>
    ((await app.request('GET', `/v2/storage/branch/${branch}/${configs}`)).body as Body[]).length;
  assert.deepEqual([await count(first), await count(id)], [1, 1001]);
});
