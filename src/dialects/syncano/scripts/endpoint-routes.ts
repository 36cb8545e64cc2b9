import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { canConfigureComponent } from '../../../core/identity/permissions.ts';
import type { Job } from '../../../core/jobs/job-model.ts';
import { type EndpointCall, endpointCaller } from '../../../core/scripts/script-endpoints.ts';
import {
  ENDPOINT_COMPONENT,
  SCRIPT_LIMITS,
  type ScriptEndpoint,
  type ScriptResponse,
  type ScriptResult,
} from '../../../core/scripts/script-model.ts';
import { pathText, type SyncanoDeps } from '../deps.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { describe, describeDetail, describeList, RESOURCES } from '../field-metadata.ts';
import { endpointsPath, instancePath, scriptPath } from '../links.ts';
import { namedPage, pageText, parsePage } from '../paging.ts';
import { readEndpointPatch, readNewEndpoint } from './endpoint-body.ts';
import { endpointArgs, endpointRequest } from './endpoint-call.ts';
import { registerTraceRoutes } from './trace-routes.ts';
import { statusOf, traceShape } from './trace-shape.ts';

/** A call waits for its script, and before that for a place in the queue. */
const WAIT_MS = (SCRIPT_LIMITS.timeoutSeconds + 10) * 1000;
/** What HTTP itself decides, and what would let a script speak for the server. */
const OWN_HEADERS = new Set([
  'connection',
  'content-length',
  'content-type',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

export function registerEndpointRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { scriptEndpoints, scripts } = deps.core;
  const list = '/instances/:instance/endpoints/scripts';
  const detail = `${list}/:name`;
  const open = `${list}/p/:link/:name`;
  const mayChange = ({ actor }: FastifyRequest) => canConfigureComponent(actor, ENDPOINT_COMPONENT);
  const instanceOf = ({ actor }: FastifyRequest) => deps.instanceName(actor);
  const nameOf = (request: FastifyRequest) => pathText(request, 'name');

  app.get('/instances/:instance/snippets', async (request) => {
    const self = `${instancePath(await instanceOf(request))}snippets/`;
    return { links: { scripts: `${self}scripts/`, templates: `${self}templates/`, config: `${self}config/` } };
  });
  app.get('/instances/:instance/endpoints', async (request) => {
    const self = `${instancePath(await instanceOf(request))}endpoints/`;
    return { links: { scripts: `${self}scripts/`, data: `${self}data/`, sockets: `${self}sockets/` } };
  });
  for (const [url, title] of [
    ['snippets', 'Snippets'],
    ['endpoints', 'Endpoints'],
  ])
    app.options(`/instances/:instance/${url}`, async () => describe(title ?? ''));

  app.get(list, async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const instance = await instanceOf(request);
    const found = await scriptEndpoints.list(request.actor, namedPage(page));
    const rows = found.map((one) => JSON.stringify(chosen(endpointShape(instance, one), choice)));
    reply.type('application/json');
    return pageText(endpointsPath(instance), page, rows, (at) => ({ pk: found[at]?.name ?? '' }));
  });

  app.post(list, async (request, reply) => {
    const created = await scriptEndpoints.create(request.actor, readNewEndpoint(request.body as object));
    reply.code(201);
    return endpointShape(await instanceOf(request), created);
  });

  app.options(list, async (request) => describeList(RESOURCES.scriptEndpoint, mayChange(request)));

  app.get(detail, async (request) =>
    chosen(
      endpointShape(await instanceOf(request), await scriptEndpoints.get(request.actor, nameOf(request))),
      parseFieldChoice(request),
    ),
  );

  app.route({
    method: ['PUT', 'PATCH'],
    url: detail,
    handler: async (request) => {
      const patch = readEndpointPatch(request.body as object, request.method === 'PUT');
      const changed = await scriptEndpoints.update(request.actor, nameOf(request), patch);
      return endpointShape(await instanceOf(request), changed);
    },
  });

  app.delete(detail, async (request, reply) => {
    await scriptEndpoints.delete(request.actor, nameOf(request));
    reply.code(204);
  });

  app.options(detail, async (request) => {
    await scriptEndpoints.get(request.actor, nameOf(request));
    return describeDetail(RESOURCES.scriptEndpoint, mayChange(request));
  });

  app.route({
    method: ['GET', 'POST'],
    url: `${detail}/run`,
    handler: async (request, reply) => {
      const job = await scriptEndpoints.run(request.actor, nameOf(request), callOf(request));
      return answer(reply, job, `${endpointsPath(await instanceOf(request))}${nameOf(request)}/`);
    },
  });
  app.options(`${detail}/run`, async () => describe('Script Endpoint Run'));

  app.post(`${detail}/reset_link`, async (request) =>
    endpointShape(await instanceOf(request), await scriptEndpoints.resetLink(request.actor, nameOf(request))),
  );
  app.options(`${detail}/reset_link`, async () => describe('Script Endpoint Reset Link'));

  app.route({
    method: ['GET', 'POST'],
    url: open,
    config: { public: true },
    handler: async (request, reply) => {
      const project = pathText(request, 'instance').toLowerCase();
      const place = { project, name: nameOf(request), link: pathText(request, 'link') };
      const job = await scriptEndpoints.runPublic(place, callOf(request));
      return answer(reply, job, `${endpointsPath(project)}${place.name}/`);
    },
  });

  registerTraceRoutes(app, deps, {
    url: detail,
    resource: RESOURCES.scriptEndpointTrace,
    callerOf: async (request) => endpointCaller((await scriptEndpoints.get(request.actor, nameOf(request))).name),
    pathOf: async (request) => `${endpointsPath(await instanceOf(request))}${nameOf(request)}/`,
  });

  /** What the script has answered, or else how its run went. */
  async function answer(reply: FastifyReply, { id }: Job, path: string): Promise<unknown> {
    const job = await scripts.awaitRun(id, WAIT_MS);
    if (!job) return reply.code(408).send({ detail: 'Request timeout.' });
    const { response } = (job.result ?? {}) as Partial<ScriptResult>;
    if (response) return sendResponse(reply, response);
    reply.code({ success: 200, timeout: 408 }[statusOf(job)] ?? 500);
    return traceShape(job, `${path}traces/`);
  }
}

function callOf(request: FastifyRequest): EndpointCall {
  return {
    args: endpointArgs(request),
    request: endpointRequest(request),
    origin: { address: request.ip, userAgent: request.headers['user-agent'] },
  };
}

function sendResponse(reply: FastifyReply, { status, contentType, headers, content, encoding }: ScriptResponse) {
  for (const [name, value] of Object.entries(headers)) {
    if (/^[\w-]{1,100}$/.test(name) && isHeaderText(value) && !OWN_HEADERS.has(name.toLowerCase()))
      reply.header(name, value);
  }
  reply.code(status).type(isHeaderText(contentType) ? contentType : 'text/plain');
  return reply.send(Buffer.from(content, encoding ?? 'utf8'));
}

const isHeaderText = (text: string) => /^[\x20-\x7e]{1,4096}$/.test(text);

function endpointShape(instance: string, { name, description, scriptId, publicLink, isPublic }: ScriptEndpoint) {
  const self = `${endpointsPath(instance)}${name}/`;
  return {
    name,
    description,
    script: scriptId,
    public_link: publicLink,
    public: isPublic,
    links: {
      self,
      run: `${self}run/`,
      'reset-link': `${self}reset_link/`,
      script: scriptPath(instance, scriptId),
      ...(isPublic && { 'public-link': `${endpointsPath(instance)}p/${publicLink}/${name}/` }),
      traces: `${self}traces/`,
    },
  };
}
