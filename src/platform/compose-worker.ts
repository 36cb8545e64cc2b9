import path from 'node:path';
import type { Config } from '../config.ts';
import type { Core } from '../core/core.ts';
import { FileSweeper } from '../core/files/file-sweeper.ts';
import { RowDeletes } from '../core/tables/row-deletes.ts';
import { Staging } from '../core/tables/staging.ts';
import { Sweeper } from '../core/tables/sweeper.ts';
import { TableCompactions } from '../core/tables/table-compactions.ts';
import { TableExports } from '../core/tables/table-exports.ts';
import { TableLoads } from '../core/tables/table-loads.ts';
import { WorkspaceSweeper } from '../core/workspaces/workspace-sweeper.ts';
import type { Database } from '../db/database.ts';
import type { Engine } from '../drivers/engines/contract.ts';
import type { Filestore } from '../drivers/filestores/contract.ts';
import { runtimes } from '../drivers/registry.ts';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { isLoopback } from '../lib/loopback.ts';
import { branchCreateKind } from '../runner/kinds/branch-create.ts';
import { branchDeleteKind } from '../runner/kinds/branch-delete.ts';
import { bucketDeleteKind } from '../runner/kinds/bucket-delete.ts';
import { bucketSharingKind } from '../runner/kinds/bucket-sharing.ts';
import { checkKind } from '../runner/kinds/check.ts';
import { componentKind } from '../runner/kinds/component.ts';
import { deprovisionKind } from '../runner/kinds/deprovision.ts';
import { discoverKind } from '../runner/kinds/discover.ts';
import { provisionKind } from '../runner/kinds/provision.ts';
import { resetKind } from '../runner/kinds/reset.ts';
import { rowsDeleteKind } from '../runner/kinds/rows-delete.ts';
import { scriptKind } from '../runner/kinds/script.ts';
import { snapshotKinds } from '../runner/kinds/snapshot.ts';
import { syncKind } from '../runner/kinds/sync.ts';
import { tableAlterKind } from '../runner/kinds/table-alter.ts';
import { tableCompactKind } from '../runner/kinds/table-compact.ts';
import { tableCreateKind } from '../runner/kinds/table-create.ts';
import { tableDefineKind } from '../runner/kinds/table-define.ts';
import { tableDropKind } from '../runner/kinds/table-drop.ts';
import { tableExportKind } from '../runner/kinds/table-export.ts';
import { tableImportKind } from '../runner/kinds/table-import.ts';
import { workspaceExportKind } from '../runner/kinds/workspace-export.ts';
import { workspaceLoadKind } from '../runner/kinds/workspace-load.ts';
import { workspaceObjectsDropKind } from '../runner/kinds/workspace-objects-drop.ts';
import { sweepSandboxes } from '../runner/scripts/sandbox.ts';
import { Sandboxes } from '../runner/scripts/sandboxes.ts';
import { sweepJobDirectories } from '../runner/steps/work-dir.ts';
import { SYNC_OPTIONS } from '../runner/sync/run-sync.ts';
import { createWorker } from '../runner/worker.ts';

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
  const { events, files, jobs, identity } = core;
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
  const staging = new Staging({ db });
  const compactions = new TableCompactions({ db, jobs, engine, staging });
  const parts = { db, events, files, engine, staging, compactions, clock: systemClock };
  const loads = new TableLoads({ ...parts, workspaces: core.workspaceTables });
  const runner = { core, runtime, sessions: engine.sessions, jobsDirectory, publicUrl };
  const sandboxes = new Sandboxes(runner, log);
  const connectors = { ...runner, localSources: config.localSources };
  const syncs = { ...connectors, loads, sync: SYNC_OPTIONS };
  const worker = createWorker({
    jobs,
    identity,
    events,
    handlers: [
      tableCreateKind(loads),
      tableImportKind(loads),
      tableExportKind(new TableExports({ ...parts, exportDirectory: path.join(scratch, 'exports') })),
      tableAlterKind(core.tables.structure),
      ...snapshotKinds(core.tables.snapshots),
      tableDefineKind(core.tables.definitions),
      tableDropKind(core.tables),
      tableCompactKind(compactions),
      rowsDeleteKind(new RowDeletes(parts)),
      bucketDeleteKind(core.buckets),
      branchCreateKind(core.branches),
      branchDeleteKind(core.branches),
      bucketSharingKind(core.buckets.sharing),
      provisionKind(core.workspaceJobs),
      deprovisionKind(core.workspaceJobs),
      workspaceLoadKind(core.workspaceTables),
      workspaceExportKind(core.workspaceTables),
      workspaceObjectsDropKind(core.workspaceTables),
      componentKind(runner),
      scriptKind(runner, sandboxes),
      checkKind(connectors),
      discoverKind(connectors),
      syncKind(syncs),
      resetKind(syncs),
    ],
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
