import { Type } from 'typebox';
import type { Manager } from '../../../core/identity/actor.ts';
import type { Project } from '../../../core/projects/project-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { formatDate, parseDate } from '../scalars.ts';
import { LIMIT_NAMES } from '../storage/project-shape.ts';
import { toKeboolaToken } from '../storage/token-shape.ts';
import { GroupParams, MemberParams, whoOf } from './group-routes.ts';
import { toMember, toProject } from './manage-shape.ts';

const LIMITS_OF_KEBOOLA = new Map(Object.entries(LIMIT_NAMES).map(([ours, theirs]) => [theirs, ours]));
const ourLimit = (name: string) => LIMITS_OF_KEBOOLA.get(name) ?? name;

const LimitParams = Type.Object({ id: Type.Integer({ maximum: 2 ** 31 - 1 }), name: Type.String({ maxLength: 255 }) });

export function registerProjectRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { projectAdministration: projects, organizations, memberships } = deps.core;
  const hasWorkspaces = (backend: string) => deps.core.workspaces.has(backend);
  const shape = async (manager: Manager, project: Project) => {
    const found = await organizations.ofProject(manager, project);
    return toProject(project, hasWorkspaces, found);
  };

  app.get(
    '/projects',
    { schema: { summary: 'Projects the caller is in; all for super admins. Our own call' } },
    async ({ manager }) => (await deps.core.projects.list(manager)).map((project) => toProject(project, hasWorkspaces)),
  );
  app.get('/projects/:id', { schema: { summary: 'One project', params: GroupParams } }, async ({ manager, params }) =>
    shape(manager, await projects.get(manager, params.id)),
  );
  app.put(
    '/projects/:id',
    {
      schema: {
        summary: 'Change a project',
        params: GroupParams,
        body: Type.Object({
          name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
          type: Type.Optional(Type.Enum(['production', 'poc', 'demo'])),
          expirationDays: Type.Optional(Type.Integer({ minimum: 0, maximum: 36_500 })),
          hasTryModeOn: Type.Optional(Type.Boolean()),
          billedMonthlyPrice: Type.Optional(Type.Number()),
          dataRetentionTimeInDays: Type.Optional(Type.Integer({ minimum: 0, maximum: 36_500 })),
          timezone: Type.Optional(Type.String({ maxLength: 100 })),
        }),
      },
    },
    async ({ manager, params, body: { name, type, expirationDays, ...settings } }) =>
      shape(manager, await projects.update(manager, params.id, { name, type, expirationDays, settings })),
  );
  app.delete(
    '/projects/:id',
    { schema: { summary: 'Delete a project; it can be brought back', params: GroupParams } },
    async ({ manager, params }, reply) => {
      await projects.delete(manager, params.id);
      return reply.code(204).send();
    },
  );
  app.post(
    '/projects/:id/organizations',
    {
      schema: {
        summary: 'Move a project to another organization',
        params: GroupParams,
        body: Type.Object({ organizationId: Type.Integer({ maximum: 2 ** 31 - 1 }) }),
      },
    },
    async ({ manager, params, body }) => shape(manager, await projects.move(manager, params.id, body.organizationId)),
  );
  app.post(
    '/projects/:id/limits',
    {
      schema: {
        summary: 'Set limits of a project',
        params: GroupParams,
        body: Type.Object({
          limits: Type.Array(
            Type.Object({
              name: Type.String({ minLength: 1, maxLength: 255 }),
              value: Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
            }),
            { maxItems: 100 },
          ),
        }),
      },
    },
    async ({ manager, params, body }) => {
      const limits = Object.fromEntries(body.limits.map(({ name, value }) => [ourLimit(name), value]));
      return shape(manager, await projects.setLimits(manager, params.id, limits));
    },
  );
  app.delete(
    '/projects/:id/limits/:name',
    { schema: { summary: 'Remove a limit', params: LimitParams } },
    async ({ manager, params }, reply) => {
      await projects.removeLimit(manager, params.id, ourLimit(params.name));
      return reply.code(204).send();
    },
  );
  app.post(
    '/projects/:id/disabled',
    {
      schema: {
        summary: 'Disable a project, or enable it again',
        params: GroupParams,
        body: Type.Object({
          isDisabled: Type.Boolean(),
          disableReason: Type.Optional(Type.String({ maxLength: 1000 })),
          estimatedEndTime: Type.Optional(Type.String({ maxLength: 100 })),
        }),
      },
    },
    async ({ manager, params, body: { isDisabled, disableReason = '', estimatedEndTime } }) => {
      const end = estimatedEndTime === undefined ? undefined : parseDate(estimatedEndTime);
      const disabled = { reason: disableReason, ...(end && { estimatedEndTime: formatDate(end) }) };
      return shape(manager, await projects.setDisabled(manager, params.id, isDisabled ? disabled : undefined));
    },
  );
  app.patch(
    '/projects/:id/users/:who',
    {
      schema: {
        summary: 'Change the role of a member',
        params: MemberParams,
        body: Type.Object({ role: Type.Optional(Type.String()) }),
      },
    },
    async ({ manager, params: { id, who }, body }) =>
      toMember(await memberships.changeRole(manager, id, whoOf(who), body.role), true),
  );
  app.post(
    '/projects/:id/tokens',
    {
      schema: {
        summary: 'Make a Storage token of a project',
        description: 'isMasterToken, of ours: the own master token of a member, with a new secret if there is one.',
        params: GroupParams,
        body: Type.Object({
          description: Type.Optional(Type.String({ maxLength: 1000 })),
          isMasterToken: Type.Optional(Type.Boolean()),
          canManageBuckets: Type.Optional(Type.Boolean()),
          canReadAllFileUploads: Type.Optional(Type.Boolean()),
          canPurgeTrash: Type.Optional(Type.Boolean()),
          expiresIn: Type.Optional(Type.Integer({ maximum: 3_200_000_000 })),
          bucketPermissions: Type.Optional(Type.Record(Type.String(), Type.String())),
          componentAccess: Type.Optional(Type.Array(Type.String())),
        }),
      },
    },
    async (request, reply) => {
      const { isMasterToken, canReadAllFileUploads, expiresIn, ...rights } = request.body;
      const { token, secret } = await projects.createToken(request.manager, request.params.id, {
        ...rights,
        isMaster: isMasterToken,
        canReadAllFiles: canReadAllFileUploads,
        expiresInSeconds: expiresIn,
      });
      reply.code(201);
      const storageUrl = `${deps.baseUrl(request)}/v2/storage`;
      const buckets = Object.keys(token.bucketPermissions);
      return toKeboolaToken(token, { storageUrl, buckets, secret });
    },
  );

  const deletedShape = ({ deletedAt, ...project }: Project & { deletedAt: Date }) => ({
    ...toProject(project, hasWorkspaces),
    organization: { id: project.organization.id, name: project.organization.name },
    isDeleted: true,
    deletedTime: formatDate(deletedAt),
    isPurged: false,
    purgedTime: null,
  });
  app.get(
    '/deleted-projects',
    {
      schema: {
        summary: 'Projects that were deleted',
        querystring: Type.Object({
          organizationId: Type.Optional(Type.Integer({ maximum: 2 ** 31 - 1 })),
          name: Type.Optional(Type.String()),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
          offset: Type.Integer({ minimum: 0, default: 0 }),
        }),
      },
    },
    async ({ manager, query }) => (await projects.listDeleted(manager, query)).map(deletedShape),
  );
  app.get(
    '/deleted-projects/:id',
    { schema: { summary: 'One of them', params: GroupParams } },
    async ({ manager, params }) => deletedShape(await projects.getDeleted(manager, params.id)),
  );
  app.delete(
    '/deleted-projects/:id',
    {
      schema: {
        summary: 'Bring a deleted project back',
        params: GroupParams,
        querystring: Type.Object({ expirationDays: Type.Optional(Type.Integer({ minimum: 0, maximum: 36_500 })) }),
      },
    },
    async ({ manager, params, query }, reply) => {
      await projects.restore(manager, params.id, query.expirationDays);
      return reply.code(204).send();
    },
  );
}
