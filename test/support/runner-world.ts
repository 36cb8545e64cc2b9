import { mkdirSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import pino from 'pino';
import type { NewRun } from '../../src/core/components/component-runs.ts';
import { Components } from '../../src/core/components/components.ts';
import { composeConnectors } from '../../src/core/components/compose-connectors.ts';
import { Configurations } from '../../src/core/components/configurations.ts';
import type { Core } from '../../src/core/core.ts';
import { Files } from '../../src/core/files/files.ts';
import { Accounts } from '../../src/core/identity/accounts.ts';
import { ProgramKeys } from '../../src/core/identity/program-keys.ts';
import type { Job } from '../../src/core/jobs/job-model.ts';
import { Jobs } from '../../src/core/jobs/jobs.ts';
import { Classes } from '../../src/core/objects/classes.ts';
import { composeObjects } from '../../src/core/objects/compose-objects.ts';
import { EndUsers } from '../../src/core/objects/end-users.ts';
import { ObjectLoads } from '../../src/core/objects/object-loads.ts';
import { Objects } from '../../src/core/objects/objects.ts';
import { Branches } from '../../src/core/projects/branches.ts';
import { composeOrganizations } from '../../src/core/projects/compose-organizations.ts';
import { ScriptEndpoints } from '../../src/core/scripts/script-endpoints.ts';
import { Scripts, scriptRunStarters, scriptStarters } from '../../src/core/scripts/scripts.ts';
import { Buckets } from '../../src/core/tables/buckets.ts';
import { Lakes } from '../../src/core/tables/lakes.ts';
import { ObjectMetadata } from '../../src/core/tables/object-metadata.ts';
import { RowDeletes } from '../../src/core/tables/row-deletes.ts';
import { Staging } from '../../src/core/tables/staging.ts';
import { TableCompactions } from '../../src/core/tables/table-compactions.ts';
import { TableExports } from '../../src/core/tables/table-exports.ts';
import { TableLoads } from '../../src/core/tables/table-loads.ts';
import { Tables } from '../../src/core/tables/tables.ts';
import { WorkspaceJobs } from '../../src/core/workspaces/workspace-jobs.ts';
import { WorkspaceTables } from '../../src/core/workspaces/workspace-tables.ts';
import { Workspaces } from '../../src/core/workspaces/workspaces.ts';
import { openDuckdbEngine } from '../../src/drivers/engines/duckdb/index.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import type { Runtime } from '../../src/drivers/runtimes/contract.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { branchCreateKind } from '../../src/runner/kinds/branch-create.ts';
import { branchDeleteKind } from '../../src/runner/kinds/branch-delete.ts';
import { bucketDeleteKind } from '../../src/runner/kinds/bucket-delete.ts';
import { bucketSharingKind } from '../../src/runner/kinds/bucket-sharing.ts';
import { checkKind } from '../../src/runner/kinds/check.ts';
import { componentKind } from '../../src/runner/kinds/component.ts';
import { deprovisionKind } from '../../src/runner/kinds/deprovision.ts';
import { discoverKind } from '../../src/runner/kinds/discover.ts';
import { provisionKind } from '../../src/runner/kinds/provision.ts';
import { resetKind } from '../../src/runner/kinds/reset.ts';
import { rowsDeleteKind } from '../../src/runner/kinds/rows-delete.ts';
import { scriptKind } from '../../src/runner/kinds/script.ts';
import { snapshotKinds } from '../../src/runner/kinds/snapshot.ts';
import { syncKind } from '../../src/runner/kinds/sync.ts';
import { tableAlterKind } from '../../src/runner/kinds/table-alter.ts';
import { tableCompactKind } from '../../src/runner/kinds/table-compact.ts';
import { tableCreateKind } from '../../src/runner/kinds/table-create.ts';
import { tableDefineKind } from '../../src/runner/kinds/table-define.ts';
import { tableDropKind } from '../../src/runner/kinds/table-drop.ts';
import { tableExportKind } from '../../src/runner/kinds/table-export.ts';
import { tableImportKind } from '../../src/runner/kinds/table-import.ts';
import { workspaceExportKind } from '../../src/runner/kinds/workspace-export.ts';
import { workspaceLoadKind } from '../../src/runner/kinds/workspace-load.ts';
import { workspaceObjectsDropKind } from '../../src/runner/kinds/workspace-objects-drop.ts';
import { Sandboxes } from '../../src/runner/scripts/sandboxes.ts';
import { SYNC_OPTIONS, type SyncOptions } from '../../src/runner/sync/run-sync.ts';
import { createWorker, type Worker } from '../../src/runner/worker.ts';
import { cleanup } from './cleanup.ts';
import { testDatabase } from './database.ts';
import { testProject } from './project.ts';

/** Components for tests, by id: what their definition files say beyond the id, and `main.mjs` beside them; or ours. */
export type TestComponents = Record<
  string,
  { run?: object; data?: object; configurationSchema?: object; connector?: object; program?: string } | 'real'
>;

/** Core, engine, files and a worker that runs components on the given runtime; everything but HTTP. */
export async function runnerWorld(
  t: TestContext,
  options: { runtime: Runtime; components?: TestComponents | 'real'; sync?: Partial<SyncOptions> },
) {
  const directory = await mkdtemp(path.join(tmpdir(), 'millrace-runner-'));
  cleanup(t, () => rm(directory, { recursive: true, force: true }));
  const folder = (name: string) => {
    mkdirSync(path.join(directory, name), { recursive: true });
    return path.join(directory, name);
  };
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { events, actor, identity, secrets } = project;
  const lakes = new Lakes({ directory: folder('lakes') });
  await lakes.relocate(db);
  const jobs = new Jobs({ db, events, leaseSeconds: 3 });
  const log = pino({ level: process.env.TEST_LOG ?? 'silent' });
  const engine = await openDuckdbEngine({
    directory: folder('engine'),
    memoryLimitMb: 512,
    threads: 2,
    spillDirectory: folder('spill'),
    log,
  });
  const filestore = await openLocalFilestore({ directory: folder('files') });
  const clock = systemClock;
  const files = new Files({
    db,
    filestore,
    events,
    clock,
    signingKey: Buffer.alloc(32, 7),
    scratchDirectory: folder('tmp'),
  });
  const definitions =
    options.components === 'real'
      ? path.join(packageRoot, 'components')
      : await writeComponents(folder('components'), options.components ?? {});
  const components = await Components.load(definitions);
  const configurations = new Configurations({ db, events, secrets, components });
  const scripts = new Scripts({ configurations, jobs });
  const starting = { starters: scriptStarters(scripts), runStarters: scriptRunStarters(scripts) };
  const connecting = composeConnectors({
    ...starting,
    ...project,
    db,
    clock,
    components,
    configurations,
    jobs,
  });
  const staging = new Staging({ db });
  const compactions = new TableCompactions({ db, jobs, engine, staging });
  const parts = { db, events, jobs, files, engine, clock, staging, compactions };
  const tables = new Tables(parts);
  const workspaces = new Workspaces({ db, events, secrets, provisioners: {} });
  const buckets = new Buckets(parts);
  const core: Core = {
    ...project,
    ...composeOrganizations({ db, ...project, clock }),
    jobs,
    files,
    components,
    tables,
    buckets,
    branches: new Branches({ db, events, jobs, configurations, buckets }),
    metadata: new ObjectMetadata(parts),
    configurations,
    ...connecting,
    workspaces,
    workspaceJobs: new WorkspaceJobs({ workspaces, jobs }),
    workspaceTables: new WorkspaceTables({ ...parts, workspaces, tables, directory: folder('workspaces') }),
    scripts,
    scriptEndpoints: new ScriptEndpoints({
      configurations,
      identity: project.identity,
      projects: project.projects,
      scripts,
    }),
    ...composeObjects({ db, engine, events, secrets }),
    accounts: new Accounts({ db, events, identity, secrets }),
    programKeys: new ProgramKeys({ db, events, identity, secrets }),
  };
  const loads = new TableLoads(parts);
  const jobsDirectory = folder('jobs');
  let started = 0;
  let sandboxes: Sandboxes | undefined;

  function startWorker(runtime = options.runtime): Worker {
    const publicUrl = () => 'http://localhost:8000';
    const runner = { core, runtime, sessions: engine.sessions, jobsDirectory, publicUrl };
    sandboxes = new Sandboxes(runner, log);
    const connectors = { ...runner, localSources: [folder('local')] };
    const syncs = { ...connectors, loads, sync: { ...SYNC_OPTIONS, firstBackoffMs: 20, ...options.sync } };
    const worker = createWorker({
      jobs,
      identity: core.identity,
      events,
      handlers: [
        tableCreateKind(loads),
        tableImportKind(loads),
        tableExportKind(new TableExports({ ...parts, exportDirectory: folder('exports') })),
        tableAlterKind(core.tables.structure),
        tableDefineKind(core.tables.definitions),
        tableDropKind(core.tables),
        tableCompactKind(compactions),
        ...snapshotKinds(core.tables.snapshots),
        rowsDeleteKind(new RowDeletes(parts)),
        bucketDeleteKind(core.buckets),
        branchCreateKind(core.branches),
        branchDeleteKind(core.branches),
        bucketSharingKind(core.buckets.sharing),
        componentKind(runner),
        provisionKind(core.workspaceJobs),
        deprovisionKind(core.workspaceJobs),
        scriptKind(runner, sandboxes),
        workspaceLoadKind(core.workspaceTables),
        workspaceExportKind(core.workspaceTables),
        workspaceObjectsDropKind(core.workspaceTables),
        checkKind(connectors),
        discoverKind(connectors),
        syncKind(syncs),
        resetKind(syncs),
      ],
      concurrency: { storage: 4, component: 4, script: 4 },
      log,
      workerId: `test-${++started}`,
      heartbeatMs: 200,
    });
    worker.start();
    return worker;
  }

  let worker = startWorker();
  cleanup(t, async () => {
    await worker.stop(2000);
    await sandboxes?.close();
    await options.runtime.close();
    await engine.close();
  });

  return {
    ...project,
    core,
    db,
    directory,
    jobsDirectory,
    start: (run: NewRun) => core.runs.start(actor, run),
    /** Runs a component to its end. */
    async run(run: NewRun): Promise<Job> {
      const job = await core.runs.start(actor, run);
      return jobs.awaitEnd(job.id, AbortSignal.timeout(20_000));
    },
    end: (job: Job) => jobs.awaitEnd(job.id, AbortSignal.timeout(20_000)),
    /** What the job said, oldest first. */
    async said(job: Job, type?: string): Promise<string[]> {
      const list = await events.list(actor, { runId: String(job.id), names: ['ext'], direction: 'asc', limit: 1000 });
      return list.filter((event) => type === undefined || event.type === type).map(({ message }) => message);
    },
    /** A bucket with a table of these rows; the first row names the columns. */
    async table(id: string, rows: string[][], primaryKey: string[] = []): Promise<void> {
      const [stage = '', bucket = '', name = ''] = id.split('.');
      await core.buckets.ensure(actor, `${stage}.${bucket}`);
      const file = path.join(folder('tmp'), `${id}.csv`);
      await writeFile(
        file,
        rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')).join('\n'),
      );
      const source = { kind: 'paths' as const, paths: [file] };
      const load = await core.tables.importFrom(
        actor,
        { bucketId: `${stage}.${bucket}`, name, primaryKey },
        source,
        {},
      );
      const ended = await jobs.awaitEnd(load.id, AbortSignal.timeout(20_000));
      if (ended.status !== 'succeeded') throw new Error(ended.error?.message);
    },
    /** All rows of a table, sorted, after the names of its columns. */
    async rows(id: string): Promise<(string | null)[][]> {
      const { columns, rows } = await core.tables.preview(actor, id, { limit: 1000 });
      return [columns, ...rows.sort((a, b) => (String(a) < String(b) ? -1 : 1))];
    },
    /** Stops this server's worker as a shutdown does and starts another, on a runtime that knows the same machine. */
    async restart(runtime: Runtime): Promise<void> {
      await worker.stop(500);
      await sandboxes?.close();
      worker = startWorker(runtime);
    },
    workFolders: () => readdir(jobsDirectory),
  };
}

export type RunnerWorld = Awaited<ReturnType<typeof runnerWorld>>;

async function writeComponents(folder: string, components: TestComponents): Promise<string> {
  await writeFile(path.join(folder, 'known.json'), '[]');
  for (const [id, definition] of Object.entries(components)) {
    mkdirSync(path.join(folder, id), { recursive: true });
    if (definition === 'real') {
      await cp(path.join(packageRoot, 'components', id), path.join(folder, id), { recursive: true });
      continue;
    }
    const { program, ...rest } = definition;
    if (program !== undefined) await writeFile(path.join(folder, id, 'main.mjs'), program);
    const json = { id, type: 'application', name: id, ...rest };
    await writeFile(path.join(folder, id, 'component.json'), JSON.stringify(json));
  }
  return folder;
}
