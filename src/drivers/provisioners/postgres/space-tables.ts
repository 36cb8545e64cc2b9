import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { AppError, errors } from '../../../core/errors.ts';
import type {
  QueryLimits,
  Space,
  SpaceAnswer,
  SpaceColumn,
  SpaceLoad,
  SpaceObject,
  SpaceTableLoad,
  SpaceTables,
  SpaceUnload,
} from '../contract.ts';
import { columnType, isText } from './column-types.ts';
import { inSpace, type SpaceDoor, stallGuard } from './space-session.ts';

const NAME_MAX_BYTES = 63;
const OUTCOME_WAIT_MS = 30_000;
const STATEMENT_MS = 60_000;

const quoted = pg.escapeIdentifier;
const list = (names: readonly string[]) => names.map(quoted).join(', ');

/** Tables of a space on PostgreSQL. `doorOf` starts the server where it does not run. */
export function spaceTables(doorOf: (space: Space) => Promise<SpaceDoor>): SpaceTables {
  const enter = async <T>(
    space: Space,
    options: { signal?: AbortSignal | undefined; statementMs?: number },
    act: (client: pg.Client) => Promise<T>,
  ) => inSpace(await doorOf(space), options, act);
  return {
    load: (space, wanted, signal) => enter(space, { signal }, (client) => load(client, space.name, wanted, signal)),
    outcomeOf: (space, transaction) =>
      enter(space, { statementMs: STATEMENT_MS }, (client) => outcomeOf(client, transaction)),
    describe: (space, name) =>
      enter(space, { statementMs: STATEMENT_MS }, (client) => describe(client, space.name, name)),
    unload: (space, wanted, into, signal) =>
      enter(space, { signal }, (client) => unload(client, space.name, wanted, into, signal)),
    list: (space) => enter(space, { statementMs: STATEMENT_MS }, (client) => listObjects(client, space.name)),
    drop: (space, names) =>
      enter(space, { statementMs: STATEMENT_MS }, async (client) => {
        const wanted = new Set(names);
        await dropAll(
          client,
          space.name,
          (await listObjects(client, space.name)).filter(({ name }) => wanted.has(name)),
        );
      }),
    query: (space, statement, limits) =>
      enter(space, { statementMs: limits.milliseconds }, (client) => query(client, statement, limits)),
  };
}

async function load(
  client: pg.Client,
  schema: string,
  { keep, tables, beforeCommit }: SpaceLoad,
  signal: AbortSignal,
): Promise<number[]> {
  await client.query('begin');
  const { rows: found } = await client.query<{ id: string }>('select pg_catalog.pg_current_xact_id()::text as id');
  if (!keep) await dropAll(client, schema, await listObjects(client, schema));
  const loaded: number[] = [];
  for (const [index, table] of tables.entries()) {
    const rows = await loadTable(client, schema, table, `millrace_stage_${index}`, signal).catch((error: unknown) => {
      throw withTable(error, table.name);
    });
    loaded.push(rows);
  }
  await beforeCommit(found[0]?.id ?? '', loaded);
  await client.query('commit');
  return loaded;
}

/** In the database's words, and of which table they are. */
function withTable(error: unknown, table: string): unknown {
  const { severity, message } = error as { severity?: string; message?: string };
  if (severity === undefined || message === undefined) return error;
  return Object.assign(error as Error, { message: `Table "${table}": ${message}` });
}

async function loadTable(
  client: pg.Client,
  schema: string,
  table: SpaceTableLoad,
  stage: string,
  signal: AbortSignal,
): Promise<number> {
  const target = `${quoted(schema)}.${quoted(requireName(table.name))}`;
  const existing = (await objectsIn(client, schema)).find(({ name }) => name === table.name);
  if (existing && table.mode === 'create') {
    const message = `Table ${table.name} already exists in workspace`;
    throw new AppError('invalid', 'workspace.duplicate-table', message);
  }
  if (existing && table.mode === 'replace') await client.query(`drop ${existing.kind} ${target}`);
  if (!existing || table.mode === 'replace') {
    const key = table.primaryKey.length > 0 ? `, primary key (${list(table.primaryKey)})` : '';
    await client.query(`create table ${target} (${definitions(table)}${key})`);
    return copyIn(client, target, table, signal);
  }

  // Made in any case: what its types are called is told by the database itself.
  await client.query(`create temporary table ${stage} (${definitions(table)}) on commit drop`);
  await requireSameColumns(client, { schema, stage }, table);
  const key = await primaryKeyOf(client, schema, table.name);
  if (key.length === 0) return copyIn(client, target, table, signal);
  const staged = `pg_temp.${stage}`;
  const rows = await copyIn(client, staged, table, signal);
  const same = key.map((name) => `old.${quoted(name)} = new.${quoted(name)}`).join(' and ');
  await client.query(`delete from ${target} as old using ${staged} as new where ${same}`);
  const columns = list(table.columns.map(({ name }) => name));
  await client.query(
    `insert into ${target} (${columns}) select distinct on (${list(key)}) ${columns} from ${staged}
     order by ${list(key)}, ctid desc`,
  );
  return rows;
}

function definitions({ columns }: SpaceTableLoad): string {
  return columns
    .map((column) => `${quoted(requireName(column.name))} ${columnType(column)}${column.nullable ? '' : ' not null'}`)
    .join(', ');
}

function requireName(name: string): string {
  if (name !== '' && !name.includes('\0') && Buffer.byteLength(name) <= NAME_MAX_BYTES) return name;
  const message = `The name "${name.slice(0, 100)}" must have 1 to ${NAME_MAX_BYTES} bytes in a workspace.`;
  throw new AppError('invalid', 'workspace.table-create', message);
}

async function copyIn(client: pg.Client, target: string, table: SpaceTableLoad, signal: AbortSignal): Promise<number> {
  const names = (of: SpaceTableLoad['columns'][number][]) => list(of.map(({ name }) => name));
  const emptyAsNull = table.columns.filter((column) => column.emptyAsNull);
  // A missing text where there must be one is the empty text.
  const neverNull = table.columns.filter(
    (column) => !column.emptyAsNull && !column.nullable && isText(columnType(column)),
  );
  const options = [
    'format csv',
    "null ''",
    ...(emptyAsNull.length > 0 ? [`force_null (${names(emptyAsNull)})`] : []),
    ...(neverNull.length > 0 ? [`force_not_null (${names(neverNull)})`] : []),
  ];
  const rows = await table.rows();
  try {
    const copy = client.query(copyFrom(`copy ${target} (${names(table.columns)}) from stdin (${options.join(', ')})`));
    await pipeline(rows, stallGuard(), copy, { signal });
    return copy.rowCount;
  } finally {
    rows.destroy();
  }
}

async function requireSameColumns(
  client: pg.Client,
  { schema, stage }: { schema: string; stage: string },
  table: SpaceTableLoad,
): Promise<void> {
  const wanted = new Map((await columnsOf(client, 'pg_temp', stage)).map((column) => [column.name, column]));
  const present = new Map((await columnsOf(client, schema, table.name)).map((column) => [column.name, column]));
  const mismatch = (what: string, columns: string[]) =>
    new AppError('invalid', 'workspace.columns-not-match', `Some columns are missing in ${what}: ${columns.join(',')}`);
  const missingInSource = [...present.keys()].filter((name) => !wanted.has(name));
  const missingInSpace = [...wanted.keys()].filter((name) => !present.has(name));
  if (missingInSource.length > 0)
    throw new AppError(
      'invalid',
      'workspace.columns-not-match',
      `Some columns are missing in source table ${table.name}. Missing columns: ${missingInSource.join(',')}`,
    );
  if (missingInSpace.length > 0) throw mismatch(`workspace table ${table.name}`, missingInSpace);
  const type = (column: SpaceColumn | undefined) =>
    column && `${column.type}${column.length ? `(${column.length})` : ''}`;
  const differing = [...wanted].filter(([name, column]) => type(column) !== type(present.get(name)));
  if (differing.length === 0) return;
  const told = differing.map(
    ([name, column]) => `'${name}' mapping type: '${type(column)}' / workspace type: '${type(present.get(name))}'`,
  );
  throw new AppError(
    'invalid',
    'workspace.columns-types-not-match',
    `Different mapping between incremental load and workspace for columns: ${told.join(', ')}`,
  );
}

async function outcomeOf(client: pg.Client, transaction: string): Promise<'committed' | 'aborted'> {
  for (const limit = Date.now() + OUTCOME_WAIT_MS; ; await sleep(100)) {
    const { rows } = await client.query<{ status: string | null }>(
      'select pg_catalog.pg_xact_status($1::text::xid8) as status',
      [transaction],
    );
    const status = rows[0]?.status;
    if (status === 'committed' || status === 'aborted') return status;
    // Its session lives until the server notices that nobody is at the other end.
    if (status === 'in progress' && Date.now() < limit) continue;
    if (status === 'in progress') throw errors.unavailable('An earlier load of the workspace has not ended yet.');
    throw errors.internal('Nobody knows any more whether the load of a workspace was committed.');
  }
}

async function describe(client: pg.Client, schema: string, name: string): Promise<SpaceColumn[] | undefined> {
  const known = (await listObjects(client, schema)).some((object) => object.name === name);
  return known ? columnsOf(client, schema, name) : undefined;
}

async function columnsOf(client: pg.Client, schema: string, table: string): Promise<SpaceColumn[]> {
  const { rows } = await client.query<{ name: string; type: string; nullable: boolean }>(
    `select a.attname as name, pg_catalog.format_type(a.atttypid, a.atttypmod) as type, not a.attnotnull as nullable
     from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
     where c.relname = $2 and a.attnum > 0 and not a.attisdropped
       and c.relnamespace = case when $1 = 'pg_temp' then pg_catalog.pg_my_temp_schema()
         else (select oid from pg_catalog.pg_namespace where nspname = $1) end
     order by a.attnum`,
    [schema, table],
  );
  return rows.map(({ name, type, nullable }) => {
    const [, before = type, length, after = ''] = /^([^(]*)\(([^)]*)\)(.*)$/.exec(type) ?? [];
    return { name, type: `${before}${after}`, length, nullable };
  });
}

async function primaryKeyOf(client: pg.Client, schema: string, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select a.attname as name from pg_catalog.pg_index i
     join pg_catalog.pg_class c on c.oid = i.indrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
     where n.nspname = $1 and c.relname = $2 and i.indisprimary
     order by a.attnum`,
    [schema, table],
  );
  return rows.map(({ name }) => name);
}

const KINDS: Readonly<Record<string, SpaceObject['type'] | 'materialized view'>> = {
  r: 'table',
  p: 'table',
  f: 'table',
  v: 'view',
  m: 'materialized view',
};

async function objectsIn(client: pg.Client, schema: string) {
  const { rows } = await client.query<{ name: string; kind: string }>(
    `select c.relname as name, c.relkind::text as kind from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relkind = any (string_to_array('r,p,f,v,m', ',')::"char"[])
     order by c.relname`,
    [schema],
  );
  return rows.map(({ name, kind }) => ({ name, kind: KINDS[kind] ?? 'table' }));
}

async function listObjects(client: pg.Client, schema: string): Promise<SpaceObject[]> {
  const found = await objectsIn(client, schema);
  return found.map(({ name, kind }) => ({ name, type: kind === 'table' ? 'table' : 'view' }));
}

async function dropAll(client: pg.Client, schema: string, objects: readonly SpaceObject[]): Promise<void> {
  const kinds = new Map((await objectsIn(client, schema)).map(({ name, kind }) => [name, kind]));
  // One may have gone with another that it was made of.
  for (const { name } of objects)
    await client.query(`drop ${kinds.get(name)} if exists ${quoted(schema)}.${quoted(name)} cascade`);
}

async function unload(
  client: pg.Client,
  schema: string,
  { name, columns }: SpaceUnload,
  into: Writable,
  signal: AbortSignal,
): Promise<number> {
  const cells = columns.map((column) => `${quoted(column)}::pg_catalog.text`);
  const rows = client.query(
    copyTo(
      `copy (select ${cells.join(', ')} from ${quoted(schema)}.${quoted(name)})
       to stdout (format csv, null '', force_quote *)`,
    ),
  );
  await pipeline(rows, stallGuard(), into, { signal });
  return rows.rowCount;
}

async function query(client: pg.Client, statement: string, limits: QueryLimits): Promise<SpaceAnswer> {
  const asText = { getTypeParser: () => (value: string) => value };
  const config = { text: statement, rowMode: 'array', queryMode: 'extended', types: asText };
  const running = new pg.Query<(string | null)[]>(config as unknown as string);
  const rows: (string | null)[][] = [];
  let bytes = 0;
  const answer = await new Promise<SpaceAnswer>((resolve, reject) => {
    running.on('row', (row) => {
      const cells = row as unknown as (string | null)[];
      bytes += cells.reduce((sum, cell) => sum + (cell?.length ?? 0), 0);
      if (rows.length < limits.rows && bytes <= limits.bytes) rows.push(cells);
      // The rest is neither kept nor waited for.
      else reject(tooMuch(limits));
    });
    running.on('error', reject);
    running.on('end', (result) => {
      const { command, rowCount, fields } = result as unknown as pg.QueryResult;
      const message = [command, rowCount ?? ''].join(' ').trim();
      resolve({ columns: fields.map(({ name }) => name), rows, message });
    });
    client.query(running);
  });
  return answer;
}

function tooMuch({ rows, bytes }: QueryLimits): AppError {
  return new AppError(
    'invalid',
    'workspace.query-too-large',
    `The answer has more than ${rows} rows or ${Math.round(bytes / 1024 / 1024)} MB. Ask for fewer with LIMIT.`,
  );
}
