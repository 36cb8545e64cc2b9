import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Credentials } from './api.ts';
import type { Step } from './step.ts';
import { runMainJob } from './steps.ts';

const help = `npm run demo [-- OPTIONS]

Starts Millrace on a data directory of its own, runs the main job over real data through the public APIs
(a connection and files -> tables -> SQL -> Python -> data objects -> a script -> a SQL login, compared with known
numbers) and keeps serving until Ctrl-C.

  --exit        stop after the job; exit code 0 only if every step gave the right answer
  --data DIR    data directory (default ./millrace-demo)
  --port N      port to serve on (default 8000, or the next free one)
  --help        this text`;

const { values } = parseArgs({
  options: {
    exit: { type: 'boolean', default: false },
    data: { type: 'string', default: 'millrace-demo' },
    port: { type: 'string', default: '8000' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(help);
} else {
  process.exitCode = await main();
}

async function main(): Promise<number> {
  const wanted = Number(values.port);
  const port = await freePort(wanted);
  if (port !== wanted) console.log(`Port ${wanted} is taken; using ${port}.`);
  const started = performance.now();
  const server = startServer(port);
  const stop = () => server.process.kill('SIGTERM');
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);

  const ready = await server.ready;
  if (ready === undefined) return 1;
  console.log(`Millrace is up at ${ready.url} (${seconds(performance.now() - started)})\n`);

  let ok = true;
  try {
    const credentials = JSON.parse(readFileSync(ready.credentials, 'utf8')) as Credentials;
    console.log(row('step', 'API call', 'rows', 'time'));
    console.log('-'.repeat(90));
    const jobStarted = performance.now();
    await runMainJob({ ...credentials, url: ready.url }, (step) => console.log(line(step)));
    console.log('-'.repeat(90));
    console.log(`Every number is as expected (${seconds(performance.now() - jobStarted)}).\n`);
  } catch (error) {
    ok = false;
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!values.exit && ok) {
    console.log(`URL          ${ready.url}        API reference ${ready.url}/docs`);
    console.log(`Credentials  ${ready.credentials}`);
    console.log('Serving until Ctrl-C.');
    await server.ended;
    return 0;
  }
  stop();
  await server.ended;
  return ok ? 0 : 1;
}

type Ready = { url: string; credentials: string };

/** The demo is a user like any other: it starts `millrace up` and reads its ready line. */
function startServer(port: number): { process: ChildProcess; ready: Promise<Ready | undefined>; ended: Promise<void> } {
  const bin = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../bin/millrace.js');
  const child = spawn(
    process.execPath,
    [bin, 'up', '--data', path.resolve(values.data), '--port', String(port), '--json'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      // Ctrl-C reaches the whole terminal group; the demo hands it on itself, once.
      detached: true,
    },
  );
  const ended = once(child, 'exit').then(() => undefined);
  const ready = new Promise<Ready | undefined>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (text.startsWith('{')) resolve(JSON.parse(text) as Ready);
    });
    void ended.then(() => resolve(undefined));
  });
  return { process: child, ready, ended };
}

/** The wanted port, or the next one that is free. */
async function freePort(wanted: number): Promise<number> {
  for (let port = wanted; port < wanted + 100; port++) {
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  return wanted;
}

function line(step: Step): string {
  const time = step.skipped === undefined ? seconds(step.ms) : `skipped: ${step.skipped}`;
  return row(step.name, step.call, step.rows === undefined ? '' : step.rows.toLocaleString('en-US'), time);
}

function row(name: string, call: string, rows: string, time: string): string {
  return `${name.padEnd(36)}${call.padEnd(33)}${rows.padStart(9)}  ${time.padStart(8)}`;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
