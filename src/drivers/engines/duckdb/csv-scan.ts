import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CsvSource } from '../contract.ts';
import type { RequestConnection } from './connection.ts';
import { csvBytes, endsInsideQuotes, firstRecord } from './csv-records.ts';
import { REWRITTEN_FORMAT, rewriteCsv } from './csv-rewrite.ts';
import { csvErrors, duckdbFault, fromDuckdb, ROW_LIMIT_BYTES } from './errors.ts';
import { column, literal, literals } from './sql.ts';

/**
 * CSV files as a FROM item for DuckDB, read in the quickest way first:
 *
 *   in parallel     every core reads a part. DuckDB proves afterwards that the parts meet; nasty quoted text can make
 *                   it give up (never misread)
 *   sequentially    one core, exact
 *   long rows       one core, buffers for rows up to the limit
 *   rewritten       our own reader writes the files anew: mixed line ends, lone \r, escape characters
 *
 * What fails in the last way that could help is the user's error, and only then is it reported.
 */
type Way = { parallel: boolean; longRows: boolean; rewritten: boolean };

type Part = {
  path: string;
  /** As read_csv wants it written. */
  newLine: '\\n' | '\\r\\n';
  /** Lines before the first record. */
  skip: number;
  /** DuckDB would count those lines differently: they end in another way than the records, or have quotes. */
  isOdd: boolean;
  /** Whether the last byte ends a line. Not looked for in gzip files. */
  endsLine: boolean;
  /** Whether the last line is so long that DuckDB may drop it. Not looked for in gzip files. */
  endsLong: boolean;
};

/** DuckDB drops a last row without a word when it is not quoted and spans its buffers (32 MB); well below that. */
const LONG_END_BYTES = 8 * 1024 * 1024;

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
  let way: Way = { parallel: true, longRows: false, rewritten: false };
  // DuckDB decodes escape characters inside quotes only.
  let mustRewrite = format.escapedBy !== '' || parts.some((part) => part.isOdd || part.endsLong);
  const end = new EndCheck(parts, format, connection.signal);

  try {
    for (;;) {
      // Read by one core, DuckDB drops a row whose quote is never closed without a word. Our own reader names it.
      if (!way.parallel && !way.rewritten && (await hasOpenEnd(parts, format, connection.signal))) mustRewrite = true;
      if (mustRewrite) {
        parts = await rewriteParts(options, parts);
        format = REWRITTEN_FORMAT;
        way.rewritten = true;
        mustRewrite = false;
      }
      try {
        const result = await load(fromItem({ ...source, format }, parts, way));
        if (!way.rewritten) await end.isClosed();
        return result;
      } catch (thrown) {
        connection.signal.throwIfAborted();
        await end.isWhole();
        const next = nextWay(way, thrown);
        if (next === undefined) throw fromDuckdb(thrown);
        mustRewrite = next.rewritten && !way.rewritten;
        way = next;
      }
    }
  } finally {
    end.stop();
  }
}

function nextWay(way: Way, thrown: unknown): Way | undefined {
  const { about } = duckdbFault(thrown);
  if (about === 'line-size') return way.longRows ? undefined : { ...way, parallel: false, longRows: true };
  if (!['ragged-row', 'unterminated-quote', 'encoding', 'csv-structure'].includes(about)) return undefined;
  if (way.parallel) return { ...way, parallel: false };
  // The two faults that mixed line ends and lone carriage returns are reported as.
  const isLineEnds = about === 'csv-structure' || about === 'unterminated-quote';
  return isLineEnds && !way.rewritten ? { ...way, rewritten: true } : undefined;
}

async function nonEmptyParts(source: CsvSource): Promise<Part[]> {
  const parts: Part[] = [];
  for (const path of source.paths) {
    const record = await firstRecord(path, source.format);
    if (record === undefined) continue;
    const ends = new Set([...record.skippedEnds, ...(record.terminator === '' ? [] : [record.terminator])]);
    const newLine = ends.has('\r\n') ? '\\r\\n' : '\\n';
    const isOdd = ends.size > 1 || ends.has('\r') || record.skippedQuote;
    const ending = source.format.compression === 'gzip' ? { endsLine: false, endsLong: false } : await endOf(path);
    parts.push({ path, newLine, skip: record.row - 1, isOdd, ...ending });
  }
  return parts;
}

/** From the last byte back to the line end before the last line: a few kilobytes in nearly every file. */
async function endOf(path: string): Promise<Pick<Part, 'endsLine' | 'endsLong'>> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const block = Buffer.alloc(64 * 1024);
    let endsLine = false;
    for (let end = size; end > 0; end -= block.length) {
      if (size - end > LONG_END_BYTES) return { endsLine, endsLong: true };
      const start = Math.max(0, end - block.length);
      await file.read(block, 0, end - start, start);
      const isLast = end === size;
      const bytes = block.subarray(0, end - start);
      if (isLast) endsLine = bytes.at(-1) === 0x0a;
      if (bytes.subarray(0, isLast ? endOfText(bytes) : bytes.length).includes(0x0a)) break;
    }
    return { endsLine, endsLong: false };
  } finally {
    await file.close();
  }
}

async function hasOpenEnd(
  parts: Part[],
  format: CsvSource['format'],
  stop: AbortSignal,
  sayLongEnd: (isLong: boolean) => void = () => {},
): Promise<boolean> {
  for (const { path } of parts) {
    const bytes = stoppable(csvBytes(path, format.compression), stop);
    const meter = new EndMeter(format.enclosure);
    if (await endsInsideQuotes(meter.measured(bytes), format)) return true;
    sayLongEnd(meter.isLong);
  }
  return false;
}

/** How long the last line of a stream is, unless a quote closes it: those rows DuckDB keeps. */
class EndMeter {
  readonly #enclosure: number | undefined;
  /** Of the line that goes on, and of the last one that ended. */
  #open = 0;
  #ended = 0;
  #lastByte = 0;

  constructor(enclosure: string) {
    this.#enclosure = Buffer.from(enclosure).at(-1);
  }

  get isLong(): boolean {
    return (this.#open || this.#ended) > LONG_END_BYTES && this.#lastByte !== this.#enclosure;
  }

  async *measured(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.#measure(chunk);
      yield chunk;
    }
  }

  #measure(chunk: Buffer): void {
    const end = endOfText(chunk);
    if (end > 0) {
      const before = chunk.lastIndexOf(0x0a, end - 1);
      this.#open = before === -1 ? this.#open + end : end - before - 1;
      this.#lastByte = chunk[end - 1]!;
    }
    if (end === chunk.length || this.#open === 0) return;
    this.#ended = this.#open;
    this.#open = 0;
  }
}

/** Where the line ends begin that a chunk ends with. */
function endOfText(chunk: Buffer): number {
  let end = chunk.length;
  while (end > 0 && (chunk[end - 1] === 0x0a || chunk[end - 1] === 0x0d)) end -= 1;
  return end;
}

async function* stoppable(chunks: AsyncIterable<Buffer>, stop: AbortSignal): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    if (stop.aborted) return;
    yield chunk;
  }
}

async function rewriteParts({ connection, source, scratch }: CsvScanOptions, parts: Part[]): Promise<Part[]> {
  const rewritten: Part[] = [];
  for (const [index, { path }] of parts.entries()) {
    const copy = join(scratch, `rewritten-${index}.csv`);
    await rewriteCsv({ path, format: source.format, columnCount: source.fieldIds.length }, copy, connection.signal);
    const part: Part = { path: copy, newLine: '\\n', skip: 0, isOdd: false, endsLine: true, endsLong: false };
    if ((await stat(copy)).size > 0) rewritten.push(part);
    // Only headers: an empty file still gives DuckDB something to read.
    else if (index === parts.length - 1 && rewritten.length === 0) rewritten.push(part);
  }
  return rewritten;
}

/** One read_csv per run of files that begin and end their lines alike: DuckDB wants that told, and files in order. */
function fromItem(source: CsvSource, parts: Part[], way: Way): string {
  const runs: Part[][] = [];
  for (const part of parts) {
    const run = runs.at(-1);
    if (run?.[0]?.newLine === part.newLine && run[0].skip === part.skip) run.push(part);
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
    `skip = ${run[0]!.skip}`,
    `delim = ${literal(format.delimiter)}`,
    `quote = ${literal(format.enclosure)}`,
    `escape = ${literal(format.enclosure)}`,
    `new_line = ${literal(run[0]!.newLine)}`,
    "comment = ''",
    `compression = '${format.compression}'`,
    `nullstr = ${literal(NEVER)}`,
    `columns = {${names.map((name) => `'${name}': 'VARCHAR'`).join(', ')}}`,
    `force_not_null = [${names.map((name) => `'${name}'`).join(', ')}]`,
    `parallel = ${way.parallel}`,
    ...(way.longRows ? [`max_line_size = ${ROW_LIMIT_BYTES}`, `buffer_size = ${ROW_LIMIT_BYTES + 1024}`] : []),
  ];
  return `read_csv(${literals(run.map((part) => part.path))}, ${options.join(', ')})`;
}

/**
 * Reads the files a second time, beside the load, where DuckDB's word is not enough. Of gzip files it takes the end of
 * a truncated stream for the end of the data, and does not look at checksums. And where no line end closes the last
 * row, it may drop that row without a word when a quote in it is open.
 */
class EndCheck {
  readonly #stopped = new AbortController();
  readonly #hasOpenEnd: Promise<boolean>;
  #hasLongEnd = false;

  constructor(parts: Part[], format: CsvSource['format'], signal: AbortSignal) {
    const stop = AbortSignal.any([signal, this.#stopped.signal]);
    const doubtful = parts.filter((part) => format.compression === 'gzip' || !part.endsLine);
    this.#hasOpenEnd = hasOpenEnd(doubtful, format, stop, (isLong) => {
      this.#hasLongEnd ||= isLong;
    });
    this.#hasOpenEnd.catch(() => {}); // seen by those who ask
  }

  /** Throws `csv.gzip-broken`; also the better reason when DuckDB stumbled over the broken data first. */
  async isWhole(): Promise<void> {
    await this.#hasOpenEnd;
  }

  /** Throws `csv.gzip-broken`, `csv.unterminated-quote` and `csv.row-too-large`. */
  async isClosed(): Promise<void> {
    if (await this.#hasOpenEnd) throw csvErrors.unterminatedQuote(undefined);
    if (this.#hasLongEnd) throw csvErrors.rowTooLarge(undefined);
  }

  stop(): void {
    this.#stopped.abort();
  }
}
