import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Command, dataDirectory, kill, postgresPid, type Ready } from '../journeys/command.ts';
import { cleanup } from '../support/cleanup.ts';

type Login = { hostname: string; port: number; db: string; user: string; password: string; id: number };
type Created = { credentials: Login };

const TYPES = ['transformations', 'sandbox', 'writer', 'luckyguess'];

test('a server killed while it makes and drops databases leaves no orphan and keeps what it has promised', async (t) => {
  const home = dataDirectory(t);
  cleanup(t, () => {
    const pid = postgresPid(path.join(home, 'workspaces'));
    if (pid !== undefined) kill(pid, 'SIGKILL');
  });
  const promised = new Map<string, Login>();
  for (const killAfterMs of [30, 120, 250]) {
    const { command, call } = await start(t, home);
    const calls = TYPES.map(async (type, i) => {
      const known = promised.get(type);
      if (known && i % 2 === 0) {
        // Whether it is gone or not, nobody can say who was not answered.
        promised.delete(type);
        await call('DELETE', `/${known.id}`).catch(() => undefined);
        return;
      }
      const answer = await call<Created>('POST', '', { type }).catch(() => undefined);
      if (answer) promised.set(type, answer.credentials);
    });
    await sleep(promised.size === 0 ? killAfterMs + 3000 : killAfterMs);
    command.child.kill('SIGKILL');
    await Promise.all(calls);
  }

  const { command } = await start(t, home);
  for (const login of promised.values()) await (await connect(login)).end();
  // The sweep at the start is over when the backend holds what the rows say.
  const deadline = Date.now() + 20_000;
  let seen: { rows: string[]; databases: string[] } | undefined;
  do {
    seen = { rows: await rowsOf(home), databases: await databasesOf(home) };
    if (JSON.stringify(seen.rows) === JSON.stringify(seen.databases)) break;
    await sleep(100);
  } while (Date.now() < deadline);
  assert.deepEqual(seen.databases, seen.rows);
  assert.ok(promised.size > 0, 'no workspace was made before any of the kills');
  const [login] = promised.values();
  assert.ok(login);
  command.child.kill('SIGTERM');
  assert.equal((await command.finished).code, 0);
  await assert.rejects(connect(login), 'the database outlives a server that was stopped');
});

async function start(t: TestContext, home: string) {
  const command = new Command(t, ['up', '--json', '--data', home, '--port', '0'], {
    env: { MILLRACE_WORKSPACE_PORT: '0' },
  });
  const ready: Ready = await command.ready();
  const { keboola } = JSON.parse(readFileSync(path.join(home, 'credentials.json'), 'utf8')) as {
    keboola: { storageToken: string };
  };
  const call = async <T>(method: string, rest: string, body?: object): Promise<T> => {
    const response = await fetch(`${ready.url}/syrup/provisioning/redshift-workspace${rest}`, {
      method,
      headers: { 'x-storageapi-token': keboola.storageToken, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as T;
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
  const roles = await namesIn(found, "select rolname as name from pg_roles where rolname ~ '^workspace_' order by 1");
  return databases.length === roles.length ? databases : [...databases, 'and other roles:', ...roles];
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
