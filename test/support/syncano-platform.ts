import type { TestContext } from 'node:test';
import { startPlatform, type TestPlatform, type TestPlatformOptions } from './platform.ts';

export type Reply<T = never> = { status: number; text: string; body: T };

/** A whole server, with calls of the object API as its account key and of Storage as the same project's master token. */
export async function syncanoPlatform(t: TestContext, options: TestPlatformOptions = {}) {
  const test = await startPlatform(t, options);
  return { ...test, ...callers(test) };
}

export function callers({ url, credentials }: Pick<TestPlatform, 'url' | 'credentials'>) {
  const instance = `/v1.1/instances/${credentials.syncano.instance}/`;
  const send = async <T>(method: string, path: string, headers: Record<string, string>, body?: unknown) => {
    const isForm = body instanceof URLSearchParams;
    const answer = await fetch(new URL(path, url), {
      method,
      headers: { ...headers, ...(body !== undefined && !isForm && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isJson = text !== '' && answer.headers.get('content-type')?.includes('json') === true;
    return { status: answer.status, text, body: (isJson ? JSON.parse(text) : undefined) as T } as Reply<T>;
  };
  return {
    instance,
    call: <T = never>(method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
      send<T>(
        method,
        path.startsWith('/') ? path : `${instance}${path}`,
        headers ?? { 'x-api-key': credentials.syncano.accountKey },
        body,
      ),
    storage: <T = never>(method: string, path: string, body?: unknown) =>
      send<T>(method, path, { 'x-storageapi-token': credentials.keboola.storageToken }, body),
    /** Makes the bucket `in.c-main` where it is missing, and a table of CSV text in it. */
    async table(name: string, csv: string, primaryKey = ''): Promise<string> {
      const token = { 'x-storageapi-token': credentials.keboola.storageToken };
      await send('POST', '/v2/storage/buckets', token, { name: 'main', stage: 'in' });
      const form = new URLSearchParams({ name, dataString: csv, ...(primaryKey && { primaryKey }) });
      const made = await send<{ id: string }>('POST', '/v2/storage/buckets/in.c-main/tables', token, form);
      if (made.status >= 300) throw new Error(made.text);
      return made.body.id;
    },
    async load(tableId: string, csv: string, incremental: boolean): Promise<void> {
      const token = { 'x-storageapi-token': credentials.keboola.storageToken };
      const form = new URLSearchParams({ dataString: csv, incremental: incremental ? '1' : '0' });
      const done = await send('POST', `/v2/storage/tables/${tableId}/import`, token, form);
      if (done.status >= 300) throw new Error(done.text);
    },
  };
}
