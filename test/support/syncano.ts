import type { TestContext } from 'node:test';
import type { ProjectCredentials } from '../../src/core/projects/credentials.ts';
import { type KeboolaServer, keboolaServer } from './keboola.ts';

export type SyncanoAnswer<T = never> = { status: number; headers: Record<string, unknown>; text: string; body: T };

export type SyncanoServer = {
  server: KeboolaServer;
  instance: string;
  credentials: ProjectCredentials['syncano'];
  /** A call below the first project's instance, or of an absolute path; with its account key unless headers say otherwise. */
  call<T = never>(
    method: string,
    path: string,
    body?: object | string,
    headers?: Record<string, string>,
  ): Promise<SyncanoAnswer<T>>;
};

/** The HTTP server over a real core and a database of its own. */
export async function syncanoServer(t: TestContext): Promise<SyncanoServer> {
  const server = await keboolaServer(t);
  const { syncano } = server.credentials;
  const base = `/v1.1/instances/${syncano.instance}/`;
  return {
    server,
    instance: base,
    credentials: syncano,
    async call(method, path, body, headers = { 'x-api-key': syncano.accountKey }) {
      const answer = await server.call(method, path.startsWith('/') ? path : `${base}${path}`, {
        token: null,
        headers: { ...(typeof body === 'string' && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { payload: body }),
      });
      const isJson = answer.body !== '' && String(answer.headers['content-type']).startsWith('application/json');
      return {
        status: answer.status,
        headers: answer.headers,
        text: answer.body,
        body: (isJson ? answer.json() : undefined) as never,
      };
    },
  };
}
