import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export type ProcessRow = { pid: number; ppid: number; command: string };

/** Every process of this machine, as far as it may be read. */
export function processTable(): ProcessRow[] {
  const rows: ProcessRow[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const after = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (after[0] === 'Z') continue;
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      rows.push({ pid: Number(name), ppid: Number(after[1]), command });
    } catch {
      // Gone between the listing and the look.
    }
  }
  return rows;
}

/** Processes that belong to a data directory: named in the command line, as working directory, or descended from one. */
export function processesOf(dataDirectory: string): ProcessRow[] {
  const rows = processTable().filter((row) => row.pid !== process.pid);
  const own = new Set<number>();
  for (const row of rows) {
    if (row.command.includes(dataDirectory) || workingDirectory(row.pid)?.startsWith(dataDirectory)) own.add(row.pid);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const row of rows) {
      if (!own.has(row.pid) && own.has(row.ppid)) {
        own.add(row.pid);
        grown = true;
      }
    }
  }
  return rows.filter((row) => own.has(row.pid));
}

export function kill9(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

function workingDirectory(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}
