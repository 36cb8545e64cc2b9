import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPlatform, type TestPlatformOptions } from './platform.ts';

export type Trace = {
  id: number;
  status: string;
  executed_at: string;
  duration: number | null;
  result: { stdout?: string; stderr?: string; response?: Record<string, unknown> };
  links: { self: string };
};
export type Page<T> = { next: string | null; prev: string | null; objects: T[] };
export type Answer<T> = { status: number; body: T };

/** A whole server, and calls below the instance of its first project. */
export async function scriptServer(t: TestContext, options: TestPlatformOptions = {}) {
  const server = await startPlatform(t, options);
  const { syncano } = server.credentials;
  const base = `/v1.1/instances/${syncano.instance}/`;
  const call = async <T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: object,
    key = syncano.accountKey,
  ): Promise<Answer<T>> => {
    const response = await fetch(`${server.url}${path.startsWith('/') ? path : base + path}`, {
      method,
      headers: { 'x-api-key': key, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T };
  };
  const create = async (source: string, more: object = {}) => {
    const script = { label: 's', runtime_name: 'nodejs_v6', source, ...more };
    const { status, body } = await call<{ id: number }>('POST', 'snippets/scripts/', script);
    assert.equal(status, 201, JSON.stringify(body));
    return body.id;
  };
  const end = async (path: string): Promise<Trace> => {
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(10)) {
      const { body } = await call<Trace>('GET', path);
      if (body.status !== 'pending' && body.status !== 'processing') return body;
    }
    throw new Error('the script did not end');
  };
  const run = async (id: number, payload: unknown = {}) => {
    const { status, body } = await call<Trace>('POST', `snippets/scripts/${id}/run/`, { payload });
    assert.equal(status, 200, JSON.stringify(body));
    return end(body.links.self);
  };
  return {
    ...server,
    base,
    call,
    create,
    run,
    end,
    runSource: async (s: string, p?: unknown, m?: object) => run(await create(s, m), p),
  };
}
