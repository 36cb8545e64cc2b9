import { AppError } from '../errors.ts';

export const workspaceErrors = {
  /** Also for somebody else's: ids tell nothing. */
  notFound: () => new AppError('not-found', 'workspace.not-found', 'Credentials not found.'),
  backendNotFound: (backend: string) =>
    new AppError('not-found', 'workspace.backend-not-found', `'${backend}' not found.`),
  notExtendable: () =>
    new AppError('invalid', 'workspace.not-extendable', 'Cannot extend workspace credentials: they do not expire.'),
  /** Somebody drops it again and again while it is made. */
  contended: () =>
    new AppError('conflict', 'workspace.contended', 'The credentials are being dropped. Try again.', {
      retryable: true,
    }),
};
