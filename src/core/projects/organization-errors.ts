import { AppError } from '../errors.ts';
import type { Group } from './organization-model.ts';

const NAMES = { maintainer: 'maintainer', organization: 'the organization', project: 'project' } as const;

export const organizationErrors = {
  noAccess: ({ scope, id }: Group) =>
    new AppError('forbidden', 'access.denied', `You don't have access to ${NAMES[scope]} ${id}`),
  notFound: ({ scope, id }: Group) =>
    new AppError('not-found', `${scope}.not-found`, `${scope[0]?.toUpperCase()}${scope.slice(1)} ${id} not found`),
  restrictedRole: () => new AppError('forbidden', 'access.denied', 'Action is restricted for your role'),
  tokenScope: () => new AppError('forbidden', 'access.denied', "You don't have access to the resource."),
  onlyMembersCreateProjects: () =>
    new AppError(
      'forbidden',
      'organization.create-project-denied',
      'Only organization members can create new projects',
    ),
  updateDenied: (message: string) => new AppError('forbidden', 'organization.update-denied', message),
  joinDenied: () =>
    new AppError('forbidden', 'organization.join-denied', 'You are not allowed to join this organization.'),
  notEmpty: (what: string) => new AppError('invalid', 'organization.not-empty', `It still has ${what}.`),
  nameMissing: () => new AppError('invalid', 'organization.name-missing', 'A name of 1 to 255 characters must be set.'),
  lastMember: ({ scope }: Group) => new AppError('invalid', 'member.last', `The ${scope} must have at least 1 member.`),
  alreadyMember: () => new AppError('invalid', 'member.already', 'This user is already a member.'),
  notMember: (who: number | string) => new AppError('not-found', 'member.not-found', `User "${who}" is not a member.`),
  invalidRole: (role: string, allowed: readonly string[]) =>
    new AppError(
      'invalid',
      'member.invalid-role',
      `Role ${role} is not valid. Allowed roles are: ${allowed.join(', ')}`,
    ),
  invalidEmail: () => new AppError('invalid', 'person.invalid-email', 'Email address is not valid.'),
  expirationTooShort: () =>
    new AppError('invalid', 'member.expiration-too-short', 'expirationSeconds must be at least 1.'),
  inviteSelf: () => new AppError('invalid', 'invitation.self', 'You cannot invite yourself.'),
  addSelf: () => new AppError('invalid', 'member.self', 'You cannot add yourself, use join-project method.'),
  alreadyInvited: () => new AppError('invalid', 'invitation.already', 'This user was already invited.'),
  youAreInvited: () =>
    new AppError('invalid', 'request.invited', 'You have been already invited. Accept the invitation instead.'),
  alreadyRequested: () =>
    new AppError('invalid', 'request.already', 'This user has already requested access. Approve the request instead.'),
  requestSent: () => new AppError('invalid', 'request.sent', 'Your request was already sent.'),
  useJoin: () => new AppError('invalid', 'request.not-needed', 'You can use join-project method.'),
  pendingNotFound: (id: number) => new AppError('not-found', 'invitation.not-found', `There is none with id ${id}.`),
  personNotFound: (who: number | string) => new AppError('not-found', 'person.not-found', `User "${who}" not found`),
  featureNotFound: () => new AppError('not-found', 'feature.not-found', 'Feature not found'),
  featureTaken: (name: string) => new AppError('invalid', 'feature.taken', `Feature "${name}" already exists.`),
  featureAssigned: (name: string) =>
    new AppError('invalid', 'feature.assigned', `Feature "${name}" is already assigned.`),
  featureLocked: (name: string) =>
    new AppError('invalid', 'feature.locked', `Feature "${name}" can't be assigned via API.`),
  noMfa: () =>
    new AppError('invalid', 'person.no-mfa', 'You must setup Multi-Factor Authentication on your account first'),
};
