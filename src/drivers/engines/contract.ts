import type { Filter, Order, RecordFilter } from '../../lib/filter.ts';

/**
 * An engine keeps table data in immutable files and answers questions over them.
 *
 * It never decides what is visible: every writing call only writes and fsyncs new files and returns a plain
 * `TableChange`; the core commits that change to the lake catalogue in one PostgreSQL transaction. A change that is
 * never committed is only stray files, which the sweeper removes. Calls are therefore safe to repeat.
 *
 * Columns are known by field id; names are only for people (DuckDB ignores case in names, Keboola does not).
 */
export type Engine = {
  readonly name: string;
  readonly facts: EngineFacts;
  readonly tables: EngineTables;
  /** Isolated SQL sessions for other people's SQL (transformations). Absent where an engine has none. */
  readonly sessions?: EngineSessions;
  /** Throws with a remedy in its message when the engine cannot work on this machine. */
  check(): Promise<void>;
  close(): Promise<void>;
};

export type EngineFacts = {
  identifierMaxBytes: number;
  ignoresCaseInNames: boolean;
  importFormats: readonly ('csv' | 'parquet')[];
  exportFormats: readonly ('csv' | 'parquet')[];
};

/** By the names of the DuckLake format. `timestamp` and `timestamptz` have microseconds. */
export type ColumnType =
  | 'varchar'
  | 'boolean'
  | 'float64'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | `decimal(${number},${number})`;

/** `varchar` for every user column of an untyped table, `timestamp` (UTC) for the row's `_timestamp`. */
export type EngineColumn = {
  fieldId: number;
  name: string;
  type: ColumnType;
  /** Of a typed table: NULL is a value of its own there, and texts have to be of the type. */
  typed?: {
    /** What people call the type. */
    label: string;
    nullable: boolean;
    /** In characters. */
    maxLength?: number;
    /** What rows have that are older than the column, as text. */
    initialDefault?: string;
  };
};

/** One immutable Parquet file of a table version, with the delete file that applies to it, if any. */
export type DataFile = {
  path: string;
  recordCount: number;
  /** `rowsUpTo` limits a delete file that carries snapshot ids (DuckLake `partial_max` form) to a snapshot. */
  deleteFile?: { path: string; deleteCount: number; rowsUpTo?: number };
};

/** What a reader or writer must know of a table at one version. Paths are absolute. */
export type TableVersion = {
  columns: EngineColumn[];
  files: DataFile[];
};

export type CsvFormat = {
  /** Exactly one character. */
  delimiter: string;
  /** One character, or empty for raw mode (no quoting at all). */
  enclosure: string;
  /** One character (backslash style escapes), or empty: a doubled enclosure is the escape. */
  escapedBy: string;
  compression: 'none' | 'gzip';
  /** Physical lines to skip before the header or the first row. */
  skipLines: number;
  /** Whether the first record (after skipLines) of every file is a header to be skipped. */
  hasHeader: boolean;
};

export type CsvSource = {
  kind: 'csv';
  /** Absolute paths, all of the same layout. Zero-length files are allowed and hold no rows. */
  paths: string[];
  format: CsvFormat;
  /** One entry per CSV column, in file order: the field id it lands in, or null to drop it. */
  fieldIds: (number | null)[];
};

/** Parquet made by one of our own sessions: columns are addressed by name, values are understood by their text. */
export type ParquetSource = { kind: 'parquet'; paths: string[]; columns: { name: string; fieldId: number }[] };

export type WriteRequest = {
  /** Identifies the call for cancelling and for temporary files. */
  operationId: string;
  table: TableVersion;
  /** Field ids of the primary key, empty for none. Rows are deduplicated by it in every mode, last one wins. */
  primaryKey: number[];
  /** `insert` leaves the table's rows as they are: of the source only rows with new keys get in. */
  mode: 'replace' | 'append' | 'upsert' | 'insert';
  /** A text that stands for no value: NULL in typed columns, '' in others. Default ''; null: there is none. */
  nullText?: string | null;
  source: CsvSource | ParquetSource;
  /**
   * Field id of the `_timestamp` column and the value new and changed rows get, unless the source has that field.
   * Upserted rows that change nothing keep theirs, unless `touchesUnchanged`.
   */
  timestamp: { fieldId: number; value: Date };
  touchesUnchanged?: boolean;
  /** Existing absolute directory for the new files; every new file's name starts with `filePrefix`. */
  directory: string;
  filePrefix: string;
};

export type ColumnStatistics = {
  fieldId: number;
  columnSizeBytes: number | null;
  /** NULLs are not counted here. */
  valueCount: number | null;
  nullCount: number | null;
  minValue: string | null;
  maxValue: string | null;
};

export type WrittenDataFile = {
  path: string;
  recordCount: number;
  fileSizeBytes: number;
  footerSize: number;
  statistics: ColumnStatistics[];
};

/** Holds all deleted positions of its data file so far (old ones included): it replaces an earlier delete file. */
export type WrittenDeleteFile = {
  dataFile: string;
  path: string;
  deleteCount: number;
  fileSizeBytes: number;
  footerSize: number;
};

export type TableChange = {
  addedFiles: WrittenDataFile[];
  deleteFiles: WrittenDeleteFile[];
  /** Data files (paths) that no longer belong to the new version at all. */
  removedFiles: string[];
  /** Rows read from the source, before deduplication. */
  sourceRows: number;
  /** Rows of the table once the change is committed. */
  totalRows: number;
  /** Rows deleted by a deleteRows call. */
  deletedRows: number;
};

export type DeleteRowsRequest = Pick<WriteRequest, 'operationId' | 'table' | 'directory' | 'filePrefix'> & {
  /** Fields are `String(fieldId)`. */
  filter: Filter;
};

export type UniquenessRequest = Pick<WriteRequest, 'operationId' | 'table'> & { columns: number[] };
/** Ids of rows as the lake format has them: given out in the order rows were written, and never twice. */
export type CompactRequest = Pick<WriteRequest, 'operationId' | 'directory' | 'filePrefix'> & {
  /** With the files to be merged alone. */
  table: TableVersion;
  /** Of each file, in their order: the id of its first row, null where the file keeps the ids itself. */
  firstRowIds: (number | null)[];
};

export type CompactedFile = {
  /** Undefined when the files have no row left. */
  file: WrittenDataFile | undefined;
  /** The id of its first row; null: ids are in the file. */
  firstRowId: number | null;
};

export type CarryDeletesRequest = Pick<WriteRequest, 'operationId' | 'directory' | 'filePrefix'> & {
  /** Made by `compact`. */
  compacted: { path: string; firstRowId: number | null };
  /** Files it was made of that have lost rows since: what was deleted then, and what is now. */
  sources: {
    path: string;
    firstRowId: number | null;
    before: DataFile['deleteFile'] | undefined;
    now: NonNullable<DataFile['deleteFile']>;
  }[];
};

export type ReadRequest = {
  operationId: string;
  table: TableVersion;
  /** Field ids in output order. */
  columns: number[];
  /** Fields are `String(fieldId)`; text comparisons are bytewise, `cast` drops rows that do not cast. */
  filter?: Filter;
  orderBy?: Order[];
  limit?: number;
  /** Previews only: text cells are cut to this many characters. */
  cellCharacters?: number;
  /** Previews only: a page with more bytes in its cells is refused with engine.page-too-large. */
  pageBytes?: number;
};

/** How the text of a cell is understood; a text that is none of its type is no value (NULL). */
export type ValueType = 'text' | 'integer' | 'double' | 'boolean' | 'timestamp';

export type TypedColumn = { fieldId: number; type: ValueType };

/** Rows with ids, typed: filtered, in an order, from a place on. */
export type PageRequest = {
  operationId: string;
  /** May leave files out that can have no rows of the page. */
  table: TableVersion;
  /**
   * Of each file, in their order: the id of its first row. Those of the next rows follow. Null where the file keeps
   * the ids itself, counted from 0: they are one more here.
   */
  firstRowIds: (number | null)[];
  columns: TypedColumn[];
  /** Fields are `String(fieldId)` of the columns, or `row` for the id. Only `like` goes beyond a `Filter`. */
  filter?: RecordFilter;
  /** Default: by id. Ties are broken by id in the same direction; no value comes last, or first in descending order. */
  order?: Order;
  limit: number;
  /** Only what lies after this place in the order, or before it for `back`. */
  cursor?: { id: number; value?: string | null };
  /** The last ones before the cursor, or of all; the order is the same. */
  back?: boolean;
  /** A page with more bytes in its cells is refused with engine.page-too-large. */
  pageBytes: number;
};

/** Cells are texts: `true`, `1.5`, `2025-01-31T12:30:00.000000Z`. */
export type RowPage = { id: number; cells: (string | null)[] }[];

export type ExportRequest = ReadRequest & {
  /** Absolute path that must not exist yet. Written completely and fsynced before the call returns. */
  destination: string;
  format:
    | { kind: 'csv'; gzip: boolean /** Header line to write, or null for none. */; header: string[] | null }
    | { kind: 'parquet' };
};

/** An aborted call rejects with `signal.reason`, once nothing of it is left. */
export type EngineTables = {
  /** The first record of the first non-empty path as raw cells, undefined when there is none. Reads only the start. */
  readHeader(source: { paths: string[]; format: CsvFormat }): Promise<string[] | undefined>;
  /** Imports rows into new files. Throws AppError kind invalid (codes `csv.*`) for what is wrong with the data. */
  write(request: WriteRequest, signal?: AbortSignal): Promise<TableChange>;
  deleteRows(request: DeleteRowsRequest, signal?: AbortSignal): Promise<TableChange>;
  /** Whether two rows have the same values in all of the columns (field ids). */
  hasDuplicates(request: UniquenessRequest, signal?: AbortSignal): Promise<boolean>;
  /** Writes the living rows of some files into one file, in the order of their ids, which they keep. */
  compact(request: CompactRequest, signal?: AbortSignal): Promise<CompactedFile>;
  /** Deletes from a merged file what its sources have lost while it was written. Undefined: it has none of those rows. */
  carryDeletes(request: CarryDeletesRequest, signal?: AbortSignal): Promise<WrittenDeleteFile | undefined>;
  /** CSV cells are all quoted, lines end in \n, NULL is empty. Returns the number of rows and bytes written. */
  export(request: ExportRequest, signal?: AbortSignal): Promise<{ rows: number; sizeBytes: number }>;
  /** A small page of rows as text cells (timestamps as `YYYY-MM-DD hh:mm:ss`), for previews. */
  preview(request: ReadRequest): Promise<(string | null)[][]>;
  readPage(request: PageRequest, signal?: AbortSignal): Promise<RowPage>;
  /** How many rows a page request would show without limit and cursor. */
  countRows(request: PageRequest, signal?: AbortSignal): Promise<number>;
};

/** One SQL session of one job: own process, own memory limit, no network, no files but its inputs. */
export type SessionSpec = {
  sessionId: string;
  /**
   * Whose session it is. A process may serve sessions of one tenant one after the other (each with a database of its
   * own), never those of two. Without a tenant the process dies with the session.
   */
  tenant?: string;
  /** Tables visible to the SQL under `name`, with their columns under the given names, and only the rows asked for. */
  tables: {
    name: string;
    version: TableVersion;
    columns: { fieldId: number; name: string }[];
    /** As in a ReadRequest: fields are `String(fieldId)`, also of columns that are not shown. */
    filter?: Filter;
    limit?: number;
  }[];
  /** Existing directory of the job: exported tables go there. (Spill files stay in the engine's own directory.) */
  workDirectory: string;
  memoryLimitMb: number;
};

export type SessionColumn = { name: string; type: string; nullable: boolean };

export type Session = {
  /**
   * Runs statements one after another. Those that only show rows (SELECT ...) are checked but not executed, nobody would
   * see their result; those that reach outside the session (COPY, ATTACH, SET ...) are refused. Throws AppError kind
   * invalid with the database's message on failure, `details.statement` says where.
   */
  run(sql: string, signal?: AbortSignal): Promise<void>;
  /** Columns of a table or view, undefined when there is none of that name. */
  describe(table: string): Promise<SessionColumn[] | undefined>;
  /**
   * Writes a table to one new Parquet file inside the work directory, all columns as the database's own text (booleans
   * `true`, `false`), NULL as NULL.
   */
  exportTable(table: string): Promise<{ path: string; rows: number }>;
  /** Ends the session and all that runs in it at once. */
  close(): Promise<void>;
};

export type EngineSessions = { open(spec: SessionSpec, signal?: AbortSignal): Promise<Session> };
