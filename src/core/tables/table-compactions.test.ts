import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { strayLakeFiles } from '../../../test/support/lakes.ts';
import { tableWorld } from '../../../test/support/table-world.ts';
import { sql } from '../../db/sql.ts';
import { FEWEST_FILES } from './compaction-plan.ts';
import { findLakeTable } from './lake-store.ts';
import { openTable, readBatches } from './table-rows.ts';
import { findTable } from './table-store.ts';

const T = 'in.c-main.t';

async function world(t: TestContext) {
  const made = await tableWorld(t);
  const { db, actor, jobs, buckets, engine } = made;
  await buckets.create(actor, { stage: 'in', name: 'main' });

  async function lakeTable() {
    const row = await findTable(db, actor, T);
    const table = row && (await findLakeTable(db, actor.projectId, row.lakeTableId));
    assert.ok(table);
    return table;
  }
  return {
    ...made,
    lakeTable,
    compactions: () => jobs.list(actor, { kinds: ['table-compact'] }, { limit: 100 }),
    /** What the compactions asked for so far have done. */
    async settled() {
      const asked = await jobs.list(actor, { kinds: ['table-compact'] }, { limit: 100 });
      const ended = await Promise.all(asked.map(({ id }) => jobs.awaitEnd(id, AbortSignal.timeout(20_000))));
      for (const job of ended) assert.equal(job.status, 'succeeded', JSON.stringify(job.error));
      return ended.map((job) => (job.result as { mergedFiles: number }).mergedFiles);
    },
    /** Every row with the id that readers go by. */
    async numbered(): Promise<string[]> {
      const table = openTable(await lakeTable());
      const columns = table.columns.map(({ fieldId }) => ({ fieldId, type: 'text' as const }));
      const page = await engine.tables.readPage({
        operationId: 'numbered',
        table: table.version,
        firstRowIds: table.files.map(({ firstId }) => firstId),
        columns,
        limit: 100_000,
        pageBytes: 1e8,
      });
      return page.map(({ id, cells }) => `${id}: ${cells.join()}`);
    },
  };
}

const lines = (from: number, to: number, text: string) =>
  `id,v\n${Array.from({ length: to - from }, (_, i) => `${from + i},${text}\n`).join('')}`;

test('many keyed loads leave few files, the same rows and the same row ids', async (t) => {
  const { create, load, rows, lakeTable, settled, numbered, tables, actor, db, directory } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, lines(0, 100, 'first'));
  for (let n = 1; n < FEWEST_FILES - 1; n++) await load(T, lines(n * 50, n * 50 + 100, `v${n}`), { incremental: true });
  const before = await numbered();
  const changedAt = (await tables.get(actor, T)).changedAt;
  const last = (FEWEST_FILES - 1) * 50;
  await load(T, lines(last, last + 100, 'last'), { incremental: true });
  const merged = await settled();
  assert.deepEqual(merged, [FEWEST_FILES]);
  const table = await lakeTable();
  assert.equal(table.files.length, 1);
  assert.equal(table.files[0]?.deleteFile, undefined);
  assert.equal((await rows(T)).length, last + 100);
  const after = await numbered();
  const kept = before.filter((row) => after.includes(row));
  assert.equal(kept.length, before.length - 50, 'all but the rows that the last load replaced are as they were');
  assert.ok(((await tables.get(actor, T)).changedAt as Date) > (changedAt as Date));
  assert.deepEqual(await strayLakeFiles(db, `${directory}/lakes`), []);

  // Loads and deletes go on over the merged file.
  await load(T, lines(0, 10, 'again'), { incremental: true });
  assert.equal((await rows(T)).filter((row) => row.includes('again')).length, 10);
  const ids = (await numbered()).map((row) => Number(row.split(':')[0]));
  assert.equal(new Set(ids).size, ids.length, 'no id twice');
});

test('a table that only grows is numbered through after a compaction too', async (t) => {
  const { create, load, lakeTable, settled, numbered } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't' }, lines(0, 3, 'a'));
  for (let n = 1; n < FEWEST_FILES; n++) await load(T, lines(n * 3, n * 3 + 3, 'a'), { incremental: true });
  assert.deepEqual(await settled(), [FEWEST_FILES]);
  assert.equal((await lakeTable()).files[0]?.firstRowId, 0);
  assert.deepEqual(
    await numbered(),
    Array.from({ length: FEWEST_FILES * 3 }, (_, i) => `${i + 1}: ${i},a`),
  );
});

test('a reader of an earlier version finishes, and its files go only when their retention is over', async (t) => {
  const { create, load, lakeTable, settled, engine, sweeper, rows } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, lines(0, 10, 'a'));
  for (let n = 1; n < FEWEST_FILES - 1; n++) await load(T, lines(n, n + 10, `v${n}`), { incremental: true });
  const early = await lakeTable();
  const open = openTable(early);
  const batches = readBatches(engine.tables, open, { columns: open.columns.map((c) => c.fieldId), batchRows: 5 });
  const first = await batches.next();
  await load(T, lines(100, 101, 'last'), { incremental: true });
  assert.deepEqual(await settled(), [FEWEST_FILES]);
  let read = first.value?.length ?? 0;
  for await (const batch of batches) read += batch.length;
  assert.equal(read, open.rowsCount);

  const now = await rows(T);
  await sweeper.sweepOnce();
  for (const { path } of early.files) await assert.rejects(stat(path), 'swept');
  assert.deepEqual(await rows(T), now);
});

test('loads that come while files are merged lose nothing and wait for nothing', async (t) => {
  const { create, load, rows, settled, engine, lakeTable, numbered } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't', primaryKey: ['id'] }, lines(0, 50, 'a'));
  for (let n = 1; n < FEWEST_FILES - 1; n++) await load(T, lines(n, n + 5, `v${n}`), { incremental: true });
  const compact = engine.tables.compact;
  let came = 0;
  engine.tables.compact = async (request, signal) => {
    const made = await compact(request, signal);
    // Between the writing and the commit: an upsert over merged rows, twice.
    if (came++ === 0) {
      await load(T, 'id,v\n3,meanwhile\n49,meanwhile\n', { incremental: true });
      await load(T, 'id,v\n4,meanwhile\n1000,meanwhile\n', { incremental: true });
    }
    return made;
  };
  await load(T, lines(200, 201, 'last'), { incremental: true });
  await settled();
  const all = await rows(T);
  assert.equal(all.length, 52);
  assert.deepEqual(
    all.filter((row) => row.includes('meanwhile')),
    ['"1000","meanwhile"', '"3","meanwhile"', '"4","meanwhile"', '"49","meanwhile"'],
  );
  assert.ok((await lakeTable()).files.length < FEWEST_FILES, 'and the files were merged all the same');
  assert.equal(new Set((await numbered()).map((row) => row.split(':')[0])).size, 52);
});

test('a table that was replaced or dropped meanwhile is left alone', async (t) => {
  const { create, load, rows, settled, engine, tables, actor, db, directory } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't' }, lines(0, 5, 'a'));
  for (let n = 1; n < FEWEST_FILES - 1; n++) await load(T, lines(n, n + 5, `v${n}`), { incremental: true });
  const compact = engine.tables.compact;
  engine.tables.compact = async (request, signal) => {
    const made = await compact(request, signal);
    await load(T, lines(0, 2, 'whole'));
    return made;
  };
  await load(T, lines(200, 201, 'last'), { incremental: true });
  assert.deepEqual(await settled(), [0]);
  assert.deepEqual(await rows(T), ['"0","whole"', '"1","whole"']);
  assert.deepEqual(await strayLakeFiles(db, `${directory}/lakes`), []);

  engine.tables.compact = async (request, signal) => {
    const made = await compact(request, signal);
    await tables.drop(actor, T);
    return made;
  };
  for (let n = 1; n < FEWEST_FILES; n++) await load(T, lines(n, n + 5, `v${n}`), { incremental: true });
  assert.deepEqual(await settled(), [0, 0]);
  assert.deepEqual(await strayLakeFiles(db, `${directory}/lakes`), []);
});

test('a long load is not made to begin again', async (t) => {
  const { create, load, settled, lakeTable, db, engine } = await world(t);
  await create({ bucketId: 'in.c-main', name: 't' }, lines(0, 5, 'a'));
  for (let n = 1; n < FEWEST_FILES - 1; n++) await load(T, lines(n, n + 5, `v${n}`), { incremental: true });
  const write = engine.tables.write;
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const compact = engine.tables.compact;
  let slow: Promise<unknown> | undefined;
  engine.tables.compact = async (request, signal) => {
    engine.tables.write = async (written, stop) => {
      await held;
      return write(written, stop);
    };
    slow ??= load(T, lines(0, 1, 'slow'));
    while ((await db.query(sql`select 1 from jobs where kind = 'table-import' and status = 'running'`)).length === 0);
    await db.query(
      sql`update jobs set started_at = now() - interval '1 minute' where kind = 'table-import' and status = 'running'`,
    );
    return compact(request, signal);
  };
  await load(T, lines(200, 201, 'last'), { incremental: true });
  assert.deepEqual(await settled(), [0]);
  assert.equal((await lakeTable()).files.length, FEWEST_FILES);
  release();
  await slow;
});
