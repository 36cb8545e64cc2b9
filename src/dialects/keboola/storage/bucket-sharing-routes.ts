import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { SharingInput } from '../../../core/tables/bucket-sharing.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';
import { toKeboolaShare } from './bucket-shape.ts';
import { shapeJob } from './job-shape.ts';
import { toKeboolaMetadata } from './metadata-shape.ts';
import { bucketContext } from './table-listing.ts';

const BucketParams = Type.Object({ bucketId: Type.String() });

/** Opening buckets to other projects of the organization, and ending that. */
export function registerBucketSharingRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { buckets } = deps.core;

  const later = async (request: FastifyRequest, reply: FastifyReply, input: SharingInput) => {
    const job = await buckets.sharing.applyLater(request.actor, input);
    reply.code(202);
    return shapeJob(request, deps, job);
  };

  app.post(
    '/buckets/:bucketId/share-organization',
    { schema: { summary: 'Open a bucket to the members of the organization', params: BucketParams } },
    async (request, reply) => {
      const { bucketId } = request.params;
      return later(request, reply, { act: 'share', bucketId, share: { type: 'organization' }, isChange: false });
    },
  );

  app.post(
    '/buckets/:bucketId/share-organization-project',
    { schema: { summary: 'Open a bucket to all projects of the organization', params: BucketParams } },
    async (request, reply) => {
      const { bucketId } = request.params;
      return later(request, reply, {
        act: 'share',
        bucketId,
        share: { type: 'organization-project' },
        isChange: false,
      });
    },
  );

  app.post(
    '/buckets/:bucketId/share-to-projects',
    {
      schema: {
        summary: 'Open a bucket to some projects',
        params: BucketParams,
        body: Type.Object({
          targetProjectIds: Type.Array(Type.Integer(), { 'x-list': true, minItems: 1, maxItems: 1000 }),
        }),
      },
    },
    async (request, reply) => {
      const { bucketId } = request.params;
      const share = { type: 'specific-projects' as const, projectIds: request.body.targetProjectIds };
      return later(request, reply, { act: 'share', bucketId, share, isChange: false });
    },
  );

  app.post(
    '/buckets/:bucketId/share-to-users',
    {
      schema: {
        summary: 'Open a bucket to some persons, by number or email',
        params: BucketParams,
        body: Type.Object({ targetUsers: Type.Array(Type.String(), { 'x-list': true, minItems: 1, maxItems: 1000 }) }),
      },
    },
    async (request, reply) => {
      const { bucketId } = request.params;
      const share = { type: 'specific-users' as const, persons: request.body.targetUsers.map(toNumberOrText) };
      return later(request, reply, { act: 'share', bucketId, share, isChange: false });
    },
  );

  app.put(
    '/buckets/:bucketId/share',
    {
      schema: {
        summary: 'Change to whom a shared bucket is open',
        params: BucketParams,
        body: Type.Object({
          sharing: Type.Union([Type.Literal('organization'), Type.Literal('organization-project')]),
        }),
      },
    },
    async (request, reply) => {
      const { bucketId } = request.params;
      return later(request, reply, { act: 'share', bucketId, share: { type: request.body.sharing }, isChange: true });
    },
  );

  app.delete(
    '/buckets/:bucketId/share',
    { schema: { summary: 'End the sharing of a bucket that nobody has linked', params: BucketParams } },
    async (request, reply) => later(request, reply, { act: 'unshare', bucketId: request.params.bucketId }),
  );

  app.delete(
    '/buckets/:bucketId/links/:projectId',
    {
      schema: {
        summary: 'End the link of another project to a bucket',
        params: Type.Object({ bucketId: Type.String(), projectId: Type.Integer() }),
        querystring: Type.Object({ async: Type.Optional(Type.Boolean()) }),
      },
    },
    async (request, reply) => {
      const unlink = { act: 'unlink' as const, ...request.params };
      if (request.query.async) return later(request, reply, unlink);
      await buckets.sharing.apply(request.actor, unlink);
      return reply.code(204).send();
    },
  );

  app.get(
    '/shared-buckets',
    {
      schema: {
        summary: 'Buckets of other projects that can be linked',
        querystring: Type.Object({ include: Type.Optional(Type.Array(Type.String(), { 'x-list': true })) }),
      },
    },
    async (request) => {
      const [shared, context] = await Promise.all([buckets.listShared(request.actor), bucketContext(request, deps)]);
      const withMetadata = request.query.include?.includes('metadata') === true;
      return shared.map(({ bucket, projectName, tables }) => ({
        id: bucket.id,
        name: bucket.name,
        displayName: bucket.displayName,
        stage: bucket.stage,
        description: bucket.description,
        created: formatDate(bucket.createdAt),
        lastChangeDate: formatOptionalDate(bucket.changedAt),
        updated: formatOptionalDate(bucket.updatedAt),
        dataSizeBytes: bucket.dataSizeBytes,
        rowsCount: bucket.rowsCount,
        backend: bucket.backend ?? context.defaultBackend,
        project: { id: bucket.projectId, name: projectName },
        tables,
        color: bucket.color ?? null,
        owner: null,
        ...(bucket.share && toKeboolaShare(bucket.share)),
        ...(withMetadata && { metadata: toKeboolaMetadata(undefined) }),
      }));
    },
  );
}

function toNumberOrText(text: string): number | string {
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}
