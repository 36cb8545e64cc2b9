/**
 * Carries out loads: jobs of the kinds table-create and table-import.
 *
 *   open the source, look at the table, plan columns        nothing written
 *   stage (row first), engine writes and fsyncs new files    stray files at worst, named by the row
 *   finish: lake, table, events and job in one transaction   all there or nothing
 *
 * Whatever goes wrong before the commit is taken away again here, and by the sweeper when the server died.
 */
import { open, stat } from 'node:fs/promises';
import type { Database, Transaction } from '../../db/database.ts';
import type { Engine, EngineTables, TableChange, WriteRequest } from '../../drivers/engines/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import { uuidv7 } from '../../lib/ids.ts';
import { retry } from '../../lib/retry.ts';
import { errors } from '../errors.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Files } from '../files/files.ts';
import type { Actor } from '../identity/actor.ts';
import type { ClaimedJob, JobMetrics } from '../jobs/job-model.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { findBucket } from './bucket-store.ts';
import { requireBucketRow } from './buckets.ts';
import { LakeCommit } from './lake-commit-store.ts';
import { bytesOf, findLakeTable, type LakeTable, newTableLocation, toTableVersion } from './lake-store.ts';
import { expectsHeader, fileColumnsOf, isTyped, type LoadPlan, planExistingTable, planNewTable } from './load-plan.ts';
import { splitTableId, TIMESTAMP_COLUMN } from './names.ts';
import { upsertMetadataOfMany } from './object-metadata-store.ts';
import type { Staging } from './staging.ts';
import { deleteStagedFiles } from './staging-store.ts';
import type { TableCompactions } from './table-compactions.ts';
import { tableErrors } from './table-errors.ts';
import { CONFLICT_RETRIES, isLakeConflict, type TableJob, toJson } from './table-job.ts';
import type { LoadInput, LoadResult, MetadataEntry, WorkspaceSource } from './table-model.ts';
import { findTable, insertTable, isDisplayNameTaken, type TableRow, touchBucket, touchTable } from './table-store.ts';

type OpenSource = {
  paths: string[];
  isSliced: boolean;
  gzip: boolean;
  /** Parquet of a session has its column names with it. */
  parquetColumns: string[] | undefined;
  /** Of each column of the file; kept with the columns of the table. */
  columnMetadata?: MetadataEntry[][];
  close(): Promise<void>;
};

/**
 * Where rows of workspaces come from: a CSV file with a header, which the caller closes, and what is to be known of
 * each of its columns.
 */
export type WorkspaceRows = {
  unload(
    work: Pick<TableJob, 'actor' | 'signal'>,
    source: WorkspaceSource,
  ): Promise<{ path: string; columnMetadata: MetadataEntry[][]; close(): Promise<void> }>;
};

/** What a load needs of the job it is done for. */
export type LoadingJob = Pick<TableJob, 'job' | 'actor' | 'signal' | 'log'>;

export type Loaded = { result: LoadResult; metrics: JobMetrics };
type WrittenLoad = Loaded & { commitIn(tx: Transaction): Promise<void>; discard(): Promise<void> };

type Target =
  | { isNew: false; row: TableRow; lake: LakeTable; directory: string }
  | { isNew: true; bucketId: string; schemaId: number; name: string; uuid: string; path: string; directory: string };

export class TableLoads {
  private readonly db: Database;
  private readonly events: Events;
  private readonly files: Files;
  private readonly engine: EngineTables;
  private readonly staging: Staging;
  private readonly compactions: TableCompactions;
  private readonly clock: Clock;
  private readonly workspaces: WorkspaceRows | undefined;

  constructor(parts: {
    db: Database;
    events: Events;
    files: Files;
    engine: Engine;
    staging: Staging;
    compactions: TableCompactions;
    clock: Clock;
    /** Without it workspaces are no source. */
    workspaces?: WorkspaceRows;
  }) {
    this.db = parts.db;
    this.events = parts.events;
    this.files = parts.files;
    this.engine = parts.engine.tables;
    this.staging = parts.staging;
    this.compactions = parts.compactions;
    this.clock = parts.clock;
    this.workspaces = parts.workspaces;
  }

  /** Runs the job to its end; safe to run again after any failure. */
  async run(work: TableJob): Promise<void> {
    await this.discardEarlier(work.job);
    await this.loadTogether(work, [work.job.input as LoadInput], async ([loaded], commitIn) => {
      if (!loaded) throw errors.internal('a load has no result');
      const { result, metrics } = loaded;
      await work.finish({ status: 'succeeded', result: toJson(result), metrics }, commitIn);
    });
  }

  /** Before a job loads: takes away what its earlier runs have left. */
  async discardEarlier(job: ClaimedJob): Promise<void> {
    await this.staging.discardEarlier(job);
  }

  /**
   * Loads several tables, each at most once, as one: `commit` is called when all files are written, and has to commit
   * by calling `commitIn` in a transaction of its own, with whatever else belongs to it. Written anew when a table
   * changed meanwhile. Nothing is left of what was not committed.
   */
  async loadTogether(
    work: LoadingJob,
    inputs: readonly LoadInput[],
    commit: (loaded: Loaded[], commitIn: (tx: Transaction) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const load = async () => {
      const written: WrittenLoad[] = [];
      try {
        for (const input of inputs) written.push(await this.write(work, input));
        work.signal.throwIfAborted();
        await commit(written, async (tx) => {
          for (const one of written) await one.commitIn(tx);
        });
      } catch (error) {
        for (const { discard } of written) await discard();
        throw error;
      }
    };
    await retry(load, isLakeConflict, CONFLICT_RETRIES, work.signal);
  }

  /** Everything of a load up to its commit. */
  private async write(work: LoadingJob, input: LoadInput): Promise<WrittenLoad> {
    const target = await this.openTarget(work.actor, input, mustBeNew(work));
    const source = await this.openSource(work, input);
    try {
      return await this.writeFrom(work, input, source, target);
    } finally {
      await source.close();
    }
  }

  private async writeFrom(
    work: LoadingJob,
    input: LoadInput,
    source: OpenSource,
    target: Target,
  ): Promise<WrittenLoad> {
    const plan = await this.plan(input, source, target);
    const staged = await this.staging.open(work.job, target.directory);
    const discard = async () => {
      await this.staging.discard(staged).catch((cause) => {
        work.log.warn({ err: cause, prefix: staged.prefix }, 'Files of a failed load stay for the sweeper');
      });
    };
    try {
      const at = this.clock.now();
      const base = target.isNew ? [] : target.lake.files;
      const change = await this.engine.write(
        {
          operationId: staged.prefix,
          table: toTableVersion({ columns: plan.columns, files: base }),
          primaryKey: plan.primaryKey,
          mode: modeOf(input, plan, target.isNew),
          ...(input.nullText !== undefined && { nullText: input.nullText }),
          // Rows of typed tables, and those that bring their own time, are always as new.
          touchesUnchanged: input.tellsTimestamp === true || isTyped(plan),
          source: toEngineSource(input, source, plan),
          timestamp: { fieldId: plan.timestampId, value: at },
          directory: staged.directory,
          filePrefix: staged.prefix,
        },
        work.signal,
      );
      await requireFiles(change);
      const result: LoadResult = {
        tableId: input.tableId,
        totalRowsCount: change.totalRows,
        importedRowsCount: change.sourceRows,
        importedColumns: plan.fileColumns.filter((name) => name !== TIMESTAMP_COLUMN),
        totalDataSizeBytes: sizeAfter(target.isNew ? undefined : target.lake, change),
        warnings: [],
      };
      const commitIn = async (tx: Transaction) => {
        if (!(await deleteStagedFiles(tx, staged.prefix)))
          throw tableErrors.lakeConflict('its new files were taken away');
        if (target.isNew) {
          await this.commitNewTable(tx, work.actor, input, target, plan, change, at, result, mustBeNew(work));
          const items = (source.columnMetadata ?? []).flatMap((entries, i) =>
            entries.map((entry) => ({ id: `${input.tableId}.${plan.fileColumns[i]}`, ...entry })),
          );
          if (items.length > 0) await upsertMetadataOfMany(tx, work.actor, 'column', 'storage', items, at);
        } else await this.commitRows(tx, work.actor, input, target, plan, change, at, result);
      };
      return { result, metrics: await measure(source), commitIn, discard };
    } catch (error) {
      await discard();
      throw error;
    }
  }

  private async openSource(work: LoadingJob, input: LoadInput): Promise<OpenSource> {
    const { source } = input;
    if (source.kind === 'parquet') {
      return { paths: [source.path], isSliced: false, gzip: false, parquetColumns: source.columns, close: nothing };
    }
    if (source.kind === 'paths') {
      const gzip = await isGzip(source.paths);
      return { paths: source.paths, isSliced: false, gzip, parquetColumns: undefined, close: nothing };
    }
    if (source.kind === 'workspace') {
      if (this.workspaces === undefined) throw errors.notImplemented('rows of workspaces');
      const { path, columnMetadata, close } = await this.workspaces.unload(work, source);
      return { paths: [path], isSliced: false, gzip: false, parquetColumns: undefined, columnMetadata, close };
    }
    const { paths, isSliced, format, close } = await this.files.openSlices(work.actor, source.fileId);
    return { paths, isSliced, gzip: format.gzip, parquetColumns: undefined, close };
  }

  private async openTarget(actor: Actor, input: LoadInput, mustBeNew: boolean): Promise<Target> {
    const id = splitTableId(input.tableId);
    if (id === undefined) throw tableErrors.tableIdNotFound(input.tableId, actor.projectId);
    requireBucketRight(actor, id.bucketId, 'write');
    const row = await findTable(this.db, actor, input.tableId);
    if (row !== undefined) {
      if (mustBeNew) throw tableErrors.tableExists(id.name, id.bucketId);
      const lake = await findLakeTable(this.db, actor.projectId, row.lakeTableId);
      if (lake === undefined) throw tableErrors.tableNotFound(id.name, id.bucketId, actor.projectId);
      return { isNew: false, row, lake, directory: lake.directory };
    }
    if (input.create === null) throw tableErrors.tableNotFound(id.name, id.bucketId, actor.projectId);
    const bucket = await findBucket(this.db, actor, id.bucketId);
    if (bucket === undefined) throw tableErrors.bucketNotFound(id.bucketId, actor.projectId);
    const { lakeSchemaId: schemaId } = bucket;
    if (schemaId === undefined) throw tableErrors.bucketReadOnly(id.bucketId);
    const uuid = uuidv7();
    const place = await newTableLocation(this.db, actor.projectId, schemaId, id.name, uuid);
    if (place === undefined) throw tableErrors.bucketNotFound(id.bucketId, actor.projectId);
    return { isNew: true, ...id, schemaId, uuid, ...place };
  }

  private async plan(input: LoadInput, source: OpenSource, target: Target): Promise<LoadPlan> {
    const fileColumns = await this.readFileColumns(input, source, target);
    if (target.isNew) return planNewTable(fileColumns, input.create?.primaryKey ?? []);
    return planExistingTable(fileColumns, { ...target.lake, primaryKey: target.row.primaryKey }, input.csv.delimiter);
  }

  private async readFileColumns(input: LoadInput, source: OpenSource, target: Target): Promise<string[]> {
    const { csv } = input;
    const table = target.isNew ? undefined : target.lake.columns;
    if (source.parquetColumns !== undefined) {
      return fileColumnsOf({ ...csv, columns: source.parquetColumns }, false, undefined, table);
    }
    const header = expectsHeader(csv, source.isSliced)
      ? await this.engine.readHeader({ paths: source.paths, format: toCsvFormat(input, source) })
      : undefined;
    return fileColumnsOf(csv, source.isSliced, header, table, input.tellsTimestamp);
  }

  private async commitRows(
    tx: Transaction,
    actor: Actor,
    input: LoadInput,
    target: Target & { isNew: false },
    plan: LoadPlan,
    change: TableChange,
    at: Date,
    result: LoadResult,
  ): Promise<void> {
    const commit = await LakeCommit.begin(tx, actor.projectId);
    const row = await findTable(tx, actor, input.tableId);
    if (row?.lakeTableId !== target.row.lakeTableId) throw tableErrors.lakeConflict('it was dropped');
    // The key is ours alone, so the lake knows of no conflict; rows made unique by another one must not get in.
    if (row.primaryKey.join() !== plan.primaryKey.join()) throw tableErrors.lakeConflict('primary key changed');
    await touchTable(tx, actor, input.tableId, at, { imported: true });
    await commit.addColumns(target.lake, plan.newColumns);
    await commit.applyFiles(target.lake, change);
    await commit.finish({ author: actor.token.description, message: `Import into ${input.tableId}` });
    await this.compactions.requestIn(tx, actor, input.tableId, target.lake, change);
    await this.appendImported(tx, actor, input, result);
  }

  private async commitNewTable(
    tx: Transaction,
    actor: Actor,
    input: LoadInput,
    target: Target & { isNew: true },
    plan: LoadPlan,
    change: TableChange,
    at: Date,
    result: LoadResult,
    mustBeNew: boolean,
  ): Promise<void> {
    const row: TableRow = {
      projectId: actor.projectId,
      branchId: actor.storageBranchId,
      id: input.tableId,
      bucketId: target.bucketId,
      name: target.name,
      displayName: input.create?.displayName ?? target.name,
      description: '',
      lakeTableId: 0,
      primaryKey: plan.primaryKey,
      createdAt: at,
      importedAt: at,
      changedAt: at,
    };
    if (!mustBeNew) {
      // Under the lake's lock nobody makes it meanwhile.
      await LakeCommit.begin(tx, actor.projectId);
      if (await findTable(tx, actor, input.tableId)) throw tableErrors.lakeConflict('it was made meanwhile');
    }
    await createTable(tx, actor, row, target, plan, change);
    await this.events.append(
      tx,
      eventFor(actor, {
        name: 'table.created',
        component: 'storage',
        type: 'success',
        message: `Created table ${row.id}`,
        objectType: 'table',
        objectId: row.id,
        objectName: row.displayName,
        params: { columns: plan.fileColumns, primaryKey: input.create?.primaryKey ?? [] },
      }),
    );
    await this.appendImported(tx, actor, input, result);
  }

  private async appendImported(tx: Transaction, actor: Actor, input: LoadInput, result: LoadResult): Promise<void> {
    await this.events.append(
      tx,
      eventFor(actor, {
        name: 'table.imported',
        component: 'storage',
        type: 'success',
        message: `Imported ${result.importedRowsCount} rows into table ${input.tableId}`,
        objectType: 'table',
        objectId: input.tableId,
        objectName: splitTableId(input.tableId)?.name,
        params: { incremental: input.incremental, importedColumns: result.importedColumns },
        results: {
          totalRowsCount: result.totalRowsCount,
          importedRowsCount: result.importedRowsCount,
          totalDataSizeBytes: result.totalDataSizeBytes,
        },
      }),
    );
  }
}

/** The rows of a new table in the lake and beside it. */
export async function createTable(
  tx: Transaction,
  actor: Actor,
  row: TableRow,
  place: { schemaId: number; uuid: string; path: string; directory: string },
  plan: Pick<LoadPlan, 'newColumns'>,
  change: TableChange,
): Promise<void> {
  const commit = await LakeCommit.begin(tx, actor.projectId);
  const bucket = await requireBucketRow(tx, actor, row.bucketId);
  if (bucket.lakeSchemaId !== place.schemaId) throw tableErrors.lakeConflict('its bucket was made anew');
  if (await findTable(tx, actor, row.id)) throw tableErrors.tableExists(row.name, row.bucketId);
  if (await isDisplayNameTaken(tx, row)) throw tableErrors.tableDisplayNameTaken(row.name, row.displayName);
  const lake = await commit.createTable({ ...place, name: row.name, columns: plan.newColumns });
  await commit.applyFiles(lake, change);
  await insertTable(tx, { ...row, lakeTableId: lake.id });
  await touchBucket(tx, actor, row.bucketId, row.createdAt);
  await commit.finish({ author: actor.token.description, message: `Create table ${row.id}` });
}

async function nothing(): Promise<void> {}

function modeOf(input: LoadInput, plan: LoadPlan, isNew: boolean): WriteRequest['mode'] {
  if (!input.incremental || isNew) return 'replace';
  if (plan.primaryKey.length === 0) return 'append';
  return input.keepsExisting ? 'insert' : 'upsert';
}

const mustBeNew = ({ job }: LoadingJob) => job.kind === 'table-create';

function toCsvFormat({ csv }: LoadInput, source: OpenSource) {
  return {
    delimiter: csv.delimiter,
    enclosure: csv.enclosure,
    escapedBy: csv.escapedBy,
    compression: source.gzip ? ('gzip' as const) : ('none' as const),
    skipLines: csv.ignoredLinesCount,
    hasHeader: expectsHeader(csv, source.isSliced),
  };
}

function toEngineSource(input: LoadInput, source: OpenSource, plan: LoadPlan): WriteRequest['source'] {
  if (source.parquetColumns !== undefined) {
    const columns = source.parquetColumns.map((name, i) => ({ name, fieldId: plan.fieldIds[i] ?? 0 }));
    return { kind: 'parquet', paths: source.paths, columns };
  }
  return { kind: 'csv', paths: source.paths, format: toCsvFormat(input, source), fieldIds: plan.fieldIds };
}

function sizeAfter(base: LakeTable | undefined, change: TableChange): number {
  const removed = new Set(change.removedFiles);
  const kept = (base?.files ?? []).filter((file) => !removed.has(file.path));
  return bytesOf(kept) + change.addedFiles.reduce((sum, file) => sum + file.fileSizeBytes, 0);
}

/**
 * A stock client that cleans up "orphans" deletes whatever the catalogue does not know yet. Committing a file that is
 * gone would lose its rows for good, so each is looked at once more.
 */
export async function requireFiles(change: Pick<TableChange, 'addedFiles' | 'deleteFiles'>): Promise<void> {
  for (const file of [...change.addedFiles, ...change.deleteFiles]) {
    const found = await stat(file.path).catch(() => undefined);
    if (found?.size !== file.fileSizeBytes)
      throw errors.unavailable('A new file vanished before its commit', new Error(file.path));
  }
}

/** The magic bytes of the first file that has any. Text never begins with them: they are not UTF-8. */
async function isGzip(paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const file = await open(path, 'r');
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
      if (bytesRead > 0) return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
    } finally {
      await file.close();
    }
  }
  return false;
}

/** Bytes read, counted as they were stored. */
async function measure(source: OpenSource): Promise<JobMetrics> {
  let inBytes = 0;
  for (const path of source.paths) inBytes += (await stat(path)).size;
  return { inCompressed: source.gzip, inBytes, inBytesUncompressed: source.gzip ? 0 : inBytes };
}
