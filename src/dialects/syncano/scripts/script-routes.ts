import type { FastifyInstance, FastifyRequest } from 'fastify';
import { canConfigureComponent } from '../../../core/identity/permissions.ts';
import { SCRIPT_COMPONENT, SCRIPT_RUNTIMES, type Script } from '../../../core/scripts/script-model.ts';
import { ownCaller } from '../../../core/scripts/scripts.ts';
import { pathId, type SyncanoDeps } from '../deps.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { describe, describeDetail, describeList, RESOURCES } from '../field-metadata.ts';
import { scriptPath, scriptsPath } from '../links.ts';
import { numericPage, pageText, parsePage } from '../paging.ts';
import { syncanoTime } from '../times.ts';
import { readNewScript, readPayload, readScript } from './script-body.ts';
import { registerTraceRoutes } from './trace-routes.ts';
import { traceShape } from './trace-shape.ts';

/** Of a source, in lists. */
const MAX_LISTED_SOURCE = 64 * 1024;

export function registerScriptRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { scripts } = deps.core;
  const list = '/instances/:instance/snippets/scripts';
  const detail = `${list}/:id`;
  const mayChange = ({ actor }: FastifyRequest) => canConfigureComponent(actor, SCRIPT_COMPONENT);
  const instanceOf = ({ actor }: FastifyRequest) => deps.instanceName(actor);

  app.get(list, async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const [instance, found] = await Promise.all([instanceOf(request), scripts.list(request.actor, numericPage(page))]);
    const rows = found.map((one) => JSON.stringify(chosen(scriptShape(instance, withShortSource(one)), choice)));
    reply.type('application/json');
    return pageText(scriptsPath(instance), page, rows, (at) => ({ pk: String(found[at]?.id) }));
  });

  app.post(list, async (request, reply) => {
    const created = await scripts.create(request.actor, readNewScript(request.body as object));
    reply.code(201);
    return scriptShape(await instanceOf(request), created);
  });

  app.options(list, async (request) => describeList(RESOURCES.script, mayChange(request)));

  app.get(`${list}/runtimes`, async () =>
    Object.fromEntries(
      SCRIPT_RUNTIMES.map(({ name, language, isDeprecated, isInstalled }) => [
        name,
        {
          name,
          library: language,
          version: isInstalled ? process.versions.node : null,
          deprecated: isDeprecated,
          installed: isInstalled,
        },
      ]),
    ),
  );
  app.options(`${list}/runtimes`, async () => describe('Runtime List'));

  app.get(detail, async (request) =>
    chosen(
      scriptShape(await instanceOf(request), await scripts.get(request.actor, pathId(request, 'id'))),
      parseFieldChoice(request),
    ),
  );

  app.route({
    method: ['PUT', 'PATCH'],
    url: detail,
    handler: async (request) => {
      const patch = readScript(request.body as object, request.method === 'PUT');
      const changed = await scripts.update(request.actor, pathId(request, 'id'), patch);
      return scriptShape(await instanceOf(request), changed);
    },
  });

  app.delete(detail, async (request, reply) => {
    await scripts.delete(request.actor, pathId(request, 'id'));
    reply.code(204);
  });

  app.options(detail, async (request) => {
    await scripts.get(request.actor, pathId(request, 'id'));
    return describeDetail(RESOURCES.script, mayChange(request));
  });

  app.post(`${detail}/run`, async (request) => {
    const id = pathId(request, 'id');
    const job = await scripts.run(request.actor, id, readPayload(request.body as object));
    return traceShape(job, `${scriptPath(await instanceOf(request), id)}traces/`);
  });

  app.options(`${detail}/run`, async (request) => {
    await scripts.get(request.actor, pathId(request, 'id'));
    return describe('Script Run');
  });

  registerTraceRoutes(app, deps, {
    url: detail,
    callerOf: async (request) => ownCaller((await scripts.get(request.actor, pathId(request, 'id'))).id),
    pathOf: async (request) => scriptPath(await instanceOf(request), pathId(request, 'id')),
    resource: RESOURCES.trace,
  });
}

function withShortSource(script: Script): Script {
  const { source } = script;
  return source.length <= MAX_LISTED_SOURCE
    ? script
    : { ...script, source: `${source.slice(0, MAX_LISTED_SOURCE)}\n(...truncated...)` };
}

export function scriptShape(instance: string, script: Script) {
  const self = scriptPath(instance, script.id);
  return {
    id: script.id,
    runtime_name: script.runtime,
    source: script.source,
    created_at: syncanoTime(script.createdAt),
    updated_at: syncanoTime(script.updatedAt),
    config: script.config,
    label: script.label,
    description: script.description,
    links: { self, runtimes: `${scriptsPath(instance)}runtimes/`, run: `${self}run/`, traces: `${self}traces/` },
  };
}
