import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError, errors } from '../../core/errors.ts';
import type { Actor } from '../../core/identity/actor.ts';
import { pathText, queryText, type SyncanoDeps } from './deps.ts';
import { syncanoErrors } from './errors.ts';

/**
 * The key of a person (account key) or of a program (API key), and on top of it the key of an end user. The first place
 * that has one wins: `X-API-KEY`, `api_key` in the query, `Authorization: <any word> <key>`, `_api_key` in the body.
 */
export function registerAuth(scope: FastifyInstance, deps: SyncanoDeps): void {
  scope.decorateRequest('actor', null as never);
  // Before the body is read, so that a stranger cannot make us read one; in the body are keys only when nowhere else.
  scope.addHook('onRequest', async (request) => {
    if (isOpen(request)) return;
    const key = keyText(request);
    if (key === undefined && !mayBringKeyInBody(request)) throw errors.tokenMissing();
    if (key !== undefined) await authenticate(request, deps, key, userKeyText(request));
  });
  scope.addHook('preValidation', async (request) => {
    if (isOpen(request)) return;
    const sent = (request.body ?? {}) as Record<string, unknown>;
    if (request.actor && !('_api_key' in sent) && !('_user_key' in sent)) return;
    const { _api_key: key, _user_key: userKey, ...body } = sent;
    request.body = body;
    if (!request.actor) {
      if (typeof key !== 'string') throw errors.tokenMissing();
      // As if they had been there from the start: a batch hands its headers on.
      request.headers['x-api-key'] = key;
      if (typeof userKey === 'string') request.headers['x-user-key'] = userKey;
      await authenticate(request, deps, key, typeof userKey === 'string' ? userKey : userKeyText(request));
    } else if (typeof userKey === 'string' && !request.actor.endUser) {
      request.actor = await deps.core.endUsers.actAs(request.actor, userKey);
    }
  });
}

function isOpen(request: FastifyRequest): boolean {
  return request.is404 || request.routeOptions.config.public === true || isPreflight(request);
}

/** A browser asks before it sends the call itself, and brings no key. */
export function isPreflight(request: FastifyRequest): boolean {
  const { origin, 'access-control-request-method': method } = request.headers;
  return request.method === 'OPTIONS' && origin !== undefined && method !== undefined;
}

async function authenticate(
  request: FastifyRequest,
  deps: SyncanoDeps,
  key: string,
  userKey: string | undefined,
): Promise<void> {
  const actor = await deps.core.identity.authenticateProjectKey(key, {
    origin: { address: request.ip, userAgent: request.headers['user-agent'] },
  });
  await checkInstance(request, deps, actor);
  request.actor = userKey === undefined ? actor : await deps.core.endUsers.actAs(actor, userKey);
}

/** A key opens one instance. For a program's key any other does not exist; a person has no part in it. */
async function checkInstance(request: FastifyRequest, deps: SyncanoDeps, actor: Actor): Promise<void> {
  const asked = pathText(request, 'instance');
  if (asked === '') return;
  const own = await deps.instanceName(actor);
  if (asked === own || asked.toLowerCase() === own) return;
  if (actor.token.objects) throw new AppError('unauthenticated', 'token.invalid', 'No such API Key.');
  const isDetail = request.routeOptions.url?.endsWith('/:instance') === true;
  throw isDetail ? syncanoErrors.notFound() : syncanoErrors.parentNotFound('Instance');
}

function keyText(request: FastifyRequest): string | undefined {
  return (
    header(request, 'x-api-key') ??
    queryText(request, 'api_key') ??
    queryText(request, 'apikey') ??
    /^\S+ (\S+)$/.exec(header(request, 'authorization') ?? '')?.[1]
  );
}

function userKeyText(request: FastifyRequest): string | undefined {
  return header(request, 'x-user-key') ?? queryText(request, 'user_key') ?? queryText(request, 'userkey');
}

function mayBringKeyInBody({ method }: FastifyRequest): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH';
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text;
}
