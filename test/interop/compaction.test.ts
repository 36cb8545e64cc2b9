/** A stock DuckDB reads tables whose files we have merged: now, at every earlier version, and after writing on top. */
import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FEWEST_FILES } from '../../src/core/tables/compaction-plan.ts';
import { findLakeTable, userColumns } from '../../src/core/tables/lake-store.ts';
import { findTable } from '../../src/core/tables/table-store.ts';
import { uuidv7 } from '../../src/lib/ids.ts';
import { cleanup } from '../support/cleanup.ts';
import { type CheckedTable, checkLakesWithStockDuckdb, compareRows } from '../support/stock-check.ts';
import { StockDuckdb } from '../support/stock-duckdb.ts';
import { tableWorld } from '../support/table-world.ts';

const ID = 'in.c-main.t';
const FROM = 'lake."in.c-main"."t"';

test('merged files are read the same by a stock client, at every version, and it writes on top', async (t) => {
  const duck = await StockDuckdb.open(t);
  if (duck === undefined) return;
  const { db, actor, jobs, buckets, tables, create, load, directory } = await tableWorld(t);
  cleanup(t, () => duck.close());
  await buckets.create(actor, { stage: 'in', name: 'main' });
  await duck.attach(db.connection, actor.projectId);

  const exportCsv = async (id: string) => {
    const path = join(directory, `${uuidv7()}.csv`);
    await tables.exportTo(actor, id, { header: false }, path);
    return path;
  };
  const versions: { version: number; table: CheckedTable; path: string }[] = [];
  const same = async () => {
    const row = await findTable(db, actor, ID);
    const lake = row && (await findLakeTable(db, actor.projectId, row.lakeTableId));
    assert.ok(lake);
    const table = { projectId: actor.projectId, id: ID, lakeName: '', columns: userColumns(lake) };
    const path = await exportCsv(ID);
    const kept = join(directory, `version-${lake.snapshotId}.csv`);
    await copyFile(path, kept);
    await compareRows(duck, FROM, table, path);
    versions.push({ version: lake.snapshotId, table, path: kept });
    return lake.files;
  };
  const compacted = async () => {
    const asked = await jobs.list(actor, { kinds: ['table-compact'] }, { limit: 10 });
    for (const { id } of asked) assert.equal((await jobs.awaitEnd(id)).status, 'succeeded');
  };
  const lines = (from: number, to: number, text: string) =>
    `id,v\n${Array.from({ length: to - from }, (_, i) => `${from + i},${text}\n`).join('')}`;

  const withExtra = (text: string) => text.replace(/^id,v$/m, 'extra,id,v').replace(/^(?=\d)/gm, 'e,');

  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, lines(0, 100, 'a'));
  for (let n = 1; n < FEWEST_FILES - 1; n++) {
    await load(ID, lines(n * 20, n * 20 + 40, `v${n}`), { incremental: true });
    await same();
  }
  const rowIds = await duck.query(`SELECT rowid, id FROM ${FROM} ORDER BY 1`);
  await load(ID, withExtra(lines(1000, 1001, 'last')), { incremental: true });
  await compacted();
  assert.equal((await same()).length, 1);
  assert.deepEqual((await duck.query(`SELECT rowid, id FROM ${FROM} ORDER BY 1`)).slice(0, -1), rowIds);

  await duck.query(`DELETE FROM ${FROM} WHERE id IN ('1', '25')`);
  await same();
  await duck.query(`UPDATE ${FROM} SET v = 'theirs' WHERE id IN ('2', '26')`);
  await same();
  for (let n = 1; n < FEWEST_FILES; n++)
    await load(ID, withExtra(lines(n * 5, n * 5 + 9, `w${n}`)), { incremental: true });
  await compacted();
  assert.ok((await same()).length < FEWEST_FILES);
  await duck.query(`INSERT INTO ${FROM} (id, v) VALUES ('2000', 'theirs')`);
  await same();
  for (const { version, table, path } of versions)
    await compareRows(duck, FROM, table, path, ` AT (VERSION => ${version})`);
  const checked = await checkLakesWithStockDuckdb(t, {
    db,
    connection: db.connection,
    exportCsv: (table) => exportCsv(table.id),
  });
  assert.equal(checked, 1);
  await duck.query("CALL ducklake_merge_adjacent_files('lake')");
  await duck.query("CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)");
  await same();
  await load(ID, withExtra(lines(0, 50, 'ours again')), { incremental: true });
  await same();
});
