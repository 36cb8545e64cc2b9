/** Carries out jobs of the kind rows-delete. */
import type { Database } from '../../db/database.ts';
import type { Engine, EngineTables, TableChange } from '../../drivers/engines/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import { retry } from '../../lib/retry.ts';
import { type Events, eventFor } from '../events/events.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { LakeCommit } from './lake-commit-store.ts';
import { type LakeTable, rowsOf, toTableVersion } from './lake-store.ts';
import { splitTableId } from './names.ts';
import { resolveFilter } from './row-selection.ts';
import type { Staging } from './staging.ts';
import { deleteStagedFiles } from './staging-store.ts';
import type { TableCompactions } from './table-compactions.ts';
import { tableErrors } from './table-errors.ts';
import { requireReadableTable } from './table-exports.ts';
import { CONFLICT_RETRIES, isLakeConflict, type TableJob } from './table-job.ts';
import { requireFiles } from './table-loads.ts';
import type { DeleteRowsInput } from './table-model.ts';
import { findTable, touchTable } from './table-store.ts';

export class RowDeletes {
  private readonly db: Database;
  private readonly events: Events;
  private readonly engine: EngineTables;
  private readonly staging: Staging;
  private readonly compactions: TableCompactions;
  private readonly clock: Clock;

  constructor(parts: {
    db: Database;
    events: Events;
    engine: Engine;
    staging: Staging;
    compactions: TableCompactions;
    clock: Clock;
  }) {
    this.db = parts.db;
    this.events = parts.events;
    this.engine = parts.engine.tables;
    this.staging = parts.staging;
    this.compactions = parts.compactions;
    this.clock = parts.clock;
  }

  /** Runs the job to its end; safe to run again after any failure. */
  async run(work: TableJob): Promise<void> {
    await this.staging.discardEarlier(work.job);
    await retry(() => this.deleteRows(work), isLakeConflict, CONFLICT_RETRIES, work.signal);
  }

  private async deleteRows(work: TableJob): Promise<void> {
    const input = work.job.input as unknown as DeleteRowsInput;
    const table = await requireReadableTable(this.db, work.actor, input.tableId);
    requireBucketRight(work.actor, splitTableId(input.tableId)?.bucketId ?? '', 'write');
    const filter = resolveFilter(table, fromInput(input), tableErrors.deleteFilterColumnUnknown);
    if (filter === undefined) return this.commit(work, input, table, truncation(table));

    const staged = await this.staging.open(work.job, table.directory);
    try {
      const change = await this.engine.deleteRows(
        {
          operationId: staged.prefix,
          table: toTableVersion(table),
          directory: staged.directory,
          filePrefix: staged.prefix,
          filter,
        },
        work.signal,
      );
      await requireFiles(change);
      await this.commit(work, input, table, change, staged.prefix);
    } catch (error) {
      await this.staging.discard(staged).catch((cause) => {
        work.log.warn({ err: cause, prefix: staged.prefix }, 'Files of a failed deletion stay for the sweeper');
      });
      throw error;
    }
  }

  private async commit(
    work: TableJob,
    input: DeleteRowsInput,
    table: LakeTable,
    change: TableChange,
    prefix?: string,
  ): Promise<void> {
    work.signal.throwIfAborted();
    const result = { deletedRows: change.deletedRows };
    await work.finish({ status: 'succeeded', result }, async (tx) => {
      if (prefix !== undefined && !(await deleteStagedFiles(tx, prefix))) {
        throw tableErrors.lakeConflict('its new files were taken away');
      }
      const commit = await LakeCommit.begin(tx, work.actor.projectId);
      const row = await findTable(tx, work.actor, input.tableId);
      if (row?.lakeTableId !== table.id) throw tableErrors.lakeConflict('it was made anew');
      if (!(await touchTable(tx, work.actor, input.tableId, this.clock.now(), { imported: false }))) {
        throw tableErrors.lakeConflict('it was dropped');
      }
      await commit.applyFiles(table, change);
      await commit.finish({ author: work.actor.token.description, message: `Delete rows of ${input.tableId}` });
      await this.compactions.requestIn(tx, work.actor, input.tableId, table, change);
      await this.events.append(
        tx,
        eventFor(work.actor, {
          name: 'table.rows-deleted',
          component: 'storage',
          type: 'success',
          message: `Deleted ${result.deletedRows} rows of table ${input.tableId}`,
          objectType: 'table',
          objectId: input.tableId,
          objectName: splitTableId(input.tableId)?.name,
          results: result,
        }),
      );
    });
  }
}

/** All rows at once: the files leave the table as they are, and the engine has nothing to do. */
function truncation(table: LakeTable): TableChange {
  return {
    addedFiles: [],
    deleteFiles: [],
    removedFiles: table.files.map((file) => file.path),
    sourceRows: 0,
    totalRows: 0,
    deletedRows: rowsOf(table.files),
  };
}

function fromInput(input: DeleteRowsInput) {
  return {
    filter: input.filter ?? undefined,
    changedSince: input.changedSince === null ? undefined : new Date(input.changedSince),
    changedUntil: input.changedUntil === null ? undefined : new Date(input.changedUntil),
  };
}
