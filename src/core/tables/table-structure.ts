/**
 * What a table is made of: columns and primary key. Every change is of the catalogue alone, no row is written anew.
 *
 * Each change is done inside of a transaction of the caller's (`...In`), at once, or as a job of the kind table-alter,
 * which waits for its turn among the loads of the table.
 */
import type { Database, Transaction } from '../../db/database.ts';
import type { Engine, EngineTables } from '../../drivers/engines/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import { uuidv7 } from '../../lib/ids.ts';
import { retry } from '../../lib/retry.ts';
import type { AppError } from '../errors.ts';
import type { Events } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { lakeTypeOf, type NewColumnDefinition, requireChange, requireDefinition } from './column-types.ts';
import { LakeCommit, type NewLakeColumn } from './lake-commit-store.ts';
import { findLakeTable, type LakeTable, rowsOf, toTableVersion, userColumns } from './lake-store.ts';
import { requireTableDisplayName, splitTableId, toColumnName } from './names.ts';
import { deleteMetadataOfTable, upsertMetadata } from './object-metadata-store.ts';
import { writeTypeMetadata } from './table-definitions.ts';
import { tableErrors } from './table-errors.ts';
import { lockKeyOf, tableEvent } from './table-facts.ts';
import { CONFLICT_RETRIES, isLakeConflict, type TableJob, toJson } from './table-job.ts';
import { findTable, isDisplayNameTaken, type TableRow, touchTable, updateTable } from './table-store.ts';

const MAX_COLUMN_NAME = 64;

export type Alteration =
  | { act: 'add-column'; name: string; definition: NewColumnDefinition | null }
  | { act: 'drop-column'; name: string; force: boolean }
  | { act: 'add-primary-key'; columns: string[]; skipDuplicatesCheck: boolean }
  | { act: 'drop-primary-key' }
  | { act: 'redefine-column'; columns: ColumnChange[] }
  | {
      act: 'redefine';
      columns: ColumnChange[];
      displayName?: string | undefined;
      description?: string | undefined;
    };

type Redefinition = {
  tableId: string;
  columns: ColumnChange[];
  displayName?: string | undefined;
  description?: string | undefined;
};

/** What may change in the definition of a column; null takes the default away. */
export type ColumnChange = {
  name: string;
  length?: string | undefined;
  nullable?: boolean | undefined;
  default?: string | null | undefined;
  description?: string | undefined;
};

/** `input` of jobs of the kind table-alter. */
export type AlterInput = { tableId: string } & Alteration;

/** A table with its columns, under the lake's lock. */
type Held = { commit: LakeCommit; row: TableRow; lake: LakeTable };

export class TableStructure {
  readonly #db: Database;
  readonly #events: Events;
  readonly #jobs: Jobs;
  readonly #engine: EngineTables;
  readonly #clock: Clock;

  constructor(parts: { db: Database; events: Events; jobs: Jobs; engine: Engine; clock: Clock }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#jobs = parts.jobs;
    this.#engine = parts.engine.tables;
    this.#clock = parts.clock;
  }

  /** A change as a job, in the line of what is to be done with the table. */
  async alterLater(actor: Actor, tableId: string, alteration: Alteration): Promise<Job> {
    requireWriter(actor, tableId);
    const row = await findTable(this.#db, actor, tableId);
    if (row === undefined) throw notFound(actor, tableId);
    if (alteration.act === 'redefine' && alteration.displayName !== undefined) {
      requireTableDisplayName(alteration.displayName);
    }
    if (alteration.act === 'add-column') {
      if (alteration.definition !== null && row.columnTypes === undefined) throw tableErrors.definitionUnexpected();
      if (alteration.definition === null && row.columnTypes !== undefined) throw tableErrors.definitionRequired();
    }
    return this.#jobs.create(actor, {
      kind: 'table-alter',
      input: toJson({ tableId, ...alteration } satisfies AlterInput),
      objectId: tableId,
      lockKey: lockKeyOf(actor, tableId),
    });
  }

  /** Runs the job to its end; safe to run again after any failure. */
  async run(work: TableJob): Promise<void> {
    await retry(() => this.#carryOut(work), isLakeConflict, CONFLICT_RETRIES, work.signal);
  }

  async #carryOut(work: TableJob): Promise<void> {
    const input = work.job.input as unknown as AlterInput;
    const { actor } = work;
    const { tableId } = input;
    const outcome = { status: 'succeeded' as const, result: { tableId } };
    const finish = (inTx: (tx: Transaction) => Promise<void>) => work.finish(outcome, inTx);
    switch (input.act) {
      case 'add-column':
        return finish((tx) => this.addColumnIn(tx, actor, tableId, input.name, input.definition));
      case 'drop-column':
        return finish((tx) => this.dropColumnIn(tx, actor, tableId, input.name));
      case 'add-primary-key': {
        const unique = await this.#requireUnique(actor, input, work.signal);
        return finish((tx) => this.#addPrimaryKeyIn(tx, actor, input, unique));
      }
      case 'drop-primary-key':
        return finish((tx) => this.#dropPrimaryKeyIn(tx, actor, tableId));
      case 'redefine-column':
      case 'redefine': {
        const filled = await this.#requireFilled(actor, input, work.signal);
        return finish((tx) => this.#redefineIn(tx, actor, input, filled));
      }
    }
  }

  /** Appends an empty column. */
  async addColumnIn(
    tx: Transaction,
    actor: Actor,
    tableId: string,
    text: string,
    asked: NewColumnDefinition | null = null,
  ): Promise<void> {
    requireWriter(actor, tableId);
    const name = toColumnName(text);
    if (name === '' || name.length > MAX_COLUMN_NAME) throw tableErrors.invalidAddedColumn(text);
    const { commit, row, lake } = await hold(tx, actor, tableId);
    const known = userColumns(lake).map((column) => column.name);
    // Asked for by name, a column that differs by case alone is a mistake; files may have both.
    if (known.some((other) => other.toLowerCase() === name.toLowerCase())) throw tableErrors.columnExists(name);
    if (asked !== null && row.columnTypes === undefined) throw tableErrors.definitionUnexpected();
    const id = lake.nextColumnId;
    const at = this.#clock.now();
    if (row.columnTypes === undefined) await commit.addColumns(lake, [{ id, name, type: 'varchar' }]);
    else {
      // Who knows nothing of types (an output mapping without a schema) adds texts.
      const definition = requireDefinition(name, asked ?? {}, false);
      if (!definition.nullable && definition.default === undefined && rowsOf(lake.files) > 0) {
        throw tableErrors.cannotAddColumn(name);
      }
      await commit.addColumns(lake, [{ id, name, type: lakeTypeOf(definition), definition }]);
      await updateTable(tx, { ...row, columnTypes: { ...row.columnTypes, [id]: definition } });
      await writeTypeMetadata(tx, actor, tableId, new Map([[name, definition]]), at);
    }
    await touchTable(tx, actor, tableId, at, { imported: false });
    await commit.finish({ author: actor.token.description, message: `Add a column to ${tableId}` });
    await this.#events.append(tx, tableEvent(actor, 'table.column-added', row, `Added column ${name}`, { name }));
  }

  /** Drops a column that is neither in the primary key nor the last one. */
  async dropColumnIn(tx: Transaction, actor: Actor, tableId: string, name: string): Promise<void> {
    requireWriter(actor, tableId);
    const { commit, row, lake } = await hold(tx, actor, tableId);
    const columns = userColumns(lake);
    const column = columns.find((candidate) => candidate.name === name);
    if (column === undefined) throw tableErrors.columnNotFound(name, tableId);
    if (row.primaryKey.includes(column.id)) throw tableErrors.columnInPrimaryKey(name);
    if (columns.length === 1) throw tableErrors.invalid(`The last column "${name}" of a table cannot be deleted.`);
    await commit.dropColumns(lake, [column.id]);
    await deleteMetadataOfTable(tx, actor, tableId, [name]);
    if (row.columnTypes !== undefined) {
      const { [column.id]: _dropped, ...columnTypes } = row.columnTypes;
      await updateTable(tx, { ...row, columnTypes });
    }
    await touchTable(tx, actor, tableId, this.#clock.now(), { imported: false });
    await commit.finish({ author: actor.token.description, message: `Drop a column of ${tableId}` });
    await this.#events.append(tx, tableEvent(actor, 'table.column-deleted', row, `Deleted column ${name}`, { name }));
  }

  /**
   * Replaces the primary key; no columns take it away. The rows that are there are not looked at: for callers whose
   * next load replaces them all, and deduplicates them by the new key.
   */
  async setPrimaryKeyIn(tx: Transaction, actor: Actor, tableId: string, columns: readonly string[]): Promise<void> {
    requireWriter(actor, tableId);
    const { row, lake } = await hold(tx, actor, tableId);
    requireNotNullable(row, lake, columns);
    await this.#updatePrimaryKey(tx, actor, row, keyOf(lake, columns), columns);
  }

  async #addPrimaryKeyIn(
    tx: Transaction,
    actor: Actor,
    { tableId, columns }: { tableId: string; columns: string[] },
    checked: LakeTable | undefined,
  ): Promise<void> {
    requireWriter(actor, tableId);
    const { row, lake } = await hold(tx, actor, tableId);
    if (row.primaryKey.length > 0) throw tableErrors.primaryKeyExists(tableId);
    requireNotNullable(row, lake, columns);
    if (checked !== undefined && rowsOfVersion(checked) !== rowsOfVersion(lake)) {
      throw tableErrors.lakeConflict('its rows changed while they were compared');
    }
    await this.#updatePrimaryKey(tx, actor, row, keyOf(lake, columns, tableErrors.primaryKeyUnknown), columns);
    await touchTable(tx, actor, tableId, this.#clock.now(), { imported: false });
  }

  async #dropPrimaryKeyIn(tx: Transaction, actor: Actor, tableId: string): Promise<void> {
    requireWriter(actor, tableId);
    const { row } = await hold(tx, actor, tableId);
    if (row.primaryKey.length === 0) return;
    await this.#updatePrimaryKey(tx, actor, row, [], []);
    await touchTable(tx, actor, tableId, this.#clock.now(), { imported: false });
  }

  async #redefineIn(tx: Transaction, actor: Actor, input: Redefinition, filled: LakeTable): Promise<void> {
    const { tableId } = input;
    requireWriter(actor, tableId);
    const { commit, row, lake } = await hold(tx, actor, tableId);
    if (rowsOfVersion(filled) !== rowsOfVersion(lake)) {
      throw tableErrors.lakeConflict('its rows changed while they were looked at');
    }
    const at = this.#clock.now();
    const changed = changedColumns(row, lake, input.columns);
    await commit.redefineColumns(lake, changed);
    const renamed = {
      ...row,
      displayName: input.displayName ?? row.displayName,
      description: input.description ?? row.description,
    };
    if (await isDisplayNameTaken(tx, renamed)) throw tableErrors.tableDisplayNameTaken(row.name, renamed.displayName);
    const types = Object.fromEntries(changed.map(({ id, definition }) => [id, definition]));
    await updateTable(tx, { ...renamed, ...(row.columnTypes && { columnTypes: { ...row.columnTypes, ...types } }) });
    await writeTypeMetadata(tx, actor, tableId, new Map(changed.map(({ name, definition }) => [name, definition])), at);
    for (const { name, description } of input.columns) {
      if (description === undefined) continue;
      const object = { type: 'column' as const, id: `${tableId}.${name}` };
      await upsertMetadata(tx, actor, object, 'user', [{ key: 'KBC.description', value: description }], at);
    }
    if (changed.length > 0) await touchTable(tx, actor, tableId, at, { imported: false });
    await commit.finish({ author: actor.token.description, message: `Redefine columns of ${tableId}` });
    await this.#events.append(
      tx,
      tableEvent(actor, 'table.columns-updated', renamed, `Updated columns of table ${tableId}`, {
        columns: input.columns.map(({ name }) => name),
      }),
    );
  }

  /** The version of the table whose rows have values wherever the new definitions want some. */
  async #requireFilled(actor: Actor, { tableId, columns }: Redefinition, signal: AbortSignal): Promise<LakeTable> {
    const row = await findTable(this.#db, actor, tableId);
    const lake = row && (await findLakeTable(this.#db, actor.projectId, row.lakeTableId));
    if (row === undefined || lake === undefined) throw notFound(actor, tableId);
    for (const { id, name, definition } of changedColumns(row, lake, columns)) {
      if (definition.nullable || row.columnTypes?.[id]?.nullable === false) continue;
      const request = {
        operationId: `filled-${uuidv7()}`,
        table: toTableVersion(lake),
        columns: [id],
        limit: 1,
        filter: { field: String(id), op: 'eq' as const, values: [null] },
      };
      signal.throwIfAborted();
      const empty = await this.#engine.preview(request);
      if (empty.length > 0) throw tableErrors.columnHasNulls(name);
    }
    return lake;
  }

  async #updatePrimaryKey(
    tx: Transaction,
    actor: Actor,
    row: TableRow,
    primaryKey: number[],
    columns: readonly string[],
  ): Promise<void> {
    await updateTable(tx, { ...row, primaryKey });
    const isAdded = primaryKey.length > 0;
    const event = isAdded ? 'table.primary-key-added' : 'table.primary-key-deleted';
    const message = `Primary key of table ${row.id} ${isAdded ? `set to ${columns.join(', ')}` : 'deleted'}`;
    await this.#events.append(tx, tableEvent(actor, event, row, message, { columns }));
  }

  /** The version of the table whose rows are unique by the columns; undefined when nobody wants to know. */
  async #requireUnique(
    actor: Actor,
    { tableId, columns, skipDuplicatesCheck }: { tableId: string; columns: string[]; skipDuplicatesCheck: boolean },
    signal: AbortSignal,
  ): Promise<LakeTable | undefined> {
    const row = await findTable(this.#db, actor, tableId);
    const lake = row && (await findLakeTable(this.#db, actor.projectId, row.lakeTableId));
    if (row === undefined || lake === undefined) throw notFound(actor, tableId);
    if (row.primaryKey.length > 0) throw tableErrors.primaryKeyExists(tableId);
    const key = keyOf(lake, columns, tableErrors.primaryKeyUnknown);
    if (skipDuplicatesCheck) return undefined;
    const request = { operationId: `unique-${uuidv7()}`, table: toTableVersion(lake), columns: key };
    if (await this.#engine.hasDuplicates(request, signal)) throw tableErrors.primaryKeyDuplicates(columns);
    return lake;
  }
}

/** Locks the lake until the transaction ends and reads the table as it is now. */
export async function hold(tx: Transaction, actor: Actor, tableId: string): Promise<Held> {
  const commit = await LakeCommit.begin(tx, actor.projectId);
  const row = await findTable(tx, actor, tableId, 'update');
  const lake = row && (await findLakeTable(tx, actor.projectId, row.lakeTableId));
  if (row === undefined || lake === undefined) throw notFound(actor, tableId);
  return { commit, row, lake };
}

/** Checked, and only those that are not as they were. */
function changedColumns(row: TableRow, lake: LakeTable, changes: readonly ColumnChange[]): Required<NewLakeColumn>[] {
  return changes.flatMap((change) => {
    const { name } = change;
    const column = userColumns(lake).find((candidate) => candidate.name === name);
    if (column === undefined) throw tableErrors.columnNotFound(name, row.id);
    const { id } = column;
    const old = row.columnTypes?.[id];
    const asks = change.length !== undefined || change.nullable !== undefined || change.default !== undefined;
    if (!asks) return [];
    if (old === undefined) throw tableErrors.notTyped(row.id);
    const definition = requireChange(name, old, change, row.primaryKey.includes(id));
    const isSame = JSON.stringify(definition) === JSON.stringify(old);
    return isSame ? [] : [{ id, name, type: lakeTypeOf(definition), definition }];
  });
}

function keyOf(
  lake: LakeTable,
  columns: readonly string[],
  refused: (unknown: string[]) => AppError = tableErrors.invalidPrimaryKeyColumns,
): number[] {
  const ids = new Map(userColumns(lake).map((column) => [column.name, column.id]));
  const unknown = columns.filter((column) => !ids.has(column));
  if (unknown.length > 0) throw refused(unknown);
  return [...new Set(columns)].flatMap((column) => ids.get(column) ?? []);
}

/** A typed key is made of columns that always have values. */
function requireNotNullable(row: TableRow, lake: LakeTable, columns: readonly string[]): void {
  const nullable = userColumns(lake).filter(
    ({ id, name }) => columns.includes(name) && row.columnTypes?.[id]?.nullable === true,
  );
  if (nullable.length > 0) throw tableErrors.primaryKeyNullable(nullable.map(({ name }) => name));
}

/** Tells versions of the same table apart that differ in rows. */
function rowsOfVersion(lake: LakeTable): string {
  return JSON.stringify([lake.id, lake.files.map((file) => [file.id, file.deleteFile?.id ?? null])]);
}

function requireWriter(actor: Actor, tableId: string): void {
  const id = splitTableId(tableId);
  if (id === undefined) throw tableErrors.tableIdNotFound(tableId, actor.projectId);
  requireBucketRight(actor, id.bucketId, 'write');
}

function notFound(actor: Actor, tableId: string) {
  const id = splitTableId(tableId);
  if (id === undefined) return tableErrors.tableIdNotFound(tableId, actor.projectId);
  return tableErrors.tableNotFound(id.name, id.bucketId, actor.projectId);
}
