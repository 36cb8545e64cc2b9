import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Busboy } from '@fastify/busboy';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { errors } from '../../core/errors.ts';
import { syncanoErrors } from './errors.ts';

const FIELD_LIMITS = { fieldSize: 1024 * 1024, fields: 1000, headerPairs: 200, fieldNameSize: 200 };

/** JSON (also as text/plain, which spares browsers a preflight), forms and multipart, all into one object. */
export function registerBodyParsers(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    ['application/json', 'text/plain'],
    { parseAs: 'string' },
    async (_request: FastifyRequest, body: string | Buffer) => parseJson(String(body)),
  );
  scope.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_request: FastifyRequest, body: string | Buffer) => toObject(new URLSearchParams(String(body))),
  );
  scope.addContentTypeParser(/^multipart\/form-data/i, async (request: FastifyRequest, payload: Readable) =>
    parseMultipart(request, payload),
  );
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    if (body.length === 0) return {};
    throw syncanoErrors.mediaType(request.headers['content-type'] ?? '');
  });
  scope.addHook('preValidation', async (request) => {
    request.body ??= {};
  });
}

function parseJson(text: string): object {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw syncanoErrors.malformed((cause as Error).message, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw syncanoErrors.record('Invalid data. Expected a dictionary.');
  return value;
}

async function parseMultipart(request: FastifyRequest, payload: Readable): Promise<object> {
  const pairs: [string, string][] = [];
  let hasFile = false;
  try {
    const contentType = request.headers['content-type'] ?? '';
    const parser = new Busboy({ headers: { ...request.headers, 'content-type': contentType }, limits: FIELD_LIMITS });
    parser.on('field', (name, value) => pairs.push([name, value]));
    parser.on('file', (_name, stream) => {
      hasFile = true;
      stream.resume();
    });
    await pipeline(payload, parser);
  } catch (cause) {
    // Some clients send the type without a single part.
    if (pairs.length > 0 || hasFile || request.headers['content-length'] !== '0')
      throw syncanoErrors.malformed('Multipart form parse error', cause);
  }
  if (hasFile) throw errors.notImplemented('file fields');
  return toObject(pairs);
}

/** The last value of a name counts. No prototype: names come from the client. */
function toObject(pairs: Iterable<[string, string]>): object {
  const object = Object.create(null) as Record<string, string>;
  for (const [name, value] of pairs) object[name] = value;
  return object;
}

/** A member that is JSON in itself; forms carry it as text. */
export function jsonMember(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
