import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { Client } from '../../demo/client.ts';
import { openDatabase } from '../../src/db/open.ts';
import { checkLakesWithStockDuckdb } from './stock-check.ts';

/**
 * Attaches the lakes of a running server with a stock DuckDB and compares every table with its API export. Returns the
 * number of tables, undefined when the test was skipped because there is no stock DuckDB.
 */
export async function checkServedLakes(
  t: TestContext,
  server: { dataDirectory: string; url: string; token: string },
): Promise<number | undefined> {
  const connection = { host: path.join(server.dataDirectory, 'run'), user: 'millrace', database: 'millrace' };
  const db = await openDatabase({ connection, log: pino({ level: 'silent' }) });
  const client = new Client(server.url, server.token);
  try {
    return await checkLakesWithStockDuckdb(t, {
      connection,
      db,
      async exportCsv({ id }) {
        const [, ...rows] = await client.exportRows(id);
        const file = path.join(tmpdir(), `millrace-${process.pid}-${id}.csv`);
        const cells = (row: string[]) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',');
        writeFileSync(file, rows.map((row) => `${cells(row)}\n`).join(''));
        return file;
      },
    });
  } finally {
    await db.close();
  }
}
