import { Type } from 'typebox';
import { AppError, errors } from '../../../core/errors.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { shapeJob } from './job-shape.ts';
import { cloneNotSupported, toWorkspaceLoad } from './workspace-load-request.ts';
import { found, WorkspaceParams } from './workspace-routes.ts';

const LoadBody = Type.Object({
  input: Type.Optional(
    Type.Unknown({
      description:
        '[{source, destination, columns, rows, seconds, changedSince, changedUntil, whereFilters, whereColumn, ' +
        'whereValues, whereOperator, incremental, overwrite, primaryKey, loadType}]',
    }),
  ),
  preserve: Type.Optional(Type.Boolean({ description: 'false drops first what is in the workspace' })),
});
const UnloadBody = Type.Object({ 'only-direct-grants': Type.Optional(Type.Boolean()) });
const ExportBody = Type.Object({
  tableName: Type.Optional(Type.String()),
  fileName: Type.Optional(Type.String({ maxLength: 255, description: 'the name of the table where it is missing' })),
  fileType: Type.Optional(Type.Union([Type.Literal('csv'), Type.Literal('parquet')])),
  gzip: Type.Optional(Type.Boolean()),
});
const QueryBody = Type.Object({ query: Type.String({ minLength: 1 }) });
const ObjectsBody = Type.Object({
  objects: Type.Array(Type.String({ minLength: 1 }), { minItems: 1, 'x-list': true }),
});

/** Rows between Storage and workspaces, and what is inside of them. */
export function registerWorkspaceTableRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { workspaceTables, workspaces } = deps.core;

  app.post(
    '/workspaces/:workspaceId/load',
    {
      schema: {
        summary: 'Load tables into a workspace',
        description: '202 with a job. All of them are loaded or none.',
        params: WorkspaceParams,
        body: LoadBody,
      },
    },
    async (request, reply) =>
      found(request.params.workspaceId, async (key) => {
        const { branchId } = request.actor;
        const job = await workspaceTables.loadLater(
          request.actor,
          key,
          toWorkspaceLoad(request.body, { branchId, now: new Date() }),
        );
        reply.code(202);
        return shapeJob(request, deps, job);
      }),
  );

  app.post(
    '/workspaces/:workspaceId/load-clone',
    {
      schema: {
        summary: 'Clone tables into a workspace',
        description: 'Refused: a workspace here is a database of its own, so tables can only be copied into it.',
        params: WorkspaceParams,
        body: LoadBody,
      },
    },
    async (request) =>
      found(request.params.workspaceId, async (key) => {
        await workspaces.describe(request.actor, key);
        throw cloneNotSupported();
      }),
  );

  app.post(
    '/workspaces/:workspaceId/unload',
    {
      schema: {
        summary: 'Jobs that take over what was written into Storage directly',
        description: '202 with an empty list: no workspace here writes into Storage directly.',
        params: WorkspaceParams,
        body: UnloadBody,
      },
    },
    async (request, reply) =>
      found(request.params.workspaceId, async (key) => {
        await workspaces.describe(request.actor, key);
        if (!request.body['only-direct-grants'])
          throw errors.optionNotImplemented('unload by the output mapping of a configuration');
        reply.code(202);
        return [];
      }),
  );

  app.post(
    '/workspaces/:workspaceId/table-export',
    {
      schema: {
        summary: 'Write a table of a workspace into a file',
        description: '202 with a job. The file is one CSV slice without header.',
        params: WorkspaceParams,
        body: ExportBody,
      },
    },
    async (request, reply) =>
      found(request.params.workspaceId, async (key) => {
        const { tableName = '', fileName, fileType = 'csv', gzip = false } = request.body;
        if (tableName === '')
          throw new AppError('invalid', 'request.failed-validation', 'The parameter "tableName" is required.');
        if (fileType !== 'csv') throw errors.optionNotImplemented(`fileType ${fileType}`);
        const job = await workspaceTables.exportLater(request.actor, key, {
          object: tableName,
          fileName: fileName || `${tableName}.csv${gzip ? '.gz' : ''}`,
          gzip,
        });
        reply.code(202);
        return shapeJob(request, deps, job);
      }),
  );

  app.post(
    '/workspaces/:workspaceId/query',
    {
      schema: {
        summary: 'Run one SQL statement in a workspace',
        description: 'At most 1000 rows. What the database refuses is told with the status `error` and 200.',
        params: WorkspaceParams,
        body: QueryBody,
      },
    },
    async (request) =>
      found(request.params.workspaceId, async (key) => {
        try {
          const { columns, rows, message } = await workspaceTables.query(request.actor, key, request.body.query);
          if (columns.length === 0) return { status: 'ok', message };
          return { status: 'ok', data: { columns, rows: rows.map((row) => toRecord(columns, row)) } };
        } catch (error) {
          if (error instanceof AppError && error.kind === 'invalid') return { status: 'error', message: error.message };
          throw error;
        }
      }),
  );

  app.get(
    '/workspaces/:workspaceId/objects',
    { schema: { summary: 'Tables and views of a workspace', params: WorkspaceParams } },
    async (request) =>
      found(request.params.workspaceId, async (key) => workspaceTables.listObjects(request.actor, key)),
  );

  app.post(
    '/workspaces/:workspaceId/objects/batch-delete',
    {
      schema: {
        summary: 'Drop tables and views of a workspace',
        description: '202 with a job. What depends on them goes too; what is not there is no error.',
        params: WorkspaceParams,
        body: ObjectsBody,
      },
    },
    async (request, reply) =>
      found(request.params.workspaceId, async (key) => {
        const job = await workspaceTables.dropObjectsLater(request.actor, key, request.body.objects);
        reply.code(202);
        return shapeJob(request, deps, job);
      }),
  );
}

function toRecord(columns: readonly string[], row: readonly (string | null)[]): Record<string, string | null> {
  return Object.fromEntries(columns.map((name, i) => [name, row[i] ?? null]));
}
