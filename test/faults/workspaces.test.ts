import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import mysql, { type RowDataPacket } from 'mysql2/promise';
import pg from 'pg';
import { Command, dataDirectory, kill, postgresPid, type Ready } from '../journeys/command.ts';
import { cleanup } from '../support/cleanup.ts';
import { startMariadb } from '../support/mariadb.ts';
import { needs } from '../support/needs.ts';

type Login = { hostname: string; port: number; db: string; user: string; password: string; id: number };
type Call = <T>(method: string, rest: string, body?: object) => Promise<T>;
type Backend = {
  name: 'redshift-workspace' | 'mysql';
  types: string[];
  env: Record<string, string>;
  /** Logs in and out. */
  enter(login: Login): Promise<void>;
  /** Databases of workspaces by name, and logins of which they have none or too many. */
  databases(home: string): Promise<string[]>;
};

const POSTGRES: Backend = {
  name: 'redshift-workspace',
  types: ['transformations', 'sandbox', 'writer', 'luckyguess'],
  env: {},
  enter: async (login) => (await connect(login)).end(),
  databases: databasesOf,
};

test('a server killed while it makes and drops databases leaves no orphan and keeps what it has promised', async (t) => {
  const { home, command, promised } = await killedAgainAndAgain(t, POSTGRES);
  const [login] = promised.values();
  assert.ok(login);
  command.child.kill('SIGTERM');
  assert.equal((await command.finished).code, 0);
  await assert.rejects(connect(login), 'the database outlives a server that was stopped');
  assert.equal(postgresPid(path.join(home, 'workspaces')), undefined);
});

test('the same holds on a MariaDB', async (t) => {
  if (!needs(t, 'mariadb')) return;
  const { url } = await startMariadb(t);
  await killedAgainAndAgain(t, {
    name: 'mysql',
    types: ['transformations', 'sandbox'],
    env: { MILLRACE_WORKSPACE_MYSQL_URL: url },
    async enter({ hostname: host, port, db: database, user, password }) {
      await (await mysql.createConnection({ host, port, database, user, password })).end();
    },
    async databases() {
      const admin = await mysql.createConnection(url);
      const names = async (query: string) =>
        (await admin.query<RowDataPacket[]>(query))[0].map((row) => String(row.name)).sort();
      const found = await names(
        "select schema_name as name from information_schema.schemata where schema_name like 'tapi%'",
      );
      const logins = await names("select user as name from mysql.user where user like 'tapi%'");
      await admin.end();
      return withLogins(found, logins);
    },
  });
});

test('the PostgreSQL of workspaces, killed while they are made and dropped, comes back with all of them', async (t) => {
  const home = folderOf(t);
  const { command, call } = await start(t, home, POSTGRES);
  const kept = (await call<{ credentials: Login }>('POST', '', { type: 'writer' })).credentials;
  const client = await connect(kept);
  // Servers of tests do not wait for their disk otherwise.
  await client.query('set synchronous_commit = on; create table kept as select 1 as x');
  const promised = new Map([['writer', kept]]);
  for (const killAfterMs of [0, 60, 150, 400]) {
    const calls = ['transformations', 'sandbox', 'luckyguess'].map((type) => change(call, promised, type));
    await sleep(killAfterMs);
    const pid = postgresPid(path.join(home, 'workspaces'));
    if (pid !== undefined) kill(pid, 'SIGKILL');
    await Promise.all(calls);
  }
  await assert.rejects(client.query('select 1'), 'the server was not killed');
  for (const login of promised.values()) await POSTGRES.enter(login);
  const again = await connect(kept);
  assert.deepEqual((await again.query('select x from kept')).rows, [{ x: 1 }]);
  await again.end();
  await noOrphans(home, POSTGRES);
  command.child.kill('SIGTERM');
  assert.equal((await command.finished).code, 0);
});

async function killedAgainAndAgain(t: TestContext, backend: Backend) {
  const home = folderOf(t);
  const promised = new Map<string, Login>();
  for (const killAfterMs of [0, 60, 200]) {
    const { command, call } = await start(t, home, backend);
    const calls = backend.types.map((type) => change(call, promised, type));
    // The first call starts the server behind, which takes its time on a busy machine.
    for (const limit = Date.now() + 30_000; promised.size === 0 && Date.now() < limit; ) await sleep(20);
    await sleep(killAfterMs);
    command.child.kill('SIGKILL');
    await Promise.all(calls);
  }
  const { command } = await start(t, home, backend);
  for (const login of promised.values()) await backend.enter(login);
  await noOrphans(home, backend);
  assert.ok(promised.size > 0, 'no workspace was made before any of the kills');
  return { home, command, promised };
}

/** Drops every other one that there is, makes those that are missing. */
async function change(call: Call, promised: Map<string, Login>, type: string): Promise<void> {
  const known = promised.get(type);
  if (known && known.id % 2 === 0) {
    // Whether it is gone or not, nobody can say who was not answered.
    promised.delete(type);
    await call('DELETE', `/${known.id}`).catch(() => undefined);
    return;
  }
  const answer = await call<{ credentials: Login }>('POST', '', { type }).catch(() => undefined);
  if (answer) promised.set(type, answer.credentials);
}

/** The sweep at the start is over when the backend holds what the rows say. */
async function noOrphans(home: string, backend: Backend): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const seen = { rows: await rowsOf(home), databases: await backend.databases(home) };
    if (JSON.stringify(seen.rows) === JSON.stringify(seen.databases)) return;
    if (Date.now() > deadline) assert.deepEqual(seen.databases, seen.rows);
    await sleep(100);
  }
}

function folderOf(t: TestContext): string {
  const home = dataDirectory(t);
  cleanup(t, () => {
    const pid = postgresPid(path.join(home, 'workspaces'));
    if (pid !== undefined) kill(pid, 'SIGKILL');
  });
  return home;
}

async function start(t: TestContext, home: string, backend: Backend) {
  const command = new Command(t, ['up', '--json', '--data', home, '--port', '0'], {
    env: { MILLRACE_WORKSPACE_PORT: '0', ...backend.env },
  });
  const ready: Ready = await command.ready();
  const { keboola } = JSON.parse(readFileSync(path.join(home, 'credentials.json'), 'utf8')) as {
    keboola: { storageToken: string };
  };
  const call: Call = async (method, rest, body) => {
    const response = await fetch(`${ready.url}/syrup/provisioning/${backend.name}${rest}`, {
      method,
      headers: { 'x-storageapi-token': keboola.storageToken, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as never;
  };
  return { command, call };
}

/** The server starts it without being asked, but a moment after it is ready itself. */
async function connect({ hostname, port, db, user, password }: Login): Promise<pg.Client> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ host: hostname, port, database: db, user, password });
    client.on('error', () => {
      // Reported where it is used.
    });
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (tries >= 10) throw error;
      await sleep(300);
    }
  }
}

/** Both by name; through the sockets, as their owner. */
async function rowsOf(home: string): Promise<string[]> {
  return namesIn({ host: path.join(home, 'run'), port: 5432 }, 'select name from millrace.workspaces order by 1');
}

async function databasesOf(home: string): Promise<string[]> {
  const folder = path.join(home, 'workspaces');
  const found = { host: path.join(folder, 'run'), port: Number(readFileSync(path.join(folder, 'port'), 'utf8')) };
  const databases = await namesIn(
    found,
    "select datname as name from pg_database where datname ~ '^workspace_[0-9]+$' order by 1",
  );
  const roles = await namesIn(
    found,
    "select rolname as name from pg_roles where rolname ~ '^workspace_[0-9]+$' order by 1",
  );
  return withLogins(databases, roles);
}

function withLogins(databases: string[], logins: string[]): string[] {
  return databases.join() === logins.join() ? databases : [...databases, 'and other logins:', ...logins];
}

async function namesIn(place: { host: string; port: number }, query: string): Promise<string[]> {
  const client = new pg.Client({ ...place, user: 'millrace', database: 'millrace' });
  await client.connect();
  try {
    return (await client.query<{ name: string }>(query)).rows.map(({ name }) => name);
  } finally {
    await client.end();
  }
}
