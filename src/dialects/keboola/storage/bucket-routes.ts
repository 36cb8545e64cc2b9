import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { errors } from '../../../core/errors.ts';
import { toBucketName } from '../../../core/tables/names.ts';
import type { Bucket } from '../../../core/tables/table-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toKeboolaBucket } from './bucket-shape.ts';
import { shapeJob } from './job-shape.ts';
import { toKeboolaMetadata } from './metadata-shape.ts';
import { bucketContext, shapeTables } from './table-listing.ts';

const BucketParams = Type.Object({ bucketId: Type.String() });
const Include = Type.Optional(Type.Array(Type.String(), { 'x-list': true }));
const IncludeQuery = Type.Object({ include: Include });

const NewBucketBody = Type.Object(
  {
    name: Type.Optional(Type.String()),
    stage: Type.Optional(Type.Union([Type.Literal('in'), Type.Literal('out')], { default: 'in' })),
    description: Type.Optional(Type.String()),
    displayName: Type.Optional(Type.String()),
    backend: Type.Optional(
      Type.Union([
        Type.Literal('snowflake'),
        Type.Literal('redshift'),
        Type.Literal('bigquery'),
        Type.Literal('synapse'),
        Type.Literal('exasol'),
        Type.Literal('teradata'),
      ]),
    ),
    color: Type.Optional(Type.String()),
    sourceProjectId: Type.Optional(Type.Integer({ description: 'with sourceBucketId: links a shared bucket' })),
    sourceBucketId: Type.Optional(Type.String()),
  },
  { 'x-code': 'bucket.invalid' },
);

export function registerBucketRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { buckets, tables, metadata } = deps.core;

  const detail = async (request: FastifyRequest, bucket: Bucket, withTables?: readonly string[]) => {
    const items = await metadata.listMany(request.actor, 'bucket', [bucket.id]);
    return toKeboolaBucket(bucket, await bucketContext(request, deps), {
      metadata: toKeboolaMetadata(items.get(bucket.id)),
      tables:
        withTables &&
        (await shapeTables(request, deps, await tables.listByBucket(request.actor, bucket.id), withTables)),
    });
  };

  app.get(
    '/buckets',
    { schema: { summary: 'Buckets the token can read', querystring: IncludeQuery } },
    async (request) => {
      const [list, context] = await Promise.all([buckets.list(request.actor), bucketContext(request, deps)]);
      const items = request.query.include?.includes('metadata')
        ? await metadata.listMany(
            request.actor,
            'bucket',
            list.map((bucket) => bucket.id),
          )
        : undefined;
      return list.map((bucket) =>
        toKeboolaBucket(bucket, context, { metadata: items && toKeboolaMetadata(items.get(bucket.id)) }),
      );
    },
  );

  const newBucket = {
    summary: 'Make a bucket, or link a shared one',
    body: NewBucketBody,
    querystring: Type.Object({ async: Type.Optional(Type.Boolean()) }),
  };
  app.post('/buckets', { schema: newBucket }, async (request, reply) => {
    const { name = '', stage = 'in', description, displayName, backend, color } = request.body;
    const { sourceProjectId, sourceBucketId } = request.body;
    if (sourceProjectId !== undefined || sourceBucketId !== undefined) {
      if (sourceProjectId === undefined || sourceBucketId === undefined)
        throw errors.invalid('A link needs both "sourceProjectId" and "sourceBucketId".');
      const source = { projectId: sourceProjectId, bucketId: sourceBucketId };
      const bucketId = `${stage}.${toBucketName(name)}`;
      const link = { act: 'link' as const, bucketId, link: { name, stage, displayName, source } };
      if (request.query.async) {
        const job = await buckets.sharing.applyLater(request.actor, link);
        reply.code(202);
        return shapeJob(request, deps, job);
      }
      await buckets.sharing.apply(request.actor, link);
      reply.code(201);
      return detail(request, await buckets.get(request.actor, bucketId));
    }
    const bucket = await buckets.create(request.actor, { name, stage, description, displayName, backend, color });
    reply.code(201);
    return detail(request, bucket);
  });

  app.get(
    '/buckets/:bucketId',
    { schema: { summary: 'One bucket', params: BucketParams, querystring: IncludeQuery } },
    async (request) =>
      detail(request, await buckets.get(request.actor, request.params.bucketId), request.query.include),
  );

  app.put(
    '/buckets/:bucketId',
    {
      schema: {
        summary: 'Change the display name or color',
        params: BucketParams,
        body: Type.Object({ displayName: Type.Optional(Type.String()), color: Type.Optional(Type.String()) }),
      },
    },
    async (request) => detail(request, await buckets.update(request.actor, request.params.bucketId, request.body)),
  );

  app.delete(
    '/buckets/:bucketId',
    {
      schema: {
        summary: 'Delete a bucket; a full one only with force',
        params: BucketParams,
        querystring: Type.Object({ force: Type.Optional(Type.Boolean()), async: Type.Optional(Type.Boolean()) }),
      },
    },
    async (request, reply) => {
      const force = request.query.force === true;
      if (request.query.async) {
        const job = await buckets.deleteLater(request.actor, request.params.bucketId, { force });
        reply.code(202);
        return shapeJob(request, deps, job);
      }
      await buckets.delete(request.actor, request.params.bucketId, { force });
      return reply.code(204).send();
    },
  );
}
