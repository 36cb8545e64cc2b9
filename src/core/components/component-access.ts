import { errors } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import { canConfigureComponent, canListComponents, canReadComponent } from '../identity/permissions.ts';

/** The components whose configurations the token sees in listings; undefined: all of them. */
export function listableComponents(actor: Actor): string[] | undefined {
  if (!canListComponents(actor)) throw errors.forbidden();
  const { isMaster, canManageBuckets, componentAccess = [] } = actor.token;
  if (!isMaster && !canManageBuckets) return componentAccess;
  // Sees everything of a project except its configurations.
  return actor.token.person?.role === 'share' ? [] : undefined;
}

export function assertCanRead(actor: Actor, componentId: string): void {
  if (!canReadComponent(actor, componentId)) throw errors.forbidden();
}

export function assertCanWrite(actor: Actor, componentId: string): void {
  if (!canConfigureComponent(actor, componentId)) throw errors.forbidden();
}
