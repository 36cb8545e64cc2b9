import type { Database, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { AppError, errors } from '../errors.ts';
import type { EventConsumer } from '../events/dispatcher.ts';
import type { Event, NewEvent } from '../events/event-model.ts';
import { DISPATCHED_EVENTS } from '../events/event-names.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import type { Identity } from '../identity/identity.ts';
import { canReadBucket, canRunComponent, isReader } from '../identity/permissions.ts';
import { triggerErrors } from './trigger-errors.ts';
import {
  type NewTrigger,
  TRIGGER_LIMITS,
  type Trigger,
  type TriggerFilter,
  type TriggerPatch,
} from './trigger-model.ts';
import * as store from './trigger-store.ts';

export type TriggerParts = { db: Database; events: Events; identity: Identity; clock: Clock };

/** What is to run when tables change. */
export class Triggers {
  readonly #parts: TriggerParts;
  readonly #listeners = new Set<() => void>();
  #isListening = false;

  constructor(parts: TriggerParts) {
    this.#parts = parts;
  }

  async create(actor: Actor, input: NewTrigger): Promise<Trigger> {
    assertMayRun(actor, [input.target.componentId]);
    return this.#parts.db.transaction(async (tx) => {
      await this.#check(tx, actor, input);
      if ((await store.countTriggers(tx, actor.projectId)) >= TRIGGER_LIMITS.ofProject)
        throw triggerErrors.tooMany(TRIGGER_LIMITS.ofProject);
      const content = { ...input, tableIds: [...new Set(input.tableIds)] };
      const id = await store.insertTrigger(tx, actor, content, actor.token);
      return this.#changed(tx, actor, id, 'trigger.created', 'was made');
    });
  }

  async get(actor: Actor, id: number): Promise<Trigger> {
    const found = await store.findTrigger(this.#parts.db, actor, id);
    if (!found) throw triggerErrors.notFound(id);
    assertMaySee(actor, found);
    return found;
  }

  /** Oldest first; those of components that the token may see. */
  async list(actor: Actor, filter: TriggerFilter): Promise<Trigger[]> {
    const { isMaster, canManageBuckets, componentAccess = [] } = actor.token;
    const componentIds = isMaster || canManageBuckets ? undefined : componentAccess;
    return store.listTriggers(this.#parts.db, actor, { ...filter, componentIds });
  }

  /** Enables one that was stopped because its token was gone, too. */
  async update(actor: Actor, id: number, patch: TriggerPatch): Promise<Trigger> {
    await this.get(actor, id);
    return this.#parts.db.transaction(async (tx) => {
      const current = await store.findTrigger(tx, actor, id, { lock: true });
      if (!current) throw triggerErrors.notFound(id);
      const content = {
        target: {
          componentId: patch.componentId ?? current.target.componentId,
          configurationId: patch.configurationId ?? current.target.configurationId,
        },
        coolDownMinutes: patch.coolDownMinutes ?? current.coolDownMinutes,
        tableIds: patch.tableIds ? [...new Set(patch.tableIds)] : current.tableIds,
        runWithTokenId: patch.runWithTokenId ?? current.runWithTokenId,
      };
      assertMayRun(actor, [...new Set([current.target.componentId, content.target.componentId])]);
      // Tables that are gone may stay in the list of what it waits for.
      await this.#check(tx, actor, patch.tableIds ? content : { ...content, tableIds: undefined });
      await store.updateTrigger(tx, id, content);
      return this.#changed(tx, actor, id, 'trigger.changed', 'was changed');
    });
  }

  async delete(actor: Actor, id: number): Promise<void> {
    const before = await this.get(actor, id);
    assertMayRun(actor, [before.target.componentId]);
    await this.#parts.db.transaction(async (tx) => {
      const current = await store.findTrigger(tx, actor, id, { lock: true });
      if (!current) throw triggerErrors.notFound(id);
      await store.deleteTrigger(tx, id);
      await this.#parts.events.append(
        tx,
        eventFor(actor, triggerEvent(current, 'trigger.deleted', 'info', 'was deleted')),
      );
    });
  }

  /** What the log of events is read for: it makes those due whose tables have changed. */
  consumer(): EventConsumer {
    return {
      name: 'triggers',
      events: DISPATCHED_EVENTS,
      handle: async (tx, events) => {
        const changed = new Map<string, store.ChangedTable>();
        for (const { projectId, branchId, objectId } of events as Event[]) {
          if (branchId === undefined || objectId === undefined) continue;
          changed.set(`${branchId} ${objectId}`, { projectId, branchId, tableId: objectId });
        }
        if (changed.size === 0) return;
        await store.makeDue(tx, [...changed.values()], this.#parts.clock.now());
        await store.notifyTriggers(tx);
      },
    };
  }

  /** Calls back when one may have become due, in whatever process. A hint only. Returns what takes the listener off. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#listen();
    return () => this.#listeners.delete(listener);
  }

  /** The token's first: that is what clients expect to be told first. Undefined tables are those it has already. */
  async #check(
    tx: Transaction,
    actor: Actor,
    { coolDownMinutes, runWithTokenId, tableIds }: Omit<NewTrigger, 'tableIds'> & { tableIds: string[] | undefined },
  ): Promise<void> {
    if (coolDownMinutes < 1) throw triggerErrors.coolDownTooShort();
    if (coolDownMinutes > TRIGGER_LIMITS.coolDownMinutes) throw triggerErrors.coolDown(TRIGGER_LIMITS.coolDownMinutes);
    await store.lockToken(tx, actor.projectId, runWithTokenId);
    const token = await this.#parts.identity.findJobToken(tx, actor, runWithTokenId);
    if (!token) throw triggerErrors.tokenUnknown(runWithTokenId);
    if (token.expiresAt) throw triggerErrors.tokenExpires();
    if (token.isMaster && !actor.token.isMaster) throw triggerErrors.tokenOfAdmin();
    if (!tableIds) return;
    if (tableIds.length === 0) throw triggerErrors.noTables();
    if (tableIds.length > TRIGGER_LIMITS.tables) throw triggerErrors.tooManyTables(TRIGGER_LIMITS.tables);
    for (const id of tableIds) {
      // Asked before it is looked up, so that nobody learns what is in buckets that he may not see.
      if (!canReadBucket(actor, id.split('.').slice(0, 2).join('.'))) throw errors.forbidden();
    }
    const known = new Set(await store.listKnownTables(tx, actor, tableIds));
    const unknown = tableIds.find((id) => !known.has(id));
    if (unknown !== undefined) throw triggerErrors.tableUnknown(unknown, actor.projectId);
  }

  async #changed(
    tx: Transaction,
    actor: Actor,
    id: number,
    name: 'trigger.created' | 'trigger.changed',
    how: string,
  ): Promise<Trigger> {
    const trigger = await store.findTrigger(tx, actor, id);
    if (!trigger) throw new Error('the trigger is not there');
    await this.#parts.events.append(tx, eventFor(actor, triggerEvent(trigger, name, 'info', how)));
    await store.notifyTriggers(tx);
    return trigger;
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#parts.db
      .listen('triggers', () => {
        for (const listener of this.#listeners) listener();
      })
      .catch(() => {
        // Tried again with the next listener; until then looking from time to time has to do.
        this.#isListening = false;
      });
  }
}

export function triggerEvent(
  trigger: Trigger,
  name: Extract<NewEvent['name'], `trigger.${string}`>,
  type: NewEvent['type'],
  how: string,
): Omit<NewEvent, 'projectId' | 'branchId' | 'token' | 'origin'> & { branchId: number } {
  const { target } = trigger;
  return {
    name,
    branchId: trigger.branchId,
    component: target.componentId,
    configurationId: target.configurationId,
    type,
    message: `Trigger "${trigger.id}" of component "${target.componentId}" with configuration "${target.configurationId}" ${how}.`,
    objectType: 'trigger',
    objectId: String(trigger.id),
    objectName: String(trigger.id),
    params: {
      tableIds: trigger.tableIds,
      coolDownPeriodMinutes: trigger.coolDownMinutes,
      runWithTokenId: trigger.runWithTokenId,
    },
  };
}

function assertMaySee(actor: Actor, { target }: Trigger): void {
  const { isMaster, canManageBuckets, componentAccess } = actor.token;
  if (!isMaster && !canManageBuckets && !componentAccess?.includes(target.componentId))
    throw triggerErrors.forbidden([target.componentId]);
}

function assertMayRun(actor: Actor, componentIds: string[]): void {
  if (isReader(actor)) throw errors.forbidden();
  if (!componentIds.every((id) => canRunComponent(actor, id))) throw triggerErrors.forbidden(componentIds);
}

/** What it runs with is not there any more: waiting makes no sense until somebody acts. */
export function isTokenGone(error: unknown): boolean {
  return error instanceof AppError && error.code === 'token.gone';
}
