import { isExpired, type Token } from '../../../core/identity/token-model.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';

/**
 * A token as lists show it. `secret` only where the holder asked for it (verify, create, refresh). `buckets` are all
 * buckets of the project: a token that manages buckets has `manage` on each, also on those made after it, and no token
 * has anything on a bucket that is gone.
 */
export function toKeboolaToken(
  token: Token,
  context: { storageUrl: string; buckets: readonly string[]; secret?: string | undefined },
): Record<string, unknown> {
  const { person, rights } = token;
  const role = person?.role;
  const isReader = role === 'readOnly' || role === 'share';
  const managesBuckets = (token.isMaster || rights.canManageBuckets === true) && !isReader;
  const allBuckets = token.isMaster || managesBuckets;
  const permissions = allBuckets
    ? Object.fromEntries(context.buckets.map((id) => [id, isReader ? 'read' : 'manage']))
    : Object.fromEntries(Object.entries(token.bucketPermissions).filter(([id]) => context.buckets.includes(id)));
  return {
    id: String(token.id),
    ...(context.secret !== undefined && { token: context.secret }),
    created: formatDate(token.createdAt),
    refreshed: formatDate(token.refreshedAt),
    description: token.description,
    uri: `${context.storageUrl}/tokens/${token.id}`,
    isMasterToken: token.isMaster,
    canManageBuckets: managesBuckets,
    canManageTokens: (token.isMaster || rights.canManageTokens === true) && !isReader && role !== 'guest',
    canReadAllFileUploads: token.isMaster || rights.canReadAllFiles === true,
    canPurgeTrash: (token.isMaster && !isReader) || rights.canPurgeTrash === true,
    canManageProtectedDefaultBranch: rights.canManageProtectedDefaultBranch === true,
    canCreateJobs: rights.canCreateJobs === true,
    canReadAllProjectEvents: token.isMaster || rights.canReadAllEvents === true,
    canManageDevBranches: token.isMaster && !isReader,
    expires: formatOptionalDate(token.expiresAt),
    isExpired: isExpired(token, new Date()),
    isDisabled: token.isDisabled,
    isBYODB: false,
    dailyCapacity: 0,
    bucketPermissions: permissions,
    ...(token.creator && { creatorToken: { id: token.creator.id, description: token.creator.description } }),
    // Members that a plain token does not have at all: clients test for the key.
    ...(token.isMaster && person && { admin: toAdmin(person) }),
    ...((token.isMaster || token.componentAccess?.length) && { componentAccess: token.componentAccess ?? [] }),
  };
}

function toAdmin(person: NonNullable<Token['person']>): Record<string, unknown> {
  return {
    id: person.id,
    name: person.name,
    features: person.features,
    isOrganizationMember: person.isOrganizationMember,
    role: person.role,
    isActivated: false,
  };
}
