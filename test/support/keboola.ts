import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { InjectOptions } from 'fastify';
import pino from 'pino';
import { Components } from '../../src/core/components/components.ts';
import { composeConnectors } from '../../src/core/components/compose-connectors.ts';
import { Configurations } from '../../src/core/components/configurations.ts';
import type { Core } from '../../src/core/core.ts';
import { Events } from '../../src/core/events/events.ts';
import { Files } from '../../src/core/files/files.ts';
import { Accounts } from '../../src/core/identity/accounts.ts';
import type { Actor } from '../../src/core/identity/actor.ts';
import { Identity } from '../../src/core/identity/identity.ts';
import { ProgramKeys } from '../../src/core/identity/program-keys.ts';
import type { NewToken, TokenRights } from '../../src/core/identity/token-model.ts';
import { Jobs } from '../../src/core/jobs/jobs.ts';
import { composeObjects } from '../../src/core/objects/compose-objects.ts';
import { Branches } from '../../src/core/projects/branches.ts';
import { composeOrganizations } from '../../src/core/projects/compose-organizations.ts';
import type { Credentials, ProjectCredentials } from '../../src/core/projects/credentials.ts';
import { Projects } from '../../src/core/projects/projects.ts';
import { ScriptEndpoints } from '../../src/core/scripts/script-endpoints.ts';
import { Scripts, scriptRunStarters, scriptStarters } from '../../src/core/scripts/scripts.ts';
import { Secrets } from '../../src/core/secrets/secrets.ts';
import { Buckets } from '../../src/core/tables/buckets.ts';
import { Lakes } from '../../src/core/tables/lakes.ts';
import { ObjectMetadata } from '../../src/core/tables/object-metadata.ts';
import { Tables } from '../../src/core/tables/tables.ts';
import { WorkspaceJobs } from '../../src/core/workspaces/workspace-jobs.ts';
import { WorkspaceTables } from '../../src/core/workspaces/workspace-tables.ts';
import { Workspaces } from '../../src/core/workspaces/workspaces.ts';
import type { Database } from '../../src/db/database.ts';
import type { Engine } from '../../src/drivers/engines/contract.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import { createHttpServer, type HttpServer } from '../../src/http/server.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from './cleanup.ts';
import { testDatabase } from './database.ts';
import { testProvisioners } from './workspaces.ts';

/** The HTTP server over a real core and a database of its own; nothing listens and no worker runs. */
export type KeboolaServer = {
  core: Core;
  db: Database;
  server: HttpServer;
  credentials: Credentials;
  /** A further tenant. */
  newProject(name: string): Promise<ProjectCredentials>;
  /** Of the first project's master token. */
  actor: Actor;
  /** A further token of that project, by its rights. */
  tokenActor(rights: Omit<NewToken, 'description'>): Promise<Actor & { secret: string }>;
  /** A further API key of the first project. */
  issueApiKey(rights: TokenRights): Promise<string>;
  /** A call with the first project's master token unless headers say otherwise. */
  call(method: string, url: string, options?: CallOptions): Promise<Answer>;
  /** The same for tables of requests and expected members: the answer's JSON is parsed. */
  request(method: string, url: string, body?: unknown, options?: RequestOptions): Promise<JsonAnswer>;
};

export type RequestOptions = { token?: string | null; headers?: Record<string, string> };
export type JsonAnswer = { status: number; headers: Record<string, unknown>; text: string; body: never };

export type CallOptions = Pick<InjectOptions, 'headers' | 'payload'> & { token?: string | null };
export type Answer = {
  status: number;
  headers: Record<string, string | string[] | number | undefined>;
  body: string;
  /** The parsed body; throws when it is no JSON. */
  json<T = Record<string, never>>(): T;
};

/** Tests that need no table data leave the engine out; reading or writing rows then fails. */
export async function keboolaServer(
  t: TestContext,
  options: { engine?: Engine; mysqlUrl?: string } = {},
): Promise<KeboolaServer> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-keboola-'));
  cleanup(t, () => rm(directory, { recursive: true, force: true }));
  const db = await testDatabase(t);
  const clock = systemClock;
  const events = new Events({ db });
  const secrets = new Secrets(randomBytes(32));
  const identity = new Identity({ db, events, secrets });
  const lakes = new Lakes({ directory: join(directory, 'tables') });
  const projects = new Projects({ db, identity, events, lakes });
  const jobs = new Jobs({ db, events });
  const components = await Components.load(join(packageRoot, 'components'));
  const buckets = new Buckets({ db, events, jobs, clock });
  const configurations = new Configurations({ db, events, secrets, components });
  const scripts = new Scripts({ configurations, jobs });
  const starting = { starters: scriptStarters(scripts), runStarters: scriptRunStarters(scripts) };
  const connecting = composeConnectors({
    ...starting,
    db,
    events,
    identity,
    clock,
    components,
    configurations,
    secrets,
    jobs,
  });
  const engine = options.engine ?? ({ tables: {} } as Engine);
  const filestore = await openLocalFilestore({ directory: join(directory, 'files') });
  const provisioners = await testProvisioners(t, options.mysqlUrl);
  const tables = new Tables({ db, events, jobs, engine, clock });
  const files = new Files({ db, filestore, events, clock, signingKey: randomBytes(32), scratchDirectory: directory });
  const workspaces = new Workspaces({ db, events, secrets, provisioners });
  const core: Core = {
    projects,
    ...composeOrganizations({ db, events, identity, projects, clock }),
    identity,
    secrets,
    events,
    jobs,
    tables,
    buckets,
    branches: new Branches({ db, events, jobs, configurations, buckets }),
    files,
    components,
    configurations,
    ...connecting,
    scripts,
    scriptEndpoints: new ScriptEndpoints({ configurations, identity, projects, scripts }),
    metadata: new ObjectMetadata({ db, events, clock }),
    workspaces,
    workspaceJobs: new WorkspaceJobs({ workspaces, jobs }),
    workspaceTables: new WorkspaceTables({
      ...{ workspaces, tables, files, jobs, events },
      directory: join(directory, 'workspace-rows'),
    }),
    ...composeObjects({ db, engine, events, secrets }),
    accounts: new Accounts({ db, events, identity, secrets }),
    programKeys: new ProgramKeys({ db, events, identity, secrets }),
  };
  const credentials = await projects.bootstrap();
  if (!credentials) throw new Error('the test database is not fresh');
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

  const actor = await identity.authenticateStorageToken(credentials.keboola.storageToken);
  const call: KeboolaServer['call'] = async (
    method,
    url,
    { token = credentials.keboola.storageToken, headers = {}, payload } = {},
  ) => {
    const response = await server.app.inject({
      method: method as 'GET',
      url,
      headers: { ...(token !== null && { 'x-storageapi-token': token }), ...headers },
      ...(payload !== undefined && { payload }),
    });
    return {
      status: response.statusCode,
      headers: response.headers,
      body: response.body,
      json: () => JSON.parse(response.body),
    };
  };

  return {
    core,
    db,
    server,
    credentials,
    actor,
    call,
    newProject: async (name) =>
      projects.create(await identity.authenticateManageToken(credentials.keboola.manageToken), { name }),
    async issueApiKey(rights) {
      const record = { kind: 'api-key' as const, projectId: credentials.project.id, description: 'test key', rights };
      return (await db.transaction((tx) => identity.issue(tx, record))).secret;
    },
    async tokenActor(rights) {
      const { secret } = await identity.createToken(actor, { description: 'test token', ...rights });
      return { ...(await identity.authenticateStorageToken(secret)), secret };
    },
    async request(method, url, body, { token, headers } = {}) {
      const answer = await call(method, url, {
        headers: { host: 'localhost:8000', ...headers },
        ...(token !== undefined && { token }),
        ...(body !== undefined && { payload: body as object }),
      });
      const isJson = answer.headers['content-type'] === 'application/json' && answer.body !== '';
      return {
        status: answer.status,
        headers: answer.headers,
        text: answer.body,
        body: (isJson ? answer.json() : undefined) as never,
      };
    },
  };
}
