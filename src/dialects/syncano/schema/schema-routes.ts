import type { FastifyInstance } from 'fastify';
import { canManageObjects } from '../../../core/objects/object-access.ts';
import { describe, type FieldMetadata, RESOURCES } from '../field-metadata.ts';
import { PREFIX } from '../links.ts';
import { type Endpoint, fieldsOf } from './endpoints.ts';

/** Query parameters that calls of a kind understand. */
const LIST_PARAMETERS = ['page_size', 'direction', 'last_pk', 'ordering', 'fields', 'excluded_fields'];
const OBJECT_PARAMETERS = [...LIST_PARAMETERS, 'query', 'order_by', 'last_value', 'include_count'];

/** `/schema/` tells of every path there is; paths that do not say themselves what OPTIONS answers get it from here. */
export function registerSchemaRoutes(app: FastifyInstance, endpoints: () => readonly Endpoint[]): void {
  let text: string | undefined;
  app.get('/schema', { schema: { summary: 'Every endpoint' }, config: { public: true } }, async (_request, reply) => {
    // The routes cannot change while the server runs.
    text ??= JSON.stringify(toSchema(endpoints()));
    reply.type('application/json');
    return text;
  });
}

export function registerMissingOptions(app: FastifyInstance, endpoints: readonly Endpoint[]): void {
  for (const endpoint of endpoints) {
    if (app.hasRoute({ method: 'OPTIONS', url: `${PREFIX}${endpoint.url}` })) continue;
    const { title, kind, resource, methods } = endpoint;
    const suffix = kind === 'list' && resource ? ' List' : kind === 'detail' ? ' Instance' : '';
    app.options(endpoint.url, { schema: { hide: true }, config: { public: endpoint.isPublic } }, async (request) => {
      const method = kind === 'list' ? 'POST' : resource ? RESOURCES[resource].changeMethod : 'PUT';
      const fields = writableFields(endpoint);
      const canWrite = request.actor !== null && (resource === 'account' || canManageObjects(request.actor));
      const isShown = fields && canWrite && methods.includes(method.toLowerCase());
      return describe(`${title}${suffix}`, isShown ? { [method]: fields } : undefined);
    });
  }
}

function writableFields({ resource, kind }: Endpoint): object | undefined {
  if (!resource) return undefined;
  return kind === 'list' ? RESOURCES[resource].create : RESOURCES[resource].change;
}

/** As the first generation of clients reads it: resources with their endpoints. */
function toSchema(endpoints: readonly Endpoint[]): object[] {
  const resources = new Map<string, Record<string, object>>();
  for (const endpoint of endpoints) {
    const { resource, title, kind } = endpoint;
    const name = (resource ? RESOURCES[resource].title : title).replaceAll(' ', '');
    const described = resources.get(name) ?? {};
    resources.set(name, described);
    // The same may be reached by two paths: traces of a schedule also by its script.
    const words = endpoint.url.split('/').filter((word) => word !== '' && !word.startsWith(':'));
    const key = kind in described ? [...words, kind].join('_') : kind;
    described[key] = toEndpoint(endpoint);
  }
  return [...resources].map(([name, described]) => ({ name, endpoints: described }));
}

function toEndpoint(endpoint: Endpoint): object {
  const { url, methods, resource, kind, summary } = endpoint;
  const isClassOrInstance = resource === 'class' || resource === 'instance';
  const names = [...url.matchAll(/:(\w+)/g)].map(([, name = ''], at, all) => {
    const isLast = kind === 'detail' && at === all.length - 1;
    if (isLast && isClassOrInstance) return { from: name, to: 'name' };
    return { from: name, to: name === 'instance' || name === 'class' ? `${name}_name` : name };
  });
  const path = names.reduce((text, { from, to }) => text.replace(new RegExp(`:${from}(?=/|$)`), `{${to}}`), url);
  const key = kind === 'detail' ? names.at(-1)?.to : isClassOrInstance ? 'name' : 'id';
  const fields = Object.entries(fieldsOf(endpoint)).map(([name, field]): [string, FieldMetadata] => [
    name,
    name === key ? { ...field, primary_key: true } : field,
  ]);
  const isList = kind === 'list' && resource !== undefined && methods.includes('get');
  return {
    path: `${PREFIX}${path}/`,
    methods,
    properties: names.map(({ to }) => to),
    fields: Object.fromEntries(fields),
    ...(summary !== '' && { description: summary }),
    ...(isList && { parameters: resource === 'object' ? OBJECT_PARAMETERS : LIST_PARAMETERS }),
    ...(isList &&
      resource === 'object' && {
        query_fields: ['id', 'created_at', 'updated_at', 'revision', 'owner', 'group', 'channel', 'channel_room'],
        order_fields: ['created_at', 'updated_at', 'id'],
      }),
  };
}
