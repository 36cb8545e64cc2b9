import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import { ensureCertificate } from '../../src/drivers/provisioners/postgres/certificate.ts';
import { cleanup, type Scope } from './cleanup.ts';
import { freePort } from './free-port.ts';
import { mariadbProgram } from './needs.ts';

export type TestMariadb = {
  /** As the setting wants it; of a login that may do everything. */
  url: string;
  /** As a crash does it. */
  stop(): Promise<void>;
  /** After a stop: the same data on the same port. */
  start(): Promise<void>;
};

const ADMIN = { user: 'operator', password: 'test-operator' };

/** A MariaDB of this test's or suite's own in a temporary folder. Guard the tests with `needs(t, 'mariadb')`. */
export async function startMariadb(t: Scope): Promise<TestMariadb> {
  const home = mkdtempSync(path.join(tmpdir(), 'millrace-mariadb-'));
  cleanup(t, () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];
  const folders = [`--datadir=${path.join(home, 'data')}`, ...messagesOf(process.env.MILLRACE_TEST_MARIADB)];
  const made = spawnSync(
    mariadbProgram('mariadb-install-db'),
    [
      '--no-defaults',
      ...user,
      ...folders.slice(0, 1),
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      ...(process.env.MILLRACE_TEST_MARIADB
        ? [`--basedir=${path.join(process.env.MILLRACE_TEST_MARIADB, 'usr')}`]
        : []),
    ],
    { encoding: 'utf8', timeout: 60_000 },
  );
  if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.stdout}${made.stderr}`);
  const port = await freePort();
  const socket = path.join(home, 's');
  const log = path.join(home, 'log');
  const certificate = ensureCertificate(home);
  const launch = () =>
    spawn(
      mariadbProgram('mariadbd'),
      [
        '--no-defaults',
        ...user,
        ...folders,
        `--port=${port}`,
        '--bind-address=127.0.0.1',
        `--socket=${socket}`,
        `--log-error=${log}`,
        `--pid-file=${path.join(home, 'pid')}`,
        '--innodb-flush-log-at-trx-commit=0',
        '--innodb-buffer-pool-size=32M',
        ...(certificate ? [`--ssl-cert=${home}/tls/server.crt`, `--ssl-key=${home}/tls/server.key`] : []),
      ],
      { stdio: 'ignore' },
    );
  let server = launch();
  const stop = () => end(server);
  cleanup(t, stop);
  await untilReady(server, log, () => makeAdmin(socket));
  const url = `mysql://${ADMIN.user}:${ADMIN.password}@127.0.0.1:${port}`;
  const start = async () => {
    server = launch();
    await untilReady(server, log, async () => (await mysql.createConnection(url)).end());
  };
  return { url, stop, start };
}

function messagesOf(root: string | undefined): string[] {
  return root === undefined ? [] : [`--lc-messages-dir=${path.join(root, 'usr/share/mysql')}`];
}

async function makeAdmin(socketPath: string): Promise<void> {
  const admin = await mysql.createConnection({ socketPath, user: 'root' });
  await admin.query(`CREATE USER '${ADMIN.user}'@'%' IDENTIFIED BY '${ADMIN.password}'`);
  await admin.query(`GRANT ALL PRIVILEGES ON *.* TO '${ADMIN.user}'@'%' WITH GRANT OPTION`);
  await admin.end();
}

async function untilReady(server: ChildProcess, log: string, act: () => Promise<void>): Promise<void> {
  const limit = Date.now() + 30_000;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (server.exitCode !== null || Date.now() > limit)
        throw new Error(`MariaDB does not start: ${readFileSync(log, 'utf8').slice(-2000)}`, { cause: error });
      await sleep(50);
    }
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, 'exit');
  server.kill('SIGKILL');
  await gone;
}
