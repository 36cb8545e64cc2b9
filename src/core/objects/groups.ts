import type { Database, Transaction } from '../../db/database.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import type { EventName } from '../events/event-names.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { listClasses, notifyClasses } from './class-store.ts';
import { knownUserIds, notifyEndUsers } from './end-user-store.ts';
import type { EndUsers, EndUserView } from './end-users.ts';
import {
  deleteGroup,
  deleteMember,
  findGroup,
  type Group,
  groupIdsOf,
  insertGroup,
  insertMember,
  listGroups,
  listMembers,
  lockMembershipsOf,
  ungroupClasses,
  ungroupObjects,
  updateGroup,
} from './group-store.ts';
import { canCreateGroups, canManageObjects, canReadAllObjects } from './object-access.ts';
import { type FieldProblems, objectErrors } from './object-errors.ts';

export type { Group };

export type GroupPatch = {
  name?: string | null | undefined;
  label?: string | undefined;
  description?: string | undefined;
};

const MAX_GROUPS_OF_USER = 32;
const MAX_NAME = 64;
const MAX_DESCRIPTION = 256;

/** Groups of a project's end users. An end user sees those he is in, and himself in them. */
export class Groups {
  readonly #db: Database;
  readonly #events: Events;
  readonly #endUsers: EndUsers;

  constructor(parts: { db: Database; events: Events; endUsers: EndUsers }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#endUsers = parts.endUsers;
  }

  async list(actor: Actor, page: KeysetPage<number>): Promise<Group[]> {
    return listGroups(this.#db, actor.projectId, { ...page, ids: visibleGroups(actor) });
  }

  async get(actor: Actor, id: number): Promise<Group> {
    const ids = visibleGroups(actor);
    const found = ids && !ids.includes(id) ? undefined : await findGroup(this.#db, actor.projectId, id);
    if (!found) throw objectErrors.groupNotFound();
    return found;
  }

  async create(actor: Actor, input: GroupPatch & { label: string }): Promise<Group> {
    if (!canCreateGroups(actor)) throw objectErrors.noPermission();
    const wanted = checked({ name: null, description: '', ...defined(input), label: input.label });
    return this.#db.transaction(async (tx) => {
      const made = await insertGroup(tx, actor.projectId, wanted);
      if (!made) throw nameTaken();
      await this.#report(tx, actor, 'end-user-group.created', made, `Created group "${made.label}"`);
      return made;
    });
  }

  async update(actor: Actor, id: number, patch: GroupPatch): Promise<Group> {
    const before = await this.get(actor, id);
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    return this.#db.transaction(async (tx) => {
      const after = await updateGroup(tx, { id, ...checked({ ...before, ...defined(patch) }) });
      if (!after) throw nameTaken();
      await this.#report(tx, actor, 'end-user-group.updated', after, `Changed group "${after.label}"`);
      return after;
    });
  }

  /** What belonged to it belongs to no group any more. */
  async delete(actor: Actor, id: number): Promise<void> {
    const group = await this.get(actor, id);
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    await this.#db.transaction(async (tx) => {
      await deleteGroup(tx, id);
      await ungroupClasses(tx, actor.projectId, id);
      const classes = await listClasses(tx, actor.projectId, { limit: 1000 });
      for (const one of classes) if (one.sourceTableId === undefined) await ungroupObjects(tx, one.id, id);
      await notifyClasses(tx);
      await this.#report(tx, actor, 'end-user-group.deleted', group, `Deleted group "${group.label}"`);
    });
  }

  async members(actor: Actor, id: number, page: KeysetPage<number>): Promise<EndUserView[]> {
    await this.get(actor, id);
    const ids = await listMembers(this.#db, id, page);
    const seen = canReadAllObjects(actor) ? ids : ids.filter((userId) => userId === actor.endUser?.id);
    return Promise.all(seen.map((userId) => this.#endUsers.get(actor, userId)));
  }

  async member(actor: Actor, id: number, userId: number): Promise<EndUserView> {
    await this.get(actor, id);
    const groups = await groupIdsOf(this.#db, [userId]);
    if (!groups.get(userId)?.includes(id)) throw objectErrors.userNotFound();
    return this.#endUsers.get(actor, userId);
  }

  /** The groups of a user. */
  async ofUser(actor: Actor, userId: number, page: KeysetPage<number>): Promise<Group[]> {
    await this.#endUsers.get(actor, userId);
    const ids = (await groupIdsOf(this.#db, [userId])).get(userId) ?? [];
    return listGroups(this.#db, actor.projectId, { ...page, ids });
  }

  async add(actor: Actor, id: number, userId: number): Promise<void> {
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    const group = await findGroup(this.#db, actor.projectId, id);
    if (!group) throw missing('group', id);
    const [known] = await knownUserIds(this.#db, actor.projectId, [userId]);
    if (known === undefined) throw missing('user', userId);
    await this.#db.transaction(async (tx) => {
      const before = await lockMembershipsOf(tx, userId);
      if (before.includes(id)) throw objectErrors.groupMember();
      if (before.length >= MAX_GROUPS_OF_USER) throw objectErrors.groupCount(MAX_GROUPS_OF_USER);
      await insertMember(tx, id, userId);
      await this.#report(tx, actor, 'end-user-group.updated', group, `Added user ${userId} to group "${group.label}"`);
    });
  }

  async remove(actor: Actor, id: number, userId: number): Promise<void> {
    const group = await this.get(actor, id);
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    await this.#db.transaction(async (tx) => {
      if (!(await deleteMember(tx, id, userId))) throw objectErrors.userNotFound();
      await this.#report(
        tx,
        actor,
        'end-user-group.updated',
        group,
        `Removed user ${userId} from group "${group.label}"`,
      );
    });
  }

  async #report(
    tx: Transaction,
    actor: Actor,
    name: Extract<EventName, `end-user-group.${string}`>,
    group: Group,
    message: string,
  ): Promise<void> {
    // What is remembered of users has their groups in it.
    await notifyEndUsers(tx);
    tx.afterCommit(() => this.#endUsers.forget());
    await this.#events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message,
        objectType: 'end-user-group',
        objectId: String(group.id),
        objectName: group.label,
      }),
    );
  }
}

/** Undefined: all of them. */
function visibleGroups(actor: Actor): number[] | undefined {
  if (canReadAllObjects(actor)) return undefined;
  if (!actor.endUser) throw objectErrors.noPermission();
  return actor.endUser.groupIds;
}

function defined(patch: GroupPatch): Partial<Omit<Group, 'id'>> {
  return {
    ...(patch.name !== undefined && { name: patch.name }),
    ...(patch.label !== undefined && { label: patch.label }),
    ...(patch.description !== undefined && { description: patch.description }),
  };
}

function checked({ name, label, description }: Omit<Group, 'id'>): Omit<Group, 'id'> {
  const problems: FieldProblems = {};
  if (label === '') problems.label = ['This field may not be blank.'];
  const limits = {
    label: [label, MAX_NAME],
    name: [name ?? '', MAX_NAME],
    description: [description, MAX_DESCRIPTION],
  } as const;
  for (const [member, [text, max]] of Object.entries(limits)) {
    if (text.length > max) problems[member] = [`Ensure this field has no more than ${max} characters.`];
    if (text.includes('\0')) problems[member] = ['Null characters are not allowed.'];
  }
  const handle = name === null || name === '' ? null : name.toLowerCase();
  if (handle !== null && !/^[a-z0-9_-]+$/.test(handle))
    problems.name = ['Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.'];
  if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
  return { name: handle, label, description };
}

function nameTaken() {
  return objectErrors.invalid({ name: ['This field must be unique.'] });
}

function missing(member: 'user' | 'group', id: number) {
  return objectErrors.invalid({ [member]: [`Invalid pk "${id}" - object does not exist.`] });
}
