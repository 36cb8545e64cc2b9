import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { identityErrors } from '../../../core/identity/identity-errors.ts';
import type { NewToken, Token } from '../../../core/identity/token-model.ts';
import { storageTokenText } from '../auth.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toKeboolaOwner } from './project-shape.ts';
import { toKeboolaToken } from './token-shape.ts';

const TokenParams = Type.Object({ tokenId: Type.Integer() });

const Rights = {
  description: Type.Optional(Type.String()),
  bucketPermissions: Type.Optional(
    Type.Record(Type.String(), Type.String(), { description: 'bucket id -> read or write' }),
  ),
  componentAccess: Type.Optional(Type.Array(Type.String())),
  canReadAllFileUploads: Type.Optional(Type.Boolean()),
  canReadAllProjectEvents: Type.Optional(Type.Boolean()),
  canPurgeTrash: Type.Optional(Type.Boolean()),
  canManageProtectedDefaultBranch: Type.Optional(Type.Boolean()),
  canCreateJobs: Type.Optional(Type.Boolean()),
};
const NewTokenBody = Type.Object({
  ...Rights,
  canManageBuckets: Type.Optional(Type.Boolean()),
  expiresIn: Type.Optional(Type.Integer({ description: 'seconds' })),
});
const TokenPatchBody = Type.Object(Rights);

export function registerTokenRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { identity, projects, buckets } = deps.core;
  const storageUrl = (request: FastifyRequest) => `${deps.baseUrl(request)}/v2/storage`;
  const bucketIds = async (request: FastifyRequest) => (await buckets.overview(request.actor)).bucketIds;
  const shape = async (request: FastifyRequest, token: Token, secret?: string) =>
    toKeboolaToken(token, { storageUrl: storageUrl(request), buckets: await bucketIds(request), secret });

  // Identity knows rights but no buckets, so that a mistyped id is found here.
  const requireBuckets = async (request: FastifyRequest, permissions: Record<string, string> = {}) => {
    const wanted = Object.entries(permissions);
    if (wanted.length === 0) return;
    const known = new Set(await bucketIds(request));
    const unknown = wanted.find(([id]) => !known.has(id));
    if (unknown) throw identityErrors.invalidPermissions(unknown[0], unknown[1]);
  };

  app.get(
    '/tokens/verify',
    { schema: { summary: 'The token itself, its project and its rights' } },
    async (request) => {
      const [token, project, overview] = await Promise.all([
        identity.ownToken(request.actor),
        projects.get(request.actor),
        buckets.overview(request.actor),
      ]);
      const person = token.person && { id: token.person.id, name: token.person.name, email: token.person.email };
      return {
        ...toKeboolaToken(token, {
          storageUrl: storageUrl(request),
          buckets: overview.bucketIds,
          secret: storageTokenText(request),
        }),
        ...(person && { adminOwner: person }),
        organization: { id: String(project.organization.id) },
        owner: toKeboolaOwner(project, overview, (backend) => deps.core.workspaces.has(backend)),
      };
    },
  );

  app.get(
    '/tokens',
    { schema: { summary: 'Tokens of the project; only its own for a token that may not see others' } },
    async (request) => {
      const [tokens, ids] = await Promise.all([identity.listTokens(request.actor), bucketIds(request)]);
      return tokens.map((token) => toKeboolaToken(token, { storageUrl: storageUrl(request), buckets: ids }));
    },
  );

  app.get('/tokens/:tokenId', { schema: { summary: 'One token', params: TokenParams } }, async (request) => {
    const token = await identity.getToken(request.actor, request.params.tokenId);
    const project = await projects.get(request.actor);
    return {
      ...(await shape(request, token)),
      owner: { id: project.id, name: project.name },
      organization: { id: String(project.organization.id) },
    };
  });

  app.post(
    '/tokens',
    { schema: { summary: 'Make a token; its secret is in this answer only', body: NewTokenBody } },
    async (request, reply) => {
      const { canManageBuckets, expiresIn, ...rights } = request.body;
      await requireBuckets(request, rights.bucketPermissions);
      const { token, secret } = await identity.createToken(request.actor, {
        ...toRights(rights),
        canManageBuckets,
        expiresInSeconds: expiresIn,
      });
      reply.code(201);
      return shape(request, token, secret);
    },
  );

  app.put(
    '/tokens/:tokenId',
    { schema: { summary: 'Change the rights of a token', params: TokenParams, body: TokenPatchBody } },
    async (request) => {
      await requireBuckets(request, request.body.bucketPermissions);
      return shape(request, await identity.updateToken(request.actor, request.params.tokenId, toRights(request.body)));
    },
  );

  app.delete(
    '/tokens/:tokenId',
    { schema: { summary: 'Delete a token', params: TokenParams } },
    async (request, reply) => {
      await identity.deleteToken(request.actor, request.params.tokenId);
      return reply.code(204).send();
    },
  );

  app.post(
    '/tokens/:tokenId/refresh',
    { schema: { summary: 'Give a token a new secret', params: TokenParams } },
    async (request) => {
      const { token, secret } = await identity.refreshToken(request.actor, request.params.tokenId);
      return shape(request, token, secret);
    },
  );
}

function toRights(body: Static<typeof TokenPatchBody>): NewToken {
  const { canReadAllFileUploads, canReadAllProjectEvents, ...same } = body;
  return { ...same, canReadAllFiles: canReadAllFileUploads, canReadAllEvents: canReadAllProjectEvents };
}
