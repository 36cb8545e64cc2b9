import { errors } from '../errors.ts';
import type { Actor, BucketRight } from './actor.ts';

/**
 * What an actor may do inside its project. Pure rules over the actor alone; operations call them and throw
 * `errors.forbidden` (or use `assertAllowed`).
 */
const RANK: Record<BucketRight, number> = { read: 1, write: 2, manage: 3 };

/** The right the actor has on a bucket, if any. */
export function bucketRight(actor: Actor, bucketId: string): BucketRight | undefined {
  if (isReader(actor)) return 'read';
  if (actor.token.isMaster || actor.token.canManageBuckets) return 'manage';
  return Object.hasOwn(actor.token.bucketPermissions, bucketId) ? actor.token.bucketPermissions[bucketId] : undefined;
}

/** Detail, preview, export. */
export function canReadBucket(actor: Actor, bucketId: string): boolean {
  return hasBucketRight(actor, bucketId, 'read');
}

/** Import, metadata, columns. */
export function canWriteBucket(actor: Actor, bucketId: string): boolean {
  return hasBucketRight(actor, bucketId, 'write');
}

/** Create and drop its tables, drop or share the bucket itself. */
export function canManageBucket(actor: Actor, bucketId: string): boolean {
  return hasBucketRight(actor, bucketId, 'manage');
}

export function canCreateBucket(actor: Actor): boolean {
  return !isReader(actor) && (actor.token.isMaster || actor.token.canManageBuckets);
}

/** Whether listings show every bucket of the project, instead of those the token names. */
export function canReadAllBuckets(actor: Actor): boolean {
  return isReader(actor) || canCreateBucket(actor);
}

/** Open buckets to other projects, and see what these have opened: those who are more than guests here. */
export function canShareBuckets(actor: Actor): boolean {
  const role = actor.token.person?.role;
  return actor.token.isMaster && role !== 'guest' && role !== 'readOnly';
}

/** Make buckets that show another project's tables. */
export function canLinkBuckets(actor: Actor): boolean {
  return canCreateBucket(actor) || canShareBuckets(actor);
}

/** Read configurations of a component. */
export function canReadComponent(actor: Actor, componentId: string): boolean {
  if (actor.token.isMaster || actor.token.canManageBuckets) return actor.token.person?.role !== 'share';
  return actor.token.componentAccess?.includes(componentId) ?? false;
}

/** Create, change and delete configurations of a component, and its state. */
export function canConfigureComponent(actor: Actor, componentId: string): boolean {
  return !isReader(actor) && canReadComponent(actor, componentId);
}

export function canRunComponent(actor: Actor, componentId: string): boolean {
  return canConfigureComponent(actor, componentId);
}

/** Whether the token sees components at all: one without any right on them is refused even the listing. */
export function canListComponents(actor: Actor): boolean {
  return actor.token.isMaster || actor.token.canManageBuckets || actor.token.componentAccess !== undefined;
}

/** Upload files and make what belongs to the token itself. */
export function canWriteFiles(actor: Actor): boolean {
  return !isReader(actor);
}

/** Other tokens' files. */
export function canReadAllFiles(actor: Actor): boolean {
  return actor.token.isMaster || actor.token.canReadAllFiles;
}

export function canPurgeTrash(actor: Actor): boolean {
  return !isReader(actor) && (actor.token.isMaster || actor.token.canPurgeTrash);
}

/** See and change other tokens of the project. */
export function canManageTokens(actor: Actor): boolean {
  return ownsKey(actor) && !isReader(actor) && actor.token.person?.role !== 'guest' && actor.token.canManageTokens;
}

/** Whether the key of the call is the token's own: with one that was lent nobody may see or renew it, or make others. */
export function ownsKey(actor: Actor): boolean {
  return actor.isLent !== true;
}

/** Guests may make a token with nothing but a description and an expiration. */
export function canCreateTokens(actor: Actor): boolean {
  return canManageTokens(actor) || (actor.token.isMaster && actor.token.person?.role === 'guest');
}

export function canManageBranches(actor: Actor): boolean {
  return actor.token.isMaster && !isReader(actor);
}

/** Storage jobs show to whoever made them and to masters; component jobs to the whole project. */
export function canReadJob(actor: Actor, job: { projectId: number; lane: string; token: { id: number } }): boolean {
  if (job.projectId !== actor.projectId) return false;
  return job.lane !== 'storage' || actor.token.isMaster || job.token.id === actor.token.id;
}

export function assertAllowed(allowed: boolean, message?: string): void {
  if (!allowed) throw errors.forbidden(message);
}

function hasBucketRight(actor: Actor, bucketId: string, needed: BucketRight): boolean {
  const right = bucketRight(actor, bucketId);
  return right !== undefined && RANK[right] >= RANK[needed];
}

/** Persons whose role lets them look at everything and change nothing. */
export function isReader(actor: Actor): boolean {
  const role = actor.token.person?.role;
  return actor.token.isMaster && (role === 'readOnly' || role === 'share');
}
