import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { lakeSchema } from '../../src/core/tables/lake-store.ts';
import type { TestConnection } from './database.ts';
import { pythonEnvironment } from './python.ts';

/** Released builds of DuckDB and its extensions: none of our code, and not the DuckDB our engine runs on. */
const PACKAGES = [
  'duckdb==1.5.5',
  'duckdb-extension-ducklake==1.5.5',
  'duckdb-extension-postgres-scanner==1.5.5',
  // DuckDB wants it for timestamps with a time zone.
  'pytz==2025.2',
];

const PROGRAM = `
import sys, json, glob, os, duckdb
root = os.path.dirname(os.path.dirname(duckdb.__file__))
con = duckdb.connect(config={'autoinstall_known_extensions': 'false'})
for name in ('postgres_scanner', 'ducklake'):
    con.execute("LOAD '" + glob.glob(root + '/**/' + name + '.duckdb_extension', recursive=True)[0] + "'")
for line in sys.stdin:
    try:
        cursor = con.execute(json.loads(line))
        rows = cursor.fetchall() if cursor.description else []
        answer = {'rows': [[None if v is None else v if isinstance(v, (int, bool)) else str(v) for v in r] for r in rows]}
    except Exception as error:
        answer = {'error': str(error)}
    print(json.dumps(answer), flush=True)
`;

export type Cell = string | number | boolean | null;

/** One session of a stock DuckDB with the ducklake extension. */
export class StockDuckdb {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly answers: AsyncIterator<string>;
  private errors = '';

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    this.answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
  }

  /** Undefined, and the test skipped by name, where Python or the package index is missing. */
  static async open(t: TestContext): Promise<StockDuckdb | undefined> {
    const python = await pythonEnvironment(t, PACKAGES);
    if (python === undefined) return undefined;
    return new StockDuckdb(spawn(python, ['-c', PROGRAM], { stdio: 'pipe' }));
  }

  /** Runs one statement. Throws with DuckDB's message. */
  async query(sql: string): Promise<Cell[][]> {
    this.child.stdin.write(`${JSON.stringify(sql)}\n`);
    const line = await this.answers.next();
    if (line.done) throw new Error(`DuckDB has ended: ${this.errors}`);
    const answer = JSON.parse(line.value) as { rows: Cell[][] } | { error: string };
    if ('error' in answer) throw new Error(`${answer.error}\nin: ${sql}`);
    return answer.rows;
  }

  /** Attaches the lake of a project over PostgreSQL's Unix socket and makes it the default. */
  async attach(connection: TestConnection, projectId: number, alias = 'lake'): Promise<void> {
    const { host, user, database } = connection;
    await this.query(
      `ATTACH 'ducklake:postgres:host=${host} user=${user} dbname=${database}' AS ${alias} ` +
        `(METADATA_SCHEMA '${lakeSchema(projectId)}', CREATE_IF_NOT_EXISTS false)`,
    );
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.stdin.end();
    await once(this.child, 'exit');
  }
}
