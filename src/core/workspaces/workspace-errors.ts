import { AppError } from '../errors.ts';

export const workspaceErrors = {
  /** Also for somebody else's: ids tell nothing. */
  notFound: () => new AppError('not-found', 'workspace.not-found', 'Credentials not found.'),
  missing: (id: number) => new AppError('not-found', 'workspace.not-found', `Workspace "${id}" not found.`),
  backendNotFound: (backend: string) =>
    new AppError('not-found', 'workspace.backend-not-found', `'${backend}' not found.`),
  /** Its backend takes logins from outside and moves no rows for us. */
  tablesUnsupported: (backend: string) =>
    new AppError('invalid', 'workspace.backend-unsupported', `Workspaces on '${backend}' take no tables from here.`),
  sourceNotFound: (message: string) => new AppError('not-found', 'workspace.source-not-found', message),
  tableAccessDenied: (tableId: string) =>
    new AppError('forbidden', 'workspace.table-access-denied', `You cannot read the table "${tableId}".`),
  inputRequired: () =>
    new AppError('invalid', 'workspace.load-input-required', 'At least one table to load is required.'),
  duplicateDestination: (name: string) =>
    new AppError('invalid', 'workspace.duplicate-destination', `Table ${name} is loaded more than once.`),
  contradiction: (message: string) => new AppError('invalid', 'workspace.load-contradiction', message),
  typesOfUnknownColumns: (names: readonly string[]) =>
    new AppError(
      'invalid',
      'workspace.types-of-unknown-columns',
      `Types are given for columns that are not loaded: ${names.join(', ')}`,
    ),
  tableNotFound: (name: string, schema: string) =>
    new AppError('not-found', 'workspace.table-not-found', `Table "${name}" not found in schema "${schema}"`),
  columnsNotFound: (names: readonly string[], table: string) =>
    new AppError(
      'invalid',
      'workspace.column-not-found',
      `Columns are missing in the workspace table "${table}": ${names.join(', ')}`,
    ),
  /** Storage keeps such names for itself. */
  invalidColumns: (names: readonly string[]) =>
    new AppError('invalid', 'workspace.invalid-columns', `Columns must not begin with "_": ${names.join(', ')}`),
  notExtendable: () =>
    new AppError('invalid', 'workspace.not-extendable', 'Cannot extend workspace credentials: they do not expire.'),
  /** Somebody drops it again and again while it is made. */
  contended: () =>
    new AppError('conflict', 'workspace.contended', 'The credentials are being dropped. Try again.', {
      retryable: true,
    }),
};
