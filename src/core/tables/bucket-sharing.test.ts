import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { tableWorld } from '../../../test/support/table-world.ts';
import { AppError } from '../errors.ts';
import type { ExportResult } from './table-model.ts';

const SOURCE = 'out.c-shared';
const LINK = 'in.c-linked';
const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

async function setUp(t: TestContext) {
  const world = await tableWorld(t);
  const { actor, buckets, create, identity, newProject } = world;
  await buckets.create(actor, { stage: 'out', name: 'shared' });
  await create({ bucketId: SOURCE, name: 't', primaryKey: ['id'] }, 'id,name\n1,a\n2,b\n');
  const inProject = async (name: string) =>
    identity.authenticateStorageToken((await newProject(name)).keboola.storageToken);
  const reader = await inProject('Reader');
  const source = { projectId: actor.projectId, bucketId: SOURCE };
  const { sharing } = buckets;
  return {
    ...world,
    sharing,
    reader,
    inProject,
    share: (type: 'organization' | 'organization-project' = 'organization') =>
      sharing.apply(actor, { act: 'share', bucketId: SOURCE, share: { type }, isChange: false }),
    link: (who = reader, name = 'linked') =>
      sharing.apply(who, { act: 'link', bucketId: `in.c-${name}`, link: { stage: 'in', name, source } }),
    unlink: () => sharing.apply(actor, { act: 'unlink', bucketId: SOURCE, projectId: reader.projectId }),
    unshare: () => sharing.apply(actor, { act: 'unshare', bucketId: SOURCE }),
  };
}

test('a linked bucket shows the tables of the shared one, as they are now, and takes nothing', async (t) => {
  const { actor, reader, share, link, buckets, tables, load, ended, storage, jobs, events, file } = await setUp(t);
  await share();
  await link();
  const linked = await buckets.get(reader, LINK);
  assert.deepEqual([linked.rowsCount, linked.tablesCount, linked.source?.bucketId], [2, 1, SOURCE]);
  assert.deepEqual(
    (await buckets.get(actor, SOURCE)).share?.links.map(({ bucketId, project }) => [bucketId, project.name]),
    [[LINK, 'Reader']],
  );
  const table = await tables.get(reader, `${LINK}.t`);
  assert.deepEqual(
    [table.bucketId, table.columns, table.primaryKey, table.rowsCount, table.source?.tableId],
    [LINK, ['id', 'name'], ['id'], 2, `${SOURCE}.t`],
  );
  assert.deepEqual(
    (await tables.list(reader)).map(({ id }) => id),
    [`${LINK}.t`],
  );
  const rows = async () =>
    (await tables.preview(reader, `${LINK}.t`, { orderBy: [{ field: 'id', direction: 'asc' }] })).rows;
  assert.deepEqual(await rows(), [
    ['1', 'a'],
    ['2', 'b'],
  ]);
  await load(`${SOURCE}.t`, 'id,name\n3,c\n');
  assert.deepEqual(await rows(), [['3', 'c']]);
  const exported = (await ended(await tables.export(reader, `${LINK}.t`))).result as unknown as ExportResult;
  assert.equal((await storage.get(reader, exported.fileId)).projectId, reader.projectId);
  assert.equal((await tables.version(reader, `${LINK}.t`)).version.files.length, 1);

  const fileId = await file('id\n9\n', 'x.csv', reader);
  for (const write of [
    () => tables.import(reader, `${LINK}.t`, { fileId }),
    () => tables.createFromFile(reader, { bucketId: LINK, name: 'n', fileId }),
    () => tables.create(reader, { bucketId: LINK, name: 'n', columns: ['a'] }),
    () => tables.deleteRows(reader, `${LINK}.t`, { allowTruncate: true }),
    () => tables.drop(reader, `${LINK}.t`),
  ]) {
    await assert.rejects(write, coded('bucket.read-only'));
  }
  assert.equal((await jobs.list(reader, { kinds: ['table-import', 'rows-delete'] }, { limit: 10 })).length, 0);
  for (const who of [actor, reader])
    assert.equal((await events.list(who, { names: ['bucket.linked'] })).length, 1, `events of ${who.projectId}`);
  await buckets.delete(reader, LINK);
  assert.deepEqual(await rows().catch((error: AppError) => error.code), 'table.not-found');
  assert.equal((await tables.get(actor, `${SOURCE}.t`)).rowsCount, 1);
});

test('the end of a link ends the reading, even of who is in the middle of it', async (t) => {
  const { actor, reader, share, link, unlink, unshare, buckets, tables, load } = await setUp(t);
  await share();
  await link();
  await load(`${SOURCE}.t`, `id,name\n${Array.from({ length: 50 }, (_, i) => `${i},x`).join('\n')}\n`);
  await assert.rejects(unshare(), coded('bucket.already-linked'));
  await assert.rejects(buckets.delete(actor, SOURCE, { force: true }), coded('bucket.already-linked'));
  const reading = tables.readBatches(reader, `${LINK}.t`, { columns: ['id'], batchRows: 10 });
  assert.equal((await reading.next()).value?.length, 10);
  await unlink();
  await assert.rejects(reading.next(), coded('table.not-found'));
  await assert.rejects(tables.preview(reader, `${LINK}.t`), coded('table.not-found'));
  await assert.rejects(buckets.get(reader, LINK), coded('bucket.not-found'));
  await assert.rejects(unlink(), coded('bucket.link-not-found'));
  await unshare();
  await assert.rejects(unshare(), coded('bucket.not-shared'));
  await assert.rejects(link(), coded('access.denied'));
  await buckets.delete(actor, SOURCE, { force: true });
});

test('only those to whom a bucket is open see it and can link it', async (t) => {
  const { actor, reader, sharing, share, link, buckets, inProject, tokenActor, credentials } = await setUp(t);
  await assert.rejects(link(), coded('access.denied'));
  assert.deepEqual(await buckets.listShared(reader), []);
  const other = await inProject('Other');
  const to = (projectIds: number[]) =>
    sharing.apply(actor, {
      act: 'share',
      bucketId: SOURCE,
      share: { type: 'specific-projects', projectIds },
      isChange: false,
    });
  await assert.rejects(to([other.projectId, 4711]), (error: unknown) => {
    return error instanceof AppError && error.message === 'TargetProjectIds "[4711]" are not part of organization.';
  });
  await to([other.projectId]);
  assert.deepEqual(await buckets.listShared(reader), []);
  assert.deepEqual(await buckets.listShared(actor), []);
  await assert.rejects(link(), coded('access.denied'));
  const [seen] = await buckets.listShared(other);
  assert.deepEqual([seen?.bucket.id, seen?.tables.map(({ name }) => name)], [SOURCE, ['t']]);
  await link(other);
  await assert.rejects(link(other, 'again'), coded('bucket.already-linked'));
  await to([reader.projectId]);
  await link(reader);
  await assert.rejects(
    sharing.apply(reader, { act: 'share', bucketId: LINK, share: { type: 'organization' }, isChange: false }),
    coded('bucket.invalid'),
  );
  const limited = await tokenActor({ canManageBuckets: true });
  await assert.rejects(
    sharing.apply(limited, { act: 'share', bucketId: SOURCE, share: { type: 'organization' }, isChange: true }),
    coded('access.denied'),
  );
  await assert.rejects(buckets.listShared(limited), coded('access.denied'));
  await assert.rejects(
    sharing.apply(actor, {
      act: 'share',
      bucketId: SOURCE,
      share: { type: 'specific-users', persons: ['nobody@example.com'] },
      isChange: false,
    }),
    coded('bucket.share-persons-foreign'),
  );
  await sharing.apply(actor, {
    act: 'share',
    bucketId: SOURCE,
    share: { type: 'specific-users', persons: [1] },
    isChange: false,
  });
  assert.equal((await buckets.get(actor, SOURCE)).share?.persons[0]?.id, 1);
  assert.ok(credentials);
  await share('organization-project');
  assert.equal((await buckets.get(actor, SOURCE)).share?.links.length, 2);
});
