import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Call, load } from './support/load.ts';
import { option, printTable, quantile } from './support/numbers.ts';
import { startServer } from './support/server.ts';

/** (d) Data objects over HTTP: reads of one, durable creates, lists of 20, each for some seconds over 50 connections. */
const connections = option('connections', 50);
const seconds = option('seconds', 5);
const rows = option('rows', 10_000);

const server = await startServer();
try {
  const file = path.join(server.dataDirectory, 'credentials.json');
  const { syncano } = JSON.parse(readFileSync(file, 'utf8')) as { syncano: { instance: string; accountKey: string } };
  const headers = { 'x-api-key': syncano.accountKey };
  const base = `/v1.1/instances/${syncano.instance}/`;
  const objects = `${base}classes/book/objects/`;
  const post = async (url: string, body: object) => {
    const response = await fetch(`${server.url}${url}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (response.status >= 300) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { id: number };
  };
  await post(`${base}classes/`, {
    name: 'book',
    schema: [
      { name: 'title', type: 'string', filter_index: true, order_index: true },
      { name: 'pages', type: 'integer', filter_index: true, order_index: true },
      { name: 'text', type: 'text' },
      { name: 'seen', type: 'datetime' },
    ],
  });
  let made = 0;
  const book = () => ({
    title: `title ${made++}`,
    pages: made % 1000,
    text: 'Some text of the usual length, a line or two.',
    seen: '2025-01-02T03:04:05.000000Z',
  });
  const first = await post(objects, book());
  while (made < rows) await Promise.all(Array.from({ length: 100 }, () => post(objects, book())));
  const anId = () => first.id + Math.floor(Math.random() * rows);
  const measures: [string, number, () => Call][] = [
    ['read one', 200, () => ({ method: 'GET', path: `${objects}${anId()}/`, headers })],
    ['create', 201, () => ({ method: 'POST', path: objects, headers, body: JSON.stringify(book()) })],
    ['list 20', 200, () => ({ method: 'GET', path: `${objects}?page_size=20&direction=1&last_pk=${anId()}`, headers })],
    [
      'filtered, ordered list 20',
      200,
      () => ({
        method: 'GET',
        path: `${objects}?page_size=20&order_by=-pages&query=${encodeURIComponent(`{"pages":{"_lt":${made % 1000}}}`)}`,
        headers,
      }),
    ],
  ];
  const table: (string | number)[][] = [[`${connections} connections`, 'per second', 'p50 ms', 'p99 ms', 'failed']];
  for (const [name, expected, next] of measures) {
    await load(server.url, { connections, seconds: 1, expected }, next);
    const {
      calls,
      failed,
      latenciesMs,
      seconds: took,
    } = await load(server.url, { connections, seconds, expected }, next);
    const [p50, p99] = [0.5, 0.99].map((q) => quantile(latenciesMs, q).toFixed(1));
    table.push([name, Math.round(calls / took), p50 ?? '', p99 ?? '', failed]);
  }
  printTable('(d) data objects', table);
} finally {
  await server.stop();
}
