import assert from 'node:assert/strict';
import { startPlatform } from './platform.ts';

export type StorageAnswer = { status: number; type: string | null; text: string; json: StorageJson };
/** The members of answers that tests look at; which of them are there depends on the call. */
export type StorageJson = {
  id: number;
  status: string;
  code: string;
  error: { code: string; message: string };
  operationName: string;
  operationParams: Record<string, unknown>;
  tableId: string | null;
  results: StorageJson & Record<string, unknown>;
  file: { id: number };
  columns: string[];
  primaryKey: string[];
  isTyped: boolean;
  rowsCount: number;
  lastImportDate: string | null;
  lastChangeDate: string | null;
  definition: { primaryKeysNames: string[]; columns: Record<string, unknown>[] };
  metadata: { key: string; value: string; provider: string }[];
  columnMetadata: Record<string, { key: string; value: string; provider: string }[]>;
  absUploadParams: { container: string; blobName: string; absCredentials: { SASConnectionString: string } };
};

/** A whole server, asked over HTTP as a Storage client does. */
export async function storageClient(...[t, options]: Parameters<typeof startPlatform>) {
  const platform = await startPlatform(t, options);
  const { url, credentials } = platform;

  async function call(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<StorageAnswer> {
    const response = await fetch(`${url}/v2/storage${path}`, {
      method,
      headers: {
        'x-storageapi-token': credentials.keboola.storageToken,
        ...(body !== undefined && { 'content-type': contentType }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const type = response.headers.get('content-type');
    return {
      status: response.status,
      type,
      text,
      json: (type === 'application/json' ? JSON.parse(text) : {}) as StorageJson,
    };
  }

  /** Starts a job and returns it once it is over. */
  async function run(method: string, path: string, body?: unknown, contentType?: string): Promise<StorageJson> {
    const started = await call(method, path, body, contentType);
    assert.equal(started.status, 202, started.text);
    for (let job = started.json; ; ) {
      if (['success', 'error'].includes(job.status)) return job;
      await new Promise((resolve) => setTimeout(resolve, 20));
      job = (await call('GET', `/jobs/${job.id}`)).json;
    }
  }

  /** Uploads content and returns the file's id. */
  async function upload(content: string, name = 'data.csv'): Promise<number> {
    const { json } = await call('POST', '/files/prepare', { name, sizeBytes: content.length, federationToken: true });
    const { container, blobName, absCredentials } = json.absUploadParams;
    const [, endpoint = '', signature = ''] =
      /BlobEndpoint=([^;]+);SharedAccessSignature=(.+)$/.exec(absCredentials.SASConnectionString) ?? [];
    const put = await fetch(`${endpoint}/${container}/${blobName}?${signature}`, {
      method: 'PUT',
      headers: { 'x-ms-blob-type': 'BlockBlob' },
      body: content,
    });
    assert.equal(put.status, 201, await put.text());
    return json.id;
  }

  return {
    ...platform,
    call,
    run,
    upload,
    /** Makes a table in `in.c-main` of CSV text. */
    async table(name: string, csv: string, options: object = {}): Promise<StorageJson> {
      const dataFileId = await upload(csv);
      const job = await run('POST', '/buckets/in.c-main/tables-async', { name, dataFileId, ...options });
      assert.equal(job.status, 'success', JSON.stringify(job.error));
      return job.results;
    },
    /** Loads CSV text; returns the job, whatever its end. */
    async load(tableId: string, csv: string, options: object = {}): Promise<StorageJson> {
      return run('POST', `/tables/${tableId}/import-async`, { dataFileId: await upload(csv), ...options });
    },
  };
}
