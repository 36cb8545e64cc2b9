import { randomBytes } from 'node:crypto';
import { toAppError } from '../errors.ts';
import type { JobError } from './job-model.ts';

/**
 * What a failed job shows. Errors of ours (`internal`, `unavailable`) are application errors; an internal one has its
 * text hidden, because nobody has written it for users: `exceptionId` leads to the log line that has it.
 */
export function toJobError(thrown: unknown): JobError {
  const { kind, code, message, details, retryable } = toAppError(thrown);
  const exceptionId = `exception-${randomBytes(16).toString('hex')}`;
  if (kind === 'internal')
    return { kind, code, message: 'Internal error', retryable, type: 'application', exceptionId };
  return {
    kind,
    code,
    message,
    ...(details === undefined ? {} : { details }),
    retryable,
    type: kind === 'unavailable' ? 'application' : 'user',
    exceptionId,
  };
}
