import { Type } from 'typebox';
import type { Configuration } from '../../../core/components/configuration-model.ts';
import { AppError } from '../../../core/errors.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toKeboolaComponent } from './component-shape.ts';
import { toListedConfiguration } from './configuration-shape.ts';

const INCLUDES = ['configuration', 'rows', 'state'];

const ListQuery = Type.Object({
  componentType: Type.Optional(Type.String()),
  include: Type.Optional(Type.Array(Type.String(), { 'x-list': true, description: 'configuration, rows, state' })),
  isDeleted: Type.Optional(Type.Boolean({ description: 'the trash instead of what is live' })),
});

export function registerComponentRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { components, configurations } = deps.core;

  app.get(
    '/components',
    { schema: { summary: 'Components that have configurations, with these', querystring: ListQuery } },
    async (request) => {
      const { componentType, include = [], isDeleted } = request.query;
      assertIncludes(include);
      const list = await configurations.list(request.actor, { isDeleted, isBrief: include.length === 0 });
      const byComponent = new Map<string, Configuration[]>();
      for (const one of list) {
        const siblings = byComponent.get(one.componentId);
        if (siblings) siblings.push(one);
        else byComponent.set(one.componentId, [one]);
      }
      const baseUrl = deps.baseUrl(request);
      return components
        .list()
        .filter(({ id, type }) => byComponent.has(id) && (componentType === undefined || type === componentType))
        .map((definition) => ({
          ...toKeboolaComponent(definition, baseUrl),
          configurations: byComponent
            .get(definition.id)
            ?.map((configuration) => toListedConfiguration(configuration, include)),
        }));
    },
  );

  app.get(
    '/components/:componentId',
    {
      // Clients look components up before they have a token.
      config: { public: true },
      schema: { summary: 'Definition of a component', params: Type.Object({ componentId: Type.String() }) },
    },
    async (request) => toKeboolaComponent(components.get(request.params.componentId), deps.baseUrl(request)),
  );
}

function assertIncludes(include: string[]): void {
  const unknown = include.filter((name) => !INCLUDES.includes(name));
  if (unknown.length === 0) return;
  const names = unknown.map((name) => `"${name}"`).join(', ');
  const message = `Invalid include parameters: ${names}. Only following are allowed: ${INCLUDES.join(', ')}.`;
  throw new AppError('invalid', 'request.failed-validation', 'Invalid request', {
    details: { errors: [{ key: 'include', message }] },
  });
}
