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

test('a typed table is made, told, loaded and changed in the words of clients', async (t) => {
  const { call, run, load } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  const created = await run('POST', '/buckets/in.c-main/tables-definition', {
    name: 'orders',
    primaryKeysNames: ['id'],
    timestampType: 'MANAGED',
    columns: [
      { name: 'id', definition: { type: 'NUMBER', length: '38,0', nullable: false, default: null } },
      { name: 'Zone', basetype: 'string' },
      { name: 'note', definition: { type: 'FLOAT' } },
      { name: 'plain' },
    ],
  });
  assert.equal(created.status, 'success', JSON.stringify(created.error));
  assert.deepEqual([created.operationName, created.tableId], ['tableDefinitionCreate', null]);
  const table = created.results;
  assert.deepEqual([table.isTyped, table.columns], [true, ['id', 'Zone', 'note', 'plain']]);
  assert.deepEqual([table.lastImportDate, table.lastChangeDate], [null, null]);
  const text = { type: 'VARCHAR', nullable: true, length: '16777216' };
  assert.deepEqual(
    JSON.stringify(table.definition),
    JSON.stringify({
      primaryKeysNames: ['id'],
      columns: [
        {
          name: 'id',
          definition: { type: 'NUMBER', nullable: false, length: '38,0' },
          basetype: 'NUMERIC',
          canBeFiltered: true,
        },
        { name: 'note', definition: { type: 'FLOAT', nullable: true }, basetype: 'FLOAT', canBeFiltered: true },
        { name: 'plain', definition: text, basetype: 'STRING', canBeFiltered: true },
        { name: 'Zone', definition: text, basetype: 'STRING', canBeFiltered: true },
      ],
    }),
  );
  const facts = (items: { key: string; value: string; provider: string }[] = []) =>
    items.map(({ key, value, provider }) => `${provider} ${key}=${value}`);
  assert.deepEqual(facts(table.metadata), ['storage KBC.dataTypesEnabled=true']);
  assert.deepEqual(facts(table.columnMetadata.id), [
    'storage KBC.datatype.type=NUMBER',
    'storage KBC.datatype.nullable=',
    'storage KBC.datatype.basetype=NUMERIC',
    'storage KBC.datatype.length=38,0',
  ]);

  const path = '/tables/in.c-main.orders';
  assert.equal((await load('in.c-main.orders', 'id,Zone,note,plain\n1,a,1.5,x\n')).status, 'success');
  assert.equal((await load('in.c-main.orders', 'id,Zone,note,plain\none,a,1,x\n')).error.code, 'invalidData');
  assert.equal(
    (await load('in.c-main.orders', 'id,Zone,note,plain,more\n1,a,1,x,y\n')).error.code,
    'csvImport.columnsNotMatch',
  );
  assert.equal((await call('GET', `${path}/data-preview`)).text, '"id","Zone","note","plain"\n"1","a","1.5","x"\n');
  const ordered = await call('GET', `${path}/data-preview?orderBy[0][column]=id&orderBy[0][dataType]=INTEGER`);
  assert.equal(ordered.json.error, 'Specifying data type for ordered column is not supported for typed tables');

  assert.equal((await call('POST', `${path}/columns`, { name: 'x' })).json.code, 'storage.tables.validation');
  const variant = await run('POST', `${path}/columns`, { name: 'doc', definition: { type: 'VARIANT' } });
  assert.equal(variant.status, 'success', JSON.stringify(variant.error));
  const filtered = await call('GET', `${path}/data-preview?whereFilters[0][column]=doc&whereFilters[0][values][]=1`);
  assert.deepEqual(
    [filtered.json.code, filtered.json.error],
    [
      'storage.backend.exception',
      'Filtering by column "doc" of type "VARIANT" is not supported by the backend "Snowflake".',
    ],
  );
  const strict = { name: 'y', definition: { type: 'DATE', nullable: false } };
  const refused = await run('POST', `${path}/columns`, strict);
  assert.equal(refused.error.code, 'storage.tables.validation.cannotAddColumn');
  const bad = await call('POST', '/buckets/in.c-main/tables-definition', {
    name: 'bad',
    columns: [{ name: 'a', definition: { type: 'NUMBER', default: 'x' } }],
  });
  assert.equal(bad.json.code, 'storage.tables.invalidDefaultValueForType');

  const changed = await run('PUT', `${path}/columns/plain/definition`, { nullable: true, length: 16777216 });
  assert.deepEqual([changed.operationName, changed.results.isTyped], ['tableColumnDefinitionUpdate', true]);
  const renamed = await run('PUT', `${path}/definition`, {
    displayName: 'Orders',
    columns: [
      { name: 'Zone', description: 'where' },
      { name: 'id', nullable: true },
    ],
  });
  assert.equal(renamed.error.code, 'storage.tables.validation');
  const described = await run('PUT', `${path}/definition`, {
    displayName: 'Orders',
    columns: [{ name: 'Zone', description: 'where' }],
  });
  assert.equal(described.operationName, 'tableDefinitionUpdate');
  assert.ok(facts(described.results.columnMetadata.Zone).includes('user KBC.description=where'));

  const untyped = await run('POST', '/buckets/in.c-main/tables-definition', { name: 'u', columns: [{ name: 'a' }] });
  assert.deepEqual([untyped.results.isTyped, 'definition' in untyped.results], [false, false]);
});
