import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type AppError, errors } from '../../core/errors.ts';
import { stringifyJson } from '../../lib/json-text.ts';
import { registerManageAuth, registerStorageAuth } from './auth.ts';
import { BLOB_PREFIX } from './blob/blob-address.ts';
import { describeBlobUrlError, registerBlobEndpoint } from './blob/index.ts';
import { registerBodyParsers } from './body.ts';
import type { KeboolaApp, KeboolaDeps } from './deps.ts';
import type { Family } from './error-shapes.ts';
import { describeError, registerErrors } from './errors.ts';
import { registerGroupRoutes } from './manage/group-routes.ts';
import { registerManageRoutes } from './manage/manage-routes.ts';
import { registerOrganizationRoutes } from './manage/organization-routes.ts';
import { registerProjectRoutes } from './manage/project-routes.ts';
import { registerUserRoutes } from './manage/user-routes.ts';
import { isNotBuilt, NOT_BUILT_OF_SERVICES } from './not-built.ts';
import { registerQueueRoutes } from './queue/job-routes.ts';
import { SERVICES, type Service } from './services.ts';
import { registerBranchRoutes } from './storage/branch-routes.ts';
import { registerBucketRoutes } from './storage/bucket-routes.ts';
import { registerBucketSharingRoutes } from './storage/bucket-sharing-routes.ts';
import { registerComponentRoutes } from './storage/component-routes.ts';
import { registerConfigurationMetadataRoutes } from './storage/configuration-metadata-routes.ts';
import { registerConfigurationRoutes } from './storage/configuration-routes.ts';
import { registerConfigurationRowRoutes } from './storage/configuration-row-routes.ts';
import { registerEventRoutes } from './storage/event-routes.ts';
import { registerFileRoutes } from './storage/file-routes.ts';
import { registerIndexRoutes } from './storage/index-routes.ts';
import { registerJobRoutes } from './storage/job-routes.ts';
import { registerMetadataRoutes } from './storage/metadata-routes.ts';
import { registerSnapshotRoutes } from './storage/snapshot-routes.ts';
import { registerTableRoutes } from './storage/table-routes.ts';
import { registerTableStructureRoutes } from './storage/table-structure-routes.ts';
import { registerTableUploadRoutes } from './storage/table-upload-routes.ts';
import { registerTicketRoutes } from './storage/ticket-routes.ts';
import { registerTokenRoutes } from './storage/token-routes.ts';
import { registerTriggerRoutes } from './storage/trigger-routes.ts';
import { registerWorkspaceRoutes } from './storage/workspace-routes.ts';
import { registerWorkspaceTableRoutes } from './storage/workspace-table-routes.ts';
import { registerSyrupJobRoutes } from './syrup/job-routes.ts';
import { registerProvisioningRoutes } from './syrup/provisioning-routes.ts';
import { registerRunRoutes } from './syrup/run-routes.ts';
import { compileSchema } from './validation.ts';

type Register = (app: KeboolaApp, deps: KeboolaDeps) => void;

/** Route files of the scopes; their paths are relative to the scope's prefix. */
const STORAGE_ROUTES: readonly Register[] = [
  registerIndexRoutes,
  registerTokenRoutes,
  registerTicketRoutes,
  registerBranchRoutes,
  registerBucketRoutes,
  registerBucketSharingRoutes,
  registerTableRoutes,
  registerTableStructureRoutes,
  registerSnapshotRoutes,
  registerTableUploadRoutes,
  registerMetadataRoutes,
  registerFileRoutes,
  registerJobRoutes,
  registerEventRoutes,
  registerTriggerRoutes,
  registerComponentRoutes,
  registerConfigurationRoutes,
  registerConfigurationRowRoutes,
  registerConfigurationMetadataRoutes,
  registerWorkspaceRoutes,
  registerWorkspaceTableRoutes,
];
const MANAGE_ROUTES: readonly Register[] = [
  registerManageRoutes,
  registerOrganizationRoutes,
  registerGroupRoutes,
  registerProjectRoutes,
  registerUserRoutes,
];
const SERVICE_ROUTES: Readonly<Record<string, readonly Register[]>> = {
  queue: [registerQueueRoutes],
  syrup: [registerRunRoutes, registerSyrupJobRoutes, registerProvisioningRoutes],
};

/** Mounts Storage at `/v2/storage`, Management at `/manage`, and every other service under its own prefix. */
export function registerKeboola(app: FastifyInstance, deps: KeboolaDeps): { openapi(): object } {
  let documented: FastifyInstance | undefined;
  app.register(async (keboola) => {
    documented = keboola;
    await keboola.register(swagger, openapiOptions(deps.config.version));
    registerManners(keboola);
    keboola.register(
      async (scope) => {
        registerErrors(scope, 'storage', (request) =>
          isNotBuilt(request.method, storagePath(request)) ? errors.notImplemented(storagePath(request)) : undefined,
        );
        registerStorageAuth(scope, deps);
        registerBodyParsers(scope, deps.config.temporaryDirectory);
        mount(scope, STORAGE_ROUTES, deps);
      },
      { prefix: '/v2/storage' },
    );
    keboola.register(
      async (scope) => {
        registerErrors(scope, 'storage', (request) => notBuilt(request, 'manage'));
        registerManageAuth(scope, deps);
        registerBodyParsers(scope, deps.config.temporaryDirectory);
        mount(scope, MANAGE_ROUTES, deps);
      },
      { prefix: '/manage' },
    );
    registerBlobEndpoint(keboola, deps);
    for (const service of SERVICES) {
      keboola.register(async (scope) => registerService(scope, service, deps), { prefix: `/${service.path}` });
    }
  });
  return {
    openapi() {
      if (!documented) throw new Error('The routes are not registered yet');
      return documented.swagger();
    },
  };
}

function openapiOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Keboola',
        version,
        description:
          'Storage, Management, Queue and the other services of Keboola Connection. Every Storage path also answers under /v2/storage/branch/{id}.',
      },
      components: {
        securitySchemes: {
          storageToken: { type: 'apiKey', in: 'header', name: 'X-StorageApi-Token' },
          manageToken: { type: 'apiKey', in: 'header', name: 'X-KBC-ManageApiToken' },
        },
      },
    },
    transform: ({ schema, url, route }) => ({
      url,
      schema: {
        ...schema,
        hide: route.method === 'OPTIONS',
        tags: [tagOf(url)],
        security: route.config?.public ? [] : [{ [url.startsWith('/manage') ? 'manageToken' : 'storageToken']: [] }],
      },
    }),
  };
}

/** Calls are grouped by service and first word: `Storage: buckets`. */
function tagOf(url: string): string {
  const [, first = '', ...rest] = url.split('/');
  if (first === 'v2') return `Storage: ${rest[1] || 'index'}`;
  return first;
}

function registerService(scope: FastifyInstance, service: Service, deps: KeboolaDeps): void {
  registerErrors(scope, service.family, (request) => {
    if (!service.isBuilt) return errors.notImplemented(`the service ${service.path}`);
    return notBuilt(request, service.path);
  });
  if (!service.isBuilt) return;
  registerStorageAuth(scope, deps);
  registerBodyParsers(scope, deps.config.temporaryDirectory);
  scope.get('/health-check', { config: { public: true } }, async () => ({ status: 'ok' }));
  mount(scope, SERVICE_ROUTES[service.path] ?? [], deps);
}

/** What holds for every Keboola service: how values are checked, how answers are written, who may read them. */
function registerManners(keboola: FastifyInstance): void {
  keboola.setValidatorCompiler(compileSchema);
  keboola.setReplySerializer((payload) => stringifyJson(payload));
  keboola.addHook('onRequest', async (_request, reply) => {
    // The vendor's UI is served from another origin.
    reply.headers({ 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' });
  });
  keboola.addHook('onSend', async (_request, reply, payload) => {
    // PHP clients compare the header with this very text: a charset makes them return the raw body.
    const type = reply.getHeader('content-type');
    if (typeof type === 'string' && type.startsWith('application/json'))
      reply.header('content-type', 'application/json');
    return payload;
  });
}

function mount(scope: FastifyInstance, routes: readonly Register[], deps: KeboolaDeps): void {
  scope.options('/', { config: { public: true } }, answerPreflight);
  scope.options('/*', { config: { public: true } }, answerPreflight);
  for (const register of routes) register(scope as KeboolaApp, deps);
}

async function answerPreflight(_request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply
    .code(204)
    .headers({
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
      'access-control-allow-headers': '*, Authorization',
      'access-control-max-age': '3600',
    })
    .send();
}

function pathBelow(request: FastifyRequest, prefix: string): string {
  return (request.url.split('?')[0] ?? '').replace(/\/{2,}/g, '/').slice(prefix.length);
}

function notBuilt(request: FastifyRequest, service: string): AppError | undefined {
  const path = pathBelow(request, `/${service}`);
  const table = NOT_BUILT_OF_SERVICES[service] ?? [];
  return isNotBuilt(request.method, path, table) ? errors.notImplemented(path) : undefined;
}

function storagePath(request: FastifyRequest): string {
  return pathBelow(request, '/v2/storage');
}

/** For errors that arise before a scope is found (a malformed URL): the shape of the service the URL asks for. */
function familyOfPath(path: string): Family | undefined {
  if (/^\/+(v2\/+storage|manage)(\/|\?|$)/.test(path)) return 'storage';
  const first = /^\/+([^/?]+)/.exec(path)?.[1];
  return SERVICES.find((service) => service.path === first)?.family;
}

/** Whether the dialect answers for the path. */
export function isKeboolaPath(path: string): boolean {
  return path.startsWith(`${BLOB_PREFIX}/`) || familyOfPath(path) !== undefined;
}

/**
 * Answers what Fastify refuses before it looks for a route. No hook runs for these, so the answer is written here
 * whole, without the charset that Fastify would add.
 */
export function answerFrameworkError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  const blobAnswer = describeBlobUrlError(request.raw.url ?? '');
  if (blobAnswer) {
    const { status, code, xml } = blobAnswer;
    reply.raw.writeHead(status, { 'content-type': 'application/xml', 'x-ms-error-code': code }).end(xml);
    return;
  }
  const { status, body } = describeError(thrown, request, familyOfPath(request.raw.url ?? '') ?? 'storage');
  const text = JSON.stringify(body);
  reply.raw.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  reply.raw.end(text);
}
