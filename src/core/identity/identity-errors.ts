import { AppError } from '../errors.ts';

export const identityErrors = {
  tokenNotFound: (id: number | string) =>
    new AppError('not-found', 'token.not-found', `Token with id "${id}" was not found.`),
  tokenGone: (id: number) =>
    new AppError(
      'invalid',
      'token.gone',
      `Token with id "${id}", in whose name this runs, was deleted, disabled or has expired.`,
    ),
  credentialNotFound: (kind: string) =>
    new AppError('not-found', 'token.not-found', `There is no credential of kind "${kind}".`),
  masterToken: (what: string) => new AppError('invalid', 'token.master', `Master token cannot be ${what}.`),
  usedByTrigger: (componentId: string, configurationId: string) =>
    new AppError(
      'invalid',
      'token.used-by-trigger',
      "Cannot delete token, because it's used for event trigger inside component " +
        `"${componentId}" with configuration id "${configurationId}"`,
    ),
  expirationTooShort: () =>
    new AppError('invalid', 'token.expiration-too-short', 'Minimal expiration must be greater or equal to 1 second(s)'),
  invalidPermissions: (bucketId: string, right: string) =>
    new AppError(
      'invalid',
      'token.invalid-permissions',
      `Permission "${right}" of bucket "${bucketId}" is not valid. Use "read" or "write".`,
    ),
  branchNotFound: (id: number | string) =>
    new AppError('not-found', 'branch.not-found', `Branch id:"${id}" was not found.`),
  wrongEmail: () => new AppError('unauthenticated', 'person.unknown', 'Invalid email.'),
  wrongPassword: () => new AppError('unauthenticated', 'person.wrong-password', 'Invalid password.'),
  noProject: () => new AppError('forbidden', 'person.no-project', 'This person has no project.'),
  wrongCurrentPassword: () =>
    new AppError('invalid', 'person.wrong-current-password', 'Invalid password.', {
      details: { fields: { current_password: ['Invalid password.'] } },
    }),
  invalidEmail: () => new AppError('invalid', 'person.invalid-email', 'Email address is not valid.'),
  personExists: (email: string) => new AppError('invalid', 'person.exists', `User "${email}" already exists.`),
  personNotFound: (who: number | string) => new AppError('not-found', 'person.not-found', `User "${who}" not found`),
  personNameMissing: () => new AppError('invalid', 'person.name-missing', 'A name must be set'),
  deleteSelf: () => new AppError('invalid', 'person.self', 'You cannot delete yourself.'),
  lastMember: () =>
    new AppError('invalid', 'person.last-member', 'The user is the last member of a maintainer or an organization.'),
  ownSuperAdmin: () => new AppError('invalid', 'person.self', 'You cannot take super admin rights from yourself.'),
  unknownScope: (scope: string, known: readonly string[]) =>
    new AppError('invalid', 'token.unknown-scope', `Scope "${scope}" is not known. Use: ${known.join(', ')}.`),
  foreignMaster: () =>
    new AppError('forbidden', 'access.denied', "Another person's master token can only be refreshed by that person."),
  projectDisabled: (reason: string, estimatedEndTime: string | undefined) =>
    new AppError('unavailable', 'project.disabled', `Project is disabled: ${reason}`, {
      details: { reason, ...(estimatedEndTime !== undefined && { estimatedEndTime }) },
      retryable: false,
    }),
  emailTaken: () =>
    new AppError('invalid', 'person.email-taken', 'This field must be unique.', {
      details: { fields: { email: ['This field must be unique.'] } },
    }),
};
