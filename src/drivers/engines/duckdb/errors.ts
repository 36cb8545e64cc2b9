import { AppError, errors } from '../../../core/errors.ts';

/** Rows above this are refused: one row must fit several times into the memory of the engine. */
export const ROW_LIMIT_BYTES = 64 * 1024 * 1024;

const invalid = (code: string, message: string, details?: Record<string, unknown>) =>
  new AppError('invalid', code, message, { details });

/** "Row" counts records from the start of the file, header and skipped lines included; a record may span lines. */
const where = (row: number | undefined) => (row === undefined ? 'The CSV file' : `Row ${row} of the CSV file`);
const details = (row: number | undefined) => (row === undefined ? undefined : { row });

/** Everything that can be wrong with a CSV file, in one place. */
export const csvErrors = {
  raggedRow: (row: number | undefined, expected: number, found: number) =>
    invalid('csv.ragged-row', `${where(row)} has ${found} columns, ${expected} were expected.`, {
      row,
      expected,
      found,
    }),
  unterminatedQuote: (row: number | undefined) =>
    invalid('csv.unterminated-quote', `${where(row)} has a quoted value that is not closed properly.`, details(row)),
  encoding: (row: number | undefined) => invalid('csv.encoding', `${where(row)} is not valid UTF-8.`, details(row)),
  rowTooLarge: (row: number | undefined) =>
    invalid('csv.row-too-large', `${where(row)} is longer than the limit of ${ROW_LIMIT_BYTES} bytes.`, details(row)),
  gzipBroken: () => invalid('csv.gzip-broken', 'The compressed file is not a complete gzip stream.'),
  crOnly: () =>
    invalid(
      'csv.cr-only',
      'Lines of the CSV file end in a carriage return only. Use line feeds (\\n or \\r\\n) instead.',
    ),
  invalidValue: (found: {
    row: number | undefined;
    column: string;
    type: string;
    value: string | null;
    mustNotBeEmpty: boolean;
  }) => {
    const { row, column, type, value, mustNotBeEmpty } = found;
    const isEmpty = (value ?? '') === '' && mustNotBeEmpty;
    const problem = isEmpty
      ? `has no value in the column "${column}", which must have one.`
      : `has the value "${value ?? ''}" in the column "${column}", which is not a ${type}.`;
    return invalid('csv.invalid-value', `${where(row)} ${problem}`, { row, column });
  },
  invalid: (message: string, row?: number) => invalid('csv.invalid', message, details(row)),
};

export const diskFull = (cause?: unknown) =>
  new AppError('limit', 'disk.full', 'There is no space left on the disk of the platform.', {
    cause,
    retryable: false,
  });

export const outOfMemory = (cause?: unknown) =>
  new AppError('limit', 'engine.out-of-memory', 'The operation needs more memory than the table engine may use.', {
    cause,
  });

export const engineStopped = () =>
  errors.unavailable('The table engine stopped unexpectedly. It is started again for the next call.');

/** What an error of DuckDB is about. Its only machine-readable part is the text, so this is the one place that reads it. */
export type DuckdbFault =
  | { about: 'ragged-row'; row: number | undefined; expected: number; found: number }
  | { about: 'unterminated-quote' | 'encoding' | 'line-size' | 'csv-structure'; row: number | undefined }
  | { about: 'gzip' | 'memory' | 'disk-full' | 'interrupted' | 'other' };

export function duckdbFault(thrown: unknown): DuckdbFault {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const line = /CSV Error on Line: (\d+)/.exec(text)?.[1];
  const row = line === undefined ? undefined : Number(line);
  if (text.startsWith('INTERRUPT Error')) return { about: 'interrupted' };
  if (text.startsWith('Out of Memory Error')) {
    // A spill file that cannot grow is reported as missing memory, although it is the disk that is full.
    return { about: /No space left on device|max_temp_directory_size/i.test(text) ? 'disk-full' : 'memory' };
  }
  if (/No space left on device/i.test(text)) return { about: 'disk-full' };
  if (/not a GZIP stream|gzip|inflate|miniz/i.test(text) && text.startsWith('IO Error')) return { about: 'gzip' };
  const columns = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(text);
  if (columns !== null) return { about: 'ragged-row', row, expected: Number(columns[1]), found: Number(columns[2]) };
  if (/unterminated quote/i.test(text)) return { about: 'unterminated-quote', row };
  if (/Invalid unicode|not utf-8 encoded/i.test(text)) return { about: 'encoding', row };
  if (/Maximum line size|max_line_size/i.test(text)) return { about: 'line-size', row };
  if (row !== undefined || /CSV Parser|Parallel CSV Reader/.test(text)) return { about: 'csv-structure', row };
  return { about: 'other' };
}

/** The error to report when nothing more can be tried. */
export function fromDuckdb(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (isNoSpace(thrown)) return diskFull(thrown);
  const fault = duckdbFault(thrown);
  switch (fault.about) {
    case 'ragged-row':
      return csvErrors.raggedRow(fault.row, fault.expected, fault.found);
    case 'unterminated-quote':
      return csvErrors.unterminatedQuote(fault.row);
    case 'encoding':
      return csvErrors.encoding(fault.row);
    case 'line-size':
      return csvErrors.rowTooLarge(fault.row);
    case 'csv-structure':
      return csvErrors.invalid(`${where(fault.row)} cannot be read with the given delimiter and enclosure.`, fault.row);
    case 'gzip':
      return csvErrors.gzipBroken();
    case 'memory':
      return outOfMemory(thrown);
    case 'disk-full':
      return diskFull(thrown);
    default:
      return errors.internal('The table engine failed', thrown);
  }
}

function isNoSpace(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && (thrown.code === 'ENOSPC' || thrown.code === 'EDQUOT');
}

export const pageTooLarge = (bytes: number) =>
  new AppError(
    'invalid',
    'engine.page-too-large',
    `The rows to show have more than ${bytes} bytes. Ask for fewer rows or columns.`,
  );
