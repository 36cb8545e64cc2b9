import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * One owner at a time for a directory, as a file that names its owner.
 *
 * Node has no flock, so the owner is known by process number and start time, which only mean something on the same
 * machine, since the same boot, in the same process namespace. From anywhere else (another container on a shared
 * volume, another machine, or this one before it rebooted) only the heartbeat tells: the owner touches the file, and a
 * file that nobody touched while we watched has no owner. The clock of the other side does not matter for that.
 */
export type DirectoryLock = {
  /** Whether the last owner had gone without releasing the lock: killed, or the machine lost power. */
  readonly wasStale: boolean;
  release(): void;
};

export type LockOwner = { pid: number; place: string; startTime: string };
export type LockResult = { lock: DirectoryLock } | { heldBy: LockOwner; isElsewhere: boolean };

const HEARTBEAT_MS = 2000;
const WATCH_MS = 8000;
/** Long enough for a rival that saw the same stale file to have made its move. */
const SETTLE_MS = 25;

export async function lockDirectory(file: string, options: { watchMs?: number } = {}): Promise<LockResult> {
  // The nonce tells two locks of one process apart.
  const nonce = randomBytes(6).toString('hex');
  const mine = JSON.stringify({ pid: process.pid, place: place(), startTime: startTimeOf(process.pid), nonce });
  let wasStale = false;
  for (;;) {
    if (create(file, mine)) {
      await sleep(SETTLE_MS);
      if (read(file) === mine) return { lock: hold(file, mine, wasStale) };
    }
    const found = read(file);
    if (found === undefined) continue;
    const owner = parse(found);
    if (owner) {
      const isElsewhere = owner.place !== place();
      const isAlive = isElsewhere
        ? await isTouched(file, options.watchMs ?? WATCH_MS)
        : startTimeOf(owner.pid) === owner.startTime;
      if (isAlive) return { heldBy: owner, isElsewhere };
    }
    wasStale = true;
    takeAway(file, found);
  }
}

/** A link appears with its content or not at all, and never replaces another. */
function create(file: string, content: string): boolean {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, content, { mode: 0o600 });
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Two rivals may see the same stale file; whoever catches the other's fresh one puts it back. */
function takeAway(file: string, stale: string): void {
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    if (read(aside) !== stale) linkSync(aside, file);
  } catch (error) {
    // A third one was quicker; the settling time lets the owner that lost its file notice.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function hold(file: string, mine: string, wasStale: boolean): DirectoryLock {
  const heartbeat = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(file, now, now);
    } catch {
      // Somebody removed the file by hand. The process namespace still protects us from rivals of this machine.
    }
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return {
    wasStale,
    release() {
      clearInterval(heartbeat);
      if (read(file) === mine) rmSync(file, { force: true });
    },
  };
}

async function isTouched(file: string, watchMs: number): Promise<boolean> {
  const before = touchedAt(file);
  const limit = Date.now() + watchMs;
  while (Date.now() < limit) {
    await sleep(Math.min(200, watchMs));
    if (touchedAt(file) !== before) return true;
  }
  return false;
}

function touchedAt(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parse(text: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(text) as LockOwner;
    return Number.isInteger(owner.pid) && typeof owner.place === 'string' ? owner : undefined;
  } catch {
    // Not ours or torn by a power cut: nobody holds it.
    return undefined;
  }
}

/** Boot and process namespace: within them a process number means the same process. */
function place(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    // No /proc: not Linux. Process numbers alone have to do.
    return process.platform;
  }
}

/** Undefined when there is no such process, or it has ended and only waits to be collected. */
export function startTimeOf(pid: number): string | undefined {
  if (process.platform !== 'linux') {
    try {
      process.kill(pid, 0);
      return 'unknown';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'unknown' : undefined;
    }
  }
  try {
    // The name in parentheses may itself hold spaces and parentheses.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    // No such process.
    return undefined;
  }
}
