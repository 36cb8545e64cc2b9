import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { Client, pause } from '../../demo/client.ts';
import type { TestPlatform } from '../support/platform.ts';

export type Call = {
  method?: string;
  path: string;
  /** Null sends none. */
  token?: string | null;
  headers?: Record<string, string>;
  /** Objects go as JSON, texts and bytes as they are. */
  body?: object | string | Buffer;
};

export type Answer = { status: number; contentType: string | null; text: string; json: Record<string, unknown> };

export type EndedJob = {
  id: string;
  status: string;
  /** Of a Storage job. */
  error?: { code: string; message: string; exceptionId: string };
  results?: Record<string, unknown> | null;
  /** Of a Queue job. */
  result: { message: string; error: { type: string; exceptionId: string } };
};

/** One project as its user sees it: calls that may fail, jobs that may fail, and everything that is there. */
export class Tenant {
  readonly client: Client;
  readonly url: string;
  readonly token: string;

  constructor(url: string, token: string) {
    this.url = url;
    this.token = token;
    this.client = new Client(url, token);
  }

  async call({ method = 'GET', path, token = this.token, headers = {}, body }: Call): Promise<Answer> {
    const isPlain = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(token !== null && { 'X-StorageApi-Token': token }),
        ...(isPlain ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: isPlain ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const contentType = response.headers.get('content-type');
    return { status: response.status, contentType, text, json: contentType?.includes('json') ? JSON.parse(text) : {} };
  }

  /** Starts a Storage job, or takes the refusal, whichever comes; clients see both as the same error. */
  async storageProblem(path: string, body: object): Promise<{ code: unknown; message: unknown; results: unknown }> {
    const answer = await this.call({ method: 'POST', path, body });
    if (answer.status >= 400) {
      assertShape('storage', answer);
      return { code: answer.json.code, message: answer.json.error, results: null };
    }
    const job = await this.end(`/v2/storage/jobs/${answer.json.id}`, ['success', 'error']);
    assert.equal(job.status, 'error', JSON.stringify(job.results));
    assert.match(job.error?.exceptionId ?? '', /^exception-/);
    return { code: job.error?.code, message: job.error?.message, results: job.results };
  }

  async queueJob(body: object): Promise<EndedJob> {
    const { id } = await this.client.call<{ id: string }>('POST', '/queue/jobs', body);
    return this.end(`/queue/jobs/${id}`, ['success', 'error', 'terminated', 'cancelled']);
  }

  async end(path: string, final: string[]): Promise<EndedJob> {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const job = await this.client.call<EndedJob>('GET', path);
      if (final.includes(job.status)) return job;
      assert.ok(Date.now() < deadline, `${path} is still ${job.status}`);
      await pause(25);
    }
  }

  /** Everything a failed call must leave as it was. */
  async everything() {
    const get = (path: string) => this.client.call<unknown>('GET', `/v2/storage/${path}`);
    const tables = (await get('tables?include=columns,metadata,columnMetadata,buckets')) as { id: string }[];
    return {
      tables,
      rows: await Promise.all(tables.map((table) => this.client.text(`/v2/storage/tables/${table.id}/data-preview`))),
      buckets: await get('buckets?include=metadata'),
      // The URL of a file is signed anew for every answer.
      files: ((await get('files?limit=200')) as { url: string }[]).map((file) => ({ ...file, url: '' })),
      configurations: await get('components?include=configuration,rows,state'),
      // Only their ids: a token's own record says when it was last used.
      tokens: ((await get('tokens')) as { id: string }[]).map(({ id }) => id),
    };
  }

  /** Runs the action and holds everything before against everything after. */
  async unchanged(action: () => Promise<void>): Promise<void> {
    const before = await this.everything();
    await action();
    assert.deepEqual(await this.everything(), before);
  }

  /** The same where the call itself brings a file, which is kept whether it was any good or not. */
  async unchangedButFiles(action: () => Promise<void>): Promise<void> {
    const before = await this.everything();
    await action();
    const after = await this.everything();
    assert.equal(after.files.length, before.files.length + 1);
    assert.deepEqual({ ...after, files: [] }, { ...before, files: [] });
  }
}

export async function secondTenant({ url, credentials }: TestPlatform): Promise<Tenant> {
  const response = await fetch(`${url}/manage/projects`, {
    method: 'POST',
    headers: { 'X-KBC-ManageApiToken': credentials.keboola.manageToken, 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: 'Other' }),
  });
  assert.equal(response.status, 201);
  const made = (await response.json()) as { keboola: { storageToken: string } };
  return new Tenant(url, made.keboola.storageToken);
}

export type Family = 'storage' | 'queue' | 'syrup';

/** The members of an error that clients of the service read, with their types. */
export function assertShape(family: Family, { contentType, status, json, text }: Answer): void {
  // PHP clients compare with this very text.
  assert.equal(contentType, 'application/json');
  const types = Object.fromEntries(Object.entries(json).map(([name, value]) => [name, typeof value]));
  assert.match(String(json.exceptionId), /^exception-/, text);
  assert.equal(json.status, 'error');
  switch (family) {
    case 'storage':
      assert.equal(types.error, 'string');
      // Clients of Go cannot decode a number. Absent where the original leaves it out.
      assert.ok(types.code === 'string' || types.code === undefined);
      break;
    case 'queue':
      assert.deepEqual([types.error, json.message, json.code], ['string', json.error, status]);
      assert.equal(types.context, 'object');
      break;
    case 'syrup':
      assert.deepEqual([json.error, types.message, json.code], ['User error', 'string', status]);
      assert.equal(types.runId, 'number');
      break;
  }
}

/** The text for people, wherever the family keeps it. */
export function messageOf(family: Family, { json }: Answer): unknown {
  return family === 'syrup' ? json.message : json.error;
}

/** Files below a directory, without their content. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort();
}
