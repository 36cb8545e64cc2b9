import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { cleanup } from '../support/cleanup.ts';
import { needs } from '../support/needs.ts';
import { startPlatform } from '../support/platform.ts';
import { assertShape, type Call, type Family, filesBelow, messageOf, secondTenant, Tenant } from './bad-input-world.ts';

const SQL = 'keboola.duckdb-transformation';
const PYTHON = 'keboola.python-transformation-v2';
const BUCKET = 'in.c-bad';
const TABLE = `${BUCKET}.people`;
const ROWS = 'id,name\n1,Ada\n2,Grace\n';

test('bad input is refused in clear words and changes nothing', async (t) => {
  const platform = await startPlatform(t);
  const mine = new Tenant(platform.url, platform.credentials.keboola.storageToken);
  const other = await secondTenant(platform);
  const table = await fill(mine);
  await fill(other, 'theirs');
  const theirs = {
    bucket: 'in.c-theirs',
    table: 'in.c-theirs.people',
    fileId: await other.client.upload('theirs.csv', Buffer.from(ROWS), []),
    configurationId: await configure(other, SQL, { parameters: { blocks: [] } }),
    jobId: (await other.queueJob({ component: SQL, mode: 'run', configData: { parameters: { blocks: [] } } })).id,
    tokenId: (await other.client.call<{ id: string }>('GET', '/v2/storage/tokens/verify')).id,
  };
  const configurationId = await configure(mine, SQL, { parameters: { blocks: [] } });
  const config = `/v2/storage/components/${SQL}/configs/${configurationId}`;

  type Refusal = [
    name: string,
    family: Family,
    call: Call,
    status: number,
    message: RegExp | string,
    code: string | number | undefined,
  ];
  const post = (path: string, body: NonNullable<Call['body']>, headers = {}): Call => ({
    method: 'POST',
    path,
    body,
    headers,
  });
  const json = { 'Content-Type': 'application/json' };
  const refusals = (t: TestContext, group: string, list: Refusal[]) =>
    t.test(group, async (t) => {
      for (const [name, family, call, status, message, code] of list) {
        await t.test(name, () =>
          mine.unchanged(async () => {
            const answer = await mine.call(call);
            assert.equal(answer.status, status, answer.text);
            assertShape(family, answer);
            const text = String(messageOf(family, answer));
            if (typeof message === 'string') assert.equal(text, message);
            else assert.match(text, message);
            assert.equal(answer.json.code, code);
          }),
        );
      }
    });

  await refusals(t, 'malformed requests', [
    [
      'JSON cut off',
      'storage',
      post('/v2/storage/buckets', '{"name": "x", "stage"', json),
      400,
      'Request body is not valid JSON.',
      'malformedRequest',
    ],
    [
      'JSON under the form type of curl',
      'storage',
      post('/v2/storage/buckets', '{"name": x}', { 'Content-Type': 'application/x-www-form-urlencoded' }),
      400,
      'Request body is not valid JSON.',
      'malformedRequest',
    ],
    [
      'JSON that is no object',
      'storage',
      post('/v2/storage/buckets', '"in.c-x"', json),
      400,
      'Request body must be a JSON object.',
      'malformedRequest',
    ],
    [
      'JSON in Latin-1',
      'storage',
      post('/v2/storage/buckets', Buffer.from('{"name":"caf\xe9","stage":"in"}', 'latin1'), json),
      400,
      /must be UTF-8/,
      'malformedRequest',
    ],
    [
      'a form in Latin-1',
      'storage',
      post('/v2/storage/buckets', 'name=caf%E9&stage=in', { 'Content-Type': 'application/x-www-form-urlencoded' }),
      400,
      /must be UTF-8/,
      'malformedRequest',
    ],
    [
      'XML',
      'storage',
      post('/v2/storage/buckets', '<bucket/>', { 'Content-Type': 'text/xml' }),
      415,
      'Unsupported content type. Send JSON or a form.',
      'unsupportedMediaType',
    ],
    [
      'a malformed configuration',
      'storage',
      { method: 'PUT', path: config, body: { configuration: '{"parameters":' } },
      400,
      /./,
      'validation.invalidConfigurationFormat',
    ],
    ['Queue: JSON cut off', 'queue', post('/queue/jobs', '{"component":', json), 400, /not valid JSON/, 400],
    [
      'Queue: no component',
      'queue',
      post('/queue/jobs', { mode: 'run' }),
      400,
      /"component" parameter is required/,
      400,
    ],
    ['Syrup: JSON cut off', 'syrup', post(`/syrup/docker/${SQL}/run`, '{"config":', json), 400, /not valid JSON/, 400],
    [
      'Syrup: an unknown parameter',
      'syrup',
      post(`/syrup/docker/${SQL}/run`, { configuration: '1' }),
      400,
      /Parameter 'configuration' is not allowed/,
      400,
    ],
    ['Syrup: neither configuration', 'syrup', post(`/syrup/docker/${SQL}/run`, {}), 400, /Specify 'config'/, 400],
  ]);

  const manage = { 'X-KBC-ManageApiToken': platform.credentials.keboola.manageToken };
  await refusals(t, 'what is not built says so', [
    ['Storage', 'storage', { path: '/v2/storage/workspaces/1/credentials' }, 501, 'Not implemented', 'notImplemented'],
    ['Queue', 'queue', { path: '/queue/stats/project' }, 501, 'Not implemented', 501],
    ['Syrup', 'syrup', post('/syrup/oauth-v2/credentials', {}), 501, 'Not implemented', 501],
    ['a whole service', 'queue', { path: '/sandboxes/sandboxes' }, 501, 'Not implemented', 501],
    ['Management', 'storage', { path: '/manage/ui-apps', headers: manage }, 501, 'Not implemented', 'notImplemented'],
    ['Management: no such call', 'storage', { path: '/manage/x', headers: manage }, 404, /not found/, 'notFound'],
  ]);

  const strange = '1-1-0000000000000000000000000000000000000000';
  await refusals(t, 'tokens', [
    [
      'Storage: none',
      'storage',
      { path: '/v2/storage/tables', token: null },
      401,
      'Access token must be set',
      undefined,
    ],
    [
      'Storage: wrong',
      'storage',
      { path: '/v2/storage/tables', token: strange },
      401,
      'Invalid access token',
      'storage.tokenInvalid',
    ],
    ['Queue: none', 'queue', { path: '/queue/jobs', token: null }, 401, 'Access token must be set', 401],
    ['Queue: wrong', 'queue', { ...post('/queue/jobs', { component: SQL }), token: strange }, 401, /Invalid/, 401],
    ['Syrup: none', 'syrup', { path: '/syrup/queue/jobs', token: null }, 401, 'Access token must be set', 401],
    ['Syrup: wrong', 'syrup', { ...post(`/syrup/${SQL}/run`, { config: '1' }), token: strange }, 401, /Invalid/, 401],
    [
      'Management: a Storage token',
      'storage',
      post('/manage/projects', { name: 'Mine' }, { 'X-KBC-ManageApiToken': mine.token }),
      401,
      'Invalid access token',
      'storage.tokenInvalid',
    ],
    [
      'Management: none',
      'storage',
      post('/manage/projects', { name: 'x' }),
      401,
      'Access token must be set',
      undefined,
    ],
  ]);

  await t.test('nothing of another tenant can be reached', async (t) => {
    const project = 'in the project';
    const before = await other.everything();
    const importTheirs = post(`/v2/storage/tables/${theirs.table}/import-async`, { dataFileId: table.fileId });
    await refusals(t, 'by its ids', [
      [
        'bucket',
        'storage',
        { path: `/v2/storage/buckets/${theirs.bucket}` },
        404,
        new RegExp(`^The bucket "${theirs.bucket}" was not found ${project} "\\d+"$`),
        'storage.buckets.notFound',
      ],
      [
        'table',
        'storage',
        { path: `/v2/storage/tables/${theirs.table}` },
        404,
        /^The table .* was not found/,
        'storage.tables.notFound',
      ],
      ['import into their table', 'storage', importTheirs, 404, /was not found/, 'storage.tables.notFound'],
      [
        'delete their table',
        'storage',
        { method: 'DELETE', path: `/v2/storage/tables/${theirs.table}?force=1` },
        404,
        /was not found/,
        'storage.buckets.notFound',
      ],
      ['file', 'storage', { path: `/v2/storage/files/${theirs.fileId}` }, 404, /not found/, 'storage.files.notFound'],
      [
        'delete their file',
        'storage',
        { method: 'DELETE', path: `/v2/storage/files/${theirs.fileId}` },
        404,
        /not found/,
        'storage.files.notFound',
      ],
      [
        'configuration',
        'storage',
        { method: 'PUT', path: `/v2/storage/components/${SQL}/configs/${theirs.configurationId}`, body: { name: 'x' } },
        404,
        /not found/,
        'storage.configuration.notFound',
      ],
      ['token', 'storage', { path: `/v2/storage/tokens/${theirs.tokenId}` }, 404, /./, 'storage.tokens.notFound'],
      ['job', 'queue', { path: `/queue/jobs/${theirs.jobId}` }, 404, `Job "${theirs.jobId}" not found`, 404],
      ['kill their job', 'queue', post(`/queue/jobs/${theirs.jobId}/kill`, {}), 404, /not found/, 404],
      [
        'run their configuration',
        'queue',
        post('/queue/jobs', { component: SQL, mode: 'run', config: theirs.configurationId }),
        400,
        /^Cannot resolve job parameters: /,
        400,
      ],
      ['Syrup: job', 'syrup', { path: `/syrup/queue/job/${theirs.jobId}` }, 404, /not found/, 404],
      [
        'Syrup: run their configuration',
        'syrup',
        post(`/syrup/docker/${SQL}/run`, { config: theirs.configurationId }),
        404,
        /not found/,
        404,
      ],
    ]);
    await t.test('by a job that names their table or file', () =>
      mine.unchanged(async () => {
        const problem = await mine.storageProblem(`/v2/storage/tables/${TABLE}/import-async`, {
          dataFileId: theirs.fileId,
        });
        assert.equal(problem.code, 'storage.files.notFound');
        const job = await mine.queueJob({
          component: SQL,
          mode: 'run',
          configData: {
            parameters: sql('CREATE TABLE "stolen" AS SELECT * FROM "people"'),
            storage: {
              input: { tables: [{ source: theirs.table, destination: 'people' }] },
              output: { tables: [{ source: 'stolen', destination: `${BUCKET}.stolen` }] },
            },
          },
        });
        assert.deepEqual([job.status, job.result.error.type], ['error', 'user']);
        assert.match(job.result.message, /The table "people" was not found in the bucket "in\.c-theirs"/);
      }),
    );
    assert.deepEqual(await other.everything(), before);
  });

  await refusals(t, 'components', [
    [
      'Storage: unknown',
      'storage',
      post('/v2/storage/components/no.such-one/configs', { name: 'x' }),
      404,
      'Component "no.such-one" not found',
      'storage.components.notFound',
    ],
    [
      'Queue: unknown',
      'queue',
      post('/queue/jobs', { component: 'no.such-one', mode: 'run', configData: {} }),
      400,
      'Cannot resolve job parameters: Component "no.such-one" not found',
      400,
    ],
    [
      'Syrup: unknown',
      'syrup',
      post('/syrup/docker/no.such-one/run', { configData: {} }),
      400,
      "Component 'no.such-one' not found.",
      400,
    ],
    [
      'Queue: not installed',
      'queue',
      post('/queue/jobs', { component: 'keboola.ex-http', mode: 'run', configData: { parameters: {} } }),
      400,
      'The component "keboola.ex-http" is not runnable. It is not installed on this server.',
      400,
    ],
    [
      'Syrup: not installed',
      'syrup',
      post('/syrup/docker/keboola.ex-http/run', { configData: { parameters: {} } }),
      400,
      'The component "keboola.ex-http" is not runnable. It is not installed on this server.',
      400,
    ],
  ]);

  type BadFile = [name: string, content: Buffer | string, code: string, message: RegExp | string, options?: object];
  const columnsMissing = (missing: string, delimiter = ',') =>
    `Some columns are missing in the csv file. Missing columns: ${missing}. Expected columns: id,name. ` +
    `Please check if the expected delimiter "${delimiter}" is used in the csv file.`;
  const badFiles: BadFile[] = [
    ['a row too short', 'id,name\n3,Joan\n4\n', 'invalidData', 'Row 3 of the CSV file has 1 columns, 2 were expected.'],
    ['a row too long', 'id,name\n3,a,b\n', 'invalidData', 'Row 2 of the CSV file has 3 columns, 2 were expected.'],
    ['a quote never closed', 'id,name\n3,"Joan\n4,x\n', 'invalidData', /Row 2 .*quoted value that is not closed/],
    [
      'Latin-1',
      Buffer.from('id,name\n3,Andr\xe9\n', 'latin1'),
      'invalidData',
      'Row 2 of the CSV file is not valid UTF-8.',
    ],
    ['UTF-16', Buffer.from('\ufeffid,name\n3,x\n', 'utf16le'), 'invalidData', /not valid UTF-8/],
    ['carriage returns only', 'id,name\r3,Joan\r', 'invalidData', /end in a carriage return only/],
    ['random bytes', Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 131 + 7) % 256)), 'invalidData', /./],
    [
      'gzip cut off',
      gzipSync(ROWS.repeat(1000)).subarray(0, -20),
      'invalidData',
      /not a complete gzip stream/,
      { gz: true },
    ],
    ['gzip with a wrong checksum', brokenGzip(), 'invalidData', /not a complete gzip stream/, { gz: true }],
  ];
  const headers: BadFile[] = [
    ['another header', 'a,b\n3,Joan\n', 'csvImport.columnsNotMatch', columnsMissing('id,name')],
    ['a column missing', 'id\n3\n', 'csvImport.columnsNotMatch', columnsMissing('name')],
    ['another delimiter', 'id;name\n3;Joan\n', 'csvImport.columnsNotMatch', columnsMissing('id,name')],
    [
      'a delimiter that is not there',
      ROWS,
      'csvImport.columnsNotMatch',
      columnsMissing('id,name', ';'),
      { delimiter: ';' },
    ],
    ['an empty file', '', 'csvImport.columnsNotMatch', columnsMissing('id,name')],
    ['a delimiter of two characters', ROWS, 'invalidCsv', /exactly one character/, { delimiter: '||' }],
    ['columns named twice', 'id,name,name\n3,a,b\n', 'storage.tables.validation', /duplicate columns: "name"/],
  ];

  await t.test('imports', async (t) => {
    for (const [name, content, code, message, options = {}] of [...badFiles, ...headers]) {
      for (const incremental of [false, true]) {
        await t.test(`${incremental ? 'incremental' : 'full'}: ${name}`, async () => {
          const dataFileId = await upload(mine, content, options);
          await mine.unchanged(async () => {
            const path = `/v2/storage/tables/${TABLE}/import-async`;
            const problem = await mine.storageProblem(path, { dataFileId, incremental, ...options });
            assertProblem(problem, code, message);
            if (code === 'csvImport.columnsNotMatch') {
              const { missingColumns, expectedColumns } = problem.results as Record<string, string[]>;
              assert.deepEqual(expectedColumns, ['id', 'name']);
              assert.ok(String(message).includes(`Missing columns: ${missingColumns?.join(',')}.`));
            }
          });
        });
      }
    }
    await t.test('a file that was announced and never uploaded', async () => {
      const body = { name: 'never.csv', sizeBytes: 10, federationToken: true };
      const { id } = await mine.client.call<{ id: number }>('POST', '/v2/storage/files/prepare', body);
      await mine.unchanged(async () => {
        const path = `/v2/storage/tables/${TABLE}/import-async`;
        assertProblem(await mine.storageProblem(path, { dataFileId: id }), 'storage.fileNotUploaded', /never uploaded/);
      });
    });
    await t.test('a file that is not there', () =>
      mine.unchanged(async () => {
        const path = `/v2/storage/tables/${TABLE}/import-async`;
        assertProblem(await mine.storageProblem(path, { dataFileId: 999_999 }), 'storage.files.notFound', /not found/);
      }),
    );
  });

  await t.test('rows in the request itself', async (t) => {
    for (const [name, content, code, message] of [...badFiles, ...headers].filter((file) => file.length === 4)) {
      if (Buffer.isBuffer(content)) continue;
      await t.test(name, () =>
        mine.unchangedButFiles(async () => {
          const problem = await mine.storageProblem(`/v2/storage/tables/${TABLE}/import`, { dataString: content });
          assertProblem(problem, code, message);
        }),
      );
    }
  });

  await t.test('tables made from files', async (t) => {
    const empty: BadFile = ['an empty file', '', 'storage.tables.validation.noColumns', /no columns/];
    for (const [name, content, code, message, options = {}] of [...badFiles, empty]) {
      await t.test(name, async () => {
        const dataFileId = await upload(mine, content, options);
        await mine.unchanged(async () => {
          const path = `/v2/storage/buckets/${BUCKET}/tables-async`;
          const problem = await mine.storageProblem(path, { name: 'broken', dataFileId });
          assertProblem(problem, code, message);
        });
      });
    }
    await t.test('a primary key that is no column', async () => {
      const dataFileId = await upload(mine, ROWS);
      await mine.unchanged(async () => {
        const path = `/v2/storage/buckets/${BUCKET}/tables-async`;
        const problem = await mine.storageProblem(path, { name: 'broken', dataFileId, primaryKey: 'key' });
        assertProblem(problem, 'storage.tables.validation.invalidPrimaryKeyColumns', /"key"/);
      });
    });
  });

  /** The table that a half-done job would leave. */
  const output = { tables: [{ source: 'made', destination: `${BUCKET}.made` }] };
  const failedJob = (name: string, body: object, message: RegExp | string, type = 'user', t2 = t) =>
    t2.test(name, () =>
      mine.unchanged(async () => {
        const job = await mine.queueJob({ mode: 'run', ...body });
        assert.equal(job.status, 'error');
        assert.equal(job.result.error.type, type, job.result.message);
        assert.match(job.result.error.exceptionId, /^exception-/);
        if (typeof message === 'string') assert.equal(job.result.message, message);
        else assert.match(job.result.message, message);
      }),
    );

  await t.test('configurations that do not fit the schema of their component', async (t) => {
    const parameters = { blocks: [{ codes: [{ name: 'x', script: 'SELECT 1' }] }] };
    // Saved as they are, because people save half-made ones.
    const id = await configure(mine, SQL, { parameters });
    const message = /parameters\.blocks\.0\.codes\.0\.script must be array/;
    await failedJob('stored', { component: SQL, config: id }, message, 'user', t);
    await failedJob('inline', { component: SQL, configData: { parameters: {} } }, /blocks/, 'user', t);
    const input = { tables: [{ destination: 'x' }] };
    const configData = { parameters: { blocks: [] }, storage: { input } };
    await failedJob('mapping without a source', { component: SQL, configData }, /source/, 'user', t);
  });

  await t.test('SQL', async (t) => {
    const run = (...script: string[]) => ({
      component: SQL,
      configData: {
        parameters: sql(...script),
        storage: { input: { tables: [{ source: TABLE, destination: 'people' }] }, output },
      },
    });
    const failed = (name: string, message: RegExp | string, ...script: string[]) =>
      failedJob(name, run(...script), message, 'user', t);
    const made = 'CREATE TABLE "made" AS SELECT * FROM "people"';
    await failed(
      'a mistake',
      /^Query "SELEC 1" in "code" failed with error: "Parser Error: syntax error at or near "SELEC"/,
      made,
      'SELEC 1',
    );
    await failed('an unknown table', /nowhere/, made, 'CREATE TABLE x AS SELECT * FROM nowhere');
    await failed(
      'a value that does not convert',
      /Conversion|convert/i,
      made,
      'CREATE TABLE x AS SELECT name::INTEGER FROM people',
    );
    await failed(
      'output that was not made',
      'Tables "made" specified in output were not created by the transformation.',
    );
    const closed = /^Query ".*" in "code" failed with error: ".*(disabled|not allowed|denied|cannot|locked)/is;
    for (const statement of [
      `CREATE TABLE made AS SELECT * FROM read_text('/etc/passwd')`,
      `CREATE TABLE made AS SELECT * FROM read_csv('/etc/passwd')`,
      `CREATE TABLE made AS SELECT * FROM '/etc/passwd.csv'`,
      `CREATE TABLE made AS SELECT * FROM glob('/etc/*')`,
      `COPY people TO '/tmp/millrace-stolen.csv'`,
      `COPY people FROM '/etc/passwd'`,
      `ATTACH '/tmp/millrace-stolen.db' AS other`,
      `EXPORT DATABASE '/tmp/millrace-stolen'`,
      `INSTALL httpfs`,
      `LOAD '/tmp/x.duckdb_extension'`,
      `SET enable_external_access = true`,
    ]) {
      await failed(statement, closed, made.replace('"made"', '"first"'), statement);
    }
  });

  await t.test('Python', async (t) => {
    if (!needs(t, 'python3')) return;
    const made = "open('out/tables/made', 'w').write('id\\n1\\n')";
    const run = (script: string[], rest: { parameters?: object; runtime?: object } = {}) => ({
      component: PYTHON,
      configData: {
        parameters: {
          blocks: [{ name: 'b', codes: [{ name: 'code', script: [made, ...script] }] }],
          ...rest.parameters,
        },
        storage: { output },
        ...(rest.runtime && { runtime: rest.runtime }),
      },
    });
    const failed = (name: string, body: object, message: RegExp | string, type?: string) =>
      failedJob(name, body, message, type, t);
    await failed(
      'exit 1',
      run(['import sys', "sys.stderr.write('No such invoice')", 'sys.exit(1)']),
      'No such invoice',
    );
    await failed(
      'an exception',
      run(["raise ValueError('odd')"]),
      /script\.py", line 2.*\n\s*raise.*\nValueError: odd$/s,
    );
    await failed('a syntax error', run(['def ']), /SyntaxError/);
    const exit2 = run(['import sys', "sys.stderr.write('an inner matter')", 'sys.exit(2)']);
    await failed('exit 2 is not told', exit2, 'Internal Server Error occurred.', 'application');
    await failed(
      'timeout',
      run(['import time', 'time.sleep(60)'], { runtime: { process_timeout: 1 } }),
      /^Running .* container exceeded the timeout of 1 seconds\.$/,
    );
    await failed(
      'packages',
      run([], { parameters: { packages: ['pandas'] } }),
      'Installing packages is not supported by this version: remove "packages" from the configuration.',
    );
    await failed(
      'output that was not made',
      {
        component: PYTHON,
        configData: {
          parameters: { blocks: [] },
          storage: { output: { tables: [{ source: 'never.csv', destination: `${BUCKET}.made` }] } },
        },
      },
      /never\.csv/,
    );
  });

  await t.test('and after all this the same things, done right, work', async () => {
    const dataFileId = await upload(mine, 'id,name\n3,Joan\n');
    await mine.client.storageJob('POST', `/v2/storage/tables/${TABLE}/import-async`, { dataFileId, incremental: 1 });
    const rows = await mine.client.text(`/v2/storage/tables/${TABLE}/data-preview`);
    assert.equal(rows, '"id","name"\n"1","Ada"\n"2","Grace"\n"3","Joan"\n');
  });
});

/** A bucket with one table of two rows. */
async function fill(tenant: Tenant, name = 'bad'): Promise<{ fileId: number }> {
  await tenant.client.call('POST', '/v2/storage/buckets', { name, stage: 'in' });
  const fileId = await tenant.client.upload('people.csv', Buffer.from(ROWS), []);
  const path = `/v2/storage/buckets/in.c-${name}/tables-async`;
  await tenant.client.storageJob('POST', path, { name: 'people', dataFileId: fileId, primaryKey: 'id' });
  return { fileId };
}

async function configure(tenant: Tenant, component: string, configuration: object): Promise<string> {
  const path = `/v2/storage/components/${component}/configs`;
  return (await tenant.client.call<{ id: string }>('POST', path, { name: 'bad', configuration })).id;
}

function upload(tenant: Tenant, content: Buffer | string, options: { gz?: boolean } = {}): Promise<number> {
  return tenant.client.upload(options.gz ? 'bad.csv.gz' : 'bad.csv', Buffer.from(content), []);
}

/** Whole, but its end says that it was something else. */
function brokenGzip(): Buffer {
  const bytes = gzipSync(ROWS);
  bytes.writeUInt32LE(0, bytes.length - 8);
  return bytes;
}

function sql(...script: string[]): object {
  return { blocks: [{ name: 'block', codes: [{ name: 'code', script }] }] };
}

function assertProblem(problem: { code: unknown; message: unknown }, code: string, message: RegExp | string): void {
  assert.deepEqual([problem.code, typeof problem.message], [code, 'string'], String(problem.message));
  if (typeof message === 'string') assert.equal(problem.message, message);
  else assert.match(String(problem.message), message);
}

const DISK_MB = 200;

/** Over a disk of its own, which is filled up while the server runs. */
test('a full disk during an import', async (t) => {
  if (!needs(t, 'root', 'tmpfs')) return;
  const disk = mkdtempSync(path.join(tmpdir(), 'millrace-disk-'));
  cleanup(t, () => rmSync(disk, { recursive: true, force: true }));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=0755`, 'none', disk]);
  if (mounted.status !== 0) return t.skip('needs tmpfs: mounting is not allowed here');
  // Lazy: the log of a server stays open as long as its process, which is this one.
  cleanup(t, () => assert.equal(spawnSync('umount', ['--lazy', disk]).status, 0));

  const { url, credentials } = await startPlatform(t, {
    embedded: true,
    config: { dataDirectory: path.join(disk, 'data') },
  });
  const tenant = new Tenant(url, credentials.keboola.storageToken);
  await fill(tenant);
  const tables = path.join(disk, 'data', 'lakes');
  // Digits that no compression makes small.
  const size = 24 * 1024 * 1024;
  const lines = randomBytes(size / 2)
    .toString('hex')
    .replace(/.{64}/g, '$&\n')
    .split('\n');
  const big = await upload(tenant, `id,name\n${lines.map((line, at) => `${at},${line}\n`).join('')}`);
  const ballast = path.join(disk, 'ballast');
  const filesBefore = filesBelow(tables);

  for (const incremental of [false, true]) {
    await t.test(incremental ? 'incremental' : 'full', () =>
      tenant.unchanged(async () => {
        fillDisk(disk, ballast, 4 * 1024 * 1024);
        const path = `/v2/storage/tables/${TABLE}/import-async`;
        const problem = await tenant.storageProblem(path, { dataFileId: big, incremental });
        assertProblem(problem, DISK_FULL.code, DISK_FULL.message);
        assert.equal((await fetch(`${url}/health`)).status, 200);
      }),
    );
  }
  await t.test('a new table', () =>
    tenant.unchanged(async () => {
      const path = `/v2/storage/buckets/${BUCKET}/tables-async`;
      const problem = await tenant.storageProblem(path, { name: 'broken', dataFileId: big });
      assertProblem(problem, DISK_FULL.code, DISK_FULL.message);
    }),
  );
  await t.test('with room again, imports work and nothing is left of the failed ones', async () => {
    rmSync(ballast);
    assert.deepEqual(filesBelow(tables), filesBefore);
    const small = await upload(tenant, 'id,name\n3,Joan\n');
    const path = `/v2/storage/tables/${TABLE}/import-async`;
    await tenant.client.storageJob('POST', path, { dataFileId: small, incremental: 1 });
    assert.equal(await rowsOf(tenant), 3);
    await tenant.client.storageJob('POST', path, { dataFileId: big });
    assert.equal(await rowsOf(tenant), lines.length);
  });
});

const DISK_FULL = { code: 'limitReached', message: 'There is no space left on the disk of the platform.' };

/** Leaves so many bytes free. */
function fillDisk(disk: string, ballast: string, leave: number): void {
  const { bavail, bsize } = statfsSync(disk);
  const more = Math.max(0, bavail * bsize - leave);
  appendFileSync(ballast, Buffer.alloc(more));
}

async function rowsOf(tenant: Tenant): Promise<number> {
  return (await tenant.client.call<{ rowsCount: number }>('GET', `/v2/storage/tables/${TABLE}`)).rowsCount;
}
