import path from 'node:path';
import type { TestContext } from 'node:test';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import pino from 'pino';
import { ComponentRuns } from '../../src/core/components/component-runs.ts';
import { Components } from '../../src/core/components/components.ts';
import { Configurations } from '../../src/core/components/configurations.ts';
import type { Core } from '../../src/core/core.ts';
import { Jobs } from '../../src/core/jobs/jobs.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { testDatabase } from './database.ts';
import { type TestProject, testProject } from './project.ts';

export type Answer = { status: number; headers: Record<string, unknown>; text: string; body: never };

export type KeboolaApp = TestProject & {
  core: Core;
  jobs: Jobs;
  /** One request with the master token; `token: null` sends none. A plain object as body goes out as JSON. */
  call(method: string, url: string, body?: unknown, options?: CallOptions): Promise<Answer>;
};

export type CallOptions = { token?: string | null; headers?: Record<string, string> };

/**
 * The HTTP server over a real database, without engines, files and workers: for the calls that configure components
 * and put their jobs into the queue.
 */
export async function keboolaApp(t: TestContext): Promise<KeboolaApp> {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const jobs = new Jobs({ db, events: project.events });
  const components = await Components.load(path.join(packageRoot, 'components'));
  const configurations = new Configurations({ ...project, db, components });
  const runs = new ComponentRuns({ db, jobs, components, secrets: project.secrets });
  // Tables and files need engines and folders; no call made through here reaches them.
  const core = { ...project, jobs, components, configurations, runs, buckets: {}, tables: {}, files: {}, metadata: {} };
  const server = await createHttpServer({
    config: {
      host: '127.0.0.1',
      port: 0,
      hostSuffixes: ['localhost'],
      version: 'test',
      temporaryDirectory: '/nonexistent',
    },
    core: core as unknown as Core,
    health: () => ({ ready: true }),
    log: pino({ level: 'silent' }),
  });
  t.after(() => server.app.close());
  return {
    ...project,
    core: core as unknown as Core,
    jobs,
    async call(method, url, body, { token = project.storageToken, headers = {} } = {}) {
      const response: LightMyRequestResponse = await server.app.inject({
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
