import type { Database, Transaction } from '../../db/database.ts';
import { sharedRead } from '../../lib/gathering.ts';
import { randomToken, uuidv4 } from '../../lib/ids.ts';
import { errors } from '../errors.ts';
import type { Events } from '../events/events.ts';
import type { Actor, Manager } from '../identity/actor.ts';
import type { Identity } from '../identity/identity.ts';
import { hashPassword } from '../identity/password.ts';
import { type Credentials, type ProjectCredentials, toCredentials, toProjectCredentials } from './credentials.ts';
import { insertMember as insertGroupMember } from './membership-store.ts';
import { findFirstMaintainer, insertMaintainer, insertOrganization } from './organization-store.ts';
import { projectErrors } from './project-errors.ts';
import { isSlug, type Project, type ProjectOwner, slugify } from './project-model.ts';
import {
  findFirstAdmin,
  findFirstOrganization,
  findIdOfSlug,
  findOwner,
  findProject,
  freeSlug,
  insertBranch,
  insertMember,
  insertPerson,
  insertProject,
  listProjects,
  lockBootstrap,
  updatePassword,
} from './project-store.ts';

/** What a project needs besides its rows: the catalogue its tables live in. */
export type Lakes = {
  create(tx: Transaction, projectId: number): Promise<void>;
};

/** Without it, clients take the project for one from before the job queue. */
const FIRST_FEATURES = ['queuev2'];
const ADMIN = { email: 'admin@localhost', name: 'Administrator' };

/** Tenants, their branches, and the credentials a new one starts with. */
export class Projects {
  readonly #db: Database;
  readonly #identity: Identity;
  readonly #events: Events;
  readonly #lakes: Lakes;
  /** Nearly every call of some dialects asks for it. */
  readonly #find = sharedRead(String, (id: number) => findProject(this.#db, id));

  constructor(parts: { db: Database; identity: Identity; events: Events; lakes: Lakes }) {
    this.#db = parts.db;
    this.#identity = parts.identity;
    this.#events = parts.events;
    this.#lakes = parts.lakes;
  }

  /** A new tenant with everything it needs, or nothing at all. Its secrets are in the answer only. */
  async create(
    manager: Pick<Manager, 'personId' | 'email' | 'isSuperAdmin'>,
    input: { name: string; slug?: string },
  ): Promise<ProjectCredentials> {
    if (!manager.isSuperAdmin) throw errors.forbidden();
    return this.#db.transaction(async (tx) => {
      const organizationId = await findFirstOrganization(tx);
      if (organizationId === undefined) throw new Error('the database has no organization: bootstrap did not run');
      return this.createIn(tx, organizationId, { id: manager.personId, email: manager.email }, input);
    });
  }

  /** Of the project with this slug: no right is asked for, and none is given. */
  async findId(slug: string): Promise<number | undefined> {
    return findIdOfSlug(this.#db, slug.toLowerCase());
  }

  /** The actor's own project. */
  async get(actor: Actor): Promise<Project> {
    const project = await this.#find(actor.projectId);
    if (!project) throw projectErrors.notFound(actor.projectId);
    return project;
  }

  /** The person whose the actor's own project is. */
  async owner(actor: Actor): Promise<ProjectOwner | undefined> {
    return findOwner(this.#db, actor.projectId);
  }

  /** The projects a person may see: all of them for a super administrator. */
  async list(
    manager: Pick<Manager, 'personId' | 'isSuperAdmin'> & Partial<Pick<Manager, 'scopes'>>,
  ): Promise<Project[]> {
    if (manager.scopes !== undefined) throw errors.forbidden();
    return listProjects(this.#db, manager.isSuperAdmin ? undefined : manager.personId);
  }

  /**
   * Called at every start. On an empty database it makes the first organization, the administrator and the first
   * project, and answers their credentials; otherwise it changes nothing and answers undefined.
   */
  async bootstrap(): Promise<Credentials | undefined> {
    if (await findFirstAdmin(this.#db)) return undefined;
    const password = randomToken(18);
    const passwordHash = await hashPassword(password);
    return this.#db.transaction(async (tx) => {
      await lockBootstrap(tx);
      if (await findFirstAdmin(tx)) return undefined;
      const maintainerId = (await findFirstMaintainer(tx)) ?? (await insertMaintainer(tx, 'Default'));
      const organizationId = await insertOrganization(tx, { uuid: uuidv4(), name: 'Default', maintainerId });
      const personId = await insertPerson(tx, { ...ADMIN, passwordHash, isSuperAdmin: true });
      await insertGroupMember(tx, { scope: 'maintainer', id: maintainerId }, { personId });
      await insertGroupMember(tx, { scope: 'organization', id: organizationId }, { personId });
      const owner = { id: personId, email: ADMIN.email };
      const made = await this.createIn(tx, organizationId, owner, { name: 'Demo', slug: 'demo' });
      const manage = await this.#identity.issue(tx, { kind: 'manage', personId, description: ADMIN.email });
      return toCredentials(made, { email: ADMIN.email, password }, manage.secret);
    });
  }

  /**
   * For a lost credentials file: new secrets for the administrator and the first project. The old ones stop working,
   * since nobody can say who has found them.
   */
  async resetCredentials(): Promise<Credentials> {
    const password = randomToken(18);
    const passwordHash = await hashPassword(password);
    return this.#db.transaction(async (tx) => {
      const admin = await findFirstAdmin(tx);
      const [project] = await listProjects(tx, undefined);
      if (!admin || !project) throw new Error('there is nothing to reset: bootstrap did not run');
      await updatePassword(tx, admin.id, passwordHash);
      const owner = { projectId: project.id };
      const storage = await this.#identity.reissue(tx, owner, 'storage');
      const manage = await this.#identity.reissue(tx, { personId: admin.id }, 'manage');
      const application = await this.#identity.reissue(tx, owner, 'application');
      const account = await this.#identity.reissue(tx, owner, 'account-key');
      const apiKey = await this.#identity.reissue(tx, owner, 'api-key');
      const credentials = toProjectCredentials(project, {
        storageToken: storage.secret,
        clientId: application.token.publicId ?? '',
        clientSecret: application.secret,
        accountKey: account.secret,
        apiKey: apiKey.secret,
      });
      return toCredentials(credentials, { email: admin.email, password }, manage.secret);
    });
  }

  /** For whoever has asked for the right already. */
  async createIn(
    tx: Transaction,
    organizationId: number,
    owner: { id: number; email: string },
    input: { name: string; slug?: string },
  ): Promise<ProjectCredentials> {
    const name = input.name.trim();
    if (name === '' || name.length > 255) throw projectErrors.nameMissing();
    if (input.slug !== undefined && !isSlug(input.slug)) throw projectErrors.invalidSlug(input.slug);
    const uuid = uuidv4();
    const features = FIRST_FEATURES;
    let projectId: number | undefined;
    let slug = input.slug ?? '';
    if (input.slug !== undefined) {
      projectId = await insertProject(tx, { organizationId, uuid, slug, name, features });
      if (projectId === undefined) throw projectErrors.slugTaken(slug);
    }
    // Another transaction may take the free one first; then the next free one is found.
    while (projectId === undefined) {
      slug = await freeSlug(tx, slugify(name));
      projectId = await insertProject(tx, { organizationId, uuid, slug, name, features });
    }
    const branch = await insertBranch(tx, { projectId, name: 'Main', isDefault: true });
    await insertMember(tx, projectId, owner.id, 'admin');
    const person = { projectId, personId: owner.id, description: owner.email };
    const storage = await this.#identity.issue(tx, { ...person, kind: 'storage', isMaster: true });
    const clientId = uuidv4();
    const application = await this.#identity.issue(tx, {
      ...person,
      kind: 'application',
      publicId: clientId,
      description: 'Default application',
    });
    // Opens this project only, although the person may have others: a tenant's key must not open another tenant.
    const account = await this.#identity.issue(tx, { ...person, kind: 'account-key' });
    const apiKey = await this.#identity.issue(tx, {
      kind: 'api-key',
      projectId,
      description: 'Default API key',
      rights: { ignoreAcl: true },
    });
    await this.#lakes.create(tx, projectId);
    await this.#events.append(tx, {
      projectId,
      branchId: branch.id,
      name: 'project.created',
      component: 'storage',
      type: 'info',
      message: `Created project "${name}"`,
      objectType: 'project',
      objectId: String(projectId),
      objectName: name,
      token: { id: storage.id, name: owner.email },
    });
    return toProjectCredentials(
      { id: projectId, uuid, name, slug },
      {
        storageToken: storage.secret,
        clientId,
        clientSecret: application.secret,
        accountKey: account.secret,
        apiKey: apiKey.secret,
      },
    );
  }
}
