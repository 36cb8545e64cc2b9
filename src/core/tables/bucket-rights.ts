import { errors } from '../errors.ts';
import type { Actor, BucketRight } from '../identity/actor.ts';

const RANK: Record<BucketRight, number> = { read: 1, write: 2, manage: 3 };

/** Whether the actor may read, write or manage (drop, describe) a bucket and what is in it. */
export function hasBucketRight(actor: Actor, bucketId: string, right: BucketRight): boolean {
  const { token } = actor;
  const role = token.person?.role;
  if (role === 'readOnly' || role === 'share') return right === 'read';
  if (token.isMaster || token.canManageBuckets) return true;
  const granted = Object.hasOwn(token.bucketPermissions, bucketId) ? token.bucketPermissions[bucketId] : undefined;
  return granted !== undefined && RANK[granted] >= RANK[right];
}

/** Throws before anything is looked up, so that nobody learns what exists in buckets they may not see. */
export function requireBucketRight(actor: Actor, bucketId: string, right: BucketRight): void {
  if (!hasBucketRight(actor, bucketId, right)) throw errors.forbidden();
}

/** Throws unless the actor may make buckets. */
export function requireBucketCreation(actor: Actor): void {
  const { token } = actor;
  const role = token.person?.role;
  if (role === 'readOnly' || role === 'share') throw errors.forbidden();
  if (!token.isMaster && !token.canManageBuckets) throw errors.forbidden();
}
