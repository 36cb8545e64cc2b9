import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { Client, type StorageJob } from '../../demo/client.ts';
import { openDatabase } from '../../src/db/open.ts';
import { sql } from '../../src/db/sql.ts';
import { Command, dataDirectory } from '../journeys/command.ts';
import { strayLakeFiles } from '../support/lakes.ts';
import { checkServedLakes } from '../support/served-lakes.ts';
import { kill9, processesOf } from './processes.ts';

const KILLS = 4;
/** Every load changes all of these, and adds one. */
const ROWS = 40;
const TABLE = 'in.c-main.keyed';

test('the engine and the server killed amid upserts, compactions and snapshots lose and halve nothing', {
  timeout: 170_000,
}, async (t) => {
  const data = dataDirectory(t);
  const start = async () => {
    const server = new Command(t, ['up', '--data', data, '--port', '0', '--json']);
    const { url, credentials } = await server.ready();
    const { keboola } = JSON.parse(readFileSync(credentials, 'utf8')) as { keboola: { storageToken: string } };
    return { server, client: new Client(url, keboola.storageToken), url, token: keboola.storageToken };
  };
  let running = await start();
  const csv = (batch: number) =>
    Buffer.from(
      `id,batch\n${Array.from({ length: ROWS }, (_, i) => `${i},${batch}\n`).join('')}new-${batch},${batch}\n`,
    );
  await running.client.call('POST', '/v2/storage/buckets', { stage: 'in', name: 'main' });
  await running.client.storageJob('POST', '/v2/storage/buckets/in.c-main/tables-async', {
    name: 'keyed',
    primaryKey: 'id',
    dataFileId: await running.client.upload('0.csv', csv(0), []),
  });

  let isOver = false;
  let batch = 0;
  const loads = new Map<number, number>();
  const snapshots: number[] = [];
  /** Starts a job; undefined when the server was not there to say so. */
  const begin = async (body: () => Promise<StorageJob>) =>
    body().then(
      ({ id }) => id,
      () => sleep(100, undefined),
    );
  const loader = async () => {
    while (!isOver) {
      const number = ++batch;
      const id = await begin(async () => {
        const { client } = running;
        const dataFileId = await client.upload('batch.csv', csv(number), []);
        return client.call('POST', `/v2/storage/tables/${TABLE}/import-async`, { dataFileId, incremental: true });
      });
      if (id !== undefined) loads.set(number, id);
      await sleep(40);
    }
  };
  const keeper = async () => {
    while (!isOver) {
      const id = await begin(() => running.client.call('POST', `/v2/storage/tables/${TABLE}/snapshots`, {}));
      if (id !== undefined) snapshots.push(id);
      await sleep(250);
    }
  };
  const work = [loader(), keeper()];
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(700 + Math.random() * 900);
    const engine = processesOf(data).find(({ command }) => command.includes('engine-main'));
    if (kill % 2 === 0 && engine) {
      kill9(engine.pid);
      continue;
    }
    running.server.child.kill('SIGKILL');
    await running.server.finished;
    running = await start();
  }
  await sleep(300);
  isOver = true;
  await Promise.all(work);

  const { client } = running;
  const ended = async (id: number) => {
    for (;;) {
      const job = await client.call<StorageJob>('GET', `/v2/storage/jobs/${id}`);
      if (job.status === 'success' || job.status === 'error') return job.status;
      await sleep(50);
    }
  };
  const there = async (table: string) => {
    const [, ...rows] = await client.exportRows(table);
    const shared = new Set(rows.filter(([id]) => !id?.startsWith('new-')).map(([, value]) => value));
    assert.equal(shared.size, 1, `${table}: rows of several loads: ${[...shared]}`);
    assert.equal(new Set(rows.map(([id]) => id)).size, rows.length, `${table}: keys are unique`);
    const batches = rows.filter(([id]) => id?.startsWith('new-')).map(([, value]) => Number(value));
    assert.equal(rows.length, ROWS + batches.length, table);
    assert.ok(batches.includes(Number([...shared][0])), `${table}: a load is there whole`);
    return new Set(batches);
  };
  const states = new Map<number, string>();
  for (const [number, id] of loads) states.set(number, await ended(id));
  const batches = await there(TABLE);
  for (const [number, state] of states)
    assert.equal(batches.has(number), state === 'success', `load ${number}: ${state}`);

  let kept = 0;
  for (const id of snapshots) {
    if ((await ended(id)) !== 'success') continue;
    kept++;
    if (kept > 3) continue;
    const name = `of-${id}`;
    await client.storageJob('POST', '/v2/storage/buckets/in.c-main/tables-async', { snapshotId: String(id), name });
    await there(`in.c-main.${name}`);
  }
  const connection = { host: path.join(data, 'run'), user: 'millrace', database: 'millrace' };
  const db = await openDatabase({ connection, log: pino({ level: 'silent' }) });
  try {
    const compactions = async (status: string) =>
      (
        await db.query(sql`select 1 from jobs where kind = 'table-compact' and status = ${status}
        and (result->>'mergedFiles')::int > 0`)
      ).length;
    const unfinished = () =>
      db.query(sql`select 1 from jobs where status in ('created', 'waiting', 'running', 'stopping')`);
    while ((await unfinished()).length > 0) await sleep(50);
    t.diagnostic(`${states.size} loads, ${kept} snapshots, ${await compactions('succeeded')} compactions`);
    assert.ok((await compactions('succeeded')) > 0 && kept > 0);
    // What the killed ones left is named by their rows, and goes by itself.
    for (let n = 0; (await strayLakeFiles(db, path.join(data, 'lakes'))).length > 0 && n < 100; n++) await sleep(200);
    assert.deepEqual(await strayLakeFiles(db, path.join(data, 'lakes')), []);
  } finally {
    await db.close();
  }
  await t.test('a stock DuckDB reads what is left', async (inner) => {
    await checkServedLakes(inner, { dataDirectory: data, url: running.url, token: running.token });
  });
});
