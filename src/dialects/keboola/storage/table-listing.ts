import type { FastifyRequest } from 'fastify';
import type { Table } from '../../../core/tables/table-model.ts';
import type { KeboolaDeps } from '../deps.ts';
import { type BucketContext, toKeboolaBucket } from './bucket-shape.ts';
import { toKeboolaColumnMetadata, toKeboolaMetadata } from './metadata-shape.ts';
import { toKeboolaTable } from './table-shape.ts';

export async function bucketContext(request: FastifyRequest, deps: KeboolaDeps): Promise<BucketContext> {
  const { defaultBackend } = await deps.core.projects.get(request.actor);
  return {
    storageUrl: `${deps.baseUrl(request)}/v2/storage`,
    defaultBackend,
    isDefaultBranch: request.actor.isDefaultBranch,
  };
}

/** Tables as lists show them: each member of `include` adds its part, loaded for all tables at once. */
export async function shapeTables(
  request: FastifyRequest,
  deps: KeboolaDeps,
  tables: readonly Table[],
  include: readonly string[],
): Promise<Record<string, unknown>[]> {
  const { metadata, buckets } = deps.core;
  const { actor } = request;
  const ids = tables.map((table) => table.id);
  const withBuckets = include.includes('buckets') || include.includes('bucketsWithoutSourceTables');
  const [context, ofTables, ofColumns, allBuckets] = await Promise.all([
    bucketContext(request, deps),
    include.includes('metadata') ? metadata.listMany(actor, 'table', ids) : undefined,
    include.includes('columnMetadata') ? metadata.listColumns(actor, ids) : undefined,
    withBuckets && tables.length > 0 ? buckets.list(actor) : [],
  ]);
  const byId = new Map(allBuckets.map((bucket) => [bucket.id, toKeboolaBucket(bucket, context)]));
  return tables.map((table) =>
    toKeboolaTable(table, {
      storageUrl: context.storageUrl,
      columns: include.includes('columns'),
      definition: include.includes('columns'),
      attributes: include.includes('attributes'),
      bucket: withBuckets ? byId.get(table.bucketId) : undefined,
      metadata: ofTables && toKeboolaMetadata(ofTables.get(table.id)),
      columnMetadata: ofColumns && toKeboolaColumnMetadata(ofColumns.get(table.id)),
    }),
  );
}

/** A table with everything, as details and job results have it. */
export async function shapeTableDetail(
  request: FastifyRequest,
  deps: KeboolaDeps,
  table: Table,
): Promise<Record<string, unknown>> {
  const { metadata, buckets } = deps.core;
  const [context, bucket, items, columns] = await Promise.all([
    bucketContext(request, deps),
    buckets.get(request.actor, table.bucketId),
    metadata.listMany(request.actor, 'table', [table.id]),
    metadata.listColumns(request.actor, [table.id]),
  ]);
  return toKeboolaTable(table, {
    storageUrl: context.storageUrl,
    columns: true,
    definition: true,
    attributes: true,
    bucket: toKeboolaBucket(bucket, context),
    metadata: toKeboolaMetadata(items.get(table.id)),
    columnMetadata: toKeboolaColumnMetadata(columns.get(table.id)),
  });
}
