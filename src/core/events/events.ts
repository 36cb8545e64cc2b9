import type { Database, Transaction } from '../../db/database.ts';
import { uuidv7 } from '../../lib/ids.ts';
import type { Actor } from '../identity/actor.ts';
import { eventErrors } from './event-errors.ts';
import { EVENT_TYPES, type Event, type EventQuery, type NewEvent, type NewExternalEvent } from './event-model.ts';
import {
  type EventPosition,
  findEvent,
  findPosition,
  insertEvent,
  listEvents,
  rebaseAfterRestore,
} from './event-store.ts';

const MAX_LIMIT = 10_000;
const MAX_EXTERNAL_BYTES = 200 * 1024;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The log of a project: what the platform did and what clients and components report. */
export class Events {
  readonly #db: Database;

  constructor(parts: { db: Database }) {
    this.#db = parts.db;
  }

  /** Inside the transaction of the change it tells of, so that neither is ever there without the other. */
  async append(tx: Transaction, event: NewEvent): Promise<Event> {
    return insertEvent(tx, uuidv7(), event);
  }

  /** For reports that belong to no change: progress and logs of a running job. */
  async appendNow(event: NewEvent): Promise<Event> {
    return insertEvent(this.#db, uuidv7(), event);
  }

  /** What a client reports: `name` is `ext`, the component is the client's word. */
  async create(actor: Actor, event: NewExternalEvent): Promise<Event> {
    const type = event.type ?? 'info';
    if (!EVENT_TYPES.includes(type)) throw eventErrors.unknownType(String(type));
    if (Buffer.byteLength(JSON.stringify(event)) > MAX_EXTERNAL_BYTES) throw eventErrors.tooLarge(MAX_EXTERNAL_BYTES);
    const { runId, ...rest } = event;
    return this.appendNow({ ...eventFor(actor, { ...rest, name: 'ext', type }), runId: runId ?? actor.runId });
  }

  /**
   * Newest first unless asked otherwise. Tokens see the whole project's events only as master or with the right for
   * it, else their own. An unknown `sinceId` or `maxId` is not found.
   */
  async list(actor: Actor, query: EventQuery): Promise<Event[]> {
    const { sinceId, maxId, limit = 100, offset = 0, direction = 'desc', ...filter } = query;
    if (!Number.isInteger(limit) || limit < 0 || limit > MAX_LIMIT) throw eventErrors.limit(MAX_LIMIT);
    const ownOnly = !canReadAll(actor);
    if (ownOnly && filter.tokenId !== undefined && filter.tokenId !== actor.token.id) return [];
    return listEvents(this.#db, {
      ...filter,
      tokenId: ownOnly ? actor.token.id : filter.tokenId,
      projectId: actor.projectId,
      after: sinceId === undefined ? undefined : await this.#position(actor, sinceId),
      before: maxId === undefined ? undefined : await this.#position(actor, maxId),
      limit,
      offset,
      direction,
    });
  }

  /** By uuid or by number. */
  async get(actor: Actor, id: string): Promise<Event> {
    const key = parseId(id);
    const event = key && (await findEvent(this.#db, actor.projectId, key));
    if (!event || (!canReadAll(actor) && event.token?.id !== actor.token.id)) throw eventErrors.notFound();
    return event;
  }

  /** Called once at start; see the store for what it repairs. Returns how many events it touched. */
  async repairAfterRestore(): Promise<number> {
    return this.#db.transaction((tx) => rebaseAfterRestore(tx));
  }

  async #position(actor: Actor, id: string): Promise<EventPosition> {
    // A plain 0 is how clients say "from the very first one".
    if (id === '0') return { xid: '0', id: 0 };
    const key = parseId(id);
    const position = key && (await findPosition(this.#db, actor.projectId, key));
    if (!position) throw eventErrors.notFound();
    return position;
  }
}

/** The part of an event that the actor decides: project, branch, token, run and origin. */
export function eventFor(
  actor: Actor,
  event: Omit<NewEvent, 'projectId' | 'branchId' | 'token' | 'origin'> & { branchId?: number },
): NewEvent {
  return {
    runId: actor.runId,
    branchId: actor.branchId,
    ...event,
    projectId: actor.projectId,
    token: { id: actor.token.id, name: actor.token.description },
    origin: actor.origin,
  };
}

function canReadAll(actor: Actor): boolean {
  return actor.token.isMaster || actor.token.canReadAllEvents;
}

function parseId(id: string): { uuid: string } | { id: number } | undefined {
  if (UUID.test(id)) return { uuid: id };
  const number = Number(id);
  return /^\d{1,16}$/.test(id) && Number.isSafeInteger(number) ? { id: number } : undefined;
}
