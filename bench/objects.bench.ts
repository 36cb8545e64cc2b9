import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { type Parse, startParse } from './peers/parse.ts';
import { cpuMs, machineState } from './support/cpu.ts';
import { type Call, headerText, type Load, load } from './support/load.ts';
import { option, printTable, quantile, usage } from './support/numbers.ts';
import { type BenchServer, postgresOf, startServer } from './support/server.ts';

usage(`
(d) Data objects over HTTP beside Parse Server: reads of one, durable creates, lists of 20 and filtered, ordered lists
    of 20. Both servers are one Node process on one PostgreSQL (Millrace's embedded one, synchronous_commit on), with
    the same rows, the same load generator and the key that knows no access rules. They are measured turn and turn
    about; the best round of each counts, and the ratio is the median of the rounds' ratios. CPU per call is server,
    PostgreSQL and all: unlike the rate it hardly changes when others use the machine.
    The generator runs on the same machine and takes its share; "generator alone" says how much it could do at most.

  --connections 50   kept open at once
  --seconds 5        of each measurement, after one second to warm up
  --rounds 3         of each pair
  --rows 10000       in the class before it begins
  --peer 0           Millrace alone, without installing Parse Server
`);
const connections = option('connections', 50);
const seconds = option('seconds', 5);
const rounds = option('rounds', 3);
const rows = option('rows', 10_000);
const withPeer = option('peer', 1) !== 0;

type Kind = 'read one' | 'create' | 'list 20' | 'filtered, ordered list 20';
const KINDS: { kind: Kind; aim?: number }[] = [
  { kind: 'read one', aim: 8000 },
  { kind: 'create', aim: 4000 },
  { kind: 'list 20', aim: 4000 },
  { kind: 'filtered, ordered list 20' },
];
/** What is measured: where it listens, what a call of each kind is, and the processes whose time it takes. */
type Subject = { name: string; url: string; pids: number[]; created: number; next: Record<Kind, () => Call> };
type Round = Load & { rate: number; cpuUs: number };

let made = 0;
const book = () => {
  const n = made++;
  return {
    title: `title ${n}`,
    pages: n % 1000,
    text: 'Some text of the usual length, a line or two.',
  };
};
const DAY = '2025-01-02T03:04:05.000';
const somePages = () => Math.floor(Math.random() * 1000);
const json = { 'content-type': 'application/json' };

async function post<T>(url: string, headers: Record<string, string>, body: object): Promise<T> {
  const response = await fetch(url, { method: 'POST', headers: { ...headers, ...json }, body: JSON.stringify(body) });
  if (response.status >= 300) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

async function fillMillrace(server: BenchServer): Promise<Subject> {
  const file = path.join(server.dataDirectory, 'credentials.json');
  const { syncano } = JSON.parse(readFileSync(file, 'utf8')) as { syncano: { instance: string; accountKey: string } };
  const key = { 'x-api-key': syncano.accountKey };
  const base = `/v1.1/instances/${syncano.instance}/`;
  const objects = `${base}classes/book/objects/`;
  await post(`${server.url}${base}classes/`, key, {
    name: 'book',
    schema: [
      { name: 'title', type: 'string', filter_index: true, order_index: true },
      { name: 'pages', type: 'integer', filter_index: true, order_index: true },
      { name: 'text', type: 'text' },
      { name: 'seen', type: 'datetime' },
    ],
  });
  const whole = () => ({ ...book(), seen: `${DAY}000Z` });
  const ids: number[] = [];
  while (ids.length < rows) {
    const some = Array.from({ length: 100 }, () => post<{ id: number }>(`${server.url}${objects}`, key, whole()));
    ids.push(...(await Promise.all(some)).map(({ id }) => id));
  }
  const anId = () => ids[Math.floor(Math.random() * ids.length)];
  const headers = headerText(key);
  const get = (at: string): Call => ({ method: 'GET', path: `${objects}${at}`, headers });
  return {
    name: 'Millrace',
    url: server.url,
    pids: [server.pid, postgresOf(server.dataDirectory).pid],
    created: 201,
    next: {
      'read one': () => get(`${anId()}/`),
      create: () => ({ method: 'POST', path: objects, headers, body: JSON.stringify(whole()) }),
      'list 20': () => get(`?page_size=20&direction=1&last_pk=${anId()}`),
      'filtered, ordered list 20': () =>
        get(`?page_size=20&order_by=-pages&query=${encodeURIComponent(`{"pages":{"_lt":${somePages()}}}`)}`),
    },
  };
}

async function fillParse(server: BenchServer, peer: Parse): Promise<Subject> {
  const classes = `${peer.url}/parse/schemas/book`;
  await post(classes, peer.headers, {
    className: 'book',
    fields: {
      title: { type: 'String' },
      pages: { type: 'Number' },
      text: { type: 'String' },
      seen: { type: 'Date' },
    },
    indexes: { byTitle: { title: 1 }, byPages: { pages: 1 } },
  });
  const objects = '/parse/classes/book';
  const whole = () => ({ ...book(), seen: { __type: 'Date', iso: `${DAY}Z` } });
  const ids: string[] = [];
  while (ids.length < rows) {
    const some = Array.from({ length: 50 }, () =>
      post<{ objectId: string }>(`${peer.url}${objects}`, peer.headers, whole()),
    );
    ids.push(...(await Promise.all(some)).map(({ objectId }) => objectId));
  }
  const anId = () => ids[Math.floor(Math.random() * ids.length)];
  const headers = headerText(peer.headers);
  const get = (at: string): Call => ({ method: 'GET', path: `${objects}${at}`, headers });
  const list = (order: string, where: string) => get(`?limit=20&order=${order}&where=${encodeURIComponent(where)}`);
  return {
    name: 'Parse Server',
    url: peer.url,
    pids: [peer.pid, postgresOf(server.dataDirectory).pid],
    created: 201,
    next: {
      'read one': () => get(`/${anId()}`),
      create: () => ({ method: 'POST', path: objects, headers, body: JSON.stringify(whole()) }),
      'list 20': () => list('objectId', `{"objectId":{"$gt":"${anId()}"}}`),
      'filtered, ordered list 20': () => list('-pages', `{"pages":{"$lt":${somePages()}}}`),
    },
  };
}

async function measure({ url, pids, created, next }: Subject, kind: Kind): Promise<Round> {
  const expected = kind === 'create' ? created : 200;
  await load(url, { connections, seconds: 1, expected }, next[kind]);
  const before = cpuMs(...pids);
  const result = await load(url, { connections, seconds, expected }, next[kind]);
  const cpuUs = ((cpuMs(...pids) - before) * 1000) / result.calls;
  return { ...result, cpuUs, rate: result.calls / result.seconds };
}

const best = (some: Round[]) => some.reduce((a, b) => (b.rate > a.rate ? b : a));

/** What one statement answers in a database of the PostgreSQL that both use. */
async function query(dataDirectory: string, database: string, text: string): Promise<{ text?: string } | undefined> {
  const { host, port, user } = postgresOf(dataDirectory);
  const client = new pg.Client({ host, port, user, database });
  await client.connect();
  const { rows } = await client.query<{ text?: string }>(text);
  await client.end();
  return rows[0];
}

const server = await startServer();
let peer: Parse | undefined;
try {
  if (withPeer) peer = await startParse(server.dataDirectory);
  const settings = await query(
    server.dataDirectory,
    'millrace',
    `select string_agg(name || ' ' || setting, ', ' order by name) as text from pg_settings
     where name in ('synchronous_commit', 'fsync', 'shared_buffers')`,
  );
  console.log(machineState());
  console.log(`PostgreSQL of both: ${settings?.text}`);
  const subjects = [await fillMillrace(server), ...(peer ? [await fillParse(server, peer)] : [])];
  // The planner of both must know the rows as it would some time later.
  for (const database of ['millrace', ...(peer ? ['parse'] : [])])
    await query(server.dataDirectory, database, 'analyze');

  const header = [
    `${connections} connections`,
    ...subjects.flatMap(({ name }) => [`${name}/s`, 'p50 ms', 'p99 ms', 'CPU us/call']),
    ...(peer ? ['ratio', 'CPU ratio'] : []),
    'aim',
    'failed',
  ];
  const table: (string | number)[][] = [header];
  for (const { kind, aim } of KINDS) {
    const results = subjects.map((): Round[] => []);
    for (let round = 0; round < rounds; round++)
      for (const [at, subject] of subjects.entries()) results[at]?.push(await measure(subject, kind));
    const [ours = [], theirs = []] = results;
    const ratios = (of: (round: Round) => number) =>
      quantile(
        ours.map((one, at) => of(one) / of(theirs[at] ?? one)),
        0.5,
      );
    table.push([
      kind,
      ...results.flatMap((some) => {
        const { rate, latenciesMs, cpuUs } = best(some);
        const [p50, p99] = [0.5, 0.99].map((q) => quantile(latenciesMs, q).toFixed(1));
        return [Math.round(rate), p50 ?? '', p99 ?? '', Math.round(cpuUs)];
      }),
      ...(peer ? [ratios(({ rate }) => rate).toFixed(1), (1 / ratios(({ cpuUs }) => cpuUs)).toFixed(1)] : []),
      aim === undefined ? '' : `${aim}${peer ? ', ratio 2' : ''}`,
      results.flat().reduce((sum, { failed }) => sum + failed, 0),
    ]);
    const failure = results.flat().find(({ firstFailure }) => firstFailure !== '');
    if (failure) console.log(`a failure of ${kind}:\n${failure.firstFailure.slice(0, 600)}`);
  }
  printTable(`(d) data objects${peer ? `, beside Parse Server ${peer.version}` : ''}`, table);
} finally {
  await peer?.stop();
  await server.stop();
}
