import path from 'node:path';
import type { Config } from '../config.ts';
import type { Core } from '../core/core.ts';
import { FileSweeper } from '../core/files/file-sweeper.ts';
import { Sweeper } from '../core/tables/sweeper.ts';
import { WorkspaceSweeper } from '../core/workspaces/workspace-sweeper.ts';
import type { Database } from '../db/database.ts';
import type { Engine } from '../drivers/engines/contract.ts';
import type { Filestore } from '../drivers/filestores/contract.ts';
import { runtimes } from '../drivers/registry.ts';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { isLoopback } from '../lib/loopback.ts';
import { sweepSandboxes } from '../runner/scripts/sandbox.ts';
import { sweepJobDirectories } from '../runner/steps/work-dir.ts';
import { createWorker } from '../runner/worker.ts';
import { composeHandlers } from './compose-handlers.ts';

export type WorkerParts = {
  config: Config;
  core: Core;
  db: Database;
  engine: Engine;
  log: Logger;
  say: (line: string) => void;
  /** For files that do not outlive this server. */
  scratch: string;
  workerId: string;
  publicUrl: () => string;
};

/** The worker with a handler for every job kind. It does not run yet. */
export async function composeWorker(options: WorkerParts) {
  const { config, core, db, engine, log, say, scratch, workerId, publicUrl } = options;
  const { events, jobs, identity } = core;
  const home = config.dataDirectory;
  const runtime = await (await runtimes.process()).openProcessRuntime({
    // Without a sandbox only while nobody else can reach us, unless the operator has said so.
    mode: config.runtime === 'auto' && !isLoopback(config.host) ? 'bubblewrap' : config.runtime,
    log: {
      warn(message) {
        log.warn({}, message);
        say(message);
      },
    },
  });
  const jobsDirectory = path.join(home, 'jobs');
  const unfinished = (ids: number[]) => jobs.unfinished(ids);
  await sweepJobDirectories({ jobsDirectory, runtime, unfinished });
  await sweepSandboxes({ jobsDirectory, runtime, unfinished });
  const { handlers, sandboxes } = composeHandlers({
    ...{ core, db, engine, runtime, jobsDirectory, log, publicUrl },
    exportDirectory: path.join(scratch, 'exports'),
    localSources: config.localSources,
  });
  const worker = createWorker({
    jobs,
    identity,
    events,
    handlers,
    concurrency: {
      storage: config.storageConcurrency,
      component: config.componentConcurrency,
      script: config.scriptConcurrency,
    },
    log,
    workerId,
  });
  return { worker, runtime, sandboxes };
}

export type SweeperParts = {
  config: Config;
  db: Database;
  filestore: Filestore;
  core: Core;
  log: Logger;
  isAlone: boolean;
};

/** What removes files that nothing needs any more. */
export function composeSweepers({ config, db, filestore, core, log, isAlone }: SweeperParts) {
  const clock = systemClock;
  const tables = new Sweeper({ db, clock, log, retentionDays: config.tableRetentionDays });
  const workspaces = new WorkspaceSweeper({ workspaces: core.workspaces, log });
  const files = new FileSweeper({ db, filestore, events: core.events, clock, log });
  let first: Promise<unknown> = Promise.resolve();
  return {
    start() {
      tables.start();
      files.start();
      workspaces.start();
      // What the server before us left half-written goes at once, not after the first interval.
      first = Promise.all([
        tables.sweepOnce().catch((error: unknown) => log.warn({ err: error }, 'the first sweep failed')),
        // What is half-made has lost its maker, unless other servers work here too.
        workspaces.sweepOnce({ everything: isAlone }),
      ]);
    },
    async stop() {
      await Promise.all([tables.stop(), files.stop(), workspaces.stop(), first]);
    },
  };
}
