import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { strayLakeFiles } from '../../../test/support/lakes.ts';
import { tableWorld } from '../../../test/support/table-world.ts';
import { sql } from '../../db/sql.ts';
import type { LoadResult } from './table-model.ts';

const USERS = 'in.c-main.users';
const NEW_USERS = { bucketId: 'in.c-main', name: 'users' };

async function world(t: TestContext) {
  const made = await tableWorld(t);
  await made.buckets.create(made.actor, { stage: 'in', name: 'main' });
  return made;
}

test('a file becomes a table, and the job says what it did', async (t) => {
  const { create, tables, buckets, actor, events, rows } = await world(t);
  const content = 'id,"full name",_timestamp\n1,"Ann ""A"" Bee",x\n2,,y\n';
  const job = await create({ ...NEW_USERS, primaryKey: ['id'] }, content);
  const result = job.result as unknown as LoadResult;
  assert.deepEqual(
    { ...result, totalDataSizeBytes: 0 },
    {
      tableId: USERS,
      totalRowsCount: 2,
      importedRowsCount: 2,
      importedColumns: ['id', 'full_name', 'timestamp'],
      totalDataSizeBytes: 0,
      warnings: [],
    },
  );
  assert.deepEqual(job.metrics, { inCompressed: false, inBytes: content.length, inBytesUncompressed: content.length });
  const table = await tables.get(actor, USERS);
  assert.deepEqual(
    [table.columns, table.primaryKey, table.rowsCount, table.dataSizeBytes],
    [['id', 'full_name', 'timestamp'], ['id'], 2, result.totalDataSizeBytes],
  );
  assert.ok(table.importedAt && table.changedAt && table.dataSizeBytes > 0);
  assert.equal((await buckets.get(actor, 'in.c-main')).rowsCount, 2);
  assert.deepEqual(await rows(USERS), ['"1","Ann ""A"" Bee","x"', '"2","","y"']);
  const names = (await events.list(actor, { objectId: USERS, direction: 'asc' })).map(({ name }) => name);
  assert.deepEqual(names, ['table.created', 'table.imported']);
});

test('a full load replaces, an incremental one appends or upserts', async (t) => {
  const { create, load, tables, actor, rows } = await world(t);
  await create(NEW_USERS, 'id,name\n1,a\n2,b\n');
  await load(USERS, 'name,id\nc,3\n');
  assert.deepEqual(await rows(USERS), ['"3","c"'], 'the order of the file does not matter');
  await load(USERS, 'id,name\n3,c\n', { incremental: true });
  assert.deepEqual(await rows(USERS), ['"3","c"', '"3","c"']);

  await create(
    { bucketId: 'in.c-main', name: 'keyed', primaryKey: ['id', 'part'] },
    'id,part,v\n1,,a\n1,,b\n1,x,c\n2,,d\n',
  );
  assert.deepEqual(await rows('in.c-main.keyed'), ['"1","","b"', '"1","x","c"', '"2","","d"']);
  const job = await load('in.c-main.keyed', 'id,part,v\n2,,changed\n3,,new\n1,x,c\n', { incremental: true });
  assert.equal((job.result as unknown as LoadResult).totalRowsCount, 4);
  assert.deepEqual(await rows('in.c-main.keyed'), ['"1","","b"', '"1","x","c"', '"2","","changed"', '"3","","new"']);
  await load('in.c-main.keyed', 'id,part,v\n9,,z\n9,,z\n');
  assert.deepEqual(await rows('in.c-main.keyed'), ['"9","","z"']);
  assert.equal((await tables.get(actor, 'in.c-main.keyed')).rowsCount, 1);
});

test('the time of a row changes when a value does', async (t) => {
  const { create, load, tables, actor } = await world(t);
  await create({ ...NEW_USERS, primaryKey: ['id'] }, 'id,v\n1,a\n2,b\n');
  const stamps = async () => {
    const page = await tables.preview(actor, USERS, {
      includeInternalTimestamp: true,
      orderBy: [{ field: 'id', direction: 'asc' }],
    });
    assert.deepEqual(page.columns, ['id', 'v', '_timestamp']);
    return page.rows.map((row) => row[2]);
  };
  const before = await stamps();
  assert.ok(before.every((stamp) => /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/.test(stamp ?? '')));
  const middle = new Date();
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await load(USERS, 'id,v\n1,a\n2,changed\n', { incremental: true });
  const after = await stamps();
  assert.equal(after[0], before[0]);
  assert.notEqual(after[1], before[1]);
  const fresh = await tables.preview(actor, USERS, { changedSince: middle });
  assert.deepEqual(fresh.rows, [['2', 'changed']]);
  const old = await tables.preview(actor, USERS, { changedUntil: middle });
  assert.deepEqual(old.rows, [['1', 'a']]);
});

test('columns a table does not know are appended, also those that differ by case', async (t) => {
  const { create, load, tables, actor, rows } = await world(t);
  await create(NEW_USERS, 'id,Id\n1,one\n');
  await load(USERS, 'ID,id,extra,Id\nE,2,x,two\n', { incremental: true });
  assert.deepEqual((await tables.get(actor, USERS)).columns, ['id', 'Id', 'ID', 'extra']);
  assert.deepEqual(await rows(USERS), ['"1","one","",""', '"2","two","E","x"']);
});

test('columns of the file: said, missing headers, skipped lines, slices, gzip', async (t) => {
  const { create, load, rows } = await world(t);
  await create(NEW_USERS, 'id,name\n0,z\n');
  const cases: [what: string, content: string | Buffer | (string | Buffer)[], options: object][] = [
    ['columns', 'b,2\n', { columns: ['name', 'id'], withoutHeaders: false }],
    ['withoutHeaders', '2,b\n', { withoutHeaders: true }],
    ['columns win', 'b,2\n', { columns: ['name', 'id'], withoutHeaders: true }],
    ['ignored lines', 'junk\nid,name\n2,b', { ignoredLinesCount: 2 }],
    ['ignored lines and columns', 'name,id\nb,2', { ignoredLinesCount: 1, columns: ['name', 'id'] }],
    ['slices', ['', 'b,2\n', ''], { columns: ['name', 'id'] }],
    ['gzip', gzipSync('id,name\n2,b\n'), {}],
    ['gzip slices', [gzipSync('2|b\n')], { columns: ['id', 'name'], delimiter: '|', enclosure: '' }],
    ['tab', 'id\tname\n2\tb\n', { delimiter: '\\t' }],
    ['BOM and CRLF', '\uFEFFid,name\r\n2,b\r\n', {}],
    ['escape character', 'id,name\n2,\\b\n', { escapedBy: '\\' }],
  ];
  for (const [what, content, options] of cases) {
    await load(USERS, 'id,name\n', {});
    await load(USERS, content, options).catch((error) => assert.fail(`${what}: ${error.message}`));
    assert.deepEqual(await rows(USERS), ['"2","b"'], what);
  }
});

test('bad files fail with a reason, and leave nothing', async (t) => {
  const { create, load, rows, db, directory, tables, actor } = await world(t);
  await create({ ...NEW_USERS, primaryKey: ['id'] }, 'id,name\n1,a\n');
  const missing = {
    code: 'table.columns-not-match',
    message:
      'Some columns are missing in the csv file. Missing columns: id,name. Expected columns: id,name. ' +
      'Please check if the expected delimiter "," is used in the csv file.',
  };
  const cases: [content: string | Buffer | string[], options: object, error: object][] = [
    ['x;y\n1;2\n', {}, missing],
    ['', {}, missing],
    ['id,name,id\n', {}, { code: 'table.duplicate-columns' }],
    ['id,name,\n1,2,3\n', {}, { code: 'table.invalid-column-name' }],
    ['id,name\n1,2,3\n', {}, { kind: 'invalid' }],
    ['id,name\n1,"2\n', {}, { kind: 'invalid' }],
    [
      Buffer.from([0x69, 0x64, 0x2c, 0x6e, 0x61, 0x6d, 0x65, 0x0a, 0x31, 0x2c, 0xff, 0xfe, 0x0a]),
      {},
      { kind: 'invalid' },
    ],
    [gzipSync('id,name\n1,2\n').subarray(0, 15), {}, { kind: 'invalid' }],
    [['1,2\n'], {}, { code: 'table.columns-required' }],
  ];
  for (const [content, options, error] of cases) {
    await assert.rejects(load(USERS, content, options), error, JSON.stringify(content));
  }
  await assert.rejects(create(NEW_USERS, 'id\n'), { code: 'table.already-exists' });
  const fresh = { bucketId: 'in.c-main', name: 'fresh' };
  await assert.rejects(create(fresh, ''), { code: 'table.no-columns' });
  await assert.rejects(create(fresh, ['1,2\n']), { code: 'table.invalid-column-name' });
  await assert.rejects(create({ ...fresh, primaryKey: ['ID'] }, 'id\n'), { code: 'table.invalid-primary-key-columns' });
  await assert.rejects(create(fresh, 'id\n1,2\n'), { kind: 'invalid' });
  await assert.rejects(create({ bucketId: 'in.c-none', name: 't' }, 'id\n'), { code: 'bucket.not-found' });
  await assert.rejects(tables.import(actor, 'in.c-main.none', { fileId: 1 }), {
    code: 'table.not-found',
    message: 'The table "none" was not found in the bucket "in.c-main" in the project "1"',
  });
  assert.deepEqual(await rows(USERS), ['"1","a"']);
  assert.deepEqual(
    (await tables.list(actor)).map(({ id }) => id),
    [USERS],
  );
  assert.deepEqual(await strayLakeFiles(db, join(directory, 'lakes')), []);
  assert.deepEqual(await db.query(sql`select * from staged_files`), []);
  assert.equal((await readdir(join(directory, 'lakes', '1', 'in.c-main'))).length, 1, 'no folders of failed tables');
});

test('a header alone makes an empty table; a load of nothing empties it', async (t) => {
  const { create, load, tables, actor, rows } = await world(t);
  await create({ ...NEW_USERS, primaryKey: ['id'] }, 'id,name\n');
  assert.deepEqual((await tables.get(actor, USERS)).columns, ['id', 'name']);
  await load(USERS, 'id,name\n1,a\n', { incremental: true });
  await load(USERS, 'id,name\n', { incremental: true });
  assert.deepEqual(await rows(USERS), ['"1","a"']);
  await load(USERS, 'id,name\n');
  assert.deepEqual(await rows(USERS), []);
});

test('loads of one table run one after another, whatever their number', async (t) => {
  const { create, tables, actor, file, ended, rows } = await world(t);
  await create({ ...NEW_USERS, primaryKey: ['id'] }, 'id,v\n');
  const jobs = [];
  for (let i = 0; i < 12; i++) {
    const content = Array.from({ length: 20 }, (_, n) => `${n},${i}\n`).join('');
    jobs.push(await tables.import(actor, USERS, { fileId: await file(`id,v\n${content}`), incremental: true }));
  }
  await Promise.all(jobs.map(ended));
  assert.deepEqual([...new Set((await rows(USERS)).map((row) => row.split(',')[1]))], ['"11"'], 'the last one has won');
  assert.equal((await rows(USERS)).length, 20);
});

test('what a job has made is loaded once, however often it asks', async (t) => {
  const { tables, actor, directory, ended, rows, jobs } = await world(t);
  const paths = [join(directory, 'a.csv'), join(directory, 'b.csv')];
  await writeFile(paths[0] ?? '', 'id,v\n1,a\n');
  await writeFile(paths[1] ?? '', 'id,v\n2,b\n');
  const ask = (dedupeKey: string) =>
    tables.importFrom(
      actor,
      { ...NEW_USERS, primaryKey: ['id'] },
      { kind: 'paths', paths },
      { incremental: true, dedupeKey },
    );
  const [first, second] = [await ask('run-1'), await ask('run-1')];
  assert.equal(first.id, second.id);
  await ended(first);
  assert.equal((await ask('run-1')).id, first.id);
  assert.deepEqual(await rows(USERS), ['"1","a"', '"2","b"']);
  await ended(await ask('run-2'));
  assert.deepEqual(await rows(USERS), ['"1","a"', '"2","b"'], 'the second load found the table the first one made');
  assert.equal((await jobs.list(actor, {}, { limit: 10 })).length, 2);
});

test('a key set under a load holds for its rows', async (t) => {
  const { create, load, tables, actor, engine, rows } = await world(t);
  await create(NEW_USERS, 'id,v\n');
  const write = engine.tables.write.bind(engine.tables);
  let writes = 0;
  engine.tables.write = async (...call) => {
    const change = await write(...call);
    if (++writes === 1) {
      await tables.setPrimaryKey(actor, USERS, ['id']);
      await tables.update(actor, USERS, { description: 'x' });
    }
    return change;
  };
  await load(USERS, 'id,v\n1,a\n1,b\n');
  assert.deepEqual([writes, await rows(USERS)], [2, ['"1","b"']]);
  assert.deepEqual((await tables.get(actor, USERS)).primaryKey, ['id']);
});

test('a bucket deleted under a load fails the load, not the server', async (t) => {
  const { create, tables, buckets, actor, file, jobs, db, directory } = await world(t);
  await create(NEW_USERS, 'id\n1\n');
  const job = await tables.import(actor, USERS, { fileId: await file('id\n2\n') });
  await buckets.delete(actor, 'in.c-main', { force: true });
  const end = await jobs.awaitEnd(job.id, AbortSignal.timeout(10_000));
  assert.ok(end.status === 'succeeded' || end.error?.code === 'table.not-found', JSON.stringify(end.error));
  assert.deepEqual(await tables.list(actor), []);
  assert.deepEqual(await strayLakeFiles(db, join(directory, 'lakes')), []);
});
