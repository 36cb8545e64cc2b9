import type { AppError } from '../../core/errors.ts';

/**
 * Keboola's services answer errors in seven shapes that must not be unified: clients read different members, and the
 * same member has different types.
 */
export type Family = 'storage' | 'syrup' | 'symfony' | 'importer' | 'go' | 'query' | 'gateway';

type Answer = { status: number; code: string; error: AppError; exceptionId: string; runId: string | undefined };

const SHAPES: Record<Family, (answer: Answer) => Record<string, unknown>> = {
  storage: ({ code, error, exceptionId }) => ({
    ...error.details,
    error: errorText(error),
    ...(code === '' ? {} : { code }),
    exceptionId,
    status: 'error',
  }),
  // Texts of failures are for our log only, as the original does it. 501 and 503 are answers to the user all the same.
  syrup: ({ status, error, exceptionId, runId }) => {
    const isFailure = status >= 500 && ![501, 503].includes(status);
    return {
      status: 'error',
      error: isFailure || status === 503 ? 'Application error' : 'User error',
      code: status,
      message: isFailure ? 'Application error. Contact the operator with the exception id.' : errorText(error),
      // Where the provisioning client looks for the text of a 503.
      ...(status === 503 && { reason: errorText(error) }),
      exceptionId,
      runId: Number(runId?.split('.').at(-1) ?? 0) || 0,
    };
  },
  // `message` doubles `error`: the OAuth, editor and sandboxes clients read only that one.
  symfony: ({ status, error, exceptionId }) => ({
    error: errorText(error),
    message: errorText(error),
    code: status,
    exceptionId,
    status: 'error',
    context: error.details ?? {},
  }),
  importer: ({ status, error, exceptionId }) => ({
    error: errorText(error),
    message: errorText(error),
    code: status,
    exceptionId,
    status: 'error',
  }),
  go: ({ status, code, error }) => ({ statusCode: status, error: code || 'error', message: errorText(error) }),
  query: ({ status, error, exceptionId }) => ({
    status: 'error',
    code: String(status),
    error: status,
    exception: errorText(error),
    exceptionId,
  }),
  gateway: ({ status, code, error, exceptionId }) => ({
    errorMessage: errorText(error),
    errorType: code || 'error',
    code: status,
    requestId: exceptionId,
  }),
};

/** The body of an error in one family's shape. */
export function errorBody(family: Family, answer: Answer): Record<string, unknown> {
  return SHAPES[family](answer);
}

/** Clients match this very text to tell a missing call from a failure; the rest of the message is for people. */
function errorText(error: AppError): string {
  return error.code === 'request.not-implemented' ? 'Not implemented' : error.message;
}
