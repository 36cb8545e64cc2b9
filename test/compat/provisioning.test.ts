import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { cleanup } from '../support/cleanup.ts';
import { startMariadb } from '../support/mariadb.ts';
import { mariadbProgram, needs } from '../support/needs.ts';
import { startPlatform } from '../support/platform.ts';

/** Unmodified clients, over the network, with nothing but what the answer says. */

const run = promisify(execFile);

type Login = { hostname: string; port: number; db: string; user: string; password: string; schema?: string };

async function credentials(t: TestContext, backend: string, config: Record<string, unknown> = {}): Promise<Login> {
  const { url, credentials } = await startPlatform(t, { config: { workspacePort: 0, ...config } });
  const response = await fetch(`${url}/syrup/provisioning/${backend}`, {
    method: 'POST',
    headers: { 'x-storageapi-token': credentials.keboola.storageToken, 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'sandbox' }),
  });
  assert.equal(response.status, 201);
  return ((await response.json()) as { credentials: Login }).credentials;
}

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), 'millrace-clients-'));
  cleanup(t, () => rmSync(made, { recursive: true, force: true }));
  return made;
}

test('psql: describes what is there, copies files in and out, over TLS', async (t) => {
  if (!needs(t, 'psql', 'openssl')) return;
  const { hostname, port, db, user, password, schema } = await credentials(t, 'redshift-workspace');
  const place = `host=${hostname} port=${port} dbname=${db} user=${user} sslmode=require`;
  const psql = async (...commands: string[]) => {
    const args = ['-X', '-v', 'ON_ERROR_STOP=1', '-P', 'pager=off', '-A', place];
    const { stdout } = await run('psql', [...args, ...commands.flatMap((one) => ['-c', one])], {
      env: { ...process.env, PGPASSWORD: password },
    });
    return stdout;
  };
  await psql(
    'create table people (id int primary key, name text not null check (name <> $$$$))',
    'create table visits (person int references people, at timestamptz default now())',
    'create index on visits (at)',
    'create view names as select name from people',
    'create function twice(int) returns int language sql as $$ select $1 * 2 $$',
    'create materialized view kept as select 1 as one',
  );
  assert.match(await psql('\\d'), new RegExp(`${schema}\\|people\\|table\\|${user}`));
  assert.match(await psql('\\d people'), /"people_pkey" PRIMARY KEY/);
  assert.match(await psql('\\d visits'), /FOREIGN KEY/);
  assert.match(await psql('\\d+ names'), /View definition/);
  const describing = [
    '\\dt+',
    '\\di+',
    '\\dv',
    '\\dm',
    '\\ds',
    '\\df+',
    '\\dn+',
    '\\dp',
    '\\dT',
    '\\dx',
    '\\dd',
    '\\ddp',
    '\\dg',
  ];
  for (const command of describing) await psql(command);
  assert.equal(
    (await psql('\\du')).split('\n').filter((line) => /workspace|millrace/.test(line)).length,
    1,
    'other logins are shown',
  );
  assert.match(await psql('\\sf twice'), /\$1 \* 2/);
  assert.match(await psql('\\conninfo'), /SSL connection|SSL Protocol|TLSv1/);
  const made = folder(t);
  writeFileSync(path.join(made, 'in.csv'), '1,Žofie\n2,"Jan, jr."\n');
  await psql(
    `\\copy people from '${made}/in.csv' csv`,
    `\\copy (select name from people order by id) to '${made}/out.csv' csv`,
  );
  assert.equal(readFileSync(path.join(made, 'out.csv'), 'utf8'), 'Žofie\n"Jan, jr."\n');
  await assert.rejects(psql('\\c millrace'), /pg_hba|no pg_hba.conf entry|not permitted/);
});

test('pg: parameters, transactions, cursors of types and notifications', async (t) => {
  const { hostname: host, port, db: database, user, password } = await credentials(t, 'redshift-workspace');
  const pool = new pg.Pool({ host, port, database, user, password, max: 3 });
  cleanup(t, () => pool.end());
  const client = await pool.connect();
  await pool.query('create table t (id bigint, at timestamptz, tags text[], body jsonb)');
  const ignore = () => {
    // Cut off when the platform stops after the test.
  };
  pool.on('error', ignore);
  client.on('error', ignore);
  await client.query('begin');
  await client.query('insert into t values ($1, $2, $3, $4)', [
    '9007199254740993',
    new Date(0),
    ['a', 'b'],
    { x: [1] },
  ]);
  assert.equal((await pool.query('select * from t')).rowCount, 0);
  await client.query('commit');
  assert.deepEqual((await pool.query('select * from t')).rows, [
    { id: '9007199254740993', at: new Date(0), tags: ['a', 'b'], body: { x: [1] } },
  ]);
  const heard = new Promise((resolve) => client.once('notification', ({ payload }) => resolve(payload)));
  await client.query('listen news');
  await pool.query("notify news, 'hello'");
  assert.equal(await heard, 'hello');
  client.release();
});

test('mysql2 and the mariadb command line: tables, files of the client, transactions, over TLS', async (t) => {
  if (!needs(t, 'mariadb', 'openssl')) return;
  const server = await startMariadb(t);
  const { hostname, port, db, user, password } = await credentials(t, 'mysql', { workspaceMysqlUrl: server.url });
  const mariadb = async (statement: string, ...options: string[]) => {
    const args = ['--no-defaults', `-h${hostname}`, `-P${port}`, `-u${user}`, `-p${password}`, '-N', ...options];
    return (await run(mariadbProgram('mariadb'), [...args, db, '-e', statement])).stdout;
  };
  await mariadb(
    'create table people (id int primary key, name varchar(50)); create view names as select name from people',
  );
  assert.equal(await mariadb('show tables'), 'names\npeople\n');
  assert.match(await mariadb('describe people'), /^id\tint\(11\)\tNO\tPRI/);
  const made = folder(t);
  writeFileSync(path.join(made, 'in.csv'), '1,Žofie\n2,Jan\n');
  await mariadb(
    `load data local infile '${made}/in.csv' into table people character set utf8mb4 fields terminated by ','`,
    '--local-infile=1',
  );
  assert.equal(
    await mariadb('select hex(name) from people where id = 1'),
    `${Buffer.from('Žofie').toString('hex').toUpperCase()}\n`,
  );
  await assert.rejects(mariadb(`load data infile '${made}/in.csv' into table people`), /Access denied/);
  assert.equal(await mariadb("select load_file('/etc/passwd') is null"), '1\n');
  assert.equal((await mariadb('show full processlist')).trim().split('\n').length, 1);
  assert.match(await mariadb("show status like 'Ssl_cipher'", '--ssl'), /Ssl_cipher\tTLS/);

  const client = await mysql.createConnection({ host: hostname, port, database: db, user, password });
  cleanup(t, () => client.end());
  await client.beginTransaction();
  await client.execute('insert into people values (?, ?)', [3, '😀']);
  await client.rollback();
  const [rows] = await client.execute('select count(*) as n from names');
  assert.deepEqual(rows, [{ n: 2 }]);
});
