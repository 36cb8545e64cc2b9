import { Type } from 'typebox';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { GroupParams, whoOf } from './group-routes.ts';
import { toManageToken, toUser } from './manage-shape.ts';

const UserParams = Type.Object({ who: Type.String({ maxLength: 255 }) });
const NewTokenBody = Type.Object({
  description: Type.String({ minLength: 1, maxLength: 1000 }),
  expiresIn: Type.Optional(Type.Integer({ maximum: 3_200_000_000, description: 'seconds' })),
  scopes: Type.Optional(Type.Array(Type.String(), { description: 'for a program: what it may do, and nothing else' })),
});

export function registerUserRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { people } = deps.core;
  app.get(
    '/users',
    {
      schema: {
        summary: 'Users of the installation',
        querystring: Type.Object({
          q: Type.Optional(Type.String()),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
          offset: Type.Integer({ minimum: 0, default: 0 }),
        }),
      },
    },
    async ({ manager, query: { q, ...page } }) => (await people.list(manager, { ...page, text: q })).map(toUser),
  );
  app.post(
    '/users',
    {
      schema: {
        summary: 'Make an account; its first manage token is in this answer only. Our own call',
        body: Type.Object({ email: Type.String(), name: Type.Optional(Type.String({ maxLength: 255 })) }),
      },
    },
    async ({ manager, body }, reply) => {
      const { person, secret } = await people.create(manager, body);
      reply.code(201);
      return { ...toUser(person), token: secret };
    },
  );
  app.get('/users/:who', { schema: { summary: 'One user', params: UserParams } }, async ({ manager, params }) =>
    toUser(await people.get(manager, whoOf(params.who))),
  );
  app.put(
    '/users/:who',
    { schema: { summary: 'Rename a user', params: UserParams, body: Type.Object({ name: Type.String() }) } },
    async ({ manager, params, body }) => toUser(await people.rename(manager, whoOf(params.who), body.name)),
  );
  app.delete(
    '/users/:who',
    { schema: { summary: 'End an account', params: UserParams } },
    async ({ manager, params }, reply) => {
      await people.delete(manager, whoOf(params.who));
      return reply.code(204).send();
    },
  );
  for (const [method, isSuperAdmin] of [
    ['POST', true],
    ['DELETE', false],
  ] as const)
    app.route({
      method,
      url: '/users/:who/super-admin',
      schema: { summary: `${isSuperAdmin ? 'Give' : 'Take'} super admin rights`, params: UserParams },
      handler: async ({ manager, params }) =>
        toUser(await people.setSuperAdmin(manager, whoOf((params as { who: string }).who), isSuperAdmin)),
    });
  app.post(
    '/users/:who/tokens',
    { schema: { summary: 'Make a manage token of a user. Our own call', params: UserParams, body: NewTokenBody } },
    async ({ manager, params, body: { expiresIn, ...input } }, reply) => {
      const made = await people.createToken(manager, {
        ...input,
        who: whoOf(params.who),
        expiresInSeconds: expiresIn,
      });
      reply.code(201);
      return toManageToken(made.token, made.secret);
    },
  );

  app.post(
    '/current-user/session-token',
    { schema: { summary: 'Open a session for an hour' } },
    async ({ manager }, reply) => {
      const { token, secret } = await people.openSession(manager);
      reply.code(201);
      return toManageToken(token, secret);
    },
  );
  app.get('/tokens', { schema: { summary: "The caller's manage tokens. Our own call" } }, async ({ manager }) =>
    (await people.listTokens(manager)).map((token) => toManageToken(token)),
  );
  app.post(
    '/tokens',
    { schema: { summary: 'Make a manage token; its text is in this answer only. Our own call', body: NewTokenBody } },
    async ({ manager, body: { expiresIn, ...input } }, reply) => {
      const { token, secret } = await people.createToken(manager, { ...input, expiresInSeconds: expiresIn });
      reply.code(201);
      return toManageToken(token, secret);
    },
  );
  app.delete(
    '/tokens/:id',
    { schema: { summary: "Delete one of the caller's manage tokens. Our own call", params: GroupParams } },
    async ({ manager, params }, reply) => {
      await people.deleteToken(manager, params.id);
      return reply.code(204).send();
    },
  );
}
