import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { type Api, airbyteApi, type Credentials } from '../../demo/api.ts';
import { Client, pause } from '../../demo/client.ts';

import { Command, dataDirectory } from '../journeys/command.ts';
import { connectorComponent, sourceProgram } from '../support/test-connectors.ts';
import { kill9, type ProcessRow, processesOf } from './processes.ts';

export type SyncStormReport = {
  rounds: number;
  kills: Record<string, number>;
  rows: number;
  jobs: Record<string, number>;
};

type Target = 'server' | 'engine' | 'postgres' | 'backend' | 'source' | 'destination';
const targets: Target[] = ['source', 'destination', 'server', 'engine', 'postgres', 'backend'];

/** Rows of the stream that is read in full each time. */
const WHOLE = 60;

/**
 * Kills a random process in the middle of syncs, again and again, and checks after each recovery that the rows of an
 * incremental stream are exactly those that its state says, appended or deduplicated, and that a stream that is read in
 * full is there whole or not at all.
 */
export async function syncStorm(t: TestContext, seed: number, endBy: number): Promise<SyncStormReport> {
  const random = mulberry32(seed);
  const data = dataDirectory(t);
  installSource(data);
  let server = await start(t, data);
  const connections = [
    await server.connect('appended', 'incremental_append'),
    await server.connect('deduped', 'incremental_deduped_history'),
    await server.connect('whole', 'full_refresh_overwrite'),
  ];
  const report: SyncStormReport = { rounds: 0, kills: {}, rows: 0, jobs: {} };

  const pick = (target: Target): ProcessRow | undefined => {
    const all = processesOf(data);
    const of = (test: (row: ProcessRow) => boolean) => {
      const rows = all.filter(test);
      return rows[Math.floor(random() * rows.length)];
    };
    switch (target) {
      case 'server':
        return all.find(({ pid }) => pid === server.command.child.pid);
      case 'engine':
        return of(({ command }) => command.includes('engine-main'));
      case 'postgres':
        return of(({ command }) => /bin\/postgres /.test(command));
      case 'backend':
        return of(({ command }) => command.startsWith('postgres: ') && command.includes('['));
      case 'source':
        return of(({ command }) => /main\.mjs read/.test(command));
      case 'destination':
        return of(({ command }) => /main\.mjs write/.test(command));
    }
  };

  while (Date.now() < endBy) {
    for (const { id } of connections) await patiently(() => server.sync(id));
    await pause(300 + random() * 1200);
    const target = targets[report.rounds % targets.length] ?? 'server';
    const victim = pick(target);
    if (victim && kill9(victim.pid)) report.kills[target] = (report.kills[target] ?? 0) + 1;
    if (target === 'server') {
      await server.command.finished;
      server = await start(t, data);
    }
    for (const { id } of connections) {
      const status = await server.end(id);
      report.jobs[status] = (report.jobs[status] ?? 0) + 1;
    }
    report.rounds++;
    report.rows = await verify();
  }
  await until('an empty folder of jobs', async () => readdirSync(path.join(data, 'jobs')).length === 0);
  server.command.child.kill('SIGTERM');
  await server.command.finished;
  assert.deepEqual(
    processesOf(data).map(({ command }) => command),
    [],
    'processes live on after a stop',
  );
  return report;

  async function verify(): Promise<number> {
    let rows = 0;
    for (const { id, stream } of connections) {
      const ids = await patiently(() => server.ids(stream));
      const last = stream === 'whole' ? (ids.length > 0 ? WHOLE : 0) : await patiently(() => server.lastId(id));
      const expected = Array.from({ length: last }, (_, i) => i + 1);
      const killed = JSON.stringify(report.kills);
      assert.deepEqual(ids, expected, `${stream}: ${ids.length} rows, and the state says ${last}; killed: ${killed}`);
      rows += ids.length;
    }
    return rows;
  }
}

/** A connector as an operator installs one: ours comes with the tests and keeps its place in states. */
function installSource(data: string): void {
  const folder = path.join(data, 'connectors', 'test');
  mkdirSync(data, { recursive: true, mode: 0o700 });
  mkdirSync(folder, { recursive: true });
  const { program, ...definition } = connectorComponent('source', sourceProgram);
  writeFileSync(path.join(folder, 'main.mjs'), program);
  const json = { id: 'test.source', name: 'test', directory: 'test', ...definition };
  writeFileSync(path.join(data, 'connectors', 'test.source.json'), JSON.stringify(json));
}

async function start(t: TestContext, data: string) {
  const command = new Command(t, ['up', '--json', '--data', data, '--port', '0'], {
    env: { MILLRACE_WORKSPACE_PORT: '0' },
  });
  const ready = await command.ready();
  const credentials = JSON.parse(readFileSync(ready.credentials, 'utf8')) as Credentials;
  const api: Api = await airbyteApi(credentials);
  const client = new Client(ready.url, credentials.keboola.storageToken);
  const { workspaceId } = credentials.airbyte;
  return {
    command,
    async connect(stream: string, syncMode: string) {
      const piece = (records: number) => [{ records, stream }, { state: stream }, { pause: 60, stream }];
      const steps =
        stream === 'whole'
          ? [{ records: WHOLE / 2, stream }, { pause: 300 }, { records: WHOLE / 2, stream }]
          : Array.from({ length: 15 }, () => piece(7)).flat();
      const { sourceId } = await api.call<{ sourceId: string }>('POST', '/sources', {
        name: stream,
        workspaceId,
        configuration: { sourceType: 'test-source', steps, streams: [stream] },
      });
      const { destinationId } = await api.call<{ destinationId: string }>('POST', '/destinations', {
        name: 'storage',
        workspaceId,
        configuration: { destinationType: 'millrace-storage', bucket: 'in.c-storm', checkpoint_seconds: 0.1 },
      });
      const { connectionId } = await api.call<{ connectionId: string }>('POST', '/connections', {
        sourceId,
        destinationId,
        configurations: { streams: [{ name: stream, syncMode }] },
      });
      return { id: connectionId, stream };
    },
    async sync(connectionId: string): Promise<void> {
      await api.call('POST', '/jobs', { connectionId, jobType: 'sync' });
    },
    /** The status of the last job once none runs. */
    async end(connectionId: string): Promise<string> {
      let status = '';
      await until(`an end of the syncs of ${connectionId}`, async () => {
        const path = `/jobs?connectionId=${connectionId}&orderBy=createdAt%7CDESC&limit=1`;
        const { data: jobs } = await api.call<{ data: { status: string }[] }>('GET', path);
        status = jobs[0]?.status ?? 'none';
        return status !== 'pending' && status !== 'running';
      });
      return status;
    },
    async ids(stream: string): Promise<number[]> {
      const tables = await client.call<{ id: string }[]>('GET', '/v2/storage/tables');
      if (!tables.some(({ id }) => id === `in.c-storm.${stream}`)) return [];
      const [header = [], ...rows] = await client.exportRows(`in.c-storm.${stream}`);
      const at = header.indexOf('id');
      return rows.map((row) => Number(row[at])).sort((a, b) => a - b);
    },
    async lastId(connectionId: string): Promise<number> {
      const { state } = await client.call<{ state: { sync?: { streams?: { state: string }[] } } }>(
        'GET',
        `/v2/storage/components/millrace.connection/configs/${connectionId}`,
      );
      const text = state.sync?.streams?.[0]?.state;
      return text === undefined ? 0 : (JSON.parse(text) as { id: number }).id;
    },
  };
}

/** The server that a call meets may just have lost its database. */
async function patiently<T>(act: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + 30_000; ; await pause(100)) {
    try {
      return await act();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 90_000; !(await isTrue().catch(() => false)); await pause(100))
    assert.ok(Date.now() < deadline, `never: ${what}`);
}

/** A small seeded generator, so that a failing storm can be run again. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
