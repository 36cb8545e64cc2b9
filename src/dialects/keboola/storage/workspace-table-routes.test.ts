import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { cleanup } from '../../../../test/support/cleanup.ts';
import { startPlatform } from '../../../../test/support/platform.ts';

type Connection = { host: string; port: number; database: string; schema: string; user: string; password: string };
type Workspace = { id: number; connection: Connection };
type Job = {
  id: number;
  status: string;
  tableId: string | null;
  operationName: string;
  operationParams: { source?: Record<string, unknown>; input?: Record<string, unknown>[] };
  results: Record<string, unknown> | null;
  error?: { code: string; message: string };
};
type Answer = { status: number; body: never };

const STORAGE = '/v2/storage';
const USERS = '"id","name","age"\n"1","Žofie","20"\n"2","a ""b""\nc",""\n"3","","41"\n';

/** A server with a bucket, a table of users and a workspace. */
async function world(t: TestContext) {
  const { url, credentials } = await startPlatform(t, { config: { workspacePort: 0 } });
  const call = async (method: string, path: string, body?: object, token?: string): Promise<Answer> => {
    const response = await fetch(`${url}${STORAGE}${path}`, {
      method,
      headers: {
        'x-storageapi-token': token ?? credentials.keboola.storageToken,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as never };
  };
  const ended = async (answer: Answer, token?: string): Promise<Job> => {
    assert.equal(answer.status, 202, JSON.stringify(answer.body));
    let job = answer.body as Job;
    while (!['success', 'error'].includes(job.status)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      job = (await call('GET', `/jobs/${job.id}`, undefined, token)).body as Job;
    }
    return job;
  };
  const done = async (method: string, path: string, body?: object): Promise<Job> => {
    const job = await ended(await call(method, path, body));
    assert.equal(job.status, 'success', JSON.stringify(job.error));
    return job;
  };
  const failed = async (path: string, body: object): Promise<{ code: string; message: string }> => {
    const job = await ended(await call('POST', path, body));
    assert.equal(job.status, 'error', 'it succeeded');
    assert.ok(job.error);
    return job.error;
  };
  const bucket = 'in.c-main';
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  const table = async (name: string, dataString: string, primaryKey = '') => {
    const made = await call('POST', `/buckets/${bucket}/tables`, { name, dataString, primaryKey });
    assert.equal(made.status, 201, JSON.stringify(made.body));
  };
  await table('users', USERS, 'id');
  const workspace = (await call('POST', '/workspaces', { backend: 'redshift' })).body as Workspace;
  const client = new pg.Client(workspace.connection);
  await client.connect();
  cleanup(t, () => client.end());
  const rows = async (statement: string) =>
    (await client.query({ text: statement, rowMode: 'array' })).rows as unknown[][];
  const preview = async (id: string) => {
    const response = await fetch(`${url}${STORAGE}/tables/${id}/data-preview`, {
      headers: { 'x-storageapi-token': credentials.keboola.storageToken },
    });
    return (await response.text()).trimEnd().split('\n').sort();
  };
  const load = (input: object[], options: object = {}) => ({ input, preserve: true, ...options });
  const at = `/workspaces/${workspace.id}`;
  return { call, done, failed, ended, table, workspace, at, bucket, client, rows, preview, load };
}

test('tables are loaded into a workspace with all that their mapping says', async (t) => {
  const { done, at, rows, load } = await world(t);
  const job = await done('POST', `${at}/load`, {
    input: [
      { source: 'in.c-main.users', destination: 'users' },
      {
        source: 'in.c-main.users',
        destination: 'typed',
        columns: [
          { source: 'age', destination: 'Age in years', type: 'INTEGER', convertEmptyValuesToNull: true },
          { source: 'id', type: 'NUMBER', length: '10,2', nullable: false },
          { source: 'name', type: 'VARCHAR', length: '16777216' },
        ],
        primaryKey: 'id',
        whereFilters: [{ column: 'id', operator: 'ne', values: ['3'] }],
      },
      { source: 'in.c-main.users', destination: 'names', columns: ['name'], rows: 2 },
      { source: 'in.c-main.users', destination: 'new', seconds: 3600, whereColumn: 'id', whereValues: ['1'] },
      { source: 'in.c-main.users', destination: 'old', changedUntil: '-1 hour' },
      { source: 'in.c-main.users', destination: 'legacy', columns: ['id', 'age'], datatypes: { id: 'BIGINT' } },
    ],
  });
  assert.deepEqual([job.operationName, job.tableId, job.results], ['workspaceLoad', null, null]);
  assert.equal(job.operationParams.input?.length, 6);
  assert.deepEqual(await rows('select * from users order by id'), [
    ['1', 'Žofie', '20'],
    ['2', 'a "b"\nc', ''],
    ['3', '', '41'],
  ]);
  assert.deepEqual(await rows('select "Age in years", id, name from typed order by id'), [
    [20, '1.00', 'Žofie'],
    [null, '2.00', 'a "b"\nc'],
  ]);
  assert.deepEqual(await rows('select count(*)::int from names'), [[2]]);
  assert.deepEqual(await rows('select id from new'), [['1']]);
  assert.deepEqual(await rows('select count(*)::int from old'), [[0]]);
  assert.deepEqual(
    await rows(
      `select table_name, column_name, data_type from information_schema.columns
       where table_name in ('users', 'legacy') order by 1, ordinal_position`,
    ),
    [
      ['legacy', 'id', 'bigint'],
      ['legacy', 'age', 'character varying'],
      ...['id', 'name', 'age'].map((name) => ['users', name, 'character varying']),
    ],
  );

  await done('POST', `${at}/load`, load([{ source: 'in.c-main.users', destination: 'names', overwrite: true }]));
  assert.deepEqual(await rows('select count(*)::int from names'), [[3]]);
  await done('POST', `${at}/load`, { input: { 0: { source: 'in.c-main.users', destination: 'alone' } } });
  assert.deepEqual(
    await rows("select table_name::text from information_schema.tables where table_schema like 'work%'"),
    [['alone']],
  );
});

test('a load that adds: rows of the same key are replaced, the mapping has to be the same', async (t) => {
  const { done, failed, at, rows, table, load, client } = await world(t);
  const item = { source: 'in.c-main.users', destination: 'users', columns: ['id', 'name', 'age'] };
  await table('more', '"id","name","age"\n"3","new","1"\n"4","four","2"\n');
  const more = { ...item, source: 'in.c-main.more', incremental: true };
  await done('POST', `${at}/load`, load([more]));
  await done('POST', `${at}/load`, load([more]));
  assert.deepEqual(await rows('select id from users order by id'), [['3'], ['3'], ['4'], ['4']]);

  await done('POST', `${at}/load`, load([{ ...item, overwrite: true, primaryKey: ['id'] }]));
  await done('POST', `${at}/load`, load([more]));
  assert.deepEqual(await rows('select id, name from users order by id'), [
    ['1', 'Žofie'],
    ['2', 'a "b"\nc'],
    ['3', 'new'],
    ['4', 'four'],
  ]);

  const few = await failed(`${at}/load`, load([{ ...more, columns: ['id', 'name'] }]));
  assert.equal(few.code, 'workspace.columnsNotMatch');
  assert.match(few.message, /columns are missing in source table/);
  await client.query('alter table users drop column age');
  const many = await failed(`${at}/load`, load([more]));
  assert.equal(many.code, 'workspace.columnsNotMatch');
  assert.match(many.message, /columns are missing in workspace table/);
  const columns = [{ source: 'id', type: 'INTEGER' }, { source: 'name' }];
  const other = await failed(`${at}/load`, load([{ ...more, columns }]));
  assert.equal(other.code, 'workspace.columnsTypesNotMatch');
  assert.match(other.message, /Different mapping between/);
});

test('all tables of a load or none: what the database refuses is told in its words', async (t) => {
  const { failed, at, rows, load, done, client } = await world(t);
  const users = { source: 'in.c-main.users', destination: 'users' };
  await done('POST', `${at}/load`, load([users]));
  const good = { source: 'in.c-main.users', destination: 'good' };
  const cases: [object, string, RegExp][] = [
    [users, 'workspace.duplicateTable', /^Table users already exists in workspace$/],
    [
      { ...users, destination: 'bad', columns: [{ source: 'name', type: 'INTEGER' }] },
      'workspace.tableLoad',
      /Table "bad": invalid input syntax for type integer: "Žofie"/,
    ],
    [
      { ...users, destination: 'bad', columns: [{ source: 'name', type: 'UNKNOWN' }] },
      'workspace.tableCreate',
      /the type "UNKNOWN" is not known/,
    ],
    [
      { ...users, destination: 'bad', columns: [{ source: 'name', type: 'varchar(1); drop table users' }] },
      'workspace.tableCreate',
      /is not known/,
    ],
    [
      { ...users, destination: 'bad', columns: [{ source: 'name', type: 'VARCHAR', length: '-1' }] },
      'workspace.tableCreate',
      /the length "-1" does not suit/,
    ],
    [{ ...users, destination: 'x'.repeat(64) }, 'workspace.tableCreate', /1 to 63 bytes/],
    [
      { ...users, whereColumn: 'nothing', whereValues: ['1'], destination: 'bad' },
      'storage.tables.validation.columnNotExists',
      /nothing/,
    ],
  ];
  for (const [item, code, message] of cases) {
    const error = await failed(`${at}/load`, load([good, item]));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
  }
  const left = "select table_name::text from information_schema.tables where table_schema like 'work%'";
  assert.deepEqual(await rows(left), [['users']]);
  // Also what was to go first is still there.
  await failed(
    `${at}/load`,
    load([good, { ...good, columns: [{ source: 'name', type: 'INTEGER' }], destination: 'b' }], { preserve: false }),
  );
  assert.deepEqual(await rows(left), [['users']]);

  await client.query('create view v as select * from users');
  const depends = await failed(`${at}/load`, load([{ ...users, overwrite: true }]));
  assert.match(depends.message, /other objects depend on it/);
  await done('POST', `${at}/load`, load([good], { preserve: false }));
  assert.deepEqual(await rows(left), [['good']]);
});

test('a load that cannot be is refused at once', async (t) => {
  const { call, at } = await world(t);
  const item = { source: 'in.c-main.users', destination: 'd' };
  const restricted = (await call('POST', '/tokens', { description: 'none', bucketPermissions: {} })).body as {
    token: string;
  };
  const own = (await call('POST', '/workspaces', {}, restricted.token)).body as Workspace;
  const denied = await call('POST', `/workspaces/${own.id}/load`, { input: [item] }, restricted.token);
  assert.deepEqual([denied.status, (denied.body as { code: string }).code], [403, 'workspace.tableAccessDenied']);
  const cases: [unknown, number, string, RegExp?][] = [
    [{}, 400, 'workspace.loadRequestInputRequired'],
    [{ input: [] }, 400, 'workspace.loadRequestInputRequired'],
    [{ input: 'users' }, 400, 'workspace.loadRequestBadInput', /This value should be of type array\./],
    [{ input: { a: item } }, 400, 'workspace.loadRequestBadInput'],
    [{ input: ['users'] }, 400, 'workspace.loadRequestBadInput'],
    [{ input: [{ source: 'in.c-main.users' }] }, 400, 'workspace.loadRequestBadInput', /destination/],
    [{ input: [{ destination: 'x' }] }, 400, 'workspace.loadRequestBadInput', /source/],
    [{ input: [{ ...item, rows: -1 }] }, 400, 'workspace.loadRequestBadInput'],
    [{ input: [{ ...item, rows: 'many' }] }, 400, 'workspace.loadRequestBadInput'],
    [{ input: [{ ...item, columns: { a: 1 } }] }, 400, 'workspace.loadRequestBadInput'],
    [{ input: [{ ...item, columns: [{ type: 'INTEGER' }] }] }, 400, 'workspace.loadRequestBadInput'],
    [{ input: [{ ...item, datatypes: 5 }] }, 400, 'workspace.loadRequestBadInput'],
    [{ input: [{ ...item, loadType: 'MOVE' }] }, 400, 'workspace.loadRequestBadInput'],
    [{ input: [{ ...item, incremental: 'maybe' }] }, 400, 'storage.validation'],
    [{ input: [item], preserve: 'maybe' }, 400, 'storage.validation'],
    [{ input: [item, item] }, 400, 'workspace.duplicateDestination'],
    [{ input: [{ ...item, incremental: true, overwrite: true }] }, 400, 'workspace.loadRequestLogicalException'],
    [{ input: [{ ...item, seconds: 5, changedSince: '-1 day' }] }, 400, 'workspace.loadRequestLogicalException'],
    [{ input: [{ ...item, columns: ['id', 'id'] }] }, 400, 'workspace.loadRequestLogicalException'],
    [{ input: [{ ...item, columns: ['id'], primaryKey: 'name' }] }, 400, 'workspace.loadRequestLogicalException'],
    [{ input: [{ ...item, columns: ['nothing'] }] }, 400, 'storage.tables.nonExistingColumns'],
    [
      { input: [{ ...item, columns: ['id'], datatypes: { name: 'INT' } }] },
      400,
      'storage.tables.datatypesForNonExistingColumns',
    ],
    [{ input: [{ ...item, source: 'in.c-main.nothing' }] }, 404, 'workspace.sourceNotFound'],
    [{ input: [{ ...item, source: 'nothing' }] }, 404, 'workspace.sourceNotFound'],
    [{ input: [{ ...item, loadType: 'CLONE' }] }, 400, 'workspace.loadRequestCloneNotSupported'],
    [{ input: [{ ...item, loadType: 'VIEW' }] }, 400, 'workspace.backendNotSupported'],
    [{ input: [{ ...item, whereFilters: [{ column: 'id' }] }] }, 400, 'storage.tables.validation'],
    [{ input: [{ dataFileId: 5, destination: 'd' }] }, 501, 'notImplemented'],
  ];
  for (const [body, status, code, message] of cases) {
    const answer = await call('POST', `${at}/load`, body as object);
    const { code: told, error } = answer.body as { code: string; error: string };
    assert.deepEqual([answer.status, told], [status, code], `${JSON.stringify(body)}: ${error}`);
    if (message) assert.match(error, message);
  }
  const clone = await call('POST', `${at}/load-clone`, { input: [item] });
  assert.deepEqual(
    [clone.status, (clone.body as { code: string }).code],
    [400, 'workspace.loadRequestCloneNotSupported'],
  );
  for (const path of ['load', 'load-clone', 'unload', 'table-export', 'query', 'objects/batch-delete']) {
    const body = { input: [item], tableName: 'x', query: 'select 1', objects: ['x'], 'only-direct-grants': true };
    const answer = await call('POST', `/workspaces/123456/${path}`, body);
    const { error, code } = answer.body as { error: string; code: string };
    assert.deepEqual(
      [answer.status, error, code],
      [404, 'Workspace "123456" not found.', 'workspace.workspaceNotFound'],
      path,
    );
  }
});

test('a table of a workspace makes a table of Storage and is loaded into one', async (t) => {
  const { call, done, failed, ended, at, workspace, bucket, client, preview } = await world(t);
  await client.query(`
    create table result (id int, "is it" boolean, at timestamptz, amount numeric(10,2), note text);
    insert into result values (1, true, '2025-01-31 12:00:00+01', 1.5, 'a "quoted"' || chr(10) || 'line'),
      (2, false, null, null, ''), (3, null, null, 7, '\\.');
    create view seen as select id, note from result where id > 1;
    create table reserved (id int, _hidden int);
  `);
  const source = { dataWorkspaceId: workspace.id, dataObject: 'result' };
  const made = await done('POST', `/buckets/${bucket}/tables-async`, { name: 'result', primaryKey: 'id', ...source });
  assert.equal(made.operationName, 'tableCreate');
  assert.deepEqual(made.operationParams.source, {
    workspaceId: workspace.id,
    dataObject: 'result',
    tableName: 'result',
    type: 'workspace',
  });
  assert.equal(made.results?.id, 'in.c-main.result');
  assert.deepEqual(made.results?.columns, ['id', 'is_it', 'at', 'amount', 'note']);
  const described = made.results as { columnMetadata: Record<string, Record<string, string>[]> };
  const { amount, at: time } = described.columnMetadata;
  assert.deepEqual(
    amount?.map(({ key, value, provider }) => [key, value, provider]),
    [
      ['KBC.datatype.type', 'NUMERIC', 'storage'],
      ['KBC.datatype.nullable', '1', 'storage'],
      ['KBC.datatype.basetype', 'NUMERIC', 'storage'],
      ['KBC.datatype.length', '10,2', 'storage'],
    ],
  );
  assert.equal(time?.[0]?.value, 'TIMESTAMPTZ');
  assert.deepEqual(await preview('in.c-main.result'), [
    '"1","true","2025-01-31 11:00:00+00","1.50","a ""quoted""',
    '"2","false","","",""',
    '"3","","","7.00","\\."',
    '"id","is_it","at","amount","note"',
    'line"',
  ]);

  await client.query("update result set note = 'changed' where id = 2; insert into result (id) values (4)");
  const added = await done('POST', '/tables/in.c-main.result/import-async', { ...source, incremental: true });
  assert.deepEqual(
    [added.operationName, added.results?.totalRowsCount, added.results?.importedColumns],
    ['tableImport', 4, ['id', 'is_it', 'at', 'amount', 'note']],
  );
  const named = { dataWorkspaceId: String(workspace.id), dataTableName: 'seen', columns: ['note', 'id'] };
  await done('POST', `/buckets/${bucket}/tables-async`, { name: 'seen', ...named });
  assert.deepEqual((await preview('in.c-main.seen')).at(-1), '"note","id"');

  const into = `/buckets/${bucket}/tables-async`;
  const missing = { dataWorkspaceId: workspace.id, dataObject: 'nothing' };
  const errors: [string, object, string, RegExp][] = [
    [
      into,
      { name: 'a', ...missing },
      'storage.tableNotFound',
      new RegExp(`^Table "nothing" not found in schema "workspace_${workspace.id}"$`),
    ],
    [
      into,
      { name: 'a', ...missing, dataWorkspaceId: 1000 },
      'workspace.workspaceNotFound',
      /^Workspace "1000" not found\.$/,
    ],
    [into, { name: 'a', ...source, columns: ['nothing'] }, 'storage.tables.nonExistingColumns', /nothing/],
    [into, { name: 'a', ...source, dataObject: 'reserved' }, 'storage.invalidColumns', /_hidden/],
    ['/tables/in.c-main.users/import-async', source, 'csvImport.columnsNotMatch', /name,age/],
  ];
  for (const [path, body, code, message] of errors) {
    const error = await failed(path, body);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
  }
  const other = (await call('POST', '/tokens', { description: 'other', bucketPermissions: { [bucket]: 'write' } }))
    .body as { token: string };
  const stolen = await ended(await call('POST', into, { name: 'a', ...source }, other.token), other.token);
  assert.equal(stolen.error?.code, 'workspace.workspaceNotFound');
  const both = await call('POST', into, { name: 'a', ...source, dataFileId: 1 });
  assert.equal(both.status, 400);
  assert.equal((await call('POST', into, { name: 'a', dataWorkspaceId: workspace.id })).status, 400);
  assert.deepEqual((await call('POST', `${at}/unload`, { 'only-direct-grants': true })).body, []);
});

test('a view that fails in the middle leaves no table behind', async (t) => {
  const { call, failed, workspace, bucket, client } = await world(t);
  await client.query('create view bad as select 1 / (50000 - i) as x from generate_series(1, 60000) i');
  const unload = (dataObject: string) =>
    failed(`/buckets/${bucket}/tables-async`, { name: 'bad', dataWorkspaceId: workspace.id, dataObject });
  await client.query(`
    create function shout() returns text language plpgsql as $$ begin raise '%', repeat('x', 30000000); end $$;
    create view loud as select shout() as x`);
  assert.match((await unload('loud')).message, /too long a message/);
  const error = await unload('bad');
  assert.deepEqual([error.code, error.message], ['workspace.tableLoad', 'division by zero']);
  assert.equal((await call('GET', '/tables/in.c-main.bad')).status, 404);
});

test('what people have put into a workspace runs with their rights and their settings are not ours', async (t) => {
  const { done, failed, at, rows, load, workspace, bucket, client, preview } = await world(t);
  await client.query(`
    alter role current_user set datestyle = 'SQL, DMY';
    alter role current_user set default_transaction_read_only = on;
    alter role current_user set statement_timeout = '1ms';
    set default_transaction_read_only = off;
    create table log (who text, super boolean);
    create table target (id varchar, name varchar, age varchar);
    create function note() returns trigger language plpgsql as $$ begin
      insert into log select current_user, usesuper from pg_user where usename = current_user;
      return null;
    end $$;
    create trigger noted after insert on target for each statement execute function note();
    create view who as select current_user::text as who, date '2025-01-31' as day;
  `);
  const users = { source: 'in.c-main.users', destination: 'target', incremental: true };
  await done('POST', `${at}/load`, load([users]));
  assert.deepEqual(await rows('select * from log'), [[workspace.connection.user, false]]);
  const source = { dataWorkspaceId: workspace.id, dataObject: 'who' };
  await done('POST', `/buckets/${bucket}/tables-async`, { name: 'who', ...source });
  assert.deepEqual(await preview('in.c-main.who'), ['"who","day"', `"${workspace.connection.user}","2025-01-31"`]);
  await client.query("alter role current_user password 'Changed1'");
  const error = await failed(`${at}/load`, load([users]));
  assert.match(error.message, /password of the workspace was changed/);
});

test('statements, objects and files of a workspace', async (t) => {
  const { call, done, at, client } = await world(t);
  const query = async (text: string) => (await call('POST', `${at}/query`, { query: text })).body;
  assert.deepEqual(await query('create table t (x int, y text)'), { status: 'ok', message: 'CREATE' });
  assert.deepEqual(await query("insert into t values (1, 'a'), (2, null)"), { status: 'ok', message: 'INSERT 2' });
  assert.deepEqual(await query('select x, y from t order by x'), {
    status: 'ok',
    data: {
      columns: ['x', 'y'],
      rows: [
        { x: '1', y: 'a' },
        { x: '2', y: null },
      ],
    },
  });
  assert.deepEqual(await query('select nothing'), { status: 'error', message: 'column "nothing" does not exist' });
  assert.deepEqual(await query('select 1; select 2'), {
    status: 'error',
    message: 'cannot insert multiple commands into a prepared statement',
  });
  assert.match(JSON.stringify(await query('select * from generate_series(1, 100000)')), /more than 1000 rows/);
  assert.match(JSON.stringify(await query("select repeat('x', 1000000) from generate_series(1, 900)")), /more than/);
  assert.match(JSON.stringify(await query("select repeat('x', 100000000)")), /too long a message/);
  const shout = "do $$ begin raise exception '%', repeat('x', %); end $$";
  assert.match(JSON.stringify(await query(shout.replace('%)', '30000000)'))), /too long a message/);
  assert.match(JSON.stringify(await query(shout.replace('%)', '30000)'))), /"x{1000}\.\.\."/);
  assert.match(JSON.stringify(await query('select * from pg_authid')), /permission denied/);
  assert.equal((await call('POST', `${at}/query`, {})).status, 400);

  await client.query('create view v as select * from t; create materialized view m as select 1 as x');
  assert.deepEqual((await call('GET', `${at}/objects`)).body, [
    { name: 'm', type: 'view' },
    { name: 't', type: 'table' },
    { name: 'v', type: 'view' },
  ]);
  const exported = await done('POST', `${at}/table-export`, { tableName: 't', gzip: true });
  assert.equal(exported.operationName, 'workspaceTableExport');
  const { id } = (exported.results as { file: { id: number } }).file;
  const file = (await call('GET', `/files/${id}`)).body as { name: string; isSliced: boolean; sizeBytes: number };
  assert.deepEqual([file.name, file.isSliced, file.sizeBytes > 0], ['t.csv.gz', true, true]);
  const missing = await call('POST', `${at}/table-export`, { tableName: 'nothing' });
  assert.deepEqual([missing.status, (missing.body as { code: string }).code], [404, 'storage.tableNotFound']);
  assert.equal((await call('POST', `${at}/table-export`, {})).status, 400);
  assert.equal((await call('POST', `${at}/table-export`, { tableName: 't', fileType: 'parquet' })).status, 501);

  const dropped = await done('POST', `${at}/objects/batch-delete`, { objects: ['t', 'nothing', 'm'] });
  assert.equal(dropped.operationName, 'workspaceBatchDeleteObjects');
  assert.deepEqual((await call('GET', `${at}/objects`)).body, []);
});
