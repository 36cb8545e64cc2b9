import { AppError } from '../errors.ts';

/** Problems of input by the name of the member they are about; `record` for the whole. */
export type FieldProblems = Record<string, string[]>;

export const RECORD = 'record';

export const objectErrors = {
  classNotFound: () => new AppError('not-found', 'class.not-found', 'Class was not found.'),
  classLimit: (limit: number) => new AppError('limit', 'class.limit', `Class count exceeded (${limit}).`),
  notFound: () => new AppError('not-found', 'object.not-found', 'Not found.'),
  userNotFound: () => new AppError('not-found', 'end-user.not-found', 'Not found.'),
  groupNotFound: () => new AppError('not-found', 'end-user-group.not-found', 'Not found.'),
  groupMember: () => new AppError('invalid', 'end-user-group.has-member', 'User is already a part of that group.'),
  groupCount: (limit: number) =>
    new AppError('limit', 'end-user-group.limit', `User's group count exceeded (${limit}).`),
  /** Tells all problems at once, each at its member. */
  invalid: (fields: FieldProblems) =>
    new AppError(
      'invalid',
      'object.invalid',
      Object.entries(fields)
        .map(([name, problems]) => `${name}: ${problems.join(' ')}`)
        .join(' '),
      { details: { fields } },
    ),
  revision: (expected: number, actual: number) =>
    new AppError('invalid', 'object.revision', `Revision mismatch. Expected ${expected}, got ${actual}.`, {
      details: { parameter: 'expected_revision' },
    }),
  query: (problem: string) => new AppError('invalid', 'object.query', problem, { details: { parameter: 'query' } }),
  order: (problem = 'Cannot use specified order_by field.') => new AppError('invalid', 'object.order', problem),
  page: () => new AppError('invalid', 'object.page', 'Incorrect page parameter provided.'),
  noPermission: () => new AppError('forbidden', 'access.denied', 'You do not have permission to perform this action.'),
  /** What is wrong with a load as a whole or with one of its rows. */
  load: (problem: string) => new AppError('invalid', 'object.load', problem),
  readOnly: (tableId: string) =>
    new AppError(
      'forbidden',
      'class.read-only',
      `The objects of this class are the rows of table "${tableId}". They are changed there, not here.`,
    ),
  sourceMissing: (tableId: string) =>
    new AppError(
      'not-found',
      'class.source-missing',
      `Table "${tableId}", whose rows are the objects of this class, does not exist any more.`,
    ),
  tooSlow: () => new AppError('unavailable', 'object.too-slow', 'Requested query took too long. Timeout was reached.'),
  wrongUsername: () => new AppError('unauthenticated', 'end-user.unknown', 'Invalid username.'),
  wrongPassword: () => new AppError('unauthenticated', 'end-user.wrong-password', 'Invalid password.'),
};
