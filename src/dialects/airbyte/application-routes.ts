import { Type } from 'typebox';
import { errors } from '../../core/errors.ts';
import type { AirbyteApp, AirbyteDeps } from './deps.ts';

/** The way in: an application's id and secret for a token that lives a quarter of an hour. */
export function registerApplicationRoutes(app: AirbyteApp, { core, health }: AirbyteDeps): void {
  app.post(
    '/applications/token',
    {
      config: { public: true },
      schema: {
        summary: 'Get an access token',
        description: 'JSON or a form. The grant type may be left out.',
        body: Type.Object({
          client_id: Type.Optional(Type.String()),
          client_secret: Type.Optional(Type.String()),
          grant_type: Type.Optional(Type.String()),
        }),
      },
    },
    async (request) => {
      const { client_id: id, client_secret: secret } = request.body;
      if (!id || !secret) throw errors.unauthenticated('Client id and secret must be given.');
      const token = await core.identity.exchangeApplication(id, secret);
      return { access_token: token.secret, token_type: 'Bearer', expires_in: token.expiresInSeconds };
    },
  );

  app.get(
    '/health',
    { config: { public: true }, schema: { summary: 'Whether the server works' } },
    async (_, reply) => {
      const report = health();
      if (!report.ready) throw errors.unavailable(report.reason);
      return reply.type('text/plain').send('Successful operation');
    },
  );
}
