import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CsvSource } from '../contract.ts';
import type { RequestConnection } from './connection.ts';
import { csvBytes, firstRecord } from './csv-records.ts';
import { REWRITTEN_FORMAT, rewriteCsv } from './csv-rewrite.ts';
import { duckdbFault, fromDuckdb, ROW_LIMIT_BYTES } from './errors.ts';
import { column, literal, literals } from './sql.ts';

/**
 * CSV files as a FROM item for DuckDB, with the ways of reading them tried from the quickest to the surest:
 *
 *   parallel     every core reads a part. DuckDB proves afterwards that the parts meet; nasty quoted text can make it
 *                give up (never misread), and a long row does not fit its buffers
 *   sequential   one core, exact
 *   long rows    one core, buffers for rows up to the limit
 *   rewritten    our own reader writes the file anew: mixed line ends, lone \r, escape characters
 *
 * What fails in the last way that can help is the user's error, and only then is it reported.
 */
type Way = 'parallel' | 'sequential' | 'long-rows' | 'rewritten';

type Part = { path: string; newLine: '\\n' | '\\r\\n' };

/** Stands for no value of any file: nothing is ever read as NULL. */
const NEVER = '\u0001\u0002millrace-null\u0002\u0001';

export type CsvScanOptions = {
  connection: RequestConnection;
  source: CsvSource;
  /** Existing directory for a rewritten copy, removed by the caller. */
  scratch: string;
};

/**
 * Calls `load` with the FROM item (columns `c<fieldId>`), again for every further way that has to be tried. `load`
 * must leave nothing behind when it throws. Undefined when the files hold no records at all.
 */
export async function scanCsv<Result>(
  options: CsvScanOptions,
  load: (from: string) => Promise<Result>,
): Promise<Result | undefined> {
  const { connection, source } = options;
  let parts = await nonEmptyParts(source);
  if (parts.length === 0) return undefined;
  let format = source.format;
  // DuckDB decodes escape characters inside quotes only.
  let way: Way = format.escapedBy !== '' ? 'rewritten' : 'parallel';
  const intact = format.compression === 'gzip' ? new GzipCheck(parts, connection.signal) : undefined;

  try {
    for (;;) {
      // Read by one core, DuckDB drops a value whose quote is never closed, and all after it, without a word.
      if ((way === 'sequential' || way === 'long-rows') && !(await quotesPair(parts, format))) way = 'rewritten';
      if (way === 'rewritten') {
        parts = await rewriteParts(options, parts);
        format = REWRITTEN_FORMAT;
      }
      try {
        const result = await load(fromItem({ ...source, format }, parts, way));
        await intact?.done();
        return result;
      } catch (thrown) {
        connection.signal.throwIfAborted();
        await intact?.done();
        const next = nextWay(way, thrown);
        if (next === undefined) throw fromDuckdb(thrown);
        way = next;
      }
    }
  } finally {
    intact?.stop();
  }
}

function nextWay(way: Way, thrown: unknown): Way | undefined {
  const { about } = duckdbFault(thrown);
  const isAboutCsv = ['ragged-row', 'unterminated-quote', 'encoding', 'line-size', 'csv-structure'].includes(about);
  if (!isAboutCsv || way === 'rewritten') return undefined;
  if (about === 'line-size') return way === 'long-rows' ? undefined : 'long-rows';
  if (way === 'parallel') return 'sequential';
  // The two faults that mixed line ends and lone carriage returns are reported as.
  return about === 'csv-structure' || about === 'unterminated-quote' ? 'rewritten' : undefined;
}

async function nonEmptyParts(source: CsvSource): Promise<Part[]> {
  const parts: Part[] = [];
  for (const path of source.paths) {
    const record = await firstRecord(path, source.format);
    if (record !== undefined) parts.push({ path, newLine: record.terminator === '\r\n' ? '\\r\\n' : '\\n' });
  }
  return parts;
}

/** An odd number of quotes means that one may be open at the end; our own reader then says whether it is. */
async function quotesPair(parts: Part[], { enclosure, compression }: CsvSource['format']): Promise<boolean> {
  if (enclosure === '') return true;
  const quote = Buffer.from(enclosure);
  for (const { path } of parts) {
    let isOpen = false;
    for await (const chunk of csvBytes(path, compression)) {
      for (let at = chunk.indexOf(quote); at >= 0; at = chunk.indexOf(quote, at + quote.length)) isOpen = !isOpen;
    }
    if (isOpen) return false;
  }
  return true;
}

async function rewriteParts({ connection, source, scratch }: CsvScanOptions, parts: Part[]): Promise<Part[]> {
  const rewritten: Part[] = [];
  for (const [index, { path }] of parts.entries()) {
    const copy = join(scratch, `rewritten-${index}.csv`);
    await rewriteCsv({ path, format: source.format, columnCount: source.fieldIds.length }, copy, connection.signal);
    if ((await stat(copy)).size > 0) rewritten.push({ path: copy, newLine: '\\n' });
  }
  // Only headers: an empty file still gives DuckDB something to read.
  return rewritten.length > 0 ? rewritten : [{ path: join(scratch, 'rewritten-0.csv'), newLine: '\\n' }];
}

/** One read_csv per run of files with the same line ends: DuckDB wants them told, and in file order. */
function fromItem(source: CsvSource, parts: Part[], way: Way): string {
  const runs: Part[][] = [];
  for (const part of parts) {
    const run = runs.at(-1);
    if (run?.[0]?.newLine === part.newLine) run.push(part);
    else runs.push([part]);
  }
  const reads = runs.map((run) => readCsv(source, run, way));
  if (reads.length === 1) return reads[0]!;
  return `(${reads.map((read) => `SELECT * FROM ${read}`).join(' UNION ALL ')})`;
}

function readCsv({ format, fieldIds }: CsvSource, run: Part[], way: Way): string {
  const names = fieldIds.map((fieldId, index) => (fieldId === null ? `dropped${index}` : column(fieldId)));
  const options = [
    'auto_detect = false',
    `header = ${format.hasHeader}`,
    `skip = ${format.skipLines}`,
    `delim = ${literal(format.delimiter)}`,
    `quote = ${literal(format.enclosure)}`,
    `escape = ${literal(format.enclosure)}`,
    `new_line = ${literal(run[0]!.newLine)}`,
    "comment = ''",
    `compression = '${format.compression}'`,
    `nullstr = ${literal(NEVER)}`,
    `columns = {${names.map((name) => `'${name}': 'VARCHAR'`).join(', ')}}`,
    `force_not_null = [${names.map((name) => `'${name}'`).join(', ')}]`,
    ...(way === 'parallel' ? [] : ['parallel = false']),
    ...(way === 'long-rows' || way === 'rewritten' ? [`max_line_size = ${ROW_LIMIT_BYTES}`] : []),
  ];
  return `read_csv(${literals(run.map((part) => part.path))}, ${options.join(', ')})`;
}

/**
 * Unpacks gzip files a second time, beside the load, only to see that they are whole: DuckDB takes the end of a
 * truncated stream for the end of the data and does not look at checksums.
 */
class GzipCheck {
  readonly #stopped = new AbortController();
  readonly #finished: Promise<void>;

  constructor(parts: Part[], signal: AbortSignal) {
    const stop = AbortSignal.any([signal, this.#stopped.signal]);
    this.#finished = (async () => {
      for (const { path } of parts) {
        for await (const _ of csvBytes(path, 'gzip')) if (stop.aborted) return;
      }
    })();
    this.#finished.catch(() => {}); // seen by done()
  }

  /** Throws `csv.gzip-broken`; also the better reason when DuckDB stumbled over the broken data first. */
  async done(): Promise<void> {
    await this.#finished;
  }

  stop(): void {
    this.#stopped.abort();
  }
}
