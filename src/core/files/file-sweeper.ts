import type { Database } from '../../db/database.ts';
import type { Filestore } from '../../drivers/filestores/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Events } from '../events/events.ts';
import { BLOCK_PREFIX } from './blobs.ts';
import { contentPrefix } from './file-model.ts';
import { deleteExpiredRows, knownKeys, takeExpired } from './file-store.ts';

const DAY_MS = 24 * 3600 * 1000;
/** Blocks without a list may belong to an upload under way until they are this old. */
const BLOCK_MS = DAY_MS;
/** Content without a row likewise; longer, because content made of one block is as old as the block. */
const ORPHAN_MS = 2 * DAY_MS;
/** How long listings can still show that an expired file was there. */
const EXPIRED_ROW_MS = 30 * DAY_MS;
const BATCH = 200;

export type FileSweep = { expiredFiles: number; forgottenFiles: number; blocks: number; orphans: number };

/**
 * Deletes what nobody can reach any more: the content of expired files, blocks that were never put into a blob, and
 * content that a crash left without a row. Any number of servers may sweep at the same time.
 */
export class FileSweeper {
  readonly #db: Database;
  readonly #filestore: Filestore;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #log: Logger;
  #timers: NodeJS.Timeout[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(parts: { db: Database; filestore: Filestore; events: Events; clock: Clock; log: Logger }) {
    this.#db = parts.db;
    this.#filestore = parts.filestore;
    this.#events = parts.events;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** Expired files every ten minutes; left-overs, which takes a walk over the whole store, once a day. */
  start(): void {
    this.#isStopped = false;
    const every = (ms: number, act: () => Promise<object>) => {
      const timer = setInterval(() => this.#enqueue(act), ms);
      timer.unref();
      this.#timers.push(timer);
    };
    every(600_000, () => this.sweepExpired());
    every(DAY_MS, () => this.sweepLeftOvers());
    const first = setTimeout(() => {
      this.#enqueue(() => this.sweepExpired());
      this.#enqueue(() => this.sweepLeftOvers());
    }, 60_000);
    first.unref();
    this.#timers.push(first);
  }

  /** Resolves when a sweep under way has come to the end of its step. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    await this.#running;
  }

  /** Deletes the content of all files whose time is over. */
  async sweepExpired(): Promise<Pick<FileSweep, 'expiredFiles' | 'forgottenFiles'>> {
    const now = this.#clock.now();
    let expiredFiles = 0;
    for (;;) {
      const taken = await this.#db.transaction(async (tx) => {
        const files = await takeExpired(tx, now, BATCH);
        for (const file of files) {
          await this.#events.append(tx, {
            projectId: file.projectId,
            name: 'file.deleted',
            component: 'storage',
            type: 'info',
            message: `File ${file.name} expired`,
            objectType: 'file',
            objectId: String(file.id),
            objectName: file.name,
            params: { reason: 'expired' },
          });
        }
        return files;
      });
      for (const file of taken) await this.#filestore.deletePrefix(contentPrefix(file));
      expiredFiles += taken.length;
      if (taken.length < BATCH || this.#isStopped) break;
    }
    const forgottenFiles = await deleteExpiredRows(this.#db, new Date(now.getTime() - EXPIRED_ROW_MS));
    return { expiredFiles, forgottenFiles };
  }

  /** Deletes blocks and content that no blob names and no upload under way can still need. */
  async sweepLeftOvers(): Promise<Pick<FileSweep, 'blocks' | 'orphans'>> {
    const now = this.#clock.now().getTime();
    let blocks = 0;
    for await (const block of this.#filestore.list(BLOCK_PREFIX)) {
      if (this.#isStopped) break;
      if (block.modifiedAt.getTime() >= now - BLOCK_MS) continue;
      await this.#filestore.delete(block.key);
      blocks++;
    }
    let orphans = 0;
    let batch: string[] = [];
    const settle = async () => {
      const known = await knownKeys(this.#db, batch);
      for (const key of batch) {
        if (known.has(key)) continue;
        await this.#filestore.delete(key);
        orphans++;
      }
      batch = [];
    };
    for await (const blob of this.#filestore.list('files/')) {
      if (this.#isStopped) break;
      if (blob.modifiedAt.getTime() < now - ORPHAN_MS) batch.push(blob.key);
      if (batch.length >= BATCH) await settle();
    }
    if (batch.length > 0) await settle();
    return { blocks, orphans };
  }

  #enqueue(act: () => Promise<object>): void {
    this.#running = this.#running.then(async () => {
      if (this.#isStopped) return;
      try {
        const swept = await act();
        if (Object.values(swept).some((count) => count > 0)) this.#log.info(swept, 'swept files');
      } catch (error) {
        this.#log.error({ err: error }, 'sweeping files failed; it is tried again later');
      }
    });
  }
}
