import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { airbyteApi } from '../demo/api.ts';
import { Client, pause } from '../demo/client.ts';
import { packageRoot } from '../src/lib/package-root.ts';
import { option, printTable, timed, usage } from './support/numbers.ts';
import { startServer } from './support/server.ts';

/**
 * (c) A CSV file through the file source, the server and the destination into a Storage table, beside the same source
 * alone writing to /dev/null, turn and turn about.
 */
usage(`
(c) A CSV file through file source, server and destination into a Storage table, beside the source alone.

  --records 1000000   how many
  --rounds 3          the best one counts
`);
const records = option('records', 1_000_000);
const rounds = option('rounds', 3);
/** The source reads as a user of its own, who gets into no home. */
const cache = path.join(tmpdir(), 'millrace-bench-sync');
const folder = path.join(tmpdir(), `millrace-bench-sync-${process.pid}`);
mkdirSync(cache, { recursive: true });
const csv = path.join(cache, `sync-${records}.csv`);
if (!existsSync(csv)) await makeFile();
const megabytes = statSync(csv).size / 1e6;
console.log(`${records.toLocaleString('en-US')} records, ${Math.round(megabytes)} MB of CSV`);

const source = path.join(packageRoot, 'components/millrace.source-file/main.mjs');
mkdirSync(folder, { recursive: true });
const configuration = { dataset_name: 'orders', url: csv };
writeFileSync(path.join(folder, 'config.json'), JSON.stringify(configuration));

const server = await startServer(undefined, { MILLRACE_LOCAL_SOURCES: cache });
try {
  const credentials = JSON.parse(readFileSync(path.join(server.dataDirectory, 'credentials.json'), 'utf8'));
  const api = await airbyteApi(credentials);
  const { workspaceId } = credentials.airbyte;
  const made = await api.call<{ sourceId: string }>('POST', '/sources', {
    name: 'orders',
    workspaceId,
    configuration: { sourceType: 'millrace-file', ...configuration },
  });
  const { destinationId } = await api.call<{ destinationId: string }>('POST', '/destinations', {
    name: 'storage',
    workspaceId,
    configuration: { destinationType: 'millrace-storage', bucket: 'in.c-bench' },
  });
  const { connectionId } = await api.call<{ connectionId: string }>('POST', '/connections', {
    sourceId: made.sourceId,
    destinationId,
  });
  const stream = { name: 'orders', json_schema: {}, supported_sync_modes: ['full_refresh'] };
  const catalog = { streams: [{ stream, sync_mode: 'full_refresh', destination_sync_mode: 'overwrite' }] };
  writeFileSync(path.join(folder, 'catalog.json'), JSON.stringify(catalog));

  const alone: number[] = [];
  const whole: number[] = [];
  for (let round = 0; round < rounds; round++) {
    alone.push((await timed(sourceAlone)).ms);
    whole.push(
      (
        await timed(async () => {
          const { jobId } = await api.call<{ jobId: number }>('POST', '/jobs', { connectionId, jobType: 'sync' });
          for (;;) {
            const job = await api.call<{ status: string; rowsSynced?: number }>('GET', `/jobs/${jobId}`);
            if (job.status === 'succeeded' && job.rowsSynced === records) return;
            if (!['pending', 'running'].includes(job.status)) throw new Error(`the sync ended as ${job.status}`);
            await pause(20);
          }
        })
      ).ms,
    );
  }
  const table = await new Client(server.url, server.token).call<{ rowsCount: number }>(
    'GET',
    '/v2/storage/tables/in.c-bench.orders',
  );
  if (table.rowsCount !== records) throw new Error(`${table.rowsCount} rows have arrived`);
  const line = (name: string, all: number[]) => {
    const seconds = Math.min(...all) / 1000;
    return [
      name,
      all.map((ms) => (ms / 1000).toFixed(1)).join(' '),
      Math.round(records / seconds).toLocaleString('en-US'),
      (megabytes / seconds).toFixed(0),
    ];
  };
  printTable(`(c) sync of a CSV file into Storage, best of ${rounds}`, [
    ['', 'seconds', 'records/s (aim 150,000)', 'MB/s of CSV'],
    line('source alone to /dev/null', alone),
    line('sync into a table', whole),
  ]);
  console.log(
    `\n  the sync takes ${(Math.min(...whole) / Math.min(...alone)).toFixed(1)} times as long as its source alone`,
  );
} finally {
  await server.stop();
}

async function sourceAlone(): Promise<void> {
  const out = openSync('/dev/null', 'w');
  const options = [
    'read',
    '--config',
    path.join(folder, 'config.json'),
    '--catalog',
    path.join(folder, 'catalog.json'),
  ];
  const child = spawn(process.execPath, [source, ...options], {
    stdio: ['ignore', out, 'inherit'],
    env: { MILLRACE_LOCAL_SOURCES: JSON.stringify([cache]) },
  });
  const [code] = await once(child, 'exit');
  closeSync(out);
  if (code !== 0) throw new Error(`the source ended with ${code}`);
}

async function makeFile(): Promise<void> {
  const file = createWriteStream(csv);
  file.write('id,customer,day,amount,note,code,city\n');
  for (let i = 0; i < records; ) {
    let text = '';
    for (const end = Math.min(records, i + 10_000); i < end; i++) {
      const note = i % 10 === 0 ? '"a ""quoted"", text"' : `plain text ${i % 97}`;
      const code = (i * 2654435761).toString(16).padStart(32, '0');
      text += `${i},customer ${(i * 7919) % 1000003},2024-01-${String(1 + (i % 28)).padStart(2, '0')},${(i % 10000) / 100},${note},${code},${i % 3 === 0 ? '' : 'Plzeň'}\n`;
    }
    if (!file.write(text)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
}
