import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { AppError, type ErrorKind, toAppError } from '../../core/errors.ts';
import { uuidv4 } from '../../lib/ids.ts';

const PREFIX = 'https://reference.airbyte.com/reference/errors';

type Problem = { status: number; title: string; type: string };

const problem = (status: number, title: string, type = `${PREFIX}#${title}`): Problem => ({ status, title, type });

const BY_KIND: Record<ErrorKind, Problem> = {
  invalid: problem(400, 'bad-request'),
  unauthenticated: problem(401, 'invalid-api-key'),
  forbidden: problem(403, 'forbidden'),
  'not-found': problem(404, 'resource-not-found'),
  conflict: problem(409, 'state-conflict', `${PREFIX}#409-state-conflict`),
  limit: problem(429, 'too-many-requests'),
  'too-large': problem(413, 'request-too-large'),
  unsupported: problem(501, 'API not implemented in Airbyte OSS', 'error:implementation/not-implemented-in-oss'),
  unavailable: problem(503, 'service-unavailable', PREFIX),
  internal: problem(500, 'unexpected-problem', PREFIX),
};

const unprocessable = problem(422, 'unprocessable-entity');

/** Where the kind alone does not decide. */
const BY_CODE: Record<string, Problem> = {
  'request.malformed': unprocessable,
  'request.unprocessable': unprocessable,
  'connector.invalid-configuration': unprocessable,
  'connector.failed': unprocessable,
  'component.not-installed': unprocessable,
  'connector.too-slow': problem(408, 'Request timeout exceeded', 'error:request-timeout-exceeded'),
  'connector.definition-unknown': problem(400, 'value-not-found', PREFIX),
  'sync.already-running': problem(409, 'try-again-later'),
};

/** Status and problem body of anything thrown. Errors of ours are logged under the id that the client gets. */
export function describeError(thrown: unknown, request: FastifyRequest): { status: number; body: object } {
  const error = fromThrown(thrown);
  const { status, title, type } = BY_CODE[error.code] ?? BY_KIND[error.kind];
  const errorId = uuidv4();
  if (status >= 500 && status !== 501) {
    request.log.error({ errorId, err: error.cause ?? error, path: request.raw.url?.split('?')[0] }, error.message);
  }
  const detail = error.kind === 'internal' ? 'An unexpected problem has occurred.' : error.message;
  const data = { message: detail, ...(error.kind === 'internal' ? {} : error.details) };
  return { status, body: { status, type, title, detail, documentationUrl: null, data, errorId } };
}

export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, body } = describeError(thrown, request);
  return reply.code(status).type('application/json').send(body);
}

/** Answers what Fastify refuses before it looks for a route. No hook runs for these. */
export function answerFrameworkError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  const { status, body } = describeError(thrown, request);
  const text = JSON.stringify(body);
  reply.raw.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  reply.raw.end(text);
}

export const airbyteErrors = {
  malformed: (message: string, cause?: unknown) => new AppError('invalid', 'request.malformed', message, { cause }),
  invalid: (message: string) => new AppError('invalid', 'request.invalid', message),
  unprocessable: (message: string) => new AppError('invalid', 'request.unprocessable', message),
  notFound: (resourceType: string, resourceId: string) =>
    new AppError('not-found', 'resource.not-found', `There is no ${resourceType} with the id ${resourceId}.`, {
      details: { resourceType, resourceId },
    }),
};

function fromThrown(thrown: unknown): AppError {
  const { code, name, statusCode, validation, message } = (thrown ?? {}) as Partial<FastifyError>;
  if (thrown instanceof AppError) return thrown;
  if (validation) return new AppError('invalid', 'request.invalid', message ?? 'The request is not valid.');
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new AppError('too-large', 'request.too-large', 'The request body is too large.');
  if (code === 'FST_ERR_BAD_URL') return airbyteErrors.invalid('The URL is malformed.');
  if (typeof code === 'string' && code.startsWith('FST_ERR_') && (statusCode ?? 500) < 500)
    return airbyteErrors.malformed('The request is malformed.', thrown);
  // The client has gone while it waited: nobody reads this.
  if (name === 'AbortError') return airbyteErrors.malformed('The client has ended the request.', thrown);
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE')
    return airbyteErrors.malformed('The request was not received completely.', thrown);
  return toAppError(thrown);
}
