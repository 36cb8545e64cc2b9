import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { syncanoApi } from '../../demo/api.ts';
import { Client, parseCsv } from '../../demo/client.ts';
import { expected } from '../../demo/expected.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from '../support/cleanup.ts';
import { checkServedLakes } from '../support/served-lakes.ts';

/** `npm run demo` after its build, in a process of its own. */
function demo(...args: string[]): { child: ChildProcess; output: () => string; ended: Promise<number | null> } {
  const child = spawn(process.execPath, [path.join(packageRoot, 'dist/demo/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  return { child, output: () => text, ended };
}

/** By state: flights, routes, airports, flights that leave the state. Row by row, without anything of the demo's. */
function trafficByState(): Map<string, number[]> {
  const folder = path.join(packageRoot, 'node_modules/vega-datasets/data');
  const lines = (file: string) => readFileSync(path.join(folder, file), 'utf8').trimEnd().split(/\r?\n/).slice(1);
  const stateOf = new Map<string, string>();
  for (const line of lines('airports.csv')) {
    const cells = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((match) => match[1] ?? match[2] ?? '');
    stateOf.set(cells[0] ?? '', cells[3] ?? '');
  }
  const origins = new Map<string, Set<string>>();
  const traffic = new Map<string, number[]>();
  for (const line of lines('flights-airport.csv')) {
    const [origin = '', destination = '', count] = line.split(',');
    const state = stateOf.get(origin) ?? '';
    const [flights = 0, routes = 0, , leaving = 0] = traffic.get(state) ?? [];
    const airports = origins.get(state) ?? new Set();
    origins.set(state, airports.add(origin));
    const leaves = stateOf.get(destination) === state ? 0 : Number(count);
    traffic.set(state, [flights + Number(count), routes + 1, airports.size, leaving + leaves]);
  }
  return traffic;
}

const sumOf = (states: Map<string, number[]>, column: number) =>
  [...states.values()].reduce((sum, numbers) => sum + (numbers[column] ?? 0), 0);

test('the demo runs twice, steps aside from a taken port, refuses a second one beside it, and leaves an open lake', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-demo-'));
  cleanup(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const data = path.join(folder, 'data');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  cleanup(t, () => void other.close());
  const taken = (other.address() as AddressInfo).port;

  const first = demo('--exit', '--data', data, '--port', String(taken));
  assert.equal(await first.ended, 0, first.output());
  assert.match(first.output(), new RegExp(`Port ${taken} is taken; using \\d+\\.`));
  assert.match(first.output(), /Airbyte: sync half of the routes .* 2,617/);
  assert.match(first.output(), /Airbyte: a schedule syncs the rest .* 5,366/);
  assert.match(first.output(), /Syncano: a script sums them up/);
  assert.match(first.output(), /Provisioning: query the result .* 52/);
  assert.match(first.output(), /Every number is as expected/);

  const second = demo('--data', data, '--port', String(taken));
  cleanup(t, () => void second.child.kill('SIGKILL'));
  while (!second.output().includes('Serving until Ctrl-C')) {
    assert.equal(second.child.exitCode, null, second.output());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  const beside = demo('--exit', '--data', data, '--port', String(taken));
  assert.equal(await beside.ended, 1, beside.output());
  assert.match(beside.output(), /already|in use|locked/i);

  const url = /URL\s+(\S+)/.exec(second.output())?.[1] ?? '';
  const credentials = JSON.parse(readFileSync(path.join(data, 'credentials.json'), 'utf8'));
  await t.test('what is served is what the two files say, computed anew', async () => {
    const states = trafficByState();
    const keboola = new Client(url, credentials.keboola.storageToken);
    const [, ...rows] = parseCsv(
      await keboola.text('/v2/storage/tables/out.c-travel.traffic_by_state/data-preview?limit=1000'),
    );
    assert.deepEqual(new Map(rows.map(([state = '', ...numbers]) => [state, numbers.map(Number)])), states);
    const { objects } = await syncanoApi({ ...credentials, url }).call<{ objects: Record<string, number>[] }>(
      'GET',
      '/classes/state_traffic/objects/?page_size=100',
    );
    assert.equal(objects.length, states.size);
    for (const { state, flights, routes, airports, leaving } of objects)
      assert.deepEqual([flights, routes, airports, leaving], states.get(String(state)), String(state));
    const share = Math.round((10_000 * sumOf(states, 3)) / sumOf(states, 0)) / 100;
    assert.equal(share, Math.round((10_000 * expected.flightsLeavingTheState) / expected.flights) / 100);
    const big = [...states.values()].filter(([flights = 0]) => flights >= expected.big.from);
    const leaving = big.reduce((sum, numbers) => sum + (numbers[3] ?? 0), 0);
    const flights = big.reduce((sum, numbers) => sum + (numbers[0] ?? 0), 0);
    assert.deepEqual(
      [big.length, flights, Math.round((10_000 * leaving) / flights) / 100],
      [expected.big.states, expected.big.flights, expected.big.summary.leaving],
    );
  });

  await t.test('a stock DuckDB reads every table of the demo equal to its export', async (inner) => {
    const tables = await checkServedLakes(inner, { dataDirectory: data, url, token: credentials.keboola.storageToken });
    assert.ok(tables === undefined || tables >= 3);
  });

  second.child.kill('SIGINT');
  assert.equal(await second.ended, 0, second.output());
});
