import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, lstatSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cp, lchown, readdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../../../core/errors.ts';
import type { LogChunk, PipedRun, Recovery, RunExit, RunHandle, RunSpec, Runtime, RuntimeFacts } from '../contract.ts';
import { followLogs } from '../log-files.ts';
import {
  groupOf,
  type LaunchFacts,
  type LaunchPlan,
  launchCommand,
  launchEnvironment,
  markerOf,
  passwdOf,
  scratchOf,
  sharedMemoryOf,
} from './launch.ts';
import { LiveRun } from './live-run.ts';
import {
  bootId,
  findMembers,
  isAlive,
  isUserBusy,
  readProcess,
  signalProcess,
  threadsOfUser,
} from './process-table.ts';
import { hasExit, type RunNotes, readExit, readNotes, writeNotes } from './run-files.ts';

const run = promisify(execFile);

export type ProcessRuntimeOptions = {
  /** `auto`: bubblewrap where it is installed and works, else plain with a warning. */
  mode: 'auto' | 'bubblewrap' | 'plain';
  log: { warn(message: string): void };
};

/**
 * Runs programs as child processes that outlive the server: in a bubblewrap sandbox, or plainly with a scrubbed
 * environment and, when the server is root, a user id of their own.
 */
export async function openProcessRuntime({ mode, log }: ProcessRuntimeOptions): Promise<ProcessRuntime> {
  const plain: LaunchFacts = {
    mode: 'plain',
    isRoot: process.getuid?.() === 0,
    bubblewrap: findProgram('bwrap'),
    setpriv: findProgram('setpriv'),
    timeout: findProgram('timeout'),
  };
  if (mode === 'plain') return new ProcessRuntime(plain);
  const sandboxed: LaunchFacts = { ...plain, mode: 'bubblewrap' };
  const problem = await sandboxProblem(sandboxed);
  if (problem === undefined) return new ProcessRuntime(sandboxed);
  if (mode === 'bubblewrap') return new ProcessRuntime(sandboxed, problem);
  log.warn(`Components run without a sandbox: ${problem}`);
  return new ProcessRuntime(plain);
}

export class ProcessRuntime implements Runtime {
  readonly name = 'process';
  readonly facts: RuntimeFacts;
  readonly mode: LaunchFacts['mode'];
  readonly #launch: LaunchFacts;
  readonly #problem: string | undefined;
  readonly #live = new Map<string, LiveRun>();
  readonly #uids = new Set<number>();
  /** Work roots made outside of the data directory. */
  readonly #ownRoots = new Set<string>();

  constructor(launch: LaunchFacts, problem?: string) {
    this.#launch = launch;
    this.#problem = problem;
    this.mode = launch.mode;
    this.facts = { isolated: launch.mode === 'bubblewrap', runs: 'command', canLimitMemory: true };
  }

  async check(): Promise<void> {
    if (this.#problem !== undefined) throw unusable(this.#problem);
    if (process.platform !== 'linux') throw unusable('the process runtime needs Linux (/proc)');
    if (this.#launch.isRoot && !this.#launch.setpriv) {
      throw unusable('as root it needs setpriv to give programs a user id of their own; install util-linux');
    }
  }

  async workRoot(preferred: string): Promise<string> {
    // A sandbox is set up by ourselves; a plain program of another user must get through every folder above by itself.
    if (this.mode === 'bubblewrap' || !this.#launch.isRoot || isReachable(preferred)) return preferred;
    const name = `millrace-${createHash('sha256').update(preferred).digest('hex').slice(0, 16)}`;
    const folder = join(tmpdir(), name);
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    const { uid } = lstatSync(folder);
    // The name can be guessed: somebody else's folder would give them our programs.
    if (uid !== process.getuid?.() || !lstatSync(folder).isDirectory())
      throw unusable(`${folder} belongs to somebody else`);
    this.#ownRoots.add(folder);
    return folder;
  }

  handleOf(spec: RunSpec): RunHandle {
    return { runtime: this.name, id: spec.id, logDirectory: spec.logDirectory };
  }

  async start(spec: RunSpec, signal?: AbortSignal): Promise<RunHandle> {
    await this.#start(spec, false, signal);
    return this.handleOf(spec);
  }

  async startPiped(spec: RunSpec, signal?: AbortSignal): Promise<PipedRun> {
    const { stdin, stdout } = await this.#start(spec, true, signal);
    if (!stdin || !stdout) throw new Error('a piped program was started without pipes');
    return { handle: this.handleOf(spec), stdin, stdout };
  }

  async #start(spec: RunSpec, isPiped: boolean, signal?: AbortSignal): Promise<ChildProcess> {
    await this.check();
    const uid = this.#launch.isRoot ? this.#takeUid() : undefined;
    try {
      const plan = { ...(await this.#prepare(spec, uid)), isPiped };
      signal?.throwIfAborted();
      return this.#spawn(plan);
    } catch (error) {
      if (uid !== undefined) this.#uids.delete(uid);
      rmSync(join(spec.logDirectory, 'run.json'), { force: true });
      throw error;
    }
  }

  async wait(handle: RunHandle): Promise<RunExit> {
    return this.#live.get(handle.id)?.ended ?? readExit(handle.logDirectory);
  }

  async stop(handle: RunHandle, graceMs: number): Promise<void> {
    await this.#live.get(handle.id)?.stop(graceMs);
  }

  async remove(handle: RunHandle): Promise<void> {
    await this.stop(handle, 0);
    this.#live.delete(handle.id);
    const made = ['tmp', 'shm', 'passwd', 'group', 'run.json', 'exit', 'reason', 'stdout.log', 'stderr.log', 'code'];
    for (const name of made) rmSync(join(handle.logDirectory, name), { recursive: true, force: true });
  }

  async recover(handle: RunHandle): Promise<Recovery> {
    if (this.#live.has(handle.id)) return 'adopted';
    const notes = readNotes(handle.logDirectory);
    if (!notes || notes.id !== handle.id) return 'never-started';
    const witness = notes.process;
    const isOurs = witness !== undefined && witness.bootId === bootId();
    if (isOurs && isAlive(witness.pid, witness.startTime)) {
      if (notes.uid !== undefined) this.#uids.add(notes.uid);
      this.#watch(handle, { ...notes, process: witness });
      return 'adopted';
    }
    const session = isOurs && !readProcess(witness.pid) ? [witness.pid] : [];
    await endLeftovers(handle.id, session);
    return hasExit(handle.logDirectory) ? 'adopted' : 'lost';
  }

  async *logs(handle: RunHandle, from = { stdout: 0, stderr: 0 }): AsyncGenerator<LogChunk> {
    yield* followLogs(handle.logDirectory, from, this.#live.get(handle.id)?.ended ?? Promise.resolve());
  }

  async close(): Promise<void> {
    for (const live of this.#live.values()) live.release();
    this.#live.clear();
    for (const folder of this.#ownRoots) {
      // Stays while runs live in it.
      await rmdir(folder).catch(() => undefined);
    }
  }

  async #prepare(spec: RunSpec, uid: number | undefined): Promise<Omit<LaunchPlan, 'isPiped'>> {
    mkdirSync(spec.logDirectory, { recursive: true, mode: 0o711 });
    for (const folder of [scratchOf(spec), sharedMemoryOf(spec)]) mkdirSync(folder, { recursive: true, mode: 0o700 });
    const relocated = new Map<string, string>();
    if (this.mode === 'bubblewrap') {
      const id = uid ?? process.getuid?.() ?? 0;
      writeFileSync(passwdOf(spec), `root:x:0:0::/:/bin/sh\ncomponent:x:${id}:${id}::/tmp:/bin/sh\n`, { mode: 0o644 });
      writeFileSync(groupOf(spec), `root:x:0:\ncomponent:x:${id}:\n`, { mode: 0o644 });
    }
    if (uid !== undefined) {
      for (const [index, path] of spec.readOnlyPaths.entries()) {
        if (this.mode === 'bubblewrap' ? isOpenToAll(path) : isReachable(path)) continue;
        const copy = join(spec.logDirectory, 'code', String(index));
        mkdirSync(dirname(copy), { recursive: true, mode: 0o711 });
        // Links of a folder to itself must lead to the copy.
        await cp(path, copy, { recursive: true, verbatimSymlinks: true });
        await giveTo(copy, uid);
        relocated.set(path, copy);
      }
      await Promise.all([spec.workDirectory, scratchOf(spec), sharedMemoryOf(spec)].map((path) => giveTo(path, uid)));
    }
    return { spec, uid, relocated, processes: spec.limits.processes + this.#othersProcesses(uid) };
  }

  /** RLIMIT_NPROC counts everything of a user: without a user id or namespace of its own, others must be allowed for. */
  #othersProcesses(uid: number | undefined): number {
    if (uid !== undefined || this.mode === 'bubblewrap') return 0;
    return threadsOfUser(process.getuid?.() ?? 0);
  }

  #spawn(plan: LaunchPlan): ChildProcess {
    const { spec, uid } = plan;
    const [program, ...args] = launchCommand(this.#launch, plan);
    const startedAt = new Date();
    const notes: RunNotes = {
      id: spec.id,
      mode: this.mode,
      uid,
      startedAt: startedAt.toISOString(),
      deadline: startedAt.getTime() + spec.limits.timeoutMs,
      limits: spec.limits,
    };
    // Known before it lives: a server that dies in the next line leaves a note to look for the marker.
    writeNotes(spec.logDirectory, notes);
    const child = spawn(program as string, args, {
      cwd: '/',
      env: launchEnvironment(this.#launch, plan),
      detached: true,
      stdio: plan.isPiped ? ['pipe', 'pipe', 'ignore'] : 'ignore',
    });
    if (child.pid === undefined) {
      child.on('error', () => undefined);
      throw unusable('/bin/sh could not be started');
    }
    const witness = { pid: child.pid, startTime: readProcess(child.pid)?.startTime ?? 0, bootId: bootId() };
    const started = { ...notes, process: witness };
    writeNotes(spec.logDirectory, started);
    // The program must not keep a server alive that wants to end.
    child.unref();
    this.#watch(this.handleOf(spec), started, child);
    return child;
  }

  #watch(handle: RunHandle, notes: RunNotes & { process: object }, child?: ReturnType<typeof spawn>): void {
    const live = new LiveRun(this.#launch, handle.logDirectory, notes, child);
    this.#live.set(handle.id, live);
    live.ended.then(() => notes.uid !== undefined && this.#uids.delete(notes.uid));
  }

  /** An id that no process has; drawn at random, so that two servers on one machine do not take the same one. */
  #takeUid(): number {
    for (let attempt = 0; attempt < 100; attempt++) {
      const uid = firstUid + Math.floor(Math.random() * uidCount);
      if (this.#uids.has(uid) || isUserBusy(uid)) continue;
      this.#uids.add(uid);
      return uid;
    }
    throw unusable('all user ids set aside for programs are in use');
  }
}

/** Below Debian's and systemd's reserved ranges and far above what user accounts reach. */
const firstUid = 56000;
const uidCount = 3000;

const unusable = (reason: string) =>
  new AppError('unavailable', 'runtime.unusable', `The process runtime cannot work here: ${reason}`, {
    retryable: false,
  });

function findProgram(name: string): string | undefined {
  return ['/usr/bin', '/bin', '/usr/local/bin', '/usr/sbin', '/sbin']
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Tries a sandbox for real: it may be installed and yet forbidden (containers without rights, hardened kernels). */
async function sandboxProblem(facts: LaunchFacts): Promise<string | undefined> {
  if (!facts.bubblewrap) return 'bubblewrap is not installed (Debian: apt-get install bubblewrap)';
  const namespaces = ['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-net', '--die-with-parent'];
  const user = facts.isRoot ? [] : ['--unshare-user'];
  const asUser =
    facts.isRoot && facts.setpriv
      ? [facts.setpriv, `--reuid=${firstUid}`, `--regid=${firstUid}`, '--clear-groups']
      : [];
  const probe = ['--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', '--', ...asUser, '/bin/sh', '-c', 'exit 0'];
  try {
    await run(facts.bubblewrap, [...namespaces, ...user, ...probe], { timeout: 5000, env: {} });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    const said = (stderr?.trim() || message).split('\n')[0];
    return `bubblewrap is installed but does not work here (${said}); allow user namespaces or run the server with more rights`;
  }
}

/** Whether a program of any user id gets to this path by itself. A path that does not exist yet is judged by its parents. */
function isReachable(path: string): boolean {
  return isOpenToAll(path) && (dirname(path) === path || isReachable(dirname(path)));
}

function isOpenToAll(path: string): boolean {
  try {
    const { mode } = statSync(path);
    return (mode & 0o001) !== 0;
  } catch {
    return true;
  }
}

async function giveTo(path: string, uid: number): Promise<void> {
  await lchown(path, uid, uid);
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  await Promise.all(
    entries.map((entry) => {
      const inner = join(path, entry.name);
      return entry.isDirectory() ? giveTo(inner, uid) : lchown(inner, uid, uid);
    }),
  );
}

/** Ends what a run left behind whose witness is gone. */
async function endLeftovers(id: string, sessions: number[]): Promise<void> {
  for (;;) {
    const members = findMembers({ marker: markerOf(id), sessions: new Set(sessions) });
    if (members.length === 0) return;
    for (const { pid } of members) signalProcess(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
