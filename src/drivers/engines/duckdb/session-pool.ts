import { randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../../core/errors.ts';
import type { Logger } from '../../../lib/logger.ts';
import type { DataFile, Session, SessionColumn, SessionSpec } from '../contract.ts';
import type { SessionStart } from './session-main.ts';
import { findSandbox, type Sandbox } from './session-sandbox.ts';
import { startWorker, type WorkerProcess } from './worker-process.ts';

/**
 * Processes for SQL sessions. Starting one takes a tenth of a second of both cores, so
 *
 *   - after a session its process rests for a while, emptied, for the next session of the same tenant and no other
 *   - and one spare that has served nobody is kept ready, for as long as sessions keep coming.
 */
export type SessionPoolOptions = { directory: string; threads: number; log: Logger };

/** A process with its own directory: `inputs` (read-only for it, only used in a sandbox) and `work`. */
type Seat = { worker: WorkerProcess; root: string; inputs: string; work: string; sessions: number };

/** A seat on its way to being empty again, then waiting for its tenant. */
type Resting = { tenant: string; seat: Promise<Seat | undefined>; timer: NodeJS.Timeout };

const SPARE_IDLE_MS = 60_000;
const REST_MS = 30_000;
const MOST_RESTING = 4;
/** Whatever a process may gather over its sessions ends with it. */
const MOST_SESSIONS = 100;

const sessionEnded = () =>
  new AppError('unavailable', 'session.ended', 'The process of the SQL session ended unexpectedly.', {
    retryable: false,
  });

export class SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #sandbox: Sandbox | undefined;
  readonly #root: string;
  readonly #seats = new Set<Seat>();
  #resting: Resting[] = [];
  #spare: Promise<Seat> | undefined;
  #spareTimer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(options: SessionPoolOptions, root: string, sandbox: Sandbox | undefined) {
    this.#options = options;
    this.#root = root;
    this.#sandbox = sandbox;
  }

  /** Removes what sessions of an earlier server have left. */
  static async open(options: SessionPoolOptions): Promise<SessionPool> {
    const root = join(options.directory, 'sessions');
    await killLeftOvers(root);
    await rm(root, { recursive: true, force: true });
    await mkdir(root, { recursive: true, mode: 0o700 });
    return new SessionPool(options, root, await findSandbox());
  }

  async take(spec: SessionSpec, signal?: AbortSignal): Promise<Session> {
    signal?.throwIfAborted();
    if (this.#closed) throw sessionEnded();
    const seat = await this.#seat(spec.tenant);
    seat.sessions += 1;
    try {
      const start: SessionStart = {
        tables: await this.#visibleTables(seat, spec.tables),
        directory: seat.work,
        memoryLimitMb: spec.memoryLimitMb,
        threads: this.#options.threads,
      };
      await seat.worker.call('start', start, signal);
    } catch (thrown) {
      await this.#leave(seat);
      throw thrown;
    }
    this.#prepareSpare();
    return this.#session(seat, spec);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#spareTimer);
    for (const { timer } of this.#resting) clearTimeout(timer);
    await this.#spare?.catch(() => undefined);
    await Promise.all([...this.#seats].map((seat) => this.#leave(seat)));
    await rm(this.#root, { recursive: true, force: true });
  }

  async #seat(tenant: string | undefined): Promise<Seat> {
    for (let resting = this.#wake(tenant); resting !== undefined; resting = this.#wake(tenant)) {
      const seat = await resting.seat;
      if (seat?.worker.alive) return seat;
      if (seat !== undefined) await this.#leave(seat);
    }
    const spare = await this.#takeSpare();
    if (spare?.worker.alive) return spare;
    if (spare !== undefined) await this.#leave(spare);
    return await this.#open();
  }

  #wake(tenant: string | undefined): Resting | undefined {
    const index = this.#resting.findIndex((resting) => resting.tenant === tenant);
    if (index === -1) return undefined;
    const [resting] = this.#resting.splice(index, 1);
    clearTimeout(resting?.timer);
    return resting;
  }

  /** Out of the pool before anything is awaited: two sessions must not get the same process. */
  async #takeSpare(): Promise<Seat | undefined> {
    const spare = this.#spare;
    this.#spare = undefined;
    clearTimeout(this.#spareTimer);
    return await spare?.catch(() => undefined);
  }

  #prepareSpare(): void {
    if (this.#closed || this.#spare !== undefined) return;
    this.#spare = this.#open();
    this.#spare.catch((error) => this.#options.log.warn(error, 'no spare SQL session'));
    clearTimeout(this.#spareTimer);
    this.#spareTimer = setTimeout(() => void this.#dropSpare(), SPARE_IDLE_MS);
    this.#spareTimer.unref();
  }

  async #dropSpare(): Promise<void> {
    const spare = await this.#takeSpare();
    if (spare !== undefined) await this.#leave(spare);
  }

  async #open(): Promise<Seat> {
    const root = join(this.#root, randomBytes(6).toString('hex'));
    const seatFolders = { root, inputs: join(root, 'inputs'), work: join(root, 'work') };
    await mkdir(seatFolders.inputs, { recursive: true, mode: 0o700 });
    await mkdir(seatFolders.work, { mode: 0o700 });
    const wrap = this.#sandbox?.wrap(seatFolders) ?? [];
    const worker = startWorker({ entry: 'session-main.js', log: this.#options.log, lost: sessionEnded, wrap });
    const seat: Seat = { ...seatFolders, worker, sessions: 0 };
    this.#seats.add(seat);
    return seat;
  }

  /** Ends a session: its process rests for its tenant, or dies where it may not be used again. */
  async #end(seat: Seat, tenant: string | undefined): Promise<void> {
    const isReusable = seat.worker.alive && seat.worker.inFlight === 0 && seat.sessions < MOST_SESSIONS;
    if (tenant === undefined || this.#closed || !isReusable || this.#resting.length >= MOST_RESTING) {
      return this.#leave(seat);
    }
    const resting: Resting = {
      tenant,
      seat: this.#empty(seat),
      timer: setTimeout(() => {
        this.#resting = this.#resting.filter((other) => other !== resting);
        void this.#leave(seat);
      }, REST_MS),
    };
    resting.timer.unref();
    this.#resting.push(resting);
  }

  /** Undefined when it would not be emptied; then it is gone. */
  async #empty(seat: Seat): Promise<Seat | undefined> {
    try {
      await seat.worker.call('rest', {});
      for (const folder of [seat.inputs, seat.work]) {
        for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
      }
      return seat;
    } catch (error) {
      this.#options.log.warn({ err: error }, 'a session process could not be emptied');
      await this.#leave(seat);
      return undefined;
    }
  }

  async #leave(seat: Seat): Promise<void> {
    await seat.worker.kill();
    this.#seats.delete(seat);
    await rm(seat.root, { recursive: true, force: true });
  }

  /** A sandboxed process sees only its own directory: input files are hard-linked into it, which copies nothing. */
  async #visibleTables(seat: Seat, tables: SessionSpec['tables']): Promise<SessionSpec['tables']> {
    if (this.#sandbox === undefined) return tables;
    const linked = new Map<string, string>();
    const show = async (path: string): Promise<string> => {
      const known = linked.get(path);
      if (known !== undefined) return known;
      const visible = join(seat.inputs, `${linked.size}.parquet`);
      linked.set(path, visible);
      await link(path, visible).catch(() => copyFile(path, visible)); // another disk, or links refused
      return visible;
    };
    const showFile = async (file: DataFile): Promise<DataFile> => {
      const path = await show(file.path);
      if (file.deleteFile === undefined) return { ...file, path };
      return { ...file, path, deleteFile: { ...file.deleteFile, path: await show(file.deleteFile.path) } };
    };
    const shown: SessionSpec['tables'] = [];
    for (const table of tables) {
      const files: DataFile[] = [];
      for (const file of table.version.files) files.push(await showFile(file));
      shown.push({ ...table, version: { ...table.version, files } });
    }
    return shown;
  }

  #session(seat: Seat, spec: SessionSpec): Session {
    let exported = 0;
    return {
      run: async (sql, signal) => {
        await seat.worker.call('run', { sql }, signal);
      },
      describe: async (table) =>
        ((await seat.worker.call('describe', { table })) as SessionColumn[] | null) ?? undefined,
      exportTable: async (table) => {
        exported += 1;
        const name = `table-${exported}.parquet`;
        const inside = join(seat.work, name);
        const rows = (await seat.worker.call('exportTable', { table, path: inside })) as number;
        const path = join(spec.workDirectory, `${spec.sessionId}-${name}`);
        await rename(inside, path).catch(() => copyFile(inside, path)); // another disk
        return { path, rows };
      },
      close: () => this.#end(seat, spec.tenant),
    };
  }
}

/** A sandbox that was being set up when its server was killed can live on; its arguments name our folder. */
async function killLeftOvers(root: string): Promise<void> {
  for (const name of await readdir('/proc').catch(() => [])) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (!command.startsWith('bwrap') || !command.includes(`${root}/`)) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended meanwhile.
    }
  }
}
