import { errors } from '../errors.ts';
import type { Actor, BucketRight } from '../identity/actor.ts';
import {
  assertAllowed,
  canCreateBucket,
  canManageBucket,
  canReadBucket,
  canWriteBucket,
} from '../identity/permissions.ts';

const RULES = { read: canReadBucket, write: canWriteBucket, manage: canManageBucket };

/** Asked before anything is looked up, so that nobody learns what exists in buckets they may not see. */
export function requireBucketRight(actor: Actor, bucketId: string, right: BucketRight): void {
  if (!RULES[right](actor, bucketId)) throw errors.forbidden();
}

/** Throws unless the actor may make buckets. */
export function requireBucketCreation(actor: Actor): void {
  assertAllowed(canCreateBucket(actor));
}
