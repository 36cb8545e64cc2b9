import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform } from '../../../../test/support/platform.ts';

/** The members of answers that these tests look at; which of them are there depends on the call. */
type Json = {
  id: number;
  url: string;
  status: string;
  code: string;
  error: string;
  columns: string[];
  rowsCount: number;
  isSliced: boolean;
  tables: { columns: string[] }[];
  absUploadParams: { container: string; blobName: string; absCredentials: { SASConnectionString: string } };
};
type Table = { id: string; columns: string[]; primaryKey: string[]; rowsCount: number; dataSizeBytes: number };
type Job = {
  id: number;
  status: string;
  operationName: string;
  tableId: string | null;
  runId: string | null;
  operationParams: Record<'source' | 'params' | 'export', Record<string, unknown>>;
  results: Table & { file: { id: number } };
  error: { code: string; message: string; exceptionId: string };
};
type Answer = { status: number; type: string | null; text: string; json: Json };

/** A whole server with what these tests ask of it over HTTP. */
async function storageClient(t: Parameters<typeof startPlatform>[0]) {
  const { url, credentials, dataDir } = await startPlatform(t);
  const call = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const response = await fetch(`${url}/v2/storage${path}`, {
      method,
      headers: {
        'x-storageapi-token': credentials.keboola.storageToken,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const type = response.headers.get('content-type');
    return { status: response.status, type, text, json: (type === 'application/json' ? JSON.parse(text) : {}) as Json };
  };
  return {
    call,
    dataDir,
    /** Uploads content and returns the file's id. */
    async upload(content: string, name = 'data.csv'): Promise<number> {
      const { json } = await call('POST', '/files/prepare', { name, sizeBytes: content.length, federationToken: true });
      const { container, blobName, absCredentials } = json.absUploadParams;
      const [, endpoint = '', signature = ''] =
        /BlobEndpoint=([^;]+);SharedAccessSignature=(.+)$/.exec(absCredentials.SASConnectionString) ?? [];
      const put = await fetch(`${endpoint}/${container}/${blobName}?${signature}`, {
        method: 'PUT',
        headers: { 'x-ms-blob-type': 'BlockBlob' },
        body: content,
      });
      assert.equal(put.status, 201, await put.text());
      return json.id;
    },
    /** Starts a job and returns it once it is over. */
    async run(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Job> {
      const started = await call(method, path, body, headers);
      assert.equal(started.status, 202, started.text);
      for (let job = started.json as unknown as Job; ; ) {
        if (['success', 'error'].includes(job.status)) return job;
        await new Promise((resolve) => setTimeout(resolve, 20));
        job = (await call('GET', `/jobs/${job.id}`)).json as unknown as Job;
      }
    },
  };
}

test('a table is made from a file, loaded again, looked at, exported and emptied', async (t) => {
  const { call, upload, run } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  const file = await upload('id,First Name\n1,Jane\n2,"a ""b"", c"\n2,twice\n');

  const created = await run('POST', '/buckets/in.c-main/tables-async', {
    name: 'users',
    dataFileId: file,
    primaryKey: 'id',
    delimiter: null,
    columns: null,
  });
  assert.equal(created.status, 'success', JSON.stringify(created));
  assert.equal(created.operationName, 'tableCreate');
  assert.equal(created.tableId, null);
  assert.deepEqual(created.operationParams.source, { fileId: String(file), type: 'file' });
  const table = created.results;
  assert.equal(table.id, 'in.c-main.users');
  assert.deepEqual(table.columns, ['id', 'First_Name']);
  assert.deepEqual(table.primaryKey, ['id']);
  assert.equal(table.rowsCount, 2);
  assert.ok(table.dataSizeBytes > 0);

  const preview = await call('GET', '/tables/in.c-main.users/data-preview?orderBy[0][column]=id&limit=10');
  assert.equal(preview.type, 'text/csv');
  assert.equal(preview.text, '"id","First_Name"\n"1","Jane"\n"2","twice"\n');
  const json = await call(
    'GET',
    '/tables/in.c-main.users/data-preview/?format=json&columns=id&whereFilters[0][column]=id&whereFilters[0][values][]=2',
  );
  assert.deepEqual(json.json, { columns: ['id'], rows: [[{ columnName: 'id', value: '2', isTruncated: false }]] });

  const more = await upload('id,First_Name,extra\n2,new,x\n3,third,\n');
  const imported = await run('POST', '/tables/in.c-main.users/import-async', {
    dataFileId: String(more),
    incremental: '1',
  });
  assert.equal(imported.status, 'success', JSON.stringify(imported));
  assert.equal(imported.tableId, 'in.c-main.users');
  assert.deepEqual(
    { ...imported.results, totalDataSizeBytes: 0 },
    {
      transaction: null,
      warnings: [],
      importedColumns: ['id', 'First_Name', 'extra'],
      totalRowsCount: 3,
      importedRowsCount: 2,
      totalDataSizeBytes: 0,
      timers: [],
    },
  );
  assert.equal(imported.operationParams.params.incremental, true);

  const runId = { 'x-kbc-runid': '12.34' };
  const exported = await run('POST', '/tables/in.c-main.users/export-async', { gzip: false, columns: [] }, runId);
  assert.equal(exported.status, 'success', JSON.stringify(exported));
  assert.equal(exported.runId, '12.34');
  const echoed = exported.operationParams.export;
  assert.deepEqual(echoed.columns, ['id', 'First_Name', 'extra']);
  assert.equal(echoed.gzipOutput, false);
  const { json: result } = await call('GET', `/files/${exported.results.file.id}?federationToken=1`);
  assert.equal(result.isSliced, true);
  const manifest = (await (await fetch(result.url)).json()) as { entries: { url: string }[] };
  assert.equal(manifest.entries.length, 1);

  const guarded = await call('DELETE', '/tables/in.c-main.users/rows');
  assert.equal(guarded.json.code, 'storage.tables.validation.unintendedTruncation');
  const deleted = await run('DELETE', '/tables/in.c-main.users/rows?whereColumn=id&whereValues[]=1&whereValues[]=3');
  assert.deepEqual(deleted.results, { deletedRows: 2 });

  const bucket = (await call('GET', '/buckets/in.c-main?include=columns')).json;
  assert.equal(bucket.rowsCount, 1);
  assert.deepEqual(bucket.tables[0]?.columns, ['id', 'First_Name', 'extra']);

  const events = (await call('GET', '/tables/in.c-main.users/events')).json as unknown as { event: string }[];
  const names = events.map(({ event }) => event);
  for (const name of ['tableCreated', 'tableImportDone', 'tableExported', 'tableRowsDeleted']) {
    assert.ok(names.includes(`storage.${name}`), `${name} in ${names}`);
  }

  const refused = await run('DELETE', '/buckets/in.c-main?force=False&async=True');
  assert.equal(refused.status, 'error');
  assert.equal(refused.error.code, 'buckets.deleteNotEmpty');
  assert.equal((await call('DELETE', '/tables/in.c-main.users')).status, 204);
  assert.equal((await call('GET', '/tables/in.c-main.users')).status, 404);
  assert.equal((await run('DELETE', '/buckets/in.c-main?async=1')).status, 'success');
});

test('what is wrong with the data ends the job in an error with the original code', async (t) => {
  const { call, upload, run } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  const table = { name: 'users', dataFileId: await upload('id,name\n1,a\n') };
  assert.equal((await run('POST', '/buckets/in.c-main/tables-async', table)).status, 'success');
  const importOf = async (content: string, options: object = {}) =>
    run('POST', '/tables/in.c-main.users/import-async', { dataFileId: await upload(content), ...options });

  const missing = await importOf('other\n1\n');
  assert.equal(missing.error.code, 'csvImport.columnsNotMatch');
  assert.equal(
    missing.error.message,
    'Some columns are missing in the csv file. Missing columns: id,name. Expected columns: id,name. Please check if the expected delimiter "," is used in the csv file.',
  );
  assert.deepEqual(missing.results, { missingColumns: ['id', 'name'], expectedColumns: ['id', 'name'] });
  assert.equal((await importOf('id,name\n1,a,b\n')).error.code, 'invalidData');
  const open = await importOf('id,name\n1,"open\n');
  assert.equal(open.error?.code, 'invalidData', JSON.stringify(open));

  const cases: [object, string][] = [
    [{ ...table }, 'storage.buckets.tableAlreadyExists'],
    [{ name: 'a', dataFileId: await upload('') }, 'storage.tables.validation.noColumns'],
    [
      { name: 'a', dataFileId: await upload('x\n1\n'), primaryKey: 'y' },
      'storage.tables.validation.invalidPrimaryKeyColumns',
    ],
    [{ name: 'a', dataFileId: await upload('---\n1\n') }, 'storage.tables.validation.invalidColumnName'],
    [{ name: 'a', dataFileId: 999999 }, 'storage.files.notFound'],
  ];
  for (const [body, code] of cases) {
    const job = await run('POST', '/buckets/in.c-main/tables-async', body);
    assert.equal(job.status, 'error');
    assert.equal(job.error.code, code, JSON.stringify(job.error));
    assert.match(job.error.exceptionId, /\S/);
  }
  const noBucket = await run('POST', '/buckets/in.c-none/tables-async', table);
  assert.equal(noBucket.error.code, 'storage.buckets.notFound');
});

test('what is wrong with a request is said at once', async (t) => {
  const { call, upload, run } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  const file = await upload('id,name\n1,a\n');
  await run('POST', '/buckets/in.c-main/tables-async', { name: 'users', dataFileId: file });
  const create = '/buckets/in.c-main/tables-async';
  const load = '/tables/in.c-main.users/import-async';
  const unload = '/tables/in.c-main.users/export-async';
  const preview = '/tables/in.c-main.users/data-preview';
  const validation = 'storage.tables.validation';
  const filter = (item: object) => ({ whereFilters: [item] });
  const cases: [string, string, unknown, string, string | RegExp][] = [
    ['POST', create, { dataFileId: file }, validation, 'Table create option "name" is required and cannot be empty.'],
    ['POST', create, { name: 'a.b', dataFileId: file }, validation, /^Invalid table name: 'a\.b' contains not allowed/],
    [
      'POST',
      create,
      { name: 'b', dataFileId: file, primaryKey: ['id'] },
      'storage.validation.primaryKey',
      /Primary key/,
    ],
    [
      'POST',
      load,
      { dataFileId: file, incremental: 999987 },
      'storage.validation',
      /is not boolean\. Possible values are/,
    ],
    ['POST', load, { dataFileId: file, delimiter: ';;' }, 'invalidCsv', /delimiter/],
    ['POST', load, { dataFileId: file, enclosure: '"', escapedBy: '\\' }, 'csvImport.invalidCsvParams', /enclosure/],
    [
      'POST',
      load,
      { dataFileId: file, treatValuesAsNull: ['a', 'b'] },
      validation,
      /should contain 1 element or less\./,
    ],
    [
      'POST',
      '/tables/in.c-main.none/import-async',
      { dataFileId: file },
      'storage.tables.notFound',
      /"none" was not found/,
    ],
    ['POST', '/tables/languages/export-async', {}, 'storage.tables.notFound', /"languages" was not found/],
    [
      'POST',
      unload,
      { whereFilters: 'string' },
      validation,
      'Parameter "whereFilters" should be an array, but parameter contains:\n"string"',
    ],
    ['POST', unload, { whereFilters: ['x'] }, validation, /^All items in param "whereFilters" should be an arrays/],
    ['POST', unload, { orderBy: 'x' }, validation, /^Parameter "orderBy" should be an array/],
    [
      'POST',
      unload,
      filter({ column: 'id' }),
      validation,
      'Invalid request:\n - whereFilters[0][values]: "This field is missing."',
    ],
    [
      'POST',
      unload,
      filter({ column: 'id', values: ['1'], operator: 'non-existing' }),
      validation,
      'Invalid where operator non-existing',
    ],
    [
      'POST',
      unload,
      filter({ column: 'id', values: ['1'], dataType: 'x' }),
      validation,
      'Data type x not recognized. Possible datatypes are [INTEGER|DOUBLE]',
    ],
    [
      'POST',
      unload,
      filter({ column: 'none', values: ['1'] }),
      `${validation}.columnNotExists`,
      "Can't filter by column none, column does not exist",
    ],
    [
      'POST',
      unload,
      { orderBy: [{ column: 'id', order: 'x' }] },
      validation,
      'Invalid sort order x. Available orders are [DESC|ASC]',
    ],
    ['POST', unload, { columns: 'id,none' }, 'storage.tables.nonExistingColumns', /none/],
    ['POST', unload, { changedSince: 'soon' }, validation, /changedSince/],
    ['GET', `${preview}?limit=1001`, undefined, validation, /1000/],
    ['GET', `${preview}?format=csv`, undefined, `${validation}.invalidFormat`, /format/],
    [
      'DELETE',
      '/tables/in.c-main.users/rows',
      { whereColumn: 'id' },
      'validation.failed',
      'Invalid request:\n - whereColumn: "To use "whereColumn" specify "whereValues"."',
    ],
    [
      'DELETE',
      '/tables/in.c-main.users/rows',
      { whereColumn: 'x', whereValues: ['1'] },
      'storage.tables.columnNotExists',
      'Filter validation: Cannot filter by column "x", column does not exist',
    ],
    ['DELETE', '/tables/in.c-none.x', undefined, 'storage.buckets.notFound', /in\.c-none/],
  ];
  for (const [method, path, body, code, message] of cases) {
    const answer = await call(method, path, body);
    const what = `${method} ${path} ${JSON.stringify(body)}: ${answer.status} ${answer.text}`;
    assert.ok(answer.status === 400 || answer.status === 404, what);
    assert.equal(answer.json.code, code, what);
    if (typeof message === 'string') assert.equal(answer.json.error, message, what);
    else assert.match(answer.json.error, message, what);
  }
});

test('the old calls load rows that come in the request itself', async (t) => {
  const { call, dataDir } = await storageClient(t);
  await call('POST', '/buckets', { stage: 'in', name: 'main' });
  const part = (name: string, value: string, file = '') =>
    `--b\r\nContent-Disposition: form-data; name="${name}"${file && `; filename="${file}"`}\r\n\r\n${value}\r\n`;
  const multipart = { 'content-type': 'multipart/form-data; boundary=b' };
  const form = { 'content-type': 'application/x-www-form-urlencoded' };

  const body = `${part('name', 'users')}${part('primaryKey', 'id')}${part('data', 'id,name\n1,a\n', 'users.csv')}--b--\r\n`;
  const created = await call('POST', '/buckets/in.c-main/tables', body, multipart);
  assert.equal(created.status, 201, created.text);
  assert.equal(created.json.rowsCount, 1);
  assert.deepEqual(created.json.columns, ['id', 'name']);

  const more = `dataString=${encodeURIComponent('id,name\n1,b\n2,c\n')}&incremental=1`;
  const loaded = await call('POST', '/tables/in.c-main.users/import', more, form);
  assert.equal(loaded.status, 200, loaded.text);
  assert.match(loaded.text, /"importedColumns":\["id","name"\],"totalRowsCount":2,.*"status":"ok"/);

  const wrong = await call('POST', '/tables/in.c-main.users/import', 'dataString=x', form);
  assert.equal(wrong.status, 400, wrong.text);
  assert.equal(wrong.json.code, 'csvImport.columnsNotMatch');
  const nothing = await call('POST', '/tables/in.c-main.users/import', {});
  assert.equal(nothing.status, 400);
  assert.match(nothing.json.error, /"data" or "dataString" is required/);
  const unknown = await call('POST', '/tables/in.c-main.none/import', 'dataString=x', form);
  assert.equal(unknown.json.code, 'storage.tables.notFound');
  // Other calls take no files.
  const refused = await call(
    'POST',
    '/buckets',
    `${part('name', 'x')}${part('data', 'x', 'x.csv')}--b--\r\n`,
    multipart,
  );
  assert.equal(refused.status, 415, refused.text);
  const left = (await readdir(join(dataDir, 'tmp'))).filter((name) => name.startsWith('upload-'));
  assert.deepEqual(left, [], 'uploads that stayed behind');
});
