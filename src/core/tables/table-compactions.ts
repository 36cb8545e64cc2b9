/**
 * Merges the small files of a table, and files with many deleted rows, in jobs of the kind table-compact.
 *
 * No load waits for it and none is lost: it holds no lock while it writes, and at its commit
 *
 *   a source is gone (replaced, truncated, dropped)   what was written is thrown away, and it looks again
 *   a source has lost more rows                       those are deleted from the new file too, and it tries again
 *   a long load is at work on the table               it gives up: the load asks for a compaction at its own end
 *   only other files came                             it commits
 *
 * Rows keep their ids and times, the table its date of change; the history keeps the old files until its retention is over.
 */
import type { Database, Transaction } from '../../db/database.ts';
import type { Engine, EngineTables, TableChange, WrittenDeleteFile } from '../../drivers/engines/contract.ts';
import type { Actor } from '../identity/actor.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { filesToCompact } from './compaction-plan.ts';
import { isLoadUnderway } from './compaction-store.ts';
import { LakeCommit } from './lake-commit-store.ts';
import { findLakeTable, type LakeFile, type LakeTable, toTableVersion } from './lake-store.ts';
import { removeStagedFile, type Staging } from './staging.ts';
import { deleteStagedFiles, type StagedFiles } from './staging-store.ts';
import { tableErrors } from './table-errors.ts';
import { lockKeyOf } from './table-facts.ts';
import { isLakeConflict, type TableJob } from './table-job.ts';
import { requireFiles } from './table-loads.ts';
import { findTable } from './table-store.ts';

/** `input` of jobs of the kind table-compact. */
type CompactionInput = { tableId: string };

/** A load that began later is quickly done again; one that began earlier is not made to. */
const LONG_LOAD_MS = 3000;
/** How often the new file is brought up to date with its sources before it is thrown away. */
const CARRIES = 20;
const ATTEMPTS = 3;

type Written = { staged: StagedFiles; sources: LakeFile[] } & Awaited<ReturnType<EngineTables['compact']>>;

export class TableCompactions {
  private readonly db: Database;
  private readonly jobs: Jobs;
  private readonly engine: EngineTables;
  private readonly staging: Staging;

  constructor(parts: { db: Database; jobs: Jobs; engine: Engine; staging: Staging }) {
    this.db = parts.db;
    this.jobs = parts.jobs;
    this.engine = parts.engine.tables;
    this.staging = parts.staging;
  }

  /** Makes a job, with the change that made the table worth it. */
  async requestIn(tx: Transaction, actor: Actor, tableId: string, base: LakeTable, change: TableChange): Promise<void> {
    if (filesToCompact(filesAfter(base, change)).length === 0) return;
    await this.jobs.createIn(
      tx,
      // Nobody's run has to wait for it.
      { ...actor, runId: undefined },
      {
        kind: 'table-compact',
        input: { tableId } satisfies CompactionInput,
        objectId: tableId,
        dedupeKey: `compact:${base.id}`,
        releaseFinished: true,
      },
    );
  }

  /** Runs the job to its end; safe to run again after any failure. */
  async run(work: TableJob): Promise<void> {
    await this.staging.discardEarlier(work.job);
    const { tableId } = work.job.input as CompactionInput;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const table = await this.find(work.actor, tableId);
      const sources = table ? filesToCompact(table.files) : [];
      if (table === undefined || sources.length === 0) break;
      if (await this.compact(work, tableId, table, sources)) return;
    }
    await work.finish({ status: 'succeeded', result: { mergedFiles: 0 } });
  }

  private async find(actor: Actor, tableId: string): Promise<LakeTable | undefined> {
    const row = await findTable(this.db, actor, tableId);
    return row && findLakeTable(this.db, actor.projectId, row.lakeTableId);
  }

  /** True when the job has ended with it. */
  private async compact(work: TableJob, tableId: string, table: LakeTable, sources: LakeFile[]): Promise<boolean> {
    const staged = await this.staging.open(work.job, table.directory);
    try {
      const made = await this.engine.compact(
        {
          operationId: staged.prefix,
          table: toTableVersion({ columns: table.columns, files: sources }),
          firstRowIds: sources.map(({ firstRowId }) => firstRowId ?? null),
          directory: staged.directory,
          filePrefix: staged.prefix,
        },
        work.signal,
      );
      const written = { ...made, staged, sources };
      for (let carry = 1; carry <= CARRIES; carry++) {
        work.signal.throwIfAborted();
        const outcome = await this.tryCommit(work, tableId, table.id, written);
        if (outcome === 'committed') return true;
        if (outcome === 'pointless') break;
      }
    } catch (error) {
      await this.discard(work, staged);
      throw error;
    }
    await this.discard(work, staged);
    return false;
  }

  private async discard(work: TableJob, staged: StagedFiles): Promise<void> {
    await this.staging.discard(staged).catch((cause) => {
      work.log.warn({ err: cause, prefix: staged.prefix }, 'Files of a compaction stay for the sweeper');
    });
  }

  private async tryCommit(
    work: TableJob,
    tableId: string,
    lakeTableId: number,
    written: Written,
  ): Promise<'committed' | 'behind' | 'pointless'> {
    const { actor, job } = work;
    const { sources, staged, file, firstRowId } = written;
    const now = await findLakeTable(this.db, actor.projectId, lakeTableId);
    const current = now && currentSources(sources, now);
    if (now === undefined || current === undefined) return 'pointless';
    const lockKey = lockKeyOf(actor, tableId);
    if (await isLoadUnderway(this.db, job.projectId, lockKey, LONG_LOAD_MS)) return 'pointless';
    const deletes = await this.carryDeletes(written, current, work.signal);
    const change = { addedFiles: file ? [file] : [], deleteFiles: deletes ? [deletes] : [] };
    await requireFiles(change);
    try {
      const result = { mergedFiles: sources.length };
      await work.finish({ status: 'succeeded', result }, async (tx) => {
        if (!(await deleteStagedFiles(tx, staged.prefix)))
          throw tableErrors.lakeConflict('its new file was taken away');
        const commit = await LakeCommit.begin(tx, actor.projectId);
        await commit.replaceFiles(now, current, { file, firstRowId, deletes });
        await commit.finish({ author: 'Millrace', message: `Compact ${tableId}` });
      });
      return 'committed';
    } catch (error) {
      if (!isLakeConflict(error)) throw error;
      // The next try writes a delete file of its own; after a commit nothing would name this one.
      if (deletes) await removeStagedFile(deletes.path);
      return 'behind';
    }
  }

  private async carryDeletes(
    { staged, sources, file, firstRowId }: Written,
    current: readonly LakeFile[],
    signal: AbortSignal,
  ): Promise<WrittenDeleteFile | undefined> {
    const behind = sources.flatMap((source, at) => {
      const now = current[at]?.deleteFile;
      return now === undefined || now.id === source.deleteFile?.id ? [] : [{ source, now }];
    });
    if (file === undefined || behind.length === 0) return undefined;
    return this.engine.carryDeletes(
      {
        operationId: staged.prefix,
        compacted: { path: file.path, firstRowId },
        sources: behind.map(({ source, now }) => ({
          path: source.path,
          firstRowId: source.firstRowId ?? null,
          before: source.deleteFile,
          now,
        })),
        directory: staged.directory,
        filePrefix: staged.prefix,
      },
      signal,
    );
  }
}

/** The sources as they are now, undefined when one of them is no part of the table any more. */
function currentSources(sources: readonly LakeFile[], table: LakeTable): LakeFile[] | undefined {
  const byId = new Map(table.files.map((file) => [file.id, file]));
  const current = sources.flatMap(({ id }) => byId.get(id) ?? []);
  return current.length === sources.length ? current : undefined;
}

/** Enough of the files after a change to see whether they are worth merging. */
function filesAfter(base: LakeTable, change: TableChange): LakeFile[] {
  const removed = new Set(change.removedFiles);
  const deletes = new Map(change.deleteFiles.map((file) => [file.dataFile, file]));
  const kept = base.files
    .filter(({ path }) => !removed.has(path))
    .map((file) => {
      const fresh = deletes.get(file.path);
      return fresh ? { ...file, deleteFile: { id: 0, path: fresh.path, deleteCount: fresh.deleteCount } } : file;
    });
  const added = change.addedFiles.map((file) => ({
    id: Number.MAX_SAFE_INTEGER,
    path: file.path,
    recordCount: file.recordCount,
    sizeBytes: file.fileSizeBytes,
    firstRowId: 0,
    deleteFile: undefined,
  }));
  return [...kept, ...added];
}
