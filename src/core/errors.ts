/**
 * The catalogue of everything that can go wrong and be told to a user.
 *
 * Core and drivers throw an `AppError`, made only by the constructors below or by a feature's own catalogue file
 * built with `defineError`. Each dialect maps `kind` to a status and, where its clients rely on it, `code` to the
 * original's own code. `message` is safe to show; `cause` never leaves the log.
 */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'limit'
  | 'too-large'
  | 'unsupported'
  | 'unavailable'
  | 'internal';

export type ErrorDetails = Record<string, unknown>;

export class AppError extends Error {
  readonly kind: ErrorKind;
  /** Stable and public: `noun.problem`. */
  readonly code: string;
  /** Structured and safe to show. */
  readonly details: ErrorDetails | undefined;
  /** Whether the very same call may succeed later. */
  readonly retryable: boolean;

  constructor(
    kind: ErrorKind,
    code: string,
    message: string,
    options: { details?: ErrorDetails | undefined; retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.kind = kind;
    this.code = code;
    this.details = options.details;
    this.retryable = options.retryable ?? kind === 'unavailable';
  }

  /** Plain JSON for a process border (engine socket, job row). The cause stays behind. */
  toJSON(): SerializedError {
    const { kind, code, message, details, retryable } = this;
    return details === undefined ? { kind, code, message, retryable } : { kind, code, message, details, retryable };
  }

  static fromJSON(json: SerializedError): AppError {
    return new AppError(json.kind, json.code, json.message, { details: json.details, retryable: json.retryable });
  }
}

export type SerializedError = {
  kind: ErrorKind;
  code: string;
  message: string;
  details?: ErrorDetails;
  retryable: boolean;
};

/** Anything thrown, as an AppError: unknown things become `internal` with the original as cause. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  return new AppError('internal', 'internal', 'Internal error', { cause: thrown });
}

/** Constructors of general errors. Features keep theirs beside their operations, in `<noun>-errors.ts`. */
export const errors = {
  invalid: (message: string, details?: ErrorDetails) =>
    new AppError('invalid', 'request.invalid', message, { details }),
  unauthenticated: (message = 'Invalid access token') => new AppError('unauthenticated', 'token.invalid', message),
  tokenMissing: () => new AppError('unauthenticated', 'token.missing', 'Access token must be set'),
  forbidden: (message = "You don't have access to the resource.") =>
    new AppError('forbidden', 'access.denied', message),
  notFound: (message: string, code = 'resource.not-found') => new AppError('not-found', code, message),
  conflict: (message: string, code = 'resource.conflict') =>
    new AppError('conflict', code, message, { retryable: true }),
  notImplemented: (what: string) => new AppError('unsupported', 'request.not-implemented', `Not implemented: ${what}`),
  /** Of a call that is there otherwise. */
  optionNotImplemented: (what: string) =>
    new AppError('unsupported', 'request.option-not-implemented', `Not implemented: ${what}`),
  unavailable: (message: string, cause?: unknown) =>
    new AppError('unavailable', 'service.unavailable', message, { cause }),
  /** Told apart from other outages: whoever waits for the database to come back must not count it as a failure. */
  databaseUnavailable: (cause?: unknown) =>
    new AppError(
      'unavailable',
      'database.unavailable',
      'The metadata database is not available. Try again in a moment.',
      {
        cause,
      },
    ),
  /** Whatever checks its texts itself says which one; this is for those that nobody checked. */
  unstorableText: (cause?: unknown) =>
    new AppError('invalid', 'request.unstorable-text', 'A text has a character that cannot be stored, such as NUL.', {
      cause,
    }),
  internal: (message: string, cause?: unknown) => new AppError('internal', 'internal', message, { cause }),
};
