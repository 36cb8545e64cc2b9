import { Type } from 'typebox';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';
import { kindOfManager, toUser } from './manage-shape.ts';

export function registerManageRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  app.get('/tokens/verify', { schema: { summary: 'The manage token itself and whose it is' } }, async (request) => {
    const { token, personId, name, email, isSuperAdmin, scopes } = request.manager;
    return {
      id: token.id,
      description: token.description,
      created: formatDate(token.createdAt),
      lastUsed: null,
      expires: formatOptionalDate(token.expiresAt),
      isSessionToken: token.isSession,
      // Tokens that are not valid any more never get here.
      isExpired: false,
      isDisabled: false,
      scopes: scopes ?? [],
      type: kindOfManager(request.manager),
      creator: { id: personId, name },
      // A program is nobody.
      ...(scopes === undefined && { user: toUser({ id: personId, name, email, features: [], isSuperAdmin }) }),
    };
  });

  app.post(
    '/projects',
    {
      schema: {
        summary: 'Make a tenant of all dialects; its credentials are in this answer only',
        description: 'Not a call of the original: there a project is made in an organization and tokens separately.',
        body: Type.Object({ name: Type.String({ minLength: 1, maxLength: 255 }), slug: Type.Optional(Type.String()) }),
      },
    },
    async (request, reply) => {
      const { name, slug } = request.body;
      const credentials = await deps.core.projects.create(request.manager, { name, ...(slug && { slug }) });
      reply.code(201);
      return { url: deps.baseUrl(request), ...credentials };
    },
  );
}
