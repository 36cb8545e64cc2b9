import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { Alteration } from '../../../core/tables/table-structure.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { shapeJob } from './job-shape.ts';

const TableParams = Type.Object({ tableId: Type.String() });

/** Columns and primary keys: each call starts a job that changes the catalogue. */
export function registerTableStructureRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { structure } = deps.core.tables;
  const alter = async (request: FastifyRequest, reply: FastifyReply, tableId: string, alteration: Alteration) => {
    const job = await structure.alterLater(request.actor, tableId, alteration);
    reply.code(202);
    return shapeJob(request, deps, job);
  };

  app.post(
    '/tables/:tableId/columns',
    {
      schema: {
        summary: 'Append a column',
        params: TableParams,
        body: Type.Object(
          {
            name: Type.String(),
            definition: Type.Optional(
              Type.Unknown({ description: 'for typed tables: {type, length, nullable, default}' }),
            ),
            basetype: Type.Optional(Type.Unknown({ description: 'for typed tables, instead of a definition' })),
          },
          { 'x-code': 'table.invalid' },
        ),
      },
    },
    async (request, reply) => {
      const { name, definition, basetype } = request.body;
      const unexpected = definition !== undefined ? 'definition' : basetype !== undefined ? 'basetype' : undefined;
      if (unexpected !== undefined) {
        throw new AppError(
          'invalid',
          'table.invalid',
          `Invalid parameters - ${unexpected}: This field was not expected.`,
        );
      }
      return alter(request, reply, request.params.tableId, { act: 'add-column', name });
    },
  );

  app.delete(
    '/tables/:tableId/columns/:column',
    {
      schema: {
        summary: 'Drop a column',
        params: Type.Object({ tableId: Type.String(), column: Type.String() }),
        querystring: Type.Object({ force: Type.Optional(Type.Boolean()) }),
      },
    },
    async (request, reply) => {
      const { tableId, column } = request.params;
      const force = request.query.force ?? false;
      return alter(request, reply, tableId, { act: 'drop-column', name: column, force });
    },
  );

  app.post(
    '/tables/:tableId/primary-key',
    {
      schema: {
        summary: 'Make columns the primary key; refused when rows have the same values in them',
        params: TableParams,
        body: Type.Object({
          columns: Type.Optional(Type.Unknown({ description: 'list of column names' })),
          skipDuplicatesCheck: Type.Optional(Type.Boolean()),
        }),
      },
    },
    async (request, reply) => {
      const { columns, skipDuplicatesCheck = false } = request.body;
      return alter(request, reply, request.params.tableId, {
        act: 'add-primary-key',
        columns: requireKeyColumns(columns),
        skipDuplicatesCheck,
      });
    },
  );

  app.delete(
    '/tables/:tableId/primary-key',
    { schema: { summary: 'Take the primary key away', params: TableParams } },
    async (request, reply) => alter(request, reply, request.params.tableId, { act: 'drop-primary-key' }),
  );
}

function requireKeyColumns(value: unknown): string[] {
  if (!Array.isArray(value) || value.length === 0 || value.some((item) => typeof item !== 'string' || item === '')) {
    throw new AppError('invalid', 'table.primary-key-format', 'Primary key must be a non-empty list of column names.');
  }
  return value;
}
