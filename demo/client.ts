import { Api } from './api.ts';

export type StorageJob = {
  id: number;
  status: string;
  results: Record<string, unknown> | null;
  error?: { message: string };
};

export type QueueJob = {
  id: string;
  status: string;
  isFinished: boolean;
  result: { message?: string; output?: { tables?: { id: string }[] } };
};

/** A small client of Storage and the Queue. */
export class Client extends Api {
  constructor(url: string, token: string) {
    super(url, { 'X-StorageApi-Token': token });
  }

  /** Prepares a Storage file and uploads its content through the Azure Blob endpoint, like the official clients. */
  async upload(name: string, content: Buffer, tags: string[]): Promise<number> {
    const file = await this.call<{
      id: number;
      absUploadParams: { blobName: string; container: string; absCredentials: { SASConnectionString: string } };
    }>('POST', '/v2/storage/files/prepare', { name, sizeBytes: content.length, tags, federationToken: true });
    const { blobName, container, absCredentials } = file.absUploadParams;
    const parts = /^BlobEndpoint=(.*?);SharedAccessSignature=(.*)$/.exec(absCredentials.SASConnectionString);
    if (!parts) throw new Error('unexpected connection string');
    const response = await fetch(`${parts[1]}/${container}/${blobName}?${parts[2]}`, {
      method: 'PUT',
      headers: { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2021-12-02' },
      body: new Uint8Array(content),
    });
    if (response.status !== 201) throw new Error(`upload answered ${response.status}: ${await response.text()}`);
    return file.id;
  }

  /** Starts a Storage job and waits for it. */
  async storageJob(method: string, path: string, body?: unknown): Promise<StorageJob> {
    let job = await this.call<StorageJob>(method, path, body);
    while (job.status !== 'success' && job.status !== 'error') {
      await pause(25);
      job = await this.call<StorageJob>('GET', `/v2/storage/jobs/${job.id}`);
    }
    if (job.status === 'error') throw new Error(`storage job ${job.id} failed: ${job.error?.message}`);
    return job;
  }

  /** Starts a queue job and waits for it. */
  async queueJob(body: unknown): Promise<QueueJob> {
    let job = await this.call<QueueJob>('POST', '/queue/jobs', body);
    while (!job.isFinished) {
      await pause(25);
      job = await this.call<QueueJob>('GET', `/queue/jobs/${job.id}`);
    }
    if (job.status !== 'success') throw new Error(`job ${job.id} ended as ${job.status}: ${job.result.message}`);
    return job;
  }

  /** Exports a table and returns its rows, header included, read from the file's slices. */
  async exportRows(tableId: string): Promise<string[][]> {
    const table = await this.call<{ columns: string[] }>('GET', `/v2/storage/tables/${tableId}`);
    const job = await this.storageJob('POST', `/v2/storage/tables/${tableId}/export-async`, {});
    const fileId = (job.results as { file: { id: number } }).file.id;
    const file = await this.call<{ url: string; absCredentials: { SASConnectionString: string } }>(
      'GET',
      `/v2/storage/files/${fileId}?federationToken=1`,
    );
    const manifest = (await (await fetch(file.url)).json()) as { entries: { url: string }[] };
    const sas = file.absCredentials.SASConnectionString.split('SharedAccessSignature=')[1];
    const scheme = new URL(this.url).protocol;
    let text = '';
    for (const entry of manifest.entries) {
      const slice = await fetch(`${entry.url.replace(/^azure:/, scheme)}?${sas}`);
      if (!slice.ok) throw new Error(`slice answered ${slice.status}`);
      text += await slice.text();
    }
    return [table.columns, ...parseCsv(text)];
  }
}

/** RFC 4180 with every cell quoted, as Storage exports it. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const match of text.matchAll(/"((?:[^"]|"")*)"(,|\n)/g)) {
    row.push((match[1] ?? '').replaceAll('""', '"'));
    if (match[2] === '\n') {
      rows.push(row);
      row = [];
    }
  }
  return rows;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
