/** Properties of tables that hold whatever is in them, against a reference of another kind. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type Sql, sql } from '../../src/db/sql.ts';
import { openDuckdbEngine } from '../../src/drivers/engines/duckdb/index.ts';
import type { Comparison, Filter } from '../../src/lib/filter.ts';
import { silentLogger } from '../../src/lib/logger.ts';
import { cleanup } from '../support/cleanup.ts';
import { testDatabase } from '../support/database.ts';
import { EngineTable, quoted, sorted, temporaryFolder } from './engine-world.ts';

const numRuns = Number(process.env.MILLRACE_FUZZ_RUNS ?? 40);

async function openEngine(t: TestContext) {
  const folder = await temporaryFolder(t);
  const engine = await openDuckdbEngine({
    directory: path.join(folder, 'engine'),
    spillDirectory: path.join(folder, 'spill'),
    memoryLimitMb: 256,
    threads: 2,
    log: silentLogger,
  });
  cleanup(t, () => engine.close());
  return engine;
}

const operators: Record<Comparison, Sql> = {
  eq: sql`=`,
  ne: sql`<>`,
  gt: sql`>`,
  ge: sql`>=`,
  lt: sql`<`,
  le: sql`<=`,
};

/** The filter in PostgreSQL's words; cells that are no number are no value, and no comparison holds for them. */
function reference(filter: Filter): Sql {
  if ('all' in filter) return filter.all.reduce((left, part) => sql`(${left} and ${reference(part)})`, sql`true`);
  if ('any' in filter) return filter.any.reduce((left, part) => sql`(${left} or ${reference(part)})`, sql`false`);
  if ('not' in filter) return sql`not ${reference(filter.not)}`;
  const column = sql`${sql.name(`c${filter.field}`)} collate "C"`;
  if ('contains' in filter) return sql`position(lower(${filter.contains}) in lower(${column})) > 0`;
  const compare = (value: unknown) =>
    filter.cast === undefined
      ? sql`${column} ${operators[filter.op]} ${String(value)}`
      : sql`coalesce(case when ${column} ~ '^-?[0-9]+$' then (${column})::numeric end
          ${operators[filter.op]} case when ${String(value)} ~ '^-?[0-9]+$' then ${String(value)}::numeric end, false)`;
  const word = filter.op === 'ne' ? sql`and` : sql`or`;
  const [first, ...others] = filter.op === 'eq' || filter.op === 'ne' ? filter.values : filter.values.slice(0, 1);
  return others.reduce<Sql>((left, value) => sql`(${left} ${word} ${compare(value)})`, sql`(${compare(first)})`);
}

const cell = fc.constantFrom(
  '',
  '1',
  '10',
  '9',
  '-2',
  'a',
  'A',
  'b',
  'é',
  'Z',
  "o'clock",
  'a b',
  '北',
  '\u{1F600}',
  '%',
  '_',
);
const field = fc.constantFrom('1', '2');
const leaf: fc.Arbitrary<Filter> = fc.oneof(
  fc.record({
    field,
    op: fc.constantFrom<Comparison>('eq', 'ne', 'gt', 'ge', 'lt', 'le'),
    values: fc.array(cell, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    field,
    op: fc.constantFrom<Comparison>('eq', 'gt', 'ge', 'lt', 'le'),
    values: fc.tuple(fc.constantFrom('1', '9', '10', '-2')),
    cast: fc.constant('integer' as const),
  }),
  fc.record({ field, contains: fc.constantFrom('a', 'A', '1', ' ', "'", '%', '_', '北') }),
);
const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.record({ all: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('filter') }),
  ),
}));
const rowsOf = (maxLength: number) => fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength });

test('a filter selects the rows that PostgreSQL selects', async (t) => {
  const [engine, db] = [await openEngine(t), await testDatabase(t)];
  const property = fc.asyncProperty(
    rowsOf(20),
    fc.array(filter, { minLength: 1, maxLength: 4 }),
    async (rows, filters) => {
      const table = await EngineTable.make(engine, t, ['a', 'b']);
      await table.import({ content: quoted(rows) });
      for (const one of filters) {
        const expected = await db.query<{ c1: string; c2: string }>(sql`
        select c1, c2 from unnest(${rows.map(([a]) => a)}::text[], ${rows.map(([, b]) => b)}::text[]) as r (c1, c2)
        where ${reference(one)}`);
        assert.deepEqual(await table.sortedRows({ filter: one }), sorted(expected.map(({ c1, c2 }) => [c1, c2])));
      }
    },
  );
  await fc.assert(property, { numRuns, endOnFailure: true });
});

test('merging files keeps every row and its id, also those deleted meanwhile', async (t) => {
  const engine = await openEngine(t);
  const batches = fc.array(rowsOf(8), { minLength: 1, maxLength: 5 });
  const property = fc.asyncProperty(batches, filter, filter, async (loads, before, meanwhile) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    const firstIds = new Map<string, number | null>();
    let next = 0;
    for (const rows of loads) {
      const { addedFiles } = await table.import({ content: quoted(rows) });
      for (const file of addedFiles) {
        firstIds.set(file.path, next);
        next += file.recordCount;
      }
    }
    const numbered = async () =>
      engine.tables.readPage({
        operationId: 'numbered',
        table: table.version,
        firstRowIds: table.version.files.map((file) => {
          const first = firstIds.get(file.path);
          return first === null || first === undefined ? null : first + 1;
        }),
        columns: [1, 2].map((fieldId) => ({ fieldId, type: 'text' as const })),
        limit: 1000,
        pageBytes: 1e7,
      });
    const place = { directory: table.data };
    await table.deleteRows(before);
    const sources = table.version.files;
    if (sources.length === 0) return;
    const { file, firstRowId } = await engine.tables.compact({
      ...place,
      operationId: 'compact',
      filePrefix: 'compact-',
      table: table.version,
      firstRowIds: sources.map((source) => firstIds.get(source.path) ?? null),
    });
    await table.deleteRows(meanwhile);
    const expected = await numbered();
    // A source that has lost all rows makes a compaction pointless; nothing is carried over then.
    if (file === undefined || table.version.files.length !== sources.length) return;
    const behind = table.version.files.flatMap((now, at) => {
      const source = sources[at];
      if (!source || !now.deleteFile || now.deleteFile.path === source.deleteFile?.path) return [];
      const first = firstIds.get(source.path) ?? null;
      return [{ path: source.path, firstRowId: first, before: source.deleteFile, now: now.deleteFile }];
    });
    const deletes =
      behind.length === 0
        ? undefined
        : await engine.tables.carryDeletes({
            ...place,
            operationId: 'carry',
            filePrefix: 'carry-',
            compacted: { path: file.path, firstRowId },
            sources: behind,
          });
    firstIds.set(file.path, firstRowId);
    const merged = { path: file.path, recordCount: file.recordCount };
    table.version = { ...table.version, files: [deletes ? { ...merged, deleteFile: deletes } : merged] };
    assert.deepEqual(await numbered(), expected);
  });
  await fc.assert(property, { numRuns: Math.ceil(numRuns / 2), endOnFailure: true });
});
