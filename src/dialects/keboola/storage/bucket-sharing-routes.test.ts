import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

const BUCKETS = '/v2/storage/buckets';

test('buckets are shared, linked and unlinked in the shapes clients read', async (t) => {
  const { core, actor, request, newProject } = await keboolaServer(t);
  await core.buckets.create(actor, { stage: 'out', name: 'shared' });
  await core.tables.create(actor, { bucketId: 'out.c-shared', name: 't', columns: ['id'] });
  const other = await newProject('Reader');
  const token = other.keboola.storageToken;
  const source = `${BUCKETS}/out.c-shared`;
  const link = { name: 'linked', stage: 'in', sourceProjectId: actor.projectId, sourceBucketId: 'out.c-shared' };

  const refused: [string, string, object, number, RegExp, string?][] = [
    ['PUT', `${source}/share`, { sharing: 'organization' }, 400, /storage\.bucket\.notShared/],
    ['PUT', `${source}/share`, { sharing: 'everybody' }, 400, /sharing/],
    ['DELETE', `${source}/share`, {}, 400, /The bucket out\.c-shared is not shared\./],
    [
      'POST',
      `${source}/share-to-projects`,
      { targetProjectIds: [4711] },
      422,
      /targetProjectIdsAreNotPartOfOrganization/,
    ],
    ['POST', `${source}/share-to-projects`, {}, 400, /targetProjectIds/],
    ['POST', `${source}/share-to-users`, { targetUsers: ['a@b.c'] }, 422, /targetAdminsAreNotPartOfOrganization/],
    ['DELETE', `${source}/links/4711`, {}, 404, /There is no linked bucket in project \\"4711\\"/],
    ['POST', `${BUCKETS}/out.c-none/share-organization`, {}, 404, /storage\.buckets\.notFound/],
    ['POST', BUCKETS, link, 403, /You do not have permission to link this bucket\./, token],
    ['POST', BUCKETS, { ...link, sourceBucketId: undefined }, 400, /sourceBucketId/, token],
  ];
  for (const [method, url, body, status, text, as] of refused) {
    const answer = await request(method, url, body, as ? { token: as } : {});
    assert.equal(answer.status, status, `${method} ${url}: ${answer.text}`);
    assert.match(answer.text, text);
  }

  const job = await request('POST', `${source}/share-organization`, {});
  assert.equal(job.status, 202, job.text);
  assert.equal((job.body as { operationName: string }).operationName, 'bucketShareToOrganization');
  await core.buckets.sharing.apply(actor, {
    act: 'share',
    bucketId: 'out.c-shared',
    share: { type: 'organization' },
    isChange: false,
  });
  const shared = (await request('GET', source)).body as Record<string, unknown>;
  assert.deepEqual([shared.sharing, shared.sharingParameters, shared.linkedBy], ['organization', [], []]);
  assert.deepEqual(Object.keys(shared.sharedBy as object), ['id', 'name', 'date']);
  const [seen] = (await request('GET', '/v2/storage/shared-buckets', undefined, { token })).body as Record<
    string,
    unknown
  >[];
  assert.deepEqual([seen?.id, (seen?.project as { id: number } | undefined)?.id], ['out.c-shared', actor.projectId]);
  assert.deepEqual((await request('GET', '/v2/storage/shared-buckets')).body, []);

  const made = await request('POST', BUCKETS, link, { token });
  assert.equal(made.status, 201, made.text);
  const bucket = made.body as Record<string, unknown>;
  assert.deepEqual([bucket.id, bucket.isLinkedBucket, bucket.isReadOnly], ['in.c-linked', true, true]);
  assert.equal('sharedBy' in bucket, false);
  const table = (await request('GET', '/v2/storage/tables/in.c-linked.t', undefined, { token })).body as {
    isAlias: boolean;
    columns: string[];
    sourceTable: { id: string; project: { id: number } };
  };
  assert.deepEqual(
    [table.isAlias, table.columns, table.sourceTable.id, table.sourceTable.project.id],
    [true, ['id'], 'out.c-shared.t', actor.projectId],
  );
  assert.match((await request('POST', BUCKETS, { ...link, name: 'twice' }, { token })).text, /alreadyLinked/);
  assert.match((await request('DELETE', `${source}?force=1`)).text, /storage\.buckets\.alreadyLinked/);
  assert.equal((await request('DELETE', '/v2/storage/tables/in.c-linked.t', undefined, { token })).status, 403);
  assert.equal((await request('DELETE', `${source}/links/${other.project.id}`)).status, 204);
  assert.equal((await request('GET', `${BUCKETS}/in.c-linked`, undefined, { token })).status, 404);
});
