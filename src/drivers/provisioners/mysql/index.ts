import { setTimeout as sleep } from 'node:timers/promises';
import mysql, { type Pool, type RowDataPacket } from 'mysql2/promise';
import { errors } from '../../../core/errors.ts';
import { randomToken } from '../../../lib/ids.ts';
import type { Provisioner, SpaceState } from '../contract.ts';

export type MysqlProvisionerOptions = {
  /** `mysql://admin:password@host:3306`: a login with all privileges WITH GRANT OPTION. */
  url: string;
};

const CONNECT_MS = 5000;
const KILL_MS = 5000;
const CONNECTIONS_PER_LOGIN = 20;
/** The session to kill has ended by itself. */
const NO_SUCH_THREAD = 1094;
/** All that concerns one database. FILE, PROCESS, SUPER and everything else that reaches beyond it stays away. */
const PRIVILEGES =
  'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES, ' +
  'CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, TRIGGER';

/** Spaces on a MariaDB or MySQL of the operator's: one database and one login each. Connects at the first use. */
export async function openMysqlProvisioner({ url }: MysqlProvisionerOptions): Promise<Provisioner> {
  return new MysqlProvisioner(new URL(url));
}

class MysqlProvisioner implements Provisioner {
  readonly #host: string;
  readonly #port: number;
  readonly #pool: Pool;

  constructor(url: URL) {
    this.#host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    this.#port = Number(url.port || 3306);
    this.#pool = mysql.createPool({
      host: this.#host,
      port: this.#port,
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      connectTimeout: CONNECT_MS,
      connectionLimit: 4,
      maxIdle: 1,
      idleTimeout: 30_000,
    });
  }

  /** The random part keeps apart two platforms that share a server. At most 32 characters, which is MySQL's limit. */
  nameFor(id: number, purpose: string): string {
    return `tapi_${id}_${randomToken(4).toLowerCase()}_${purpose.slice(0, 4)}`;
  }

  describe(name: string) {
    return { database: name, schema: undefined, user: name };
  }

  async address() {
    return { host: this.#host, port: this.#port };
  }

  async ensure({ name, password }: { name: string; password: string }): Promise<void> {
    const login = `${mysql.escape(name)}@'%'`;
    await this.#run(`CREATE DATABASE IF NOT EXISTS ${mysql.escapeId(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
    await this.#run(`CREATE USER IF NOT EXISTS ${login} IDENTIFIED BY ${mysql.escape(password)}`);
    await this.#run(
      `ALTER USER ${login} IDENTIFIED BY ${mysql.escape(password)} WITH MAX_USER_CONNECTIONS ${CONNECTIONS_PER_LOGIN}`,
    );
    // In a grant an underscore stands for any character: unescaped, the login would see databases with similar names.
    const pattern = mysql.escapeId(name.replaceAll('_', '\\_'), true);
    await this.#run(`GRANT ${PRIVILEGES} ON ${pattern}.* TO ${login}`);
  }

  async inspect(name: string): Promise<SpaceState> {
    const databases = await this.#run('SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?', [name]);
    const logins = await this.#run('SELECT 1 FROM mysql.user WHERE User = ?', [name]);
    return { exists: databases.length > 0 && logins.length > 0, isInUse: (await this.#sessions(name)).length > 0 };
  }

  async kill(name: string): Promise<void> {
    const limit = Date.now() + KILL_MS;
    for (;;) {
      const sessions = await this.#sessions(name);
      if (sessions.length === 0) return;
      if (Date.now() > limit) throw errors.unavailable('Sessions of the workspace do not end.');
      for (const id of sessions) await this.#killOne(id);
      await sleep(20);
    }
  }

  async destroy(name: string): Promise<void> {
    const login = `${mysql.escape(name)}@'%'`;
    // Without a login nobody comes back while the sessions are ended.
    await this.#run(`DROP USER IF EXISTS ${login}`);
    await this.kill(name);
    await this.#run(`DROP DATABASE IF EXISTS ${mysql.escapeId(name)}`);
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #sessions(name: string): Promise<number[]> {
    const rows = await this.#run('SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = ?', [name]);
    return rows.map(({ id }) => Number(id));
  }

  async #killOne(id: number): Promise<void> {
    try {
      await this.#pool.query(`KILL CONNECTION ${id}`);
    } catch (error) {
      if ((error as { errno?: number }).errno !== NO_SUCH_THREAD) throw unavailable(error);
    }
  }

  async #run(text: string, values: unknown[] = []): Promise<RowDataPacket[]> {
    try {
      const [rows] = await this.#pool.query<RowDataPacket[]>(text, values);
      return rows;
    } catch (error) {
      throw unavailable(error);
    }
  }
}

function unavailable(error: unknown) {
  // The driver hangs the statement, and with it the new password, on its errors.
  const { code, errno, message } = error as { code?: string; errno?: number; message?: string };
  const isRefusal = errno !== undefined && errno > 0;
  const cause = new Error(isRefusal ? `${code ?? ''} ${errno}` : (message ?? code ?? 'unknown'));
  return errors.unavailable('The workspace database is not available. Try again in a moment.', cause);
}
