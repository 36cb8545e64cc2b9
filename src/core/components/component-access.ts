import type { Actor } from '../identity/actor.ts';
import { componentErrors } from './component-errors.ts';

/** Whether the token may see and run configurations of the component. */
export function canUseComponent(actor: Actor, componentId: string): boolean {
  const accessible = accessibleComponents(actor);
  return accessible === 'all' || accessible.includes(componentId);
}

/** The components whose configurations the token may see. */
export function accessibleComponents(actor: Actor): 'all' | string[] {
  // People with this role look after shared buckets and have no business with configurations.
  if (actor.token.person?.role === 'share') return [];
  if (actor.token.isMaster || actor.token.canManageBuckets) return 'all';
  return actor.token.componentAccess ?? [];
}

export function assertCanRead(actor: Actor, componentId: string): void {
  if (!canUseComponent(actor, componentId)) throw componentErrors.accessDenied();
}

export function assertCanWrite(actor: Actor, componentId: string): void {
  if (isReadOnly(actor) || !canUseComponent(actor, componentId)) throw componentErrors.accessDenied();
}

export function isReadOnly(actor: Actor): boolean {
  return actor.token.person?.role === 'readOnly';
}
