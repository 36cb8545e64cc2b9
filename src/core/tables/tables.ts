import type { Database, Transaction } from '../../db/database.ts';
import type { Engine, EngineTables, TableVersion } from '../../drivers/engines/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import { uuidv7 } from '../../lib/ids.ts';
import type { Events } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { canReadBucket } from '../identity/permissions.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { findLinkedTable, listLinkedTables, type ReadableTable } from './bucket-sharing-store.ts';
import { findBucket } from './bucket-store.ts';
import { LakeCommit } from './lake-commit-store.ts';
import { type LakeTableSummary, listLakeTables, toTableVersion, userColumns } from './lake-store.ts';
import { requireCsvOptions } from './load-plan.ts';
import { requireTableDisplayName, requireTableName, splitTableId } from './names.ts';
import { deleteMetadataOfTable } from './object-metadata-store.ts';
import { resolveColumns, resolveFilter, resolveOrder } from './row-selection.ts';
import { Staging } from './staging.ts';
import { TableDefinitions } from './table-definitions.ts';
import { tableErrors } from './table-errors.ts';
import { findReadable, requireReadableTable, toExportInput, toReadRequest } from './table-exports.ts';
import { lockKeyOf, tableEvent } from './table-facts.ts';
import { toJson } from './table-job.ts';
import type {
  CsvOptions,
  DeleteRowsInput,
  ExportOptions,
  ImportOptions,
  ImportSource,
  LoadInput,
  NewTable,
  ReadOptions,
  RowSelection,
  Table,
} from './table-model.ts';
import { openTable, readBatches } from './table-rows.ts';
import { TableSnapshots } from './table-snapshots.ts';
import {
  deleteTable,
  findTable,
  isDisplayNameTaken,
  listTables,
  type TableRow,
  touchBucket,
  updateTable,
} from './table-store.ts';
import { TableStructure } from './table-structure.ts';

const PREVIEW_LIMIT = 100;
const MAX_PREVIEW_LIMIT = 1000;
const MAX_PREVIEW_COLUMNS = 100;
/** Of all cells together: they are all in memory at once. */
const MAX_PREVIEW_BYTES = 16 * 1024 * 1024;

/** Tables of a project. What writes or reads all rows is a job; what people look at is answered at once. */
export class Tables {
  /** Columns and primary keys. */
  readonly structure: TableStructure;
  readonly snapshots: TableSnapshots;
  /** Tables made from a description. */
  readonly definitions: TableDefinitions;
  private readonly db: Database;
  private readonly events: Events;
  private readonly jobs: Jobs;
  private readonly engine: EngineTables;
  private readonly clock: Clock;

  constructor(parts: { db: Database; events: Events; jobs: Jobs; engine: Engine; clock: Clock }) {
    this.db = parts.db;
    this.events = parts.events;
    this.jobs = parts.jobs;
    this.engine = parts.engine.tables;
    this.clock = parts.clock;
    this.structure = new TableStructure(parts);
    this.snapshots = new TableSnapshots({ ...parts, staging: new Staging(parts) });
    this.definitions = new TableDefinitions(parts);
  }

  /** Tables of all buckets the actor may read, by id. */
  async list(actor: Actor): Promise<Table[]> {
    const tables = (await this.readable(actor)).filter(({ bucketId }) => canReadBucket(actor, bucketId));
    return this.withLake(tables);
  }

  async listByBucket(actor: Actor, bucketId: string): Promise<Table[]> {
    requireBucketRight(actor, bucketId, 'read');
    if (!(await findBucket(this.db, actor, bucketId))) throw tableErrors.bucketNotFound(bucketId, actor.projectId);
    return this.withLake(await this.readable(actor, bucketId));
  }

  async get(actor: Actor, id: string): Promise<Table> {
    const { bucketId, name } = requireTableId(actor, id);
    requireBucketRight(actor, bucketId, 'read');
    const found = await findReadable(this.db, actor, id);
    const [table] = found ? await this.withLake([found]) : [];
    if (table === undefined) throw tableErrors.tableNotFound(name, bucketId, actor.projectId);
    return table;
  }

  /** Those of the project's own and those of the buckets it has linked, by id. */
  private async readable(actor: Actor, bucketId?: string): Promise<ReadableTable[]> {
    const own = (await listTables(this.db, actor, bucketId)).map((row) => ({
      row,
      id: row.id,
      bucketId: row.bucketId,
    }));
    const linked = await listLinkedTables(this.db, actor, bucketId);
    if (linked.length === 0) return own;
    return [...own, ...linked].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  private async withLake(tables: readonly ReadableTable[]): Promise<Table[]> {
    const summaries = new Map<string, LakeTableSummary>();
    for (const projectId of new Set(tables.map(({ row }) => row.projectId))) {
      const tableIds = tables.flatMap(({ row }) => (row.projectId === projectId ? [row.lakeTableId] : []));
      for (const summary of await listLakeTables(this.db, projectId, { tableIds, columns: true }))
        summaries.set(`${projectId} ${summary.tableId}`, summary);
    }
    return tables.flatMap((table) => {
      const summary = summaries.get(`${table.row.projectId} ${table.row.lakeTableId}`);
      // A stock client may have dropped it in the lake.
      return summary === undefined ? [] : [toTable(table, summary)];
    });
  }

  /** Makes an empty table at once. */
  async create(actor: Actor, input: NewTable & { columns: string[] }): Promise<Table> {
    const columns = input.columns.map((name) => ({ name }));
    const id = await this.definitions.create(actor, { ...input, columns });
    return this.get(actor, id);
  }

  /** Makes a table out of a file: a job of the kind table-create. Whether the bucket is there shows when it runs. */
  async createFromFile(actor: Actor, table: NewTable & CsvOptions & { fileId: number }): Promise<Job> {
    return this.createFrom(actor, table, { kind: 'file', fileId: table.fileId }, table);
  }

  /** The same from another source. Whether that is there shows when it runs, too. */
  async createFrom(actor: Actor, table: NewTable, source: ImportSource, csv: CsvOptions = {}): Promise<Job> {
    requireNames(table);
    requireBucketRight(actor, table.bucketId, 'write');
    const bucket = await findBucket(this.db, actor, table.bucketId);
    if (bucket && bucket.lakeSchemaId === undefined) throw tableErrors.bucketReadOnly(table.bucketId);
    const tableId = `${table.bucketId}.${table.name}`;
    const input: LoadInput = {
      tableId,
      create: { displayName: table.displayName ?? null, primaryKey: table.primaryKey ?? [] },
      incremental: false,
      source,
      csv: requireCsvOptions(csv),
    };
    return this.jobs.create(actor, {
      kind: 'table-create',
      input: toJson(input),
      objectId: tableId,
      lockKey: lockKeyOf(actor, tableId),
    });
  }

  /** Loads a file into a table: a job of the kind table-import. */
  async import(actor: Actor, tableId: string, options: ImportOptions & { fileId: number }): Promise<Job> {
    const { fileId, ...load } = options;
    return this.importFrom(actor, tableId, { kind: 'file', fileId }, load);
  }

  /**
   * Loads what a job on this machine has made: into a table, or into one that is made when it is missing. With a
   * `dedupeKey`, calling again returns the first job, so a job that is run again loads nothing twice.
   */
  async importFrom(
    actor: Actor,
    destination: string | NewTable,
    source: ImportSource,
    options: ImportOptions & { dedupeKey?: string | undefined } = {},
  ): Promise<Job> {
    const { dedupeKey, ...load } = options;
    const input = await this.planLoad(actor, destination, source, load);
    return this.jobs.create(actor, {
      kind: 'table-import',
      input: toJson(input),
      objectId: input.tableId,
      lockKey: lockKeyOf(actor, input.tableId),
      ...(dedupeKey !== undefined && { dedupeKey }),
    });
  }

  /** The same checks, for whoever loads within a job of its own (`TableLoads.loadTogether`). */
  async planLoad(
    actor: Actor,
    destination: string | NewTable,
    source: ImportSource,
    options: ImportOptions = {},
  ): Promise<LoadInput> {
    const { nullTexts, deduplication, tellsTimestamp } = options;
    const load = {
      incremental: options.incremental ?? false,
      ...(nullTexts !== undefined && { nullText: nullTexts[0] ?? null }),
      ...(deduplication === 'insert' && { keepsExisting: true }),
      ...(tellsTimestamp && { tellsTimestamp }),
      source,
      csv: requireCsvOptions(options),
    };
    if (typeof destination === 'string') {
      await this.requireTable(actor, destination);
      return { tableId: destination, create: null, ...load };
    }
    requireNames(destination);
    requireBucketRight(actor, destination.bucketId, 'write');
    const create = { displayName: destination.displayName ?? null, primaryKey: destination.primaryKey ?? [] };
    return { tableId: `${destination.bucketId}.${destination.name}`, create, ...load };
  }

  /** Writes rows into a stored file: a job of the kind table-export. The job's input has all columns resolved. */
  async export(actor: Actor, tableId: string, options: ExportOptions = {}): Promise<Job> {
    const table = await requireReadableTable(this.db, actor, tableId);
    const columns = resolveColumns(table, options.columns).map((column) => column.name);
    resolveFilter(table, options);
    resolveOrder(table, options.orderBy);
    requireLimit(options.limit);
    return this.jobs.create(actor, {
      kind: 'table-export',
      input: toJson(toExportInput(tableId, columns, options)),
      objectId: tableId,
    });
  }

  /** What a reader on this machine has to know of the newest rows of a table. Its files outlive a change by the retention. */
  async version(
    actor: Actor,
    tableId: string,
  ): Promise<{ table: Table; version: TableVersion; columns: { fieldId: number; name: string }[] }> {
    const lake = await requireReadableTable(this.db, actor, tableId);
    return {
      table: await this.get(actor, tableId),
      version: toTableVersion(lake),
      columns: userColumns(lake).map((column) => ({ fieldId: column.id, name: column.name })),
    };
  }

  /** Writes rows to a local path that does not exist yet. CSV has a header line unless told otherwise. */
  async exportTo(
    actor: Actor,
    tableId: string,
    options: ReadOptions & { gzip?: boolean; fileType?: 'csv' | 'parquet'; header?: boolean },
    destination: string,
    signal?: AbortSignal,
  ): Promise<{ rows: number; sizeBytes: number; columns: string[] }> {
    const table = await requireReadableTable(this.db, actor, tableId);
    const columns = resolveColumns(table, options.columns).map((column) => column.name);
    const header = options.header === false ? null : columns;
    const written = await this.engine.export(
      {
        ...toReadRequest(table, options),
        operationId: `export-${uuidv7()}`,
        destination,
        format:
          options.fileType === 'parquet' ? { kind: 'parquet' } : { kind: 'csv', gzip: options.gzip ?? false, header },
      },
      signal,
    );
    return { ...written, columns };
  }

  /** All rows in the order they were written, batch by batch, of the version the first batch was read from. */
  async *readBatches(
    actor: Actor,
    tableId: string,
    options: RowSelection & { columns: string[]; limit?: number | undefined; batchRows: number },
    signal?: AbortSignal,
  ): AsyncGenerator<(string | null)[][]> {
    const lake = await requireReadableTable(this.db, actor, tableId);
    const { columns, filter } = toReadRequest(lake, options);
    for await (const batch of readBatches(this.engine, openTable(lake), { ...options, columns, filter }, signal)) {
      // Another project's rows are shown only as long as the link is there.
      if (lake.projectId !== actor.projectId) await requireReadableTable(this.db, actor, tableId);
      yield batch;
    }
  }

  /**
   * A few rows to look at: 100 unless told otherwise, at most 1000, and at most 100 columns. With `cellCharacters` cells
   * are cut to that length; a page of more than 16 MB is refused.
   */
  async preview(
    actor: Actor,
    tableId: string,
    options: ReadOptions & { cellCharacters?: number } = {},
  ): Promise<{ columns: string[]; rows: (string | null)[][] }> {
    const table = await requireReadableTable(this.db, actor, tableId);
    const limit = options.limit ?? PREVIEW_LIMIT;
    requireLimit(limit);
    if (limit > MAX_PREVIEW_LIMIT) throw tableErrors.previewLimit(MAX_PREVIEW_LIMIT);
    // Table order, whatever order was asked for: clients match cells to columns by it.
    const wanted = new Set(resolveColumns(table, options.columns).map((column) => column.name));
    const columns = userColumns(table).flatMap((column) => (wanted.has(column.name) ? [column.name] : []));
    if (columns.length > MAX_PREVIEW_COLUMNS) throw tableErrors.tooManyPreviewColumns(MAX_PREVIEW_COLUMNS);
    const request = toReadRequest(table, { ...options, columns, limit });
    const { cellCharacters } = options;
    const rows = await this.engine.preview({
      ...request,
      operationId: `preview-${uuidv7()}`,
      ...(cellCharacters !== undefined && { cellCharacters }),
      pageBytes: MAX_PREVIEW_BYTES,
    });
    return { columns: options.includeInternalTimestamp ? [...columns, '_timestamp'] : columns, rows };
  }

  /** Drops a table. Data stays in the lake until its retention is over. */
  async drop(actor: Actor, tableId: string): Promise<void> {
    await this.db.transaction((tx) => this.dropIn(tx, actor, tableId));
  }

  /** The same as a job, for clients that ask for one. */
  async dropLater(actor: Actor, tableId: string): Promise<Job> {
    await this.requireTable(actor, tableId);
    return this.jobs.create(actor, {
      kind: 'table-drop',
      input: { tableId },
      objectId: tableId,
      lockKey: lockKeyOf(actor, tableId),
    });
  }

  /** `drop` inside of a transaction that does more, such as ending the job. */
  async dropIn(tx: Transaction, actor: Actor, tableId: string): Promise<void> {
    const { bucketId, name } = requireTableId(actor, tableId);
    requireBucketRight(actor, bucketId, 'write');
    const commit = await LakeCommit.begin(tx, actor.projectId);
    if (!(await findBucket(tx, actor, bucketId))) throw tableErrors.bucketNotFound(bucketId, actor.projectId);
    const row = await findTable(tx, actor, tableId);
    if (!row && (await findLinkedTable(tx, actor, bucketId, name))) throw tableErrors.bucketReadOnly(bucketId);
    if (row === undefined) throw tableErrors.tableNotFound(name, bucketId, actor.projectId);
    await commit.dropTables([row.lakeTableId]);
    await deleteTable(tx, actor, tableId);
    await deleteMetadataOfTable(tx, actor, tableId);
    await touchBucket(tx, actor, bucketId, this.clock.now());
    await commit.finish({ author: actor.token.description, message: `Drop table ${tableId}` });
    await this.events.append(tx, tableEvent(actor, 'table.deleted', row, `Deleted table ${tableId}`));
  }

  /** Changes what people call a table. */
  async update(
    actor: Actor,
    tableId: string,
    patch: { displayName?: string | undefined; description?: string | undefined },
  ): Promise<Table> {
    const { bucketId, name } = requireTableId(actor, tableId);
    requireBucketRight(actor, bucketId, 'write');
    if (patch.displayName !== undefined) requireTableDisplayName(patch.displayName);
    await this.db.transaction(async (tx) => {
      // The lake lock is also what keeps two tables from getting the same name.
      if (patch.displayName !== undefined) await LakeCommit.begin(tx, actor.projectId);
      const row = await findTable(tx, actor, tableId, 'update');
      if (row === undefined) throw tableErrors.tableNotFound(name, bucketId, actor.projectId);
      const changed = {
        ...row,
        displayName: patch.displayName ?? row.displayName,
        description: patch.description ?? row.description,
      };
      if (await isDisplayNameTaken(tx, changed)) throw tableErrors.tableDisplayNameTaken(name, changed.displayName);
      await updateTable(tx, changed);
      await this.events.append(tx, tableEvent(actor, 'table.updated', changed, `Updated table ${tableId}`));
    });
    return this.get(actor, tableId);
  }

  /** Appends an empty column, at once. */
  async addColumn(actor: Actor, tableId: string, name: string): Promise<Table> {
    await this.db.transaction((tx) => this.structure.addColumnIn(tx, actor, tableId, name));
    return this.get(actor, tableId);
  }

  /** Drops a column that is neither in the primary key nor the last one, at once. */
  async dropColumn(actor: Actor, tableId: string, name: string): Promise<Table> {
    await this.db.transaction((tx) => this.structure.dropColumnIn(tx, actor, tableId, name));
    return this.get(actor, tableId);
  }

  /** Replaces the primary key at once, see `TableStructure.setPrimaryKeyIn`. */
  async setPrimaryKey(actor: Actor, tableId: string, columns: readonly string[]): Promise<void> {
    await this.db.transaction((tx) => this.structure.setPrimaryKeyIn(tx, actor, tableId, columns));
  }

  /** Deletes the rows that are selected: a job of the kind rows-delete. All of them only when that was meant. */
  async deleteRows(
    actor: Actor,
    tableId: string,
    selection: RowSelection & { allowTruncate?: boolean | undefined; dedupeKey?: string | undefined },
  ): Promise<Job> {
    const { bucketId } = requireTableId(actor, tableId);
    const table = await requireReadableTable(this.db, actor, tableId);
    await this.requireTable(actor, tableId);
    const filter = resolveFilter(table, selection, tableErrors.deleteFilterColumnUnknown);
    if (filter === undefined && !selection.allowTruncate) throw tableErrors.unintendedTruncation();
    const input: DeleteRowsInput = {
      tableId,
      filter: selection.filter ?? null,
      changedSince: selection.changedSince?.toISOString() ?? null,
      changedUntil: selection.changedUntil?.toISOString() ?? null,
    };
    return this.jobs.create(actor, {
      kind: 'rows-delete',
      input: toJson(input),
      objectId: tableId,
      lockKey: lockKeyOf(actor, tableId),
      ...(selection.dedupeKey !== undefined && { dedupeKey: selection.dedupeKey }),
    });
  }

  private async requireTable(actor: Actor, tableId: string): Promise<TableRow> {
    const { bucketId, name } = requireTableId(actor, tableId);
    requireBucketRight(actor, bucketId, 'write');
    const row = await findTable(this.db, actor, tableId);
    if (row !== undefined) return row;
    if (await findLinkedTable(this.db, actor, bucketId, name)) throw tableErrors.bucketReadOnly(bucketId);
    throw tableErrors.tableNotFound(name, bucketId, actor.projectId);
  }
}

function requireTableId(actor: Actor, id: string): { bucketId: string; name: string } {
  const parts = splitTableId(id);
  if (parts === undefined) throw tableErrors.tableIdNotFound(id, actor.projectId);
  return parts;
}

function requireNames(table: NewTable): void {
  requireTableName(table.name);
  if (table.displayName !== undefined) requireTableDisplayName(table.displayName);
}

function requireLimit(limit: number | undefined): void {
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 0)) {
    throw tableErrors.invalid(`Limit has to be a whole number of at least 0, not "${limit}".`);
  }
}

function toTable({ row, id, bucketId, owner }: ReadableTable, summary: LakeTableSummary): Table {
  const nameOf = new Map(summary.columns.map((column) => [column.id, column.name]));
  return {
    id,
    bucketId,
    ...(owner && { source: { projectId: owner.id, projectName: owner.name, tableId: row.id } }),
    name: row.name,
    displayName: row.displayName,
    description: row.description,
    columns: userColumns(summary).map((column) => column.name),
    primaryKey: row.primaryKey.flatMap((id) => nameOf.get(id) ?? []),
    columnTypes: typesOf(row, summary),
    createdAt: row.createdAt,
    importedAt: row.importedAt,
    changedAt: row.changedAt,
    rowsCount: summary.rowsCount,
    dataSizeBytes: summary.sizeBytes,
  };
}

function typesOf({ columnTypes }: TableRow, summary: LakeTableSummary): Table['columnTypes'] {
  if (columnTypes === undefined) return undefined;
  return new Map(
    userColumns(summary).flatMap(({ id, name }) => {
      const definition = columnTypes[id];
      return definition === undefined ? [] : [[name, definition] as const];
    }),
  );
}
