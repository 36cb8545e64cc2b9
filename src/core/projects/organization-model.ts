import type { ProjectRole } from '../identity/actor.ts';

export type Maintainer = { id: number; name: string; createdAt: Date };

export type Organization = {
  id: number;
  name: string;
  createdAt: Date;
  /** Whether those above the organization may join it and its projects without being asked in. */
  allowAutoJoin: boolean;
  crmId: string;
  activityCenterProjectId: number | undefined;
  maintainer: Maintainer;
};

export type OrganizationPatch = {
  name?: string | undefined;
  maintainerId?: number | undefined;
  allowAutoJoin?: boolean | undefined;
  crmId?: string | undefined;
  activityCenterProjectId?: number | undefined;
};

/** What persons are members of. */
export type Group = { scope: 'maintainer' | 'organization' | 'project'; id: number };

export type PersonName = { id: number; name: string; email: string };

export type Member = PersonName & {
  features: string[];
  createdAt: Date;
  invitor: PersonName | undefined;
  /** Projects only. */
  role: ProjectRole;
  reason: string | undefined;
  expiresAt: Date | undefined;
  approver: PersonName | undefined;
};

/** An invitation, or a request to be let in. */
export type PendingMembership = {
  id: number;
  kind: 'invitation' | 'request';
  group: Group & { name: string };
  person: PersonName;
  creator: PersonName;
  role: ProjectRole;
  reason: string | undefined;
  expiresAt: Date | undefined;
  createdAt: Date;
};

export type MembershipTerms = {
  role?: string | undefined;
  reason?: string | undefined;
  expiresInSeconds?: number | undefined;
};

export const PROJECT_ROLES = ['admin', 'guest', 'readOnly', 'share'] as const satisfies readonly ProjectRole[];
/** In projects whose default branch is protected. */
export const PROTECTED_ROLES = [
  'productionManager',
  'developer',
  'reviewer',
  'readOnly',
] as const satisfies readonly ProjectRole[];
