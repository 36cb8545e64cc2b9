import './byte-order-marks.ts';
import { Socket } from 'node:net';
import { type DuckDBConnection, DuckDBInstance, StatementType } from '@duckdb/node-api';
import { AppError, errors } from '../../../core/errors.ts';
import type { SessionColumn, SessionSpec } from '../contract.ts';
import { serveChannel } from './channel.ts';
import { diskFull, duckdbFault } from './errors.ts';
import { column, condition, emptyFileCopy, identifier, literal, literals, mentionedFields, relation } from './sql.ts';
import { changedTables, type SqlStatement, splitStatements, statementRole } from './sql-script.ts';

/**
 * The process of one SQL session. Everything it may touch is fixed before the first statement of the user: its input
 * files, its own directory, its memory; then DuckDB's configuration is locked. Statements that reach outside (COPY,
 * ATTACH, LOAD, SET ...) are refused by kind, because paths allowed for reading would be allowed for writing as well.
 */
export type SessionStart = {
  tables: SessionSpec['tables'];
  /** Existing directory for exported tables and spill files. */
  directory: string;
  memoryLimitMb: number;
  threads: number;
};

async function emptyDatabase(): Promise<{ instance: DuckDBInstance; connection: DuckDBConnection }> {
  const instance = await DuckDBInstance.create(':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    allow_persistent_secrets: 'false',
  });
  const connection = await instance.connect();
  await connection.run('SELECT 1');
  return { instance, connection };
}

// Before the first message: a spare process is worth something only if DuckDB is already up.
let { instance, connection } = await emptyDatabase();

/** Inputs that are still views over the files of the lake: lower-case name -> name. */
const viewed = new Map<string, string>();
/** Paths that must not be shown, and what to show instead. */
let hidden: [string, string][] = [];

/** Makes the process as good as new for the same tenant: nothing of the session before is left in it. */
async function rest(): Promise<void> {
  connection.closeSync();
  instance.closeSync();
  viewed.clear();
  hidden = [];
  ({ instance, connection } = await emptyDatabase());
}

async function start(spec: SessionStart): Promise<void> {
  const files = spec.tables.flatMap(({ name, version }) =>
    version.files.flatMap((file) =>
      [file.path, ...(file.deleteFile ? [file.deleteFile.path] : [])].map((path) => ({ name, path })),
    ),
  );
  hidden = [...files.map(({ name, path }): [string, string] => [path, name]), [spec.directory, '']];
  const emptyFile = `${spec.directory}/empty.parquet`;
  await connection.run(emptyFileCopy(emptyFile));
  for (const { name, version, columns, filter, limit } of spec.tables) {
    const cells = columns.map((item) => `${column(item.fieldId)} AS ${identifier(item.name)}`);
    const scanned = [...new Set([...columns.map(({ fieldId }) => fieldId), ...mentionedFields(filter)])];
    const where = filter === undefined ? '' : ` WHERE ${condition(filter, version.columns)}`;
    const rows = `${where}${limit === undefined ? '' : ` LIMIT ${Math.trunc(limit)}`}`;
    const from = relation(version, scanned, { emptyFile });
    await connection.run(`CREATE VIEW ${identifier(name)} AS SELECT ${cells.join(', ')} FROM ${from}${rows}`);
    viewed.set(name.toLowerCase(), name);
  }
  for (const [setting, value] of [
    ['memory_limit', `'${spec.memoryLimitMb}MB'`],
    ['threads', String(spec.threads)],
    ['temp_directory', literal(`${spec.directory}/spill`)],
    ['allowed_paths', literals(files.map(({ path }) => path))],
    ['allowed_directories', literals([`${spec.directory}/`])],
    ['enable_external_access', 'false'],
    ['lock_configuration', 'true'],
  ]) {
    await connection.run(`SET ${setting} = ${value}`);
  }
}

const ALLOWED_TYPES = new Set([
  StatementType.SELECT,
  StatementType.INSERT,
  StatementType.UPDATE,
  StatementType.DELETE,
  StatementType.MERGE_INTO,
  StatementType.CREATE,
  StatementType.CREATE_FUNC,
  StatementType.ALTER,
  StatementType.DROP,
  StatementType.TRANSACTION,
  StatementType.ANALYZE,
  StatementType.VACUUM,
]);

const refused = (statement: SqlStatement) =>
  new AppError(
    'invalid',
    'sql.refused',
    `The statement ${statement.tokens
      .slice(0, 2)
      .map((token) => token.text)
      .join(' ')} is not allowed in a transformation.`,
    { details: { statement: shortened(statement.text) } },
  );

const shortened = (text: string) => (text.length > 2000 ? `${text.slice(0, 2000)}...` : text);

const REFUSED_VERBS = new Set(
  (
    'ATTACH CALL CHECKPOINT COPY CREATE DEALLOCATE DETACH EXECUTE EXPLAIN EXPORT FORCE IMPORT INSTALL LOAD PRAGMA ' +
    'PREPARE RESET SET UPDATE USE'
  ).split(' '),
);

/**
 * A mistyped verb is a mistake, not a forbidden act, and DuckDB says best where it is. Only what begins with no verb at
 * all is shown to its parser: that one already acts on some statements (PRAGMA, IMPORT).
 */
async function refusal(statement: SqlStatement): Promise<AppError> {
  const [first] = statement.tokens;
  if (first?.kind !== 'word' || !REFUSED_VERBS.has(first.text)) {
    try {
      await connection.extractStatements(statement.text);
    } catch (thrown) {
      return userError(thrown, statement.text);
    }
  }
  return refused(statement);
}

async function run(sql: string, signal: AbortSignal): Promise<void> {
  for (const statement of splitStatements(sql)) {
    signal.throwIfAborted();
    const role = statementRole(statement);
    if (role === 'refused') throw await refusal(statement);
    await materialiseChanged(statement);
    try {
      await runStatement(statement, role === 'change', signal);
    } catch (thrown) {
      throw userError(thrown, statement.text);
    }
  }
}

async function runStatement(statement: SqlStatement, execute: boolean, signal: AbortSignal): Promise<void> {
  const extracted = await connection.extractStatements(statement.text);
  // DuckDB turns some statements into several (PIVOT): the earlier ones must run for the later ones to be understood.
  for (let index = 0; index < extracted.count; index += 1) {
    const prepared = await extracted.prepare(index);
    try {
      const isVariable = prepared.statementType === StatementType.SET && extracted.count === 1 && execute;
      if (!ALLOWED_TYPES.has(prepared.statementType) && !isVariable) throw refused(statement);
      if (prepared.parameterCount > 0) throw errors.invalid('Statements with parameters are not supported.');
      signal.throwIfAborted();
      if (execute || index < extracted.count - 1) await prepared.run();
    } finally {
      prepared.destroySync();
    }
  }
}

/** An input is a view, so that it costs nothing; a statement that changes it gets a table of the same name. */
async function materialiseChanged(statement: SqlStatement): Promise<void> {
  for (const { verb, name, isView } of changedTables(statement)) {
    const input = viewed.get(name.toLowerCase());
    if (input === undefined) continue;
    viewed.delete(name.toLowerCase());
    if (isView) continue;
    const view = identifier(input);
    const table = identifier(`${input} (changed)`);
    const rows = verb === 'DROP' || verb === 'TRUNCATE' ? ' LIMIT 0' : '';
    try {
      await connection.run(`CREATE TABLE ${table} AS SELECT * FROM ${view}${rows}`);
      await connection.run(`DROP VIEW ${view}`);
      await connection.run(`ALTER TABLE ${table} RENAME TO ${view}`);
    } catch (thrown) {
      throw userError(thrown, statement.text);
    }
  }
}

/** DuckDB's own words, without our paths. */
function userError(thrown: unknown, statement: string): AppError {
  if (thrown instanceof AppError) return thrown;
  const details = { statement: shortened(statement) };
  const fault = duckdbFault(thrown);
  if (fault.about === 'disk-full') return diskFull(thrown);
  if (fault.about === 'memory') {
    const message = 'Out of memory: the statement needs more memory than the job may use.';
    return new AppError('invalid', 'sql.out-of-memory', message, { details, cause: thrown });
  }
  let message = thrown instanceof Error ? thrown.message : String(thrown);
  message = message.replace(/^Failed to extract statements: /, ''); // said by the binding, and of no use to an author
  for (const [path, shown] of hidden) message = message.replaceAll(path, shown);
  return new AppError('invalid', 'sql.failed', message, { details, cause: thrown });
}

/** Null when there is no such table. (The `duckdb_columns` view would bind every system view: 30 ms instead of 1.) */
async function describe(table: string): Promise<SessionColumn[] | null> {
  try {
    const rows = await (await connection.run(`DESCRIBE ${identifier(table)}`)).getRowsJson();
    return rows.map(([name, type, nullable]) => ({
      name: String(name),
      type: String(type),
      nullable: nullable === 'YES',
    }));
  } catch (thrown) {
    if (thrown instanceof Error && /^(Catalog|Permission) Error/.test(thrown.message)) return null;
    throw userError(thrown, table);
  }
}

/** Every value as DuckDB's own text (`true`, `2024-01-31 12:00:00`); NULL stays NULL, importing makes it empty. */
async function exportTable(table: string, path: string): Promise<number> {
  const columns = await describe(table);
  if (columns === null) throw new AppError('invalid', 'sql.table-missing', `There is no table "${table}".`);
  const cells = columns.map(({ name }) => `CAST(${identifier(name)} AS VARCHAR) AS ${identifier(name)}`);
  const sql = `COPY (SELECT ${cells.join(', ')} FROM ${identifier(table)}) TO ${literal(path)} (FORMAT parquet, COMPRESSION snappy)`;
  try {
    return Number((await (await connection.run(sql)).getRowsJson())[0]?.[0] ?? 0);
  } catch (thrown) {
    throw userError(thrown, `SELECT * FROM ${identifier(table)}`);
  }
}

async function answer(method: string, params: unknown, signal: AbortSignal): Promise<unknown> {
  // Repeated, because DuckDB forgets an interrupt that arrives between two statements.
  let repeat: NodeJS.Timeout | undefined;
  signal.addEventListener('abort', () => {
    connection.interrupt();
    repeat = setInterval(() => connection.interrupt(), 50);
  });
  try {
    switch (method) {
      case 'start':
        return await start(params as SessionStart);
      case 'rest':
        return await rest();
      case 'run':
        return await run((params as { sql: string }).sql, signal);
      case 'describe':
        return await describe((params as { table: string }).table);
      case 'exportTable': {
        const { table, path } = params as { table: string; path: string };
        return await exportTable(table, path);
      }
      default:
        throw errors.internal(`Unknown session method ${method}`);
    }
  } finally {
    clearInterval(repeat);
  }
}

serveChannel(new Socket({ fd: 3 }), answer, () => process.kill(process.pid, 'SIGKILL'));
