import { readdirSync, readFileSync, statSync } from 'node:fs';

/** What Linux tells about one process. `startTime` (clock ticks since boot) makes a pid unique while the machine runs. */
export type ProcessEntry = {
  pid: number;
  parent: number;
  group: number;
  session: number;
  startTime: number;
  threads: number;
  residentBytes: number;
  command: string;
  isZombie: boolean;
};

const pageBytes = 4096;

export function readProcess(pid: number): ProcessEntry | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // gone
  }
  // The command stands in parentheses and may itself hold spaces and parentheses: the last one closes it.
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  return {
    pid,
    parent: field(4),
    group: field(5),
    session: field(6),
    startTime: field(22),
    threads: field(20),
    residentBytes: field(24) * pageBytes,
    command: text.slice(text.indexOf('(') + 1, close),
    isZombie: fields[0] === 'Z' || fields[0] === 'X',
  };
}

export function isAlive(pid: number, startTime: number): boolean {
  const entry = readProcess(pid);
  return entry !== undefined && entry.startTime === startTime && !entry.isZombie;
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

export function listPids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** All descendants of a process, by the kernel's list of children: a few reads however many processes there are. */
export function descendants(pid: number): ProcessEntry[] {
  const found: ProcessEntry[] = [];
  const queue = [pid];
  const seen = new Set(queue);
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    for (const child of childrenOf(at)) {
      if (seen.has(child)) continue;
      seen.add(child);
      queue.push(child);
      const entry = readProcess(child);
      if (entry && !entry.isZombie) found.push(entry);
    }
  }
  return found;
}

function childrenOf(pid: number): number[] {
  let text = '';
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      text += readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1');
    }
  } catch {
    // The process or the thread has gone meanwhile: its children are found elsewhere or at the next look.
  }
  return text.split(' ').filter(Boolean).map(Number);
}

/** What belongs to a run although it may have left its process group, its session and its parent. */
export type Membership = { marker: string; sessions: Set<number>; uid?: number };

/** Reads the whole process table: used at the end of a run and now and then, not at every look. */
export function findMembers(membership: Membership): ProcessEntry[] {
  const members: ProcessEntry[] = [];
  for (const pid of listPids()) {
    if (pid === process.pid) continue;
    const entry = readProcess(pid);
    if (!entry || entry.isZombie) continue;
    if (belongs(entry, membership)) members.push(entry);
  }
  return members;
}

function belongs(entry: ProcessEntry, { marker, sessions, uid }: Membership): boolean {
  if (sessions.has(entry.session)) return true;
  try {
    if (uid !== undefined) return statSync(`/proc/${entry.pid}`).uid === uid;
    return readFileSync(`/proc/${entry.pid}/environ`, 'latin1').includes(marker);
  } catch {
    return false; // gone, or of another user and therefore none of ours
  }
}

/** Memory of several processes: resident sizes first, which count shared pages several times and are cheap. */
export function memoryBytes(entries: ProcessEntry[], limitBytes: number): number {
  const resident = entries.reduce((sum, entry) => sum + entry.residentBytes, 0);
  if (resident <= limitBytes) return resident;
  // Over the limit only if it is also so with every shared page counted once.
  return entries.reduce((sum, entry) => sum + (proportionalBytes(entry.pid) ?? entry.residentBytes), 0);
}

function proportionalBytes(pid: number): number | undefined {
  try {
    const line = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'));
    return line ? Number(line[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

/** Threads of all processes of a user: what RLIMIT_NPROC counts. */
export function threadsOfUser(uid: number): number {
  let threads = 0;
  for (const pid of listPids()) {
    try {
      if (statSync(`/proc/${pid}`).uid === uid) threads += readProcess(pid)?.threads ?? 0;
    } catch {
      // gone
    }
  }
  return threads;
}

/** Whether a user has live processes. The dead that nobody has collected yet do not count. */
export function isUserBusy(uid: number): boolean {
  return listPids().some((pid) => {
    try {
      return statSync(`/proc/${pid}`).uid === uid && readProcess(pid)?.isZombie === false;
    } catch {
      return false;
    }
  });
}

export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
