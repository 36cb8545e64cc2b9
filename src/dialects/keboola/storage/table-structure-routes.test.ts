import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageClient } from '../../../../test/support/storage-client.ts';

test('columns and primary keys change by jobs that clients know by name', async (t) => {
  const { call, run, table } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  await table('users', 'id,name\n1,Jane\n2,Jane\n');
  const path = '/tables/in.c-main.users';

  const added = await run('POST', `${path}/columns/`, 'name=Last Name', 'application/x-www-form-urlencoded');
  assert.equal(added.status, 'success', JSON.stringify(added.error));
  assert.deepEqual([added.operationName, added.tableId, added.results], ['tableColumnAdd', 'in.c-main.users', null]);
  assert.deepEqual((await call('GET', path)).json.columns, ['id', 'name', 'Last_Name']);
  assert.equal((await run('POST', `${path}/columns`, { name: 'ID' })).error.code, 'storage.tables.columnAlreadyExists');
  assert.equal((await run('POST', `${path}/columns`, { name: '!' })).error.code, 'storage.tables.invalidColumnName');

  const dropped = await run('DELETE', `${path}/columns/Last_Name/?force=true`);
  assert.deepEqual([dropped.operationName, dropped.status], ['tableColumnDelete', 'success']);
  const missing = await run('DELETE', `${path}/columns/Last_Name`);
  assert.equal(missing.error.code, 'storage.tables.columnNotExists');

  const refused = await run('POST', `${path}/primary-key/`, { columns: ['name'] });
  assert.deepEqual(
    [refused.operationName, refused.error.code],
    ['tablePrimaryKeyAdd', 'storage.tables.primaryKeyDuplicateValues'],
  );
  assert.equal(
    (await run('POST', `${path}/primary-key`, { columns: ['none'] })).error.code,
    'storage.validation.primaryKey',
  );
  assert.equal((await run('POST', `${path}/primary-key`, { columns: ['id'] })).status, 'success');
  assert.deepEqual((await call('GET', path)).json.primaryKey, ['id']);
  assert.equal((await run('DELETE', `${path}/columns/id`)).error.code, 'storage.tables.cannotDeletePrimaryKeyColumn');
  const removed = await run('DELETE', `${path}/primary-key/`);
  assert.deepEqual([removed.operationName, removed.status], ['tablePrimaryKeyDelete', 'success']);
  const events = (await call('GET', `${path}/events`)).json as unknown as { event: string }[];
  for (const name of ['tableColumnAdded', 'tableColumnDeleted', 'tablePrimaryKeyAdded', 'tablePrimaryKeyDeleted']) {
    assert.ok(
      events.some(({ event }) => event === `storage.${name}`),
      name,
    );
  }
});

test('what is wrong with a change of structure is said at once where it can be', async (t) => {
  const { call, table } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  await table('users', 'id\n1\n');
  const path = '/tables/in.c-main.users';
  for (const [method, url, body, status, code] of [
    ['POST', `${path}/primary-key`, { columns: [] }, 400, 'storage.validation.primaryKey'],
    ['POST', `${path}/primary-key`, {}, 400, 'storage.validation.primaryKey'],
    ['POST', `${path}/columns`, {}, 400, 'storage.tables.validation'],
    ['POST', `${path}/columns`, { name: 'x', basetype: 'STRING' }, 400, 'storage.tables.validation'],
    ['POST', '/tables/in.c-main.none/columns', { name: 'x' }, 404, 'storage.tables.notFound'],
    ['DELETE', '/tables/in.c-main.none/primary-key', undefined, 404, 'storage.tables.notFound'],
    ['DELETE', '/tables/none/columns/x', undefined, 404, 'storage.tables.notFound'],
  ] as const) {
    const answer = await call(method, url, body);
    assert.deepEqual([answer.status, answer.json.code], [status, code], `${method} ${url} ${answer.text}`);
  }
});
