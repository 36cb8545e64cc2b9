import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { CsvFormat } from '../contract.ts';
import { csvErrors, ROW_LIMIT_BYTES } from './errors.ts';

/**
 * Our own CSV record reader (RFC 4180 with the liberties below), for the start of a file and for the rare file that
 * DuckDB's reader cannot take. Bulk data normally never comes here.
 *
 * Text is handled as latin1, one character per byte: it keeps every byte as it is, valid UTF-8 or not. Liberties:
 * both \n and \r\n end a record, mixed in one file too; a lone \r is data; blank lines are skipped; a quote inside an
 * unquoted value is data; with an escape character a doubled enclosure still means one.
 */
export type CsvRecord = {
  /** Bytes as latin1 text. */
  cells: string[];
  /** Counted from 1, skipped lines and header included. */
  row: number;
  terminator: LineEnd | '';
  /** How the lines before the first record end, those that were to be skipped and blank ones. */
  skippedEnds: Set<LineEnd>;
  /** Whether there is an enclosure in those lines. */
  skippedQuote: boolean;
};

export type LineEnd = '\n' | '\r\n' | '\r';

type Layout = Pick<CsvFormat, 'delimiter' | 'enclosure' | 'escapedBy' | 'skipLines'> & {
  /** For the first look only: a lone \r ends the record, so that CR-only files are noticed. */
  carriageReturnEnds?: boolean;
};

const bytesOf = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

const CELL_START = 0;
const PLAIN = 1;
const QUOTED = 2;
const AFTER_QUOTE = 3;
const ESCAPED = 4;

export async function* csvRecords(chunks: AsyncIterable<Buffer>, layout: Layout): AsyncGenerator<CsvRecord> {
  const delimiter = bytesOf(layout.delimiter);
  const enclosure = bytesOf(layout.enclosure);
  const escaper = bytesOf(layout.escapedBy);
  const widest = Math.max(delimiter.length, enclosure.length, escaper.length);
  const special = new Set([delimiter[0], '\n', '\r', escaper[0]]);

  let state = CELL_START;
  let beforeEscape = PLAIN;
  let cell = '';
  let wasQuoted = false;
  let cells: string[] = [];
  let size = 0;
  let row = 1;
  let linesToSkip = layout.skipLines;
  let text = '';
  let first = true;
  let anyRecord = false;
  const skippedEnds = new Set<LineEnd>();
  let skippedQuote = false;

  const endCell = () => {
    cells.push(cell);
    size += cell.length;
    if (size > ROW_LIMIT_BYTES) throw csvErrors.rowTooLarge(row);
    cell = '';
    state = CELL_START;
  };
  /** Undefined for a blank line. */
  const endRecord = (terminator: LineEnd | ''): CsvRecord | undefined => {
    endCell();
    const blank = cells.length === 1 && cells[0] === '' && !wasQuoted;
    if (blank && !anyRecord && terminator !== '') skippedEnds.add(terminator);
    anyRecord ||= !blank;
    const record = blank ? undefined : { cells, row, terminator, skippedEnds, skippedQuote };
    cells = [];
    size = 0;
    wasQuoted = false;
    row += 1;
    return record;
  };

  const source = chunks[Symbol.asyncIterator]();
  for (let ended = false; !ended; ) {
    const next = await source.next();
    ended = next.done === true;
    if (!ended) text += (next.value as Buffer).toString('latin1');
    if (first && (text.length >= 3 || ended)) {
      first = false;
      if (text.startsWith('\xff\xfe') || text.startsWith('\xfe\xff')) throw csvErrors.encoding(1);
      if (text.startsWith('\xef\xbb\xbf')) text = text.slice(3);
    }
    if (first) continue;

    let at = 0;
    while (linesToSkip > 0) {
      const newline = text.indexOf('\n', at);
      if (newline === -1) break;
      skippedEnds.add(text[newline - 1] === '\r' ? '\r\n' : '\n');
      at = newline + 1;
      linesToSkip -= 1;
      row += 1;
    }
    skippedQuote ||= enclosure !== '' && text.slice(0, linesToSkip > 0 ? undefined : at).includes(enclosure);
    if (linesToSkip > 0) {
      text = '';
      continue;
    }

    // A character that may begin something longer (\r\n, a wide delimiter) waits for the next chunk.
    const limit = text.length - (ended ? 0 : Math.max(1, widest - 1));
    while (at < limit) {
      if (state === QUOTED) {
        const close = text.indexOf(enclosure, at);
        const end = close !== -1 ? close : text.length - (ended ? 0 : widest - 1);
        const escapeAt = escaper === '' ? -1 : text.indexOf(escaper, at);
        if (escapeAt !== -1 && escapeAt < end) {
          cell += text.slice(at, escapeAt);
          at = escapeAt + escaper.length;
          beforeEscape = QUOTED;
          state = ESCAPED;
        } else {
          cell += text.slice(at, end);
          at = end;
          if (close !== -1) {
            at += enclosure.length;
            state = AFTER_QUOTE;
          }
        }
        if (cell.length > ROW_LIMIT_BYTES) throw csvErrors.rowTooLarge(row);
      } else if (state === ESCAPED) {
        cell += text[at];
        at += 1;
        state = beforeEscape;
      } else if (state === CELL_START && enclosure !== '' && text.startsWith(enclosure, at)) {
        at += enclosure.length;
        wasQuoted = true;
        state = QUOTED;
      } else if (state === AFTER_QUOTE && text.startsWith(enclosure, at)) {
        cell += enclosure;
        at += enclosure.length;
        state = QUOTED;
      } else if (text.startsWith(delimiter, at)) {
        at += delimiter.length;
        endCell();
      } else if (text[at] === '\n' || text.startsWith('\r\n', at) || (text[at] === '\r' && layout.carriageReturnEnds)) {
        const terminator = text[at] === '\n' ? '\n' : text[at + 1] === '\n' ? '\r\n' : '\r';
        at += terminator.length;
        const record = endRecord(terminator);
        if (record !== undefined) yield record;
      } else if (state === AFTER_QUOTE) {
        throw csvErrors.invalid(`Row ${row} of the CSV file has text after the closing quote of a value.`, row);
      } else if (escaper !== '' && text.startsWith(escaper, at)) {
        at += escaper.length;
        beforeEscape = PLAIN;
        state = ESCAPED;
      } else {
        let end = at + 1;
        while (end < limit && !special.has(text[end])) end += 1;
        cell += text.slice(at, end);
        at = end;
        state = PLAIN;
        if (cell.length > ROW_LIMIT_BYTES) throw csvErrors.rowTooLarge(row);
      }
    }
    text = text.slice(at);
  }
  if (state === QUOTED || (state === ESCAPED && beforeEscape === QUOTED)) throw csvErrors.unterminatedQuote(row);
  if (linesToSkip === 0 && (state !== CELL_START || cells.length > 0)) {
    const record = endRecord('');
    if (record !== undefined) yield record;
  }
}

const SPACE = 0x20;

/**
 * Whether the last value of a file is quoted and never closed. Jumps from quote to quote, which is many times faster
 * than reading records; takes a quote after spaces for an opening one, as DuckDB does.
 */
export async function endsInsideQuotes(
  chunks: AsyncIterable<Buffer>,
  { delimiter, enclosure }: Pick<CsvFormat, 'delimiter' | 'enclosure'>,
): Promise<boolean> {
  if (enclosure === '') return false;
  const quote = Buffer.from(enclosure);
  const opensAfter = new Set([Buffer.from(delimiter).at(-1), 0x0a, 0x0d]);
  let isInside = false;
  /** The last byte seen inside was a quote: it closes, unless another follows. */
  let isClosing = false;
  /** Whether a quote at the start of the next chunk would open a value. */
  let mayOpen = true;
  for await (const chunk of chunks) {
    let at = 0;
    const opensAt = (position: number) => {
      let before = position - 1;
      while (before >= at && chunk[before] === SPACE) before -= 1;
      return before < at ? mayOpen : opensAfter.has(chunk[before]);
    };
    while (at < chunk.length) {
      if (isClosing) {
        isClosing = false;
        isInside = chunk.indexOf(quote, at) === at;
        if (isInside) at += quote.length;
        mayOpen = false;
        continue;
      }
      const found = chunk.indexOf(quote, at);
      if (found === -1) {
        if (!isInside) mayOpen = opensAt(chunk.length);
        break;
      }
      if (isInside) isClosing = true;
      else {
        isInside = opensAt(found);
        mayOpen = false;
      }
      at = found + quote.length;
    }
  }
  return isInside && !isClosing;
}

/** The bytes of a file, unpacked. A broken gzip stream throws `csv.gzip-broken`. */
export async function* csvBytes(path: string, compression: CsvFormat['compression']): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: 256 * 1024 });
  if (compression === 'none') {
    yield* file as AsyncIterable<Buffer>;
    return;
  }
  const unpacked = createGunzip({ chunkSize: 256 * 1024 });
  file.on('error', (error) => unpacked.destroy(error));
  file.pipe(unpacked);
  try {
    yield* unpacked as AsyncIterable<Buffer>;
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
    throw code.startsWith('Z_') ? csvErrors.gzipBroken() : thrown;
  } finally {
    file.destroy();
  }
}

/** The first record of a file, after skipped lines, or undefined when there is none. Reads only as far as needed. */
export async function firstRecord(path: string, format: CsvFormat): Promise<CsvRecord | undefined> {
  if ((await stat(path)).size === 0) return undefined;
  const chunks = Readable.from(csvBytes(path, format.compression));
  try {
    for await (const record of csvRecords(chunks, { ...format, carriageReturnEnds: true })) {
      if (record.terminator === '\r') throw csvErrors.crOnly();
      return record;
    }
    return undefined;
  } finally {
    chunks.destroy();
  }
}

/** `EngineTables.readHeader`: runs in the server process, no engine is needed for it. */
export async function readHeader(source: { paths: string[]; format: CsvFormat }): Promise<string[] | undefined> {
  for (const path of source.paths) {
    const record = await firstRecord(path, source.format);
    if (record === undefined) continue;
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    try {
      return record.cells.map((cell) => decoder.decode(Buffer.from(cell, 'latin1')));
    } catch {
      throw csvErrors.encoding(record.row); // the only thing a fatal decoder throws for
    }
  }
  return undefined;
}
