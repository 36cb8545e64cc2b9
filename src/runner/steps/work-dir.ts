import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Runtime } from '../../drivers/runtimes/contract.ts';

/**
 * <jobs>/<job id>/<row index>/data    what the program sees (config.json, in/, out/)
 *                            /log     output and notes of the runtime
 *                            /load    files of ours on their way into storage
 *
 * The folders are the state of a job while it runs: they are left as they are when the server stops, and removed once
 * the job has ended.
 */
export type RowPaths = { home: string; data: string; log: string; load: string };

export function rowPaths(jobsDirectory: string, jobId: number, row: number): RowPaths {
  const home = join(jobsDirectory, String(jobId), String(row));
  return { home, data: join(home, 'data'), log: join(home, 'log'), load: join(home, 'load') };
}

/** Empty folders for a row that starts from its beginning. What it had on its way into storage stays. */
export async function makeWorkDirectory(jobsDirectory: string, jobId: number, row: number): Promise<RowPaths> {
  const paths = rowPaths(jobsDirectory, jobId, row);
  await removeTree(paths.data);
  await removeTree(paths.log);
  // A program with a user id of its own passes through, and sees no list of others.
  for (const folder of [jobsDirectory, join(jobsDirectory, String(jobId)), paths.home]) {
    await mkdir(folder, { recursive: true, mode: 0o711 });
  }
  await mkdir(paths.load, { recursive: true, mode: 0o700 });
  await mkdir(paths.data, { mode: 0o700 });
  const folders = ['in/tables', 'in/files', 'in/user', 'out/tables', 'out/files'];
  await Promise.all(folders.map((folder) => mkdir(join(paths.data, folder), { recursive: true })));
  return paths;
}

export async function removeJobDirectory(jobsDirectory: string, jobId: number): Promise<void> {
  await removeTree(join(jobsDirectory, String(jobId)));
}

/** Removes also what a program has made unreadable, which needs help where the server is not root. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await openFolders(path);
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function openFolders(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isDirectory()) return;
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await openFolders(join(path, entry.name));
  }
}

/**
 * Once at start: removes the folders of jobs that are over, which a crash between a job's end and its clean-up leaves,
 * and ends what still runs in them.
 */
export async function sweepJobDirectories(parts: {
  jobsDirectory: string;
  runtime: Runtime;
  /** Those of the given jobs that still have to end. */
  unfinished(jobIds: number[]): Promise<number[]>;
}): Promise<number> {
  const { runtime, jobsDirectory, unfinished } = parts;
  let removed = 0;
  for (const root of new Set([jobsDirectory, await runtime.workRoot(jobsDirectory)])) {
    const names = await readdir(root).catch(() => []);
    const ids = names.filter((name) => /^\d+$/.test(name)).map(Number);
    const living = new Set(ids.length > 0 ? await unfinished(ids) : []);
    for (const id of ids.filter((job) => !living.has(job))) {
      await discardIn(root, runtime, id);
      removed++;
    }
  }
  return removed;
}

/** The same for one job that has just ended. `isFree` resolves once nobody reads the job's files any more. */
export async function discardWork(parts: {
  jobsDirectory: string;
  runtime: Runtime;
  jobId: number;
  isFree(): Promise<void>;
}): Promise<void> {
  const { runtime, jobsDirectory, jobId, isFree } = parts;
  for (const root of new Set([jobsDirectory, await runtime.workRoot(jobsDirectory)])) {
    if (!(await lstat(join(root, String(jobId))).catch(() => undefined))) continue;
    await isFree();
    await discardIn(root, runtime, jobId);
  }
}

async function discardIn(root: string, runtime: Runtime, jobId: number): Promise<void> {
  for (const row of await readdir(join(root, String(jobId))).catch(() => [])) {
    const { log } = rowPaths(root, jobId, Number(row));
    const handle = { runtime: runtime.name, id: runId(jobId, Number(row)), logDirectory: log };
    if ((await runtime.recover(handle)) === 'adopted') await runtime.remove(handle);
  }
  await removeJobDirectory(root, jobId);
}

/** Names a program of a job in process lists. */
export const runId = (jobId: number, row: number) => `job-${jobId}-${row}`;
