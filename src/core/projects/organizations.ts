import type { Database, Db } from '../../db/database.ts';
import { uuidv4 } from '../../lib/ids.ts';
import type { Manager } from '../identity/actor.ts';
import { isAbove, relate, requireOrganizationMember, requireScope, requireSuperAdmin } from './access.ts';
import { deletePendingOf, insertMember, listProjectsUsers } from './membership-store.ts';
import { organizationErrors } from './organization-errors.ts';
import type { Group, Maintainer, Organization, OrganizationPatch, PersonName } from './organization-model.ts';
import {
  deleteMaintainer,
  deleteOrganization,
  findMaintainer,
  insertMaintainer,
  insertOrganization,
  listMaintainers,
  listOrganizations,
  lockOrganization,
  renameMaintainer,
  updateOrganization,
} from './organization-store.ts';
import type { Project } from './project-model.ts';
import { listProjectsOf, updateProject } from './project-store.ts';
import type { Projects } from './projects.ts';

/** Maintainers, the organizations below them, and the projects below those. */
export class Organizations {
  readonly #db: Database;
  readonly #projects: Projects;

  constructor(parts: { db: Database; projects: Projects }) {
    this.#db = parts.db;
    this.#projects = parts.projects;
  }

  async listMaintainers(manager: Manager): Promise<Maintainer[]> {
    requireScope(manager);
    return listMaintainers(this.#db, manager.isSuperAdmin ? undefined : manager.personId);
  }

  async createMaintainer(manager: Manager, input: { name: string }): Promise<Maintainer> {
    requireSuperAdmin(manager);
    const name = checkName(input.name);
    const id = await this.#db.transaction(async (tx) => {
      const made = await insertMaintainer(tx, name);
      await insertMember(tx, { scope: 'maintainer', id: made }, { personId: manager.personId });
      return made;
    });
    return (await this.getMaintainer(manager, id)).maintainer;
  }

  async getMaintainer(
    manager: Manager,
    id: number,
  ): Promise<{ maintainer: Maintainer; organizations: Organization[] }> {
    await relate(this.#db, manager, { scope: 'maintainer', id });
    const maintainer = await findMaintainer(this.#db, id);
    if (!maintainer) throw organizationErrors.notFound({ scope: 'maintainer', id });
    return { maintainer, organizations: await listOrganizations(this.#db, { maintainerId: id }) };
  }

  async updateMaintainer(manager: Manager, id: number, patch: { name?: string | undefined }): Promise<Maintainer> {
    await relate(this.#db, manager, { scope: 'maintainer', id });
    if (patch.name !== undefined) await renameMaintainer(this.#db, id, checkName(patch.name));
    return (await this.getMaintainer(manager, id)).maintainer;
  }

  async deleteMaintainer(manager: Manager, id: number): Promise<void> {
    const group: Group = { scope: 'maintainer', id };
    await this.#db.transaction(async (tx) => {
      await relate(tx, manager, group);
      if (!(await deleteMaintainer(tx, id))) throw organizationErrors.notEmpty('organizations');
      await deletePendingOf(tx, group);
    });
  }

  /** The person's own; all for a program that may read them. */
  async list(manager: Manager): Promise<Organization[]> {
    requireScope(manager, 'organizations:read');
    return listOrganizations(this.#db, manager.scopes ? 'all' : { memberId: manager.personId });
  }

  async create(
    manager: Manager,
    maintainerId: number,
    input: { name: string; crmId?: string | undefined },
  ): Promise<Organization> {
    const name = checkName(input.name);
    const id = await this.#db.transaction(async (tx) => {
      await relate(tx, manager, { scope: 'maintainer', id: maintainerId });
      const crmId = input.crmId ?? '';
      const made = await insertOrganization(tx, { uuid: uuidv4(), name, maintainerId, crmId });
      await insertMember(tx, { scope: 'organization', id: made }, { personId: manager.personId });
      return made;
    });
    return (await this.get(manager, id)).organization;
  }

  /** Projects only for those whom the organization's content concerns. */
  async get(manager: Manager, id: number): Promise<{ organization: Organization; projects: Project[] | undefined }> {
    const relation = await relate(this.#db, manager, { scope: 'organization', id }, 'organizations:read');
    const organization = await this.#require(this.#db, id);
    return { organization, projects: relation.isOrganizationMember ? await listProjectsOf(this.#db, id) : undefined };
  }

  async update(manager: Manager, id: number, patch: OrganizationPatch): Promise<Organization> {
    if (patch.name !== undefined) checkName(patch.name);
    return this.#db.transaction(async (tx) => {
      const relation = await relate(tx, manager, { scope: 'organization', id });
      if (patch.allowAutoJoin !== undefined && !relation.isOrganizationMember)
        throw organizationErrors.updateDenied("Only organization members can change the 'allowAutoJoin' parameter");
      if (patch.crmId !== undefined && !isAbove(relation))
        throw organizationErrors.updateDenied("Only maintainer members can change the 'crmId' parameter");
      if (patch.activityCenterProjectId !== undefined) {
        if (!relation.isMaintainerMember)
          throw organizationErrors.updateDenied(
            "Only maintainer members can change the 'activityCenterProjectId' parameter",
          );
        const projects = await listProjectsOf(tx, id);
        if (!projects.some((project) => project.id === patch.activityCenterProjectId))
          throw organizationErrors.notFound({ scope: 'project', id: patch.activityCenterProjectId });
      }
      if (patch.maintainerId !== undefined) {
        if (!isAbove(relation)) throw organizationErrors.noAccess({ scope: 'maintainer', id: patch.maintainerId });
        await relate(tx, manager, { scope: 'maintainer', id: patch.maintainerId });
      }
      await updateOrganization(tx, id, { ...patch, name: patch.name?.trim() });
      return this.#require(tx, id);
    });
  }

  async delete(manager: Manager, id: number): Promise<void> {
    const group: Group = { scope: 'organization', id };
    await this.#db.transaction(async (tx) => {
      await relate(tx, manager, group);
      if (!(await deleteOrganization(tx, id))) throw organizationErrors.notEmpty('projects');
      await deletePendingOf(tx, group);
    });
  }

  async projects(manager: Manager, id: number): Promise<Project[]> {
    await relate(this.#db, manager, { scope: 'organization', id }, 'projects:read');
    return listProjectsOf(this.#db, id);
  }

  /** For whoever has the project already. */
  async ofProject(manager: Manager, project: Project): Promise<Organization> {
    await relate(this.#db, manager, { scope: 'project', id: project.id }, 'projects:read');
    return this.#require(this.#db, project.organization.id);
  }

  /** The id of the new project. Its secrets are given to nobody: tokens are made in a call of their own. */
  async createProject(
    manager: Manager,
    id: number,
    input: { name: string; type?: string | undefined; dataRetentionTimeInDays?: number | undefined },
  ): Promise<number> {
    return this.#db.transaction(async (tx) => {
      const { isOrganizationMember } = await relate(tx, manager, { scope: 'organization', id });
      if (!isOrganizationMember) throw organizationErrors.onlyMembersCreateProjects();
      if (!(await lockOrganization(tx, id))) throw organizationErrors.notFound({ scope: 'organization', id });
      const owner = { id: manager.personId, email: manager.email };
      const { project } = await this.#projects.createIn(tx, id, owner, input);
      const { type, dataRetentionTimeInDays } = input;
      await updateProject(tx, project.id, { type, settings: { dataRetentionTimeInDays } });
      return project.id;
    });
  }

  async projectsUsers(manager: Manager, id: number): Promise<(PersonName & { features: string[] })[]> {
    requireOrganizationMember(await relate(this.#db, manager, { scope: 'organization', id }));
    return listProjectsUsers(this.#db, id);
  }

  async #require(db: Db, id: number): Promise<Organization> {
    const [organization] = await listOrganizations(db, { id });
    if (!organization) throw organizationErrors.notFound({ scope: 'organization', id });
    return organization;
  }
}

function checkName(text: string): string {
  const name = text.trim();
  if (name === '' || name.length > 255) throw organizationErrors.nameMissing();
  return name;
}
