import type { Database, Db, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, canLinkBuckets, canShareBuckets } from '../identity/permissions.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import {
  insertLink,
  listLinkable,
  listLinks,
  listPersonsOfOrganization,
  listProjectsOfOrganization,
  listSources,
  setShare,
} from './bucket-sharing-store.ts';
import { type BucketRow, deleteBucket, findBucket, findBucketByDisplayName, type Place } from './bucket-store.ts';
import { LakeCommit } from './lake-commit-store.ts';
import { requireBucketDisplayName, requireBucketName, toBucketName } from './names.ts';
import { deleteMetadataOfBucket } from './object-metadata-store.ts';
import { tableErrors } from './table-errors.ts';
import { toJson } from './table-job.ts';
import type { BucketShare, BucketSource, NewBucket, SharingType } from './table-model.ts';

/** With whom, in the words of people. */
export type NewShare =
  | { type: 'organization' | 'organization-project' }
  | { type: 'specific-projects'; projectIds: number[] }
  | { type: 'specific-users'; persons: (number | string)[] };

export type NewLink = Pick<NewBucket, 'stage' | 'name' | 'displayName'> & {
  source: { projectId: number; bucketId: string };
};

/** `input` of jobs of the kind bucket-sharing. */
export type SharingInput = { bucketId: string } & (
  | { act: 'share'; share: NewShare; isChange: boolean }
  | { act: 'unshare' }
  | { act: 'unlink'; projectId: number }
  | { act: 'link'; link: NewLink }
);

/**
 * Buckets that projects of one organization show each other. A link is a bucket without tables of its own: who reads
 * one of its tables reads the owner's, and the link is looked up anew for each reading. Nothing can be written through it.
 */
export class BucketSharing {
  readonly #db: Database;
  readonly #events: Events;
  readonly #jobs: Jobs;
  readonly #clock: Clock;

  constructor(parts: { db: Database; events: Events; jobs: Jobs; clock: Clock }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#jobs = parts.jobs;
    this.#clock = parts.clock;
  }

  /** The same as a job. What can be refused at once is. */
  async applyLater(actor: Actor, input: SharingInput): Promise<Job> {
    await this.#check(this.#db, actor, input);
    return this.#jobs.create(actor, {
      kind: 'bucket-sharing',
      input: toJson(input),
      objectId: input.bucketId,
      lockKey: `bucket:${actor.projectId}:${actor.storageBranchId}:${input.bucketId}`,
    });
  }

  async apply(actor: Actor, input: SharingInput): Promise<void> {
    await this.#db.transaction((tx) => this.applyIn(tx, actor, input));
  }

  /** `apply` inside of a transaction that does more, such as ending the job. */
  async applyIn(tx: Transaction, actor: Actor, input: SharingInput): Promise<void> {
    switch (input.act) {
      case 'share':
        return this.#share(tx, actor, input);
      case 'unshare':
        return this.#unshare(tx, actor, input.bucketId);
      case 'unlink':
        return this.#unlink(tx, actor, input.bucketId, input.projectId);
      case 'link':
        return this.#link(tx, actor, input.link);
    }
  }

  /** Buckets of other projects that the actor may link, with what is to be known before. */
  async listLinkable(actor: Actor): Promise<(Place & { id: string; projectName: string })[]> {
    assertAllowed(canShareBuckets(actor));
    return listLinkable(this.#db, actor);
  }

  /** What buckets of one branch show of their sharing: to whom they are open, who has linked them, whose they are. */
  async describe(
    place: Place,
    rows: readonly BucketRow[],
  ): Promise<Map<string, { share?: BucketShare; source?: BucketSource }>> {
    const shared = rows.filter((row) => row.shared !== undefined);
    const described = new Map<string, { share?: BucketShare; source?: BucketSource }>();
    if (shared.length > 0) {
      const ids = (of: (row: BucketRow) => number[] | undefined) => [
        ...new Set(shared.flatMap((row) => of(row) ?? [])),
      ];
      const projectIds = ids((row) => row.shared?.projectIds);
      const personIds = ids((row) => row.shared?.personIds);
      const [links, projects, persons] = await Promise.all([
        listLinks(
          this.#db,
          place,
          shared.map(({ id }) => id),
        ),
        projectIds.length > 0 ? listProjectsOfOrganization(this.#db, place.projectId, projectIds) : [],
        personIds.length > 0
          ? listPersonsOfOrganization(this.#db, place.projectId, { ids: personIds, emails: [] })
          : [],
      ]);
      for (const { id, shared: share } of shared) {
        if (!share) continue;
        const { type, by, at } = share;
        described.set(id, {
          share: {
            type,
            by,
            at,
            projects: projects.filter((project) => share.projectIds.includes(project.id)),
            persons: persons.filter((person) => share.personIds.includes(person.id)),
            links: links.get(id) ?? [],
          },
        });
      }
    }
    if (rows.some((row) => row.lakeSchemaId === undefined)) {
      for (const { linkId, projectId, projectName, id, name, displayName, description, sharing } of await listSources(
        this.#db,
        place,
      )) {
        const project = { id: projectId, name: projectName };
        const source = { project, bucketId: id, name, displayName, description, sharing: sharing ?? undefined };
        described.set(linkId, { source });
      }
    }
    return described;
  }

  async #share(
    tx: Transaction,
    actor: Actor,
    { bucketId, share, isChange }: Extract<SharingInput, { act: 'share' }>,
  ): Promise<void> {
    const bucket = await this.#shareable(tx, actor, bucketId);
    if (isChange && !bucket.shared) throw tableErrors.bucketNotShared(bucketId);
    const { token } = actor;
    const { projectIds, personIds } = await targetsOf(tx, actor, share);
    await setShare(tx, actor, bucketId, {
      type: share.type,
      projectIds,
      personIds,
      by: { id: token.person?.id ?? token.id, name: token.person?.name ?? token.description },
      at: this.#clock.now(),
    });
    const name = bucket.shared ? 'bucket.sharing-changed' : 'bucket.sharing-enabled';
    const message = `Bucket ${bucketId} is shared: ${share.type}`;
    await this.#report(tx, actor, name, bucket, message, { sharing: share.type });
  }

  async #unshare(tx: Transaction, actor: Actor, bucketId: string): Promise<void> {
    const bucket = await this.#shareable(tx, actor, bucketId);
    if (!bucket.shared) throw tableErrors.bucketNotShared(bucketId);
    if ((await listLinks(tx, actor, [bucketId])).size > 0) throw tableErrors.bucketLinked();
    await setShare(tx, actor, bucketId, undefined);
    await this.#report(tx, actor, 'bucket.sharing-disabled', bucket, `Bucket ${bucketId} is not shared any more`);
  }

  async #unlink(tx: Transaction, actor: Actor, bucketId: string, projectId: number): Promise<void> {
    const bucket = await this.#shareable(tx, actor, bucketId);
    const links = ((await listLinks(tx, actor, [bucketId])).get(bucketId) ?? []).filter(
      ({ project }) => project.id === projectId,
    );
    if (links.length === 0) throw tableErrors.linkNotFound(projectId);
    for (const link of links) {
      const place = { projectId, storageBranchId: link.branchId };
      await deleteBucket(tx, place, link.bucketId);
      await deleteMetadataOfBucket(tx, place, link.bucketId);
      await this.#events.append(tx, {
        ...bucketEvent('bucket.unlinked', link.bucketId, `Bucket ${link.bucketId} was unlinked by its owner`),
        projectId,
        branchId: link.branchId,
        params: { sourceProject: { id: actor.projectId } },
      });
    }
    const message = `Bucket ${bucketId} was unlinked from project ${projectId}`;
    await this.#report(tx, actor, 'bucket.unlinked', bucket, message, { projectId });
  }

  async #link(tx: Transaction, actor: Actor, link: NewLink): Promise<void> {
    const { id, name, displayName } = nameOf(link);
    // As for other buckets: what keeps two from getting the same name.
    await LakeCommit.begin(tx, actor.projectId);
    await this.#checkLink(tx, actor, link);
    const [source] = await listLinkable(tx, actor, link.source);
    if (!source) throw tableErrors.linkForbidden();
    const bucket: BucketRow = {
      id,
      projectId: actor.projectId,
      branchId: actor.storageBranchId,
      stage: link.stage,
      name,
      displayName,
      description: '',
      backend: undefined,
      color: undefined,
      lakeSchemaId: undefined,
      createdAt: this.#clock.now(),
      updatedAt: undefined,
      changedAt: undefined,
    };
    await insertLink(tx, bucket, { ...link.source, storageBranchId: source.storageBranchId });
    await this.#report(tx, actor, 'bucket.linked', bucket, `Bucket ${id} linked`, {
      sourceProject: { id: source.projectId, name: source.projectName },
      sourceBucketId: source.id,
    });
    await this.#events.append(tx, {
      ...bucketEvent('bucket.linked', source.id, `Bucket ${source.id} was linked by project ${actor.projectId}`),
      projectId: source.projectId,
      branchId: source.storageBranchId,
      params: { projectId: actor.projectId },
    });
  }

  async #check(db: Db, actor: Actor, input: SharingInput): Promise<void> {
    if (input.act === 'link') {
      await this.#checkLink(db, actor, input.link);
      return;
    }
    const bucket = await this.#shareable(db, actor, input.bucketId);
    if (input.act === 'share') {
      if (input.isChange && !bucket.shared) throw tableErrors.bucketNotShared(input.bucketId);
      await targetsOf(db, actor, input.share);
      return;
    }
    if (input.act === 'unshare' && !bucket.shared) throw tableErrors.bucketNotShared(input.bucketId);
    if (input.act !== 'unlink') return;
    const links = (await listLinks(db, actor, [input.bucketId])).get(input.bucketId) ?? [];
    if (!links.some(({ project }) => project.id === input.projectId)) throw tableErrors.linkNotFound(input.projectId);
  }

  async #checkLink(db: Db, actor: Actor, link: NewLink): Promise<void> {
    assertAllowed(canLinkBuckets(actor));
    const { id, name, displayName } = nameOf(link);
    const { projectId, bucketId } = link.source;
    if ((await listLinkable(db, actor)).every((one) => one.projectId !== projectId || one.id !== bucketId)) {
      throw tableErrors.linkForbidden();
    }
    if (await findBucket(db, actor, id)) throw tableErrors.bucketExists(name);
    if (await findBucketByDisplayName(db, actor, link.stage, displayName)) {
      throw tableErrors.bucketDisplayNameTaken(displayName);
    }
    const same = (await listSources(db, actor)).find((one) => one.projectId === projectId && one.id === bucketId);
    if (same) throw tableErrors.bucketLinkedTwice(same.linkId);
  }

  /** Locked in a transaction to its end, where it keeps others from linking it meanwhile. */
  async #shareable(db: Db | Transaction, actor: Actor, id: string): Promise<BucketRow> {
    assertAllowed(canShareBuckets(actor));
    const bucket = await findBucket(db, actor, id, 'afterCommit' in db ? 'update' : undefined);
    if (!bucket) throw tableErrors.bucketNotFound(id, actor.projectId);
    if (!actor.isDefaultBranch) throw tableErrors.branchBucketNotShareable();
    if (bucket.lakeSchemaId === undefined) throw tableErrors.linkedBucketNotShareable();
    return bucket;
  }

  async #report(
    tx: Transaction,
    actor: Actor,
    name: SharingEventName,
    bucket: BucketRow,
    message: string,
    params: object = {},
  ): Promise<void> {
    const event = bucketEvent(name, bucket.id, message);
    await this.#events.append(tx, eventFor(actor, { ...event, objectName: bucket.displayName, params }));
  }
}

type SharingEventName =
  | 'bucket.sharing-enabled'
  | 'bucket.sharing-changed'
  | 'bucket.sharing-disabled'
  | 'bucket.linked'
  | 'bucket.unlinked';

function bucketEvent(name: SharingEventName, objectId: string, message: string) {
  return { name, component: 'storage', type: 'info' as const, message, objectType: 'bucket', objectId };
}

function nameOf(link: NewLink): { id: string; name: string; displayName: string } {
  requireBucketName(link.name);
  const name = toBucketName(link.name);
  const displayName = link.displayName ?? name.replace(/^c-/, '');
  requireBucketDisplayName(displayName);
  return { id: `${link.stage}.${name}`, name, displayName };
}

async function targetsOf(
  db: Db,
  actor: Actor,
  share: NewShare,
): Promise<{ projectIds: number[]; personIds: number[] }> {
  if (share.type === 'specific-projects') {
    const known = await listProjectsOfOrganization(db, actor.projectId, share.projectIds);
    const foreign = share.projectIds.filter((id) => known.every((project) => project.id !== id));
    if (foreign.length > 0) throw tableErrors.shareProjectsForeign(foreign);
    return { projectIds: known.map(({ id }) => id), personIds: [] };
  }
  if (share.type !== 'specific-users') return { projectIds: [], personIds: [] };
  const ids = share.persons.flatMap((one) => (/^\d{1,9}$/.test(String(one)) ? [Number(one)] : []));
  const emails = share.persons.map(String).filter((one) => one.includes('@'));
  const known = await listPersonsOfOrganization(db, actor.projectId, { ids, emails });
  const foreign = share.persons.filter((one) =>
    known.every(({ id, email }) => String(id) !== String(one) && email.toLowerCase() !== String(one).toLowerCase()),
  );
  if (foreign.length > 0) throw tableErrors.sharePersonsForeign(foreign);
  return { projectIds: [], personIds: known.map(({ id }) => id) };
}

/** As clients name the kinds that need no list. */
export function isOpenSharing(type: string): type is Extract<SharingType, 'organization' | 'organization-project'> {
  return type === 'organization' || type === 'organization-project';
}
