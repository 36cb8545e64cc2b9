import { AppError } from '../../core/errors.ts';
import { type Backoff, retry } from '../../lib/retry.ts';

const DOWN = 'workspace.backend-down';

/** The server behind does not answer, or not for the moment. */
export function backendDown(cause: unknown): AppError {
  return new AppError('unavailable', DOWN, 'The workspace database is not available. Try again in a moment.', {
    cause,
  });
}

export function sessionsStay(): AppError {
  return new AppError('unavailable', 'workspace.sessions-stay', 'Sessions of the workspace do not end. Try again.');
}

/** Acts of a provisioner may be repeated, so what a dying server has interrupted is done once more. */
export function patiently<T>(act: () => Promise<T>, backoff: Backoff): Promise<T> {
  return retry(act, (error) => error instanceof AppError && error.code === DOWN, backoff);
}
