import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMs, machineState } from './support/cpu.ts';
import { option, printTable, quantile, timed, treePssMb, usage } from './support/numbers.ts';
import { startServer } from './support/server.ts';

usage(`
(e) From \`millrace up\` to the line that says it is ready: in an empty folder, and again in the same one. CPU is what
    the server and its PostgreSQL took until then; on an idle machine the time is hardly more. Memory is the proportional
    set size of all processes after some seconds without a call.

  --rounds 3    of both starts
`);
const rounds = option('rounds', 3);

console.log(machineState());
const starts: Record<'first' | 'again', { ms: number; cpu: number; memory: number }[]> = { first: [], again: [] };
for (let round = 0; round < rounds; round++) {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'));
  try {
    for (const which of ['first', 'again'] as const) {
      const { ms, result: server } = await timed(() => startServer(folder));
      const cpu = cpuMs(server.pid);
      await sleep(5000);
      starts[which].push({ ms, cpu, memory: await treePssMb(server.pid) });
      await server.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
const row = (name: string, some: { ms: number; cpu: number; memory: number }[], aim: string) => [
  name,
  `${(Math.min(...some.map(({ ms }) => ms)) / 1000).toFixed(1)} s`,
  `${(
    quantile(
      some.map(({ ms }) => ms),
      0.5,
    ) / 1000
  ).toFixed(1)} s`,
  `${(
    quantile(
      some.map(({ cpu }) => cpu),
      0.5,
    ) / 1000
  ).toFixed(1)} s`,
  `${quantile(
    some.map(({ memory }) => memory),
    0.5,
  ).toFixed(0)} MB`,
  aim,
];
printTable('(e) start', [
  ['until ready', 'best', 'median', 'CPU', 'idle memory', 'aim'],
  row('first time', starts.first, '< 6 s'),
  row('existing data', starts.again, '< 2 s'),
]);
