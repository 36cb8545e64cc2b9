/**
 * Writing a lake: every change is one snapshot, and all its rows are in the caller's transaction.
 *
 *   begin    lock the lake (ours first, then ducklake_snapshot against stock writers), read the newest snapshot
 *   ...      write rows with ids taken from it
 *   finish   insert the snapshot and the words for what was done; nothing done, no snapshot
 *
 * The lock is held until the transaction ends: files must be written, fsynced and measured before `begin`. Stock
 * clients believe what stands here without looking at the files, so counts and bounds must be true, or null.
 */
import { basename } from 'node:path';
import type { Transaction } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type {
  ColumnStatistics,
  ColumnType,
  TableChange,
  WrittenDataFile,
  WrittenDeleteFile,
} from '../../drivers/engines/contract.ts';
import { errors } from '../errors.ts';
import type { ColumnDefinition } from './column-types.ts';
import {
  type ForeignChange,
  findConflict,
  formatChanges,
  type LakeChange,
  parseChanges,
  type TableIntent,
} from './lake-changes.ts';
import { type CopiedFile, insertTableCopy } from './lake-copy-store.ts';
import { type LakeFile, type LakeTable, lakeSchema } from './lake-store.ts';
import { claimLakeName, TIMESTAMP_COLUMN } from './names.ts';
import { tableErrors } from './table-errors.ts';

const FORMAT = '1.0';

/**
 * Bounds are kept for the columns of tables up to this width. For wider ones a row per column and file would cost more
 * catalogue than pruning saves; a column without rows is simply never pruned.
 */
const MOST_COLUMNS_WITH_STATISTICS = 200;

export type NewLakeColumn = {
  id: number;
  name: string;
  type: ColumnType;
  /** In typed tables. */
  definition?: ColumnDefinition;
};

type Head = {
  snapshot_id: number;
  schema_version: number;
  next_catalog_id: number;
  next_file_id: number;
  format: string;
};

export class LakeCommit {
  readonly snapshotId: number;
  private readonly tx: Transaction;
  private readonly projectId: number;
  private readonly head: Head;
  private readonly changes: LakeChange[] = [];
  private readonly alteredTables = new Set<number>();
  private nextCatalogId: number;
  private nextFileId: number;
  private changesSchema = false;

  private constructor(tx: Transaction, projectId: number, head: Head) {
    this.tx = tx;
    this.projectId = projectId;
    this.head = head;
    this.snapshotId = head.snapshot_id + 1;
    this.nextCatalogId = head.next_catalog_id;
    this.nextFileId = head.next_file_id;
  }

  /** Locks the lake until the transaction ends. */
  static async begin(tx: Transaction, projectId: number): Promise<LakeCommit> {
    const head = await tx.one<Head>(sql`select * from lock_lake(${lakeSchema(projectId)})`);
    if (head === undefined) throw errors.internal(`The lake of project ${projectId} has no snapshot`);
    if (head.format !== FORMAT) {
      throw errors.internal(
        `The lake of project ${projectId} has format ${head.format}, and only ${FORMAT} is written`,
      );
    }
    return new LakeCommit(tx, projectId, head);
  }

  private lake(name: string) {
    return sql.name(lakeSchema(this.projectId), name);
  }

  /** Makes a schema under that name, or a numbered one when the name is taken up to its case. */
  async createSchema(name: string): Promise<number> {
    const live = await this.tx.query<{ name: string }>(
      sql`select lower(schema_name) as name from ${this.lake('ducklake_schema')} where end_snapshot is null`,
    );
    const lakeName = claimLakeName(name, new Set(live.map((row) => row.name)));
    const id = this.nextCatalogId++;
    await this.tx.query(sql`
      insert into ${this.lake('ducklake_schema')}
        (schema_id, schema_uuid, begin_snapshot, end_snapshot, schema_name, path, path_is_relative)
      values (${id}, gen_random_uuid(), ${this.snapshotId}, null, ${lakeName}, ${`${lakeName}/`}, true)`);
    this.changes.push({ kind: 'created_schema', name: lakeName });
    this.changesSchema = true;
    return id;
  }

  /** Makes a table under that name (or a numbered one), at a path from `newTableLocation`. */
  async createTable(table: {
    schemaId: number;
    name: string;
    uuid: string;
    path: string;
    directory: string;
    columns: readonly NewLakeColumn[];
  }): Promise<LakeTable> {
    const live = await this.tx.query<{ schema: string; name: string | null }>(sql`
      select s.schema_name as schema, lower(t.table_name) as name from ${this.lake('ducklake_schema')} s
      left join ${this.lake('ducklake_table')} t on t.schema_id = s.schema_id and t.end_snapshot is null
      where s.schema_id = ${table.schemaId} and s.end_snapshot is null`);
    const schema = live[0]?.schema;
    if (schema === undefined) throw tableErrors.lakeConflict('its bucket was deleted');
    const lakeName = claimLakeName(table.name, new Set(live.map((row) => row.name ?? '')));
    const id = this.nextCatalogId++;
    await this.tx.query(sql`
      insert into ${this.lake('ducklake_table')}
        (table_id, table_uuid, begin_snapshot, end_snapshot, schema_id, table_name, path, path_is_relative)
      values (${id}, ${table.uuid}, ${this.snapshotId}, null, ${table.schemaId}, ${lakeName}, ${table.path}, true)`);
    const lakeNames = await this.insertColumns(id, table.columns, new Set());
    this.changes.push({ kind: 'created_table', schema, name: lakeName });
    this.alteredTables.add(id);
    this.changesSchema = true;
    return {
      projectId: this.projectId,
      id,
      snapshotId: this.head.snapshot_id,
      directory: table.directory,
      columns: table.columns.map((column, i) => ({
        ...column,
        lakeName: lakeNames[i] ?? column.name,
        ...(column.definition?.default !== undefined && { initialDefault: column.definition.default }),
      })),
      nextColumnId: Math.max(...table.columns.map((column) => column.id)) + 1,
      files: [],
    };
  }

  /** A table with the columns, rows and row ids of another, whose files are there under these names. */
  async copyTable(
    source: LakeTable,
    target: { schemaId: number; name: string; uuid: string; path: string },
    files: readonly CopiedFile[],
  ): Promise<number> {
    const { id } = await this.createTable({ ...target, directory: '', columns: [] });
    this.nextFileId = await insertTableCopy(this.tx, source, {
      tableId: id,
      snapshotId: this.snapshotId,
      firstFileId: this.nextFileId,
      files,
    });
    if (files.length > 0) this.changes.push({ kind: 'inserted_into_table', id });
    return id;
  }

  /** Appends columns; the rows there are have NULL in them. */
  async addColumns(table: LakeTable, columns: readonly NewLakeColumn[]): Promise<void> {
    if (columns.length === 0) return;
    await this.requireUndisturbed(table, { inserts: false, deletes: false, alters: true });
    await this.insertColumns(table.id, columns, new Set(table.columns.map((column) => column.lakeName.toLowerCase())));
    this.changes.push({ kind: 'altered_table', id: table.id });
    this.alteredTables.add(table.id);
    this.changesSchema = true;
  }

  private async insertColumns(
    tableId: number,
    columns: readonly NewLakeColumn[],
    taken: Set<string>,
  ): Promise<string[]> {
    const lakeNames = columns.map((column) => claimLakeName(column.name, taken));
    const ids = columns.map((column) => column.id);
    await this.tx.query(sql`
      insert into ${this.lake('ducklake_column')}
        (column_id, begin_snapshot, end_snapshot, table_id, column_order, column_name, column_type, initial_default,
         default_value, nulls_allowed, parent_column, default_value_type, default_value_dialect)
      select id, ${this.snapshotId}, null, ${tableId}, id, name, type, standard, coalesce(standard, 'NULL'), nullable, null,
        'literal', 'duckdb'
      from unnest(${ids}::bigint[], ${lakeNames}::text[], ${columns.map((column) => column.type)}::text[],
        ${columns.map((column) => column.definition?.default ?? null)}::text[],
        ${columns.map((column) => column.definition?.nullable ?? true)}::boolean[])
        as c (id, name, type, standard, nullable)`);
    const renamed = columns.flatMap((column, i) =>
      lakeNames[i] === column.name ? [] : [{ ...column, lakeName: lakeNames[i] }],
    );
    if (renamed.length === 0) return lakeNames;
    await this.tx.query(sql`
      insert into lake_column_names (project_id, lake_table_id, column_id, lake_name, name)
      select ${this.projectId}, ${tableId}, id, lake_name, name
      from unnest(${renamed.map((column) => column.id)}::bigint[], ${renamed.map((column) => column.lakeName)}::text[],
        ${renamed.map((column) => column.name)}::text[]) as c (id, lake_name, name)`);
    return lakeNames;
  }

  /** Gives columns other types, defaults or nullability. The rows there are read as what the columns are now. */
  async redefineColumns(table: LakeTable, columns: readonly Required<NewLakeColumn>[]): Promise<void> {
    if (columns.length === 0) return;
    await this.requireUndisturbed(table, { inserts: false, deletes: false, alters: true });
    await this.tx.query(sql`
      with changes as (
        select * from unnest(${columns.map((column) => column.id)}::bigint[], ${columns.map((c) => c.type)}::text[],
          ${columns.map((column) => column.definition.default ?? null)}::text[],
          ${columns.map((column) => column.definition.nullable)}::boolean[]) as c (id, type, standard, nullable)),
      ended as (
        update ${this.lake('ducklake_column')} c set end_snapshot = ${this.snapshotId} from changes
        where c.table_id = ${table.id} and c.column_id = changes.id and c.end_snapshot is null
        returning c.column_id, c.column_order, c.column_name, c.initial_default)
      insert into ${this.lake('ducklake_column')}
        (column_id, begin_snapshot, end_snapshot, table_id, column_order, column_name, column_type, initial_default,
         default_value, nulls_allowed, parent_column, default_value_type, default_value_dialect)
      select e.column_id, ${this.snapshotId}, null, ${table.id}, e.column_order, e.column_name, c.type, e.initial_default,
        coalesce(c.standard, 'NULL'), c.nullable, null, 'literal', 'duckdb'
      from ended e join changes c on c.id = e.column_id`);
    this.changes.push({ kind: 'altered_table', id: table.id });
    this.alteredTables.add(table.id);
    this.changesSchema = true;
  }

  /** Ends columns. Their values stay in the files, invisible. */
  async dropColumns(table: LakeTable, columnIds: readonly number[]): Promise<void> {
    await this.requireUndisturbed(table, { inserts: false, deletes: false, alters: true });
    await this.tx.query(sql`
      update ${this.lake('ducklake_column')} set end_snapshot = ${this.snapshotId}
      where table_id = ${table.id} and column_id = any(${columnIds}::bigint[]) and end_snapshot is null`);
    this.changes.push({ kind: 'altered_table', id: table.id });
    this.alteredTables.add(table.id);
    this.changesSchema = true;
  }

  /** Makes the files of a change the table's newest version. `base` is what the engine was shown. */
  async applyFiles(base: LakeTable, change: TableChange): Promise<void> {
    const intent = {
      inserts: change.addedFiles.length > 0,
      deletes: change.deleteFiles.length > 0 || change.removedFiles.length > 0,
      alters: false,
    };
    if (!intent.inserts && !intent.deletes) return;
    await this.requireUndisturbed(base, intent);
    const filesByPath = new Map(base.files.map((file) => [file.path, file]));
    const idOf = (path: string) => {
      const file = filesByPath.get(path);
      if (file === undefined) throw errors.internal(`The engine changed a file it was not shown: ${path}`);
      return file.id;
    };
    const removed = change.removedFiles.map(idOf);
    const deleted = change.deleteFiles.map((file) => ({ ...file, dataFileId: idOf(file.dataFile) }));

    if (intent.deletes) await this.endFiles(base, removed, [...removed, ...deleted.map((file) => file.dataFileId)]);
    if (deleted.length > 0) await this.insertDeleteFiles(base, deleted);
    if (intent.inserts) await this.insertFiles(base, change.addedFiles);
    // Stock clients cache statistics by (next_file_id, table): a commit that adds no file must move it too.
    else if (deleted.length === 0) this.nextFileId++;

    if (intent.inserts) this.changes.push({ kind: 'inserted_into_table', id: base.id });
    if (intent.deletes) this.changes.push({ kind: 'deleted_from_table', id: base.id });
  }

  /**
   * Puts one file in the place of others: the same rows with the same ids, so nothing that is counted over all rows
   * that ever were changes. Throws a conflict unless the table has the sources exactly as they are given.
   */
  async replaceFiles(
    base: LakeTable,
    sources: readonly LakeFile[],
    by: { file: WrittenDataFile | undefined; firstRowId: number | null; deletes: WrittenDeleteFile | undefined },
  ): Promise<void> {
    const { file, firstRowId, deletes } = by;
    const ids = sources.map(({ id }) => id);
    const live = await this.tx.query<{ data_file_id: number; delete_file_id: number | null }>(sql`
      select f.data_file_id, d.delete_file_id from ${this.lake('ducklake_data_file')} f
      left join ${this.lake('ducklake_delete_file')} d on d.data_file_id = f.data_file_id and d.end_snapshot is null
      where f.table_id = ${base.id} and f.data_file_id = any(${ids}::bigint[]) and f.end_snapshot is null`);
    const deletesOf = new Map(live.map((row) => [row.data_file_id, row.delete_file_id ?? undefined]));
    if (sources.some(({ id, deleteFile }) => !deletesOf.has(id) || deletesOf.get(id) !== deleteFile?.id)) {
      throw tableErrors.lakeConflict('files were changed while they were merged');
    }
    await this.endFiles(base, ids, ids);
    if (file) {
      const id = this.nextFileId++;
      const statistics = keptStatistics(base, file);
      await this.tx.query(sql`
        with file as (
          insert into ${this.lake('ducklake_data_file')}
            (data_file_id, table_id, begin_snapshot, end_snapshot, file_order, path, path_is_relative, file_format,
             record_count, file_size_bytes, footer_size, row_id_start, partition_id, encryption_key, mapping_id, partial_max)
          values (${id}, ${base.id}, ${this.snapshotId}, null, null, ${basename(file.path)}, true, 'parquet',
            ${file.recordCount}, ${file.fileSizeBytes}, ${file.footerSize}, ${firstRowId}, null, null, null, null))
        insert into ${this.lake('ducklake_file_column_stats')}
          (data_file_id, table_id, column_id, column_size_bytes, value_count, null_count, min_value, max_value,
           contains_nan, extra_stats)
        select ${id}, ${base.id}, column_id, size, value_count, null_count, min_value, max_value, null, null
        from unnest(${statistics.map((c) => c.fieldId)}::bigint[], ${statistics.map((c) => c.columnSizeBytes)}::bigint[],
          ${statistics.map((c) => c.valueCount)}::bigint[], ${statistics.map((c) => c.nullCount)}::bigint[],
          ${statistics.map((c) => c.minValue)}::text[], ${statistics.map((c) => c.maxValue)}::text[])
          as c (column_id, size, value_count, null_count, min_value, max_value)`);
      if (deletes) await this.insertDeleteFiles(base, [{ ...deletes, dataFileId: id }]);
    } else {
      this.nextFileId++;
    }
    this.changes.push({ kind: 'rewrite_delete', id: base.id });
  }

  private async insertDeleteFiles(
    base: LakeTable,
    deleted: readonly (WrittenDeleteFile & { dataFileId: number })[],
  ): Promise<void> {
    await this.tx.query(sql`
      insert into ${this.lake('ducklake_delete_file')}
        (delete_file_id, table_id, begin_snapshot, end_snapshot, data_file_id, path, path_is_relative, format,
         delete_count, file_size_bytes, footer_size, encryption_key, partial_max)
      select id, ${base.id}, ${this.snapshotId}, null, data_file_id, path, true, 'parquet', deletes, size, footer, null, null
      from unnest(${deleted.map(() => this.nextFileId++)}::bigint[], ${deleted.map((f) => f.dataFileId)}::bigint[],
        ${deleted.map((f) => basename(f.path))}::text[], ${deleted.map((f) => f.deleteCount)}::bigint[],
        ${deleted.map((f) => f.fileSizeBytes)}::bigint[], ${deleted.map((f) => f.footerSize)}::bigint[])
        as d (id, data_file_id, path, deletes, size, footer)`);
  }

  private async endFiles(base: LakeTable, dataFileIds: number[], deletesOf: number[]): Promise<void> {
    const ended = await this.tx.query(sql`
      with deletes as (
        update ${this.lake('ducklake_delete_file')} set end_snapshot = ${this.snapshotId}
        where table_id = ${base.id} and data_file_id = any(${deletesOf}::bigint[]) and end_snapshot is null)
      update ${this.lake('ducklake_data_file')} set end_snapshot = ${this.snapshotId}
      where table_id = ${base.id} and data_file_id = any(${dataFileIds}::bigint[]) and end_snapshot is null
      returning data_file_id`);
    if (ended.length !== dataFileIds.length) throw tableErrors.lakeConflict('some of its files are gone');
  }

  private async insertFiles(base: LakeTable, files: readonly WrittenDataFile[]): Promise<void> {
    const ids = files.map(() => this.nextFileId++);
    const offsets: number[] = [];
    let records = 0;
    for (const file of files) {
      offsets.push(records);
      records += file.recordCount;
    }
    const bytes = files.reduce((sum, file) => sum + file.fileSizeBytes, 0);
    const statistics = files.flatMap((file, i) =>
      keptStatistics(base, file).map((column) => ({ ...column, fileId: ids[i] })),
    );
    const first = await this.tx.one<{ is_first: boolean }>(sql`
      with stats as (
        select next_row_id from ${this.lake('ducklake_table_stats')} where table_id = ${base.id}),
      data_files as (
        insert into ${this.lake('ducklake_data_file')}
          (data_file_id, table_id, begin_snapshot, end_snapshot, file_order, path, path_is_relative, file_format,
           record_count, file_size_bytes, footer_size, row_id_start, partition_id, encryption_key, mapping_id, partial_max)
        select id, ${base.id}, ${this.snapshotId}, null, null, path, true, 'parquet', records, size, footer,
          coalesce((select next_row_id from stats), 0) + row_offset, null, null, null, null
        from unnest(${ids}::bigint[], ${files.map((f) => basename(f.path))}::text[],
          ${files.map((f) => f.recordCount)}::bigint[], ${files.map((f) => f.fileSizeBytes)}::bigint[],
          ${files.map((f) => f.footerSize)}::bigint[], ${offsets}::bigint[])
          as f (id, path, records, size, footer, row_offset)),
      column_stats as (
        insert into ${this.lake('ducklake_file_column_stats')}
          (data_file_id, table_id, column_id, column_size_bytes, value_count, null_count, min_value, max_value,
           contains_nan, extra_stats)
        select file_id, ${base.id}, column_id, size, value_count, null_count, min_value, max_value, null, null
        from unnest(${statistics.map((c) => c.fileId)}::bigint[], ${statistics.map((c) => c.fieldId)}::bigint[],
          ${statistics.map((c) => c.columnSizeBytes)}::bigint[], ${statistics.map((c) => c.valueCount)}::bigint[],
          ${statistics.map((c) => c.nullCount)}::bigint[], ${statistics.map((c) => c.minValue)}::text[],
          ${statistics.map((c) => c.maxValue)}::text[])
          as c (file_id, column_id, size, value_count, null_count, min_value, max_value)),
      old_stats as (
        update ${this.lake('ducklake_table_stats')} set record_count = record_count + ${records},
          next_row_id = next_row_id + ${records}, file_size_bytes = file_size_bytes + ${bytes}
        where table_id = ${base.id}),
      new_stats as (
        insert into ${this.lake('ducklake_table_stats')} (table_id, record_count, next_row_id, file_size_bytes)
        select ${base.id}, ${records}, ${records}, ${bytes} where not exists (select from stats))
      select not exists (select from stats) as is_first`);
    await this.mergeBounds(base, boundsOf(files, statistics, numbersOf(base)), first?.is_first ?? false);
  }

  /**
   * Table-wide bounds cover every row that ever was. A column gets a row with the table's first files only: for one
   * that came later, a row made from new files would know nothing of the NULLs in the old ones. A column that these
   * files have no statistics of becomes unknown for good.
   */
  private async mergeBounds(base: LakeTable, bounds: readonly Bounds[], isFirst: boolean): Promise<void> {
    const source = sql`unnest(${bounds.map((b) => b.columnId)}::bigint[], ${bounds.map((b) => b.containsNull)}::boolean[],
      ${bounds.map((b) => b.hasValues)}::boolean[], ${bounds.map((b) => b.min)}::text[], ${bounds.map((b) => b.max)}::text[],
      ${bounds.map((b) => b.isNumber)}::boolean[])
      as n (column_id, contains_null, has_values, min_value, max_value, is_number)`;
    const extreme = (which: 'least' | 'greatest', bound: 'min_value' | 'max_value') => {
      const choose = which === 'least' ? sql`least` : sql`greatest`;
      const [old, fresh] = [sql.name('s', bound), sql.name('n', bound)];
      return sql`case when not n.has_values then ${old}
          when ${old} is null or ${fresh} is null then null
          when n.is_number then ${choose}(${old}::numeric, ${fresh}::numeric)::text
          else ${choose}(${old} collate "C", ${fresh} collate "C") end`;
    };
    if (isFirst) {
      await this.tx.query(sql`
        insert into ${this.lake('ducklake_table_column_stats')}
          (table_id, column_id, contains_null, contains_nan, min_value, max_value, extra_stats)
        select ${base.id}, column_id, contains_null, null, min_value, max_value, null from ${source}`);
      return;
    }
    await this.tx.query(sql`
      with fresh as (select * from ${source}),
      unknown as (
        delete from ${this.lake('ducklake_table_column_stats')}
        where table_id = ${base.id} and column_id not in (select column_id from fresh))
      update ${this.lake('ducklake_table_column_stats')} s set
        contains_null = s.contains_null or n.contains_null,
        min_value = ${extreme('least', 'min_value')},
        max_value = ${extreme('greatest', 'max_value')}
      from fresh n where s.table_id = ${base.id} and s.column_id = n.column_id`);
  }

  /** Ends tables with everything in them. The files stay until no snapshot shows them. */
  async dropTables(tableIds: readonly number[]): Promise<void> {
    if (tableIds.length === 0) return;
    const end = (name: string, column = 'table_id') => sql`
      update ${this.lake(name)} set end_snapshot = ${this.snapshotId}
      where ${sql.name(column)} = any(${tableIds}::bigint[]) and end_snapshot is null`;
    const ended = await this.tx.query(sql`
      with columns as (${end('ducklake_column')}), column_tags as (${end('ducklake_column_tag')}),
        data_files as (${end('ducklake_data_file')}), delete_files as (${end('ducklake_delete_file')}),
        partitions as (${end('ducklake_partition_info')}), sorts as (${end('ducklake_sort_info')}),
        tags as (${end('ducklake_tag', 'object_id')}), names as (
          delete from lake_column_names where project_id = ${this.projectId} and lake_table_id = any(${tableIds}::bigint[]))
      ${end('ducklake_table')} returning table_id`);
    for (const { table_id } of ended as { table_id: number }[])
      this.changes.push({ kind: 'dropped_table', id: table_id });
    this.changesSchema = true;
  }

  /** Ends a schema with the tables in it, those that stock clients made there too: one left behind would break the lake. */
  async dropSchema(schemaId: number): Promise<void> {
    const tables = await this.tx.query<{ table_id: number }>(
      sql`select table_id from ${this.lake('ducklake_table')} where schema_id = ${schemaId} and end_snapshot is null`,
    );
    await this.dropTables(tables.map((row) => row.table_id));
    const others = await this.tx.one<{ found: boolean }>(sql`
      select exists (select from ${this.lake('ducklake_view')} where schema_id = ${schemaId} and end_snapshot is null)
        or exists (select from ${this.lake('ducklake_macro')} where schema_id = ${schemaId} and end_snapshot is null) as found`);
    if (others?.found)
      throw tableErrors.lakeUnsupported('the bucket holds views or macros, which have to be dropped first');
    const ended = await this.tx.query(sql`
      update ${this.lake('ducklake_schema')} set end_snapshot = ${this.snapshotId}
      where schema_id = ${schemaId} and end_snapshot is null returning schema_id`);
    if (ended.length === 0) return;
    this.changes.push({ kind: 'dropped_schema', id: schemaId });
    this.changesSchema = true;
  }

  /** Throws a retryable conflict when others' commits since `base` do not stand beside this one. */
  private async requireUndisturbed(base: LakeTable, intent: TableIntent): Promise<void> {
    const since = this.head.snapshot_id - base.snapshotId;
    if (since === 0) return;
    const rows = await this.tx.query<{ changes_made: string | null }>(sql`
      select changes_made from ${this.lake('ducklake_snapshot_changes')}
      where snapshot_id > ${base.snapshotId} and snapshot_id <= ${this.head.snapshot_id}`);
    if (rows.length !== since) throw tableErrors.lakeConflict('its history since then has expired');
    let theirs: ForeignChange[];
    try {
      theirs = rows.flatMap((row) => parseChanges(row.changes_made));
    } catch (cause) {
      throw errors.internal('A snapshot of the lake says what it did in words that are not in the format', cause);
    }
    const conflict = findConflict(base.id, intent, theirs);
    if (conflict !== undefined) throw tableErrors.lakeConflict(conflict.kind.replaceAll('_', ' '));
  }

  /** Inserts the snapshot. The author and message are what stock clients show in the history. */
  async finish(note: { author: string; message: string }): Promise<void> {
    if (this.changes.length === 0) return;
    const schemaVersion = this.head.schema_version + (this.changesSchema ? 1 : 0);
    await this.tx.query(sql`
      with snapshot as (
        insert into ${this.lake('ducklake_snapshot')}
          (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id)
        select ${this.snapshotId}, greatest(clock_timestamp(), snapshot_time), ${schemaVersion}, ${this.nextCatalogId},
          ${this.nextFileId}
        from ${this.lake('ducklake_snapshot')} where snapshot_id = ${this.head.snapshot_id}),
      versions as (
        insert into ${this.lake('ducklake_schema_versions')} (begin_snapshot, schema_version, table_id)
        select ${this.snapshotId}, ${schemaVersion}, unnest(${[...this.alteredTables]}::bigint[]))
      insert into ${this.lake('ducklake_snapshot_changes')}
        (snapshot_id, changes_made, author, commit_message, commit_extra_info)
      values (${this.snapshotId}, ${formatChanges(this.changes)}, ${note.author}, ${note.message}, null)`);
  }
}

type FileStatistics = ColumnStatistics & { fileId?: number | undefined };

/** Statistics of one file as they may stand in the catalogue. */
function keptStatistics(base: LakeTable, file: WrittenDataFile): ColumnStatistics[] {
  const wide = base.columns.length > MOST_COLUMNS_WITH_STATISTICS;
  const timestamp = base.columns.find((column) => column.lakeName === TIMESTAMP_COLUMN)?.id;
  return file.statistics
    .filter((column) => !wide || column.fieldId === timestamp)
    .map((column) => {
      const type = base.columns.find(({ id }) => id === column.fieldId)?.type ?? 'varchar';
      return isStorable(column.minValue, type) && isStorable(column.maxValue, type)
        ? column
        : { ...column, minValue: null, maxValue: null };
    });
}

function numbersOf(base: LakeTable): Set<number> {
  return new Set(base.columns.filter(({ type }) => type.startsWith('decimal')).map(({ id }) => id));
}

/**
 * PostgreSQL has no NUL in texts, and U+FFFD is what is left of a bound that was cut inside of a character. Floats have
 * values that no bound holds for (NaN), and years beyond four digits do not sort by their text.
 */
function isStorable(bound: string | null, type: string): boolean {
  if (bound === null) return true;
  if (type === 'float64') return false;
  if (type === 'date' || type.startsWith('timestamp')) return /^\d{4}-[^BC]*$/.test(bound);
  return !/[\0\uFFFD]/.test(bound);
}

type Bounds = {
  columnId: number;
  containsNull: boolean | null;
  hasValues: boolean;
  min: string | null;
  max: string | null;
  isNumber: boolean;
};

/** Bounds over several new files together; columns that some file has no statistics of are left out. */
export function boundsOf(
  files: readonly unknown[],
  statistics: readonly FileStatistics[],
  numbers: ReadonlySet<number> = new Set(),
): Bounds[] {
  const byColumn = new Map<number, FileStatistics[]>();
  for (const column of statistics) byColumn.set(column.fieldId, [...(byColumn.get(column.fieldId) ?? []), column]);
  return [...byColumn]
    .filter(([, parts]) => parts.length === files.length)
    .map(([columnId, parts]) => {
      const isNumber = numbers.has(columnId);
      const compare = isNumber ? compareDecimals : compareBytes;
      const filled = parts.filter((part) => part.valueCount !== 0);
      const extreme = (pick: (part: FileStatistics) => string | null, sign: number) =>
        filled.some((part) => pick(part) === null)
          ? null
          : filled
              .map((part) => pick(part) ?? '')
              .reduce<string | null>(
                (best, next) => (best === null || compare(next, best) * sign > 0 ? next : best),
                null,
              );
      return {
        columnId,
        isNumber,
        containsNull: parts.some((part) => part.nullCount === null)
          ? null
          : parts.some((part) => (part.nullCount ?? 0) > 0),
        hasValues: filled.length > 0,
        min: extreme((part) => part.minValue, -1),
        max: extreme((part) => part.maxValue, 1),
      };
    });
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Exact for all digits a decimal can have. */
function compareDecimals(a: string, b: string): number {
  const scale = Math.max(fractionOf(a).length, fractionOf(b).length);
  const whole = (text: string) => BigInt(text.replace('.', '') + '0'.repeat(scale - fractionOf(text).length));
  const difference = whole(a) - whole(b);
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}

function fractionOf(text: string): string {
  return text.split('.')[1] ?? '';
}
