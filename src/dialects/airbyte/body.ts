import type { FastifyInstance, FastifyRequest } from 'fastify';
import { airbyteErrors } from './errors.ts';

/** JSON, or a form where a client sends one; no body at all means no members. Numbers and texts come as they are. */
export function registerBodyParsers(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'string' }, async (request: FastifyRequest, body: string) => {
    if (body.trim() === '') return {};
    const isForm = /^\s*application\/x-www-form-urlencoded/i.test(request.headers['content-type'] ?? '');
    // curl sends JSON as a form unless told otherwise.
    if (isForm && !body.trimStart().startsWith('{')) return Object.fromEntries(new URLSearchParams(body));
    return parseJson(body);
  });
  scope.addHook('preValidation', async (request) => {
    if (request.body === undefined || request.body === null) request.body = {};
  });
}

function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw airbyteErrors.malformed('The request body is not valid JSON.', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw airbyteErrors.malformed('The request body must be a JSON object.');
  return withoutNulls(value);
}

/** Clients write null for what they leave out. What is in a connector's configuration is not ours to change. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, member]) => member !== null && key !== '__proto__')
      .map(([key, member]) => [key, key === 'configuration' ? member : withoutNulls(member)]),
  );
}
