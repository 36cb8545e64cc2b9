import type { BucketRight, ProjectRole } from './actor.ts';

/**
 * `storage`: works in one project. `manage`: a person's, across projects. `application`: a client id and secret that are
 * exchanged for short-lived tokens (`bearer`). `account-key`: a person's, in one project. `api-key`: a program's, in one project.
 */
export type TokenKind = 'storage' | 'manage' | 'application' | 'bearer' | 'account-key' | 'api-key';

/** What a token may do beyond its bucket and component lists. Absent: no. */
export type TokenRights = {
  canManageBuckets?: boolean;
  canManageTokens?: boolean;
  canReadAllFiles?: boolean;
  canPurgeTrash?: boolean;
  canReadAllEvents?: boolean;
  canCreateJobs?: boolean;
  canManageProtectedDefaultBranch?: boolean;
  /** API keys: access rules of data objects do not hold. */
  ignoreAcl?: boolean;
  /** API keys: may make end users. */
  canCreateUsers?: boolean;
  /** API keys: may make groups of end users. */
  canCreateGroups?: boolean;
  /** API keys: may read, without an end user, what is open to everybody. */
  canReadPublic?: boolean;
};

/** A credential without its secret, which nobody knows but its holder. */
export type Token = {
  id: number;
  kind: TokenKind;
  projectId: number | undefined;
  publicId: string | undefined;
  description: string;
  isMaster: boolean;
  rights: TokenRights;
  bucketPermissions: Record<string, BucketRight>;
  componentAccess: string[] | undefined;
  /** Whose token it is: only master tokens and those of persons have one. */
  person:
    | { id: number; name: string; email: string; role: ProjectRole; isOrganizationMember: boolean; features: string[] }
    | undefined;
  creator: { id: number; description: string } | undefined;
  createdAt: Date;
  refreshedAt: Date;
  expiresAt: Date | undefined;
  isDisabled: boolean;
  /** Of a manage token: what a program may do with it. Undefined: whatever its person may. */
  scopes: string[] | undefined;
  isSession: boolean;
};

export type NewToken = {
  /** Default: `Created by <description of the creating token>`. */
  description?: string | undefined;
  bucketPermissions?: Record<string, string> | undefined;
  componentAccess?: string[] | undefined;
  canManageBuckets?: boolean | undefined;
  canReadAllFiles?: boolean | undefined;
  canPurgeTrash?: boolean | undefined;
  canReadAllEvents?: boolean | undefined;
  canCreateJobs?: boolean | undefined;
  canManageProtectedDefaultBranch?: boolean | undefined;
  expiresInSeconds?: number | undefined;
};

/** Absent members stay as they are; lists replace the whole list. */
export type TokenPatch = Omit<NewToken, 'canManageBuckets' | 'expiresInSeconds'>;

/** Asked at each use: a token that is remembered somewhere goes on ageing. */
export function isExpired(token: Pick<Token, 'expiresAt'>, now: Date): boolean {
  return token.expiresAt !== undefined && token.expiresAt <= now;
}
