import { type Static, Type } from 'typebox';
import { AppError, errors } from '../../../core/errors.ts';
import type { CsvOptions } from '../../../core/tables/table-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { parseList } from '../scalars.ts';
import { shapeJob } from './job-shape.ts';
import { JSON_CELL_CHARACTERS, toCsvPreview, toJsonPreview } from './preview-shape.ts';
import { shapeTableDetail, shapeTables } from './table-listing.ts';
import { toReadOptions, toRowSelection } from './table-query.ts';
import { LoadMeaning, refuseUnbuiltReadOptions, requireRfcFormat, toLoadMeaning } from './unbuilt-options.ts';
import { toWorkspaceSource, WorkspaceSourceBody } from './workspace-source.ts';

const BucketParams = Type.Object({ bucketId: Type.String() });
const TableParams = Type.Object({ tableId: Type.String() });
const List = (description?: string) =>
  Type.Optional(Type.Array(Type.String(), { 'x-list': true, ...(description && { description }) }));
const IncludeQuery = Type.Object({
  include: List('attributes, columns, buckets, metadata, columnMetadata'),
});

const Csv = {
  delimiter: Type.Optional(Type.String()),
  enclosure: Type.Optional(Type.String()),
  escapedBy: Type.Optional(Type.String()),
  columns: List('names of the columns of a file without header'),
};

const NewTableBody = Type.Object({
  name: Type.Optional(Type.String()),
  displayName: Type.Optional(Type.String()),
  primaryKey: Type.Optional(Type.Unknown({ description: 'column names with commas between' })),
  dataFileId: Type.Optional(Type.Integer()),
  ...Csv,
  snapshotId: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
  ...WorkspaceSourceBody,
  sourceTableId: Type.Optional(Type.Unknown()),
});

const ImportBody = Type.Object(
  {
    dataFileId: Type.Optional(Type.Integer()),
    incremental: Type.Optional(Type.Boolean()),
    ...Csv,
    withoutHeaders: Type.Optional(Type.Boolean()),
    ignoredLinesCount: Type.Optional(Type.Integer({ minimum: 0 })),
    ...LoadMeaning,
    ...WorkspaceSourceBody,
  },
  { 'x-code': 'table.invalid' },
);

const Rows = {
  whereFilters: Type.Optional(Type.Unknown({ description: '[{column, operator, values[], dataType}]' })),
  whereColumn: Type.Optional(Type.String()),
  whereValues: Type.Optional(Type.Array(Type.String(), { 'x-list': true })),
  whereOperator: Type.Optional(Type.String()),
  changedSince: Type.Optional(Type.String({ description: 'unix seconds, a date or words such as -2 days' })),
  changedUntil: Type.Optional(Type.String()),
};
const Reading = {
  ...Rows,
  columns: List(),
  orderBy: Type.Optional(Type.Unknown({ description: '[{column, order, dataType}]' })),
  includeInternalTimestamp: Type.Optional(Type.Boolean()),
  fulltextSearch: Type.Optional(Type.String()),
  timezone: Type.Optional(Type.String()),
  sourceBranchId: Type.Optional(Type.String()),
  format: Type.Optional(Type.String()),
};
const ExportBody = Type.Object(
  {
    ...Reading,
    limit: Type.Optional(Type.Integer({ minimum: 0 })),
    gzip: Type.Optional(Type.Boolean()),
    fileType: Type.Optional(Type.Union([Type.Literal('csv'), Type.Literal('parquet')])),
  },
  { 'x-code': 'table.invalid' },
);
const PreviewQuery = Type.Object(
  { ...Reading, limit: Type.Optional(Type.Integer({ minimum: 0, default: 100 })) },
  { 'x-code': 'table.invalid' },
);
const DeleteRowsParameters = Type.Object({ ...Rows, allowTruncate: Type.Optional(Type.Boolean()) });

export function registerTableRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { tables } = deps.core;

  app.get('/tables', { schema: { summary: 'Tables the token can read', querystring: IncludeQuery } }, async (request) =>
    shapeTables(request, deps, await tables.list(request.actor), request.query.include ?? ['buckets']),
  );

  app.get(
    '/buckets/:bucketId/tables',
    { schema: { summary: 'Tables of a bucket', params: BucketParams, querystring: IncludeQuery } },
    async (request) =>
      shapeTables(
        request,
        deps,
        await tables.listByBucket(request.actor, request.params.bucketId),
        request.query.include ?? [],
      ),
  );

  app.post(
    '/buckets/:bucketId/tables-async',
    {
      schema: {
        summary: 'Make a table from an uploaded CSV file, a workspace or a snapshot',
        params: BucketParams,
        body: NewTableBody,
      },
    },
    async (request, reply) => {
      const { name = '', displayName, primaryKey, dataFileId, snapshotId, sourceTableId } = request.body;
      if (Array.isArray(primaryKey) || (typeof primaryKey === 'object' && primaryKey !== null)) {
        throw new AppError(
          'invalid',
          'table.primary-key-format',
          'Primary key must be a text of column names with commas between.',
        );
      }
      if (snapshotId !== undefined && snapshotId !== '') {
        const target = { bucketId: request.params.bucketId, name: request.body.name, displayName };
        const job = await tables.snapshots.restoreLater(request.actor, requireSnapshotId(snapshotId), target);
        reply.code(202);
        return shapeJob(request, deps, job);
      }
      if (sourceTableId !== undefined) throw errors.optionNotImplemented('tables from earlier states');
      const rows = toWorkspaceSource(request.body);
      if (rows) {
        const table = { bucketId: request.params.bucketId, name, displayName, primaryKey: parseList(primaryKey) };
        const job = await tables.createFrom(request.actor, table, rows);
        reply.code(202);
        return shapeJob(request, deps, job);
      }
      if (dataFileId === undefined)
        throw new AppError('invalid', 'table.invalid', 'The parameter "dataFileId" is required.');
      const job = await tables.createFromFile(request.actor, {
        bucketId: request.params.bucketId,
        name,
        displayName,
        primaryKey: parseList(primaryKey),
        fileId: dataFileId,
        ...toCsvOptions(request.body),
      });
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );

  app.get('/tables/:tableId', { schema: { summary: 'One table', params: TableParams } }, async (request) =>
    shapeTableDetail(request, deps, await tables.get(request.actor, request.params.tableId)),
  );

  app.put(
    '/tables/:tableId',
    {
      schema: {
        summary: 'Change the display name',
        params: TableParams,
        body: Type.Object({ displayName: Type.Optional(Type.String()) }),
      },
    },
    async (request) =>
      shapeTableDetail(request, deps, await tables.update(request.actor, request.params.tableId, request.body)),
  );

  app.delete(
    '/tables/:tableId',
    {
      schema: {
        summary: 'Delete a table',
        params: TableParams,
        querystring: Type.Object({ force: Type.Optional(Type.Boolean()), async: Type.Optional(Type.Boolean()) }),
      },
    },
    async (request, reply) => {
      const { tableId } = request.params;
      if (request.query.async) {
        const job = await tables.dropLater(request.actor, tableId);
        reply.code(202);
        return shapeJob(request, deps, job);
      }
      await tables.drop(request.actor, tableId);
      return reply.code(204).send();
    },
  );

  app.post(
    '/tables/:tableId/import-async',
    { schema: { summary: 'Load an uploaded CSV file into a table', params: TableParams, body: ImportBody } },
    async (request, reply) => {
      const { dataFileId, incremental, withoutHeaders, ignoredLinesCount } = request.body;
      const rows = toWorkspaceSource(request.body);
      if (rows) {
        const job = await tables.importFrom(request.actor, request.params.tableId, rows, {
          incremental,
          ...toLoadMeaning(request.body),
        });
        reply.code(202);
        return shapeJob(request, deps, job);
      }
      if (dataFileId === undefined)
        throw new AppError('invalid', 'table.invalid', 'The parameter "dataFileId" is required.');
      const job = await tables.import(request.actor, request.params.tableId, {
        fileId: dataFileId,
        incremental,
        withoutHeaders,
        ignoredLinesCount,
        ...toLoadMeaning(request.body),
        ...toCsvOptions(request.body),
      });
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );

  app.post(
    '/tables/:tableId/export-async',
    { schema: { summary: 'Write a table to a file', params: TableParams, body: ExportBody } },
    async (request, reply) => {
      refuseUnbuiltReadOptions(request.body, request.actor.branchId);
      requireRfcFormat(request.body.format, ['json', 'raw', 'escaped']);
      const job = await tables.export(request.actor, request.params.tableId, {
        ...toReadOptions(request.body),
        gzip: request.body.gzip,
        fileType: request.body.fileType,
      });
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );

  app.get(
    '/tables/:tableId/data-preview',
    {
      schema: {
        summary: 'The first rows, as CSV or with format=json as JSON',
        params: TableParams,
        querystring: PreviewQuery,
      },
    },
    async (request, reply) => {
      const isJson = request.query.format === 'json';
      refuseUnbuiltReadOptions(request.query, request.actor.branchId);
      if (!isJson) requireRfcFormat(request.query.format, ['raw', 'escaped']);
      const { columns, rows } = await tables.preview(request.actor, request.params.tableId, {
        ...toReadOptions(request.query),
        ...(isJson && { cellCharacters: JSON_CELL_CHARACTERS }),
      });
      if (isJson) return toJsonPreview(columns, rows);
      reply.header('content-type', 'text/csv');
      return Buffer.from(toCsvPreview(columns, rows));
    },
  );

  app.delete(
    '/tables/:tableId/rows',
    {
      schema: {
        summary: 'Delete rows; the parameters may come in the body or the query',
        params: TableParams,
        querystring: DeleteRowsParameters,
        body: DeleteRowsParameters,
      },
    },
    async (request, reply) => {
      const { allowTruncate, ...rows } = { ...request.query, ...request.body };
      const job = await tables.deleteRows(request.actor, request.params.tableId, {
        ...toRowSelection(rows),
        allowTruncate: allowTruncate ?? false,
      });
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );
}

type CsvBody = Partial<Static<ReturnType<typeof csvObject>>>;
const csvObject = () => Type.Object(Csv);

function toCsvOptions({ delimiter, enclosure, escapedBy, columns }: CsvBody): CsvOptions {
  return { delimiter, enclosure, escapedBy, columns };
}

/** Clients send it as a text or as a number. */
function requireSnapshotId(id: number | string): number {
  if (!/^\d{1,15}$/.test(String(id))) throw new AppError('invalid', 'table.invalid', `Invalid snapshotId: "${id}".`);
  return Number(id);
}
