/** What all operations on a table say of it alike: its place in the queue, and its events. Pure. */
import type { EventName } from '../events/event-names.ts';
import { eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import type { TableRow } from './table-store.ts';

/** Jobs that write a table run one after another, in the order they came. */
export function lockKeyOf(actor: Actor, tableId: string): string {
  return `table:${actor.projectId}:${actor.storageBranchId}:${tableId}`;
}

export function tableEvent(
  actor: Actor,
  name: EventName,
  row: Pick<TableRow, 'id' | 'displayName'>,
  message: string,
  params: object = {},
) {
  return eventFor(actor, {
    name,
    component: 'storage',
    type: 'success',
    message,
    objectType: 'table',
    objectId: row.id,
    objectName: row.displayName,
    params,
  });
}
