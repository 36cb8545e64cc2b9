import { rm } from 'node:fs/promises';
import type {
  CarryDeletesRequest,
  CompactedFile,
  CompactRequest,
  DataFile,
  WrittenDataFile,
  WrittenDeleteFile,
} from '../contract.ts';
import { duckdbFault } from './errors.ts';
import type { LoadOptions } from './load.ts';
import { removePlaced, rowGroupSize, syncToDisk, writeDataFiles, writeDeleteFile } from './parquet-files.ts';
import { column, deletedPositions, KEPT_ROW_ID, relation, rowIdScan } from './sql.ts';

/**
 * Merging small files, and files with many deleted rows, into one. Rows keep their ids: by their place in the file
 * where those of all sources follow one another without a gap, else in a column of the file.
 */
export async function compact(options: LoadOptions, request: CompactRequest): Promise<CompactedFile> {
  try {
    return await compactOnce(options, request, rowGroupSize(request.table.columns.length));
  } catch (thrown) {
    if (duckdbFault(thrown instanceof Error && thrown.cause ? thrown.cause : thrown).about !== 'memory') throw thrown;
    await removePlaced(options.place);
    return await compactOnce(options, request, 2048);
  }
}

async function compactOnce(
  { connection, place }: LoadOptions,
  { table, firstRowIds }: CompactRequest,
  groupSize: number,
): Promise<CompactedFile> {
  const { emptyFile } = connection;
  const sources = table.files
    .map((file, at) => ({ file, first: firstRowIds[at] ?? null }))
    .sort((a, b) => (a.first ?? -1) - (b.first ?? -1));
  const firstRowId = followingOn(sources);
  const ids = table.columns.map(({ fieldId }) => fieldId);
  const cells = ids.map(column).join(', ');
  const branches = sources.map(({ file, first }) => {
    const scan = relation({ ...table, files: [file] }, ids, { emptyFile, positions: true, rowIds: true });
    const id = first === null ? KEPT_ROW_ID.name : `${first} + file_row_number`;
    return `SELECT ${cells}${firstRowId === null ? `, ${id} AS row_id` : ''} FROM ${scan}`;
  });
  // One after another they are in order already; ids that files keep themselves may lie anywhere between the others.
  const order = sources.length > 1 && sources.some(({ first }) => first === null) ? ' ORDER BY row_id' : '';
  const written = await writeDataFiles(connection, {
    select: `SELECT * FROM (${branches.join(' UNION ALL ')})${order}`,
    columns: firstRowId === null ? [...table.columns, KEPT_ROW_ID] : table.columns,
    place,
    split: false,
    rowGroupSize: groupSize,
  });
  const file = written[0] && withoutRowIds(written[0]);
  if (file) await syncToDisk([file.path], place.directory);
  return { file, firstRowId: file ? firstRowId : null };
}

/** The first id of files whose rows are all there and numbered through from file to file. */
function followingOn(sources: readonly { file: DataFile; first: number | null }[]): number | null {
  let next = sources[0]?.first ?? null;
  for (const { file, first } of sources) {
    if (first === null || first !== next || file.deleteFile !== undefined) return null;
    next = first + file.recordCount;
  }
  return sources[0]?.first ?? null;
}

/** The catalogue has no such column. */
function withoutRowIds(file: WrittenDataFile): WrittenDataFile {
  return { ...file, statistics: file.statistics.filter(({ fieldId }) => fieldId !== KEPT_ROW_ID.fieldId) };
}

export async function carryDeletes(
  { connection, place }: LoadOptions,
  { compacted, sources }: CarryDeletesRequest,
): Promise<WrittenDeleteFile | null> {
  const lost = sources.map(({ path, firstRowId, before, now }) => {
    const fresh = before ? `${deletedPositions(now)} EXCEPT ${deletedPositions(before)}` : deletedPositions(now);
    return firstRowId === null
      ? `SELECT ${KEPT_ROW_ID.name} AS id FROM ${rowIdScan(path)} WHERE file_row_number IN (${fresh})`
      : `SELECT ${firstRowId} + pos AS id FROM (${fresh})`;
  });
  const ids = `SELECT DISTINCT id FROM (${lost.join(' UNION ALL ')})`;
  const positions =
    compacted.firstRowId === null
      ? `SELECT file_row_number AS pos FROM ${rowIdScan(compacted.path)} WHERE ${KEPT_ROW_ID.name} IN (${ids})`
      : `SELECT id - ${compacted.firstRowId} AS pos FROM (${ids})`;
  const written = await writeDeleteFile(connection, { dataFile: compacted.path, positions, place });
  if (written.deleteCount === 0) {
    await rm(written.path, { force: true });
    return null;
  }
  await syncToDisk([written.path], place.directory);
  return written;
}
