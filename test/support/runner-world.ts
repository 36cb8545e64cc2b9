import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import pino from 'pino';
import type { NewRun } from '../../src/core/components/component-runs.ts';
import type { Job } from '../../src/core/jobs/job-model.ts';
import { openDuckdbEngine } from '../../src/drivers/engines/duckdb/index.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import type { Runtime } from '../../src/drivers/runtimes/contract.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { composeCore } from '../../src/platform/compose-core.ts';
import { composeHandlers } from '../../src/platform/compose-handlers.ts';
import type { Sandboxes } from '../../src/runner/scripts/sandboxes.ts';
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
  const key = randomBytes(32);
  const project = await testProject(db, key);
  const { actor } = project;
  const log = pino({ level: process.env.TEST_LOG ?? 'silent' });
  const engine = await openDuckdbEngine({
    directory: folder('engine'),
    memoryLimitMb: 512,
    threads: 2,
    spillDirectory: folder('spill'),
    log,
  });
  const componentsDirectory =
    options.components === 'real'
      ? path.join(packageRoot, 'components')
      : await writeComponents(folder('components'), options.components ?? {});
  const { core, lakes } = await composeCore({
    ...{ db, engine, key, componentsDirectory },
    filestore: await openLocalFilestore({ directory: folder('files') }),
    provisioners: {},
    home: directory,
    scratch: folder('tmp'),
    leaseSeconds: 3,
  });
  folder('lakes');
  await lakes.relocate(db);
  const { events, jobs } = core;
  const jobsDirectory = folder('jobs');
  const runtimes = new Set([options.runtime]);
  let started = 0;
  let sandboxes: Sandboxes | undefined;

  function startWorker(runtime = options.runtime): Worker {
    const composed = composeHandlers({
      ...{ core, db, engine, runtime, log, jobsDirectory },
      exportDirectory: folder('exports'),
      localSources: [folder('local')],
      publicUrl: () => 'http://localhost:8000',
      sync: { ...SYNC_OPTIONS, firstBackoffMs: 20, ...options.sync },
    });
    sandboxes = composed.sandboxes;
    const worker = createWorker({
      ...{ jobs, events, identity: core.identity, handlers: composed.handlers },
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
    for (const runtime of runtimes) await runtime.close();
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
      runtimes.add(runtime);
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
