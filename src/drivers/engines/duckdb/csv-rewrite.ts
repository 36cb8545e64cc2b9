import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { CsvFormat } from '../contract.ts';
import { csvBytes, csvRecords } from './csv-records.ts';
import { csvErrors } from './errors.ts';

/** The layout `rewriteCsv` writes: nothing in it needs guessing. */
export const REWRITTEN_FORMAT: CsvFormat = {
  delimiter: ',',
  enclosure: '"',
  escapedBy: '',
  compression: 'none',
  skipLines: 0,
  hasHeader: false,
};

/**
 * Writes a CSV file anew in the one layout DuckDB always reads right: for escape characters (DuckDB decodes them
 * inside quotes only), mixed line ends and lone carriage returns. Slow (one core, tens of MB/s), so it is the exception.
 */
export async function rewriteCsv(
  source: { path: string; format: CsvFormat; columnCount: number },
  destination: string,
  signal: AbortSignal,
): Promise<void> {
  const out = createWriteStream(destination, { encoding: 'latin1', highWaterMark: 1024 * 1024 });
  // Waiting on the stream as a whole keeps a failed write (disk full) from being lost between two drains.
  const written = finished(out);
  written.catch(() => {});
  try {
    let isHeader = source.format.hasHeader;
    let text = '';
    for await (const record of csvRecords(csvBytes(source.path, source.format.compression), source.format)) {
      if (isHeader) {
        isHeader = false;
        continue;
      }
      const { cells, row } = record;
      if (cells.length !== source.columnCount) throw csvErrors.raggedRow(row, source.columnCount, cells.length);
      text += `${cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')}\n`;
      if (text.length < 256 * 1024) continue;
      signal.throwIfAborted();
      if (!out.write(text)) await Promise.race([once(out, 'drain'), written]);
      text = '';
    }
    out.end(text);
    await written;
  } catch (thrown) {
    out.destroy();
    await rm(destination, { force: true });
    throw thrown;
  }
}
