import type { Database, Transaction } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import type { NewEvent } from '../events/event-model.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, canReadComponent, canRunComponent } from '../identity/permissions.ts';
import { scheduleErrors } from './schedule-errors.ts';
import {
  MAX_SCHEDULES,
  type NewSchedule,
  type Schedule,
  type ScheduleDefinition,
  type ScheduleFilter,
  type SchedulePatch,
  type ScheduleTarget,
} from './schedule-model.ts';
import * as store from './schedule-store.ts';
import { assertRecurrence, nextTime, type Recurrence } from './schedule-times.ts';

export type ScheduleParts = {
  db: Database;
  events: Events;
  clock: Clock;
  /** Throws when there is no such configuration, or the actor may not see it. */
  targets: { get(actor: Actor, target: ScheduleTarget): Promise<unknown> };
};

/** What a configuration wants of the one schedule that is a part of it. */
export type DefinedSchedule = Omit<NewSchedule, 'isEnabled'> & { isEnabled: boolean; isImmediate: boolean };

/** How long after its time a schedule is overdue. */
const OVERDUE_SECONDS = 60;

/**
 * What is to run when. A schedule runs in the name of whoever made or last changed it: rights that this token has not,
 * the run has not, and with the token the schedule stops.
 */
export class Schedules {
  readonly #parts: ScheduleParts;
  readonly #listeners = new Set<() => void>();
  #listening = false;

  constructor(parts: ScheduleParts) {
    this.#parts = parts;
  }

  async create(actor: Actor, input: NewSchedule): Promise<Schedule> {
    const { db, targets } = this.#parts;
    assertMayRun(actor, input.target);
    await targets.get(actor, input.target);
    const now = this.#parts.clock.now();
    assertRecurrence(input.recurrence, now);
    return db.transaction(async (tx) => {
      if ((await store.countOwn(tx, actor.projectId, input.target.componentId)) >= MAX_SCHEDULES)
        throw scheduleErrors.tooMany(MAX_SCHEDULES);
      const isEnabled = input.isEnabled ?? true;
      const made = await store.insertSchedule(tx, actor, {
        name: input.name,
        description: input.description ?? '',
        target: input.target,
        input: input.input ?? {},
        definition: undefined,
        recurrence: input.recurrence,
        isEnabled,
        token: actor.token,
        nextRunAt: isEnabled ? nextTime(input.recurrence, now, now) : undefined,
      });
      await this.#changed(tx, actor, made, 'schedule.created', 'was made');
      return made;
    });
  }

  /** Throws schedule.not-found, for one that the filter leaves out too. */
  async get(actor: Actor, id: number, filter: ScheduleFilter = {}): Promise<Schedule> {
    const found = await store.findSchedule(this.#parts.db, actor.projectId, id, filter);
    if (!found) throw scheduleErrors.notFound(id);
    assertAllowed(canReadComponent(actor, found.target.componentId));
    return found;
  }

  /** Oldest first unless asked otherwise. */
  async list(actor: Actor, filter: ScheduleFilter, page: KeysetPage<number>): Promise<Schedule[]> {
    const { componentId } = filter;
    if (componentId !== undefined) assertAllowed(canReadComponent(actor, componentId));
    const { isMaster, canManageBuckets, componentAccess = [] } = actor.token;
    const componentIds = isMaster || canManageBuckets ? undefined : componentAccess;
    return store.listSchedules(this.#parts.db, actor.projectId, { ...filter, componentIds }, page);
  }

  /** Who changes a schedule is who it runs for from then on. Another recurrence begins anew. */
  async update(actor: Actor, id: number, patch: SchedulePatch, filter: ScheduleFilter = {}): Promise<Schedule> {
    const { db, targets, clock } = this.#parts;
    const before = await this.get(actor, id, filter);
    assertMayRun(actor, before.target);
    if (patch.target) {
      assertMayRun(actor, patch.target);
      await targets.get(actor, patch.target);
    }
    const now = clock.now();
    if (patch.recurrence) assertRecurrence(patch.recurrence, now);
    return db.transaction(async (tx) => {
      const current = await this.#lockOwn(tx, actor, id, filter);
      const recurrence = patch.recurrence ?? current.recurrence;
      const isEnabled = patch.isEnabled ?? (current.isEnabled || current.problem !== undefined);
      const goesOn = current.isEnabled && isEnabled && isSame(recurrence, current.recurrence);
      const changed = await store.updateSchedule(tx, id, {
        name: patch.name ?? current.name,
        description: patch.description ?? current.description,
        target: patch.target ?? current.target,
        input: patch.input ?? current.input,
        definition: undefined,
        recurrence,
        isEnabled,
        token: actor.token,
        nextRunAt: goesOn ? current.nextRunAt : isEnabled ? nextTime(recurrence, now, now) : undefined,
      });
      await this.#changed(tx, actor, changed, 'schedule.changed', 'was changed');
      return changed;
    });
  }

  async delete(actor: Actor, id: number, filter: ScheduleFilter = {}): Promise<void> {
    assertMayRun(actor, (await this.get(actor, id, filter)).target);
    await this.#parts.db.transaction(async (tx) => {
      const current = await this.#lockOwn(tx, actor, id, filter);
      await store.deleteSchedule(tx, id);
      await this.#changed(tx, actor, current, 'schedule.deleted', 'was deleted');
    });
  }

  /**
   * Makes the schedule that is a part of a configuration what that wants, within the change of the configuration: whose
   * rights were asked there. Nothing is wanted of a configuration that is gone or has no schedule. A schedule that runs
   * well keeps its owner and its next time through changes of anything else.
   */
  async followIn(
    tx: Transaction,
    actor: Actor,
    definition: ScheduleDefinition,
    wanted: DefinedSchedule | undefined,
  ): Promise<void> {
    const current = await store.lockByDefinition(tx, actor.branchId, definition);
    if (!wanted) {
      if (!current) return;
      await store.deleteSchedule(tx, current.id);
      await this.#changed(tx, actor, current, 'schedule.deleted', 'was deleted');
      return;
    }
    const { isImmediate, recurrence, isEnabled, ...rest } = wanted;
    const now = this.#parts.clock.now();
    assertRecurrence(recurrence, now);
    const isSameTime = current !== undefined && isSame(recurrence, current.recurrence);
    if (current && isSameTime && current.isEnabled === isEnabled && current.name === wanted.name) return;
    const goesOn = isSameTime && current.isEnabled && isEnabled;
    const next = isImmediate ? now : nextTime(recurrence, now, now);
    const content = {
      ...rest,
      description: wanted.description ?? '',
      input: wanted.input ?? {},
      definition,
      recurrence,
      isEnabled,
      token: goesOn ? current.token : actor.token,
      nextRunAt: goesOn ? current.nextRunAt : isEnabled ? next : undefined,
    };
    const changed = current
      ? await store.updateSchedule(tx, current.id, content)
      : await store.insertSchedule(tx, actor, content);
    if (current) await this.#changed(tx, actor, changed, 'schedule.changed', 'was changed');
    else await this.#changed(tx, actor, changed, 'schedule.created', 'was made');
  }

  /** Over all projects, for those who watch the server. */
  async count(): Promise<store.ScheduleCounts> {
    return store.countSchedules(this.#parts.db, this.#parts.clock.now(), OVERDUE_SECONDS);
  }

  /** Calls back when a schedule has changed, in whatever process. A hint only. Returns what takes the listener off. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#listen();
    return () => this.#listeners.delete(listener);
  }

  /** One that stands for itself, and that the actor may change as it is now. */
  async #lockOwn(tx: Transaction, actor: Actor, id: number, filter: ScheduleFilter): Promise<Schedule> {
    const current = await store.findSchedule(tx, actor.projectId, id, { ...filter, lock: true });
    if (!current) throw scheduleErrors.notFound(id);
    assertMayRun(actor, current.target);
    if (current.definition) throw scheduleErrors.defined(id);
    return current;
  }

  async #changed(
    tx: Transaction,
    actor: Actor,
    schedule: Schedule,
    name: 'schedule.created' | 'schedule.changed' | 'schedule.deleted',
    how: string,
  ): Promise<void> {
    await this.#parts.events.append(tx, eventFor(actor, scheduleEvent(schedule, name, 'info', how)));
    await store.notifySchedules(tx);
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#parts.db
      .listen('schedules', () => {
        for (const listener of this.#listeners) listener();
      })
      .catch(() => {
        // Tried again with the next listener; until then looking from time to time has to do.
        this.#listening = false;
      });
  }
}

export function scheduleEvent(
  schedule: Schedule,
  name: Extract<NewEvent['name'], `schedule.${string}`>,
  type: NewEvent['type'],
  how: string,
): Omit<NewEvent, 'projectId' | 'branchId' | 'token' | 'origin'> & { branchId: number } {
  const { recurrence, target } = schedule;
  return {
    name,
    branchId: schedule.branchId,
    component: target.componentId,
    configurationId: target.configurationId,
    type,
    message: `Schedule "${schedule.name || schedule.id}" ${how}.`,
    objectType: 'schedule',
    objectId: String(schedule.id),
    objectName: schedule.name,
    params: {
      ...(recurrence.type === 'cron' ? { cron: recurrence.expression } : { intervalSeconds: recurrence.seconds }),
      timezone: recurrence.timezone,
      isEnabled: schedule.isEnabled,
      nextRunAt: schedule.nextRunAt?.toISOString() ?? null,
    },
  };
}

function assertMayRun(actor: Actor, { componentId }: ScheduleTarget): void {
  assertAllowed(canRunComponent(actor, componentId));
}

function isSame(a: Recurrence, b: Recurrence): boolean {
  if (a.timezone !== b.timezone) return false;
  if (a.type === 'cron') return b.type === 'cron' && a.expression === b.expression;
  return b.type === 'interval' && a.seconds === b.seconds;
}
