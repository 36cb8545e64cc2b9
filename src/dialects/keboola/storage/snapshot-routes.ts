import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { TableSnapshot } from '../../../core/tables/table-snapshots.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { formatDate } from '../scalars.ts';
import { shapeJob } from './job-shape.ts';

const TableParams = Type.Object({ tableId: Type.String() });
const SnapshotParams = Type.Object({ snapshotId: Type.Integer() });

/** Tables kept as they were at a moment. A table is made of one by `tables-async`. */
export function registerSnapshotRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { snapshots } = deps.core.tables;

  app.post(
    '/tables/:tableId/snapshots',
    {
      schema: {
        summary: 'Keep a table as it is now',
        params: TableParams,
        body: Type.Object({
          description: Type.Optional(Type.Union([Type.String({ maxLength: 10_000 }), Type.Null()])),
        }),
      },
    },
    async (request, reply) => {
      const description = request.body.description ?? '';
      const job = await snapshots.createLater(request.actor, request.params.tableId, description);
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );

  app.get(
    '/tables/:tableId/snapshots',
    {
      schema: {
        summary: 'Snapshots of a table, newest first',
        params: TableParams,
        querystring: Type.Object({
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 20 })),
          offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
        }),
      },
    },
    async (request) => {
      const { limit = 20, offset = 0 } = request.query;
      const page = await snapshots.list(request.actor, request.params.tableId, { limit, offset });
      return page.map((snapshot) => shapeSnapshot(request, deps, snapshot));
    },
  );

  app.get(
    '/snapshots/:snapshotId',
    { schema: { summary: 'One snapshot, with the table it was made of', params: SnapshotParams } },
    async (request) => {
      const snapshot = await snapshots.get(request.actor, request.params.snapshotId);
      const { tableId: id, primaryKey, columns } = snapshot;
      return { ...shapeSnapshot(request, deps, snapshot), table: { id, primaryKey, columns } };
    },
  );

  app.delete(
    '/snapshots/:snapshotId',
    { schema: { summary: 'Delete a snapshot', params: SnapshotParams } },
    async (request, reply) => {
      const job = await snapshots.deleteLater(request.actor, request.params.snapshotId);
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );
}

function shapeSnapshot(request: FastifyRequest, deps: KeboolaDeps, snapshot: TableSnapshot): Record<string, unknown> {
  return {
    id: String(snapshot.id),
    description: snapshot.description,
    createdTime: formatDate(snapshot.createdAt),
    type: 'table',
    creatorToken: snapshot.token,
    uri: `${deps.baseUrl(request)}/v2/storage/snapshots/${snapshot.id}`,
    // The original keeps the rows in a file; here they share the files of the table.
    dataFileId: null,
  };
}
