import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { AppError, errors } from '../../../core/errors.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../db/embedded-postgres.ts';
import type { Logger } from '../../../lib/logger.ts';
import { readIfThere, writePrivateFile } from '../../../lib/private-file.ts';
import type { Provisioner, Space, SpaceState } from '../contract.ts';
import { backendDown, patiently as patientlyFor, sessionsStay } from '../outage.ts';
import { ensureCertificate } from './certificate.ts';
import { isVerifierOf, scramVerifier } from './scram.ts';
import { spaceTables } from './space-tables.ts';
import { MEND_OLD_SPACE, TEMPLATE, TEMPLATE_STATEMENTS } from './template.ts';

export type PostgresProvisionerOptions = {
  /** A folder of its own; made at the first use. */
  home: string;
  /** The address to listen on. */
  host: string;
  /** The first port to try; the ones above it are next. 0 takes any. */
  port: number;
  /** PEM texts; without them a certificate of our own is made where openssl is installed. */
  tls?: { cert: string; key: string } | undefined;
  log: Logger;
  /** Off for tests. */
  fsync?: boolean;
};

const CONNECTIONS_PER_LOGIN = 20;
const MAX_CONNECTIONS = 200;
/** People may set work_mem as they like. */
const PROCESS_MEMORY_MB = 1024;
const KILL_MS = 5000;
const PORTS_TRIED = 50;
/** Some ten seconds: long enough for the server to be started again after its death on a busy machine. */
const PATIENCE = { attempts: 20, firstMs: 50, maxMs: 800 };
/** Connection lost, out of resources, shut down, broken machine; the template is being copied by somebody else. */
const OUTAGES = /^(08|53|57P|58|XX)|^55006$/;

/** What we have acknowledged survives a kill, also where the server was told not to care (tests). */
const DURABLE = '-c synchronous_commit=on';

const SETTINGS = [
  'password_encryption=scram-sha-256',
  'max_prepared_transactions=0',
  'max_locks_per_transaction=256',
  // Ours to end sessions with when the logins have used up all others.
  'superuser_reserved_connections=8',
  'authentication_timeout=10s',
  // What people write into their statements is not for our log, and their mistakes must not fill the disk.
  'log_min_duration_statement=-1',
  'log_min_error_statement=panic',
  'log_min_messages=fatal',
];

/**
 * Spaces on a PostgreSQL of our own beside the metadata's, started at the first use. Each space is a database of its
 * own, because the catalogue of a database (names, definitions, comments) is open to everybody who may enter it; the
 * access rules let a login enter only the database of its own name.
 */
export async function openPostgresProvisioner(options: PostgresProvisionerOptions): Promise<Provisioner> {
  return new PostgresProvisioner(options);
}

type Running = { server: EmbeddedPostgres; pool: pg.Pool; poolPort: number };

class PostgresProvisioner implements Provisioner {
  readonly #options: PostgresProvisionerOptions;
  #running: Promise<Running> | undefined;
  #isClosed = false;
  readonly tables = spaceTables(async ({ name, password }) => ({ ...(await this.address()), name, password }));

  constructor(options: PostgresProvisionerOptions) {
    this.#options = options;
  }

  nameFor(id: number): string {
    return `workspace_${id}`;
  }

  describe(name: string) {
    return { database: name, schema: name, user: name };
  }

  async address() {
    const { server } = await this.#start();
    return { host: this.#options.host, port: server.connection.port };
  }

  ensure({ name, password }: Space): Promise<void> {
    return patiently(async () => {
      const role = pg.escapeIdentifier(name);
      const has = await this.#look(name);
      // A verifier instead of the password: statements may end up in the log of the server.
      const login = `login connection limit ${CONNECTIONS_PER_LOGIN} password ${pg.escapeLiteral(scramVerifier(password))}`;
      await this.#run(`${has.verifier === undefined ? 'create' : 'alter'} role ${role} ${login}`);
      await this.#run(`alter role ${role} set search_path = ${role}`);
      await this.#run(`alter role ${role} set temp_file_limit = '4GB'`);
      if (!has.database) await this.#run(`create database ${role} template ${TEMPLATE} strategy file_copy`);
      await this.#run(`revoke all on database ${role} from public`);
      await this.#run(`grant connect, temporary on database ${role} to ${role}`);
      // Ours: whoever owned the schema could drop it, and may make no other.
      await this.#inDatabase(name, [`create schema if not exists ${role}`, `grant all on schema ${role} to ${role}`]);
    });
  }

  inspect({ name, password }: Space): Promise<SpaceState> {
    return patiently(async () => {
      const { verifier, database, isInUse } = await this.#look(name);
      return { exists: database && verifier !== undefined && isVerifierOf(verifier, password), isInUse };
    });
  }

  kill(name: string): Promise<void> {
    return patiently(() => this.#endSessions(name));
  }

  destroy(name: string): Promise<void> {
    return patiently(async () => {
      const role = pg.escapeIdentifier(name);
      // First, or a client that connects again and again would be back before its database is gone.
      if ((await this.#look(name)).verifier !== undefined) await this.#run(`alter role ${role} nologin`);
      await this.#endSessions(name);
      await this.#run(`drop database if exists ${role} with (force)`);
      await this.#run(`drop role if exists ${role}`);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const running = await this.#running?.catch(() => undefined);
    this.#running = undefined;
    await running?.pool.end();
    await running?.server.stop();
  }

  /** `verifier` is what the server keeps of the password; undefined where there is no such login. */
  async #look(name: string): Promise<{ verifier: string | undefined; database: boolean; isInUse: boolean }> {
    const [found] = await this.#run<{ verifier: string | null; database: boolean; isInUse: boolean }>(
      `select (select coalesce(rolpassword, '') from pg_authid where rolname = $1) as verifier,
         exists (select from pg_database where datname = $1) as database,
         exists (select from pg_stat_activity where usename = $1) as "isInUse"`,
      [name],
    );
    return { database: false, isInUse: false, ...found, verifier: found?.verifier ?? undefined };
  }

  /** All at once and then waited for: one after the other could take as long as there are sessions. */
  async #endSessions(name: string): Promise<void> {
    const theirs = 'pid, backend_start::text as started from pg_stat_activity where usename = $1';
    // Not in a condition: it might be asked of all sessions before the one that tells whose they are.
    const sessions = await this.#run<{ pid: number; started: string }>(`select pg_terminate_backend(pid), ${theirs}`, [
      name,
    ]);
    const keys = new Set(sessions.map(({ pid, started: at }) => `${pid} ${at}`));
    for (const limit = Date.now() + KILL_MS; ; await sleep(20)) {
      const left = await this.#run<{ pid: number; started: string }>(`select ${theirs}`, [name]);
      if (!left.some(({ pid, started: at }) => keys.has(`${pid} ${at}`))) return;
      if (Date.now() > limit) throw sessionsStay();
    }
  }

  async #run<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    const running = await this.#start();
    const { port } = running.server.connection;
    if (running.poolPort !== port) {
      // Somebody took the port between the death of the server and its restart.
      running.pool.end().catch(() => undefined);
      Object.assign(running, { pool: this.#openPool(running.server), poolPort: port });
    }
    try {
      return (await running.pool.query<Row>(text, values)).rows;
    } catch (error) {
      throw toThrown(error);
    }
  }

  async #inDatabase(database: string, statements: readonly string[]): Promise<void> {
    const { server } = await this.#start();
    await inDatabase(server, database, statements).catch((error: unknown) => {
      throw toThrown(error);
    });
  }

  #start(): Promise<Running> {
    if (this.#isClosed) throw errors.unavailable('The server is stopping.');
    this.#running ??= this.#open().catch((error: unknown) => {
      // The next call tries again.
      this.#running = undefined;
      throw toThrown(error);
    });
    return this.#running;
  }

  async #open(): Promise<Running> {
    const { home, host, log, tls, fsync = true } = this.#options;
    const server = await startEmbeddedPostgres({
      home,
      log,
      fsync,
      maxConnections: MAX_CONNECTIONS,
      outside: {
        host,
        choosePort: () => this.#choosePort(),
        tls: tls ?? ensureCertificate(home),
        // Nobody but the owner of the database that has the login's name; the owner of the cluster never from outside.
        rules: ['host all millrace all reject', 'host sameuser all all scram-sha-256'],
        settings: SETTINGS,
        processMemoryMb: PROCESS_MEMORY_MB,
      },
    });
    const pool = this.#openPool(server);
    try {
      await ensureTemplate(server, pool);
    } catch (error) {
      await pool.end();
      await server.stop();
      throw error;
    }
    return { server, pool, poolPort: server.connection.port };
  }

  #openPool({ connection }: EmbeddedPostgres): pg.Pool {
    const { log } = this.#options;
    const pool = new pg.Pool({
      ...connection,
      options: DURABLE,
      max: 4,
      connectionTimeoutMillis: 10_000,
      idleTimeoutMillis: 30_000,
    });
    pool.on('error', ({ message }) => log.info({ reason: message }, 'a connection to the workspace database was lost'));
    return pool;
  }

  /** The same as last time while it is free: people have copied it into other programs. */
  async #choosePort(): Promise<number> {
    const { home, host, port } = this.#options;
    const file = path.join(home, 'port');
    const last = Number(readIfThere(file) ?? 0);
    const candidates = [
      ...(last > 0 ? [last] : []),
      ...Array.from({ length: PORTS_TRIED }, (_, i) => port && port + i),
    ];
    for (const candidate of candidates) {
      const free = candidate > 65_535 ? undefined : await tryPort(host, candidate);
      if (free === undefined) continue;
      if (free !== last) writePrivateFile(file, `${free}\n`);
      return free;
    }
    throw errors.unavailable(`No port from ${port} on is free on ${host} for the workspace database.`);
  }
}

/** The port itself, or the one that the system gave for 0; undefined when it is taken. */
function tryPort(host: string, port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(undefined));
    probe.listen({ host, port, exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
    });
  });
}

/** Made under another name and renamed: one with the right name is complete. */
async function ensureTemplate(server: EmbeddedPostgres, pool: pg.Pool): Promise<void> {
  const found = await pool.query('select 1 from pg_database where datname = $1', [TEMPLATE]);
  if (found.rowCount !== 0) return;
  const old = await pool.query<{ name: string }>(
    `select datname as name from pg_database where datname ~ '^workspace_[0-9]+$' and datallowconn`,
  );
  for (const { name } of old.rows) await inDatabase(server, name, [MEND_OLD_SPACE]);
  const draft = `${TEMPLATE}_new`;
  await pool.query(`drop database if exists ${draft} with (force)`);
  await pool.query(`create database ${draft} template template0`);
  await inDatabase(server, draft, TEMPLATE_STATEMENTS);
  await pool.query(`alter database ${draft} rename to ${TEMPLATE}`);
}

async function inDatabase(server: EmbeddedPostgres, database: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ ...server.connection, database, options: DURABLE });
  client.on('error', () => {
    // The statement that was running reports it.
  });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

const patiently = <T>(act: () => Promise<T>) => patientlyFor(act, PATIENCE);

/** A refusal of the server's is our mistake and no outage: it stays what it is. */
function toThrown(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const { code, severity } = error as { code?: string; severity?: string };
  return severity !== undefined && !OUTAGES.test(code ?? '') ? error : backendDown(error);
}
