import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json } from '@duckdb/node-api';
import type { ColumnStatistics, EngineColumn, WrittenDataFile, WrittenDeleteFile } from '../contract.ts';
import type { RequestConnection } from './connection.ts';
import { identifier, literal } from './sql.ts';

/** Writing of Parquet files: the files of the lake, with the field ids and statistics its catalogue needs. */

/**
 * Where a request puts its files. All names start with `prefix`, which is unique to the request, so that whatever a
 * failed attempt has left is found by it.
 */
export type FilePlace = { directory: string; prefix: string; nextName: () => string };

export function filePlace(directory: string, prefix: string): FilePlace {
  let last = 0;
  return {
    directory,
    prefix,
    nextName: () => {
      last += 1;
      return `${prefix}-${last}`;
    },
  };
}

export async function removePlaced(place: { directory: string; prefix: string }): Promise<void> {
  const names = await readdir(place.directory).catch(() => [] as string[]);
  await Promise.all(
    names
      .filter((name) => name.startsWith(place.prefix))
      .map((name) => rm(join(place.directory, name), { force: true })),
  );
}

/** Makes files and their names survive a power cut. */
export async function syncToDisk(paths: string[], directory: string): Promise<void> {
  await Promise.all([...new Set([...paths, directory])].map(syncOne));
}

async function syncOne(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Rows per row group: DuckDB's own default, less for wide tables, whose row groups would not fit into memory. */
export function rowGroupSize(columnCount: number): number {
  const vector = 2048;
  const wanted = Math.floor(3_000_000 / Math.max(1, columnCount) / vector) * vector;
  return Math.min(60 * vector, Math.max(vector, wanted));
}

/** One file holds this much before the next is begun, where the caller lets the file be split. */
const SPLIT_BYTES = 512 * 1024 * 1024;

export type DataFileRequest = {
  /** SELECT giving the columns in order, under any names. */
  select: string;
  columns: Pick<EngineColumn, 'fieldId' | 'name'>[];
  place: FilePlace;
  /** Several files, in no particular row order (which is also quicker). Otherwise one file in the SELECT's order. */
  split: boolean;
  rowGroupSize: number;
};

/** Runs one COPY. Files are not synced yet; a result without rows leaves none. */
export async function writeDataFiles(
  connection: RequestConnection,
  request: DataFileRequest,
): Promise<WrittenDataFile[]> {
  const { columns, place } = request;
  const aliases = columns.map((column) => identifier(column.name)).join(', ');
  const fieldIds = columns.map((column) => `${identifier(column.name)}: ${column.fieldId}`).join(', ');
  const name = place.nextName();
  const target = join(place.directory, `${name}.parquet`);
  const options = [
    'FORMAT parquet',
    'COMPRESSION snappy',
    `ROW_GROUP_SIZE ${request.rowGroupSize}`,
    `FIELD_IDS {${fieldIds}}`,
    'RETURN_STATS',
    ...(request.split
      ? [`FILE_SIZE_BYTES ${SPLIT_BYTES}`, `FILENAME_PATTERN ${literal(`${name}-{uuidv7}`)}`, 'OVERWRITE_OR_IGNORE']
      : ['USE_TMP_FILE false']),
  ];
  const rows = await connection.rows(
    `COPY (SELECT * FROM (${request.select}) AS data(${aliases})) TO ${literal(request.split ? place.directory : target)} (${options.join(', ')})`,
  );
  const files = rows.map((row) => writtenFile(row, columns));
  await Promise.all(files.filter((file) => file.recordCount === 0).map((file) => rm(file.path, { force: true })));
  // An empty result of a split COPY names no file at all.
  if (!request.split && files.length === 0) await rm(target, { force: true });
  return files.filter((file) => file.recordCount > 0);
}

/** `file_path` and `pos` with the field ids of the DuckLake specification. `positions` selects ascending `pos`. */
export async function writeDeleteFile(
  connection: RequestConnection,
  request: { dataFile: string; positions: string; place: FilePlace },
): Promise<WrittenDeleteFile> {
  const path = join(request.place.directory, `${request.place.nextName()}-delete.parquet`);
  const rows = await connection.rows(
    `COPY (SELECT ${literal(request.dataFile)} AS file_path, pos FROM (${request.positions}) ORDER BY pos) TO ${literal(path)} ` +
      '(FORMAT parquet, FIELD_IDS {file_path: 2147483646, pos: 2147483645}, RETURN_STATS, USE_TMP_FILE false)',
  );
  const written = writtenFile(rows[0]!, []);
  return {
    dataFile: request.dataFile,
    path,
    deleteCount: written.recordCount,
    fileSizeBytes: written.fileSizeBytes,
    footerSize: written.footerSize,
  };
}

type Entry = { key: string; value: Json };

/** A row of RETURN_STATS. Its texts go into the catalogue unchanged; they are never put through JS numbers. */
function writtenFile(row: Json[], columns: Pick<EngineColumn, 'fieldId' | 'name'>[]): WrittenDataFile {
  const [path, recordCount, fileSizeBytes, footerSize, statistics] = row as [string, string, string, string, Entry[]];
  const byColumn = new Map(statistics.map(({ key, value }) => [key, value as Entry[]]));
  return {
    path,
    recordCount: Number(recordCount),
    fileSizeBytes: Number(fileSizeBytes),
    footerSize: Number(footerSize),
    statistics: columns.map(({ fieldId, name }) => columnStatistics(fieldId, byColumn.get(identifier(name)) ?? [])),
  };
}

function columnStatistics(fieldId: number, entries: Entry[]): ColumnStatistics {
  const values = new Map(entries.map(({ key, value }) => [key, value as string]));
  const number = (key: string) => (values.has(key) ? Number(values.get(key)) : null);
  const nullCount = number('null_count');
  const allCount = number('num_values');
  return {
    fieldId,
    columnSizeBytes: number('column_size_bytes'),
    // Zero would prune the file for every comparison: a count that is not sure is unknown.
    valueCount: nullCount === null || allCount === null || nullCount > allCount ? null : allCount - nullCount,
    nullCount,
    minValue: bound(values.get('min')),
    maxValue: bound(values.get('max')),
  };
}

/** PostgreSQL stores no NUL byte; an unknown bound is always right. */
function bound(value: string | undefined): string | null {
  return value === undefined || value.includes('\0') ? null : value;
}
