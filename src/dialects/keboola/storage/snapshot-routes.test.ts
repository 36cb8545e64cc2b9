import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageClient } from '../../../../test/support/storage-client.ts';

test('a table is kept, looked at, made anew in another bucket, and let go of, as clients say it', async (t) => {
  const { call, run, table } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  await call('POST', '/buckets', { stage: 'out', name: 'main' });
  await table('users', 'id,name\n1,Jane\n2,Joe\n', { primaryKey: 'id' });
  const made = await run(
    'POST',
    '/tables/in.c-main.users/snapshots/',
    'description=first',
    'application/x-www-form-urlencoded',
  );
  assert.deepEqual(
    [made.status, made.operationName, typeof made.results.id],
    ['success', 'tableSnapshotCreate', 'string'],
  );
  const { id } = made.results;
  await run('POST', '/tables/in.c-main.users/snapshots');
  const listed = (await call('GET', '/tables/in.c-main.users/snapshots?limit=1')).json as unknown as { id: string }[];
  assert.deepEqual(listed.length, 1);
  assert.notEqual(listed[0]?.id, id, 'newest first');

  assert.equal((await call('DELETE', '/buckets/in.c-main?force=1')).status, 204);
  const detail = (await call('GET', `/snapshots/${id}`)).json as unknown as Record<string, unknown>;
  assert.deepEqual(
    [detail.id, detail.description, detail.type, detail.table],
    [id, 'first', 'table', { id: 'in.c-main.users', primaryKey: ['id'], columns: ['id', 'name'] }],
  );
  assert.match(String(detail.uri), /\/v2\/storage\/snapshots\/\d+$/);

  const back = await run('POST', '/buckets/out.c-main/tables-async', { snapshotId: id });
  assert.deepEqual([back.operationName, back.status, back.results.id], ['tableCreate', 'success', 'out.c-main.users']);
  assert.equal(
    (await call('GET', '/tables/out.c-main.users/data-preview')).text,
    '"id","name"\n"1","Jane"\n"2","Joe"\n',
  );
  const again = await run('POST', '/buckets/out.c-main/tables-async', { snapshotId: id, name: 'users' });
  assert.equal(again.error.code, 'storage.buckets.tableAlreadyExists');
  const named = await run('POST', '/buckets/out.c-main/tables-async', { snapshotId: Number(id), name: 'then' });
  assert.equal(named.status, 'success');

  const deleted = await run('DELETE', `/snapshots/${id}`);
  assert.deepEqual([deleted.operationName, deleted.status], ['tableSnapshotDelete', 'success']);
  for (const answer of [
    await call('GET', `/snapshots/${id}`),
    await call('DELETE', `/snapshots/${id}`),
    await call('POST', '/buckets/out.c-main/tables-async', { snapshotId: id, name: 'x' }),
  ]) {
    assert.deepEqual([answer.status, answer.json.code], [404, 'storage.snapshots.notFound'], answer.text);
  }
  assert.equal((await call('POST', '/buckets/out.c-main/tables-async', { snapshotId: 'x' })).status, 400);
  assert.equal((await call('POST', '/tables/out.c-main.none/snapshots', {})).status, 404);
  const events = (await call('GET', '/events')).json as unknown as { event: string }[];
  for (const name of ['tableSnapshotCreated', 'tableSnapshotDeleted'])
    assert.ok(
      events.some(({ event }) => event === `storage.${name}`),
      name,
    );
});
