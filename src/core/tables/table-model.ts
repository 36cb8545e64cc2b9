import type { Filter, Order } from '../../lib/filter.ts';
import type { ColumnDefinition } from './column-types.ts';

export type Stage = 'in' | 'out' | 'sys';

export type SharingType = 'organization' | 'organization-project' | 'specific-projects' | 'specific-users';

/** A bucket of another project that shows the tables of a shared one. */
export type BucketLink = {
  bucketId: string;
  branchId: number;
  createdAt: Date;
  project: { id: number; name: string };
};

export type BucketShare = {
  type: SharingType;
  by: { id: number; name: string };
  at: Date;
  projects: { id: number; name: string }[];
  persons: { id: number; name: string; email: string }[];
  links: BucketLink[];
};

/** The shared bucket of another project whose tables a linked one shows. */
export type BucketSource = {
  project: { id: number; name: string };
  bucketId: string;
  name: string;
  displayName: string;
  description: string;
  sharing: SharingType | undefined;
};

export type Bucket = {
  /** `<stage>.<name>`. */
  id: string;
  projectId: number;
  branchId: number;
  stage: Stage;
  name: string;
  displayName: string;
  description: string;
  /** The backend a client asked for; undefined: the project's default. A label, all tables live in the lake. */
  backend: string | undefined;
  color: string | undefined;
  createdAt: Date;
  /** Last change of the description. */
  updatedAt: Date | undefined;
  /** Last change of anything in it. */
  changedAt: Date | undefined;
  tablesCount: number;
  rowsCount: number;
  dataSizeBytes: number;
  /** Undefined: nobody else may link it. */
  share?: BucketShare | undefined;
  /** Set for one that is linked: its tables are another project's, and can only be read. */
  source?: BucketSource | undefined;
};

export type NewBucket = {
  stage: Stage;
  /** As people say it: the id gets the prefix `c-` where it is missing. */
  name: string;
  displayName?: string | undefined;
  description?: string | undefined;
  backend?: string | undefined;
  color?: string | undefined;
};

export type Table = {
  /** `<bucket id>.<name>`. */
  id: string;
  bucketId: string;
  name: string;
  displayName: string;
  description: string;
  columns: string[];
  primaryKey: string[];
  /** By column name; undefined: the table is not typed, all its values are texts. */
  columnTypes: Map<string, ColumnDefinition> | undefined;
  createdAt: Date;
  importedAt: Date | undefined;
  /** Last change of rows or structure. */
  changedAt: Date | undefined;
  /** Set for one of a linked bucket: the table it is, in the project that owns it. */
  source?: { projectId: number; projectName: string; tableId: string } | undefined;
  rowsCount: number;
  dataSizeBytes: number;
};

/** How a CSV file is written, in the words of people: what is left out gets the usual value. */
export type CsvOptions = {
  delimiter?: string | undefined;
  enclosure?: string | undefined;
  escapedBy?: string | undefined;
  /** Names of the file's columns; the file then has no header. */
  columns?: string[] | undefined;
  /** The file has no header: its columns are those of the table, in order. */
  withoutHeaders?: boolean | undefined;
  /** Physical lines to skip; what follows has no header. */
  ignoredLinesCount?: number | undefined;
};

export type ImportSource =
  /** A stored file, sliced or not. */
  | { kind: 'file'; fileId: number }
  /** CSV files of one layout, absolute paths, in a job's folder. Each has the header, if there is one. */
  | { kind: 'paths'; paths: string[] }
  /** Parquet written by a session: its columns by name. */
  | { kind: 'parquet'; path: string; columns: string[] }
  | WorkspaceSource;

export type MetadataEntry = { key: string; value: string };

/** A table or view of a workspace; all its columns when none are named. */
export type WorkspaceSource = {
  kind: 'workspace';
  backend: string;
  workspaceId: number;
  object: string;
  columns: string[];
};

export type ImportOptions = CsvOptions & {
  /** True: rows are upserted by primary key, or appended without one. False: they replace all rows. */
  incremental?: boolean | undefined;
  /** Texts that stand for no value: at most one; the empty text unless told otherwise. */
  nullTexts?: string[] | undefined;
  /** Rows whose key is in the table already: replaced, or left as they are. Default upsert. */
  deduplication?: 'upsert' | 'insert' | undefined;
  /** The column `_timestamp` of the file says when each row was written. */
  tellsTimestamp?: boolean | undefined;
};

export type NewTable = {
  bucketId: string;
  name: string;
  displayName?: string | undefined;
  primaryKey?: string[] | undefined;
};

/** `input` of jobs of the kinds table-create and table-import. */
export type LoadInput = {
  /** Set when the table exists; else `create` says what to make. Both: make it where it is missing. */
  tableId: string;
  create: { displayName: string | null; primaryKey: string[] } | null;
  incremental: boolean;
  nullText?: string | null;
  keepsExisting?: boolean;
  tellsTimestamp?: boolean;
  source: ImportSource;
  csv: {
    delimiter: string;
    enclosure: string;
    escapedBy: string;
    columns: string[];
    withoutHeaders: boolean;
    ignoredLinesCount: number;
  };
};

/** `result` of jobs of the kinds table-create and table-import. */
export type LoadResult = {
  tableId: string;
  totalRowsCount: number;
  importedRowsCount: number;
  /** In file order. */
  importedColumns: string[];
  totalDataSizeBytes: number;
  warnings: string[];
};

/** Which rows. Fields are column names. */
export type RowSelection = {
  filter?: Filter | undefined;
  changedSince?: Date | undefined;
  /** Exclusive. */
  changedUntil?: Date | undefined;
};

export type ReadOptions = RowSelection & {
  /** All when absent or empty. */
  columns?: string[] | undefined;
  orderBy?: Order[] | undefined;
  limit?: number | undefined;
  /** Adds the time of each row's last change as a last column `_timestamp`. */
  includeInternalTimestamp?: boolean | undefined;
};

export type ExportOptions = ReadOptions & {
  gzip?: boolean | undefined;
  fileType?: 'csv' | 'parquet' | undefined;
};

/** `input` of jobs of the kind table-export: everything resolved. */
export type ExportInput = {
  tableId: string;
  columns: string[];
  filter: Filter | null;
  orderBy: Order[];
  limit: number | null;
  /** ISO 8601. */
  changedSince: string | null;
  changedUntil: string | null;
  includeInternalTimestamp: boolean;
  gzip: boolean;
  fileType: 'csv' | 'parquet';
};

export type ExportResult = { fileId: number; cacheHit: boolean };

/** `input` of jobs of the kind rows-delete. */
export type DeleteRowsInput = {
  tableId: string;
  filter: Filter | null;
  changedSince: string | null;
  changedUntil: string | null;
};
