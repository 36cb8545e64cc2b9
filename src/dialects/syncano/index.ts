import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errors } from '../../core/errors.ts';
import type { Actor } from '../../core/identity/actor.ts';
import { registerAccountRoutes } from './accounts/account-routes.ts';
import { isPreflight, registerAuth } from './auth.ts';
import { registerBatchRoutes, registerMethodInBody } from './batch/batch-routes.ts';
import { registerBodyParsers } from './body.ts';
import { registerClassRoutes } from './classes/class-routes.ts';
import type { SyncanoDeps } from './deps.ts';
import { describeError, registerErrors, syncanoErrors } from './errors.ts';
import { RESOURCES } from './field-metadata.ts';
import { registerGroupRoutes } from './groups/group-routes.ts';
import { registerInstanceRoutes } from './instances/instance-routes.ts';
import { registerKeyRoutes } from './keys/key-routes.ts';
import { PREFIX } from './links.ts';
import { registerObjectRoutes } from './objects/object-routes.ts';
import { registerScheduleRoutes } from './schedules/schedule-routes.ts';
import { type Endpoint, type Route, toEndpoints } from './schema/endpoints.ts';
import { registerMissingOptions, registerSchemaRoutes } from './schema/schema-routes.ts';
import { registerEndpointRoutes } from './scripts/endpoint-routes.ts';
import { registerScriptRoutes } from './scripts/script-routes.ts';
import { registerUserRoutes } from './users/user-routes.ts';

type Register = (app: FastifyInstance, deps: SyncanoDeps) => void;

const ROUTES: readonly Register[] = [
  registerInstanceRoutes,
  registerClassRoutes,
  registerObjectRoutes,
  registerUserRoutes,
  registerGroupRoutes,
  registerKeyRoutes,
  registerAccountRoutes,
  registerScriptRoutes,
  registerScheduleRoutes,
  registerEndpointRoutes,
  registerBatchRoutes,
];

/** What the original has and we do not have yet, below an instance and beside them. */
const NOT_BUILT = [
  /^\/instances\/[^/]+\/(admins|invitations|snippets|endpoints|triggers|channels|rename|backups|restores|hosting|push_notifications|sockets|environments)(\/|$)/,
  /^\/instances\/[^/]+\/(user\/auth\/[^/]+)(\/|$)/,
  /^\/(account|backups|usage|billing|marketplace)(\/|$)/,
];

/** Mounts the API at `/v1.1`. */
export function registerSyncano(app: FastifyInstance, deps: Omit<SyncanoDeps, 'instanceName'>): { openapi(): object } {
  let documented: FastifyInstance | undefined;
  app.register(
    async (scope) => {
      documented = scope;
      const routes: Route[] = [];
      let endpoints: Endpoint[] = [];
      await registerOpenapi(scope, deps.config.version, () => endpoints);
      scope.addHook('onRoute', ({ url, method, schema, config }) => {
        const summary = String(schema?.summary ?? '');
        const isPublic = config?.public === true;
        for (const one of [method].flat()) routes.push({ url, method: one, summary, isPublic });
      });
      const known: { methods: Set<string>; pattern: RegExp }[] = [];
      scope.addHook('onRoute', ({ url, method }) => {
        const pattern = new RegExp(`^${url.replace(/[.]/g, '\\.').replace(/:[a-z]+/g, '[^/]+')}/?$`);
        known.push({ pattern, methods: new Set([method].flat()) });
      });
      registerErrors(scope, (request) => {
        const path = (request.url.split('?', 1)[0] ?? '').replace(/\/{2,}/g, '/');
        if (known.some(({ pattern }) => pattern.test(path))) {
          const rest = path.slice(PREFIX.length);
          const isOriginal = /^\/instances(\/[^/]+)?\/?$/.test(rest) && request.method !== 'HEAD';
          return isOriginal ? errors.notImplemented(rest) : syncanoErrors.method(request.method);
        }
        const rest = path.slice(PREFIX.length);
        return NOT_BUILT.some((pattern) => pattern.test(rest)) ? errors.notImplemented(rest) : undefined;
      });
      registerManners(scope);
      registerBodyParsers(scope);
      registerMethodInBody(scope);
      registerAuth(scope, { ...deps, instanceName });
      scope.get('/', { config: { public: true } }, async () => ({
        links: {
          instances: `${PREFIX}/instances/`,
          backups: `${PREFIX}/backups/`,
          account: `${PREFIX}/account/`,
          usage: `${PREFIX}/usage/`,
        },
      }));
      for (const register of ROUTES) register(scope, { ...deps, instanceName });
      registerSchemaRoutes(scope, () => endpoints);
      endpoints = toEndpoints(routes);
      registerMissingOptions(scope, endpoints);
    },
    { prefix: PREFIX },
  );

  // Names of instances never change and are never given out again.
  const names = new Map<number, string>();
  async function instanceName(actor: Actor): Promise<string> {
    let name = names.get(actor.projectId);
    if (name === undefined) {
      name = (await deps.core.projects.get(actor)).slug;
      names.set(actor.projectId, name);
    }
    return name;
  }
  return { openapi: () => documented?.swagger() ?? {} };
}

/** The same paths for people who read OpenAPI. */
async function registerOpenapi(
  scope: FastifyInstance,
  version: string,
  endpoints: () => readonly Endpoint[],
): Promise<void> {
  await scope.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Syncano',
        version,
        description:
          'The object API of Syncano, version 1.1. Keys also come as `Authorization: token KEY` or `?api_key=`.',
      },
      components: { securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'X-API-KEY' } } },
    },
    transform: ({ schema, url, route }) => {
      const path = url.slice(PREFIX.length).replace(/\/$/, '');
      const found = endpoints().find((one) => one.url === path);
      const methods = [route.method].flat();
      return {
        url: `${url.replace(/\/$/, '')}/`,
        schema: {
          summary: found?.title ?? 'API',
          ...schema,
          hide: methods.every((method) => method === 'HEAD' || method === 'OPTIONS'),
          tags: [found ? (found.resource ? RESOURCES[found.resource].title : found.title) : 'API'],
          security: route.config?.public ? [] : [{ key: [] }],
        },
      };
    },
  });
}

/** Any web page may call, with the caller's own key; what browsers ask beforehand is always answered. */
function registerManners(scope: FastifyInstance): void {
  scope.addHook('onRequest', async (request, reply) => {
    reply.header('access-control-allow-origin', '*');
    if (isPreflight(request)) return answerPreflight(reply);
    if (request.headers.origin !== undefined)
      reply.header('access-control-expose-headers', 'X-Last-Id, Retry-After, Location');
  });
}

function answerPreflight(reply: FastifyReply): FastifyReply {
  return reply
    .code(200)
    .headers({
      'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE, OPTIONS',
      'access-control-allow-headers': 'content-type, authorization, x-api-key, x-user-key, x-template-response',
      'access-control-max-age': '3600',
    })
    .send();
}

/** Whether the dialect answers for the path. */
export function isSyncanoPath(path: string): boolean {
  return path === PREFIX || path.startsWith(`${PREFIX}/`) || path.startsWith(`${PREFIX}?`);
}

/** Answers what Fastify refuses before it looks for a route. No hook runs for these. */
export function answerFrameworkError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  const { status, body } = describeError(thrown, request);
  const text = JSON.stringify(body);
  reply.raw.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  reply.raw.end(text);
}
