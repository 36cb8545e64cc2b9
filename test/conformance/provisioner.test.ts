import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import mysql, { type RowDataPacket } from 'mysql2/promise';
import pg from 'pg';
import { openMysqlProvisioner } from '../../src/drivers/provisioners/mysql/index.ts';
import { cleanup } from '../support/cleanup.ts';
import { startMariadb } from '../support/mariadb.ts';
import { needs } from '../support/needs.ts';
import { openTestProvisioner } from '../support/workspaces.ts';
import { type OutsideSession, provisionerSuite } from './provisioner-suite.ts';

type Login = { name: string; password: string; database?: string };

async function postgresWorld(t: TestContext) {
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
      'select * from pg_authid',
      'select * from pg_locks',
      "select pg_read_file('/etc/passwd')",
      "copy (select 1) to '/tmp/millrace-stolen'",
      "copy (select 1) to program 'true'",
      'create schema another',
      'create database another',
      'create role another',
      `set role ${name}`,
      'set role millrace',
      "alter role current_user set temp_file_limit = '-1'",
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${name}'`,
      'select pg_stat_get_activity(null)',
    ],
    visibleSessions: 'select * from pg_stat_activity',
  };
}

async function mysqlWorld(t: TestContext) {
  if (!needs(t, 'mariadb')) return undefined;
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
      'select * from mysql.user',
      "select * from secrets into outfile '/tmp/millrace-stolen'",
      'create database another',
      "create user 'another'@'%'",
      `grant select on \`${name}\`.* to current_user`,
      'set global max_connections = 1',
    ],
    visibleSessions: 'show full processlist',
  };
}

provisionerSuite('postgres', postgresWorld);
provisionerSuite('mysql', mysqlWorld);

test('postgres: the password is no secret on the way, where TLS can be had', async (t) => {
  const { provisioner } = await postgresWorld(t);
  const name = provisioner.nameFor(7, 'sandbox');
  await provisioner.ensure({ name, password: 'secret1' });
  const client = new pg.Client({
    ...(await provisioner.address()),
    user: name,
    password: 'secret1',
    database: name,
    ssl: { rejectUnauthorized: false },
  });
  try {
    await client.connect();
  } catch (error) {
    if (!/does not support SSL/.test((error as Error).message)) throw error;
    return t.skip('needs openssl: no certificate could be made on this machine');
  }
  await client.end();
});

test('postgres: the owner of the cluster cannot log in from outside', async (t) => {
  const { provisioner } = await postgresWorld(t);
  for (const database of ['millrace', 'template1']) {
    const client = new pg.Client({ ...(await provisioner.address()), user: 'millrace', password: '', database });
    await assert.rejects(client.connect(), /pg_hba/);
  }
});

test('mysql: a login does not see databases with similar names', async (t) => {
  const world = await mysqlWorld(t);
  if (!world) return;
  const [mine, similar] = ['tapi_7_x', 'tapiX7Xx'];
  for (const name of [mine, similar]) await world.provisioner.ensure({ name, password: 'secret1' });
  const session = await world.connect({ name: mine, password: 'secret1' });
  assert.ok(!JSON.stringify(await session.query('show databases')).includes(similar));
  await session.close();
});
