/**
 * A stock DuckDB (released builds from PyPI, not the one our engine runs on) attaches our catalogue: reads what we
 * wrote at every version, writes on top, compacts and cleans up; and we read the same rows as it does all along.
 */
import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findLakeTable, userColumns } from '../../src/core/tables/lake-store.ts';
import { findTable } from '../../src/core/tables/table-store.ts';
import type { Alteration } from '../../src/core/tables/table-structure.ts';
import { sql } from '../../src/db/sql.ts';
import { uuidv7 } from '../../src/lib/ids.ts';
import { cleanup } from '../support/cleanup.ts';
import { strayLakeFiles } from '../support/lakes.ts';
import { type CheckedTable, checkLakesWithStockDuckdb, compareRows } from '../support/stock-check.ts';
import { StockDuckdb } from '../support/stock-duckdb.ts';
import { tableWorld } from '../support/table-world.ts';

const ID = 'in.c-main.t';
const FROM = 'lake."in.c-main"."t"';

async function interopWorld(t: TestContext) {
  const duck = await StockDuckdb.open(t);
  if (duck === undefined) return undefined;
  const world = await tableWorld(t);
  const { db, actor, tables, directory, buckets } = world;
  cleanup(t, () => duck.close());
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await duck.attach(db.connection, actor.projectId);

  async function exportCsv(id: string): Promise<string> {
    const path = join(directory, `${uuidv7()}.csv`);
    await tables.exportTo(actor, id, { header: false }, path);
    return path;
  }
  /** The rows we read at each version so far, to be compared with what they read at that version later. */
  const versions: { version: number; table: CheckedTable; path: string }[] = [];
  return {
    ...world,
    duck,
    exportCsv,
    versions,
    /** Rows are the same to both now; remembers them by version. */
    async same(): Promise<void> {
      const row = await findTable(db, actor, ID);
      const lake = row && (await findLakeTable(db, actor.projectId, row.lakeTableId));
      assert.ok(lake);
      const table = { projectId: actor.projectId, id: ID, lakeName: '', columns: userColumns(lake) };
      const path = await exportCsv(ID);
      const kept = join(directory, `version-${lake.snapshotId}.csv`);
      await copyFile(path, kept);
      await compareRows(duck, FROM, table, path);
      versions.push({ version: lake.snapshotId, table, path: kept });
    },
    /** Everything a fresh stock session believes of every table is true. */
    async check(): Promise<void> {
      const count = await checkLakesWithStockDuckdb(t, {
        db,
        connection: db.connection,
        exportCsv: (table) => exportCsv(table.id),
      });
      assert.ok(count !== undefined && count > 0);
    },
  };
}

const csv = (from: number, to: number, text = 'v') =>
  Array.from({ length: to - from }, (_, i) => `${from + i},${text}${from + i},"a ""b""\nč"\n`).join('');
const HEADER = 'id,v,Id\n';

test('every table we leave is read the same by a stock client', async (t) => {
  const world = await interopWorld(t);
  if (world === undefined) return;
  const { create, load, tables, actor, ended, check } = world;
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, HEADER + csv(0, 1000));
  await load(ID, HEADER + csv(990, 1100, 'w'), { incremental: true });
  await load(ID, HEADER + csv(995, 997, 'x'), { incremental: true });
  await ended(await tables.deleteRows(actor, ID, { filter: { field: 'v', op: 'eq', values: ['v7', 'w1000'] } }));
  await load(ID, `extra,${HEADER}${Array.from({ length: 5 }, (_, i) => `e${i},${2000 + i},z,\n`).join('')}`, {
    incremental: true,
  });
  await tables.dropColumn(actor, ID, 'Id');

  await create({ bucketId: 'in.c-main', name: 'replaced' }, 'a,b\n1,2\n');
  await load('in.c-main.replaced', 'a,b\nz,\ny,\n');
  await create({ bucketId: 'in.c-main', name: 'empty' }, 'a,b\n');
  await create({ bucketId: 'in.c-main', name: 'EMPTY' }, 'rowid,filename,file_row_number,snapshot_id\n1,2,3,4\n');
  const wide = Array.from({ length: 300 }, (_, i) => `c${i}`);
  await create({ bucketId: 'in.c-main', name: 'wide' }, `${wide.join(',')}\n${wide.join(',')}\n`);
  await load('in.c-main.wide', `${wide.join(',')}\n${wide.map(() => '').join(',')}\n`, { incremental: true });
  await create(
    { bucketId: 'in.c-main', name: 'texts' },
    `id,text\n1,${'ž'.repeat(300)}\n2,${'a'.repeat(300)}\n3,"\u0000x"\n4,\u{1F600}\n`,
  );
  await create({ bucketId: 'in.c-main', name: 'grown' }, 'a\n1\n');
  await load('in.c-main.grown', `a,${wide.join(',')}\n2,${wide.join(',')}\n`, { incremental: true });
  await load('in.c-main.grown', `a,${wide.join(',')}\n3,${wide.join(',')}\n`, { incremental: true });
  await check();
});

test('typed tables and changed columns are read the same by a stock client, at every version', async (t) => {
  const world = await interopWorld(t);
  if (world === undefined) return;
  const { load, tables, actor, ended, check, same, versions, duck } = world;
  const alter = async (alteration: Alteration) => ended(await tables.structure.alterLater(actor, ID, alteration));
  const types = [
    'INT',
    'NUMBER(12,3)',
    'FLOAT',
    'BOOLEAN',
    'DATE',
    'TIME',
    'TIMESTAMP_NTZ',
    'TIMESTAMP_TZ',
    'VARIANT',
    'TEXT',
  ];
  await tables.definitions.create(actor, {
    bucketId: 'in.c-main',
    name: 't',
    primaryKey: ['c0'],
    columns: types.map((text, i) => {
      const [type = '', length] = text.split(/[()]/);
      return { name: `c${i}`, definition: { type, length } };
    }),
  });
  await check();
  const header = types.map((_, i) => `c${i}`).join();
  const row = (id: number) =>
    `${id},${id * 1.5 - 70},${id / 8},${id % 2},2024-01-0${(id % 9) + 1},10:00:0${id % 10},2024-01-01 00:00:${10 + (id % 50)},2024-01-01T00:00:00+0${id % 9}:00,"{""a"":${id}}",t${id}`;
  const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${row(from + i)}\n`).join('');
  await load(ID, `${header}\n${rows(0, 100)}-5,,,,,,,,,\n`);
  await same();
  await load(ID, `${header}\n${rows(90, 120)}1000,9,nan,,,,,,,\n`, {
    incremental: true,
  });
  await same();
  await alter({ act: 'add-column', name: 'Extra', definition: { type: 'NUMBER', length: '5,1', default: '2.5' } });
  await same();
  await alter({ act: 'redefine-column', columns: [{ name: 'c1', length: '20,3' }] });
  await same();
  await alter({ act: 'drop-column', name: 'c8', force: false });
  await same();
  const next = `${header.replace('c8,', '')},Extra\n2000,12345678901234.5,0,,,,,,,9\n`;
  await load(ID, next, { incremental: true });
  await same();
  await duck.query(`INSERT INTO ${FROM} (c0, c1, _timestamp) VALUES (3000, 1.5, now()::TIMESTAMP)`);
  const [key] = await duck.query(`SELECT "null" FROM (DESCRIBE ${FROM}) WHERE column_name = 'c0'`);
  assert.deepEqual(key, ['NO']);
  await duck.query(`DELETE FROM ${FROM} WHERE c0 = 7`);
  await same();
  await ended(await tables.deleteRows(actor, ID, { filter: { field: 'c0', op: 'lt', values: ['50'] } }));
  await same();
  await check();
  for (const { version, table, path } of versions)
    await compareRows(duck, FROM, table, path, ` AT (VERSION => ${version})`);
});

test('both write in turn and read the same, now and at every version', async (t) => {
  const world = await interopWorld(t);
  if (world === undefined) return;
  const { create, load, tables, actor, ended, check, same, duck, versions, db, directory } = world;
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, HEADER + csv(0, 500));
  await same();
  await load(ID, HEADER + csv(480, 520, 'w'), { incremental: true });
  await same();
  await duck.query(`INSERT INTO ${FROM} SELECT (600 + i)::VARCHAR, 'theirs', '', now()::TIMESTAMP FROM range(50) r(i)`);
  await same();
  await duck.query(`DELETE FROM ${FROM} WHERE id IN ('1', '2', '485', '601')`);
  await same();
  await duck.query(`DELETE FROM ${FROM} WHERE id IN ('3', '486', '602')`);
  await same();
  // Ours on top of their delete file with snapshot numbers.
  await load(ID, HEADER + csv(1, 10, 'again'), { incremental: true });
  await same();
  await duck.query(`UPDATE ${FROM} SET v = 'updated' WHERE id IN ('5', '20', '610')`);
  await same();
  await ended(await tables.deleteRows(actor, ID, { filter: { field: 'v', op: 'eq', values: ['updated', 'v30'] } }));
  await same();
  await duck.query(`DELETE FROM ${FROM} WHERE id IN ('31', '32')`);
  await same();
  await load(ID, `extra,${HEADER}e,32,z,\ne,9000,z,\n`, { incremental: true });
  await same();
  await duck.query(`INSERT INTO ${FROM} (id, extra) VALUES ('9001', 'x')`);
  await same();
  await check();

  for (const { version, table, path } of versions) {
    const copy = `${path}.copy`;
    await copyFile(path, copy);
    await compareRows(duck, FROM, table, copy, ` AT (VERSION => ${version})`);
  }
  const changes = await duck.query(
    `SELECT change_type, count(*) FROM ducklake_table_changes('lake', 'in.c-main', 't', 0, ${versions.at(-1)?.version}) GROUP BY 1`,
  );
  assert.ok(changes.length >= 2);

  await duck.query(`CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)`);
  await same();
  await duck.query(`CALL ducklake_merge_adjacent_files('lake')`);
  await same();
  await load(ID, `extra,${HEADER}merged,40,m,\nmerged,9001,m,\n`, { incremental: true });
  await same();
  await duck.query(`DELETE FROM ${FROM} WHERE id IN ('41', '9001')`);
  await same();
  await check();
  for (const { version, table, path } of versions)
    await compareRows(duck, FROM, table, path, ` AT (VERSION => ${version})`);

  await duck.query(`CALL ducklake_expire_snapshots('lake', older_than => now()::TIMESTAMPTZ)`);
  await duck.query(`CALL ducklake_cleanup_old_files('lake', cleanup_all => true)`);
  await same();
  await check();
  await load(ID, `extra,${HEADER}last,1,m,\n`, { incremental: true });
  await world.sweeper.sweepOnce();
  await same();
  await check();
  assert.deepEqual(await strayLakeFiles(db, join(directory, 'lakes')), []);
});

test('our sweeper and their cleaning leave a lake both can go on with', async (t) => {
  const world = await interopWorld(t);
  if (world === undefined) return;
  const { create, load, check, same, duck, sweeper, buckets, tables, actor } = world;
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, HEADER + csv(0, 100));
  for (let i = 0; i < 5; i++) await load(ID, HEADER + csv(i * 10, i * 10 + 20, `w${i}`), { incremental: true });
  await create({ bucketId: 'in.c-main', name: 'gone' }, 'a\n1\n');
  await tables.drop(actor, 'in.c-main.gone');
  await buckets.create(actor, { stage: 'out', name: 'gone' });
  await buckets.delete(actor, 'out.c-gone');
  const swept = await sweeper.sweepOnce();
  assert.ok(swept.expired >= 3, `${swept.expired} files`);
  await check();
  await duck.query(`DELETE FROM ${FROM} WHERE id = '1'`);
  await duck.query(`CALL ducklake_expire_snapshots('lake', older_than => now()::TIMESTAMPTZ)`);
  await duck.query(`CALL ducklake_cleanup_old_files('lake', cleanup_all => true)`);
  await same();
  await load(ID, HEADER + csv(0, 5, 'new'), { incremental: true });
  await same();
  await check();
});

test('writers that meet: appends stand beside each other, a stale delete fails, ours starts over', async (t) => {
  const world = await interopWorld(t);
  if (world === undefined) return;
  const { create, load, check, same, duck, tables, actor, rows, db, file, ended } = world;
  await create({ bucketId: 'in.c-main', name: 't' }, HEADER + csv(0, 10));

  await duck.query('BEGIN');
  await duck.query(`INSERT INTO ${FROM} VALUES ('100', 'theirs', '', now()::TIMESTAMP)`);
  await load(ID, HEADER + csv(10, 20), { incremental: true });
  await duck.query('COMMIT');
  await same();
  assert.equal((await rows(ID)).join('\n').match(/"theirs"/g)?.length, 1);

  await duck.query('BEGIN');
  await duck.query(`DELETE FROM ${FROM} WHERE id = '1'`);
  await load(ID, HEADER + csv(20, 30), { incremental: true });
  await assert.rejects(duck.query('COMMIT'), /conflict/i);
  await duck.query('ROLLBACK').catch(() => {});
  await same();

  // 40 commits against each other: no error, nothing lost, no gap in the history.
  const jobs = [];
  for (let i = 0; i < 20; i++) {
    const other = `in.c-main.other${i % 4}`;
    if (i < 4) await create({ bucketId: 'in.c-main', name: `other${i}` }, 'a\n');
    jobs.push(await tables.import(actor, other, { fileId: await file(`a\n${i}\n`), incremental: true }));
    await duck.query(`INSERT INTO ${FROM} VALUES ('${1000 + i}', 'race', '', now()::TIMESTAMP)`);
  }
  await Promise.all(jobs.map(ended));
  const history = await db.one(sql`select max(snapshot_id) + 1 - count(*) as gaps from lake_1.ducklake_snapshot`);
  assert.deepEqual(history, { gaps: 0 });
  assert.equal((await rows(ID)).join('\n').match(/"race"/g)?.length, 20);
  await same();
  await check();
});
