import type { Manager } from '../../../core/identity/actor.ts';
import type { Person } from '../../../core/identity/person-store.ts';
import { isExpired, type Token } from '../../../core/identity/token-model.ts';
import type { Maintainer, Member, Organization, PendingMembership } from '../../../core/projects/organization-model.ts';
import type { Project } from '../../../core/projects/project-model.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';
import { toKeboolaOwner } from '../storage/project-shape.ts';

const NO_CONNECTIONS = Object.fromEntries(
  ['Mysql', 'Snowflake', 'Synapse', 'Exasol', 'Teradata', 'Bigquery', 'Redshift'].map((backend) => [
    `defaultConnection${backend}Id`,
    null,
  ]),
);

export function toMaintainer(maintainer: Maintainer, organizations?: Organization[]): Record<string, unknown> {
  return {
    id: maintainer.id,
    name: maintainer.name,
    created: formatDate(maintainer.createdAt),
    ...NO_CONNECTIONS,
    defaultFileStorageId: null,
    zendeskUrl: null,
    ...(organizations && { organizations: organizations.map(({ id, name }) => ({ id, name })) }),
  };
}

export function toOrganization(organization: Organization, projects?: Project[]): Record<string, unknown> {
  return {
    ...shortOrganization(organization),
    mfaRequired: false,
    maintainer: toMaintainer(organization.maintainer),
    ...(projects && {
      projects: projects.map(({ id, name, createdAt }) => ({ id, name, created: formatDate(createdAt) })),
    }),
  };
}

function shortOrganization(organization: Organization): Record<string, unknown> {
  return {
    id: organization.id,
    name: organization.name,
    created: formatDate(organization.createdAt),
    allowAutoJoin: organization.allowAutoJoin,
    crmId: organization.crmId,
    activityCenterProjectId: organization.activityCenterProjectId ?? '',
  };
}

/** A project as lists show it; its organization goes with the detail. */
export function toProject(
  project: Project,
  hasWorkspaces: (backend: string) => boolean,
  organization?: Organization,
): Record<string, unknown> {
  const { settings, disabled } = project;
  return {
    // Sizes are known inside of a project only.
    ...toKeboolaOwner(project, { rowsCount: 0, dataSizeBytes: 0 }, hasWorkspaces),
    hasTryModeOn: settings.hasTryModeOn ? '1' : '0',
    billedMonthlyPrice: settings.billedMonthlyPrice ?? null,
    dataRetentionTimeInDays: settings.dataRetentionTimeInDays ?? 7,
    ...(settings.timezone !== undefined && { timezone: settings.timezone }),
    ...(disabled && { disabled: { reason: disabled.reason, estimatedEndTime: disabled.estimatedEndTime ?? null } }),
    isBYODB: false,
    ...(organization && { organization: shortOrganization(organization), backends: {}, fileStorage: null }),
  };
}

export function toMember(member: Member, isProject: boolean): Record<string, unknown> {
  const { id, name, email, createdAt, invitor } = member;
  return {
    id,
    name,
    email,
    mfaEnabled: false,
    created: formatDate(createdAt),
    invitor: invitor ?? null,
    ...(isProject && {
      features: member.features,
      expires: formatOptionalDate(member.expiresAt),
      reason: member.reason ?? '',
      role: member.role,
      status: 'active',
      approver: member.approver ?? null,
      canApproveMergeRequests: false,
    }),
  };
}

export function toPending(pending: PendingMembership, isOwnView = false): Record<string, unknown> {
  const { id, kind, group, person, creator } = pending;
  return {
    id,
    created: formatDate(pending.createdAt),
    ...(isOwnView ? { [group.scope]: { id: group.id, name: group.name } } : { user: person }),
    ...(kind === 'invitation' && { creator }),
    ...(group.scope === 'project' && {
      expires: formatOptionalDate(pending.expiresAt),
      reason: pending.reason ?? '',
      ...(kind === 'invitation' && { role: pending.role }),
    }),
  };
}

export function toUser(person: Pick<Person, 'id' | 'name' | 'email' | 'features' | 'isSuperAdmin'>): object {
  const { id, name, email, features, isSuperAdmin } = person;
  return { id, name, email, mfaEnabled: false, features, canAccessLogs: isSuperAdmin, isSuperAdmin };
}

/** A manage token; its text only in the answer that makes it. */
export function toManageToken(token: Token, secret?: string): Record<string, unknown> {
  return {
    id: token.id,
    ...(secret !== undefined && { token: secret }),
    description: token.description,
    created: formatDate(token.createdAt),
    expires: formatOptionalDate(token.expiresAt),
    isSessionToken: token.isSession,
    isExpired: isExpired(token, new Date()),
    isDisabled: token.isDisabled,
    scopes: token.scopes ?? [],
    type: kindOf(token),
  };
}

export function kindOf({ scopes, isSession }: { scopes: readonly string[] | undefined; isSession: boolean }): string {
  if (scopes !== undefined) return 'super';
  return isSession ? 'session' : 'admin';
}

export const kindOfManager = ({ scopes, token }: Manager) => kindOf({ scopes, isSession: token.isSession });
