import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { InjectOptions } from 'fastify';
import pino from 'pino';
import { ComponentRuns } from '../../src/core/components/component-runs.ts';
import { Components } from '../../src/core/components/components.ts';
import { Configurations } from '../../src/core/components/configurations.ts';
import type { Core } from '../../src/core/core.ts';
import { Files } from '../../src/core/files/files.ts';
import { Jobs } from '../../src/core/jobs/jobs.ts';
import { Buckets } from '../../src/core/tables/buckets.ts';
import { ObjectMetadata } from '../../src/core/tables/object-metadata.ts';
import { Tables } from '../../src/core/tables/tables.ts';
import type { Engine } from '../../src/drivers/engines/contract.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import { createHttpServer, type HttpServer } from '../../src/http/server.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from './cleanup.ts';
import { testDatabase } from './database.ts';
import { type TestProject, testProject } from './project.ts';

/** The HTTP server over a real core and a database of its own; nothing listens and no worker runs. */
export type KeboolaServer = TestProject & {
  core: Core;
  jobs: Jobs;
  server: HttpServer;
  /** A call with the first project's master token; `token: null` sends none. A plain object as body goes out as JSON. */
  call(method: string, url: string, body?: unknown, options?: CallOptions): Promise<Answer>;
};

export type CallOptions = { token?: string | null; headers?: Record<string, string> };
export type Answer = { status: number; headers: Record<string, unknown>; text: string; body: never };

/** Tests that need no table data leave the engine out; reading or writing rows then fails. */
export async function keboolaServer(t: TestContext, options: { engine?: Engine } = {}): Promise<KeboolaServer> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-keboola-'));
  cleanup(t, () => rm(directory, { recursive: true, force: true }));
  const db = await testDatabase(t);
  const project = await testProject(db);
  const { events, secrets, storageToken } = project;
  const clock = systemClock;
  const jobs = new Jobs({ db, events });
  const components = await Components.load(join(packageRoot, 'components'));
  const engine = options.engine ?? ({ tables: {} } as Engine);
  const filestore = await openLocalFilestore({ directory: join(directory, 'files') });
  const core: Core = {
    projects: project.projects,
    identity: project.identity,
    secrets,
    events,
    jobs,
    tables: new Tables({ db, events, jobs, engine, clock }),
    buckets: new Buckets({ db, events, jobs, clock }),
    files: new Files({ db, filestore, events, clock, signingKey: randomBytes(32), scratchDirectory: directory }),
    components,
    configurations: new Configurations({ db, events, secrets, components }),
    runs: new ComponentRuns({ db, jobs, components, secrets }),
    metadata: new ObjectMetadata({ db, events, clock }),
  };
  const server = await createHttpServer({
    config: {
      host: '127.0.0.1',
      port: 0,
      hostSuffixes: ['localhost'],
      version: '0.0.0-test',
      temporaryDirectory: join(directory, 'uploads'),
    },
    core,
    health: () => ({ ready: true }),
    log: pino({ level: process.env.TEST_LOG ?? 'silent' }),
  });
  cleanup(t, () => server.close(1000));

  return {
    ...project,
    core,
    jobs,
    server,
    async call(method, url, body, { token = storageToken, headers = {} } = {}) {
      const response = await server.app.inject({
        method: method as NonNullable<InjectOptions['method']>,
        url,
        headers: { host: 'localhost:8000', ...(token !== null && { 'x-storageapi-token': token }), ...headers },
        ...(body !== undefined && { payload: body as NonNullable<InjectOptions['payload']> }),
      });
      const isJson = response.headers['content-type'] === 'application/json' && response.body !== '';
      return {
        status: response.statusCode,
        headers: response.headers,
        text: response.body,
        body: (isJson ? JSON.parse(response.body) : undefined) as never,
      };
    },
  };
}
