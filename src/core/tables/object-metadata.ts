import type { Database, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { EventName } from '../events/event-names.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor, BucketRight } from '../identity/actor.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { findBucket, updateBucket } from './bucket-store.ts';
import { findLakeTable, userColumns } from './lake-store.ts';
import { splitTableId } from './names.ts';
import {
  deleteMetadata,
  findMetadata,
  listColumnMetadata,
  listMetadata,
  type MetadataItem,
  type ObjectType,
  upsertMetadata,
} from './object-metadata-store.ts';
import { tableErrors } from './table-errors.ts';
import { findTable, updateTable } from './table-store.ts';

export type { MetadataItem, ObjectType };

/** A bucket id, a table id, or `<table id>.<column>`. */
export type MetadataObject = { type: ObjectType; id: string };

/** The one key the platform itself reads: it is what people see as the description of a bucket or table. */
const DESCRIPTION_KEY = 'KBC.description';

/** Providers write keys and values on buckets, tables and columns; nothing here depends on them but the description. */
export class ObjectMetadata {
  private readonly db: Database;
  private readonly events: Events;
  private readonly clock: Clock;

  constructor(parts: { db: Database; events: Events; clock: Clock }) {
    this.db = parts.db;
    this.events = parts.events;
    this.clock = parts.clock;
  }

  /** All items of the object, oldest first. */
  async list(actor: Actor, object: MetadataObject): Promise<MetadataItem[]> {
    await requireObject(this.db, actor, object, 'read');
    return (await listMetadata(this.db, actor, object.type, [object.id])).get(object.id) ?? [];
  }

  /** Items of several objects of one type, which the caller has already been shown. Absent: none. */
  async listMany(actor: Actor, type: ObjectType, ids: readonly string[]): Promise<Map<string, MetadataItem[]>> {
    for (const id of ids) requireBucketRight(actor, bucketOf({ type, id }), 'read');
    return ids.length === 0 ? new Map() : listMetadata(this.db, actor, type, ids);
  }

  /** Items of all columns of tables, by table and column. */
  async listColumns(actor: Actor, tableIds: readonly string[]): Promise<Map<string, Map<string, MetadataItem[]>>> {
    for (const id of tableIds) requireBucketRight(actor, bucketOf({ type: 'table', id }), 'read');
    const byTable = new Map<string, Map<string, MetadataItem[]>>();
    if (tableIds.length === 0) return byTable;
    for (const [columnId, items] of await listColumnMetadata(this.db, actor, tableIds)) {
      const { tableId, column } = splitColumnId(columnId);
      const columns = byTable.get(tableId) ?? new Map<string, MetadataItem[]>();
      byTable.set(tableId, columns.set(column, items));
    }
    return byTable;
  }

  /** Sets the values of keys for a provider; other items stay. Returns all items of the object. */
  async set(
    actor: Actor,
    object: MetadataObject,
    provider: string,
    items: readonly { key: string; value: string }[],
  ): Promise<MetadataItem[]> {
    return this.db.transaction((tx) => this.setIn(tx, actor, object, provider, items));
  }

  /** `set` for several objects at once: all or none. */
  async setMany(
    actor: Actor,
    provider: string,
    changes: readonly { object: MetadataObject; items: readonly { key: string; value: string }[] }[],
  ): Promise<MetadataItem[][]> {
    return this.db.transaction(async (tx) => {
      const results: MetadataItem[][] = [];
      for (const change of changes) results.push(await this.setIn(tx, actor, change.object, provider, change.items));
      return results;
    });
  }

  /** `set` inside of a transaction that does more. */
  async setIn(
    tx: Transaction,
    actor: Actor,
    object: MetadataObject,
    provider: string,
    items: readonly { key: string; value: string }[],
  ): Promise<MetadataItem[]> {
    requireProvider(provider);
    requireKeys(items);
    await requireObject(tx, actor, object, 'write');
    await upsertMetadata(tx, actor, object, provider, items, this.clock.now());
    const description = items.findLast((item) => item.key === DESCRIPTION_KEY)?.value;
    if (description !== undefined) await this.describe(tx, actor, object, description);
    await this.events.append(
      tx,
      eventFor(
        actor,
        metadataEvent(
          'set',
          object,
          items.map((item) => item.key),
          provider,
        ),
      ),
    );
    return (await listMetadata(tx, actor, object.type, [object.id])).get(object.id) ?? [];
  }

  /** Deletes one item. */
  async delete(actor: Actor, object: MetadataObject, id: number): Promise<void> {
    await this.db.transaction(async (tx) => {
      await requireObject(tx, actor, object, 'write');
      const item = await findMetadata(tx, actor, object, id);
      if (item === undefined) {
        throw tableErrors.metadataNotFound(
          object.type === 'bucket'
            ? `Metadata "${id}" not found for bucket "${object.id}".`
            : 'The supplied metadata ID was not found',
        );
      }
      if (item.provider === 'storage') throw tableErrors.metadataReserved('deleted');
      await deleteMetadata(tx, actor, id);
      if (item.key === DESCRIPTION_KEY) await this.describe(tx, actor, object, '');
      await this.events.append(tx, eventFor(actor, metadataEvent('deleted', object, [item.key], item.provider)));
    });
  }

  private async describe(tx: Transaction, actor: Actor, object: MetadataObject, description: string): Promise<void> {
    if (object.type === 'bucket') {
      const bucket = await findBucket(tx, actor, object.id, 'update');
      if (bucket) await updateBucket(tx, { ...bucket, description, updatedAt: this.clock.now() });
    } else if (object.type === 'table') {
      const table = await findTable(tx, actor, object.id, 'update');
      if (table) await updateTable(tx, { ...table, description });
    }
  }
}

export function requireKeys(items: readonly { key: string }[]): void {
  items.forEach((item, i) => {
    if (!/^[A-Za-z0-9._-]{1,255}$/.test(item.key)) throw tableErrors.metadataInvalidKey(i);
  });
}

function requireProvider(provider: string): void {
  if (provider === '') throw tableErrors.metadataInvalidProvider('Provider is required.');
  if (!/^[A-Za-z0-9._-]{1,255}$/.test(provider))
    throw tableErrors.metadataInvalidProvider('Invalid metadata provider.');
  if (provider === 'storage') throw tableErrors.metadataReserved('edited');
}

/** Within a change, the bucket or table also stays until its end, so that no metadata outlives it. */
async function requireObject(
  db: Database | Transaction,
  actor: Actor,
  object: MetadataObject,
  right: BucketRight,
): Promise<void> {
  const lock = right === 'read' ? undefined : 'share';
  const bucketId = bucketOf(object);
  requireBucketRight(actor, bucketId, right);
  if (object.type === 'bucket') {
    if (!(await findBucket(db, actor, object.id, lock))) throw tableErrors.bucketNotFound(object.id, actor.projectId);
    return;
  }
  const { tableId, column } =
    object.type === 'table' ? { tableId: object.id, column: undefined } : splitColumnId(object.id);
  const name = splitTableId(tableId)?.name;
  if (name === undefined) throw tableErrors.tableIdNotFound(tableId, actor.projectId);
  const table = await findTable(db, actor, tableId, lock);
  if (!table) throw tableErrors.tableNotFound(name, bucketId, actor.projectId);
  if (column === undefined) return;
  const lakeTable = await findLakeTable(db, actor.projectId, table.lakeTableId);
  if (!lakeTable || !userColumns(lakeTable).some((known) => known.name === column)) {
    throw tableErrors.columnNotFound(column, tableId);
  }
}

/** The bucket whose rights decide. Ids of the wrong shape name no bucket, so nobody has a right on it but masters. */
function bucketOf(object: MetadataObject): string {
  return object.id.split('.').slice(0, 2).join('.');
}

function splitColumnId(id: string): { tableId: string; column: string } {
  const parts = id.split('.');
  return { tableId: parts.slice(0, 3).join('.'), column: parts.slice(3).join('.') };
}

function metadataEvent(act: 'set' | 'deleted', object: MetadataObject, keys: string[], provider: string) {
  const name: EventName = `${object.type}.metadata-${act}`;
  return {
    name,
    component: 'storage',
    type: 'info' as const,
    message: `Metadata of ${object.type} ${object.id} ${act}`,
    objectType: object.type,
    objectId: object.id,
    params: { provider, keys },
  };
}
