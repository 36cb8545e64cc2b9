import { Type } from 'typebox';
import type { ConnectorDefinition } from '../../core/components/connectors.ts';
import type { AirbyteApp, AirbyteDeps } from './deps.ts';
import { airbyteErrors } from './errors.ts';
import { requireWorkspace } from './workspace-routes.ts';

const ROLES = [
  { role: 'source', path: 'sources' },
  { role: 'destination', path: 'destinations' },
] as const;

/** Which connectors there are. They come with the server, so there is nothing to create, change or delete. */
export function registerDefinitionRoutes(app: AirbyteApp, { core }: AirbyteDeps): void {
  app.get(
    '/connector_definitions',
    {
      schema: {
        summary: 'List connectors',
        querystring: Type.Object({ type: Type.Union([Type.Literal('source'), Type.Literal('destination')]) }),
      },
    },
    async ({ query: { type } }) => ({
      data: core.connectors.definitions(type).map(({ name, connector }) => ({
        id: connector.uuid,
        name,
        connectorDefinitionType: type,
        version: connector.version,
      })),
    }),
  );

  for (const { role, path } of ROLES) {
    const url = `/workspaces/:workspaceId/definitions/${path}`;
    app.get(
      url,
      { schema: { summary: `List ${role} definitions`, params: Type.Object({ workspaceId: Type.String() }) } },
      async (request) => {
        await requireWorkspace(core, request.actor, request.params.workspaceId);
        return { data: core.connectors.definitions(role).map(toDefinition) };
      },
    );
    app.get(
      `${url}/:definitionId`,
      {
        schema: {
          summary: `Get a ${role} definition`,
          params: Type.Object({ workspaceId: Type.String(), definitionId: Type.String() }),
        },
      },
      async (request) => {
        const { workspaceId, definitionId } = request.params;
        await requireWorkspace(core, request.actor, workspaceId);
        const found = core.connectors.definitions(role).find(({ connector }) => connector.uuid === definitionId);
        if (!found) throw airbyteErrors.notFound(`${role} definition`, definitionId);
        return toDefinition(found);
      },
    );
  }
}

function toDefinition({ name, connector, documentationUrl }: ConnectorDefinition): object {
  return {
    id: connector.uuid,
    name,
    dockerRepository: connector.image,
    dockerImageTag: connector.version,
    ...(documentationUrl !== null && { documentationUrl }),
  };
}
