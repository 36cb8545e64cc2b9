import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { identityErrors } from '../../../core/identity/identity-errors.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toKeboolaBranch } from './branch-shape.ts';
import { shapeJob } from './job-shape.ts';
import { toItems, toMetadataId } from './metadata-routes.ts';
import { toPlainMetadata } from './metadata-shape.ts';

const BranchParams = Type.Object({ branchId: Type.String({ description: 'its id, or default' }) });

/** Development branches; and, under the prefix of a branch, its metadata. */
export function registerBranchRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { branches } = deps.core;

  app.get('/dev-branches', { schema: { summary: 'Branches of the project' } }, async (request) =>
    (await branches.list(request.actor)).map(toKeboolaBranch),
  );

  app.post(
    '/dev-branches',
    {
      schema: {
        summary: 'Make a development branch, by a job',
        body: Type.Object(
          { name: Type.String(), description: Type.Optional(Type.String()) },
          { 'x-code': 'branch.invalid' },
        ),
      },
    },
    async (request, reply) => {
      const { name, description = '' } = request.body;
      const job = await branches.createLater(request.actor, { name, description });
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );

  app.get('/dev-branches/:branchId', { schema: { summary: 'One branch', params: BranchParams } }, async (request) =>
    toKeboolaBranch(await branches.get(request.actor, branchOf(request))),
  );

  app.put(
    '/dev-branches/:branchId',
    {
      schema: {
        summary: 'Change the name or description of a branch',
        params: BranchParams,
        body: Type.Object(
          { name: Type.Optional(Type.String()), description: Type.Optional(Type.String()) },
          { 'x-code': 'branch.invalid' },
        ),
      },
    },
    async (request) => toKeboolaBranch(await branches.update(request.actor, branchOf(request), request.body)),
  );

  app.delete(
    '/dev-branches/:branchId',
    { schema: { summary: 'Delete a branch and what it has, by a job', params: BranchParams } },
    async (request, reply) => {
      const job = await branches.deleteLater(request.actor, branchOf(request));
      reply.code(202);
      return shapeJob(request, deps, job);
    },
  );

  app.get('/metadata', { schema: { summary: 'Metadata of the branch' } }, async (request) =>
    toPlainMetadata(await branches.metadata(request.actor)),
  );

  app.post(
    '/metadata',
    {
      schema: {
        summary: 'Set metadata of the branch',
        body: Type.Object({ metadata: Type.Optional(Type.Unknown({ description: '[{key, value}]' })) }),
      },
    },
    async (request, reply) => {
      const all = await branches.setMetadata(request.actor, toItems(request.body.metadata));
      reply.code(201);
      return toPlainMetadata(all);
    },
  );

  app.delete(
    '/metadata/:metadataId',
    {
      schema: { summary: 'Delete one metadata item of the branch', params: Type.Object({ metadataId: Type.String() }) },
    },
    async (request, reply) => {
      await branches.deleteMetadata(request.actor, toMetadataId(request.params.metadataId));
      return reply.code(204).send();
    },
  );
}

function branchOf(request: FastifyRequest): number | 'default' {
  const { branchId } = request.params as { branchId: string };
  if (branchId === 'default') return 'default';
  if (!/^\d{1,15}$/.test(branchId)) throw identityErrors.branchNotFound(branchId);
  return Number(branchId);
}
