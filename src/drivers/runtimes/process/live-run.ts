import { type ChildProcess, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunExit } from '../contract.ts';
import { logNames } from '../log-files.ts';
import { type LaunchFacts, markerOf } from './launch.ts';
import {
  descendants,
  findMembers,
  isAlive,
  isUserBusy,
  memoryBytes,
  type ProcessEntry,
  readProcess,
  signalProcess,
} from './process-table.ts';
import { hasExit, type KillReason, type RunNotes, readExit, writeReason } from './run-files.ts';

const lookMs = 100;
const killAgainMs = 20;
/** Every so many looks the whole process table is read, for processes that left the tree. */
const looksPerScan = 5;
/** The sandbox's own processes: a polite signal to them would end the sandbox at once. */
const wrappers = new Set(['bwrap', 'timeout']);

/** A run under watch: enforces the limits that the kernel does not, and knows when the last process is gone. */
export class LiveRun {
  readonly ended: Promise<RunExit>;
  readonly notes: RunNotes;
  readonly #directory: string;
  readonly #facts: LaunchFacts;
  readonly #witness: { pid: number; startTime: number };
  /** Processes seen in the tree so far: a member that was orphaned is still known by pid and start time. */
  readonly #known = new Map<number, number>();
  readonly #timers: (() => void)[] = [];
  #looks = 0;
  #isOver = false;
  #isKilling = false;

  constructor(facts: LaunchFacts, directory: string, notes: RunNotes & { process: object }, child?: ChildProcess) {
    this.#facts = facts;
    this.#directory = directory;
    this.notes = notes;
    this.#witness = notes.process as { pid: number; startTime: number };
    this.ended = this.#finish(child);
    const interval = setInterval(() => this.#look(), lookMs);
    const deadline = setTimeout(() => this.kill('timeout'), Math.max(0, notes.deadline - Date.now()));
    this.#timers.push(
      () => clearInterval(interval),
      () => clearTimeout(deadline),
    );
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#isOver) return;
    writeReason(this.#directory, 'stopped');
    if (graceMs > 0) {
      for (const { pid, command } of this.#members('all')) if (!wrappers.has(command)) signalProcess(pid, 'SIGTERM');
      const cancel = new AbortController();
      await Promise.race([this.ended, sleep(graceMs, undefined, { signal: cancel.signal }).catch(() => undefined)]);
      cancel.abort();
    }
    if (!this.#isOver) this.kill('stopped');
    await this.ended;
  }

  kill(reason: KillReason): void {
    if (this.#isOver) return;
    writeReason(this.#directory, reason);
    this.#killMembers();
    if (this.#isKilling) return;
    this.#isKilling = true;
    // A run that was started this very moment has no member yet: again, until it is over.
    const again = setInterval(() => this.#killMembers(), killAgainMs);
    this.#timers.push(() => clearInterval(again));
  }

  /** Ends the watch and leaves the program alone. */
  release(): void {
    for (const stop of this.#timers.splice(0)) stop();
  }

  async #finish(child: ChildProcess | undefined): Promise<RunExit> {
    if (child) await new Promise<void>((resolve) => child.once('exit', () => resolve()));
    else while (isAlive(this.#witness.pid, this.#witness.startTime)) await sleep(lookMs / 4);
    // With a pid namespace and a witness that had its say, the kernel has already ended everything.
    if (this.notes.mode === 'plain' || !hasExit(this.#directory)) {
      while (this.#killMembers() > 0) await sleep(5);
    }
    this.#isOver = true;
    this.release();
    return readExit(this.#directory);
  }

  #look(): void {
    const { limits } = this.notes;
    const members = this.#members(this.#looks++ % looksPerScan === looksPerScan - 1 ? 'all' : 'tree');
    const memoryLimit = limits.memoryMb * 1024 * 1024;
    if (memoryBytes(members, memoryLimit) > memoryLimit) this.kill('out-of-memory');
    const logSizes = Object.values(logNames).map((name) => sizeOf(join(this.#directory, name)));
    if (Math.max(...logSizes) >= limits.logBytes) this.kill('output-limit');
  }

  /** Returns how many there were. Called until there are none: a fork bomb is faster than one reading. */
  #killMembers(): number {
    const { uid, mode } = this.notes;
    if (mode === 'bubblewrap' && isAlive(this.#witness.pid, this.#witness.startTime)) {
      // Down the line of wrappers: the sandbox dies with its parent, and its pid namespace with it.
      const members = descendants(this.#witness.pid);
      for (const { pid } of members) signalProcess(pid, 'SIGKILL');
      return members.length;
    }
    if (uid !== undefined && this.#facts.setpriv) {
      // The user id is this run's alone, and "everybody you may signal" is the one call that no fork outruns.
      if (!isUserBusy(uid)) return 0;
      const asUser = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
      spawnSync(this.#facts.setpriv, [...asUser, '/bin/sh', '-c', 'kill -KILL -1'], { env: {}, stdio: 'ignore' });
      return 1;
    }
    const members = this.#members('all');
    for (const { pid } of members) signalProcess(pid, 'SIGSTOP');
    for (const { pid } of members) signalProcess(pid, 'SIGKILL');
    return members.length;
  }

  /** Everything of the run but the witness. */
  #members(reach: 'tree' | 'all'): ProcessEntry[] {
    const members = new Map<number, ProcessEntry>();
    const add = (entry: ProcessEntry) => {
      if (entry.pid !== this.#witness.pid) members.set(entry.pid, entry);
    };
    if (isAlive(this.#witness.pid, this.#witness.startTime)) descendants(this.#witness.pid).forEach(add);
    for (const [pid, startTime] of this.#known) {
      const entry = members.has(pid) ? undefined : readProcess(pid);
      if (entry && entry.startTime === startTime && !entry.isZombie) [entry, ...descendants(pid)].forEach(add);
      else if (!members.has(pid)) this.#known.delete(pid);
    }
    if (reach === 'all' && this.notes.mode === 'plain') {
      const { uid } = this.notes;
      const membership = { marker: markerOf(this.notes.id), sessions: new Set([this.#witness.pid]) };
      findMembers(uid === undefined ? membership : { ...membership, uid, sessions: new Set() }).forEach(add);
    }
    for (const { pid, startTime } of members.values()) this.#known.set(pid, startTime);
    return [...members.values()];
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0; // not opened yet
  }
}
