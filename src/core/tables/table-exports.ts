/** Carries out exports: jobs of the kind table-export, whose result is a stored file of one slice. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Database, Db } from '../../db/database.ts';
import type { Engine, EngineTables } from '../../drivers/engines/contract.ts';
import { AppError } from '../errors.ts';
import { type Events, eventFor } from '../events/events.ts';
import { EXPORT_MAX_AGE_DAYS } from '../files/file-model.ts';
import type { Files } from '../files/files.ts';
import type { Actor } from '../identity/actor.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { findLinkedTable, type ReadableTable } from './bucket-sharing-store.ts';
import type { Place } from './bucket-store.ts';
import { findCachedExport, upsertCachedExport } from './export-cache-store.ts';
import { findLakeTable, type LakeTable, toTableVersion } from './lake-store.ts';
import { splitTableId, TIMESTAMP_COLUMN } from './names.ts';
import { resolveColumns, resolveFilter, resolveOrder } from './row-selection.ts';
import { removeEmptyDirectory, type Staging } from './staging.ts';
import { deleteStagedFiles } from './staging-store.ts';
import { tableErrors } from './table-errors.ts';
import { type TableJob, toJson } from './table-job.ts';
import type { ExportInput, ExportResult, ReadOptions } from './table-model.ts';
import { findTable } from './table-store.ts';

export class TableExports {
  private readonly db: Database;
  private readonly events: Events;
  private readonly files: Files;
  private readonly engine: EngineTables;
  private readonly staging: Staging;
  private readonly directory: string;

  constructor(parts: {
    db: Database;
    events: Events;
    files: Files;
    engine: Engine;
    staging: Staging;
    /** Where exports are written before they become files: on the disk of the file store, so that they only move. */
    exportDirectory: string;
  }) {
    this.db = parts.db;
    this.events = parts.events;
    this.files = parts.files;
    this.engine = parts.engine.tables;
    this.staging = parts.staging;
    this.directory = parts.exportDirectory;
  }

  /** Runs the job to its end; safe to run again after any failure. */
  async run(work: TableJob): Promise<void> {
    await this.staging.discardEarlier(work.job);
    const input = work.job.input as unknown as ExportInput;
    const table = await requireReadableTable(this.db, work.actor, input.tableId);
    const key = {
      projectId: work.actor.projectId,
      lakeTableId: table.id,
      // Another project's table may have the same numbers.
      versionHash: hashOf([
        table.projectId,
        table.columns,
        table.files.map((file) => [file.id, file.deleteFile?.id ?? null]),
      ]),
      parametersHash: hashOf(input),
    };
    const cached = await this.findCached(work.actor, key);
    if (cached !== undefined) return this.finishCached(work, input, cached);

    const read = toReadRequest(table, fromInput(input));
    const staged = await this.staging.open(work.job, join(this.directory, String(work.job.id)));
    try {
      const extension = input.fileType === 'parquet' ? 'parquet' : input.gzip ? 'csv.gz' : 'csv';
      const path = join(staged.directory, `${staged.prefix}.${extension}`);
      const written = await this.engine.export(
        {
          ...read,
          operationId: staged.prefix,
          destination: path,
          format: input.fileType === 'parquet' ? { kind: 'parquet' } : { kind: 'csv', gzip: input.gzip, header: null },
        },
        work.signal,
      );
      work.signal.throwIfAborted();
      const file = await this.files.stage(
        work.actor,
        { name: `${input.tableId}.${extension}`, tags: ['table-export'], maxAgeDays: EXPORT_MAX_AGE_DAYS },
        [{ name: `.part_0.${extension}`, path }],
      );
      await removeEmptyDirectory(staged.directory);
      const result: ExportResult = { fileId: file.file.id, cacheHit: false };
      const isCompressed = input.gzip || input.fileType === 'parquet';
      const metrics = {
        outCompressed: isCompressed,
        outBytes: isCompressed ? written.sizeBytes : 0,
        outBytesUncompressed: isCompressed ? 0 : written.sizeBytes,
      };
      await work.finish({ status: 'succeeded', result: toJson(result), metrics }, async (tx) => {
        await deleteStagedFiles(tx, staged.prefix);
        await this.files.insertStaged(tx, work.actor, file);
        await upsertCachedExport(tx, { ...key, fileId: file.file.id });
        await this.events.append(tx, exportedEvent(work.actor, input, result));
      });
    } catch (error) {
      await this.staging.discard(staged).catch((cause) => {
        work.log.warn({ err: cause, prefix: staged.prefix }, 'Files of a failed export stay for the sweeper');
      });
      throw error;
    }
  }

  /** An earlier file that is still there and that this actor may read. */
  private async findCached(actor: Actor, key: Parameters<typeof findCachedExport>[1]): Promise<number | undefined> {
    const fileId = await findCachedExport(this.db, key);
    if (fileId === undefined) return undefined;
    try {
      return (await this.files.get(actor, fileId)).id;
    } catch (error) {
      if (error instanceof AppError && (error.kind === 'not-found' || error.kind === 'forbidden')) return undefined;
      throw error;
    }
  }

  private async finishCached(work: TableJob, input: ExportInput, fileId: number): Promise<void> {
    const result: ExportResult = { fileId, cacheHit: true };
    const metrics = { outCompressed: input.gzip, outBytes: 0, outBytesUncompressed: 0 };
    await work.finish({ status: 'succeeded', result: toJson(result), metrics }, async (tx) => {
      await this.files.addRun(tx, work.actor, fileId);
      await this.events.append(tx, exportedEvent(work.actor, input, result));
    });
  }
}

function exportedEvent(actor: Actor, input: ExportInput, result: ExportResult) {
  return eventFor(actor, {
    name: 'table.exported',
    component: 'storage',
    type: 'success',
    message: `Exported table ${input.tableId} into file ${result.fileId}`,
    objectType: 'table',
    objectId: input.tableId,
    objectName: splitTableId(input.tableId)?.name,
    params: { columns: input.columns, gzip: input.gzip },
    results: { ...result },
  });
}

/** The newest version of a table the actor may read. */
export async function requireReadableTable(db: Database, actor: Actor, tableId: string): Promise<LakeTable> {
  const id = splitTableId(tableId);
  if (id === undefined) throw tableErrors.tableIdNotFound(tableId, actor.projectId);
  requireBucketRight(actor, id.bucketId, 'read');
  const found = await findReadable(db, actor, tableId);
  const table = found && (await findLakeTable(db, found.row.projectId, found.row.lakeTableId));
  if (table === undefined) throw tableErrors.tableNotFound(id.name, id.bucketId, actor.projectId);
  return table;
}

/** A table of the project's own, or of a bucket it has linked. */
export async function findReadable(db: Db, place: Place, tableId: string): Promise<ReadableTable | undefined> {
  const id = splitTableId(tableId);
  if (id === undefined) return undefined;
  const row = await findTable(db, place, tableId);
  return row ? { row, id: row.id, bucketId: row.bucketId } : findLinkedTable(db, place, id.bucketId, id.name);
}

/** What the engine has to know to read these rows. */
export function toReadRequest(table: LakeTable, options: ReadOptions) {
  const columns = resolveColumns(table, options.columns);
  const timestamp = table.columns.find((column) => column.lakeName === TIMESTAMP_COLUMN);
  const filter = resolveFilter(table, options);
  return {
    table: toTableVersion(table),
    columns: [
      ...columns.map((column) => column.id),
      ...(options.includeInternalTimestamp && timestamp ? [timestamp.id] : []),
    ],
    ...(filter && { filter }),
    orderBy: resolveOrder(table, options.orderBy),
    ...(options.limit !== undefined && { limit: options.limit }),
  };
}

/** Everything resolved and complete, as it is kept on the job. */
export function toExportInput(
  tableId: string,
  columns: string[],
  options: ReadOptions & { gzip?: boolean | undefined; fileType?: 'csv' | 'parquet' | undefined },
): ExportInput {
  return {
    tableId,
    columns,
    filter: options.filter ?? null,
    orderBy: options.orderBy ?? [],
    limit: options.limit ?? null,
    changedSince: options.changedSince?.toISOString() ?? null,
    changedUntil: options.changedUntil?.toISOString() ?? null,
    includeInternalTimestamp: options.includeInternalTimestamp ?? false,
    gzip: options.gzip ?? false,
    fileType: options.fileType ?? 'csv',
  };
}

function fromInput(input: ExportInput): ReadOptions {
  return {
    columns: input.columns,
    filter: input.filter ?? undefined,
    orderBy: input.orderBy,
    limit: input.limit ?? undefined,
    changedSince: input.changedSince === null ? undefined : new Date(input.changedSince),
    changedUntil: input.changedUntil === null ? undefined : new Date(input.changedUntil),
    includeInternalTimestamp: input.includeInternalTimestamp,
  };
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
