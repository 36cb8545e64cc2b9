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
    // The database takes no text with NUL in it, and no name has one.
    if (request.url.includes('%00') || hasNul(request.body))
      throw airbyteErrors.invalid('The NUL character is not allowed.');
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
  return cleaned(value, 0, false);
}

/** Far beyond what any connector asks for, and far from where walking through a body would exhaust the stack. */
const MAX_DEPTH = 200;

/** Clients write null for what they leave out. What is in a connector's configuration is not ours to change. */
function cleaned(value: unknown, depth: number, keepsNulls: boolean): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) throw airbyteErrors.malformed('The request body is nested too deeply.');
  if (Array.isArray(value)) return value.map((item) => cleaned(item, depth + 1, keepsNulls));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, member]) => (keepsNulls || member !== null) && key !== '__proto__')
      .map(([key, member]) => [key, cleaned(member, depth + 1, keepsNulls || key === 'configuration')]),
  );
}

function hasNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0');
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, member]) => key.includes('\0') || hasNul(member));
}
