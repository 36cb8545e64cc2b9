import { Type } from 'typebox';
import { errors } from '../../../core/errors.ts';
import { isUnderBranch } from '../branch.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toItems, toMetadataId } from './metadata-routes.ts';
import { toPlainMetadata } from './metadata-shape.ts';

const ConfigurationParams = Type.Object({ componentId: Type.String(), configurationId: Type.String() });

/** Metadata of configurations, and the search by it. */
export function registerConfigurationMetadataRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { metadata } = deps.core.configurations;
  const list = '/components/:componentId/configs/:configurationId/metadata';

  app.get(list, { schema: { summary: 'Metadata of a configuration', params: ConfigurationParams } }, async (request) =>
    toPlainMetadata(await metadata.list(request.actor, request.params)),
  );

  app.post(
    list,
    {
      schema: {
        summary: 'Set metadata of a configuration',
        params: ConfigurationParams,
        body: Type.Object({ metadata: Type.Optional(Type.Unknown({ description: '[{key, value}]' })) }),
      },
    },
    async (request, reply) => {
      const all = await metadata.set(request.actor, request.params, toItems(request.body.metadata));
      reply.code(201);
      return toPlainMetadata(all);
    },
  );

  app.delete(
    `${list}/:metadataId`,
    {
      schema: {
        summary: 'Delete one metadata item of a configuration; only in the default branch',
        params: Type.Object({ ...ConfigurationParams.properties, metadataId: Type.String() }),
      },
    },
    async (request, reply) => {
      const { metadataId, ...address } = request.params;
      await metadata.delete(request.actor, address, toMetadataId(metadataId));
      return reply.code(204).send();
    },
  );

  app.get(
    '/search/component-configurations',
    {
      schema: {
        summary: 'Configurations by component, id and metadata keys; only below a branch',
        querystring: Type.Object({
          idComponent: Type.Optional(Type.String()),
          componentId: Type.Optional(Type.String()),
          configurationId: Type.Optional(Type.String()),
          metadataKeys: Type.Optional(Type.Array(Type.String())),
          include: Type.Optional(Type.Array(Type.String(), { 'x-list': true, description: 'filteredMetadata' })),
        }),
      },
    },
    async (request) => {
      if (!isUnderBranch(request.raw)) throw errors.notImplemented('searching configurations outside of a branch');
      const {
        idComponent,
        componentId = idComponent,
        configurationId,
        metadataKeys: keys = [],
        include,
      } = request.query;
      const found = await metadata.search(request.actor, { componentId, configurationId, keys });
      return found.map((one) => ({
        idComponent: one.componentId,
        configurationId: one.configurationId,
        ...(include?.includes('filteredMetadata') && { metadata: toPlainMetadata(one.items) }),
      }));
    },
  );
}
