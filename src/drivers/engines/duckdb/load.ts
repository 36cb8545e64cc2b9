import { strict as assert } from 'node:assert';
import { rm } from 'node:fs/promises';
import type {
  DataFile,
  DeleteRowsRequest,
  TableChange,
  TableVersion,
  WriteRequest,
  WrittenDataFile,
} from '../contract.ts';
import type { RequestConnection } from './connection.ts';
import { scanCsv } from './csv-scan.ts';
import { duckdbFault } from './errors.ts';
import {
  type FilePlace,
  removePlaced,
  rowGroupSize,
  syncToDisk,
  writeDataFiles,
  writeDeleteFile,
} from './parquet-files.ts';
import {
  column,
  condition,
  deletedPositions,
  identifier,
  literal,
  literals,
  mentionedFields,
  relation,
  timestampLiteral,
} from './sql.ts';
import { cellOf, hasTypes, isAboutValue, requireValues, type SourceCell } from './typed-cells.ts';

/**
 * Importing and deleting rows. The shape of every import:
 *
 *   1. one COPY from the source into Parquet, right where the data belongs (without a primary key that is all)
 *   2. by key, find the rows of the batch that a later row of the batch replaces
 *   3. for an upsert, find the table's rows of the same keys, and which of them are equal to the new ones
 *   4. only if 2 or 3 found any: one more COPY of the batch without those; and the positions of replaced rows
 *
 * The table's own rows are never rewritten, only marked deleted.
 */
export type LoadOptions = {
  connection: RequestConnection;
  place: FilePlace;
  /** Existing directory for temporary files of the request, removed by the caller. */
  scratch: string;
};

const liveRows = (file: DataFile) => file.recordCount - (file.deleteFile?.deleteCount ?? 0);
const liveTotal = (files: DataFile[]) => files.reduce((sum, file) => sum + liveRows(file), 0);
const recordTotal = (files: WrittenDataFile[]) => files.reduce((sum, file) => sum + file.recordCount, 0);

export async function write(options: LoadOptions, request: WriteRequest): Promise<TableChange> {
  try {
    return await writeOnce(options, request, { rowGroupSize: rowGroupSize(request.table.columns.length), split: true });
  } catch (thrown) {
    if (duckdbFault(thrown instanceof Error && thrown.cause ? thrown.cause : thrown).about !== 'memory') throw thrown;
    // Rows of tens of kilobytes: a row group of the usual length is larger than the memory. In one ordered file
    // DuckDB writes row groups as memory runs out, in several it does not.
    await removePlaced(options.place);
    await dropTemporaryTables(options.connection);
    return await writeOnce(options, request, { rowGroupSize: 2048, split: false });
  }
}

type FileShape = { rowGroupSize: number; split: boolean };

async function writeOnce(options: LoadOptions, request: WriteRequest, shape: FileShape): Promise<TableChange> {
  const { connection, place } = options;
  const { emptyFile } = connection;
  const { table, mode, primaryKey } = request;
  const isKeyed = primaryKey.length > 0;
  const batch = await stageSource(options, request, { ...shape, split: shape.split && !isKeyed });
  const kept = mode === 'replace' ? [] : table.files;
  const change: TableChange = {
    addedFiles: batch,
    deleteFiles: [],
    removedFiles: mode === 'replace' ? table.files.map((file) => file.path) : [],
    sourceRows: recordTotal(batch),
    totalRows: 0,
    deletedRows: 0,
  };

  if (isKeyed && batch.length > 0) {
    assert(batch.length === 1, 'a keyed batch is one file in source order');
    const staged = { columns: table.columns, files: batch };
    await connection.run('CREATE TEMP TABLE excluded (pos BIGINT)');
    await excludeReplacedInBatch(connection, staged, primaryKey);
    if (mode === 'insert' && kept.length > 0) {
      await matchKeys(connection, request, staged);
      await connection.run('INSERT INTO excluded SELECT DISTINCT batch_pos FROM matched');
    }
    if (mode === 'upsert' && kept.length > 0) {
      await matchExisting(connection, request, staged);
      const replaced = await deletePositions(options, table, 'SELECT path, pos FROM outcome WHERE NOT same');
      change.deleteFiles = replaced.deleteFiles;
      change.removedFiles = replaced.removedFiles;
      change.totalRows -= replaced.deletedRows;
    }
    if ((await connection.count('SELECT count(*) FROM excluded')) > 0) {
      const ids = table.columns.map(({ fieldId }) => fieldId);
      const survivors =
        `SELECT ${ids.map(column).join(', ')} FROM ${relation(staged, ids, { emptyFile, positions: true })} ` +
        'WHERE file_row_number NOT IN (SELECT pos FROM excluded)';
      change.addedFiles = await writeDataFiles(connection, {
        select: survivors,
        columns: table.columns,
        place,
        ...shape,
      });
      await rm(batch[0]!.path);
    }
  }
  change.totalRows += liveTotal(kept) + recordTotal(change.addedFiles);
  await syncChange(change, place);
  return change;
}

/** Step 1: the source as it is, with `_timestamp` and with '' for the table's columns it does not have. */
async function stageSource(options: LoadOptions, request: WriteRequest, shape: FileShape): Promise<WrittenDataFile[]> {
  const { connection, place, scratch } = options;
  const { source, table, timestamp } = request;
  const copy = async (from: string, texts: Map<number, string>) => {
    const cells = table.columns.map((item) => ({ column: item, text: texts.get(item.fieldId) }));
    const values = cells.map((cell) =>
      cell.column.fieldId === timestamp.fieldId && cell.text === undefined
        ? timestampLiteral(timestamp.value)
        : cellOf(cell, request),
    );
    const requireAllValues = () => requireValues({ connection, from, rowsBefore: rowsBefore(source) }, cells, request);
    try {
      const select = `SELECT ${values.join(', ')} FROM ${from}`;
      const files = await writeDataFiles(connection, { select, columns: table.columns, place, ...shape });
      if (lacksValues(files, cells)) await requireAllValues();
      return files;
    } catch (thrown) {
      await removePlaced(place);
      if (hasTypes(cells, request) && isAboutValue(thrown)) await requireAllValues();
      throw thrown;
    }
  };
  if (source.kind === 'parquet') {
    if (source.paths.length === 0) return [];
    const isTyped = new Map(table.columns.map((item) => [item.fieldId, item.typed !== undefined]));
    const values = source.columns.map(({ name, fieldId }) => {
      const text = `CAST(${identifier(name)} AS VARCHAR)`;
      return [fieldId, isTyped.get(fieldId) ? text : `coalesce(${text}, '')`] as const;
    });
    return await copy(`read_parquet(${literals(source.paths)})`, new Map(values));
  }
  const fieldIds = source.fieldIds.filter((fieldId) => fieldId !== null);
  const values = new Map(fieldIds.map((fieldId) => [fieldId, column(fieldId)]));
  return (await scanCsv({ connection, source, scratch }, (from) => copy(from, values))) ?? [];
}

/** Rows are counted as in the file; of several files nobody can say where a row is. */
function rowsBefore(source: WriteRequest['source']): number | undefined {
  if (source.paths.length !== 1) return undefined;
  return source.kind === 'csv' ? source.format.skipLines + (source.format.hasHeader ? 1 : 0) : 0;
}

/** Whether a column that must have values may have a NULL: told by the statistics of what was written. */
function lacksValues(files: WrittenDataFile[], cells: SourceCell[]): boolean {
  const strict = new Set(cells.filter(({ column }) => column.typed?.nullable === false).map((c) => c.column.fieldId));
  return files.some(({ statistics }) => statistics.some((item) => strict.has(item.fieldId) && item.nullCount !== 0));
}

/** Step 2: all but the last row of each key in the batch. */
async function excludeReplacedInBatch(
  connection: RequestConnection,
  staged: TableVersion,
  primaryKey: number[],
): Promise<void> {
  const { emptyFile } = connection;
  const keys = primaryKey.map(column).join(', ');
  const repeated = `SELECT ${keys} FROM ${relation(staged, primaryKey, { emptyFile })} GROUP BY ${keys} HAVING count(*) > 1`;
  // Usually there are none, and grouping is several times cheaper than ranking.
  if ((await connection.rows(`${repeated} LIMIT 1`)).length === 0) return;
  await connection.run(
    `INSERT INTO excluded SELECT pos FROM (
       SELECT file_row_number AS pos, row_number() OVER (PARTITION BY ${keys} ORDER BY file_row_number DESC) AS place
       FROM ${relation(staged, primaryKey, { emptyFile, positions: true })} WHERE (${keys}) IN (${repeated})
     ) WHERE place > 1`,
  );
}

/** Fills `matched(path, pos, batch_pos)` with the table's rows whose key is in the batch. Reads only keys. */
async function matchKeys(
  connection: RequestConnection,
  { table, primaryKey }: WriteRequest,
  staged: TableVersion,
): Promise<void> {
  const { emptyFile } = connection;
  const sameKey = primaryKey.map((fieldId) => `old.${column(fieldId)} = new.${column(fieldId)}`).join(' AND ');
  await connection.run(
    `CREATE TEMP TABLE matched AS
     SELECT old.filename AS path, old.file_row_number AS pos, new.file_row_number AS batch_pos
     FROM ${relation(table, primaryKey, { emptyFile, positions: true })} AS old
     JOIN ${relation(staged, primaryKey, { emptyFile, positions: true })} AS new ON ${sameKey}
     WHERE new.file_row_number NOT IN (SELECT pos FROM excluded)`,
  );
}

/**
 * Step 3: fills `outcome(path, pos, same)` with the table's rows whose key is in the batch, and excludes the rows of
 * the batch that change nothing. The first query reads only keys; all columns are read only of files with matches.
 */
async function matchExisting(
  connection: RequestConnection,
  request: WriteRequest,
  staged: TableVersion,
): Promise<void> {
  const { emptyFile } = connection;
  const { table, primaryKey, timestamp } = request;
  await matchKeys(connection, request, staged);
  if (request.touchesUnchanged) {
    await connection.run('CREATE TEMP TABLE outcome AS SELECT path, pos, batch_pos, false AS same FROM matched');
    return;
  }
  const paths = new Set((await connection.rows('SELECT DISTINCT path FROM matched')).map(([path]) => path));
  const files = table.files.filter((file) => paths.has(file.path));
  const compared = table.columns
    .map(({ fieldId }) => fieldId)
    .filter((id) => id !== timestamp.fieldId && !primaryKey.includes(id));
  const same = compared.map((id) => `old.${column(id)} IS NOT DISTINCT FROM new.${column(id)}`).join(' AND ') || 'true';
  await connection.run(
    `CREATE TEMP TABLE outcome AS
     SELECT matched.path, matched.pos, matched.batch_pos, ${same} AS same
     FROM ${relation({ ...table, files }, compared, { emptyFile, positions: true })} AS old
     JOIN matched ON old.filename = matched.path AND old.file_row_number = matched.pos
     JOIN ${relation(staged, compared, { emptyFile, positions: true })} AS new ON new.file_row_number = matched.batch_pos`,
  );
  await connection.run('INSERT INTO excluded SELECT DISTINCT batch_pos FROM outcome WHERE same');
}

export async function deleteRows(options: LoadOptions, request: DeleteRowsRequest): Promise<TableChange> {
  const { connection, place } = options;
  const { emptyFile } = connection;
  const { table, filter } = request;
  await connection.run(
    `CREATE TEMP TABLE outcome AS SELECT filename AS path, file_row_number AS pos
     FROM ${relation(table, [...new Set(mentionedFields(filter))], { emptyFile, positions: true })} WHERE ${condition(filter, table.columns)}`,
  );
  const deleted = await deletePositions(options, table, 'SELECT path, pos FROM outcome');
  const totalRows = liveTotal(table.files) - deleted.deletedRows;
  const change: TableChange = { addedFiles: [], sourceRows: 0, totalRows, ...deleted };
  await syncChange(change, place);
  return change;
}

/** One cumulative delete file for every data file that loses rows, or no data file where it loses all of them. */
async function deletePositions(
  { connection, place }: LoadOptions,
  table: TableVersion,
  rows: string,
): Promise<Pick<TableChange, 'deleteFiles' | 'removedFiles' | 'deletedRows'>> {
  const result: Pick<TableChange, 'deleteFiles' | 'removedFiles' | 'deletedRows'> = {
    deleteFiles: [],
    removedFiles: [],
    deletedRows: 0,
  };
  const counts = new Map(
    (await connection.rows(`SELECT path, count(DISTINCT pos) FROM (${rows}) GROUP BY path`)).map(([path, count]) => [
      path,
      Number(count),
    ]),
  );
  for (const file of table.files) {
    const count = counts.get(file.path) ?? 0;
    if (count === 0) continue;
    result.deletedRows += count;
    if (count === liveRows(file)) {
      result.removedFiles.push(file.path);
      continue;
    }
    const fresh = `SELECT pos FROM (${rows}) WHERE path = ${literal(file.path)}`;
    const positions =
      file.deleteFile === undefined
        ? `SELECT DISTINCT pos FROM (${fresh})`
        : `${fresh} UNION ${deletedPositions(file.deleteFile)}`;
    result.deleteFiles.push(await writeDeleteFile(connection, { dataFile: file.path, positions, place }));
  }
  return result;
}

async function syncChange(change: TableChange, place: FilePlace): Promise<void> {
  const paths = [...change.addedFiles, ...change.deleteFiles].map((file) => file.path);
  if (paths.length > 0) await syncToDisk(paths, place.directory);
}

async function dropTemporaryTables(connection: RequestConnection): Promise<void> {
  for (const name of ['excluded', 'matched', 'outcome']) await connection.run(`DROP TABLE IF EXISTS temp.${name}`);
}
