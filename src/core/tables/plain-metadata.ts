import type { Db, Transaction } from '../../db/database.ts';
import { systemClock } from '../../lib/clock.ts';
import { requireKeys } from './object-metadata.ts';
import {
  copyMetadataOfBranch,
  deleteMetadata,
  deleteMetadataOf,
  deleteMetadataOfBranch,
  findMetadata,
  listMetadata,
  type MetadataItem,
  type PlainObjectType,
  upsertMetadata,
} from './object-metadata-store.ts';

/**
 * Keys and values without a provider, on what is neither bucket nor table. Whoever owns the object has checked that it
 * exists and what the actor may do, and writes the event.
 */
export type PlainObject = { type: PlainObjectType; id: string };

type Place = { projectId: number; branchId: number };

/** Items of several objects of one type, oldest first. Absent: none. */
export async function listPlainMetadata(
  db: Db,
  place: Place,
  type: PlainObjectType,
  ids: string[],
): Promise<Map<string, MetadataItem[]>> {
  return ids.length === 0 ? new Map() : listMetadata(db, within(place), type, ids);
}

/** Sets the values of keys; other items stay. Returns all items of the object. */
export async function setPlainMetadata(
  tx: Transaction,
  place: Place,
  object: PlainObject,
  items: readonly { key: string; value: string }[],
): Promise<MetadataItem[]> {
  requireKeys(items);
  await upsertMetadata(tx, within(place), object, '', items, systemClock.now());
  return (await listMetadata(tx, within(place), object.type, [object.id])).get(object.id) ?? [];
}

/** The deleted item; undefined when the object has none of that id. */
export async function deletePlainMetadata(
  tx: Transaction,
  place: Place,
  object: PlainObject,
  id: number,
): Promise<MetadataItem | undefined> {
  const item = await findMetadata(tx, within(place), object, id);
  if (item) await deleteMetadata(tx, within(place), id);
  return item;
}

/** All of an object that goes for good. */
export async function dropPlainMetadata(tx: Transaction, place: Place, object: PlainObject): Promise<void> {
  await deleteMetadataOf(tx, within(place), object);
}

/** All of the default branch, and of its configurations that the new branch has, into a branch that has none. */
export async function copyPlainMetadata(tx: Transaction, place: Place): Promise<void> {
  await copyMetadataOfBranch(tx, within(place));
}

export async function dropPlainMetadataOfBranch(tx: Transaction, place: Place): Promise<void> {
  await deleteMetadataOfBranch(tx, within(place));
}

function within({ projectId, branchId }: Place) {
  return { projectId, storageBranchId: branchId };
}
