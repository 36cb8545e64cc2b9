import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { Alteration } from '../../../core/tables/table-structure.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { ColumnDefinitionBody, toColumnChange, toColumnDefinition } from './column-definition.ts';
import { shapeJob } from './job-shape.ts';

const TableParams = Type.Object({ tableId: Type.String() });
const ColumnParams = Type.Object({ tableId: Type.String(), column: Type.String() });

/** Columns and primary keys: each call starts a job that changes the catalogue. */
export function registerTableStructureRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { structure, definitions } = deps.core.tables;
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
        body: Type.Object({ name: Type.String(), ...ColumnDefinitionBody }, { 'x-code': 'table.invalid' }),
      },
    },
    async (request, reply) => {
      const { name } = request.body;
      const definition = toColumnDefinition(request.body);
      return alter(request, reply, request.params.tableId, { act: 'add-column', name, definition });
    },
  );

  app.delete(
    '/tables/:tableId/columns/:column',
    {
      schema: {
        summary: 'Drop a column',
        params: ColumnParams,
        querystring: Type.Object({ force: Type.Optional(Type.Boolean()) }),
      },
    },
    async (request, reply) => {
      const { tableId, column } = request.params;
      const force = request.query.force ?? false;
      return alter(request, reply, tableId, { act: 'drop-column', name: column, force });
    },
  );

  app.put(
    '/tables/:tableId/columns/:column/definition',
    {
      schema: {
        summary: 'Change length, nullability or default of a column: {length, nullable, default}',
        params: ColumnParams,
        body: Type.Object({}, { additionalProperties: true }),
      },
    },
    async (request, reply) => {
      const { tableId, column } = request.params;
      const change = toColumnChange(column, request.body as Record<string, unknown>);
      return alter(request, reply, tableId, { act: 'redefine-column', columns: [change] });
    },
  );

  app.put(
    '/tables/:tableId/definition',
    {
      schema: {
        summary: 'Change the names and descriptions of a table, and definitions of columns',
        params: TableParams,
        body: Type.Object(
          {
            displayName: Type.Optional(Type.String()),
            description: Type.Optional(Type.String()),
            columns: Type.Optional(
              Type.Array(Type.Object({ name: Type.String({ minLength: 1 }) }, { additionalProperties: true })),
            ),
          },
          { 'x-code': 'table.invalid' },
        ),
      },
    },
    async (request, reply) => {
      const { displayName, description, columns = [] } = request.body;
      return alter(request, reply, request.params.tableId, {
        act: 'redefine',
        columns: columns.map((column) => toColumnChange(column.name, column)),
        displayName,
        description,
      });
    },
  );

  app.post(
    '/buckets/:bucketId/tables-definition',
    {
      schema: {
        summary: 'Make an empty table from a list of columns, typed where a column has a definition or a basetype',
        params: Type.Object({ bucketId: Type.String() }),
        body: Type.Object(
          {
            name: Type.String({ minLength: 1 }),
            displayName: Type.Optional(Type.String()),
            primaryKeysNames: Type.Optional(Type.Array(Type.String())),
            columns: Type.Array(Type.Object({ name: Type.String(), ...ColumnDefinitionBody }), { minItems: 1 }),
          },
          { 'x-code': 'table.invalid' },
        ),
      },
    },
    async (request, reply) => {
      const { name, displayName, primaryKeysNames, columns } = request.body;
      const job = await definitions.createLater(request.actor, {
        bucketId: request.params.bucketId,
        name,
        displayName,
        primaryKey: primaryKeysNames,
        columns: columns.map((column) => ({ name: column.name, definition: toColumnDefinition(column) ?? undefined })),
      });
      reply.code(202);
      return shapeJob(request, deps, job);
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
