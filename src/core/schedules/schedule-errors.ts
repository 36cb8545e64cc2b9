import { AppError } from '../errors.ts';

export const scheduleErrors = {
  notFound: (id: number) => new AppError('not-found', 'schedule.not-found', `Schedule "${id}" was not found.`),
  invalidTime: (message: string, cause?: unknown) =>
    new AppError('invalid', 'schedule.invalid-time', message, { cause }),
  tooMany: (limit: number) =>
    new AppError('limit', 'schedule.too-many', `Schedule count exceeded (${limit}).`, { details: { limit } }),
  /** It is a part of a configuration and changes with that. */
  defined: (id: number) =>
    new AppError(
      'conflict',
      'schedule.defined-elsewhere',
      `Schedule "${id}" belongs to a configuration and is changed there.`,
      { retryable: false },
    ),
};
