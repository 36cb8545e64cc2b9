import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError, errors } from '../../../core/errors.ts';
import type { JobMode } from '../../../core/jobs/job-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { jsonParameter } from '../storage/json-parameters.ts';
import { parseRunBody } from './run-request.ts';

type RunParams = { component: string; tag?: string; branchId?: string };

/**
 * Docker Runner: runs a component by its id in the path. Served with and without `/docker` before it, since the docs
 * show both.
 */
export function registerRunRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { components, runs, identity } = deps.core;

  for (const prefix of ['', '/docker']) {
    app.post(`${prefix}/run`, { schema: { summary: 'Always refused', hide: prefix !== '' } }, async () => {
      throw new AppError('invalid', 'run.invalid', 'Component name is missing. Use /{component}/run.');
    });
    for (const branch of ['', '/branch/:branchId']) {
      const base = `${prefix}${branch}/:component`;
      const schema = (summary: string, names: string[]) => ({
        schema: {
          summary,
          hide: prefix !== '' || branch !== '',
          params: Type.Object(
            Object.fromEntries([...(branch ? ['branchId'] : []), 'component', ...names].map((n) => [n, Type.String()])),
          ),
        },
      });
      app.post(`${base}/run`, schema('Run a component', []), async (request, reply) => {
        reply.code(202);
        return run(request, 'run');
      });
      app.post(`${base}/run/tag/:tag`, schema('Run a version of a component', ['tag']), async (request, reply) => {
        reply.code(202);
        return run(request, 'run');
      });
      app.post(`${base}/debug`, schema('Run a component without storing its output', []), async (request, reply) => {
        reply.code(202);
        return run(request, 'debug');
      });
    }
  }

  async function run(request: FastifyRequest, mode: JobMode): Promise<{ id: string; url: string; status: string }> {
    const { component, tag, branchId } = request.params as RunParams;
    const definition = components.find(component);
    // Ids that name a service: `/transformation/run` is a call of that service, not a run of a component.
    if (definition?.servicePath) throw errors.notImplemented(`the service ${component}`);
    if (!definition) throw new AppError('invalid', 'component.not-found', `Component '${component}' not found.`);
    const body = parseRunBody(request.body as Record<string, unknown>);
    if (request.actor.token.person?.role === 'readOnly') {
      throw new AppError('forbidden', 'run.read-only-role', 'As a readOnly user you cannot run a job.');
    }
    const actor =
      branchId === undefined ? request.actor : await identity.selectBranch(request.actor, toBranch(branchId));
    const job = await runs.start(actor, {
      componentId: component,
      configurationId: body.config,
      rowIds: body.row === undefined ? [] : [body.row],
      configData: body.hasConfigData ? jsonParameter(request, 'configData') : undefined,
      mode,
      tag,
      variableValuesId: body.variableValuesId,
      variableValuesData: body.variableValuesData,
      options: body.format === undefined ? {} : { format: body.format },
    });
    const id = String(job.id);
    return { id, url: `${deps.serviceUrl(request, 'syrup')}/queue/job/${id}`, status: 'waiting' };
  }
}

function toBranch(branchId: string): number | 'default' {
  if (branchId === 'default') return 'default';
  if (/^\d{1,15}$/.test(branchId)) return Number(branchId);
  throw new AppError('invalid', 'branch.not-found', `Branch "${branchId}" not found`);
}
