import type { Database, Db, Transaction } from '../../db/database.ts';
import type { EventName } from '../events/event-names.ts';
import type { Events } from '../events/events.ts';
import type { Manager } from '../identity/actor.ts';
import type { Identity } from '../identity/identity.ts';
import type { NewToken, Token } from '../identity/token-model.ts';
import { isAbove, type Relation, relate, requireProjectAdmin, requireScope, requireSuperAdmin } from './access.ts';
import { organizationErrors } from './organization-errors.ts';
import { lockOrganization } from './organization-store.ts';
import { projectErrors } from './project-errors.ts';
import type { DisabledProject, Project, ProjectSettings } from './project-model.ts';
import { findDeletedProjects, findProject, type ProjectChange, updateProject } from './project-store.ts';

export type ProjectPatch = {
  name?: string | undefined;
  type?: string | undefined;
  /** Until the project ends; 0: never. */
  expirationDays?: number | undefined;
  settings?: ProjectSettings | undefined;
};

const DAY_MS = 24 * 3600 * 1000;

/** What is decided about projects from outside of them: by those in them, and by those above. */
export class ProjectAdministration {
  readonly #db: Database;
  readonly #events: Events;
  readonly #identity: Identity;

  constructor(parts: { db: Database; events: Events; identity: Identity }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#identity = parts.identity;
  }

  async get(manager: Manager, id: number): Promise<Project> {
    await relate(this.#db, manager, { scope: 'project', id }, 'projects:read');
    return this.#require(this.#db, id);
  }

  async update(manager: Manager, id: number, patch: ProjectPatch): Promise<Project> {
    const { type, expirationDays, settings } = patch;
    const name = patch.name?.trim();
    if (name !== undefined && (name === '' || name.length > 255)) throw projectErrors.nameMissing();
    const ofSuperAdmins = [type, expirationDays, settings?.billedMonthlyPrice];
    return this.#change(manager, id, 'project.updated', (relation) => {
      requireProjectAdmin(relation);
      if (!relation.isSuperAdmin && ofSuperAdmins.some((value) => value !== undefined))
        throw organizationErrors.restrictedRole();
      const expiresAt = expirationDays === undefined ? undefined : expirationDays === 0 ? null : inDays(expirationDays);
      return { name, type, expiresAt, settings };
    });
  }

  /** Gone for everybody inside; it can come back until it is purged. */
  async delete(manager: Manager, id: number): Promise<void> {
    await this.#change(manager, id, 'project.deleted', (relation) => {
      requireProjectAdmin(relation);
      return { isDeleted: true };
    });
  }

  async move(manager: Manager, id: number, organizationId: number): Promise<Project> {
    return this.#change(manager, id, 'project.updated', async (relation, tx) => {
      requireProjectAdmin(relation);
      const target = await relate(tx, manager, { scope: 'organization', id: organizationId });
      // Who is in the project only must not take it to another owner, nor give it to one he has no say in.
      if (!isAbove(relation) && !relation.isOrganizationMember) throw organizationErrors.restrictedRole();
      if (!(await lockOrganization(tx, organizationId))) throw organizationErrors.notFound(target.group);
      return { organizationId };
    });
  }

  async setLimits(manager: Manager, id: number, limits: Record<string, number>): Promise<Project> {
    return this.#change(manager, id, 'project.updated', (relation) => {
      requireOperator(relation);
      return { limits };
    });
  }

  async removeLimit(manager: Manager, id: number, name: string): Promise<void> {
    await this.#change(manager, id, 'project.updated', (relation) => {
      requireOperator(relation);
      return { removedLimit: name };
    });
  }

  /** While a project is disabled nothing of it answers. */
  async setDisabled(manager: Manager, id: number, disabled: DisabledProject | undefined): Promise<Project> {
    return this.#change(manager, id, 'project.updated', (relation) => {
      requireOperator(relation);
      return { disabled: disabled ?? null };
    });
  }

  /** A token for programs. `isMaster` asks for the person's own one, with the rights of his role. */
  async createToken(
    manager: Manager,
    id: number,
    input: NewToken & { isMaster?: boolean | undefined },
  ): Promise<{ token: Token; secret: string; project: Project }> {
    return this.#db.transaction(async (tx) => {
      const group = { scope: 'project' as const, id };
      const relation = await relate(tx, manager, group, 'manage:storage-tokens');
      const project = await this.#require(tx, id);
      const by = { id: manager.personId, email: manager.email };
      if (input.isMaster) {
        if (relation.role === undefined) throw organizationErrors.noAccess(group);
        return { ...(await this.#identity.issueMaster(tx, id, by)), project };
      }
      const { isOrganizationMember, role, byScope, allowAutoJoin } = relation;
      const isAllowed = byScope || isOrganizationMember || role === 'admin' || (isAbove(relation) && allowAutoJoin);
      if (!isAllowed)
        throw role === undefined ? organizationErrors.noAccess(group) : organizationErrors.restrictedRole();
      const made = await this.#identity.issueFor(tx, id, by.email, input);
      await this.#report(tx, manager, id, 'token.created', `Created token "${made.token.description}"`);
      return { ...made, project };
    });
  }

  async listDeleted(
    manager: Manager,
    query: { organizationId?: number | undefined; name?: string | undefined; limit: number; offset: number },
  ): Promise<(Project & { deletedAt: Date })[]> {
    requireDeletedProjects(manager);
    return findDeletedProjects(this.#db, query);
  }

  async getDeleted(manager: Manager, id: number): Promise<Project & { deletedAt: Date }> {
    requireDeletedProjects(manager);
    const [project] = await findDeletedProjects(this.#db, { id, limit: 1, offset: 0 });
    if (!project) throw organizationErrors.notFound({ scope: 'project', id });
    return project;
  }

  async restore(manager: Manager, id: number, expirationDays: number | undefined): Promise<void> {
    requireSuperAdmin(manager);
    await this.#db.transaction(async (tx) => {
      const [project] = await findDeletedProjects(tx, { id, limit: 1, offset: 0 });
      if (!project) throw organizationErrors.notFound({ scope: 'project', id });
      if (!(await lockOrganization(tx, project.organization.id)))
        throw organizationErrors.notFound({ scope: 'organization', id: project.organization.id });
      await updateProject(tx, id, { isDeleted: false, expiresAt: expirationDays ? inDays(expirationDays) : null });
      await this.#identity.forget(tx);
      await this.#report(tx, manager, id, 'project.restored', `Restored project "${project.name}"`);
    });
  }

  async #change(
    manager: Manager,
    id: number,
    event: EventName,
    decide: (relation: Relation, tx: Transaction) => ProjectChange | Promise<ProjectChange>,
  ): Promise<Project> {
    return this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, { scope: 'project', id });
      const before = await this.#require(tx, id);
      await updateProject(tx, id, await decide(relation, tx));
      await this.#identity.forget(tx);
      await this.#report(tx, manager, id, event, `${MESSAGES[event] ?? 'Changed'} project "${before.name}"`);
      return (await findProject(tx, id)) ?? before;
    });
  }

  async #require(db: Db, id: number): Promise<Project> {
    const project = await findProject(db, id);
    if (!project) throw organizationErrors.notFound({ scope: 'project', id });
    return project;
  }

  async #report(tx: Transaction, manager: Manager, id: number, name: EventName, message: string): Promise<void> {
    await this.#events.append(tx, {
      projectId: id,
      name,
      component: 'storage',
      type: 'info',
      message,
      objectType: 'project',
      objectId: String(id),
      token: { id: manager.token.id, name: manager.email },
    });
  }
}

const MESSAGES: Partial<Record<EventName, string>> = { 'project.deleted': 'Deleted' };

function requireOperator({ isSuperAdmin, group }: Relation): void {
  if (!isSuperAdmin) throw organizationErrors.noAccess(group);
}

function requireDeletedProjects(manager: Manager): void {
  if (manager.scopes !== undefined) requireScope(manager, 'deleted-projects:read');
  else requireSuperAdmin(manager);
}

function inDays(days: number): Date {
  return new Date(Date.now() + days * DAY_MS);
}
