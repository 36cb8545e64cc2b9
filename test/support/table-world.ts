import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Files } from '../../src/core/files/files.ts';
import type { Actor } from '../../src/core/identity/actor.ts';
import { JOB_KINDS, type Job, type JobKind } from '../../src/core/jobs/job-model.ts';
import { RowDeletes } from '../../src/core/tables/row-deletes.ts';
import { Staging } from '../../src/core/tables/staging.ts';
import { Sweeper } from '../../src/core/tables/sweeper.ts';
import { TableCompactions } from '../../src/core/tables/table-compactions.ts';
import { TableExports } from '../../src/core/tables/table-exports.ts';
import { TableLoads } from '../../src/core/tables/table-loads.ts';
import type { ExportOptions, ExportResult, ImportOptions, NewTable } from '../../src/core/tables/table-model.ts';
import { Tables } from '../../src/core/tables/tables.ts';
import { openDuckdbEngine } from '../../src/drivers/engines/duckdb/index.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { uuidv7 } from '../../src/lib/ids.ts';
import { silentLogger } from '../../src/lib/logger.ts';
import type { KindHandler } from '../../src/runner/kind.ts';
import { bucketDeleteKind } from '../../src/runner/kinds/bucket-delete.ts';
import { bucketSharingKind } from '../../src/runner/kinds/bucket-sharing.ts';
import { rowsDeleteKind } from '../../src/runner/kinds/rows-delete.ts';
import { snapshotKinds } from '../../src/runner/kinds/snapshot.ts';
import { tableAlterKind } from '../../src/runner/kinds/table-alter.ts';
import { tableCompactKind } from '../../src/runner/kinds/table-compact.ts';
import { tableCreateKind } from '../../src/runner/kinds/table-create.ts';
import { tableDefineKind } from '../../src/runner/kinds/table-define.ts';
import { tableDropKind } from '../../src/runner/kinds/table-drop.ts';
import { tableExportKind } from '../../src/runner/kinds/table-export.ts';
import { tableImportKind } from '../../src/runner/kinds/table-import.ts';
import { createWorker } from '../../src/runner/worker.ts';
import { cleanup } from './cleanup.ts';
import { lakeWorld } from './lake-world.ts';

const tomorrow = { now: () => new Date(Date.now() + 24 * 3600 * 1000) };

/** A lake world with the real engine, files and a worker: everything that moves rows, without HTTP. */
export async function tableWorld(t: TestContext) {
  const world = await lakeWorld(t);
  const { db, events, jobs, identity, buckets, actor, directory } = world;
  const engine = await openDuckdbEngine({
    directory: join(directory, 'engine'),
    spillDirectory: join(directory, 'spill'),
    memoryLimitMb: 512,
    threads: 2,
    log: silentLogger as never,
  });
  cleanup(t, () => engine.close());
  const filestore = await openLocalFilestore({ directory: join(directory, 'files') });
  const clock = systemClock;
  const files = new Files({ db, filestore, events, clock, signingKey: randomBytes(32), scratchDirectory: directory });
  const staging = new Staging({ db });
  const compactions = new TableCompactions({ db, jobs, engine, staging });
  const parts = { db, events, files, engine, staging, compactions, clock, jobs };
  const tables = new Tables(parts);
  const loads = new TableLoads(parts);
  const handlers: KindHandler[] = [
    tableCreateKind(loads),
    tableImportKind(loads),
    tableExportKind(new TableExports({ ...parts, exportDirectory: join(directory, 'exports') })),
    tableAlterKind(tables.structure),
    ...snapshotKinds(tables.snapshots),
    tableDefineKind(tables.definitions),
    tableDropKind(tables),
    bucketDeleteKind(buckets),
    bucketSharingKind(buckets.sharing),
    tableCompactKind(compactions),
    rowsDeleteKind(new RowDeletes(parts)),
  ];
  const done = async () => {};
  for (const kind of Object.keys(JOB_KINDS) as JobKind[]) {
    if (!handlers.some((handler) => handler.kind === kind)) handlers.push({ kind, run: done });
  }
  const worker = createWorker({
    jobs,
    identity,
    events,
    handlers,
    concurrency: { storage: 4, component: 1, script: 1 },
    log: silentLogger,
    workerId: 'test',
  });
  worker.start();
  cleanup(t, () => worker.stop(2000));

  /** A file in the platform, whole or in slices. */
  async function file(
    content: string | Buffer | (string | Buffer)[],
    name = 'data.csv',
    who: Actor = actor,
  ): Promise<number> {
    const folder = join(directory, 'uploads', uuidv7());
    await mkdir(folder, { recursive: true });
    const local = async (part: string | Buffer, i: number) => {
      await writeFile(join(folder, String(i)), part);
      return join(folder, String(i));
    };
    if (!Array.isArray(content)) return (await files.createFrom(who, { name }, await local(content, 0))).id;
    const slices = await Promise.all(
      content.map(async (part, i) => ({ name: `part_${i}`, path: await local(part, i) })),
    );
    return (await files.createFrom(who, { name }, slices)).id;
  }

  /** The job at its end. Throws its error. */
  async function ended(job: Job): Promise<Job> {
    const end = await jobs.awaitEnd(job.id, AbortSignal.timeout(60_000));
    if (end.status !== 'succeeded') throw Object.assign(new Error(end.error?.message), { ...end.error, job: end });
    return end;
  }

  return {
    ...world,
    engine,
    storage: files,
    staging,
    tables,
    worker,
    /** As if it ran tomorrow: every version but the newest is past its retention. */
    sweeper: new Sweeper({ db, clock: tomorrow, log: silentLogger, retentionDays: 0 }),
    file,
    ended,
    /** Makes a table of CSV text. */
    async create(
      table: NewTable & ImportOptions,
      content: string | Buffer | (string | Buffer)[],
      name?: string,
    ): Promise<Job> {
      return ended(await tables.createFromFile(actor, { ...table, fileId: await file(content, name) }));
    },
    /** Loads CSV text. */
    async load(id: string, content: string | Buffer | (string | Buffer)[], options: ImportOptions = {}): Promise<Job> {
      return ended(await tables.import(actor, id, { ...options, fileId: await file(content) }));
    },
    /** Exported content, as one text. */
    async exported(id: string, options: ExportOptions = {}): Promise<string> {
      const job = await ended(await tables.export(actor, id, options));
      const { paths } = await files.openSlices(actor, (job.result as unknown as ExportResult).fileId);
      const parts = await Promise.all(paths.map((path) => readFile(path)));
      return Buffer.concat(options.gzip ? parts.map((part) => gunzipSync(part)) : parts).toString();
    },
    /** All rows in the order of their texts. */
    async rows(id: string): Promise<string[]> {
      const path = join(directory, `${uuidv7()}.csv`);
      await tables.exportTo(actor, id, { header: false }, path);
      const text = await readFile(path, 'utf8');
      await rm(path);
      return text
        .split('\n')
        .filter((line) => line !== '')
        .sort();
    },
  };
}
