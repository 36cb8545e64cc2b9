import { Client, pause } from '../demo/client.ts';
import { option, printTable, quantile, timed, usage } from './support/numbers.ts';
import { startServer } from './support/server.ts';

/** (b) A job of each transformation that moves no data (the SQL one does open a session and runs a statement): POST to its first log event and to finished, alone and 500 queued. */
usage(`
(b) A job of each transformation that moves no data: POST to its first log event and to finished.

  --single 40    one after another
  --queued 500   at once
`);
const single = option('single', 40);
const queued = option('queued', 500);

type Job = { id: string; isFinished: boolean; status: string; result: { message?: string } };

const kinds = [
  { name: 'SQL', component: 'keboola.duckdb-transformation', script: 'CREATE TABLE t AS SELECT 1 AS one' },
  { name: 'Python', component: 'keboola.python-transformation-v2', script: "print('hello')" },
];

const server = await startServer();
try {
  const client = new Client(server.url, server.token);
  const alone: (string | number)[][] = [
    ['one at a time', 'first log p50', 'first log p99', 'finished p50', 'finished p99'],
  ];
  const many: (string | number)[][] = [[`${queued} queued`, 'jobs/s', 'finished p50', 'finished p99', 'failed']];
  for (const kind of kinds) {
    const body = { component: kind.component, mode: 'run', configData: configuration(kind.script) };
    for (let i = 0; i < 3; i++) await finish(client, await client.call<Job>('POST', '/queue/jobs', body));

    const firstLog: number[] = [];
    const finished: number[] = [];
    for (let i = 0; i < single; i++) {
      const started = performance.now();
      const job = await client.call<Job>('POST', '/queue/jobs', body);
      const log = (async () => {
        while (
          (await client.call<unknown[]>('GET', `/v2/storage/events?runId=${job.id}&component=${kind.component}`))
            .length === 0
        )
          await pause(1);
        firstLog.push(performance.now() - started);
      })();
      await finish(client, job);
      finished.push(performance.now() - started);
      await log;
    }
    alone.push([
      kind.name,
      ...[firstLog, finished].flatMap((values) => [0.5, 0.99].map((q) => `${quantile(values, q).toFixed(0)} ms`)),
    ]);

    const ends: number[] = [];
    let failed = 0;
    const { ms } = await timed(async () => {
      const started = performance.now();
      const jobs: Job[] = [];
      // Ten clients post side by side, as an orchestrator would.
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          while (jobs.length < queued) {
            const slot = jobs.length;
            jobs.length++;
            jobs[slot] = await client.call<Job>('POST', '/queue/jobs', body);
          }
        }),
      );
      const open = new Set(jobs.map((job) => job.id));
      while (open.size > 0) {
        const unfinished = await client.call<Job[]>(
          'GET',
          '/queue/search/jobs?limit=500&status[]=created&status[]=waiting&status[]=processing',
        );
        const still = new Set(unfinished.map((job) => job.id));
        for (const id of open) {
          if (still.has(id)) continue;
          open.delete(id);
          ends.push(performance.now() - started);
        }
        await pause(20);
      }
      failed = (await client.call<Job[]>('GET', `/queue/search/jobs?limit=500&status[]=error`)).length;
    });
    many.push([
      kind.name,
      (queued / (ms / 1000)).toFixed(0),
      ...[0.5, 0.99].map((q) => `${quantile(ends, q).toFixed(0)} ms`),
      failed,
    ]);
  }
  printTable('(b) an empty job (aim: SQL first log < 30 ms, finished < 100 ms; Python finished < 250 ms)', alone);
  printTable('(b) many', many);
} finally {
  await server.stop();
}

function configuration(script: string): unknown {
  return { parameters: { blocks: [{ name: 'b', codes: [{ name: 'c', script: [script] }] }] } };
}

async function finish(client: Client, job: Job): Promise<Job> {
  let current = job;
  while (!current.isFinished) {
    await pause(2);
    current = await client.call<Job>('GET', `/queue/jobs/${job.id}`);
  }
  if (current.status !== 'success')
    throw new Error(`job ${job.id} ended as ${current.status}: ${current.result.message}`);
  return current;
}
