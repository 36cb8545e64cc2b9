import type { FastifyRequest } from 'fastify';
import { jsonMembers } from '../../../lib/json-text.ts';

/**
 * A parameter that is JSON itself, as the text that the client wrote: configurations are compared as text, and parsing
 * would forget key order and the spelling of numbers. Clients send it as a value in a JSON body, as a JSON text inside
 * of one, or as a form field; undefined when it is absent or null.
 */
export function jsonParameter(request: FastifyRequest, name: string): string | undefined {
  const value = (request.body as Record<string, unknown> | undefined)?.[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  const members = request.jsonText === undefined ? undefined : jsonMembers(request.jsonText);
  return members?.get(name) ?? JSON.stringify(value);
}
