import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import mysql, { type RowDataPacket } from 'mysql2/promise';
import pg from 'pg';
import { openMysqlProvisioner } from '../../src/drivers/provisioners/mysql/index.ts';
import { retry } from '../../src/lib/retry.ts';
import { cleanup, type Scope } from '../support/cleanup.ts';
import { startMariadb } from '../support/mariadb.ts';
import { has } from '../support/needs.ts';
import { openTestProvisioner } from '../support/workspaces.ts';
import { type OutsideSession, provisionerSuite } from './provisioner-suite.ts';
import { spaceTablesSuite } from './space-tables-suite.ts';

type Login = { name: string; password: string; database?: string };

async function postgresWorld(t: Scope) {
  const provisioner = await openTestProvisioner(t);
  return {
    provisioner,
    async connect({ name, password, database = name }: Login): Promise<OutsideSession> {
      const client = new pg.Client({ ...(await provisioner.address()), user: name, password, database });
      client.on('error', () => {
        // The kill that the test is about.
      });
      await client.connect();
      return { query: async (text) => (await client.query(text)).rows, close: () => client.end() };
    },
    forbidden: ({ name }: { name: string }) => [
      `select * from ${name}.secrets`,
      ...['pg_authid', 'pg_shadow', 'pg_locks', 'pg_hba_file_rules', 'pg_largeobject', 'pg_db_role_setting'].map(
        (one) => `select * from ${one}`,
      ),
      'select * from pg_stat_activity_of_all',
      'show data_directory',
      // Files and programs of the machine.
      "select pg_read_file('/etc/passwd')",
      "select pg_read_binary_file('PG_VERSION')",
      "select pg_stat_file('PG_VERSION')",
      "select pg_ls_dir('.')",
      "select lo_import('/etc/passwd')",
      "select lo_export(lo_from_bytea(0, 'x'), '/tmp/millrace-stolen')",
      "copy t from '/etc/passwd'",
      "copy (select 1) to '/tmp/millrace-stolen'",
      "copy (select 1) to program 'true'",
      "copy t from program 'id'",
      "load 'adminpack'",
      "create function evil() returns int language c as '/lib/x86_64-linux-gnu/libc.so.6', 'system'",
      // Other databases and other servers.
      'create extension dblink',
      'create extension postgres_fdw',
      'create server other foreign data wrapper postgresql',
      "create subscription stolen connection 'host=127.0.0.1' publication p",
      // More rights, other people, the server itself.
      'create schema another',
      `drop schema workspace_101 cascade`,
      'create database another',
      'create role another',
      "create tablespace another location '/tmp'",
      'create event trigger e on ddl_command_start execute function pg_catalog.now()',
      `set role ${name}`,
      'set role millrace',
      'set session authorization millrace',
      `alter role ${name} password 'x'`,
      "alter role current_user set temp_file_limit = '-1'",
      'alter role current_user superuser',
      "alter system set log_min_messages = 'debug5'",
      'select pg_reload_conf()',
      'select pg_stat_get_activity(null)',
      `select pg_database_size('${name}')`,
    ],
    visibleSessions: 'select * from pg_stat_activity',
    changePassword: (to: string) => `alter role current_user password '${to}'`,
    longQuery: 'select pg_sleep(30)',
  };
}

async function mysqlWorld(t: Scope) {
  const { url } = await startMariadb(t);
  const provisioner = await openMysqlProvisioner({ url });
  cleanup(t, () => provisioner.close());
  return {
    provisioner,
    async connect({ name, password, database = name }: Login): Promise<OutsideSession> {
      const client = await mysql.createConnection({ ...(await provisioner.address()), user: name, password, database });
      client.on('error', () => {
        // The kill that the test is about.
      });
      return {
        async query(text) {
          const [rows] = await client.query<RowDataPacket[]>(text);
          return Array.isArray(rows) ? rows.map((row) => ({ ...row })) : [];
        },
        close: () => client.end(),
      };
    },
    forbidden: ({ name }: { name: string }) => [
      `select * from \`${name}\`.secrets`,
      `use \`${name}\``,
      ...['mysql.user', 'mysql.global_priv', 'mysql.db'].map((one) => `select * from ${one}`),
      "select * from t into outfile '/tmp/millrace-stolen'",
      "load data infile '/etc/passwd' into table t (name)",
      'create database another',
      "create user 'another'@'%'",
      `grant select on \`${name}\`.* to current_user`,
      `set password for '${name}'@'%' = password('x')`,
      "show grants for 'operator'@'%'",
      'set global max_connections = 1',
      "create definer = 'operator'@'%' procedure evil() select * from mysql.user",
      "create function evil returns integer soname 'x.so'",
      "install plugin evil soname 'x.so'",
      'flush tables',
      'show master status',
      'kill 1',
    ],
    visibleSessions: 'show full processlist',
    changePassword: (to: string) => `set password = password('${to}')`,
    longQuery: 'select benchmark(1000000000000, sha1(1))',
  };
}

provisionerSuite('postgres', postgresWorld, {
  further(check) {
    spaceTablesSuite(check, 500);

    check('the password is no secret on the way, where TLS can be had', async ({ provisioner }) => {
      const name = provisioner.nameFor(7, 'sandbox');
      await provisioner.ensure({ name, password: 'secret1' });
      const address = { ...(await provisioner.address()), user: name, password: 'secret1', database: name };
      const client = new pg.Client({ ...address, ssl: { rejectUnauthorized: false } });
      if (!has('openssl')) return assert.rejects(client.connect(), /does not support SSL/);
      await client.connect();
      await client.end();
    });

    check('the owner of the cluster cannot log in from outside', async ({ provisioner }) => {
      for (const database of ['millrace', 'template1']) {
        const client = new pg.Client({ ...(await provisioner.address()), user: 'millrace', password: '', database });
        await assert.rejects(client.connect(), /pg_hba/);
      }
    });

    check('what runs with rights of ours looks at nothing that a login has made', async ({ provisioner }) => {
      const name = provisioner.nameFor(12, 'sandbox');
      await provisioner.ensure({ name, password: 'secret' });
      const client = new pg.Client({
        ...(await provisioner.address()),
        user: name,
        database: name,
        password: 'secret',
      });
      await client.connect();
      try {
        const whoami = 'create function whoami() returns text language plpgsql as $$ begin perform set_config(';
        await client.query(`${whoami}'my.who', current_user, false); return null; end $$`);
        const { fields } = await client.query('select * from pg_stat_activity limit 0');
        const types = await client.query<{ name: string; type: string }>(
          `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
           where attrelid = 'pg_catalog.pg_stat_activity_of_all'::regclass and attnum > 0 order by attnum`,
        );
        assert.equal(types.rows.length, fields.length);
        const columns = types.rows.map(({ name, type }) =>
          type === 'text'
            ? `whoami() as ${name}`
            : name === 'usename'
              ? `session_user as ${name}`
              : `null::${type} as ${name}`,
        );
        // The temporary schema is looked through before every other, unless a function says where to look.
        await client.query(`create temp view pg_stat_activity_of_all as select ${columns.join(', ')}`);
        await client.query(`select set_config('my.who', session_user, false)`);
        const { rows } = await client.query('select * from pg_stat_activity');
        const { rows: who } = await client.query<{ who: string }>(`select current_setting('my.who') as who`);
        assert.deepEqual([who[0]?.who, rows.length], [name, 1]);
      } finally {
        await client.end();
      }
    });

    check('a statement that wants too much memory fails alone', async ({ provisioner, connect }) => {
      const space = { name: provisioner.nameFor(10, 'sandbox'), password: 'secret1' };
      await provisioner.ensure(space);
      const [greedy, other] = [await connect(space), await connect(space)];
      await assert.rejects(greedy.query("select length(repeat('x', 1000000000))"), /out of memory/);
      assert.equal((await greedy.query('select 1')).length, 1);
      assert.equal((await other.query('select 1')).length, 1);
      await greedy.close();
      await other.close();
    });
  },
});

provisionerSuite('mysql', mysqlWorld, {
  need: 'mariadb',
  further(check) {
    check('a login does not see databases with similar names', async ({ provisioner, connect }) => {
      const [mine, similar] = ['tapi_7_x', 'tapiX7Xx'];
      for (const name of [mine, similar]) await provisioner.ensure({ name, password: 'secret1' });
      const session = await connect({ name: mine, password: 'secret1' });
      assert.ok(!JSON.stringify(await session.query('show databases')).includes(similar));
      await session.close();
    });
  },
});

test('postgres: a killed server is back at once, on its port, with what was committed', async (t) => {
  const home = temporaryFolder(t);
  const provisioner = await openTestProvisioner(t, { home });
  const space = { name: provisioner.nameFor(8, 'sandbox'), password: 'secret1' };
  await provisioner.ensure(space);
  const before = await provisioner.address();
  // Without it the commit, and those before it, would lie in the server's memory: tests run without fsync.
  await inSpace(before, space, 'set synchronous_commit = on; create table kept as select 1 as x');
  for (const act of [
    () => provisioner.inspect(space),
    () => provisioner.kill(space.name),
    () => provisioner.ensure(space),
  ]) {
    killPostmaster(home);
    await act();
    assert.deepEqual(await provisioner.address(), before);
    assert.deepEqual(await inSpace(before, space, 'select * from kept'), [{ x: 1 }]);
  }
  killPostmaster(home);
  await provisioner.destroy(space.name);
  assert.deepEqual(await provisioner.inspect(space), { exists: false, isInUse: false });
});

test('postgres: takes the next port where its own is taken, and says so', async (t) => {
  const taken = createServer();
  cleanup(t, () => taken.close());
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  const home = temporaryFolder(t);
  const first = await openTestProvisioner(t, { home, port });
  const space = { name: first.nameFor(9, 'sandbox'), password: 'secret1' };
  await first.ensure(space);
  const address = await first.address();
  assert.ok(address.port > port && address.port < port + 50, `${address.port} for ${port}`);
  await inSpace(address, space, 'select 1');
  await first.close();
  await new Promise((resolve) => taken.close(resolve));
  // People have written it down: it stays although the first choice is free again.
  const second = await openTestProvisioner(t, { home, port });
  assert.deepEqual(await second.address(), address);

  // Somebody is quicker than the restart.
  const thief = createServer();
  cleanup(t, () => thief.close());
  killPostmaster(home);
  for (let tries = 0; ; tries++) {
    const won = await new Promise<boolean>((resolve) => {
      thief.once('error', () => resolve(false));
      thief.listen(address.port, address.host, () => resolve(true));
    });
    if (won) break;
    if (tries > 20) return t.skip('needs luck: the restart was quicker than the thief each time');
    killPostmaster(home);
  }
  await second.ensure(space);
  const moved = await second.address();
  assert.notEqual(moved.port, address.port);
  await inSpace(moved, space, 'select 1');
});

function temporaryFolder(t: TestContext): string {
  const home = mkdtempSync(path.join(tmpdir(), 'millrace-workspaces-'));
  cleanup(t, () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  return home;
}

function killPostmaster(home: string): void {
  const pid = Number.parseInt(readFileSync(path.join(home, 'postgres', 'postmaster.pid'), 'utf8'), 10);
  process.kill(pid, 'SIGKILL');
}

async function inSpace(
  address: { host: string; port: number },
  { name, password }: { name: string; password: string },
  statement: string,
) {
  // As clients do it: the server may be about to notice that it is dead, or to come back.
  return retry(
    async () => {
      const client = new pg.Client({ ...address, user: name, password, database: name });
      client.on('error', () => {
        // The kill that the test is about.
      });
      await client.connect();
      try {
        return (await client.query(statement)).rows;
      } finally {
        await client.end();
      }
    },
    () => true,
    { attempts: 20, firstMs: 50, maxMs: 500 },
  );
}
