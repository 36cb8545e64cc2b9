import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError, errors } from '../../../core/errors.ts';
import type { NewWorkspace, WorkspaceKey } from '../../../core/workspaces/workspace-model.ts';
import { clientHostOf } from '../client-host.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { shapeJob } from './job-shape.ts';
import { toStorageWorkspace, WORKSPACE_BACKENDS } from './workspace-shape.ts';

export const WorkspaceParams = Type.Object({ workspaceId: Type.String() });
const ConfigurationParams = Type.Object({ componentId: Type.String(), configurationId: Type.String() });
const AsyncQuery = Type.Object({
  async: Type.Optional(Type.Boolean({ description: '202 with a job instead of the outcome' })),
});
const NewWorkspaceBody = Type.Object({
  backend: Type.Optional(Type.String({ description: 'redshift, a plain PostgreSQL; also where none is named' })),
  loginType: Type.Optional(Type.String({ description: 'default' })),
  readOnlyStorageAccess: Type.Optional(Type.Boolean()),
  statementTimeoutSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
});
type NewWorkspaceRequest = {
  backend?: string | undefined;
  loginType?: string | undefined;
  readOnlyStorageAccess?: boolean | undefined;
  statementTimeoutSeconds?: number | undefined;
};

export const BACKEND = WORKSPACE_BACKENDS.redshift ?? '';
const SHOWN = 'The password is told by the making (without `async`) and by a reset, never again.';

/** Databases of the project that people and programs log in to. */
export function registerWorkspaceRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { workspaces, workspaceJobs, configurations } = deps.core;

  const create = async (
    request: FastifyRequest,
    reply: FastifyReply,
    configuration?: { componentId: string; id: string },
  ) => {
    const body = (request.body ?? {}) as NewWorkspaceRequest;
    const wanted: Omit<NewWorkspace, 'purpose'> = { backend: backendOf(body), holder: 'project', configuration };
    if ((request.query as { async?: boolean }).async) {
      const job = await workspaceJobs.createLater(request.actor, { ...wanted, about: { backend: 'redshift' } });
      reply.code(202);
      return shapeJob(request, deps, job);
    }
    const made = await workspaces.ensure(request.actor, { ...wanted, purpose: randomUUID() });
    reply.code(201);
    const shape = toStorageWorkspace(made, clientHostOf(request));
    return { ...shape, connection: { ...shape.connection, password: made.login.password } };
  };

  app.post(
    '/workspaces',
    { schema: { summary: 'Make a workspace', description: SHOWN, querystring: AsyncQuery, body: NewWorkspaceBody } },
    async (request, reply) => create(request, reply),
  );

  app.get('/workspaces', { schema: { summary: 'Workspaces of the project' } }, async (request) => list(request));

  app.get(
    '/workspaces/:workspaceId',
    { schema: { summary: 'One workspace', description: SHOWN, params: WorkspaceParams } },
    async (request) =>
      found(request.params.workspaceId, async (key) =>
        toStorageWorkspace(await workspaces.describe(request.actor, key), clientHostOf(request)),
      ),
  );

  app.delete(
    '/workspaces/:workspaceId',
    {
      schema: {
        summary: 'Drop a workspace with everything in it',
        description: 'Ends its sessions. 204, or 202 with a job.',
        params: WorkspaceParams,
        querystring: AsyncQuery,
      },
    },
    async (request, reply) =>
      found(request.params.workspaceId, async (key) => {
        if (!request.query.async) {
          await workspaces.drop(request.actor, key);
          return reply.code(204).send();
        }
        const job = await workspaceJobs.dropLater(request.actor, key);
        reply.code(202);
        return shapeJob(request, deps, job);
      }),
  );

  app.post(
    '/workspaces/:workspaceId/password',
    {
      schema: {
        summary: 'A new password',
        description: '201 with `password`. The old one takes nobody in any more; open sessions go on.',
        params: WorkspaceParams,
      },
    },
    async (request, reply) =>
      found(request.params.workspaceId, async (key) => {
        const { login } = await workspaces.resetPassword(request.actor, key);
        reply.code(201);
        return { password: login.password };
      }),
  );

  app.post(
    '/components/:componentId/configs/:configurationId/workspaces',
    {
      schema: {
        summary: 'Make a workspace for a configuration',
        description: SHOWN,
        params: ConfigurationParams,
        querystring: AsyncQuery,
        body: NewWorkspaceBody,
      },
    },
    async (request, reply) => create(request, reply, await configurationOf(request, request.params)),
  );

  app.get(
    '/components/:componentId/configs/:configurationId/workspaces',
    { schema: { summary: 'Workspaces of a configuration', params: ConfigurationParams } },
    async (request) => list(request, await configurationOf(request, request.params)),
  );

  async function list(request: FastifyRequest, configuration?: { componentId: string; id: string }) {
    const views = await workspaces.list(request.actor, { backend: BACKEND, configuration });
    return views.map((view) => toStorageWorkspace(view, clientHostOf(request)));
  }

  async function configurationOf(
    request: FastifyRequest,
    { componentId, configurationId }: { componentId: string; configurationId: string },
  ) {
    await configurations.get(request.actor, { componentId, configurationId });
    return { componentId, id: configurationId };
  }
}

/** Nothing that asks for what we do not have gets something else instead. */
function backendOf(body: NewWorkspaceRequest): string {
  const { backend = 'redshift', loginType = 'default' } = body;
  const found = Object.hasOwn(WORKSPACE_BACKENDS, backend) ? WORKSPACE_BACKENDS[backend] : undefined;
  if (found === undefined)
    throw new AppError('invalid', 'workspace.backend-unsupported', `Workspace backend "${backend}" is not supported.`);
  if (!['default', 'legacy-service', 'legacy'].includes(loginType))
    throw errors.optionNotImplemented(`loginType ${loginType}`);
  if (body.readOnlyStorageAccess) throw errors.optionNotImplemented('readOnlyStorageAccess');
  if (body.statementTimeoutSeconds) throw errors.optionNotImplemented('statementTimeoutSeconds');
  return found;
}

/** Errors name the workspace as it was asked for. */
export async function found<T>(
  id: string,
  act: (key: Extract<WorkspaceKey, { id: number }>) => Promise<T>,
): Promise<T> {
  const missing = () => new AppError('not-found', 'workspace.not-found', `Workspace "${id}" not found.`);
  if (!/^\d{1,15}$/.test(id)) throw missing();
  return act({ backend: BACKEND, id: Number(id), among: 'visible' }).catch((error: unknown) => {
    throw error instanceof AppError && error.code === 'workspace.not-found' ? missing() : error;
  });
}
