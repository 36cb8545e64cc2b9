import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { MetadataObject } from '../../../core/tables/object-metadata.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toKeboolaMetadata } from './metadata-shape.ts';

type Items = { key: string; value: string }[];

const Body = Type.Object({
  provider: Type.Optional(Type.String()),
  metadata: Type.Optional(Type.Unknown({ description: '[{key, value}]' })),
});
const TableBody = Type.Object({
  ...Body.properties,
  columnsMetadata: Type.Optional(Type.Unknown({ description: 'column -> [{key, value}]' })),
});

/** Metadata of buckets, tables and columns: three resources with the same calls. */
const RESOURCES = [
  { path: '/buckets/:id/metadata', type: 'bucket', noun: 'a bucket' },
  { path: '/tables/:id/metadata', type: 'table', noun: 'a table' },
  { path: '/columns/:id/metadata', type: 'column', noun: 'a column, whose id is its table id, a dot and its name' },
] as const;

export function registerMetadataRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { metadata } = deps.core;
  for (const { path, type, noun } of RESOURCES) {
    app.get(
      path,
      { schema: { summary: `Metadata of ${noun}`, params: Type.Object({ id: Type.String() }) } },
      async (request) => toKeboolaMetadata(await metadata.list(request.actor, { type, id: request.params.id })),
    );

    app.delete(
      `${path}/:metadataId`,
      {
        schema: {
          summary: `Delete one metadata item of ${noun}`,
          params: Type.Object({ id: Type.String(), metadataId: Type.String() }),
        },
      },
      async (request, reply) => {
        const { id, metadataId } = request.params;
        await metadata.delete(request.actor, { type, id }, toMetadataId(metadataId));
        return reply.code(204).send();
      },
    );
  }

  for (const { path, type, noun } of RESOURCES.filter((resource) => resource.type !== 'table')) {
    app.post(
      path,
      { schema: { summary: `Set metadata of ${noun}`, params: Type.Object({ id: Type.String() }), body: Body } },
      async (request, reply) => {
        const { provider = '', metadata: items } = request.body;
        const all = await metadata.set(request.actor, { type, id: request.params.id }, provider, toItems(items));
        reply.code(201);
        return toKeboolaMetadata(all);
      },
    );
  }

  app.post(
    '/tables/:id/metadata',
    {
      schema: {
        summary: 'Set metadata of a table and of its columns',
        params: Type.Object({ id: Type.String() }),
        body: TableBody,
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { provider = '', metadata: items, columnsMetadata } = request.body;
      if (items === undefined && columnsMetadata === undefined) toItems(undefined);
      const columns = toColumnItems(columnsMetadata);
      const changes: { object: MetadataObject; items: Items }[] = [
        ...(items === undefined ? [] : [{ object: { type: 'table' as const, id }, items: toItems(items) }]),
        ...columns.map(([column, list]) => ({
          object: { type: 'column' as const, id: `${id}.${column}` },
          items: list,
        })),
      ];
      const results = await metadata.setMany(request.actor, provider, changes);
      reply.code(201);
      const ofTable = items === undefined ? await metadata.list(request.actor, { type: 'table', id }) : results[0];
      // Old clients post a form and read a plain list; newer ones post JSON and read both parts.
      if (!isJson(request)) return toKeboolaMetadata(ofTable);
      const ofColumns = items === undefined ? results : results.slice(1);
      return {
        metadata: toKeboolaMetadata(ofTable),
        columnsMetadata: Object.fromEntries(columns.map(([column], i) => [column, toKeboolaMetadata(ofColumns[i])])),
      };
    },
  );
}

function isJson(request: FastifyRequest): boolean {
  return request.jsonText !== undefined;
}

export function toMetadataId(text: string): number {
  const id = Number(text);
  if (!/^\d{1,15}$/.test(text)) {
    throw new AppError(
      'invalid',
      'request.invalid',
      `Argument "subResource" is expected to be type "int", value "${text}" given.`,
    );
  }
  return id;
}

export function toItems(value: unknown): Items {
  if (!Array.isArray(value)) {
    throw new AppError('invalid', 'metadata.invalid-parameter', 'The metadata parameter must be an array.');
  }
  return value.map((item) => {
    const { key, value: text } = (item ?? {}) as { key?: unknown; value?: unknown };
    if (typeof item !== 'object' || !isScalar(key) || (text !== null && !isScalar(text))) {
      throw new AppError(
        'invalid',
        'metadata.invalid-structure',
        "Invalid structure. Metadata must be provided as an array of objects with 'key' and 'value' members",
      );
    }
    return { key: String(key), value: String(text ?? '') };
  });
}

/** Keyed by column; or by number with `columnName` inside, since a column may be named by a number. */
function toColumnItems(value: unknown): [string, Items][] {
  if (value === undefined || value === '') return [];
  if (typeof value !== 'object' || value === null) return [['', toItems(value)]];
  return Object.entries(value).flatMap(([key, items]): [string, Items][] => {
    if (!Array.isArray(items)) return [[key, toItems(items)]];
    const byColumn = new Map<string, unknown[]>();
    for (const item of items) {
      const named = (item as { columnName?: unknown } | null)?.columnName;
      const column = isScalar(named) ? String(named) : key;
      byColumn.set(column, [...(byColumn.get(column) ?? []), item]);
    }
    return [...byColumn].map(([column, list]): [string, Items] => [column, toItems(list)]);
  });
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
