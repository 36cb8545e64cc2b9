import type { Database, Db } from '../../db/database.ts';
import type { RecordFilter } from '../../lib/filter.ts';
import { Gathering } from '../../lib/gathering.ts';
import type { Json } from '../../lib/json.ts';
import { AppError, errors } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import type { TableRows } from '../tables/table-rows.ts';
import { type ClassField, type ObjectClass, PROFILE_CLASS } from './class-model.ts';
import { fieldOfConstraint } from './class-store.ts';
import type { Classes } from './classes.ts';
import { knownUserIds } from './end-user-store.ts';
import { targetOf } from './field-definitions.ts';
import { changeValue, idsIn, type StoredValue, toRelation, ValueProblem } from './field-values.ts';
import { findGroup } from './group-store.ts';
import {
  assertCanCreate,
  assertCanRead,
  atMost,
  canManageObjects,
  hasRight,
  objectRight,
  viewerOf,
} from './object-access.ts';
import { type FieldProblems, objectErrors, RECORD } from './object-errors.ts';
import {
  type NewObject,
  OBJECT_LIMITS,
  type ObjectAccess,
  type ObjectDocument,
  type ObjectPatch,
  type ObjectQuery,
} from './object-model.ts';
import {
  countMatching,
  type DocumentRow,
  deleteObject,
  findObjects,
  insertObjects,
  isPlain,
  isTableGone,
  isTooSlow,
  knownIds,
  listObjects,
  listPlain,
  type ObjectRecord,
  type ReferenceTargets,
  type StoredRow,
  updateObject,
  violatedIndex,
} from './object-store.ts';

import { TableObjects } from './table-objects.ts';

/** Writers that lose against others start over; more than so many times in a row is not bad luck any more. */
const MAX_ATTEMPTS = 200;
const READS = { maxItems: 100, maxRounds: 2 };
const PAGES = { maxItems: 10, maxRounds: 4 };
const WRITES = { maxItems: 100, maxRounds: 2 };

/**
 * The data objects of a class. They are rows of data, like those of a table: single ones write no events.
 *
 * Calls that come together go to the database together, so that many creates share one statement and one commit.
 */
export class Objects {
  readonly #db: Database;
  readonly #classes: Classes;
  readonly #reads: Gathering<number, number, StoredRow | undefined>;
  readonly #pages: Gathering<number, { after: number; limit: number }, DocumentRow[]>;
  readonly #inserts: Gathering<ObjectClass, ObjectRecord, DocumentRow | 'changed' | { failed: unknown }>;

  readonly #tables: TableObjects;

  constructor(parts: { db: Database; classes: Classes; rows: TableRows }) {
    this.#db = parts.db;
    this.#classes = parts.classes;
    this.#tables = new TableObjects(parts.rows);
    this.#reads = new Gathering((classId, ids) => this.#readTogether(classId, ids), READS);
    this.#pages = new Gathering((classId, pages) => listPlain(this.#db, classId, pages), PAGES);
    this.#inserts = new Gathering((of, records) => this.#insertTogether(of, records), WRITES);
  }

  async create(actor: Actor, className: string, input: NewObject): Promise<ObjectDocument> {
    return this.#onClass(actor, className, async (of) => {
      assertStored(of);
      assertCanCreate(actor, of);
      if (of.name === PROFILE_CLASS) throw objectErrors.noPermission();
      const record = await this.#record(actor, of, undefined, input);
      const row = await this.#inserts.call(of, record);
      if (row === 'changed') return undefined;
      if ('failed' in row) throw this.#explain(of, row.failed);
      return toDocument(row);
    });
  }

  async get(actor: Actor, className: string, id: number): Promise<ObjectDocument> {
    return this.#onClass(actor, className, async (of) => {
      if (of.sourceTableId === undefined) return toDocument(await this.#visible(actor, of, id), of);
      assertCanRead(actor, of);
      return this.#tables.get(of, id);
    });
  }

  async list(actor: Actor, className: string, query: ObjectQuery): Promise<ObjectDocument[]> {
    return this.#onClass(actor, className, async (of) => {
      assertCanRead(actor, of);
      if (of.sourceTableId !== undefined) return this.#tables.list(of, query);
      const viewer = viewerOf(actor);
      if (isPlain(query, viewer) && query.limit > 0) {
        const page = await this.#pages.call(of.id, { after: query.cursor?.id ?? 0, limit: query.limit });
        return page.map((row) => toDocument(row, of));
      }
      const targets = await this.#targetsIn(actor, of, query.filter);
      const rows = await this.#inTime((db) => listObjects(db, of, query, viewer, targets));
      return rows.map((row) => toDocument(row, of));
    });
  }

  /** How many objects a listing would show without a limit. */
  async count(actor: Actor, className: string, query: Pick<ObjectQuery, 'filter'>): Promise<number> {
    return this.#onClass(actor, className, async (of) => {
      assertCanRead(actor, of);
      if (of.sourceTableId !== undefined) return this.#tables.count(of, query.filter);
      const targets = await this.#targetsIn(actor, of, query.filter);
      return this.#inTime((db) => countMatching(db, of, { ...query, limit: 1 }, viewerOf(actor), targets));
    });
  }

  async #inTime<T>(read: (db: Db) => Promise<T>): Promise<T> {
    try {
      return await read(this.#db.limited(OBJECT_LIMITS.listMs));
    } catch (error) {
      throw isTooSlow(error) ? objectErrors.tooSlow() : error;
    }
  }

  /** The classes that the filter asks references about. Nobody learns of objects what he may not read. */
  async #targetsIn(
    actor: Actor,
    of: ObjectClass,
    filter: RecordFilter | undefined,
  ): Promise<ReferenceTargets | undefined> {
    const names = filter ? referenceFields(filter) : [];
    if (names.length === 0) return undefined;
    const targets: ReferenceTargets = new Map();
    for (const name of names) {
      const field = of.fields.find((one) => one.name === name);
      const target = field && targetOf(field, of);
      const found = await this.#classes.resolve(actor, target ?? PROFILE_CLASS);
      assertCanRead(actor, found);
      assertStored(found);
      targets.set(name, { of: found, isUser: target === undefined });
    }
    return targets;
  }

  /** Changes what is named; operators such as `_increment` work on what is stored, whoever else changes it meanwhile. */
  async update(actor: Actor, className: string, id: number, patch: ObjectPatch): Promise<ObjectDocument> {
    return this.#onClass(actor, className, async (of) => {
      assertStored(of);
      const before = await this.#visible(actor, of, id);
      const right = objectRight(actor, before);
      if (!hasRight(right, 'write')) throw objectErrors.noPermission();
      const { expectedRevision: expected } = patch;
      if (expected !== undefined && expected !== before.revision)
        throw objectErrors.revision(expected, before.revision);
      const record = await this.#record(actor, of, before, patch);
      if (isSame(record, before) && before.shape === of.revision) return toDocument(before);
      try {
        const row = await updateObject(this.#db, of, before, record);
        return row && toDocument(row);
      } catch (error) {
        throw this.#explain(of, error);
      }
    });
  }

  async delete(actor: Actor, className: string, id: number): Promise<void> {
    await this.#onClass(actor, className, async (of) => {
      assertStored(of);
      const before = await this.#visible(actor, of, id);
      if (!hasRight(objectRight(actor, before), 'full') || of.name === PROFILE_CLASS) throw objectErrors.noPermission();
      if (!(await deleteObject(this.#db, of.id, id))) throw objectErrors.notFound();
      return true;
    });
  }

  /** The stored values of a profile object, for a new end user; nothing is written yet. */
  async profileRecord(actor: Actor, of: ObjectClass, input: NewObject): Promise<ObjectRecord> {
    return this.#record(actor, of, undefined, input);
  }

  /**
   * Runs `act` on the class; again, with the class as it is now, when it answers undefined: then the class or the
   * object changed under its hands.
   */
  async #onClass<T>(actor: Actor, name: string, act: (of: ObjectClass) => Promise<T | undefined>): Promise<T> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const of = await this.#classes.resolve(actor, name);
      try {
        const result = await act(of);
        if (result !== undefined) return result;
      } catch (error) {
        if (!(error instanceof StaleClass) && !isTableGone(error)) throw error;
      }
      this.#classes.forget();
    }
    throw errors.conflict('The object is changed by too many others at the same time.');
  }

  async #visible(actor: Actor, of: ObjectClass, id: number): Promise<StoredRow> {
    assertCanRead(actor, of);
    const row = await this.#reads.call(of.id, id);
    if (!row || objectRight(actor, row) === 'none') throw objectErrors.notFound();
    if (row.shape > of.revision) throw new StaleClass();
    return row;
  }

  async #readTogether(classId: number, ids: number[]): Promise<(StoredRow | undefined)[]> {
    const rows = await findObjects(this.#db, classId, ids);
    if (ids.length === 1) return rows;
    const byId = new Map(rows.map((row) => [row.id, row]));
    return ids.map((id) => byId.get(id));
  }

  async #insertTogether(
    of: ObjectClass,
    records: ObjectRecord[],
  ): Promise<(DocumentRow | 'changed' | { failed: unknown })[]> {
    try {
      const rows = await insertObjects(this.#db, of, records);
      return records.map((_, at) => rows[at] ?? 'changed');
    } catch (error) {
      if (records.length === 1 || violatedIndex(error) === undefined) return records.map(() => ({ failed: error }));
    }
    // One of them is refused; whose fault it is shows only one by one.
    const results: (DocumentRow | 'changed' | { failed: unknown })[] = [];
    for (const record of records) results.push(...(await this.#insertTogether(of, [record])));
    return results;
  }

  async #record(actor: Actor, of: ObjectClass, before: StoredRow | undefined, input: NewObject): Promise<ObjectRecord> {
    const problems: FieldProblems = {};
    const old = before ? (JSON.parse(before.document) as Record<string, StoredValue>) : {};
    const values = new Map<ClassField, StoredValue>();
    for (const field of of.fields) {
      const kept = old[field.name] ?? null;
      if (!Object.hasOwn(input.values, field.name)) {
        values.set(field, kept);
        continue;
      }
      try {
        values.set(field, changeValue(field, kept, input.values[field.name], targetOf(field, of)));
      } catch (error) {
        if (!(error instanceof ValueProblem)) throw error;
        problems[field.name] = [error.message];
      }
    }
    if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
    await this.#checkTargets(actor, of, values, old);
    await this.#checkOwner(actor, before, input);
    await this.#checkGroup(actor, before, input);
    const text = `{${[...values].map(([{ name }, value]) => `"${name}":${JSON.stringify(value)}`).join(',')}}`;
    if (text.length > OBJECT_LIMITS.documentLength)
      throw objectErrors.invalid({ [RECORD]: ['Object maximum size exceeded.'] });
    return { values: text, ...this.#access(actor, of, before, input) };
  }

  #access(
    actor: Actor,
    of: ObjectClass,
    before: StoredRow | undefined,
    input: ObjectAccess,
  ): Omit<ObjectRecord, 'values'> {
    const isManager = canManageObjects(actor);
    const limit = isManager || !before ? 'full' : objectRight(actor, before);
    const ownerId = input.ownerId === undefined ? (before?.ownerId ?? null) : input.ownerId;
    if (before && ownerId !== before.ownerId && of.name === PROFILE_CLASS)
      throw objectErrors.invalid({ owner: ['Cannot change owner of User Profile object.'] });
    if (before && ownerId !== before.ownerId && !isManager)
      throw objectErrors.invalid({ owner: ['Cannot change owner of Data Object.'] });
    const groupId = input.groupId === undefined ? (before?.groupId ?? null) : input.groupId;
    const isOwnGroup = groupId === null || groupId === before?.groupId || actor.endUser?.groupIds.includes(groupId);
    if (!isOwnGroup && !isManager) throw objectErrors.invalid({ group: ['Invalid group specified.'] });
    const isMadeByUser = before === undefined && actor.endUser !== undefined && !(isManager && input.ownerId != null);
    return {
      ownerId: isMadeByUser ? (actor.endUser?.id ?? null) : ownerId,
      groupId,
      ownerRight: input.ownerRight === undefined ? (before?.ownerRight ?? 'full') : atMost(input.ownerRight, limit),
      groupRight: input.groupRight === undefined ? (before?.groupRight ?? 'none') : atMost(input.groupRight, limit),
      otherRight: input.otherRight === undefined ? (before?.otherRight ?? 'none') : atMost(input.otherRight, limit),
    };
  }

  async #checkOwner(actor: Actor, before: StoredRow | undefined, { ownerId }: ObjectAccess): Promise<void> {
    if (ownerId === undefined || ownerId === null || ownerId === before?.ownerId) return;
    const [known] = await knownUserIds(this.#db, actor.projectId, [ownerId]);
    if (known === undefined)
      throw objectErrors.invalid({ owner: [`Invalid pk "${ownerId}" - object does not exist.`] });
  }

  async #checkGroup(actor: Actor, before: StoredRow | undefined, { groupId }: ObjectAccess): Promise<void> {
    if (groupId === undefined || groupId === null || groupId === before?.groupId) return;
    if (await findGroup(this.#db, actor.projectId, groupId)) return;
    throw objectErrors.invalid({ group: [`Invalid pk "${groupId}" - object does not exist.`] });
  }

  /** References must lead somewhere; relations keep what is there. What was stored before is not asked for again. */
  async #checkTargets(
    actor: Actor,
    of: ObjectClass,
    values: Map<ClassField, StoredValue>,
    old: Record<string, StoredValue>,
  ): Promise<void> {
    for (const [field, value] of values) {
      if (field.type !== 'reference' && field.type !== 'relation') continue;
      const trusted = idsIn(old[field.name]);
      const asked = idsIn(value).filter((id) => !trusted.includes(id));
      if (asked.length === 0) continue;
      const there = await this.knownTargets(actor, targetOf(field, of), asked);
      if (field.type === 'relation') {
        const kept = idsIn(value).filter((id) => trusted.includes(id) || there.includes(id));
        values.set(field, toRelation(kept, targetOf(field, of)));
      } else if (there.length === 0) {
        throw objectErrors.invalid({ [field.name]: ['Target with specified id does not exist.'] });
      }
    }
  }

  /** Which of the ids are there, in the class or, without one, among the end users. */
  async knownTargets(actor: Actor, target: string | undefined, ids: number[]): Promise<number[]> {
    if (target === undefined) return knownUserIds(this.#db, actor.projectId, ids);
    const of = await this.#classes.resolve(actor, target).catch((error: unknown) => {
      if (error instanceof AppError && error.kind === 'not-found')
        throw objectErrors.invalid({ [RECORD]: ['Referenced class does not exist.'] });
      throw error;
    });
    return of.sourceTableId === undefined ? knownIds(this.#db, of.id, ids) : this.#tables.known(of, ids);
  }

  #explain(of: ObjectClass, error: unknown): unknown {
    const index = violatedIndex(error);
    const field = index === undefined ? undefined : fieldOfConstraint(of, index);
    return field ? objectErrors.invalid({ [field.name]: ['This field must be unique.'] }) : error;
  }
}

function referenceFields(filter: RecordFilter): string[] {
  if ('all' in filter) return filter.all.flatMap(referenceFields);
  if ('any' in filter) return filter.any.flatMap(referenceFields);
  if ('not' in filter) return referenceFields(filter.not);
  return 'refersTo' in filter ? [filter.field] : [];
}

function assertStored({ sourceTableId }: ObjectClass): void {
  if (sourceTableId !== undefined) throw objectErrors.readOnly(sourceTableId);
}

/** The object was written by fields of the class that we do not know yet. */
class StaleClass extends Error {}

function isSame(record: ObjectRecord, before: StoredRow): boolean {
  return (
    // The fields are the end of the document.
    before.document.endsWith(record.values === '{}' ? '}' : `,${record.values.slice(1)}`) &&
    record.ownerId === before.ownerId &&
    record.ownerRight === before.ownerRight &&
    record.groupId === before.groupId &&
    record.groupRight === before.groupRight &&
    record.otherRight === before.otherRight
  );
}

/** Objects written before the last change of the class's fields get the members they lack. */
export function toDocument(row: DocumentRow, of?: ObjectClass): ObjectDocument {
  const isOld = of !== undefined && row.shape !== of.revision;
  return {
    id: row.id,
    revision: row.revision,
    ownerId: row.ownerId ?? undefined,
    groupId: row.groupId ?? undefined,
    document: isOld ? reshape(row.document, of) : row.document,
  };
}

/** The members of every document that are no fields; see the store. */
const OWN_MEMBERS = 11;

function reshape(document: string, { fields }: ObjectClass): string {
  const object = JSON.parse(document) as Record<string, Json>;
  const own = Object.entries(object).slice(0, OWN_MEMBERS);
  const values = fields.map(({ name }): [string, Json] => [name, object[name] ?? null]);
  return JSON.stringify(Object.fromEntries([...own, ...values]));
}
