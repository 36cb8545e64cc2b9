import type { FastifyRequest } from 'fastify';
import type { Json } from '../../../lib/json.ts';
import type { Query } from '../deps.ts';

/** Keys of the caller are not the script's business. */
const PROTECTED = new Set(['api_key', 'apikey', '_api_key', 'user_key', 'userkey', '_user_key', 'cache_key']);
const PROTECTED_HEADERS =
  /^(x-api-key|x-user-key|x-storageapi-token|x-kbc-manageapitoken|authorization|cookie|x-forwarded.*|forwarded|x-real-ip)$/;

/** What the call says, flat, the body first; and once more by where it was said, as old scripts expect it. */
export function endpointArgs(request: FastifyRequest): Json {
  const query = withoutKeys(request.query as Query) as { [key: string]: Json };
  const body = withoutKeys(request.method === 'GET' ? {} : (request.body as object)) as { [key: string]: Json };
  return { ...query, ...body, GET: query, POST: body };
}

/** The call itself, under the names that CGI programs know. */
export function endpointRequest(request: FastifyRequest): Json {
  const headers = Object.entries(request.headers).flatMap(([name, value]) =>
    value === undefined || PROTECTED_HEADERS.test(name)
      ? []
      : [[`HTTP_${name.toUpperCase().replaceAll('-', '_')}`, String(value)]],
  );
  return {
    REQUEST_METHOD: request.method,
    PATH_INFO: request.url.split('?', 1)[0] ?? '',
    REMOTE_ADDR: request.ip,
    ...Object.fromEntries(headers),
  };
}

function withoutKeys(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !PROTECTED.has(name)));
}
