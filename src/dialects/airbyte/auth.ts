import type { FastifyInstance, FastifyRequest } from 'fastify';
import { errors } from '../../core/errors.ts';
import type { AirbyteDeps } from './deps.ts';

/**
 * `Authorization: Bearer` with a token of `/applications/token`, or Basic with the application's id and secret. Checked
 * before the body is read, so that a stranger cannot make us read one.
 */
export function registerAuth(scope: FastifyInstance, { core }: AirbyteDeps): void {
  scope.decorateRequest('actor', null as never);
  scope.addHook('onRequest', async (request) => {
    if (request.is404 || request.routeOptions.config.public === true) return;
    const origin = { address: request.ip, userAgent: request.headers['user-agent'] };
    const [scheme = '', text = ''] = (request.headers.authorization ?? '').split(/\s+/, 2);
    if (text === '') throw errors.unauthenticated();
    if (/^bearer$/i.test(scheme)) request.actor = await core.identity.authenticateBearer(text, { origin });
    else if (/^basic$/i.test(scheme)) request.actor = await basic(request, text);
    else throw errors.unauthenticated();
  });

  async function basic(request: FastifyRequest, text: string) {
    const pair = Buffer.from(text, 'base64').toString();
    const colon = pair.indexOf(':');
    const origin = { address: request.ip, userAgent: request.headers['user-agent'] };
    return core.identity.authenticateApplication(pair.slice(0, colon), pair.slice(colon + 1), { origin });
  }
}
