import { readFileSync } from 'node:fs';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { Core } from '../core/core.ts';
import {
  answerFrameworkError as answerAirbyteFrameworkError,
  isAirbytePath,
  registerAirbyte,
} from '../dialects/airbyte/index.ts';
import { takeBranch } from '../dialects/keboola/branch.ts';
import { answerFrameworkError, isKeboolaPath, registerKeboola } from '../dialects/keboola/index.ts';
import { connectionUrl, findService, prefixOfHost, urlOfService } from '../dialects/keboola/services.ts';
import {
  answerFrameworkError as answerSyncanoFrameworkError,
  isSyncanoPath,
  registerSyncano,
} from '../dialects/syncano/index.ts';
import { registerDocs } from './docs.ts';
import { buildLateValidators } from './late-validation.ts';
import { registerMetrics } from './metrics.ts';
import { registerRequestLog } from './request-log.ts';
import { splitV1 } from './v1-roots.ts';
import { registerWelcome } from './welcome.ts';

/** JSON and form bodies. Files and tables come as streams and are not limited. */
const BODY_LIMIT = 20 * 1024 * 1024;
/** A socket on which nothing moved for so long is dead. Long enough for a slow synchronous import to be answered. */
const IDLE_SOCKET_MS = 15 * 60_000;

/** The part of the configuration that the HTTP server needs. */
export type HttpSettings = {
  host: string;
  port: number;
  /** PEM files; with both the server speaks HTTPS only. */
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
  hostSuffixes: readonly string[];
  version: string;
  /** Folder for uploads on their way into the file store. */
  temporaryDirectory: string;
};

export type HealthReport = { ready: true } | { ready: false; reason: string };

export type HttpServerOptions = { config: HttpSettings; core: Core; health: () => HealthReport; log: Logger };

export type RegisteredRoute = { method: string; url: string; isPublic: boolean };

export type HttpServer = {
  /** For tests: `app.inject`. */
  app: FastifyInstance;
  /** Every route there is, in all dialects. The tenancy test walks over it. */
  routes: readonly RegisteredRoute[];
  /** Starts listening and returns the URL, with the port that was really taken. */
  listen(): Promise<string>;
  /** Stops accepting, lets running requests finish for at most so long, then cuts them off. */
  close(graceMs: number): Promise<void>;
};

/** Builds the server with every dialect registered; nothing listens yet. */
export async function createHttpServer({ config, core, health, log }: HttpServerOptions): Promise<HttpServer> {
  const tls = config.tlsCert !== undefined &&
    config.tlsKey !== undefined && { cert: readFileSync(config.tlsCert), key: readFileSync(config.tlsKey) };
  const scheme = tls ? 'https' : 'http';
  const app = Fastify({
    ...(tls && { https: tls }),
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    connectionTimeout: IDLE_SOCKET_MS,
    // Time for a whole request, body included: an upload of many gigabytes may take hours.
    requestTimeout: 0,
    trustProxy: false,
    forceCloseConnections: 'idle',
    rewriteUrl: (raw) =>
      splitV1(takeBranch(`${prefixOfHost(raw.headers.host, config.hostSuffixes)}${raw.url ?? '/'}`, raw)),
    frameworkErrors: (error, request, reply) => {
      const url = request.raw.url ?? '';
      if (isSyncanoPath(url)) answerSyncanoFrameworkError(error, request, reply as never);
      else if (isAirbytePath(url)) answerAirbyteFrameworkError(error, request, reply as never);
      else answerFrameworkError(error, request, reply as never);
    },
    schemaController: { compilersFactory: { buildValidator: buildLateValidators as never } },
    routerOptions: {
      // Two routes must look at the raw URL instead: file tags and blob names may have slashes that are part of them.
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      maxParamLength: 4096,
    },
  }) as unknown as FastifyInstance;

  const routes: RegisteredRoute[] = [];
  app.addHook('onRoute', ({ method, url, config: routeConfig }) => {
    for (const one of Array.isArray(method) ? method : [method]) {
      routes.push({ method: one, url, isPublic: routeConfig?.public === true });
    }
  });
  registerRequestLog(app);
  registerMetrics(app, core, (path) => {
    if (isSyncanoPath(path)) return 'syncano';
    if (isAirbytePath(path)) return 'airbyte';
    return isKeboolaPath(path) ? 'keboola' : 'http';
  });
  registerHealth(app, health, config.version);
  registerWelcome(app, config.version);
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'Not found', status: 'error' }));

  const keboola = registerKeboola(app, {
    core,
    config: { ...config, scheme },
    baseUrl: (request) => connectionUrl({ scheme, host: request.headers.host, suffixes: config.hostSuffixes }),
    serviceUrl: (request, id) => {
      const service = findService(id);
      if (!service) throw new Error(`No service has the id ${id}`);
      return urlOfService(service, id, { scheme, host: request.headers.host, suffixes: config.hostSuffixes });
    },
  });
  const syncano = registerSyncano(app, { core, config: { version: config.version, scheme } });
  const airbyte = registerAirbyte(app, { core, version: config.version, scheme, health });
  registerDocs(app, [
    { name: 'keboola', title: 'Keboola', openapi: () => keboola.openapi() },
    { name: 'airbyte', title: 'Airbyte', openapi: () => airbyte.openapi() },
    { name: 'syncano', title: 'Syncano', openapi: () => syncano.openapi() },
  ]);
  await app.ready();

  return {
    app,
    routes,
    async listen() {
      await app.listen({ host: config.host, port: config.port });
      return urlOf(app, scheme, config.host);
    },
    async close(graceMs) {
      const cutOff = setTimeout(() => app.server.closeAllConnections(), graceMs);
      await app.close();
      clearTimeout(cutOff);
    },
  };
}

function registerHealth(app: FastifyInstance, health: () => HealthReport, version: string): void {
  app.get('/health', { config: { public: true } }, async (_request, reply) => {
    const report = health();
    if (report.ready) return { status: 'ok', version };
    reply.code(503);
    return { status: 'unavailable', reason: report.reason, version };
  });
}

function urlOf(app: FastifyInstance, scheme: string, host: string): string {
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('The server does not listen on a port');
  // A wildcard address is no place to connect to.
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `${scheme}://${name}:${address.port}`;
}
