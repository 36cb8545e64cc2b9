import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { WorkspaceKey } from '../../../core/workspaces/workspace-model.ts';
import { clientHostOf } from '../client-host.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { PROVISIONING_BACKENDS, type ProvisioningBackend, toCredentials, toTouch } from './provisioning-shape.ts';

const BackendParams = Type.Object({ backend: Type.String() });
const CredentialsParams = Type.Object({ backend: Type.String(), credentialsId: Type.String() });
const TypeField = Type.Object({
  type: Type.Optional(Type.String({ description: 'transformations (default), sandbox, writer, luckyguess' })),
});
const DEFAULT_TYPE = 'transformations';
const SHOWN =
  '`credentials` as at their making, `inUse` (whether a session is open), `touch`, `expiration`, `canExtend`, `status`.';
const DONE = '`{"status": "ok"}` when it is done; 503 when the backend is down.';

/** Credentials for databases, by the token that asks for them. */
export function registerProvisioningRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { workspaces } = deps.core;
  const base = '/provisioning/:backend';
  const one = `${base}/:credentialsId`;

  const backendOf = (name: string): ProvisioningBackend => {
    const found = Object.hasOwn(PROVISIONING_BACKENDS, name) ? PROVISIONING_BACKENDS[name] : undefined;
    if (!found || !workspaces.has(found.backend)) throw backendNotFound(name);
    return found;
  };
  const keyOf = (params: { backend: string; credentialsId: string }): WorkspaceKey => {
    const { backend } = backendOf(params.backend);
    if (!/^\d{1,15}$/.test(params.credentialsId))
      throw new AppError('not-found', 'workspace.not-found', 'Credentials not found.');
    return { backend, id: Number(params.credentialsId) };
  };

  const show = async (request: FastifyRequest, backendName: string, key: WorkspaceKey) => {
    const { workspace, login, isInUse } = await workspaces.get(request.actor, key);
    return {
      id: workspace.id,
      credentials: toCredentials(workspace, login, { backendName, clientHost: clientHostOf(request) }),
      inUse: isInUse,
      ...toTouch(workspace),
      canExtend: workspace.canExtend,
      status: 'ok',
    };
  };

  app.post(
    base,
    {
      schema: {
        summary: 'Create credentials, or get those there are',
        description:
          'Body `{"type": "sandbox"}`, default transformations. 201 with `id`, `credentials` (`id`, `hostname`, `port`, ' +
          '`db`, `user`, `password`; redshift-workspace also `schema`, `workspaceId`), `status`, `touch`, `expiration` and ' +
          '`url`. The same token, backend and type get the same again. 400 unknown type; 404 backend that is not ' +
          'configured; 503 backend that is down.',
        params: BackendParams,
      },
    },
    async (request, reply) => {
      const { backend: backendName } = request.params;
      const { backend, types, lifetimeSeconds } = backendOf(backendName);
      const type = typeOf((request.body as { type?: unknown } | undefined)?.type, types);
      const { workspace, login } = await workspaces.ensure(request.actor, {
        backend,
        purpose: type,
        lifetimeSeconds: lifetimeSeconds[type],
      });
      reply.code(201);
      return {
        credentials: toCredentials(workspace, login, { backendName, clientHost: clientHostOf(request) }),
        id: workspace.id,
        status: 'ok',
        ...toTouch(workspace),
        url: `${backendName}/${workspace.id}`,
      };
    },
  );

  app.get(
    base,
    {
      schema: {
        summary: 'Credentials of a type',
        description: `${SHOWN} 404 where the token has none of the type.`,
        params: BackendParams,
        querystring: TypeField,
      },
    },
    async (request) => {
      const { backend: backendName } = request.params;
      const { backend, types } = backendOf(backendName);
      return show(request, backendName, { backend, purpose: typeOf(request.query.type, types) });
    },
  );

  app.get(
    one,
    {
      schema: {
        summary: 'Credentials',
        description: `${SHOWN} 404 also for those of others.`,
        params: CredentialsParams,
      },
    },
    async (request) => show(request, request.params.backend, keyOf(request.params)),
  );

  app.delete(
    one,
    {
      schema: {
        summary: 'Drop credentials',
        description: `Ends their sessions and removes the database. ${DONE}`,
        params: CredentialsParams,
      },
    },
    async (request) => {
      await workspaces.drop(request.actor, keyOf(request.params));
      return { status: 'ok' };
    },
  );

  app.post(
    `${one}/kill`,
    {
      schema: { summary: 'End all sessions', description: `The credentials stay. ${DONE}`, params: CredentialsParams },
    },
    async (request) => {
      await workspaces.kill(request.actor, keyOf(request.params));
      return { status: 'ok' };
    },
  );

  app.post(
    `${one}/extend`,
    {
      schema: {
        summary: 'Begin the lifetime anew',
        description: '`id`, `touch` and `expiration`. 400 for redshift-workspace, which does not expire.',
        params: CredentialsParams,
      },
    },
    async (request) => {
      const workspace = await workspaces.extend(request.actor, keyOf(request.params));
      return { id: workspace.id, ...toTouch(workspace) };
    },
  );

  // Only containers are made and dropped asynchronously, and there is no backend for them here.
  const refuseAsync = async (request: FastifyRequest): Promise<never> => {
    const { backend } = request.params as { backend: string };
    backendOf(backend);
    throw new AppError(
      'invalid',
      'workspace.not-asynchronous',
      `Asynchronous actions are not supported for '${backend}'; use /${backend} instead.`,
    );
  };
  const refused = { schema: { summary: 'Asynchronous actions: for containers only, which are not served here' } };
  app.post('/provisioning/async/:backend', refused, refuseAsync);
  app.post('/provisioning/async/:backend/transformation', refused, refuseAsync);
  app.delete('/provisioning/async/:backend/:credentialsId', refused, refuseAsync);
  app.post('/provisioning/async/:backend/:credentialsId/:act', refused, refuseAsync);
}

function backendNotFound(name: string): AppError {
  return new AppError('not-found', 'workspace.backend-not-found', `'${name}' not found.`);
}

function typeOf(value: unknown, types: readonly string[]): string {
  if (value === undefined || value === null || value === '') return DEFAULT_TYPE;
  if (typeof value === 'string' && types.includes(value)) return value;
  throw new AppError(
    'invalid',
    'workspace.type-unknown',
    `Unknown type ${JSON.stringify(value)}. Possible types are ${types.join(', ')}.`,
  );
}
