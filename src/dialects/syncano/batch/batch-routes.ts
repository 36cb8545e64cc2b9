import type { FastifyInstance, FastifyRequest } from 'fastify';
import { jsonMember } from '../body.ts';
import type { SyncanoDeps } from '../deps.ts';
import { syncanoErrors } from '../errors.ts';
import { describe } from '../field-metadata.ts';
import { instancePath } from '../links.ts';

const MAX_REQUESTS = 50;
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
/** What a batch inherits from the call that brings it. */
const INHERITED = ['x-api-key', 'x-user-key', 'authorization', 'user-agent', 'host'];

type Item = { method: (typeof METHODS)[number]; path: string; body: unknown };

/** Several calls in one, one after another; each stands for itself, so those before a failed one stay done. */
export function registerBatchRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const url = '/instances/:instance/batch';

  app.post(url, async (request) => {
    const prefix = instancePath(await deps.instanceName(request.actor));
    const items = readItems(request.body as { requests?: unknown }, prefix);
    const answers: object[] = [];
    for (const item of items) answers.push(await carryOut(app, request, item, prefix));
    return answers;
  });

  app.options(url, async () => describe('Batch'));
}

/**
 * A POST of type text/plain may say in `_method` which call it is: browsers send such ones without asking beforehand.
 * The call is carried out anew with what the body says.
 */
export function registerMethodInBody(app: FastifyInstance): void {
  app.addHook('preValidation', async (request, reply) => {
    const { _method: asked, ...body } = (request.body ?? {}) as Record<string, unknown>;
    if (asked === undefined || request.method !== 'POST' || !isPlainText(request)) return;
    const method = METHODS.find((known) => known === String(asked).toUpperCase());
    if (!method) throw syncanoErrors.method(String(asked));
    const answer = await app.inject({ method, url: request.url, ...sentOn(request, method, body) });
    const type = answer.headers['content-type'];
    reply.code(answer.statusCode);
    if (type !== undefined) reply.type(String(type));
    return reply.send(answer.body);
  });
}

function isPlainText({ headers }: FastifyRequest): boolean {
  return headers['content-type']?.startsWith('text/plain') === true;
}

/** The keys of a body go into headers: not every method has a body. */
function sentOn(request: FastifyRequest, method: string, body: Record<string, unknown>) {
  const { _api_key: key, _user_key: userKey, ...members } = body;
  const headers = {
    ...inheritedHeaders(request),
    ...(typeof key === 'string' && { 'x-api-key': key }),
    ...(typeof userKey === 'string' && { 'x-user-key': userKey }),
  };
  const hasBody = method !== 'GET' && method !== 'DELETE';
  return {
    remoteAddress: request.ip,
    headers: { ...headers, ...(hasBody && { 'content-type': 'application/json' }) },
    ...(hasBody && { payload: JSON.stringify(members) }),
  };
}

function inheritedHeaders({ headers }: FastifyRequest): Record<string, string> {
  return Object.fromEntries(
    INHERITED.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]])),
  );
}

async function carryOut(app: FastifyInstance, request: FastifyRequest, item: Item, prefix: string): Promise<object> {
  // Nor what may take as long as a script does.
  const below = item.path.slice(prefix.length);
  if (/^batch\b|^endpoints\/scripts\/([^/]+\/run\b|p\/)/.test(below))
    return { code: 405, content: { detail: 'Batching not allowed.' } };
  const headers = inheritedHeaders(request);
  const hasBody = item.method !== 'GET' && item.method !== 'DELETE';
  const answer = await app.inject({
    method: item.method,
    url: withKeys(item.path, request),
    remoteAddress: request.ip,
    headers: { ...headers, ...(hasBody && { 'content-type': 'application/json' }) },
    ...(hasBody && { payload: JSON.stringify(item.body ?? {}) }),
  });
  if (answer.body === '') return { code: answer.statusCode };
  const isJson = String(answer.headers['content-type']).startsWith('application/json');
  return { code: answer.statusCode, content: isJson ? JSON.parse(answer.body) : answer.body };
}

/** Keys may be in the query instead of the headers. */
function withKeys(path: string, request: FastifyRequest): string {
  const query = request.query as Record<string, string | undefined>;
  const keys = ['api_key', 'apikey', 'user_key', 'userkey'].flatMap((name) => {
    const value = query[name];
    return value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`];
  });
  return keys.length === 0 ? path : `${path}${path.includes('?') ? '&' : '?'}${keys.join('&')}`;
}

function readItems({ requests }: { requests?: unknown }, prefix: string): Item[] {
  const list = jsonMember(requests);
  if (list === undefined) throw syncanoErrors.required('requests');
  if (!Array.isArray(list)) throw syncanoErrors.field('requests', 'Expected a list of items.');
  if (list.length > MAX_REQUESTS)
    throw syncanoErrors.field('requests', `Max requests per batch exceeded (${MAX_REQUESTS}).`);
  return list.map((one: unknown) => {
    const { method, path, body } = (typeof one === 'object' && one !== null ? one : {}) as Record<string, unknown>;
    const verb = METHODS.find((known) => known === String(method).toUpperCase());
    if (!verb) throw syncanoErrors.field('requests', `"${String(method)}" is not a valid choice.`);
    if (typeof path !== 'string' || /[\s#]/.test(path))
      throw syncanoErrors.field('requests', 'Invalid path specified.');
    const [before = '', ...query] = path.split('?');
    const lower = before.toLowerCase().replace(/\/{2,}/g, '/');
    // Dots could lead out of the instance again, and so could what is written otherwise; names need neither.
    if (!lower.startsWith(prefix) || /(^|\/)\.\.?(\/|$)|[%\\]/.test(lower))
      throw syncanoErrors.field('requests', 'Invalid path specified.');
    return { method: verb, path: [lower, ...query].join('?'), body: jsonMember(body) };
  });
}
