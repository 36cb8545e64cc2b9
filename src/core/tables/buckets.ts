import type { Database, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { sharedRead } from '../../lib/gathering.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { canReadBucket } from '../identity/permissions.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { requireBucketCreation, requireBucketRight } from './bucket-rights.ts';
import { BucketSharing } from './bucket-sharing.ts';
import { listLinkedTables, listLinks } from './bucket-sharing-store.ts';
import {
  type BucketRow,
  deleteBucket,
  findBucket,
  findBucketByDisplayName,
  insertBucket,
  listBuckets,
  type Place,
  updateBucket,
} from './bucket-store.ts';
import { LakeCommit } from './lake-commit-store.ts';
import { listLakeTables } from './lake-store.ts';
import { requireBucketDisplayName, requireBucketName, toBucketName } from './names.ts';
import { deleteMetadataOfBucket, listBucketsMadeBy } from './object-metadata-store.ts';
import { findOverview, type LakeTotals } from './overview-store.ts';
import { tableErrors } from './table-errors.ts';
import type { Bucket, NewBucket, Stage } from './table-model.ts';
import { listTables } from './table-store.ts';

export const STAGES: readonly Stage[] = ['in', 'out', 'sys'];

const MAX_KNOWN_TOTALS = 10_000;

/** Buckets hold tables, and rights are given by bucket. In the lake each is a schema. */
export class Buckets {
  /** Opening buckets to other projects, and linking theirs. */
  readonly sharing: BucketSharing;
  private readonly db: Database;
  private readonly events: Events;
  private readonly jobs: Jobs;
  private readonly clock: Clock;
  /** By project. What is here for the lake's newest snapshot is right, however old it is. */
  private readonly knownTotals = new Map<number, LakeTotals>();

  /** Many clients begin with it. */
  private readonly readOverview = sharedRead(
    ({ projectId, storageBranchId }: Place) => `${projectId} ${storageBranchId}`,
    async (place) => {
      const overview = await findOverview(this.db, place, this.knownTotals.get(place.projectId));
      if (this.knownTotals.size >= MAX_KNOWN_TOTALS) this.knownTotals.clear();
      this.knownTotals.set(place.projectId, overview.totals);
      return overview;
    },
  );

  constructor(parts: { db: Database; events: Events; jobs: Jobs; clock: Clock }) {
    this.sharing = new BucketSharing(parts);
    this.db = parts.db;
    this.events = parts.events;
    this.jobs = parts.jobs;
    this.clock = parts.clock;
  }

  /** Makes an empty bucket. The id is taken: `bucket.already-exists`. */
  async create(actor: Actor, input: NewBucket): Promise<Bucket> {
    requireBucketCreation(actor);
    if (!STAGES.includes(input.stage)) throw tableErrors.invalidBucket(`Invalid stage: "${input.stage}".`);
    requireBucketName(input.name);
    const name = toBucketName(input.name);
    const id = `${input.stage}.${name}`;
    const displayName = input.displayName ?? name.replace(/^c-/, '');
    requireBucketDisplayName(displayName);
    return this.db.transaction(async (tx) => {
      // The lake lock is also what keeps two calls from making the same bucket.
      const commit = await LakeCommit.begin(tx, actor.projectId);
      if (await findBucket(tx, actor, id)) throw tableErrors.bucketExists(name);
      if (await findBucketByDisplayName(tx, actor, input.stage, displayName)) {
        throw tableErrors.bucketDisplayNameTaken(displayName);
      }
      const bucket: BucketRow = {
        id,
        projectId: actor.projectId,
        branchId: actor.storageBranchId,
        stage: input.stage,
        name,
        displayName,
        description: input.description ?? '',
        backend: input.backend,
        color: input.color,
        lakeSchemaId: await commit.createSchema(id),
        createdAt: this.clock.now(),
        updatedAt: undefined,
        changedAt: undefined,
      };
      await insertBucket(tx, bucket);
      await commit.finish({ author: actor.token.description, message: `Create bucket ${id}` });
      await this.events.append(tx, eventFor(actor, bucketEvent('bucket.created', bucket, `Bucket ${id} created`)));
      return withTables(bucket, []);
    });
  }

  /** Makes the bucket unless it is there already. */
  async ensure(actor: Actor, id: string): Promise<Bucket> {
    requireBucketRight(actor, id, 'read');
    const found = await findBucket(this.db, actor, id);
    if (found) return this.get(actor, id);
    const [stage = '', name = ''] = id.split('.');
    try {
      return await this.create(actor, { stage: stage as Stage, name });
    } catch (error) {
      // Somebody else made it between the look and the act.
      if (await findBucket(this.db, actor, id)) return this.get(actor, id);
      throw error;
    }
  }

  /** Those the actor may read, by id. */
  async list(actor: Actor): Promise<Bucket[]> {
    const buckets = await listBuckets(this.db, actor);
    const readable = buckets.filter((bucket) => canReadBucket(actor, bucket.id));
    if (readable.length === 0) return [];
    return this.describe(actor, readable);
  }

  /** Ids of the buckets the actor may read, and how much the whole project holds: cheap enough for every request. */
  async overview(actor: Actor): Promise<{ bucketIds: string[]; rowsCount: number; dataSizeBytes: number }> {
    const { bucketIds, totals } = await this.readOverview(actor);
    return {
      bucketIds: bucketIds.filter((id) => canReadBucket(actor, id)),
      rowsCount: totals.rowsCount,
      dataSizeBytes: totals.sizeBytes,
    };
  }

  async get(actor: Actor, id: string): Promise<Bucket> {
    requireBucketRight(actor, id, 'read');
    const bucket = await findBucket(this.db, actor, id);
    if (bucket === undefined) throw tableErrors.bucketNotFound(id, actor.projectId);
    const [described] = await this.describe(actor, [bucket]);
    return described as Bucket;
  }

  /** Changes what is given; null takes a color away. */
  async update(
    actor: Actor,
    id: string,
    patch: { displayName?: string | undefined; description?: string | undefined; color?: string | null | undefined },
  ): Promise<Bucket> {
    requireBucketRight(actor, id, 'manage');
    if (patch.displayName !== undefined) requireBucketDisplayName(patch.displayName);
    await this.db.transaction(async (tx) => {
      // As in `create`: what keeps two buckets from getting the same name.
      if (patch.displayName !== undefined) await LakeCommit.begin(tx, actor.projectId);
      const bucket = await findBucket(tx, actor, id, 'update');
      if (bucket === undefined) throw tableErrors.bucketNotFound(id, actor.projectId);
      if (patch.displayName !== undefined && patch.displayName !== bucket.displayName) {
        if (await findBucketByDisplayName(tx, actor, bucket.stage, patch.displayName)) {
          throw tableErrors.bucketDisplayNameTaken(patch.displayName);
        }
        bucket.displayName = patch.displayName;
      }
      if (patch.color !== undefined) bucket.color = patch.color ?? undefined;
      if (patch.description !== undefined && patch.description !== bucket.description) {
        bucket.description = patch.description;
        bucket.updatedAt = this.clock.now();
      }
      await updateBucket(tx, bucket);
      await this.events.append(tx, eventFor(actor, bucketEvent('bucket.updated', bucket, `Bucket ${id} updated`)));
    });
    return this.get(actor, id);
  }

  /** Drops an empty bucket, or with `force` a full one. Data stays in the lake until its retention is over. */
  async delete(actor: Actor, id: string, options: { force?: boolean } = {}): Promise<void> {
    requireBucketRight(actor, id, 'manage');
    await this.db.transaction((tx) => this.deleteIn(tx, actor, id, options));
  }

  /** The same as a job, for clients that ask for one: all problems then are the job's. */
  async deleteLater(actor: Actor, id: string, options: { force?: boolean } = {}): Promise<Job> {
    requireBucketRight(actor, id, 'manage');
    if (!(await findBucket(this.db, actor, id))) throw tableErrors.bucketNotFound(id, actor.projectId);
    return this.jobs.create(actor, {
      kind: 'bucket-delete',
      input: { bucketId: id, force: options.force ?? false },
      objectId: id,
      lockKey: `bucket:${actor.projectId}:${actor.storageBranchId}:${id}`,
    });
  }

  /** `delete` inside of a transaction that does more, such as ending the job. */
  async deleteIn(tx: Transaction, actor: Actor, id: string, options: { force?: boolean } = {}): Promise<void> {
    requireBucketRight(actor, id, 'manage');
    const commit = await LakeCommit.begin(tx, actor.projectId);
    const bucket = await findBucket(tx, actor, id, 'update');
    if (bucket === undefined) throw tableErrors.bucketNotFound(id, actor.projectId);
    const tables = await listTables(tx, actor, id);
    if (tables.length > 0 && !options.force) throw tableErrors.bucketNotEmpty(tables.length);
    if ((await listLinks(tx, actor, [id])).size > 0) throw tableErrors.bucketLinked();
    if (bucket.lakeSchemaId !== undefined) await commit.dropSchema(bucket.lakeSchemaId);
    await deleteBucket(tx, actor, id);
    // After it: whoever was describing the bucket or a table of it at that moment has ended then.
    await deleteMetadataOfBucket(tx, actor, id);
    if (bucket.lakeSchemaId !== undefined)
      await commit.finish({ author: actor.token.description, message: `Delete bucket ${id}` });
    for (const table of tables) {
      await this.events.append(
        tx,
        eventFor(actor, {
          name: 'table.deleted',
          component: 'storage',
          type: 'info',
          message: `Deleted table ${table.id}`,
          objectType: 'table',
          objectId: table.id,
          objectName: table.displayName,
        }),
      );
    }
    await this.events.append(tx, eventFor(actor, bucketEvent('bucket.deleted', bucket, `Bucket ${id} deleted`)));
  }

  /** Drops what jobs of a branch have written for it: buckets that carry its number in their name and were made in it. */
  async deleteOfBranchIn(tx: Transaction, actor: Actor, branchId: number): Promise<void> {
    const isNamed = new RegExp(`^(in|out)\\.c-${branchId}-`);
    for (const id of await listBucketsMadeBy(tx, actor, branchId)) {
      if (isNamed.test(id)) await this.deleteIn(tx, actor, id, { force: true });
    }
  }

  /** Buckets of one branch with the tables in them and what is shared. */
  private async describe(place: Place, rows: readonly BucketRow[]): Promise<Bucket[]> {
    const [sizes, sharing] = await Promise.all([
      this.sizes(place, rows.length === 1 ? rows[0]?.id : undefined),
      this.sharing.describe(place, rows),
    ]);
    return rows.map((row) => ({ ...withTables(row, sizes.get(row.id) ?? []), ...sharing.get(row.id) }));
  }

  /** Of the tables of all buckets, or of one; those of a linked bucket are in the lake of another project. */
  private async sizes(place: Place, bucketId: string | undefined): Promise<Map<string, Size[]>> {
    const own = (await listTables(this.db, place, bucketId)).map((row) => ({ row, bucketId: row.bucketId }));
    const tables = [...own, ...(await listLinkedTables(this.db, place, bucketId))];
    const byBucket = new Map<string, Size[]>();
    for (const projectId of new Set(tables.map(({ row }) => row.projectId))) {
      const ofProject = tables.filter(({ row }) => row.projectId === projectId);
      const tableIds = ofProject.map(({ row }) => row.lakeTableId);
      const summaries = await listLakeTables(this.db, projectId, { tableIds, columns: false });
      const byTable = new Map(summaries.map((summary) => [summary.tableId, summary]));
      for (const table of ofProject) {
        const summary = byTable.get(table.row.lakeTableId);
        if (summary === undefined) continue;
        const sizes = byBucket.get(table.bucketId);
        if (sizes) sizes.push(summary);
        else byBucket.set(table.bucketId, [summary]);
      }
    }
    return byBucket;
  }

  /** What other projects have opened to the actor's, with their tables' names. */
  async listShared(actor: Actor): Promise<{ bucket: Bucket; projectName: string; tables: SharedTable[] }[]> {
    const linkable = await this.sharing.listLinkable(actor);
    const shared: { bucket: Bucket; projectName: string; tables: SharedTable[] }[] = [];
    for (const { projectId, storageBranchId, id, projectName } of linkable) {
      const place = { projectId, storageBranchId };
      const row = await findBucket(this.db, place, id);
      const [bucket] = row ? await this.describe(place, [row]) : [];
      if (!bucket) continue;
      const tables = (await listTables(this.db, place, id)).map((table) => ({
        id: table.id,
        name: table.name,
        displayName: table.displayName,
      }));
      shared.push({ bucket, projectName, tables });
    }
    return shared;
  }
}

export type SharedTable = { id: string; name: string; displayName: string };

type Size = { rowsCount: number; sizeBytes: number };

function withTables(row: BucketRow, tables: readonly Size[]): Bucket {
  const { lakeSchemaId: _, shared: __, ...bucket } = row;
  return {
    ...bucket,
    tablesCount: tables.length,
    rowsCount: tables.reduce((sum, table) => sum + table.rowsCount, 0),
    dataSizeBytes: tables.reduce((sum, table) => sum + table.sizeBytes, 0),
  };
}

function bucketEvent(name: 'bucket.created' | 'bucket.updated' | 'bucket.deleted', bucket: BucketRow, message: string) {
  return {
    name,
    component: 'storage',
    type: 'info' as const,
    message,
    objectType: 'bucket',
    objectId: bucket.id,
    objectName: bucket.displayName,
    params: { stage: bucket.stage, name: bucket.name, displayName: bucket.displayName },
  };
}

/** The bucket a table is made in, kept from being deleted meanwhile. */
export async function requireBucketRow(tx: Transaction, actor: Actor, id: string): Promise<BucketRow> {
  const bucket = await findBucket(tx, actor, id, 'share');
  if (bucket === undefined) throw tableErrors.bucketNotFound(id, actor.projectId);
  return bucket;
}
