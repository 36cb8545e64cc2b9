import type { Database, Transaction } from '../../db/database.ts';
import type { Configurations } from '../components/configurations.ts';
import { errors } from '../errors.ts';
import type { EventName } from '../events/event-names.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { identityErrors } from '../identity/identity-errors.ts';
import { assertAllowed, canManageBranches } from '../identity/permissions.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Buckets } from '../tables/buckets.ts';
import type { MetadataItem } from '../tables/object-metadata.ts';
import { deletePlainMetadata, listPlainMetadata, setPlainMetadata } from '../tables/plain-metadata.ts';
import { projectErrors } from './project-errors.ts';
import type { Branch } from './project-model.ts';
import {
  insertBranch,
  listBranches,
  lockBranch,
  lockBranchNames,
  markBranchDeleted,
  updateBranch,
} from './project-store.ts';

export type BranchCreateInput = { name: string; description: string };
export type BranchCreateResult = { branchId: number };
export type BranchDeleteInput = { branchId: number };

/** A branch has an own metadata object in itself, so it needs no id there. */
const ITSELF = { type: 'branch', id: '' } as const;

/**
 * Development branches: each has its own configurations, their metadata and the workspaces of its jobs. A new one begins
 * with what the default branch has at that moment. Buckets and tables are those of the project.
 */
export class Branches {
  readonly #parts: { db: Database; events: Events; jobs: Jobs; configurations: Configurations; buckets: Buckets };

  constructor(parts: { db: Database; events: Events; jobs: Jobs; configurations: Configurations; buckets: Buckets }) {
    this.#parts = parts;
  }

  /** The default branch first. */
  async list(actor: Actor): Promise<Branch[]> {
    return listBranches(this.#parts.db, actor.projectId);
  }

  async get(actor: Actor, id: number | 'default'): Promise<Branch> {
    const found = (await this.list(actor)).find((branch) => (id === 'default' ? branch.isDefault : branch.id === id));
    if (!found) throw identityErrors.branchNotFound(id);
    return found;
  }

  /** A job that makes the branch. */
  async createLater(actor: Actor, input: BranchCreateInput): Promise<Job> {
    assertAllowed(canManageBranches(actor));
    const name = requireName(input.name);
    requireFree(name, await this.list(actor));
    return this.#parts.jobs.create(actor, { kind: 'branch-create', input: { ...input, name } });
  }

  /** The branch with everything it begins with, or nothing at all. */
  async createIn(tx: Transaction, actor: Actor, input: BranchCreateInput): Promise<Branch> {
    assertAllowed(canManageBranches(actor));
    const { projectId, token } = actor;
    await lockBranchNames(tx, projectId);
    requireFree(input.name, await listBranches(tx, projectId));
    const creator = { id: token.id, description: token.description };
    const branch = await insertBranch(tx, { projectId, ...input, isDefault: false, creator });
    await this.#parts.configurations.copyBranchIn(tx, actor, branch.id);
    await this.#append(tx, actor, branch, 'branch.created', `Created development branch "${branch.name}"`);
    return branch;
  }

  /** The default branch keeps its name. */
  async update(
    actor: Actor,
    id: number | 'default',
    patch: { name?: string | undefined; description?: string | undefined },
  ): Promise<Branch> {
    assertAllowed(canManageBranches(actor));
    const { id: branchId } = await this.get(actor, id);
    return this.#parts.db.transaction(async (tx) => {
      await lockBranchNames(tx, actor.projectId);
      const current = await lockBranch(tx, actor.projectId, branchId);
      if (!current) throw identityErrors.branchNotFound(branchId);
      const name = patch.name === undefined ? current.name : requireName(patch.name);
      if (current.isDefault && name !== current.name) throw projectErrors.defaultBranchName();
      const others = (await listBranches(tx, actor.projectId)).filter((branch) => branch.id !== branchId);
      requireFree(name, others);
      const changed = { ...current, name, description: patch.description ?? current.description };
      if (changed.name === current.name && changed.description === current.description) return current;
      await updateBranch(tx, branchId, changed);
      await this.#append(tx, actor, changed, 'branch.updated', `Updated development branch "${name}"`);
      return changed;
    });
  }

  /** A job that deletes the branch. Guests delete only what they have made. */
  async deleteLater(actor: Actor, id: number | 'default'): Promise<Job> {
    assertAllowed(canManageBranches(actor));
    const branch = await this.get(actor, id);
    requireDeletable(actor, branch);
    return this.#parts.jobs.create(actor, { kind: 'branch-delete', input: { branchId: branch.id } });
  }

  /** With its configurations and the buckets its jobs have made; its workspaces are dropped after it. */
  async deleteIn(tx: Transaction, actor: Actor, branchId: number): Promise<void> {
    assertAllowed(canManageBranches(actor));
    const branch = await lockBranch(tx, actor.projectId, branchId);
    if (!branch) throw identityErrors.branchNotFound(branchId);
    requireDeletable(actor, branch);
    await this.#parts.configurations.dropBranchIn(tx, actor, branchId);
    await this.#parts.buckets.deleteOfBranchIn(tx, actor, branchId);
    await markBranchDeleted(tx, branchId);
    await this.#append(tx, actor, branch, 'branch.deleted', `Deleted development branch "${branch.name}"`);
  }

  /** Metadata of the actor's branch, oldest first. */
  async metadata(actor: Actor): Promise<MetadataItem[]> {
    return (await listPlainMetadata(this.#parts.db, actor, 'branch', [''])).get('') ?? [];
  }

  /** Sets values of keys; other items stay. Returns all items. */
  async setMetadata(actor: Actor, items: readonly { key: string; value: string }[]): Promise<MetadataItem[]> {
    assertAllowed(canManageBranches(actor));
    return this.#parts.db.transaction(async (tx) => {
      const branch = await this.#own(tx, actor);
      const all = await setPlainMetadata(tx, actor, ITSELF, items);
      const keys = items.map((item) => item.key);
      await this.#append(tx, actor, branch, 'branch.metadata-set', 'Metadata of the branch set', { keys });
      return all;
    });
  }

  async deleteMetadata(actor: Actor, id: number): Promise<void> {
    assertAllowed(canManageBranches(actor));
    await this.#parts.db.transaction(async (tx) => {
      const branch = await this.#own(tx, actor);
      const item = await deletePlainMetadata(tx, actor, ITSELF, id);
      if (!item) throw projectErrors.branchMetadataNotFound(id);
      const keys = [item.key];
      await this.#append(tx, actor, branch, 'branch.metadata-deleted', 'Metadata of the branch deleted', { keys });
    });
  }

  /** Within a change the branch stays until its end, so that nothing outlives it. */
  async #own(tx: Transaction, actor: Actor): Promise<Branch> {
    const branch = await lockBranch(tx, actor.projectId, actor.branchId);
    if (!branch) throw identityErrors.branchNotFound(actor.branchId);
    return branch;
  }

  async #append(tx: Transaction, actor: Actor, branch: Branch, name: EventName, message: string, params: object = {}) {
    await this.#parts.events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message,
        objectType: 'branch',
        objectId: String(branch.id),
        objectName: branch.name,
        params: { name: branch.name, ...params },
      }),
    );
  }
}

function requireName(name: string): string {
  if (name.trim() === '' || name.length > 255) throw projectErrors.invalidBranchName();
  return name;
}

function requireFree(name: string, branches: Branch[]): void {
  const isTaken = branches.some((branch) => branch.name.toLowerCase() === name.toLowerCase());
  if (isTaken) throw projectErrors.branchNameTaken(name);
}

function requireDeletable(actor: Actor, branch: Branch): void {
  if (branch.isDefault) throw projectErrors.defaultBranchStays();
  const isGuest = actor.token.person?.role === 'guest';
  if (isGuest && branch.creator?.id !== actor.token.id) throw errors.forbidden();
}
