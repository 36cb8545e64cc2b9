import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError, errors } from '../../core/errors.ts';
import { requestedBranch } from './branch.ts';
import type { KeboolaDeps } from './deps.ts';

/**
 * Storage tokens: `X-StorageApi-Token`, or `Authorization: Bearer` from newer clients. Checked before the body is
 * read, so that a stranger cannot make us read one.
 */
export function registerStorageAuth(scope: FastifyInstance, deps: KeboolaDeps): void {
  scope.decorateRequest('actor', null as never);
  scope.addHook('onRequest', async (request) => {
    if (request.is404 || request.routeOptions.config.public === true) return;
    const secret = storageTokenText(request);
    if (secret === undefined) throw errors.tokenMissing();
    request.actor = await deps.core.identity.authenticateStorageToken(secret, {
      branchId: branchIdOf(request),
      runId: runIdOf(request),
      origin: { address: request.ip, userAgent: headerText(request, 'user-agent') },
    });
  });
}

/** Jobs and events are searched by it, and no index takes a text of any length. */
function runIdOf(request: FastifyRequest): string | undefined {
  const runId = headerText(request, 'x-kbc-runid');
  if (runId !== undefined && runId.length > 1000) throw errors.invalid('The X-KBC-RunId header is too long.');
  return runId;
}

/** Manage tokens: `X-KBC-ManageApiToken`. They act on organizations and projects, never inside one. */
export function registerManageAuth(scope: FastifyInstance, deps: KeboolaDeps): void {
  scope.decorateRequest('manager', null as never);
  scope.addHook('onRequest', async (request) => {
    if (request.is404 || request.routeOptions.config.public === true) return;
    const secret = headerText(request, 'x-kbc-manageapitoken') ?? bearer(request);
    if (secret === undefined) throw errors.tokenMissing();
    request.manager = await deps.core.identity.authenticateManageToken(secret);
  });
}

/** The token as the client sent it; it is kept nowhere else. */
export function storageTokenText(request: FastifyRequest): string | undefined {
  return headerText(request, 'x-storageapi-token') ?? bearer(request);
}

function branchIdOf(request: FastifyRequest): number | undefined {
  const text = requestedBranch(request.raw);
  if (text === undefined) return undefined;
  const id = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(id))
    throw new AppError('not-found', 'branch.not-found', `Branch id:"${text}" was not found.`);
  return id;
}

function bearer(request: FastifyRequest): string | undefined {
  const match = /^bearer\s+(\S+)$/i.exec(headerText(request, 'authorization') ?? '');
  return match?.[1];
}

function headerText(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text;
}
