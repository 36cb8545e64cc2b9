import type { Db } from '../../db/database.ts';
import type { Manager, ProjectRole } from '../identity/actor.ts';
import { organizationErrors } from './organization-errors.ts';
import type { Group } from './organization-model.ts';
import { findRelation } from './organization-store.ts';

/** What a person is to a maintainer, an organization or a project, through all levels above it. */
export type Relation = {
  group: Group;
  isSuperAdmin: boolean;
  /** Of the maintainer itself, or of the one above. */
  isMaintainerMember: boolean;
  isOrganizationMember: boolean;
  role: ProjectRole | undefined;
  allowAutoJoin: boolean;
  organizationId: number | undefined;
  isProtected: boolean;
  /** A token of a program: only what its scopes say, whoever made it. */
  byScope: boolean;
};

/**
 * Every operation on a group begins here: who has nothing to do with it is refused in the same words whether it exists
 * or not, so that ids tell nothing. `scope` lets programs in that have it.
 */
export async function relate(db: Db, manager: Manager, group: Group, scope?: string): Promise<Relation> {
  const byScope = manager.scopes !== undefined;
  if (byScope) requireScope(manager, scope);
  const isSuperAdmin = manager.isSuperAdmin && !byScope;
  const found = await findRelation(db, group, manager.personId);
  if (!found) throw isSuperAdmin || byScope ? organizationErrors.notFound(group) : organizationErrors.noAccess(group);
  const own = byScope ? { isMaintainerMember: false, isOrganizationMember: false, role: undefined } : {};
  const relation: Relation = { ...found, group, isSuperAdmin, byScope, ...own };
  const { isMaintainerMember, isOrganizationMember, role } = relation;
  if (!byScope && !isSuperAdmin && !isMaintainerMember && !isOrganizationMember && role === undefined)
    throw organizationErrors.noAccess(group);
  return relation;
}

/** Tokens of programs do only what a scope names. */
export function requireScope(manager: Manager, scope?: string): void {
  if (manager.scopes !== undefined && (scope === undefined || !manager.scopes.includes(scope)))
    throw organizationErrors.tokenScope();
}

export function requireSuperAdmin(manager: Manager): void {
  requireScope(manager);
  if (!manager.isSuperAdmin) throw organizationErrors.tokenScope();
}

export const isAbove = ({ isSuperAdmin, isMaintainerMember }: Relation) => isSuperAdmin || isMaintainerMember;

/** Those who may change and delete a project. */
export function requireProjectAdmin(relation: Relation): void {
  if (!isAbove(relation)) requireMemberAdmin(relation);
}

/** Those who decide who is in a project: its organization and its own administrators. */
export function requireMemberAdmin({ isOrganizationMember, role, group }: Relation): void {
  if (isOrganizationMember || role === 'admin') return;
  throw role === undefined ? organizationErrors.noAccess(group) : organizationErrors.restrictedRole();
}

export function requireOrganizationMember({ isOrganizationMember, group }: Relation): void {
  if (!isOrganizationMember) throw organizationErrors.noAccess(group);
}
