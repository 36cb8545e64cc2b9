import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { errors } from '../../core/errors.ts';
import { registerApplicationRoutes } from './application-routes.ts';
import { registerAuth } from './auth.ts';
import { registerBodyParsers } from './body.ts';
import { registerConnectionRoutes } from './connection-routes.ts';
import { registerConnectorRoutes } from './connector-routes.ts';
import { registerDefinitionRoutes } from './definition-routes.ts';
import type { AirbyteApp, AirbyteDeps } from './deps.ts';
import { documentedAnswers } from './documented-answers.ts';
import { airbyteErrors, sendError } from './errors.ts';

export { answerFrameworkError } from './errors.ts';

import { registerJobRoutes } from './job-routes.ts';
import { registerWorkspaceRoutes } from './workspace-routes.ts';

const ROUTES = [
  registerApplicationRoutes,
  registerWorkspaceRoutes,
  registerDefinitionRoutes,
  registerConnectorRoutes,
  registerConnectionRoutes,
  registerJobRoutes,
];

/** The long form is what self-managed installations have, the short one what the cloud has. */
export const AIRBYTE_PREFIXES = ['/api/public/v1', '/v1'] as const;

/** First words of paths that exist in the original and are not built here. */
const NOT_BUILT =
  /^\/(applications|organizations|users|permissions|groups|tags|regions|dataplanes|oauth|embedded|sources\/initiateOAuth|workspaces)(\/|$)/;

/** Mounts the public API under both of its prefixes; `/v1` is shared, and `http/` decides what arrives here. */
export function registerAirbyte(app: FastifyInstance, deps: AirbyteDeps): { openapi(): object } {
  let documented: FastifyInstance | undefined;
  app.register(async (airbyte) => {
    documented = airbyte;
    await airbyte.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Airbyte',
          version: deps.version,
          description: 'The public API of Airbyte. Every path also answers under /v1.',
        },
        components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      },
      transform: ({ schema, url, route }) => ({
        url,
        schema: {
          ...schema,
          hide: !url.startsWith(AIRBYTE_PREFIXES[0]) || route.method === 'HEAD',
          response: documentedAnswers(String(route.method), url),
          tags: [url.split('/')[4] ?? ''],
          security: route.config?.public ? [] : [{ bearer: [] }],
        },
      }),
    });
    for (const prefix of AIRBYTE_PREFIXES) {
      airbyte.register(
        async (scope) => {
          scope.setErrorHandler(sendError);
          scope.setNotFoundHandler((request, reply) => {
            const path = (request.url.split('?')[0] ?? '').slice(prefix.length);
            const error = NOT_BUILT.test(path) ? errors.notImplemented(path) : airbyteErrors.notFound('path', path);
            return sendError(error, request, reply);
          });
          registerAuth(scope, deps);
          registerBodyParsers(scope);
          for (const register of ROUTES) register(scope as AirbyteApp, deps);
        },
        { prefix },
      );
    }
  });
  return {
    openapi() {
      if (!documented) throw new Error('The routes are not registered yet');
      return documented.swagger();
    },
  };
}

/** Whether the dialect answers for the path. */
export function isAirbytePath(path: string): boolean {
  return AIRBYTE_PREFIXES.some((prefix) => path.startsWith(`${prefix}/`));
}
