import { Type } from 'typebox';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { SERVICES } from '../services.ts';
import { toBriefComponent, toKeboolaComponent } from './component-shape.ts';

/** The index call: where every client starts. Public, because clients find the services before they have a token. */
export function registerIndexRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  app.get(
    '/',
    {
      config: { public: true },
      schema: {
        summary: 'Index: services with their addresses, components, features',
        querystring: Type.Object({
          exclude: Type.Optional(
            Type.Array(Type.String(), { 'x-list': true, description: '`components`, `componentDetails`' }),
          ),
        }),
      },
    },
    async (request) => {
      const baseUrl = deps.baseUrl(request);
      const excluded = request.query.exclude ?? [];
      const definitions = deps.core.components.list();
      return {
        api: 'storage',
        version: 'v2',
        revision: deps.config.version,
        stack: new URL(baseUrl).host,
        documentation: `${baseUrl}/docs`,
        ...(!excluded.includes('components') && {
          components: excluded.includes('componentDetails')
            ? definitions.map(toBriefComponent)
            : definitions.map((definition) => toKeboolaComponent(definition, baseUrl)),
        }),
        services: SERVICES.flatMap(({ ids }) => ids)
          .map((id) => ({ id, url: deps.serviceUrl(request, id) }))
          .sort((a, b) => (a.id < b.id ? -1 : 1)),
        features: [],
        urlTemplates: {
          orchestrationJob: '/admin/projects/&&projectId&&/orchestrations/&&orchestrationId&&/jobs/&&jobId&&',
        },
      };
    },
  );
}
