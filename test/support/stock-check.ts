import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { findLakeTable, lakeSchema, listLakeProjects, rowsOf, userColumns } from '../../src/core/tables/lake-store.ts';
import type { Database } from '../../src/db/database.ts';
import { sql } from '../../src/db/sql.ts';
import type { TestConnection } from './database.ts';
import { StockDuckdb } from './stock-duckdb.ts';

/** A table as people know it and as the lake does. */
export type CheckedTable = {
  projectId: number;
  id: string;
  lakeName: string;
  columns: { name: string; lakeName: string; type: string }[];
};

export type StockCheck = {
  connection: TestConnection;
  db: Database;
  /** Writes our rows of the table, without header, all cells quoted, and returns the path; it is deleted afterwards. */
  exportCsv?(table: CheckedTable): Promise<string>;
};

const MOST_COLUMNS_PROBED = 6;

/**
 * Attaches every lake of the database with a stock DuckDB and compares all that it believes with what is there: rows
 * against our own export, counts and bounds answered from the catalogue against scans, pruning by file, row ids, the
 * history, and that a cleaning would take none of our files. Returns the number of tables checked; undefined when the
 * test was skipped because there is no stock DuckDB.
 */
export async function checkLakesWithStockDuckdb(t: TestContext, check: StockCheck): Promise<number | undefined> {
  const duck = await StockDuckdb.open(t);
  if (duck === undefined) return undefined;
  let checked = 0;
  try {
    for (const projectId of await listLakeProjects(check.db)) {
      const alias = lakeSchema(projectId);
      await duck.attach(check.connection, projectId, alias);
      for (const table of await listTables(check.db, projectId)) {
        await checkTable(duck, alias, table, check);
        checked++;
      }
      await checkHistory(duck, alias, projectId, check.db);
      await duck.query(`DETACH ${alias}`);
    }
  } finally {
    await duck.close();
  }
  return checked;
}

async function listTables(db: Database, projectId: number): Promise<(CheckedTable & { rows: number })[]> {
  const rows = await db.query<{ id: string; lake_table_id: number; schema: string; name: string }>(sql`
    select m.id, m.lake_table_id, s.schema_name as schema, t.table_name as name
    from tables m
    join ${sql.name(lakeSchema(projectId), 'ducklake_table')} t on t.table_id = m.lake_table_id and t.end_snapshot is null
    join ${sql.name(lakeSchema(projectId), 'ducklake_schema')} s on s.schema_id = t.schema_id and s.end_snapshot is null
    where m.project_id = ${projectId} order by m.id`);
  const tables = [];
  for (const row of rows) {
    const lake = await findLakeTable(db, projectId, row.lake_table_id);
    if (lake === undefined) continue;
    tables.push({
      projectId,
      id: row.id,
      lakeName: `${quote(row.schema)}.${quote(row.name)}`,
      columns: userColumns(lake),
      rows: rowsOf(lake.files),
    });
  }
  return tables;
}

async function checkTable(duck: StockDuckdb, alias: string, table: CheckedTable & { rows: number }, check: StockCheck) {
  const from = `${alias}.${table.lakeName}`;
  const described = (await duck.query(`DESCRIBE ${from}`)).map(([name, type]) => [name, type]);
  const expected = table.columns.map((column) => [column.lakeName, stockType(column.type)]);
  assert.deepEqual(
    described.filter(([name]) => name !== '_timestamp'),
    expected,
    table.id,
  );

  // A table may have a column of its own by that name; then nothing can force a scan, and counts are compared alone.
  const hasRowIds = !table.columns.some((column) => column.lakeName.toLowerCase() === 'rowid');
  const [folded] = await duck.query(`SELECT count(*)::BIGINT FROM ${from}`);
  assert.equal(Number(folded?.[0]), table.rows, `${table.id}: count from the catalogue`);
  if (hasRowIds) {
    const [scanned] = await duck.query(`SELECT count(*), count(DISTINCT rowid) FROM ${from} WHERE rowid >= 0`);
    assert.deepEqual(scanned?.map(Number), [table.rows, table.rows], `${table.id}: count of a scan, distinct row ids`);
    for (const { lakeName } of [...table.columns.slice(0, MOST_COLUMNS_PROBED), { lakeName: '_timestamp' }]) {
      await checkBounds(duck, from, lakeName, table.id);
    }
  }
  if (check.exportCsv !== undefined) await compareRows(duck, from, table, await check.exportCsv(table));
}

function stockType(type: string): string {
  if (type === 'float64') return 'DOUBLE';
  return type === 'timestamptz' ? 'TIMESTAMP WITH TIME ZONE' : type.toUpperCase();
}

/** Their value as we tell it. */
function stockText({ lakeName, type }: CheckedTable['columns'][number]): string {
  const name = quote(lakeName);
  if (type === 'timestamptz') return `make_timestamp(epoch_us(${name}))::VARCHAR || '+00'`;
  const text = `${name}::VARCHAR`;
  return type === 'float64' ? `regexp_replace(${text}, '\\.0$', '')` : text;
}

/** What the optimizer may answer or skip by statistics must be what is in the files. */
async function checkBounds(duck: StockDuckdb, from: string, column: string, id: string): Promise<void> {
  const name = quote(column);
  const bounds = `min(${name})::VARCHAR, max(${name})::VARCHAR, count(${name})`;
  const [folded] = await duck.query(`SELECT ${bounds} FROM ${from}`);
  const [scanned] = await duck.query(`SELECT ${bounds} FROM (SELECT ${name} FROM ${from} WHERE rowid >= 0)`);
  assert.deepEqual(folded, scanned, `${id}.${column}: bounds`);
  const [pruned] = await duck.query(
    `SELECT count(*) FROM ${from} WHERE ${name} >= (SELECT max(${name}) FROM (SELECT ${name} FROM ${from} WHERE rowid >= 0))`,
  );
  const [plain] = await duck.query(
    `WITH rows AS MATERIALIZED (SELECT ${name} FROM ${from} WHERE rowid >= 0)
     SELECT count(*) FROM rows WHERE ${name} >= (SELECT max(${name}) FROM rows)`,
  );
  assert.deepEqual(pruned, plain, `${id}.${column}: nothing pruned that matches`);
  const values = await duck.query(
    `WITH rows AS MATERIALIZED (SELECT ${name}::VARCHAR AS v FROM ${from} WHERE rowid >= 0)
     SELECT v, count(*) FROM rows WHERE v IS NOT NULL AND length(v) < 200 GROUP BY v ORDER BY hash(v) LIMIT 3`,
  );
  for (const [value, count] of values) {
    // No SQL text can hold it.
    if (String(value).includes('\0')) continue;
    const [found] = await duck.query(`SELECT count(*) FROM ${from} WHERE ${name} = ${text(String(value))}`);
    assert.equal(found?.[0], count, `${id}.${column} = ${value}`);
  }
}

/** Both directions of a multiset difference. `at` selects an older version of theirs. */
export async function compareRows(
  duck: StockDuckdb,
  from: string,
  table: CheckedTable,
  path: string,
  at = '',
): Promise<void> {
  const names = table.columns.map((_, i) => `c${i}`);
  const theirs = table.columns.map((column, i) => `coalesce(${stockText(column)}, '') AS c${i}`).join(', ');
  const ours =
    `read_csv(${text(path)}, auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', new_line = '\\n', ` +
    `columns = {${names.map((name) => `'${name}': 'VARCHAR'`).join(', ')}}, force_not_null = ${JSON.stringify(names).replaceAll('"', "'")}, ` +
    `max_line_size = 40000000, buffer_size = 80000000, parallel = false)`;
  try {
    const left = `SELECT ${theirs} FROM ${from}${at}`;
    const [difference] = await duck.query(
      `SELECT (SELECT count(*) FROM (${left} EXCEPT ALL SELECT * FROM ${ours})),
         (SELECT count(*) FROM (SELECT * FROM ${ours} EXCEPT ALL ${left}))`,
    );
    assert.deepEqual(difference?.map(Number), [0, 0], `${table.id}${at}: rows only they have, rows only we have`);
  } finally {
    await rm(path, { force: true });
  }
}

async function checkHistory(duck: StockDuckdb, alias: string, projectId: number, db: Database): Promise<void> {
  const theirs = await duck.query(
    `SELECT snapshot_id, changes::VARCHAR FROM ducklake_snapshots('${alias}') ORDER BY 1`,
  );
  const ours = await db.query<{ snapshot_id: number }>(
    sql`select snapshot_id from ${sql.name(lakeSchema(projectId), 'ducklake_snapshot')} order by 1`,
  );
  assert.deepEqual(
    theirs.map(([id]) => Number(id)),
    ours.map((row) => row.snapshot_id),
  );
  await duck.query(`FROM ducklake_table_info('${alias}')`);
  const orphans = await duck.query(
    `CALL ducklake_delete_orphaned_files('${alias}', dry_run => true, cleanup_all => true)`,
  );
  assert.deepEqual(orphans, [], 'a stock client would take files away');
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
