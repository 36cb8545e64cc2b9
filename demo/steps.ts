import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Api, airbyteApi, type Credentials, syncanoApi } from './api.ts';
import { Client } from './client.ts';
import { expected } from './expected.ts';
import { serveObjects } from './objects.ts';
import { type Step, stepper } from './step.ts';
import { syncRoutes } from './sync.ts';
import { queryWorkspace } from './workspace.ts';

const airports = 'in.c-travel.airports';
const routes = 'in.c-travel.routes';
const traffic = 'out.c-travel.traffic_by_state';
const ranking = 'out.c-travel.state_ranking';

/**
 * The main job, through public HTTP only: files and a connection -> tables -> SQL -> Python -> export -> known numbers
 * -> data objects -> a script -> a SQL login. Runs any number of times on the same project. Throws when any answer is
 * wrong.
 */
export async function runMainJob(credentials: Credentials, report: (step: Step) => void): Promise<void> {
  const { url, keboola, airbyte, syncano } = credentials;
  const client = new Client(url, keboola.storageToken);
  const step = stepper(report);

  await step('verify the token', 'GET /v2/storage/tokens/verify', async () => {
    const token = await client.call<{ owner: { name: string } }>('GET', '/v2/storage/tokens/verify');
    assert.equal(token.owner.name, credentials.project.name);
    return undefined;
  });

  await step('make the buckets', 'POST /v2/storage/buckets', async () => {
    for (const stage of ['in', 'out']) {
      if (await client.find(`/v2/storage/buckets/${stage}.c-travel`)) continue;
      await client.call('POST', '/v2/storage/buckets', { stage, name: 'travel', description: 'US flights of 2008' });
    }
    return undefined;
  });

  await step('load the airports', 'POST .../tables-async', async () => {
    const fileId = await client.upload('airports.csv', dataset('airports.csv'), ['demo']);
    return await load(client, airports, fileId, 'iata', false);
  });

  const apis = { airbyte: await airbyteApi(credentials), keboola: client, workspaceId: airbyte.workspaceId };
  await syncRoutes(step, apis, dataset('flights-airport.csv').toString('utf8'), routes);

  await step('SQL: flights by state', 'POST /queue/jobs', async () => {
    await configure(client, 'keboola.duckdb-transformation', 'demo-traffic', 'Flights by state', sqlConfiguration);
    await client.queueJob({ component: 'keboola.duckdb-transformation', config: 'demo-traffic', mode: 'run' });
    const rows = await rowsCount(client, traffic);
    assert.equal(rows, expected.states);
    return rows;
  });

  const python = spawnSync('python3', ['-c', 'import csv'], { stdio: 'ignore' }).status === 0;
  if (python) {
    await step('Python: rank the states', 'POST /queue/jobs', async () => {
      const component = 'keboola.python-transformation-v2';
      await configure(client, component, 'demo-ranking', 'Rank the states', pythonConfiguration);
      await client.queueJob({ component, config: 'demo-ranking', mode: 'run' });
      return await rowsCount(client, ranking);
    });
  } else {
    report({
      name: 'Python: rank the states',
      call: 'POST /queue/jobs',
      rows: undefined,
      ms: 0,
      skipped: 'no python3 on this machine',
    });
  }

  await step('export and compare', 'POST .../export-async', async () => {
    const [, ...rows] = await client.exportRows(traffic);
    assert.equal(rows.length, expected.states);
    assert.equal(sum(rows, 1), expected.flights);
    assert.equal(sum(rows, 4), expected.flightsLeavingTheState);
    const byState = new Map(rows.map((row) => [row[0], row]));
    for (const [state, ...numbers] of expected.top) {
      assert.deepEqual(byState.get(state)?.slice(1, 5).map(Number), numbers.slice(0, 4), `numbers of ${state}`);
    }
    if (python) {
      const [, ...ranked] = await client.exportRows(ranking);
      assert.equal(ranked.length, expected.states);
      const inOrder = ranked.sort((a, b) => Number(a[1]) - Number(b[1]));
      const top = inOrder.slice(0, expected.top.length).map((row) => [row[0], Number(row[2])]);
      assert.deepEqual(
        top,
        expected.top.map((row) => [row[0], row[5]]),
      );
    }
    return rows.length;
  });

  const root = new Api(url, { 'X-API-KEY': syncano.accountKey });
  await serveObjects(step, { objects: syncanoApi(credentials), keboola: client, root }, traffic);
  await queryWorkspace(step, client, traffic);
}

/** Creates the table from the file, or loads the file into it when it is there already. Returns the rows afterwards. */
async function load(
  client: Client,
  tableId: string,
  fileId: number,
  primaryKey: string,
  incremental: boolean,
): Promise<number> {
  if (await client.find(`/v2/storage/tables/${tableId}`)) {
    await client.storageJob('POST', `/v2/storage/tables/${tableId}/import-async`, { dataFileId: fileId, incremental });
  } else {
    const [stage, bucket, name] = tableId.split('.');
    await client.storageJob('POST', `/v2/storage/buckets/${stage}.${bucket}/tables-async`, {
      name,
      dataFileId: fileId,
      primaryKey,
    });
  }
  return await rowsCount(client, tableId);
}

async function configure(
  client: Client,
  component: string,
  id: string,
  name: string,
  configuration: unknown,
): Promise<void> {
  const configs = `/v2/storage/components/${component}/configs`;
  if (await client.find(`${configs}/${id}`)) await client.call('PUT', `${configs}/${id}`, { configuration });
  else await client.call('POST', configs, { configurationId: id, name, configuration });
}

async function rowsCount(client: Client, tableId: string): Promise<number> {
  const table = await client.call<{ rowsCount: number }>('GET', `/v2/storage/tables/${tableId}`);
  return table.rowsCount;
}

function sum(rows: string[][], column: number): number {
  return rows.reduce((total, row) => total + Number(row[column]), 0);
}

/** Real public data from the npm package vega-datasets (US airports and domestic flights of 2008). */
function dataset(name: string): Buffer {
  const entry = createRequire(import.meta.url).resolve('vega-datasets');
  const folder = path.join('node_modules', 'vega-datasets');
  const root = entry.slice(0, entry.lastIndexOf(folder) + folder.length);
  return readFileSync(path.join(root, 'data', name));
}

const sqlConfiguration = {
  parameters: {
    blocks: [
      {
        name: 'Aggregate',
        codes: [
          {
            name: 'Flights by state of origin',
            script: [
              `CREATE VIEW flights AS
               SELECT o.state, r.origin, CAST(r."count" AS BIGINT) AS flights, o.state <> d.state AS leaves
               FROM routes r
               JOIN airports o ON o.iata = r.origin
               JOIN airports d ON d.iata = r.destination`,
              `CREATE TABLE traffic_by_state AS
               SELECT state, sum(flights) AS flights, count(*) AS routes, count(DISTINCT origin) AS airports,
                      coalesce(sum(flights) FILTER (WHERE leaves), 0) AS leaving
               FROM flights GROUP BY state`,
            ],
          },
        ],
      },
    ],
  },
  storage: {
    input: {
      tables: [
        { source: airports, destination: 'airports' },
        { source: routes, destination: 'routes' },
      ],
    },
    output: { tables: [{ source: 'traffic_by_state', destination: traffic, primary_key: ['state'] }] },
  },
};

const pythonConfiguration = {
  parameters: {
    blocks: [
      {
        name: 'Rank',
        codes: [
          {
            name: 'Share of all flights',
            script: [
              [
                'import csv',
                "with open('in/tables/traffic.csv', encoding='utf-8') as source:",
                '    states = list(csv.DictReader(source))',
                "total = sum(int(row['flights']) for row in states)",
                "states.sort(key=lambda row: -int(row['flights']))",
                "with open('out/tables/ranking.csv', 'w', encoding='utf-8', newline='') as target:",
                '    writer = csv.writer(target)',
                "    writer.writerow(['state', 'rank', 'share'])",
                '    for rank, row in enumerate(states, 1):',
                "        writer.writerow([row['state'], rank, round(100 * int(row['flights']) / total, 2)])",
                "print(f'ranked {len(states)} states by {total} flights')",
              ].join('\n'),
            ],
          },
        ],
      },
    ],
  },
  storage: {
    input: { tables: [{ source: traffic, destination: 'traffic.csv' }] },
    output: { tables: [{ source: 'ranking.csv', destination: ranking, primary_key: ['state'] }] },
  },
};
