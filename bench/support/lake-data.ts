import { execFile } from 'node:child_process';
import { createReadStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import type { Client } from '../../demo/client.ts';

/**
 * Plain DuckDB to be measured against: one process for each script, so no warm caches and no memory of ours; it spills
 * into `folder`. Of several statements only the last is timed. Milliseconds.
 */
export async function plainDuckdb(folder: string, ...statements: string[]): Promise<number> {
  const script = `
    const { DuckDBInstance } = await import('@duckdb/node-api');
    const db = await (await DuckDBInstance.create(':memory:', { temp_directory: ${JSON.stringify(folder)} })).connect();
    let started = 0;
    for (const statement of ${JSON.stringify(statements)}) {
      started = performance.now();
      await db.run(statement);
    }
    console.log(performance.now() - started);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  return Number(stdout.trim());
}

/** Some of the orders, those with `keep` of their number `i`, as a CSV file. */
export function ordersCsv(rows: number, path: string, keep = 'true'): string {
  return `COPY (SELECT i AS id, 'customer ' || (i * 7919 % 1000003) AS customer, (DATE '2024-01-01' + CAST(i % 700 AS INTEGER))::VARCHAR AS day,
    round(random() * 10000, 2) AS amount, CASE WHEN i % 10 = 0 THEN 'a "quoted", text' ELSE 'plain text ' || (i % 97) END AS note,
    uuid()::VARCHAR AS code, CASE WHEN i % 3 = 0 THEN '' ELSE 'Plzeň' END AS city FROM range(${rows}) t(i) WHERE ${keep}) TO '${path}' (HEADER)`;
}

/** Uploads a local file as one streamed blob. */
export async function uploadFile(client: Client, file: string): Promise<number> {
  const sizeBytes = statSync(file).size;
  const prepared = await client.call<{
    id: number;
    absUploadParams: { blobName: string; container: string; absCredentials: { SASConnectionString: string } };
  }>('POST', '/v2/storage/files/prepare', { name: 'orders.csv', sizeBytes, federationToken: true });
  const { blobName, container, absCredentials } = prepared.absUploadParams;
  const [endpoint, sas] = absCredentials.SASConnectionString.replace('BlobEndpoint=', '').split(
    ';SharedAccessSignature=',
  );
  const response = await fetch(`${endpoint}/${container}/${blobName}?${sas}`, {
    method: 'PUT',
    headers: { 'x-ms-blob-type': 'BlockBlob', 'content-length': String(sizeBytes) },
    body: Readable.toWeb(createReadStream(file)) as ReadableStream,
    duplex: 'half',
  } as RequestInit);
  if (response.status !== 201) throw new Error(`upload answered ${response.status}: ${await response.text()}`);
  return prepared.id;
}
