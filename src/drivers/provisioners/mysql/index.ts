import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import mysql, { type Pool, type RowDataPacket } from 'mysql2/promise';
import { randomToken } from '../../../lib/ids.ts';
import type { Provisioner, Space, SpaceState } from '../contract.ts';
import { backendDown, patiently as patientlyFor, sessionsStay } from '../outage.ts';

export type MysqlProvisionerOptions = {
  /** `mysql://admin:password@host:3306`: a login with all privileges WITH GRANT OPTION. */
  url: string;
};

const CONNECT_MS = 5000;
const KILL_MS = 5000;
const CONNECTIONS_PER_LOGIN = 20;
/** The server is the operator's: a connection that it has dropped is made anew, a restart is not waited for. */
const PATIENCE = { attempts: 4, firstMs: 50, maxMs: 400 };
const NATIVE = 'mysql_native_password';
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
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    // MySQL's own clients take this very name for a socket file, whatever port they are given.
    this.#host = host === 'localhost' ? '127.0.0.1' : host;
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

  ensure({ name, password }: Space): Promise<void> {
    return patiently(async () => {
      const login = `${mysql.escape(name)}@'%'`;
      const limits = `WITH MAX_USER_CONNECTIONS ${CONNECTIONS_PER_LOGIN}`;
      await this.#run(
        `CREATE DATABASE IF NOT EXISTS ${mysql.escapeId(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
      );
      await this.#run(`CREATE USER IF NOT EXISTS ${login} IDENTIFIED BY ${mysql.escape(password)}`);
      await this.#run(`ALTER USER ${login} IDENTIFIED BY ${mysql.escape(password)} ${limits}`);
      // In a grant an underscore stands for any character: unescaped, the login would see databases with similar names.
      const pattern = mysql.escapeId(name.replaceAll('_', '\\_'), true);
      await this.#run(`GRANT ${PRIVILEGES} ON ${pattern}.* TO ${login}`);
    });
  }

  inspect({ name, password }: Space): Promise<SpaceState> {
    return patiently(async () => {
      const databases = await this.#run('SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?', [name]);
      const [login] = await this.#run(
        'SELECT plugin, CONVERT(authentication_string USING utf8mb4) AS verifier FROM mysql.user WHERE User = ?',
        [name],
      );
      const takesPassword = login?.plugin !== NATIVE || login.verifier === nativeVerifier(password);
      return {
        exists: databases.length > 0 && login !== undefined && takesPassword,
        isInUse: (await this.#sessions(name)).length > 0,
      };
    });
  }

  kill(name: string): Promise<void> {
    return patiently(() => this.#endSessions(name));
  }

  destroy(name: string): Promise<void> {
    return patiently(async () => {
      // Without a login nobody comes back while the sessions are ended.
      await this.#run(`DROP USER IF EXISTS ${mysql.escape(name)}@'%'`);
      await this.#endSessions(name);
      await this.#run(`DROP DATABASE IF EXISTS ${mysql.escapeId(name)}`);
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #sessions(name: string): Promise<number[]> {
    const rows = await this.#run('SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = ?', [name]);
    return rows.map(({ id }) => Number(id));
  }

  /** Those that there are: who connects again and again would otherwise never be done with. Ids are not used twice. */
  async #endSessions(name: string): Promise<void> {
    const ids = await this.#sessions(name);
    for (const id of ids) await this.#killOne(id);
    for (const limit = Date.now() + KILL_MS; ; await sleep(20)) {
      const left = await this.#sessions(name);
      if (!left.some((id) => ids.includes(id))) return;
      if (Date.now() > limit) throw sessionsStay();
    }
  }

  async #killOne(id: number): Promise<void> {
    try {
      await this.#pool.query(`KILL CONNECTION ${id}`);
    } catch (error) {
      if ((error as { errno?: number }).errno !== NO_SUCH_THREAD) throw toAppError(error);
    }
  }

  async #run(text: string, values: unknown[] = []): Promise<RowDataPacket[]> {
    try {
      const [rows] = await this.#pool.query<RowDataPacket[]>(text, values);
      return rows;
    } catch (error) {
      throw toAppError(error);
    }
  }
}

/** What the older way to check passwords, MariaDB's default, keeps of one. Others cannot be compared from outside. */
function nativeVerifier(password: string): string {
  const once = createHash('sha1').update(password).digest();
  return `*${createHash('sha1').update(once).digest('hex').toUpperCase()}`;
}

const patiently = <T>(act: () => Promise<T>) => patientlyFor(act, PATIENCE);

function toAppError(error: unknown) {
  // The driver hangs the statement, and with it the new password, on its errors.
  const { code, errno, message } = error as { code?: string; errno?: number; message?: string };
  const isRefusal = errno !== undefined && errno > 0;
  return backendDown(new Error(isRefusal ? `${code ?? ''} ${errno}` : (message ?? code ?? 'unknown')));
}
