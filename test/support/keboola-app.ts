import type { TestContext } from 'node:test';
import type { Core } from '../../src/core/core.ts';
import type { Actor } from '../../src/core/identity/actor.ts';
import type { NewToken } from '../../src/core/identity/token-model.ts';
import type { Jobs } from '../../src/core/jobs/jobs.ts';
import { keboolaServer } from './keboola.ts';

export type JsonAnswer = { status: number; headers: Record<string, unknown>; text: string; body: never };

export type KeboolaApp = {
  core: Core;
  jobs: Jobs;
  /** Of the first project's master token. */
  actor: Actor;
  /** A further token of the project, by its rights. */
  tokenActor(rights: Omit<NewToken, 'description'>): Promise<Actor & { secret: string }>;
  /** One request with the master token; `token: null` sends none. A plain object as body goes out as JSON. */
  call(method: string, url: string, body?: unknown, options?: JsonCallOptions): Promise<JsonAnswer>;
};

export type JsonCallOptions = { token?: string | null; headers?: Record<string, string> };

/** A Keboola server for scenario tables: rows of request, expected status and members of the answer. */
export async function keboolaApp(t: TestContext): Promise<KeboolaApp> {
  const { core, credentials, call } = await keboolaServer(t);
  const actor = await core.identity.authenticateStorageToken(credentials.keboola.storageToken);
  return {
    core,
    jobs: core.jobs,
    actor,
    async tokenActor(rights) {
      const { secret } = await core.identity.createToken(actor, { description: 'test token', ...rights });
      return { ...(await core.identity.authenticateStorageToken(secret)), secret };
    },
    async call(method, url, body, { token, headers } = {}) {
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
