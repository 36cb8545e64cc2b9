/**
 * Takes away files nobody needs: what crashed or superseded writers left, and versions past retention.
 *
 * It deletes only what rows name, files or the prefix of files; so whatever it does not know of stays.
 */
import { unlink } from 'node:fs/promises';
import { sep } from 'node:path';
import type { Database } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/logger.ts';
import { EXPORT_MAX_AGE_DAYS } from '../files/file-model.ts';
import { deleteOldExports } from './export-cache-store.ts';
import { listLakeProjects } from './lake-store.ts';
import { ignoreMissing, removeEmptyDirectory, Staging } from './staging.ts';
import {
  deleteScheduledFiles,
  expireSnapshots,
  listScheduledFiles,
  purgeDropped,
  scheduleEndedFiles,
} from './sweep-store.ts';

const DAY_MS = 24 * 3600 * 1000;
/** Looking for abandoned writers is one query; going through all lakes is not. */
const ABANDONED_INTERVAL_MS = 10 * 1000;
const LAKES_INTERVAL_MS = 15 * 60 * 1000;
/** Whatever the retention: an export or a job may still be reading what was the newest version until a moment ago. */
const LEAST_RETENTION_MS = 3600 * 1000;

export class Sweeper {
  private readonly db: Database;
  private readonly staging: Staging;
  private readonly clock: Clock;
  private readonly log: Logger;
  private readonly retentionMs: number;
  private readonly intervalMs: number;
  private lakesSweptAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<unknown> | undefined;

  constructor(parts: {
    db: Database;
    clock: Clock;
    log: Logger;
    /** How long old versions and dropped tables stay, and so how long a reader may take. At least an hour is kept. */
    retentionDays: number;
    intervalMs?: number;
  }) {
    this.db = parts.db;
    this.staging = new Staging({ db: parts.db });
    this.clock = parts.clock;
    this.log = parts.log;
    this.retentionMs = Math.max(parts.retentionDays * DAY_MS, LEAST_RETENTION_MS);
    this.intervalMs = parts.intervalMs ?? ABANDONED_INTERVAL_MS;
  }

  /** Sweeps from time to time; the first time after one interval. */
  start(): void {
    this.timer ??= setInterval(() => {
      const isDue = Date.now() - this.lakesSweptAt >= LAKES_INTERVAL_MS;
      this.running ??= (isDue ? this.sweepOnce() : this.staging.discardAbandoned())
        .catch((err: unknown) => this.log.error({ err }, 'Sweeping tables failed; it is tried again later'))
        .finally(() => {
          this.running = undefined;
        });
    }, this.intervalMs).unref();
  }

  /** Resolves when a sweep that is going on has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.timer = undefined;
    await this.running;
  }

  /** Safe to call at any time, by several servers at once. Returns the number of files removed. */
  async sweepOnce(): Promise<{ abandoned: number; expired: number }> {
    this.lakesSweptAt = Date.now();
    const abandoned = await this.counted('abandoned writes', () => this.staging.discardAbandoned());
    const before = new Date(this.clock.now().getTime() - this.retentionMs);
    let expired = 0;
    for (const projectId of await listLakeProjects(this.db))
      expired += await this.counted(`lake ${projectId}`, () => this.sweepLake(projectId, before));
    await deleteOldExports(this.db, new Date(this.clock.now().getTime() - EXPORT_MAX_AGE_DAYS * DAY_MS));
    if (abandoned + expired > 0) this.log.info({ abandoned, expired }, 'Swept files of tables');
    return { abandoned, expired };
  }

  /** One lake that cannot be swept must not keep the others from it. */
  private async counted(what: string, sweep: () => Promise<number>): Promise<number> {
    return sweep().catch((err: unknown) => {
      this.log.error({ err }, `Sweeping failed for ${what}; it is tried again later`);
      return 0;
    });
  }

  private async sweepLake(projectId: number, before: Date): Promise<number> {
    await this.db.transaction(async (tx) => {
      const forgotten = await expireSnapshots(tx, projectId, before);
      if (forgotten > 0) await scheduleEndedFiles(tx, projectId, before);
    });
    const files = await listScheduledFiles(this.db, projectId, before);
    for (const file of files) await unlink(file.path).catch(ignoreMissing);
    if (files.length > 0) {
      await deleteScheduledFiles(
        this.db,
        projectId,
        files.map((file) => file.id),
      );
    }
    const directories = await this.db.transaction((tx) => purgeDropped(tx, projectId));
    for (const directory of directories)
      await removeEmptyDirectory(directory.endsWith(sep) ? directory.slice(0, -1) : directory);
    return files.length;
  }
}
