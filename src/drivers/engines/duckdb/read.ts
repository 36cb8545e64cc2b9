import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { EngineColumn, ExportRequest, ReadRequest, UniquenessRequest } from '../contract.ts';
import type { RequestConnection } from './connection.ts';
import { pageTooLarge } from './errors.ts';
import { gzipParallel } from './gzip.ts';
import { syncToDisk } from './parquet-files.ts';
import { asText, column, condition, identifier, literal, mentionedFields, ordering, relation } from './sql.ts';

/** Reading a table version: into a file, or a few rows for a preview. */

type Wanted = { columns: EngineColumn[]; from: string; tail: string };

function wanted(
  { emptyFile }: RequestConnection,
  { table, columns: fieldIds, filter, orderBy, limit }: ReadRequest,
): Wanted {
  const scanned = [...new Set([...fieldIds, ...mentionedFields(filter, orderBy)])];
  const from = relation(table, scanned, { emptyFile });
  const columns = fieldIds.map((fieldId) => table.columns.find((item) => item.fieldId === fieldId)!);
  const where = filter === undefined ? '' : ` WHERE ${condition(filter, table.columns)}`;
  const top = limit === undefined ? '' : ` LIMIT ${Math.max(0, Math.trunc(limit))}`;
  return { columns, from, tail: `${where}${ordering(orderBy)}${top}` };
}

export async function preview(connection: RequestConnection, request: ReadRequest): Promise<(string | null)[][]> {
  const { columns, from, tail } = wanted(connection, request);
  const cut = request.cellCharacters;
  const cells = columns.map((item) => (cut === undefined ? asText(item) : `left(${asText(item)}, ${Math.trunc(cut)})`));
  if (request.pageBytes !== undefined && cells.length > 0) {
    const named = cells.map((cell, index) => `${cell} AS c${index}`).join(', ');
    const sizes = cells.map((_, index) => `coalesce(strlen(c${index}), 0)`).join(' + ');
    const bytes = await connection.count(
      `SELECT coalesce(sum(${sizes}), 0)::DOUBLE FROM (SELECT ${named} FROM ${from}${tail})`,
    );
    if (bytes > request.pageBytes) throw pageTooLarge(request.pageBytes);
  }
  return (await connection.rows(`SELECT ${cells.join(', ')} FROM ${from}${tail}`)) as (string | null)[][];
}

export async function hasDuplicates(
  connection: RequestConnection,
  { table, columns }: UniquenessRequest,
): Promise<boolean> {
  const keys = columns.map(column).join(', ');
  const from = relation(table, columns, { emptyFile: connection.emptyFile });
  return (await connection.rows(`SELECT 1 FROM ${from} GROUP BY ${keys} HAVING count(*) > 1 LIMIT 1`)).length > 0;
}

export type ExportOptions = { connection: RequestConnection; scratch: string; token: string; threads: number };

/** The destination appears only when it is complete and on disk. */
export async function exportFile(
  { connection, scratch, token, threads }: ExportOptions,
  request: ExportRequest,
): Promise<{ rows: number; sizeBytes: number }> {
  const partial = partialPath(request.destination, token);
  try {
    const rows = await copyTo(connection, request, partial, scratch, threads);
    const { size } = await stat(partial);
    await syncToDisk([partial], dirname(partial));
    await rename(partial, request.destination);
    await syncToDisk([], dirname(partial));
    return { rows, sizeBytes: size };
  } catch (thrown) {
    await rm(partial, { force: true });
    throw thrown;
  }
}

/** Beside the destination, so that the rename stays on one disk. */
export const partialPath = (destination: string, token: string): string => `${destination}.${token}.partial`;

async function copyTo(
  connection: RequestConnection,
  request: ExportRequest,
  path: string,
  scratch: string,
  threads: number,
): Promise<number> {
  const { columns, from, tail } = wanted(connection, request);
  const { format } = request;
  if (format.kind === 'parquet') {
    const named = columns.map(({ fieldId, name }) => `${column(fieldId)} AS ${identifier(name)}`);
    return await connection.count(
      `COPY (SELECT ${named.join(', ')} FROM ${from}${tail}) TO ${literal(path)} (FORMAT parquet, COMPRESSION snappy, USE_TMP_FILE false)`,
    );
  }
  // DuckDB would write a lone NULL as a blank line, which is no row to any reader.
  const cells = columns.map((item) => (columns.length === 1 ? `coalesce(${asText(item)}, '')` : asText(item)));
  const copy = (target: string, header: string[] | null) => {
    const names = header ?? columns.map(({ fieldId }) => column(fieldId));
    const aliased = cells.map((cell, index) => `${cell} AS ${identifier(names[index]!)}`);
    return connection.count(
      `COPY (SELECT ${aliased.join(', ')} FROM ${from}${tail}) TO ${literal(target)} ` +
        `(FORMAT csv, HEADER ${header !== null}, FORCE_QUOTE *, USE_TMP_FILE false)`,
    );
  };
  const { gzip, header } = format;
  if (!gzip && (header === null || areDistinct(header))) return await copy(path, header);

  // The rest goes through a pipe: to be packed, and to get a header with names that DuckDB takes for the same.
  const headerLine = header === null ? '' : `${header.map((name) => `"${name.replaceAll('"', '""')}"`).join(',')}\n`;
  return await throughPipe(
    scratch,
    (pipe) => copy(pipe, null),
    async (output) => {
      async function* content(): AsyncGenerator<Buffer> {
        if (headerLine !== '') yield Buffer.from(headerLine);
        yield* output;
      }
      const packed = gzip ? gzipParallel(content(), threads) : content();
      await pipeline(Readable.from(packed, { objectMode: false }), createWriteStream(path));
    },
  );
}

function areDistinct(names: string[]): boolean {
  return new Set(names.map((name) => name.toLowerCase())).size === names.length;
}

/** Runs `produce` with the path of a named pipe and `consume` with what is written to it. */
async function throughPipe(
  scratch: string,
  produce: (pipe: string) => Promise<number>,
  consume: (output: AsyncIterable<Buffer>) => Promise<void>,
): Promise<number> {
  const pipe = join(scratch, 'pipe');
  await promisify(execFile)('mkfifo', ['-m', '600', pipe]);
  // Opened for both directions it waits for nobody; while it is open neither side sees an end.
  const keeper = await open(pipe, 'r+');
  const reader = await open(pipe, 'r');
  let isOpen = true;
  const release = async () => {
    if (!isOpen) return;
    isOpen = false;
    await keeper.close();
  };
  const consumed = consume(reader.createReadStream({ highWaterMark: 256 * 1024 }));
  // A consumer that fails (disk full) must not leave the producer waiting for room in the pipe.
  consumed.catch(release);
  try {
    return await produce(pipe);
  } finally {
    await release();
    await consumed;
  }
}
