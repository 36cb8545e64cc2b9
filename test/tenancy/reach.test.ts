import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { Api, airbyteApi, type Credentials, syncanoApi } from '../../demo/api.ts';
import { Client, parseCsv, pause } from '../../demo/client.ts';
import { cleanup } from '../support/cleanup.ts';
import { needs } from '../support/needs.ts';
import { startPlatform } from '../support/platform.ts';
import { type Attempt, attemptsProgram, attemptsScript } from './attempts.ts';

/** Stands in everything of tenant B, and in no answer to A. */
const MARKER = 'zebra-of-b';

test("a component's program, SQL and a connector reach nothing of another tenant or of the platform", async (t) => {
  if (!needs(t, 'bubblewrap', 'python3')) return;
  const world = await openWorld(t, 'bubblewrap');
  await t.test('the program of a component', async () => {
    const attempts = [...world.files, ...world.networks];
    const rows = await runAttempts(world, attempts);
    assert.deepEqual(got(rows), [], 'a program got out of its sandbox');
    assert.equal(rows.length, attempts.length + 4);
    const processes = seen(rows, 'processes').split('\n');
    assert.deepEqual(
      processes.filter((command) => !/main\.py|^bwrap |^$/.test(command)),
      [],
      'processes of others can be seen',
    );
    const open = seen(rows, 'open files').split(' ');
    assert.deepEqual(
      open.filter((file) => file !== '' && !inherited().includes(file)),
      [],
    );
    assertScrubbed(seen(rows, 'environment'));
  });
  await t.test('a script', () => scriptReachesNothing(world, [...world.files, ...world.networks]));
  await t.test('SQL', () => sqlReachesNothing(world));
  await t.test('a connector', () => connectorReachesNothing(world));
});

test('where a server that is root has no sandbox, the user id of a program keeps it out all the same', async (t) => {
  if (!needs(t, 'root', 'python3')) return;
  const world = await openWorld(t, 'plain');
  await t.test('the program of a component', async () => {
    const rows = await runAttempts(world, world.files);
    assert.deepEqual(got(rows), [], 'a program reached what is not its own');
    assert.notEqual(seen(rows, 'user'), '0');
    assertScrubbed(seen(rows, 'environment'));
  });
  await t.test('a script', () => scriptReachesNothing(world, world.files));
  await t.test('SQL', () => sqlReachesNothing(world));
  await t.test('a connector', () => connectorReachesNothing(world));
});

test('a login of Provisioning reaches its own database and nothing else', async (t) => {
  const { url, credentials, dataDir } = await startPlatform(t, { embedded: true });
  const mine = await provision({ ...credentials, url });
  const other = await provision(await newProject(url, credentials));
  const theirs = await connectTo(t, other);
  await theirs.query(`create table "secret" as select '${MARKER}' as text`);
  const client = await connectTo(t, mine);
  assert.equal((await client.query('select 1 as one')).rows[0].one, 1);

  await t.test('by any name it can think of', async (t) => {
    for (const change of [
      { database: other.database },
      { database: 'postgres' },
      { database: 'millrace' },
      { database: 'template1' },
      { user: 'millrace', database: 'millrace' },
      { user: 'postgres', database: 'postgres' },
      { user: other.user, database: other.database },
    ]) {
      const login = new pg.Client({ ...mine, ...change, ssl: false });
      login.on('error', () => undefined);
      await assert.rejects(login.connect(), `${t.name}: ${JSON.stringify(change)}`);
    }
  });

  for (const statement of [
    `select * from ${other.schema}.secret`,
    `select pg_read_file('/etc/passwd')`,
    `select pg_read_file('postgresql.conf')`,
    `select pg_ls_dir('.')`,
    `copy (select 1) to program 'id'`,
    `create table x (t text); copy x from program 'id'`,
    `create table y (t text); copy y from '${dataDir}/credentials.json'`,
    `copy (select 1) to '/tmp/millrace-stolen'`,
    `select lo_import('/etc/passwd')`,
    `create extension dblink`,
    `create extension postgres_fdw`,
    `create extension file_fdw`,
    `create extension adminpack`,
    'create role helper',
    `alter role ${mine.user} superuser`,
    `set role millrace`,
    `set session authorization millrace`,
    'alter system set log_statement = none',
    'select * from pg_authid',
    'select * from pg_shadow',
    'create language plpython3u',
    `create function f() returns int language c as '/lib/x86_64-linux-gnu/libc.so.6', 'getpid'`,
    `load '/lib/x86_64-linux-gnu/libc.so.6'`,
    `show data_directory`,
    `select setting from pg_settings where name in ('data_directory', 'hba_file', 'config_file', 'unix_socket_directories')`,
  ]) {
    await t.test(statement, async () => {
      const answer = await client.query(statement).then(
        (result) => JSON.stringify([result].flat().flatMap(({ rows }) => rows)),
        (error: Error) => `refused: ${error.message}`,
      );
      assert.match(answer, /^(refused: |\[\]$)/);
      assert.ok(!answer.includes(MARKER) && !answer.includes(dataDir), answer);
    });
  }
});

type World = Awaited<ReturnType<typeof openWorld>>;

/** Two tenants with something of theirs, and everything of B and of the platform that A may want. */
async function openWorld(t: TestContext, runtime: 'bubblewrap' | 'plain') {
  const { url, credentials, dataDir } = await startPlatform(t, { embedded: true, config: { runtime } });
  const mine: Credentials = { ...credentials, url };
  const other = await newProject(url, credentials);
  await fill(other, MARKER);
  await fill(mine, 'horse');
  const { port: workspacePort } = await provision(other);
  const below = (folder: string) =>
    readdirSync(path.join(dataDir, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
  const lake = below('lakes').filter((file) => file.includes(`/${other.project.id}/`));
  assert.ok(lake.length > 0, below('lakes').join());
  const read = (file: string): Attempt => ({ name: `read ${file}`, act: 'read', path: file });
  const files: Attempt[] = [
    ...['credentials.json', 'encryption.key', 'server.lock', 'postgres/PG_VERSION', 'workspaces/postgres/PG_VERSION']
      .map((name) => path.join(dataDir, name))
      .concat(lake, below('files'), below('logs'))
      .map(read),
    { name: 'write to the lake', act: 'write', path: lake[0] ?? '' },
    ...['', 'lakes', 'files', 'jobs', 'postgres'].map(
      (name): Attempt => ({ name: `list ${name}`, act: 'list', path: path.join(dataDir, name) }),
    ),
    { name: 'metadata database', act: 'unix', path: path.join(dataDir, 'run/.s.PGSQL.5432') },
    read(`/proc/${process.pid}/environ`),
    read(`/proc/${process.pid}/root${dataDir}/credentials.json`),
    { name: 'open files of the server', act: 'list', path: `/proc/${process.pid}/fd` },
    { name: 'signal to the server', act: 'kill', pid: process.pid },
  ];
  const networks: Attempt[] = [
    { name: 'our own API', act: 'tcp', host: '127.0.0.1', port: Number(new URL(url).port) },
    { name: 'database of workspaces', act: 'tcp', host: '127.0.0.1', port: workspacePort },
    { name: 'link-local address', act: 'tcp', host: '169.254.169.254', port: 80 },
    { name: 'private network', act: 'tcp', host: '10.0.0.1', port: 80 },
  ];
  await t.test('unhindered, the attempts get through', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'millrace-attempts-'));
    cleanup(t, () => rmSync(folder, { recursive: true, force: true }));
    const output = path.join(folder, 'rows.csv');
    const tried = [...files, ...networks.slice(0, 2)];
    const { stderr } = spawnSync('python3', ['-c', attemptsProgram(tried, output)], { encoding: 'utf8' });
    assert.equal(stderr, '');
    const text = readFileSync(output, 'utf8');
    const refused = text.split('\n').filter((line) => line.includes(',refused,'));
    assert.deepEqual(refused, [], 'an attempt proves nothing');
  });
  return { url, mine, other, dataDir, lake, files, networks, keboola: new Client(url, mine.keboola.storageToken) };
}

/** Runs the attempts as a Python transformation of A and answers their rows. */
async function runAttempts({ keboola }: World, attempts: Attempt[]): Promise<string[][]> {
  await keboola.queueJob({
    component: 'keboola.python-transformation-v2',
    mode: 'run',
    configData: {
      parameters: {
        blocks: [{ name: 'b', codes: [{ name: 'c', script: [attemptsProgram(attempts, 'out/tables/rows.csv')] }] }],
      },
      storage: { output: { tables: [{ source: 'rows.csv', destination: 'out.c-reach.rows' }] } },
    },
  });
  const text = await keboola.text('/v2/storage/tables/out.c-reach.rows/data-preview?limit=1000');
  return parseCsv(text).slice(1);
}

const got = (rows: string[][]) => rows.filter(([, outcome]) => outcome !== 'refused' && outcome !== 'seen');
const seen = (rows: string[][], name: string) => rows.find((row) => row[0] === name)?.[2] ?? 'nothing was written';

/** What this very process was given by whoever started it goes on to all programs: none of it is of our making. */
const inherited = () => spawnSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }).stdout.split('\n');

/** No variable of the server's own: what is there says where the data is and which job this is. */
function assertScrubbed(text: string): void {
  const environment = JSON.parse(text) as Record<string, string>;
  const known = /^(KBC_|PATH$|OPENSSL_CONF$|HOME$|TMPDIR$|LANG$|LC_|PWD$|SHLVL$|_$|OLDPWD$|MILLRACE_RUN$|PYTHON)/;
  assert.deepEqual(
    Object.keys(environment).filter((name) => !known.test(name)),
    [],
  );
}

async function scriptReachesNothing({ mine, url }: World, attempts: Attempt[]): Promise<void> {
  const objects = syncanoApi(mine);
  const run = async (source: string) => {
    const script = { label: 'reach', runtime_name: 'nodejs', source };
    const { id } = await objects.call<{ id: number }>('POST', '/snippets/scripts/', script);
    let trace = await objects.call<Trace>('POST', `/snippets/scripts/${id}/run/`, { payload: {} });
    while (trace.status === 'pending' || trace.status === 'processing') {
      await pause(25);
      trace = await new Api(url, { 'X-API-KEY': mine.syncano.accountKey }).call<Trace>('GET', trace.links.self);
    }
    assert.equal(trace.status, 'success', trace.result.stderr);
    return JSON.parse(trace.result.stdout ?? '') as string[][];
  };
  const rows = await run(`(async () => {${attemptsScript(attempts)}})()`);
  assert.deepEqual(got(rows), [], 'a script reached what is not its own');
  assert.equal(rows.length, attempts.length + 2);
  assertScrubbed(seen(rows, 'environment'));
  assert.notEqual(seen(rows, 'user'), '0');
  // What the first one leaves behind in the language, the next one does not find.
  await run(`globalThis.left = Object.prototype.left = 1; console.log('[]')`);
  const [found] = await run('console.log(JSON.stringify([[String(globalThis.left), String({}.left)]]))');
  assert.deepEqual(found, ['undefined', 'undefined']);
}

type Trace = { status: string; result: { stdout?: string; stderr?: string }; links: { self: string } };

async function sqlReachesNothing({ keboola, lake, dataDir, url }: World): Promise<void> {
  const [file = ''] = lake;
  const reached: string[] = [];
  for (const query of [
    `SELECT * FROM read_parquet('${file}')`,
    `SELECT * FROM '${file}'`,
    `SELECT * FROM parquet_metadata('${file}')`,
    `SELECT * FROM glob('${dataDir}/lakes/**')`,
    `SELECT * FROM read_text('${dataDir}/credentials.json')`,
    `SELECT * FROM read_blob('${dataDir}/encryption.key')`,
    `SELECT * FROM read_text('/proc/self/environ')`,
    `SELECT * FROM read_text('/proc/${process.pid}/environ')`,
    `SELECT * FROM read_csv('${url}/v2/storage')`,
    `SELECT * FROM read_text('http://169.254.169.254/latest/meta-data/')`,
    `SELECT getenv('PATH')`,
  ]) {
    for (const script of [`CREATE TABLE got AS ${query}`, `CREATE VIEW got AS ${query}`]) {
      const refused = await keboola.queueJob(sqlJob([script])).then(
        () => undefined,
        (error: Error) => error.message,
      );
      if (refused === undefined) reached.push(script);
      assert.ok(!refused?.includes(MARKER), refused);
    }
  }
  for (const statement of [
    `ATTACH 'host=${dataDir}/run user=millrace dbname=millrace' AS meta (TYPE postgres)`,
    `ATTACH '${file}' AS other`,
    `COPY (SELECT 1) TO '${file}'`,
    `SET enable_external_access = true`,
    `SET allowed_directories = ['/']`,
    `CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')`,
    `PRAGMA enable_object_cache; LOAD '${dataDir}/x.duckdb_extension'`,
    `IMPORT DATABASE '${dataDir}'`,
    `CREATE TABLE got AS SELECT * FROM postgres_scan('host=${dataDir}/run', 'public', 'tokens')`,
  ]) {
    await keboola.queueJob(sqlJob([statement, 'CREATE TABLE got AS SELECT 1 AS one'])).then(
      () => reached.push(statement),
      (error: Error) => assert.ok(!error.message.includes(MARKER), error.message),
    );
  }
  assert.deepEqual(reached, [], 'SQL reached out of its session');
}

const sqlJob = (script: string[]) => ({
  component: 'keboola.duckdb-transformation',
  mode: 'run',
  configData: {
    parameters: { blocks: [{ name: 'b', codes: [{ name: 'c', script }] }] },
    storage: { output: { tables: [{ source: 'got', destination: 'out.c-reach.got' }] } },
  },
});

/** A source of files is told by its user what to read, which makes it everybody's key to what the program can reach. */
async function connectorReachesNothing({ mine, other, url, lake, dataDir }: World): Promise<void> {
  const airbyte = await airbyteApi(mine);
  const streamsOf = async (configuration: object) => {
    const { sourceId } = await airbyte.call<{ sourceId: string }>('POST', '/sources', {
      name: 'reach',
      workspaceId: mine.airbyte.workspaceId,
      configuration: { sourceType: 'millrace-file', dataset_name: 'x', ...configuration },
    });
    return airbyte.call<object>('GET', `/streams?sourceId=${sourceId}`).then(
      (streams) => `read: ${JSON.stringify(streams)}`,
      (error: Error) => error.message,
    );
  };
  for (const file of [
    `${dataDir}/credentials.json`,
    `file://${dataDir}/encryption.key`,
    `${dataDir}/workspaces/port`,
    ...lake.slice(0, 1),
    `/proc/${process.pid}/environ`,
    `/proc/${process.pid}/root${dataDir}/credentials.json`,
    '/etc/shadow',
  ]) {
    const answer = await streamsOf({ url: file });
    assert.match(answer, /answered 4\d\d.*(Cannot open|is no file in a folder)/s, `${file}: ${answer}`);
    assert.ok(!answer.includes(MARKER));
  }
  // With the credentials of A, B's things are as unknown as they are without.
  const theirs = `${url}/v2/storage/tables/in.c-reach.of_${other.project.id}`;
  for (const authorization of [`Bearer ${mine.keboola.storageToken}`, `Basic ${mine.airbyte.clientSecret}`]) {
    assert.match(await streamsOf({ url: theirs, authorization }), /answered 4\d\d.*answered 40[134]/s);
  }
}

async function newProject(url: string, { keboola }: { keboola: { manageToken: string } }): Promise<Credentials> {
  const manage = new Api(url, { 'X-KBC-ManageApiToken': keboola.manageToken });
  return { ...(await manage.call<Credentials>('POST', '/manage/projects', { name: 'Other' })), url };
}

/** A table and a file of the tenant. */
async function fill({ url, keboola, project }: Credentials, text: string): Promise<void> {
  const client = new Client(url, keboola.storageToken);
  await client.call('POST', '/v2/storage/buckets', { stage: 'in', name: 'reach' });
  const dataFileId = await client.upload(`${text}.csv`, Buffer.from(`id,text\n1,${text}\n`), []);
  await client.storageJob('POST', '/v2/storage/buckets/in.c-reach/tables-async', {
    name: `of_${project.id}`,
    dataFileId,
  });
}

type Login = { host: string; port: number; user: string; password: string; database: string; schema: string };

async function provision({ url, keboola }: Credentials): Promise<Login> {
  const client = new Client(url, keboola.storageToken);
  const { credentials } = await client.call<{ credentials: Record<string, never> }>(
    'POST',
    '/syrup/provisioning/redshift-workspace',
    { type: 'sandbox' },
  );
  const {
    hostname: host,
    port,
    user,
    password,
    db: database,
    schema,
  } = credentials as unknown as Record<string, never>;
  return { host, port, user, password, database, schema } as unknown as Login;
}

async function connectTo(t: TestContext, login: Login): Promise<pg.Client> {
  const client = new pg.Client(login);
  client.on('error', () => undefined);
  await client.connect();
  cleanup(t, () => client.end());
  return client;
}
