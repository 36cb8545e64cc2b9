import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { Client } from '../demo/client.ts';
import { ordersCsv, plainDuckdb, uploadFile } from './support/lake-data.ts';
import { option, printTable, quantile, timed, usage } from './support/numbers.ts';
import { startServer } from './support/server.ts';

usage(`
Tables through the Storage API beside the same work in plain DuckDB: import, export, upserts into a large table, small
imports, many loads and versions of one table.

  --rows 10000000   of the large table (1 GB of CSV, kept in ~/.cache/millrace-bench)
  --rounds 2        of each step, turn and turn about; the best counts
  --small 60        small imports, and keyed loads one after another
  --versions 200    of a table that is read before and after; 0 leaves it out
`);
const rows = option('rows', 10_000_000);
const rounds = option('rounds', 2);
const small = option('small', 60);
const versions = option('versions', 200);
const cache = path.join(homedir(), '.cache', 'millrace-bench');
const csv = path.join(cache, `orders-${rows}.csv`);
const work = path.join(cache, `work-${process.pid}`);
const file = (name: string) => path.join(work, name);
mkdirSync(work, { recursive: true });
const tables = '/v2/storage/tables';
const header = 'id,customer,day,amount,note,code,city\n';

const server = await startServer();
try {
  const client = new Client(server.url, server.token);
  await client.call('POST', '/v2/storage/buckets', { stage: 'in', name: 'bench' });
  if (!existsSync(csv)) await plainDuckdb(work, ordersCsv(rows, csv));
  const report: (string | number)[][] = [['step', 'plain DuckDB', 'Millrace', 'ratio', 'aim']];
  const compare = async (
    name: string,
    aim: string,
    plain: (round: number) => Promise<number>,
    ours: (round: number) => Promise<number>,
  ) => {
    const times = { plain: [] as number[], ours: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      times.plain.push(await plain(round));
      times.ours.push(await ours(round));
    }
    const [theirs, mine] = [Math.min(...times.plain), Math.min(...times.ours)];
    report.push([name, seconds(theirs), seconds(mine), (theirs / mine).toFixed(2), aim]);
    console.log(`  ${name}: ${(theirs / mine).toFixed(2)} (${times.plain.map(seconds)} / ${times.ours.map(seconds)})`);
  };
  const job = async (method: string, url: string, body: object) =>
    (await timed(() => client.storageJob(method, url, body))).ms;
  const upsert = async (local: string) => {
    const dataFileId = await uploadFile(client, local);
    return job('POST', `${tables}/in.c-bench.orders/import-async`, { dataFileId, incremental: true });
  };

  const uploaded = await uploadFile(client, csv);
  const read = `read_csv('${csv}', all_varchar = true, header = true)`;
  await compare(
    'CSV into an untyped table',
    '0.9',
    () => plainDuckdb(work, `COPY (FROM ${read}) TO '${file('plain.parquet')}' (FORMAT parquet)`),
    (round) =>
      round === 0
        ? job('POST', '/v2/storage/buckets/in.c-bench/tables-async', { name: 'orders', dataFileId: uploaded })
        : job('POST', `${tables}/in.c-bench.orders/import-async`, { dataFileId: uploaded }),
  );
  const names = header.trim().split(',');
  await compare(
    'table into CSV',
    '0.9',
    () =>
      plainDuckdb(
        work,
        `COPY (FROM '${file('plain.parquet')}') TO '${file('plain.csv')}' (HEADER false, FORCE_QUOTE *)`,
      ),
    // Another order of columns each time: an export of an unchanged table is answered from the cache.
    (round) =>
      job('POST', `${tables}/in.c-bench.orders/export-async`, {
        columns: [...names.slice(round), ...names.slice(0, round)],
      }),
  );
  rmSync(file('plain.csv'), { force: true });

  await client.storageJob('POST', `${tables}/in.c-bench.orders/primary-key`, { columns: ['id'] });
  await plainDuckdb(
    work,
    `ATTACH '${file('plain.db')}' AS plain`,
    `CREATE TABLE plain.orders AS FROM '${file('plain.parquet')}'`,
    'CHECKPOINT plain',
  );
  rmSync(file('plain.parquet'));
  const plainUpsert = (local: string) =>
    plainDuckdb(
      work,
      `ATTACH '${file('plain.db')}' AS plain`,
      'USE plain',
      `BEGIN; CREATE TEMP TABLE batch AS FROM read_csv('${local}', all_varchar = true, header = true);
       DELETE FROM orders WHERE id IN (SELECT id FROM batch); INSERT INTO orders FROM batch; COMMIT; CHECKPOINT plain`,
    );
  for (const [name, part, aim] of [
    ['upsert of 10%', 10, '0.7'],
    ['upsert of 1,000 rows', Math.max(1, Math.floor(rows / 1000)), '< 1 s'],
  ] as const) {
    for (let round = 0; round < rounds; round++)
      await plainDuckdb(work, ordersCsv(rows, file(`batch-${part}-${round}.csv`), `i % ${part} = ${round}`));
    await compare(
      name,
      aim,
      (round) => plainUpsert(file(`batch-${part}-${round}.csv`)),
      (round) => upsert(file(`batch-${part}-${round}.csv`)),
    );
  }
  printTable(`${rows.toLocaleString('en-US')} rows, best of ${rounds}`, report);
  rmSync(file('plain.db'), { force: true });

  const thousand = (from: number) =>
    Buffer.from(header + Array.from({ length: 1000 }, (_, i) => `${from + i},c,2024-01-01,1,n,x,y\n`).join(''));
  const latencies = async (count: number, url: string, body: (n: number) => Promise<object>) => {
    const times: number[] = [];
    for (let n = 0; n < count; n++) {
      const payload = await body(n);
      times.push(await job('POST', url, payload));
    }
    return times;
  };
  const show = (name: string, times: number[], aim: string) => [
    name,
    ...[0.5, 0.9, 0.99].map((q) => `${quantile(times, q).toFixed(0)} ms`),
    aim,
  ];
  const create = await client.upload('small.csv', thousand(0), []);
  for (const name of ['small', 'keyed', 'versions']) {
    await client.storageJob('POST', '/v2/storage/buckets/in.c-bench/tables-async', {
      name,
      dataFileId: create,
      ...(name === 'keyed' && { primaryKey: 'id' }),
    });
  }
  const full = await latencies(small, `${tables}/in.c-bench.small/import-async`, async () => ({ dataFileId: create }));
  const keyed = await latencies(small, `${tables}/in.c-bench.keyed/import-async`, async (n) => ({
    dataFileId: await client.upload('small.csv', thousand(n * 100), []),
    incremental: true,
  }));
  const preview = () => client.call('GET', `${tables}/in.c-bench.versions`).then(() => previewOf('versions'));
  const previewOf = async (table: string) => {
    const response = await fetch(`${server.url}${tables}/in.c-bench.${table}/data-preview?limit=1000`, {
      headers: { 'x-storageapi-token': server.token },
    });
    await response.arrayBuffer();
  };
  const reads = async () => {
    const times: number[] = [];
    for (let n = 0; n < 60; n++) times.push((await timed(preview)).ms);
    return times;
  };
  const lines = [
    ['small work', 'p50', 'p90', 'p99', 'aim'],
    show('1,000 rows, POST to success', full, 'p50 < 100 ms'),
    show(`${small} keyed loads of 1,000 rows, one after another`, keyed, ''),
  ];
  if (versions > 0) {
    await reads();
    lines.push(show('table and preview, 1 version', await reads(), ''));
    await latencies(versions, `${tables}/in.c-bench.versions/import-async`, async () => ({ dataFileId: create }));
    lines.push(show(`table and preview, ${versions} versions`, await reads(), '+5%'));
  }
  const snapshots = await latencies(5, `${tables}/in.c-bench.orders/snapshots`, async () => ({}));
  lines.push(show(`snapshot of ${rows.toLocaleString('en-US')} rows`, snapshots, '< 200 ms'));
  printTable('one after another, from POST to the end of the job', lines);
} finally {
  await server.stop();
  rmSync(work, { recursive: true, force: true });
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
