import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { ConnectorConfiguration } from '../../core/components/connector-configuration.ts';
import type { ConnectorRole } from '../../core/components/connector-model.ts';
import type { Connector, ConnectorDefinition } from '../../core/components/connectors.ts';
import type { AirbyteApp, AirbyteDeps } from './deps.ts';
import { airbyteErrors } from './errors.ts';
import { pageQuery, queryList, toPage, toSeconds } from './paging.ts';
import { readableConfiguration } from './python-client.ts';
import { asksForOwn, requireWorkspace } from './workspace-routes.ts';

const Configuration = Type.Record(Type.String(), Type.Any(), {
  description: 'What the connector asks for. A secret that comes masked is left as it is.',
});

/** Sources and destinations: the same calls over the two kinds of connectors. */
export function registerConnectorRoutes(app: AirbyteApp, deps: AirbyteDeps): void {
  registerRole(app, deps, 'source', '/sources');
  registerRole(app, deps, 'destination', '/destinations');
}

function registerRole(app: AirbyteApp, deps: AirbyteDeps, role: ConnectorRole, root: string): void {
  const { connectors, syncs } = deps.core;
  const path = `${root}/:id`;
  const params = Type.Object({ id: Type.String() });
  const shape = (request: FastifyRequest) => async (connector: Connector) =>
    toConnector(deps, request, role, connector);

  app.get(
    root,
    {
      schema: {
        summary: `List ${role}s`,
        querystring: Type.Object({ ...pageQuery, includeDeleted: Type.Boolean({ default: false }) }),
      },
    },
    async (request) => {
      const { limit, offset, includeDeleted } = request.query;
      const project = await deps.core.projects.get(request.actor);
      const isAsked = await asksForOwn(deps.core, request.actor, queryList(request, 'workspaceIds'));
      const found = isAsked
        ? await connectors.list(request.actor, role, { includeDeleted, offset, limit: limit + 1 })
        : [];
      return toPage(request, deps, found, (one) => toConnectorOf(project.uuid, request, role, one));
    },
  );

  app.post(
    root,
    {
      schema: {
        summary: `Create a ${role}`,
        body: Type.Object({
          name: Type.String({ minLength: 1, maxLength: 500 }),
          workspaceId: Type.String(),
          definitionId: Type.Optional(Type.String()),
          configuration: Configuration,
        }),
      },
    },
    async (request) => {
      const { name, workspaceId, definitionId } = request.body;
      await requireWorkspace(deps.core, request.actor, workspaceId);
      const sent = request.body.configuration as ConnectorConfiguration;
      const definition = requestedDefinition(deps, role, definitionId, sent);
      const configuration = withoutType(role, sent);
      return shape(request)(await connectors.create(request.actor, definition, { name, configuration }));
    },
  );

  app.get(path, { schema: { summary: `Get a ${role}`, params } }, async (request) =>
    shape(request)(await connectors.get(request.actor, role, request.params.id)),
  );

  const change = (isMerge: boolean) => async (request: FastifyRequest) => {
    const { id } = request.params as { id: string };
    const { name, configuration } = request.body as { name?: string; configuration?: ConnectorConfiguration };
    const changed = await connectors.update(request.actor, role, id, {
      name,
      configuration: configuration && withoutType(role, configuration),
      merge: isMerge,
    });
    return shape(request)(changed);
  };
  const name = Type.String({ minLength: 1, maxLength: 500 });
  app.patch(
    path,
    {
      schema: {
        summary: `Change a ${role}`,
        params,
        body: Type.Object({ name: Type.Optional(name), configuration: Type.Optional(Configuration) }),
      },
    },
    change(true),
  );
  app.put(
    path,
    { schema: { summary: `Replace a ${role}`, params, body: Type.Object({ name, configuration: Configuration }) } },
    change(false),
  );

  app.delete(path, { schema: { summary: `Delete a ${role}`, params } }, async (request, reply) => {
    await syncs.deleteConnector(request.actor, role, request.params.id);
    return reply.code(204).send();
  });
}

/** `definitionId` wins; else the short name that stands in the configuration. */
function requestedDefinition(
  { core }: AirbyteDeps,
  role: ConnectorRole,
  definitionId: string | undefined,
  configuration: ConnectorConfiguration,
): ConnectorDefinition {
  if (definitionId) return core.connectors.definition(role, { uuid: definitionId });
  const slug = configuration[`${role}Type`];
  if (typeof slug !== 'string') throw airbyteErrors.unprocessable(`Give definitionId or configuration.${role}Type.`);
  return core.connectors.definition(role, { slug });
}

function withoutType(role: ConnectorRole, configuration: ConnectorConfiguration): ConnectorConfiguration {
  const { [`${role}Type`]: _type, ...rest } = configuration;
  return rest;
}

async function toConnector(
  { core }: AirbyteDeps,
  request: FastifyRequest,
  role: ConnectorRole,
  connector: Connector,
): Promise<object> {
  return toConnectorOf((await core.projects.get(request.actor)).uuid, request, role, connector);
}

function toConnectorOf(
  workspaceId: string,
  request: FastifyRequest,
  role: ConnectorRole,
  connector: Connector,
): object {
  const { slug, uuid } = connector.definition.connector;
  return {
    [`${role}Id`]: connector.id,
    name: connector.name,
    [`${role}Type`]: slug,
    definitionId: uuid,
    workspaceId,
    configuration: readableConfiguration(request, role, connector),
    createdAt: toSeconds(connector.createdAt),
  };
}
