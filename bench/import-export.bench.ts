import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { Client, pause } from '../demo/client.ts';
import { ordersCsv, plainDuckdb, uploadFile } from './support/lake-data.ts';
import { option, printTable, quantile, timed, treePssMb, usage } from './support/numbers.ts';
import { startServer } from './support/server.ts';

/**
 * (a) The same CSV into a table and out again, through Millrace's API and as plain DuckDB statements, in one run, with
 * the latency of `tokens/verify` meanwhile. `--rows 10000000` is 1.1 GB.
 */
usage(`
(a) The same CSV into a table and out again, through the API and as plain DuckDB statements.

  --rows 10000000   1.1 GB of CSV, kept in ~/.cache/millrace-bench
  --rounds 3        of both; the best counts
`);
const rows = option('rows', 10_000_000);
const rounds = option('rounds', 3);
const names = ['id', 'customer', 'day', 'amount', 'note', 'code', 'city'];
const cache = path.join(homedir(), '.cache', 'millrace-bench');
const csv = path.join(cache, `orders-${rows}.csv`);
const work = path.join(cache, `work-${process.pid}`);
mkdirSync(work, { recursive: true });

const duckdb = (statement: string) => plainDuckdb(work, statement);

if (!existsSync(csv)) {
  console.log(`making ${csv} ...`);
  await duckdb(ordersCsv(rows, csv));
}
const megabytes = statSync(csv).size / 1e6;
console.log(`${rows.toLocaleString('en-US')} rows, ${Math.round(megabytes)} MB of CSV`);

const parquet = path.join(work, 'plain.parquet');
const plain = { import: [] as number[], export: [] as number[] };
const ours = { import: [] as number[], export: [] as number[] };

const server = await startServer();
try {
  const client = new Client(server.url, server.token);
  const idleMb = await treePssMb(server.pid);
  await client.call('POST', '/v2/storage/buckets', { stage: 'in', name: 'bench' });
  const upload = await timed(() => uploadFile(client, csv));

  const latencies: number[] = [];
  let peakMb = 0;
  let watching = true;
  /** Latencies count only while Millrace itself is at work. */
  let ourTurn = false;
  const onTurn = async <T>(body: () => Promise<T>) => {
    ourTurn = true;
    const result = await timed(body);
    ourTurn = false;
    return result;
  };
  const watch = (async () => {
    while (watching) {
      const { ms } = await timed(() => client.call('GET', '/v2/storage/tokens/verify'));
      if (ourTurn) latencies.push(ms);
      await pause(10);
    }
  })();
  const memory = (async () => {
    while (watching) {
      peakMb = Math.max(peakMb, await treePssMb(server.pid));
      await pause(500);
    }
  })();

  // Turn and turn about, so that a slow minute of the machine hits both; the best of each counts.
  for (let round = 0; round < rounds; round++) {
    plain.import.push(
      await duckdb(`COPY (FROM read_csv('${csv}', all_varchar=true, header=true)) TO '${parquet}' (FORMAT parquet)`),
    );
    const imported = await onTurn(() => importOrders(client, upload.result, round === 0));
    ours.import.push(imported.ms);
    plain.export.push(
      await duckdb(`COPY (FROM '${parquet}') TO '${path.join(work, 'plain.csv')}' (HEADER false, FORCE_QUOTE *)`),
    );
    // Another column order each time: an export of an unchanged table is answered from the cache.
    const columns = [...names.slice(round), ...names.slice(0, round)];
    const exported = await onTurn(() =>
      client.storageJob('POST', '/v2/storage/tables/in.c-bench.orders/export-async', { columns }),
    );
    ours.export.push(exported.ms);
  }
  watching = false;
  await Promise.all([watch, memory]);
  const table = await client.call<{ rowsCount: number }>('GET', '/v2/storage/tables/in.c-bench.orders');

  const line = (name: string, step: 'import' | 'export') => {
    const [theirs, mine] = [Math.min(...plain[step]), Math.min(...ours[step])];
    const all = (values: number[]) => values.map((ms) => (ms / 1000).toFixed(1)).join(' ');
    return [
      name,
      all(plain[step]),
      all(ours[step]),
      `${(megabytes / (mine / 1000)).toFixed(0)} MB/s`,
      (theirs / mine).toFixed(2),
    ];
  };
  printTable(`(a) CSV import and export, seconds, best of ${rounds}`, [
    ['step', 'plain DuckDB', 'Millrace', 'rate', 'ratio (aim 0.8)'],
    line('CSV -> table', 'import'),
    line('table -> CSV', 'export'),
  ]);
  printTable('tokens/verify meanwhile', [
    ['calls', 'p50', 'p99 (aim < 50 ms)', 'max'],
    [latencies.length, ...[0.5, 0.99, 1].map((q) => `${quantile(latencies, q).toFixed(1)} ms`)],
  ]);
  printTable('memory of all processes (PSS)', [
    ['idle after start', 'peak'],
    [`${idleMb.toFixed(0)} MB`, `${peakMb.toFixed(0)} MB`],
  ]);
  console.log(
    `\n  upload ${(upload.ms / 1000).toFixed(2)} s; ${table.rowsCount.toLocaleString('en-US')} rows in the table`,
  );
} finally {
  await server.stop();
  rmSync(work, { recursive: true, force: true });
}

/** Creates the table, or loads it anew. */
function importOrders(client: Client, dataFileId: number, create: boolean): Promise<unknown> {
  return create
    ? client.storageJob('POST', '/v2/storage/buckets/in.c-bench/tables-async', { name: 'orders', dataFileId })
    : client.storageJob('POST', '/v2/storage/tables/in.c-bench.orders/import-async', { dataFileId });
}
