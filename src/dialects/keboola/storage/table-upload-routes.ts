import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { Job } from '../../../core/jobs/job-model.ts';
import type { LoadResult } from '../../../core/tables/table-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { parseList } from '../scalars.ts';
import { shapeTableDetail } from './table-listing.ts';
import { LoadMeaning, toLoadMeaning } from './unbuilt-options.ts';

const Csv = {
  data: Type.Optional(Type.Unknown({ description: 'the CSV file, as a part of multipart/form-data' })),
  dataString: Type.Optional(Type.String({ description: 'the CSV itself' })),
  delimiter: Type.Optional(Type.String()),
  enclosure: Type.Optional(Type.String()),
  escapedBy: Type.Optional(Type.String()),
  columns: Type.Optional(Type.Array(Type.String(), { 'x-list': true })),
};

/**
 * The old calls that carry the rows in the request and answer when they are loaded. They are the asynchronous calls
 * with the upload before and the waiting after.
 */
export function registerTableUploadRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { tables } = deps.core;

  app.post(
    '/buckets/:bucketId/tables',
    {
      config: { multipart: true },
      schema: {
        summary: 'Make a table from CSV in the request; deprecated, use tables-async',
        params: Type.Object({ bucketId: Type.String() }),
        body: Type.Object({
          name: Type.Optional(Type.String()),
          displayName: Type.Optional(Type.String()),
          primaryKey: Type.Optional(Type.String({ description: 'column names with commas between' })),
          ...Csv,
        }),
      },
    },
    async (request, reply) => {
      const { name = '', displayName, primaryKey, delimiter, enclosure, escapedBy, columns } = request.body;
      const { bucketId } = request.params;
      const csv = { delimiter, enclosure, escapedBy, columns };
      const table = { bucketId, name, displayName, primaryKey: parseList(primaryKey), ...csv };
      const { tableId } = await load(request, deps, (fileId) =>
        tables.createFromFile(request.actor, { ...table, fileId }),
      );
      reply.code(201);
      return shapeTableDetail(request, deps, await tables.get(request.actor, tableId));
    },
  );

  app.post(
    '/tables/:tableId/import',
    {
      config: { multipart: true },
      schema: {
        summary: 'Load CSV in the request into a table; deprecated, use import-async',
        params: Type.Object({ tableId: Type.String() }),
        body: Type.Object({
          incremental: Type.Optional(Type.Boolean()),
          withoutHeaders: Type.Optional(Type.Boolean()),
          ignoredLinesCount: Type.Optional(Type.Integer({ minimum: 0 })),
          ...Csv,
          ...LoadMeaning,
        }),
      },
    },
    async (request) => {
      const { incremental, withoutHeaders, ignoredLinesCount, delimiter, enclosure, escapedBy, columns } = request.body;
      const csv = { withoutHeaders, ignoredLinesCount, delimiter, enclosure, escapedBy, columns };
      const options = { incremental, ...csv, ...toLoadMeaning(request.body) };
      const result = await load(request, deps, (fileId) =>
        tables.import(request.actor, request.params.tableId, { ...options, fileId }),
      );
      return {
        transaction: null,
        warnings: result.warnings,
        importedColumns: result.importedColumns,
        totalRowsCount: result.totalRowsCount,
        totalDataSizeBytes: result.totalDataSizeBytes,
        status: 'ok',
      };
    },
  );
}

/** Stores what the request brought, starts the job over it, and answers its result once it is over. */
async function load(
  request: FastifyRequest,
  deps: KeboolaDeps,
  start: (fileId: number) => Promise<Job>,
): Promise<LoadResult> {
  const { files, jobs } = deps.core;
  const { path, name } = await receivedFile(request, deps.config.temporaryDirectory);
  const file = await files.createFrom(request.actor, { name, tags: ['file-import'] }, path);
  let job: Job;
  try {
    job = await start(file.id);
  } catch (error) {
    await files.delete(request.actor, file.id);
    throw error;
  }
  const ended = await jobs.awaitEnd(job.id, request.signal);
  if (ended.status !== 'succeeded') {
    throw ended.error
      ? AppError.fromJSON(ended.error)
      : new AppError('invalid', 'job.cancelled', 'The job was cancelled.');
  }
  return ended.result as unknown as LoadResult;
}

async function receivedFile(request: FastifyRequest, directory: string): Promise<{ path: string; name: string }> {
  const part = request.uploads?.get('data');
  if (part) return { path: part.path, name: part.fileName || 'data.csv' };
  const { dataString } = request.body as { dataString?: string };
  if (dataString === undefined)
    throw new AppError('invalid', 'table.invalid', 'Either "data" or "dataString" is required.');
  await mkdir(directory, { recursive: true });
  const path = join(await mkdtemp(join(directory, 'upload-')), 'part');
  const upload = { path, fileName: 'data.csv', contentType: 'text/csv', sizeBytes: Buffer.byteLength(dataString) };
  // Known to the request from now on, so that it is removed with the other parts whatever happens.
  request.uploads = new Map([['data', upload]]);
  await writeFile(path, dataString, { mode: 0o600 });
  return { path, name: upload.fileName };
}
