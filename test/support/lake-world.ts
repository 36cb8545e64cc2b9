import { mkdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Jobs } from '../../src/core/jobs/jobs.ts';
import { Buckets } from '../../src/core/tables/buckets.ts';
import { LakeCommit } from '../../src/core/tables/lake-commit-store.ts';
import { findLakeTable, type LakeTable, userColumns } from '../../src/core/tables/lake-store.ts';
import { Lakes } from '../../src/core/tables/lakes.ts';
import { findTable } from '../../src/core/tables/table-store.ts';
import { Tables } from '../../src/core/tables/tables.ts';
import type { Engine, TableChange } from '../../src/drivers/engines/contract.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { cleanup } from './cleanup.ts';
import { testDatabase } from './database.ts';
import { LakeFiles } from './lake-files.ts';
import { testProject } from './project.ts';

/** Buckets and tables over a real lake, and files for it made by hand. No engine: only the catalogue is under test. */
export async function lakeWorld(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-lake-'));
  cleanup(t, () => rm(directory, { recursive: true, force: true }));
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { actor, events } = project;
  const lakes = new Lakes({ directory: join(directory, 'lakes') });
  await lakes.relocate(db);
  const jobs = new Jobs({ db, events });
  const parts = { db, events, jobs, clock: systemClock };
  const buckets = new Buckets(parts);
  const tables = new Tables({ ...parts, engine: { tables: {} } as Engine });
  const files = await LakeFiles.open();
  cleanup(t, async () => files.close());

  /** The table as it is now; its directory exists. */
  async function lakeTable(id: string): Promise<LakeTable> {
    const row = await findTable(db, actor, id);
    const table = row && (await findLakeTable(db, actor.projectId, row.lakeTableId));
    if (table === undefined) throw new Error(`no table ${id}`);
    mkdirSync(table.directory, { recursive: true });
    return table;
  }

  return {
    ...project,
    db,
    directory,
    lakes,
    jobs,
    buckets,
    tables,
    files,
    lakeTable,
    /** Rows as [column, ...] texts become one new file of the table. */
    async newFile(table: LakeTable, rows: (string | null)[][]) {
      const ids = userColumns(table).map((column) => column.id);
      return files.data(
        table.directory,
        rows.map((row) => Object.fromEntries(ids.map((id, i) => [id, row[i] ?? null]))),
      );
    },
    /** Commits a change made from `base`. */
    async commit(base: LakeTable, change: TableChange): Promise<number> {
      return db.transaction(async (tx) => {
        const commit = await LakeCommit.begin(tx, actor.projectId);
        await commit.applyFiles(base, change);
        await commit.finish({ author: 'test', message: 'test' });
        return commit.snapshotId;
      });
    },
  };
}
