import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';

/** CPU time of the processes and all their descendants so far, in ms. Only where there is /proc; else NaN. */
export function cpuMs(...roots: number[]): number {
  if (process.platform !== 'linux') return Number.NaN;
  const parents = new Map<number, number>();
  const times = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      parents.set(Number(name), fields[1] ?? 0);
      times.set(Number(name), (fields[11] ?? 0) + (fields[12] ?? 0));
    } catch {
      // Gone between the listing and the look.
    }
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (roots.includes(pid) || isBelow(parents.get(pid)));
  let ticks = 0;
  for (const [pid, time] of times) if (isBelow(pid)) ticks += time;
  return ticks * msPerTick();
}

let tick: number | undefined;

function msPerTick(): number {
  tick ??= 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return tick;
}

/** One line on what was measured where, because nothing else explains numbers that differ from the last ones. */
export function machineState(): string {
  const all = cpus();
  const load = loadavg()
    .map((one) => one.toFixed(1))
    .join(' ');
  const gib = Math.round(totalmem() / 2 ** 30);
  const busy = (loadavg()[0] ?? 0) > 0.5 ? ' (others work here too: look at the ratios and the CPU time per call)' : '';
  return `${all.length} x ${all[0]?.model.trim()}, ${gib} GiB, Node ${process.versions.node}, load ${load}${busy}`;
}
