import type { Actor } from '../identity/actor.ts';
import { isReader } from '../identity/permissions.ts';
import type { ClassRight, ObjectClass } from './class-model.ts';
import { objectErrors } from './object-errors.ts';
import { OBJECT_RIGHTS, type ObjectRight } from './object-model.ts';
import type { StoredRow, Viewer } from './object-store.ts';

/** Whether the rules of classes and objects do not hold for the actor. */
export function canManageObjects(actor: Actor): boolean {
  if (isReader(actor)) return false;
  return actor.token.isMaster || actor.token.canManageBuckets || actor.token.objects?.ignoresRules === true;
}

export function canReadAllObjects(actor: Actor): boolean {
  return isReader(actor) || canManageObjects(actor);
}

export function canCreateUsers(actor: Actor): boolean {
  return canManageObjects(actor) || actor.token.objects?.createsUsers === true;
}

export function canCreateGroups(actor: Actor): boolean {
  return canManageObjects(actor) || actor.token.objects?.createsGroups === true;
}

/** What the actor may do with a class as such. */
export function classRight(actor: Actor, of: ObjectClass): ClassRight {
  if (canManageObjects(actor)) return 'create_objects';
  if (canReadAllObjects(actor)) return 'read';
  const { endUser } = actor;
  if (!endUser) return actor.token.objects?.readsPublic && of.otherRight !== 'none' ? 'read' : 'none';
  const byGroup = of.groupId !== undefined && endUser.groupIds.includes(of.groupId) ? of.groupRight : 'none';
  if (byGroup === 'create_objects' || of.otherRight === 'create_objects') return 'create_objects';
  return byGroup === 'read' ? 'read' : of.otherRight;
}

/** Throws when the actor may not even see the class's objects. */
export function assertCanRead(actor: Actor, of: ObjectClass): void {
  if (classRight(actor, of) === 'none') throw objectErrors.noPermission();
}

/** Throws when the actor may not make objects of the class. */
export function assertCanCreate(actor: Actor, of: ObjectClass): void {
  if (classRight(actor, of) !== 'create_objects') throw objectErrors.noPermission();
}

/** Whose eyes a listing is made for; undefined for who sees everything. */
export function viewerOf(actor: Actor): Viewer {
  if (canReadAllObjects(actor)) return undefined;
  return { userId: actor.endUser?.id, groupIds: actor.endUser?.groupIds ?? [] };
}

export function objectRight(actor: Actor, row: StoredRow): ObjectRight {
  if (canManageObjects(actor)) return 'full';
  const rights: ObjectRight[] = [isReader(actor) ? 'read' : 'none', row.otherRight];
  const { endUser } = actor;
  if (endUser && row.ownerId === endUser.id) rights.push(row.ownerRight);
  if (endUser && row.groupId !== null && endUser.groupIds.includes(row.groupId)) rights.push(row.groupRight);
  // Without an end user there is nobody whom the others' right to write was given to.
  const highest = rights.reduce((best, right) => (rankOf(right) > rankOf(best) ? right : best));
  return endUser || isReader(actor) || highest === 'none' ? highest : 'read';
}

export function hasRight(right: ObjectRight, needed: ObjectRight): boolean {
  return rankOf(right) >= rankOf(needed);
}

/** Nobody gives more than he has. */
export function atMost(right: ObjectRight, limit: ObjectRight): ObjectRight {
  return rankOf(right) > rankOf(limit) ? limit : right;
}

function rankOf(right: ObjectRight): number {
  return OBJECT_RIGHTS.indexOf(right);
}
