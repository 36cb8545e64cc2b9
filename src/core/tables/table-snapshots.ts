/**
 * Snapshots: a table as it was at a moment, kept until it is deleted, whatever becomes of the table and its bucket.
 *
 * A snapshot is a table of the lake beside those of buckets: rows of the catalogue are copied, files are linked, so it
 * costs no data and takes milliseconds. A table made from one is the same the other way round.
 */
import type { Database, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { uuidv7 } from '../../lib/ids.ts';
import { retry } from '../../lib/retry.ts';
import type { Events } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { findBucket } from './bucket-store.ts';
import { requireBucketRow } from './buckets.ts';
import { LakeCommit } from './lake-commit-store.ts';
import { findLakeSchemaId } from './lake-copy-store.ts';
import { findLakeTable, lakeDirectory, newTableLocation, userColumns } from './lake-store.ts';
import { linkFiles } from './link-files.ts';
import { requireTableDisplayName, requireTableName, splitTableId } from './names.ts';
import { listColumnMetadata, listMetadata, type MetadataItem, upsertMetadata } from './object-metadata-store.ts';
import {
  deleteSnapshot,
  findSnapshot,
  insertSnapshot,
  type KeptMetadata,
  listSnapshots,
  type SnapshotRow,
} from './snapshot-store.ts';
import type { Staging } from './staging.ts';
import { deleteStagedFiles, type StagedFiles } from './staging-store.ts';
import { tableErrors } from './table-errors.ts';
import { requireReadableTable } from './table-exports.ts';
import { lockKeyOf, tableEvent } from './table-facts.ts';
import { CONFLICT_RETRIES, isLakeConflict, type TableJob } from './table-job.ts';
import { findTable, insertTable, isDisplayNameTaken, type TableRow, touchBucket } from './table-store.ts';

/** The schema of the lake that holds them. No bucket can have the name. */
const SCHEMA = 'snapshots';

export type TableSnapshot = {
  id: number;
  tableId: string;
  description: string;
  columns: string[];
  primaryKey: string[];
  token: { id: number; description: string };
  createdAt: Date;
};

/** Inputs of jobs of the kinds snapshot-create, snapshot-delete and snapshot-restore. */
export type SnapshotCreateInput = { tableId: string; description: string };
export type SnapshotDeleteInput = { snapshotId: number };
export type SnapshotRestoreInput = { snapshotId: number; tableId: string; displayName: string | null };

export class TableSnapshots {
  readonly #db: Database;
  readonly #events: Events;
  readonly #jobs: Jobs;
  readonly #staging: Staging;
  readonly #clock: Clock;

  constructor(parts: { db: Database; events: Events; jobs: Jobs; staging: Staging; clock: Clock }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#jobs = parts.jobs;
    this.#staging = parts.staging;
    this.#clock = parts.clock;
  }

  /** Newest first. */
  async list(actor: Actor, tableId: string, page: { limit: number; offset: number }): Promise<TableSnapshot[]> {
    await requireReadableTable(this.#db, actor, tableId);
    const rows = await listSnapshots(this.#db, actor, tableId, page);
    return Promise.all(rows.map((row) => this.#withColumns(row)));
  }

  async get(actor: Actor, id: number): Promise<TableSnapshot> {
    return this.#withColumns(await this.#require(this.#db, actor, id, 'read'));
  }

  async #withColumns(row: SnapshotRow): Promise<TableSnapshot> {
    const lake = await findLakeTable(this.#db, row.projectId, row.lakeTableId);
    const columns = lake ? userColumns(lake) : [];
    const nameOf = new Map(columns.map((column) => [column.id, column.name]));
    return {
      id: row.id,
      tableId: row.tableId,
      description: row.description,
      columns: columns.map((column) => column.name),
      primaryKey: row.primaryKey.flatMap((id) => nameOf.get(id) ?? []),
      token: row.token,
      createdAt: row.createdAt,
    };
  }

  async #require(db: Database | Transaction, actor: Actor, id: number, right: 'read' | 'write'): Promise<SnapshotRow> {
    const row = await findSnapshot(db, actor, id);
    if (row === undefined) throw tableErrors.snapshotNotFound(id);
    requireBucketRight(actor, splitTableId(row.tableId)?.bucketId ?? '', right);
    return row;
  }

  /** A job that keeps the table as it is once the loads before it are done. */
  async createLater(actor: Actor, tableId: string, description: string): Promise<Job> {
    await requireReadableTable(this.#db, actor, tableId);
    requireBucketRight(actor, splitTableId(tableId)?.bucketId ?? '', 'write');
    return this.#jobs.create(actor, {
      kind: 'snapshot-create',
      input: { tableId, description } satisfies SnapshotCreateInput,
      objectId: tableId,
      lockKey: lockKeyOf(actor, tableId),
    });
  }

  async deleteLater(actor: Actor, snapshotId: number): Promise<Job> {
    const row = await this.#require(this.#db, actor, snapshotId, 'write');
    return this.#jobs.create(actor, {
      kind: 'snapshot-delete',
      input: { snapshotId } satisfies SnapshotDeleteInput,
      objectId: row.tableId,
    });
  }

  /** A job that makes a table of it; without a name, one of the name it was made of. */
  async restoreLater(
    actor: Actor,
    snapshotId: number,
    target: { bucketId: string; name?: string | undefined; displayName?: string | undefined },
  ): Promise<Job> {
    requireBucketRight(actor, target.bucketId, 'write');
    const row = await this.#require(this.#db, actor, snapshotId, 'read');
    const name = target.name ?? splitTableId(row.tableId)?.name ?? '';
    requireTableName(name);
    if (target.displayName !== undefined) requireTableDisplayName(target.displayName);
    const tableId = `${target.bucketId}.${name}`;
    return this.#jobs.create(actor, {
      kind: 'snapshot-restore',
      input: { snapshotId, tableId, displayName: target.displayName ?? null } satisfies SnapshotRestoreInput,
      objectId: tableId,
      lockKey: lockKeyOf(actor, tableId),
    });
  }

  /** Runs a job of one of the three kinds to its end; safe to run again after any failure. */
  async run(work: TableJob): Promise<void> {
    await this.#staging.discardEarlier(work.job);
    const carryOut = () => {
      if (work.job.kind === 'snapshot-create') return this.#create(work, work.job.input as SnapshotCreateInput);
      if (work.job.kind === 'snapshot-delete') return this.#delete(work, work.job.input as SnapshotDeleteInput);
      return this.#restore(work, work.job.input as SnapshotRestoreInput);
    };
    await retry(carryOut, isLakeConflict, CONFLICT_RETRIES, work.signal);
  }

  async #create(work: TableJob, { tableId, description }: SnapshotCreateInput): Promise<void> {
    const { actor, job } = work;
    const lake = await requireReadableTable(this.#db, actor, tableId);
    const uuid = uuidv7();
    // The schema may not be there before the first snapshot, but its path is known.
    const path = `${job.id}-${uuid.slice(-12)}/`;
    const directory = `${await lakeDirectory(this.#db, actor.projectId)}${SCHEMA}/${path}`;
    await this.#copy(work, directory, async (staged) => {
      const files = await linkFiles(lake.files, staged);
      await work.finish({ status: 'succeeded', result: { id: job.id } }, async (tx) => {
        await requireStaged(tx, staged);
        const commit = await LakeCommit.begin(tx, actor.projectId);
        const row = await findTable(tx, actor, tableId);
        if (row?.lakeTableId !== lake.id) throw tableErrors.lakeConflict('it was dropped');
        const schemaId = (await findLakeSchemaId(tx, actor.projectId, SCHEMA)) ?? (await commit.createSchema(SCHEMA));
        const name = `${tableId}-${job.id}`;
        const lakeTableId = await commit.copyTable(lake, { schemaId, name, uuid, path }, files);
        await insertSnapshot(tx, {
          id: job.id,
          projectId: actor.projectId,
          branchId: actor.storageBranchId,
          tableId,
          lakeTableId,
          description,
          tableDescription: row.description,
          primaryKey: row.primaryKey,
          columnTypes: row.columnTypes,
          metadata: await metadataOf(tx, actor, tableId),
          token: { id: actor.token.id, description: actor.token.description },
          createdAt: this.#clock.now(),
        });
        await commit.finish({ author: actor.token.description, message: `Snapshot of ${tableId}` });
        const message = `Created snapshot ${job.id} of table ${tableId}`;
        await this.#events.append(
          tx,
          tableEvent(actor, 'table.snapshot-created', row, message, { snapshotId: job.id, description }),
        );
      });
    });
  }

  async #delete(work: TableJob, { snapshotId }: SnapshotDeleteInput): Promise<void> {
    const { actor } = work;
    await work.finish({ status: 'succeeded' }, async (tx) => {
      const commit = await LakeCommit.begin(tx, actor.projectId);
      const row = await this.#require(tx, actor, snapshotId, 'write');
      await deleteSnapshot(tx, actor, snapshotId);
      await commit.dropTables([row.lakeTableId]);
      await commit.finish({ author: actor.token.description, message: `Delete snapshot ${snapshotId}` });
      const name = splitTableId(row.tableId)?.name ?? '';
      const message = `Deleted snapshot ${snapshotId} of table ${row.tableId}`;
      await this.#events.append(
        tx,
        tableEvent(actor, 'table.snapshot-deleted', { id: row.tableId, displayName: name }, message, { snapshotId }),
      );
    });
  }

  async #restore(work: TableJob, { snapshotId, tableId, displayName }: SnapshotRestoreInput): Promise<void> {
    const { actor } = work;
    const { bucketId, name } = splitTableId(tableId) ?? { bucketId: '', name: '' };
    requireBucketRight(actor, bucketId, 'write');
    const snapshot = await this.#require(this.#db, actor, snapshotId, 'read');
    const lake = await findLakeTable(this.#db, actor.projectId, snapshot.lakeTableId);
    if (lake === undefined) throw tableErrors.snapshotNotFound(snapshotId);
    const bucket = await findBucket(this.#db, actor, bucketId);
    if (bucket === undefined) throw tableErrors.bucketNotFound(bucketId, actor.projectId);
    if (await findTable(this.#db, actor, tableId)) throw tableErrors.tableExists(name, bucketId);
    const uuid = uuidv7();
    const schemaId = bucket.lakeSchemaId;
    if (schemaId === undefined) throw tableErrors.bucketReadOnly(bucketId);
    const place = await newTableLocation(this.#db, actor.projectId, schemaId, name, uuid);
    if (place === undefined) throw tableErrors.bucketNotFound(bucketId, actor.projectId);
    await this.#copy(work, place.directory, async (staged) => {
      const files = await linkFiles(lake.files, staged);
      await work.finish({ status: 'succeeded', result: { tableId } }, async (tx) => {
        await requireStaged(tx, staged);
        const commit = await LakeCommit.begin(tx, actor.projectId);
        const at = this.#clock.now();
        const row: TableRow = {
          projectId: actor.projectId,
          branchId: actor.storageBranchId,
          id: tableId,
          bucketId,
          name,
          displayName: displayName ?? name,
          description: snapshot.tableDescription,
          lakeTableId: 0,
          primaryKey: snapshot.primaryKey,
          columnTypes: snapshot.columnTypes,
          createdAt: at,
          importedAt: at,
          changedAt: at,
        };
        if ((await requireBucketRow(tx, actor, bucketId)).lakeSchemaId !== schemaId)
          throw tableErrors.lakeConflict('its bucket was made anew');
        if (await findTable(tx, actor, tableId)) throw tableErrors.tableExists(name, bucketId);
        if (await isDisplayNameTaken(tx, row)) throw tableErrors.tableDisplayNameTaken(name, row.displayName);
        row.lakeTableId = await commit.copyTable(lake, { ...place, schemaId, name, uuid }, files);
        await insertTable(tx, row);
        await restoreMetadata(tx, actor, tableId, snapshot.metadata, at);
        await touchBucket(tx, actor, bucketId, at);
        await commit.finish({ author: actor.token.description, message: `Create table ${tableId}` });
        const message = `Created table ${tableId} from snapshot ${snapshotId}`;
        await this.#events.append(tx, tableEvent(actor, 'table.created', row, message, { snapshotId }));
      });
    });
  }

  /** Whatever was linked is gone again unless it was committed. */
  async #copy(work: TableJob, directory: string, body: (staged: StagedFiles) => Promise<void>): Promise<void> {
    const staged = await this.#staging.open(work.job, directory);
    try {
      await body(staged);
    } catch (error) {
      await this.#staging.discard(staged).catch((cause) => {
        work.log.warn({ err: cause, prefix: staged.prefix }, 'Links of a failed copy stay for the sweeper');
      });
      throw error;
    }
  }
}

async function requireStaged(tx: Transaction, staged: StagedFiles): Promise<void> {
  if (!(await deleteStagedFiles(tx, staged.prefix))) throw tableErrors.lakeConflict('its new files were taken away');
}

async function metadataOf(tx: Transaction, actor: Actor, tableId: string): Promise<SnapshotRow['metadata']> {
  const table = (await listMetadata(tx, actor, 'table', [tableId])).get(tableId) ?? [];
  const columns = await listColumnMetadata(tx, actor, [tableId]);
  const nameOf = (columnId: string) => columnId.slice(tableId.length + 1);
  return {
    table: kept(table),
    columns: Object.fromEntries([...columns].map(([id, items]) => [nameOf(id), kept(items)])),
  };
}

function kept(items: readonly MetadataItem[]): KeptMetadata {
  return items.map(({ provider, key, value }) => ({ provider, key, value }));
}

async function restoreMetadata(
  tx: Transaction,
  actor: Actor,
  tableId: string,
  metadata: SnapshotRow['metadata'],
  at: Date,
): Promise<void> {
  const objects = [
    { type: 'table' as const, id: tableId, items: metadata.table },
    ...Object.entries(metadata.columns).map(([name, items]) => ({
      type: 'column' as const,
      id: `${tableId}.${name}`,
      items,
    })),
  ];
  for (const { type, id, items } of objects) {
    for (const provider of new Set(items.map((item) => item.provider))) {
      const own = items.filter((item) => item.provider === provider);
      await upsertMetadata(tx, actor, { type, id }, provider, own, at);
    }
  }
}
