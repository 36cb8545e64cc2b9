import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError, type ErrorKind, toAppError } from '../../core/errors.ts';

const STATUS_BY_KIND: Record<ErrorKind, number> = {
  invalid: 400,
  // Clients take 403 for "who are you"; only a failed login is 401.
  unauthenticated: 403,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  limit: 400,
  'too-large': 413,
  unsupported: 501,
  unavailable: 503,
  internal: 500,
};

/** Codes whose status is not their kind's. */
const STATUS_BY_CODE: Record<string, number> = {
  'end-user.unknown': 401,
  'end-user.wrong-password': 401,
  'person.unknown': 401,
  'person.wrong-password': 401,
  'object.too-slow': 408,
  'request.media-type': 415,
  'request.method': 405,
};

const MESSAGES: Record<string, string> = {
  'token.missing': 'Authentication credentials were not provided.',
  'token.invalid': 'No such API Key.',
  'schedule.not-found': 'Not found.',
  'token.not-found': 'Not found.',
  'access.denied': 'You do not have permission to perform this action.',
};

export const syncanoErrors = {
  notFound: () => new AppError('not-found', 'resource.not-found', 'Not found.'),
  parentNotFound: (name: string) => new AppError('not-found', 'resource.not-found', `${name} was not found.`),
  method: (method: string) => new AppError('unsupported', 'request.method', `Method "${method}" not allowed.`),
  malformed: (problem: string, cause?: unknown) =>
    new AppError('invalid', 'request.malformed', `JSON parse error - ${problem}`, { cause }),
  mediaType: (type: string) =>
    new AppError('invalid', 'request.media-type', `Unsupported media type "${type}" in request.`),
  required: (name: string) => fieldProblem(name, 'This field is required.'),
  field: (name: string, problem: string) => fieldProblem(name, problem),
  record: (problem: string) => fieldProblem('record', problem),
};

function fieldProblem(name: string, problem: string): AppError {
  return new AppError('invalid', 'request.invalid', problem, { details: { fields: { [name]: [problem] } } });
}

/** `notFound` may have a better answer than that there is no such path. */
export function registerErrors(
  scope: FastifyInstance,
  notFound: (request: FastifyRequest) => AppError | undefined,
): void {
  scope.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  scope.setNotFoundHandler((request, reply) =>
    sendError(notFound(request) ?? syncanoErrors.notFound(), request, reply),
  );
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, body } = describeError(thrown, request);
  return reply.code(status).type('application/json').send(JSON.stringify(body));
}

/** Status and body of anything thrown. The causes of internal errors are for the log only. */
export function describeError(thrown: unknown, request: FastifyRequest): { status: number; body: object } {
  const error = fromThrown(thrown);
  const status = STATUS_BY_CODE[error.code] ?? STATUS_BY_KIND[error.kind];
  if (status >= 500 && status !== 501) {
    request.log.error({ err: error.cause ?? error, path: request.raw.url?.split('?')[0] }, error.message);
  }
  return { status, body: bodyOf(error) };
}

/** Problems of members as lists under their names, of a parameter as a text under its name, else `detail`. */
function bodyOf(error: AppError): object {
  const { fields, parameter } = (error.details ?? {}) as { fields?: Record<string, string[]>; parameter?: string };
  if (fields) {
    const { record, ...rest } = fields;
    return record ? { ...rest, non_field_errors: record } : rest;
  }
  if (parameter !== undefined) return { [parameter]: error.message };
  return { detail: MESSAGES[error.code] ?? error.message };
}

function fromThrown(thrown: unknown): AppError {
  const { code, statusCode } = (thrown ?? {}) as Partial<FastifyError>;
  if (thrown instanceof AppError || typeof code !== 'string') return toAppError(thrown);
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new AppError('too-large', 'request.too-large', 'Request size limit exceeded.');
  if (code.startsWith('FST_ERR_') && statusCode !== undefined && statusCode < 500)
    return new AppError('invalid', 'request.malformed', 'The request is malformed.', { cause: thrown });
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE')
    return new AppError('invalid', 'request.malformed', 'The request was not received completely.', { cause: thrown });
  return toAppError(thrown);
}
