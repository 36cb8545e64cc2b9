import { mkdir, open, readdir, rmdir, unlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import type { Database } from '../../db/database.ts';
import { uuidv7 } from '../../lib/ids.ts';
import type { ClaimedJob } from '../jobs/job-model.ts';
import {
  deleteStagedFiles,
  insertStagedFiles,
  isCommitted,
  listAbandonedFiles,
  listEarlierFiles,
  lockStagedFiles,
  type StagedFiles,
} from './staging-store.ts';

/** Gives writers a place for files that are not yet anybody's, and takes away what they leave. */
export class Staging {
  private readonly db: Database;

  constructor(parts: { db: Database }) {
    this.db = parts.db;
  }

  /** A prefix for new files in the directory, which is made if missing. Written down before any file can exist. */
  async open(job: ClaimedJob, directory: string): Promise<StagedFiles> {
    const staged: StagedFiles = {
      prefix: `ducklake-${uuidv7()}`,
      directory: directory.endsWith(sep) ? directory.slice(0, -1) : directory,
      projectId: job.projectId,
      jobId: job.id,
      claimToken: job.claimToken,
    };
    await insertStagedFiles(this.db, staged);
    await makeDirectory(staged.directory);
    return staged;
  }

  /**
   * Removes the files unless they were committed, which is safe to ask when nobody knows whether they were. For the
   * writer itself also when the row is gone: if a sweeper took it, files written since then are named by nothing else.
   */
  async discard(staged: StagedFiles): Promise<number> {
    return this.db.transaction(async (tx) => {
      await lockStagedFiles(tx, staged.prefix);
      const inLake = await isCommitted(tx, staged);
      let removed = 0;
      if (!inLake.files) {
        removed = await removeFiles(staged);
        if (!inLake.table) await removeEmptyDirectory(staged.directory);
      }
      await deleteStagedFiles(tx, staged.prefix);
      return removed;
    });
  }

  /** Before a job begins: what its earlier runs have left, on this or a crashed server. */
  async discardEarlier(job: ClaimedJob): Promise<void> {
    // A first run has no earlier one; asking would cost every load a round trip.
    if (job.attempt <= 1 && job.failures === 0 && job.handle === undefined) return;
    for (const staged of await listEarlierFiles(this.db, job.id, job.claimToken)) await this.discard(staged);
  }

  /** Everything whose writer is gone. Returns the number of files removed; what fails does not keep the rest. */
  async discardAbandoned(): Promise<number> {
    let removed = 0;
    const failures: unknown[] = [];
    for (const staged of await listAbandonedFiles(this.db)) {
      await this.discard(staged).then(
        (count) => {
          removed += count;
        },
        (error: unknown) => failures.push(error),
      );
    }
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} abandoned writes were not removed`);
    return removed;
  }
}

async function removeFiles(staged: StagedFiles): Promise<number> {
  const names = (await readdir(staged.directory).catch(ignoreMissing)) ?? [];
  const ours = names.filter((name) => name.startsWith(staged.prefix));
  for (const name of ours) await unlink(join(staged.directory, name)).catch(ignoreMissing);
  return ours.length;
}

/** Takes one file away that turned out not to be needed, while the others of its prefix are. */
export async function removeStagedFile(path: string): Promise<void> {
  await unlink(path).catch(ignoreMissing);
}

/** Makes a directory and sees to it that it is still there after a power failure. */
export async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    const parent = await open(dirname(made), 'r');
    try {
      await parent.sync();
    } finally {
      await parent.close();
    }
  }
}

/** Full or missing directories stay as they are. */
export async function removeEmptyDirectory(path: string): Promise<void> {
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  });
}

export function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
