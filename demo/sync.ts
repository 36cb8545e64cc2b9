import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Api } from './api.ts';
import { type Client, pause } from './client.ts';
import { expected } from './expected.ts';
import type { Stepper } from './step.ts';

type Job = { jobId: number; status: string; rowsSynced?: number };
type Listed = { data: { name: string; [id: string]: string }[] };

const NAME = 'Demo: routes';

/**
 * A connection lands a CSV from an address in Storage: at first what is there, then what has come since, which a
 * schedule fetches by itself.
 */
export async function syncRoutes(
  step: Stepper,
  apis: { airbyte: Api; keboola: Client; workspaceId: string },
  csv: string,
  tableId: string,
): Promise<void> {
  const { airbyte, keboola } = apis;
  const [head = '', ...lines] = csv.trimEnd().split('\n');
  const isOld = (line: string) => line < expected.sync.boundary;
  const file = await serve(() => text);
  let text = [head, ...lines.filter(isOld), ''].join('\n');
  let connectionId = '';
  try {
    await step('Airbyte: connect a CSV', 'POST .../sources, connections', async () => {
      connectionId = await connect(apis, file.url, tableId);
      return undefined;
    });
    await step('Airbyte: sync half of the routes', 'POST /api/public/v1/jobs', async () => {
      const { jobId } = await airbyte.call<Job>('POST', '/jobs', { connectionId, jobType: 'sync' });
      assert.equal(await rowsSynced(airbyte, jobId), expected.sync.first);
      return await rowsCount(keboola, tableId);
    });
    text = [head, ...lines, ''].join('\n');
    await step('Airbyte: a schedule syncs the rest', 'PATCH .../connections', async () => {
      const jobId = await firedBySchedule(airbyte, connectionId);
      assert.equal(
        await rowsSynced(airbyte, jobId),
        expected.sync.second,
        'nothing old but the last origin must be read again',
      );
      const rows = await rowsCount(keboola, tableId);
      assert.equal(rows, expected.routes, 'the sync must add the missing routes and double none');
      return rows;
    });
  } finally {
    file.close();
  }
}

/** Makes source, destination and connection, or empties those of an earlier run. */
async function connect(
  { airbyte, workspaceId }: { airbyte: Api; workspaceId: string },
  url: string,
  tableId: string,
): Promise<string> {
  const [stage, bucket, stream = ''] = tableId.split('.');
  const find = async (list: string, id: string) => {
    const { data } = await airbyte.call<Listed>('GET', `/${list}?workspaceIds=${workspaceId}&limit=100`);
    return data.find(({ name }) => name === NAME)?.[id];
  };
  const ensure = async (list: string, id: string, body: object): Promise<string> => {
    const known = await find(list, id);
    if (known !== undefined) await airbyte.call('PATCH', `/${list}/${known}`, body);
    return (
      known ?? (await airbyte.call<Record<string, string>>('POST', `/${list}`, { workspaceId, ...body }))[id] ?? ''
    );
  };
  const key = ['origin', 'destination'];
  const sourceId = await ensure('sources', 'sourceId', {
    name: NAME,
    configuration: { sourceType: 'millrace-file', dataset_name: stream, url, primary_key: key },
  });
  const destinationId = await ensure('destinations', 'destinationId', {
    name: NAME,
    configuration: { destinationType: 'millrace-storage', bucket: `${stage}.${bucket}` },
  });
  const known = await find('connections', 'connectionId');
  if (known !== undefined) {
    const { jobId } = await airbyte.call<Job>('POST', '/jobs', { connectionId: known, jobType: 'reset' });
    await ended(airbyte, jobId);
    return known;
  }
  const made = await airbyte.call<{ connectionId: string }>('POST', '/connections', {
    name: NAME,
    sourceId,
    destinationId,
    configurations: {
      streams: [{ name: stream, syncMode: 'incremental_deduped_history', cursorField: ['origin'] }],
    },
  });
  return made.connectionId;
}

/** Gives the connection a time in a moment, waits for the sync that the scheduler starts then, and takes it away again. */
async function firedBySchedule(airbyte: Api, connectionId: string): Promise<number> {
  const path = `/connections/${connectionId}`;
  const newest = async () => {
    const { data } = await airbyte.call<{ data: Job[] }>(
      'GET',
      `/jobs?connectionId=${connectionId}&orderBy=${encodeURIComponent('createdAt|DESC')}&limit=1`,
    );
    return data[0]?.jobId ?? 0;
  };
  const before = await newest();
  try {
    // A machine that is very busy may be told of the time only when it has passed.
    for (let tries = 1; tries <= 3; tries++) {
      const at = new Date(Date.now() + tries * 2000);
      const cronExpression = `${at.getUTCSeconds()} ${at.getUTCMinutes()} ${at.getUTCHours()} * * ? UTC`;
      await airbyte.call('PATCH', path, { schedule: { scheduleType: 'cron', cronExpression } });
      for (const deadline = at.getTime() + 5000; Date.now() < deadline; await pause(50)) {
        const job = await newest();
        if (job !== before) return job;
      }
    }
    throw new Error('the schedule has not fired');
  } finally {
    await airbyte.call('PATCH', path, { schedule: { scheduleType: 'manual' } });
  }
}

async function rowsSynced(airbyte: Api, jobId: number): Promise<number | undefined> {
  return (await ended(airbyte, jobId)).rowsSynced;
}

async function ended(airbyte: Api, jobId: number): Promise<Job> {
  for (;;) {
    const job = await airbyte.call<Job>('GET', `/jobs/${jobId}`);
    if (job.status === 'succeeded') return job;
    if (job.status !== 'pending' && job.status !== 'running') throw new Error(`job ${jobId} ended as ${job.status}`);
    await pause(25);
  }
}

/** The demo's own little web server, for the connector to read from. */
async function serve(content: () => string): Promise<{ url: string; close(): void }> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/csv');
    response.end(content());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/routes.csv`, close: () => server.close() };
}

async function rowsCount(keboola: Client, tableId: string): Promise<number> {
  return (await keboola.call<{ rowsCount: number }>('GET', `/v2/storage/tables/${tableId}`)).rowsCount;
}
