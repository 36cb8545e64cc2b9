import { Type } from 'typebox';
import { organizationErrors } from '../../../core/projects/organization-errors.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { GroupParams } from './group-routes.ts';
import { toMaintainer, toOrganization, toProject } from './manage-shape.ts';

const Name = Type.String({ minLength: 1, maxLength: 255 });

export function registerOrganizationRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { organizations, projectAdministration } = deps.core;
  const hasWorkspaces = (backend: string) => deps.core.workspaces.has(backend);

  app.get(
    '/maintainers',
    { schema: { summary: 'Maintainers the caller is in; all for super admins' } },
    async ({ manager }) => (await organizations.listMaintainers(manager)).map((one) => toMaintainer(one)),
  );
  app.post(
    '/maintainers',
    { schema: { summary: 'Make a maintainer', body: Type.Object({ name: Name }) } },
    async ({ manager, body }, reply) => {
      reply.code(201);
      return toMaintainer(await organizations.createMaintainer(manager, body));
    },
  );
  app.get('/maintainers/:id', { schema: { summary: 'One maintainer', params: GroupParams } }, async (request) => {
    const found = await organizations.getMaintainer(request.manager, request.params.id);
    return toMaintainer(found.maintainer, found.organizations);
  });
  app.patch(
    '/maintainers/:id',
    {
      schema: { summary: 'Rename a maintainer', params: GroupParams, body: Type.Object({ name: Type.Optional(Name) }) },
    },
    async ({ manager, params, body }) => toMaintainer(await organizations.updateMaintainer(manager, params.id, body)),
  );
  app.delete(
    '/maintainers/:id',
    { schema: { summary: 'Delete a maintainer without organizations', params: GroupParams } },
    async ({ manager, params }, reply) => {
      await organizations.deleteMaintainer(manager, params.id);
      return reply.code(204).send();
    },
  );
  app.get(
    '/maintainers/:id/organizations',
    { schema: { summary: 'Organizations of a maintainer', params: GroupParams } },
    async ({ manager, params }) =>
      (await organizations.getMaintainer(manager, params.id)).organizations.map((one) => toOrganization(one)),
  );
  app.post(
    '/maintainers/:id/organizations',
    {
      schema: {
        summary: 'Make an organization',
        params: GroupParams,
        body: Type.Object({ name: Name, crmId: Type.Optional(Type.String({ maxLength: 255 })) }),
      },
    },
    async ({ manager, params, body }, reply) => {
      reply.code(201);
      return toOrganization(await organizations.create(manager, params.id, body));
    },
  );

  app.get('/organizations', { schema: { summary: 'Organizations the caller is in' } }, async ({ manager }) =>
    (await organizations.list(manager)).map((one) => toOrganization(one)),
  );
  app.get('/organizations/:id', { schema: { summary: 'One organization', params: GroupParams } }, async (request) => {
    const { organization, projects } = await organizations.get(request.manager, request.params.id);
    return toOrganization(organization, projects);
  });
  app.patch(
    '/organizations/:id',
    {
      schema: {
        summary: 'Change an organization',
        params: GroupParams,
        body: Type.Object({
          name: Type.Optional(Name),
          maintainerId: Type.Optional(Type.Integer({ maximum: 2 ** 31 - 1 })),
          allowAutoJoin: Type.Optional(Type.Boolean()),
          crmId: Type.Optional(Type.String({ maxLength: 255 })),
          activityCenterProjectId: Type.Optional(Type.Integer({ maximum: 2 ** 31 - 1 })),
          mfaRequired: Type.Optional(Type.Boolean()),
        }),
      },
    },
    async ({ manager, params, body: { mfaRequired, ...patch } }) => {
      if (mfaRequired) throw organizationErrors.noMfa();
      return toOrganization(await organizations.update(manager, params.id, patch));
    },
  );
  app.delete(
    '/organizations/:id',
    { schema: { summary: 'Delete an organization without projects', params: GroupParams } },
    async ({ manager, params }, reply) => {
      await organizations.delete(manager, params.id);
      return reply.code(204).send();
    },
  );
  app.get(
    '/organizations/:id/projects-users',
    { schema: { summary: 'Everybody in a project of the organization', params: GroupParams } },
    async ({ manager, params }) =>
      (await organizations.projectsUsers(manager, params.id)).map((user) => ({ ...user, mfaEnabled: false })),
  );
  app.get(
    '/organizations/:id/projects',
    { schema: { summary: 'Projects of the organization', params: GroupParams } },
    async ({ manager, params }) =>
      (await organizations.projects(manager, params.id)).map((project) => toProject(project, hasWorkspaces)),
  );
  app.post(
    '/organizations/:id/projects',
    {
      schema: {
        summary: 'Make a project in the organization',
        description: 'Tokens are made in a call of their own; POST /manage/projects answers all credentials at once.',
        params: GroupParams,
        body: Type.Object({
          name: Name,
          type: Type.Optional(Type.Enum(['production', 'poc', 'demo'])),
          dataRetentionTimeInDays: Type.Optional(Type.Integer({ minimum: 0, maximum: 36_500 })),
        }),
      },
    },
    async ({ manager, params, body }, reply) => {
      const id = await organizations.createProject(manager, params.id, body);
      const project = await projectAdministration.get(manager, id);
      const { organization } = await organizations.get(manager, params.id);
      reply.code(201);
      return toProject(project, hasWorkspaces, organization);
    },
  );
}
