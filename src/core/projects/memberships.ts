import type { Database, Db, Transaction } from '../../db/database.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import type { EventName } from '../events/event-names.ts';
import type { Events } from '../events/events.ts';
import type { Manager, ProjectRole } from '../identity/actor.ts';
import type { Identity } from '../identity/identity.ts';
import {
  isAbove,
  type Relation,
  relate,
  requireMemberAdmin,
  requireOrganizationMember,
  requireScope,
} from './access.ts';
import {
  deleteMember,
  deletePending,
  insertMember,
  insertPending,
  listMembers,
  listPending,
  lockMembers,
  updateMemberRole,
} from './membership-store.ts';
import { organizationErrors } from './organization-errors.ts';
import {
  type Group,
  type Member,
  type MembershipTerms,
  type PendingMembership,
  PROJECT_ROLES,
  PROTECTED_ROLES,
} from './organization-model.ts';

/** By number, or by email address. */
export type Who = number | string;

/** Who is in a maintainer, an organization or a project, who is invited, and who asks to be let in. */
export class Memberships {
  readonly #db: Database;
  readonly #events: Events;
  readonly #identity: Identity;
  readonly #clock: Clock;

  constructor(parts: { db: Database; events: Events; identity: Identity; clock?: Clock }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#identity = parts.identity;
    this.#clock = parts.clock ?? systemClock;
  }

  async list(manager: Manager, group: Group): Promise<Member[]> {
    await relate(this.#db, manager, group);
    return listMembers(this.#db, group);
  }

  /** Makes the person's account when nobody has the address yet; whatever waited for an answer is answered by this. */
  async add(manager: Manager, group: Group, who: Who, terms: MembershipTerms = {}): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, group);
      this.#requireMayAdd(relation);
      const role = roleFor(relation, terms.role);
      const personId = await this.#personOf(tx, who);
      if (group.scope === 'project' && personId === manager.personId) throw organizationErrors.addSelf();
      await this.#enter(tx, manager, group, { ...this.#terms(terms), personId, role, invitorId: manager.personId });
    });
  }

  async changeRole(manager: Manager, projectId: number, who: Who, role: string | undefined): Promise<Member> {
    const group: Group = { scope: 'project', id: projectId };
    return this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, group);
      requireMemberAdmin(relation);
      const personId = await this.#knownPerson(tx, who);
      if (role !== undefined && !(await updateMemberRole(tx, projectId, personId, roleFor(relation, role))))
        throw organizationErrors.notMember(who);
      const member = (await listMembers(tx, group)).find(({ id }) => id === personId);
      if (!member) throw organizationErrors.notMember(who);
      await this.#report(tx, manager, group, 'project.member-changed', member.email);
      return member;
    });
  }

  /** Others by those who may add them; everybody himself. */
  async remove(manager: Manager, group: Group, who: Who): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, group);
      const personId = await this.#knownPerson(tx, who);
      if (personId !== manager.personId) this.#requireMayAdd(relation);
      // A project may be left by all: its organization can always let somebody in again.
      const count = await lockMembers(tx, group);
      if (group.scope !== 'project' && count < 2) throw organizationErrors.lastMember(group);
      if (!(await deleteMember(tx, group, personId))) throw organizationErrors.notMember(who);
      await this.#identity.forget(tx);
      await this.#report(tx, manager, group, 'project.member-removed', String(who));
    });
  }

  /** Those above a group enter it by themselves where it lets them. */
  async join(manager: Manager, group: Group, terms: MembershipTerms = {}): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, group);
      if (relation.byScope) throw organizationErrors.noAccess(group);
      if (isMember(relation)) throw organizationErrors.alreadyMember();
      const { isOrganizationMember, allowAutoJoin } = relation;
      const mayJoin = {
        maintainer: relation.isSuperAdmin,
        organization: isAbove(relation) && allowAutoJoin,
        project: isOrganizationMember || (isAbove(relation) && allowAutoJoin),
      }[group.scope];
      if (!mayJoin)
        throw group.scope === 'organization' ? organizationErrors.joinDenied() : organizationErrors.noAccess(group);
      const joinsAs = relation.isProtected ? (isOrganizationMember ? 'productionManager' : 'developer') : 'admin';
      const { reason, expiresAt } = this.#terms(terms);
      await this.#enter(tx, manager, group, { personId: manager.personId, role: joinsAs, reason, expiresAt });
    });
  }

  async invite(manager: Manager, group: Group, email: string, terms: MembershipTerms = {}): Promise<PendingMembership> {
    return this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, group);
      this.#requireMayInvite(relation);
      const role = roleFor(relation, terms.role);
      const personId = await this.#personOf(tx, email);
      if (personId === manager.personId) throw organizationErrors.inviteSelf();
      if ((await listMembers(tx, group)).some(({ id }) => id === personId)) throw organizationErrors.alreadyMember();
      const pending = { ...this.#terms(terms), kind: 'invitation' as const, group, personId, role };
      const made = await insertPending(tx, { ...pending, creatorId: manager.personId });
      if ('waiting' in made)
        throw made.waiting === 'request' ? organizationErrors.alreadyRequested() : organizationErrors.alreadyInvited();
      return this.#pending(tx, { kind: 'invitation', scope: group.scope, id: made.id });
    });
  }

  async requestAccess(manager: Manager, projectId: number, terms: MembershipTerms = {}): Promise<PendingMembership> {
    const group: Group = { scope: 'project', id: projectId };
    return this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, group);
      if (relation.role !== undefined) throw organizationErrors.alreadyMember();
      if (relation.isOrganizationMember || !isAbove(relation)) throw organizationErrors.noAccess(group);
      if (relation.allowAutoJoin) throw organizationErrors.useJoin();
      const pending = { ...this.#terms(terms), kind: 'request' as const, group, personId: manager.personId };
      const made = await insertPending(tx, { ...pending, creatorId: manager.personId });
      if ('waiting' in made)
        throw made.waiting === 'request' ? organizationErrors.requestSent() : organizationErrors.youAreInvited();
      return this.#pending(tx, { kind: 'request', scope: 'project', id: made.id });
    });
  }

  /** What waits in a group: for those in it. */
  async pending(manager: Manager, kind: PendingMembership['kind'], group: Group): Promise<PendingMembership[]> {
    this.#requireSees(await relate(this.#db, manager, group));
    return listPending(this.#db, { kind, scope: group.scope, groupId: group.id });
  }

  async getPending(
    manager: Manager,
    kind: PendingMembership['kind'],
    group: Group,
    id: number,
  ): Promise<PendingMembership> {
    this.#requireSees(await relate(this.#db, manager, group));
    return this.#pending(this.#db, { kind, scope: group.scope, groupId: group.id, id });
  }

  /** Takes an invitation back, or turns a request down. */
  async cancel(manager: Manager, kind: PendingMembership['kind'], group: Group, id: number): Promise<void> {
    await this.#db.transaction(async (tx) => {
      this.#requireMayInvite(await relate(tx, manager, group));
      await this.#pending(tx, { kind, scope: group.scope, groupId: group.id, id });
      await deletePending(tx, { id });
    });
  }

  async approve(manager: Manager, projectId: number, id: number): Promise<void> {
    const group: Group = { scope: 'project', id: projectId };
    await this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, group);
      requireMemberAdmin(relation);
      const request = await this.#pending(tx, { kind: 'request', scope: 'project', groupId: projectId, id });
      await this.#enter(tx, manager, group, {
        personId: request.person.id,
        role: relation.isProtected ? 'developer' : request.role,
        reason: request.reason,
        expiresAt: request.expiresAt,
        approverId: manager.personId,
      });
    });
  }

  /** The person's own invitations, or requests. */
  async mine(manager: Manager, kind: PendingMembership['kind'], scope: Group['scope']): Promise<PendingMembership[]> {
    requireScope(manager);
    return listPending(this.#db, { kind, scope, personId: manager.personId });
  }

  async getMine(
    manager: Manager,
    kind: PendingMembership['kind'],
    scope: Group['scope'],
    id: number,
  ): Promise<PendingMembership> {
    requireScope(manager);
    return this.#pending(this.#db, { kind, scope, personId: manager.personId, id });
  }

  async accept(manager: Manager, scope: Group['scope'], id: number): Promise<void> {
    requireScope(manager);
    await this.#db.transaction(async (tx) => {
      const invitation = await this.#pending(tx, { kind: 'invitation', scope, personId: manager.personId, id });
      await this.#enter(tx, manager, invitation.group, {
        personId: manager.personId,
        role: invitation.role,
        reason: invitation.reason,
        expiresAt: invitation.expiresAt,
        invitorId: invitation.creator.id,
      });
    });
  }

  /** Declines an invitation, or takes a request back. */
  async withdraw(manager: Manager, kind: PendingMembership['kind'], scope: Group['scope'], id: number): Promise<void> {
    requireScope(manager);
    await this.#db.transaction(async (tx) => {
      await this.#pending(tx, { kind, scope, personId: manager.personId, id });
      await deletePending(tx, { id });
    });
  }

  async #enter(
    tx: Transaction,
    manager: Manager,
    group: Group,
    member: Parameters<typeof insertMember>[2],
  ): Promise<void> {
    if (!(await insertMember(tx, group, member))) throw organizationErrors.alreadyMember();
    await deletePending(tx, { group, personId: member.personId });
    await this.#identity.forget(tx);
    const person = await this.#identity.findPerson(tx, member.personId);
    await this.#report(tx, manager, group, 'project.member-added', person?.email ?? '');
  }

  async #pending(db: Db, query: Parameters<typeof listPending>[1]): Promise<PendingMembership> {
    const [found] = await listPending(db, query);
    if (!found) throw organizationErrors.pendingNotFound(query.id ?? 0);
    return found;
  }

  #terms({ reason, expiresInSeconds: seconds }: MembershipTerms) {
    if (seconds !== undefined && seconds < 1) throw organizationErrors.expirationTooShort();
    const expiresAt = seconds === undefined ? undefined : new Date(this.#clock.now().getTime() + seconds * 1000);
    return { reason, expiresAt };
  }

  #requireMayAdd(relation: Relation): void {
    const { group, isOrganizationMember, allowAutoJoin } = relation;
    if (group.scope === 'project') requireMemberAdmin(relation);
    if (group.scope === 'organization' && !isOrganizationMember && !(isAbove(relation) && allowAutoJoin))
      throw organizationErrors.joinDenied();
  }

  #requireMayInvite(relation: Relation): void {
    if (relation.group.scope === 'organization') requireOrganizationMember(relation);
    if (relation.group.scope === 'project') requireMemberAdmin(relation);
  }

  #requireSees(relation: Relation): void {
    if (relation.group.scope === 'organization') requireOrganizationMember(relation);
    if (relation.group.scope === 'project' && relation.role === undefined) requireOrganizationMember(relation);
  }

  async #personOf(tx: Transaction, who: Who): Promise<number> {
    if (typeof who === 'number') return this.#knownPerson(tx, who);
    if (who.length > 255 || !/^[^\s@]+@[^\s@]+$/.test(who)) throw organizationErrors.invalidEmail();
    return this.#identity.ensurePerson(tx, who);
  }

  async #knownPerson(db: Db, who: Who): Promise<number> {
    const person = await this.#identity.findPerson(db, who);
    if (!person) throw organizationErrors.personNotFound(who);
    return person.id;
  }

  /** Only projects have a log. */
  async #report(tx: Transaction, manager: Manager, group: Group, name: EventName, email: string): Promise<void> {
    if (group.scope !== 'project') return;
    await this.#events.append(tx, {
      projectId: group.id,
      name,
      component: 'storage',
      type: 'info',
      message: `Member "${email}"`,
      objectType: 'project',
      objectId: String(group.id),
      objectName: email,
      token: { id: manager.token.id, name: manager.email },
    });
  }
}

function isMember({ group, isMaintainerMember, isOrganizationMember, role }: Relation): boolean {
  if (group.scope === 'project') return role !== undefined;
  return group.scope === 'maintainer' ? isMaintainerMember : isOrganizationMember;
}

/** Only the organization lets somebody share data out of a project, or decides who is in a protected one. */
function roleFor({ group, isProtected, isOrganizationMember }: Relation, wanted: string | undefined): ProjectRole {
  if (group.scope !== 'project') return 'admin';
  const allowed: readonly ProjectRole[] = isProtected ? PROTECTED_ROLES : PROJECT_ROLES;
  const role = wanted ?? allowed[0];
  const found = allowed.find((one) => one === role);
  if (!found) throw organizationErrors.invalidRole(String(role), allowed);
  if ((found === 'share' || isProtected) && !isOrganizationMember) throw organizationErrors.restrictedRole();
  return found;
}
