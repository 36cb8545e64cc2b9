import type { Core } from '../core/core.ts';
import { RowDeletes } from '../core/tables/row-deletes.ts';
import { Staging } from '../core/tables/staging.ts';
import { TableCompactions } from '../core/tables/table-compactions.ts';
import { TableExports } from '../core/tables/table-exports.ts';
import { TableLoads } from '../core/tables/table-loads.ts';
import type { Database } from '../db/database.ts';
import type { Engine } from '../drivers/engines/contract.ts';
import type { Runtime } from '../drivers/runtimes/contract.ts';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import type { KindHandler } from '../runner/kind.ts';
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
import { Sandboxes } from '../runner/scripts/sandboxes.ts';
import { SYNC_OPTIONS, type SyncOptions } from '../runner/sync/run-sync.ts';

export type HandlerParts = {
  core: Core;
  db: Database;
  engine: Engine;
  runtime: Runtime;
  log: Logger;
  jobsDirectory: string;
  exportDirectory: string;
  /** Folders of the operator that connectors may read. */
  localSources: readonly string[];
  publicUrl: () => string;
  sync?: SyncOptions;
};

/** A handler for every kind of job, for the platform and for the worker of tests alike. Whoever asks closes `sandboxes`. */
export function composeHandlers(options: HandlerParts): { handlers: KindHandler[]; sandboxes: Sandboxes } {
  const { core, db, engine, runtime, log, jobsDirectory, exportDirectory, localSources, publicUrl } = options;
  const { events, files, jobs } = core;
  const staging = new Staging({ db });
  const compactions = new TableCompactions({ db, jobs, engine, staging });
  const parts = { db, events, files, engine, staging, compactions, clock: systemClock };
  const loads = new TableLoads({ ...parts, workspaces: core.workspaceTables });
  const runner = { core, runtime, sessions: engine.sessions, jobsDirectory, publicUrl };
  const sandboxes = new Sandboxes(runner, log);
  const connectors = { ...runner, localSources };
  const syncs = { ...connectors, loads, sync: options.sync ?? SYNC_OPTIONS };
  return {
    sandboxes,
    handlers: [
      tableCreateKind(loads),
      tableImportKind(loads),
      tableExportKind(new TableExports({ ...parts, exportDirectory })),
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
  };
}
