import type { Database, Db, Transaction } from '../../db/database.ts';
import { systemClock } from '../../lib/clock.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import { AppError } from '../errors.ts';
import type { EventName } from '../events/event-names.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { NotifiedCache } from '../notified-cache.ts';
import type { TableRows } from '../tables/table-rows.ts';
import { CLASS_LIMITS, type ClassPatch, type NewClass, type ObjectClass, PROFILE_CLASS } from './class-model.ts';
import {
  changeObjectTable,
  countObjects,
  createObjectTable,
  deleteClass,
  findClass,
  insertClass,
  listClasses,
  lockClass,
  lockClassesOf,
  lockObjectTable,
  notifyClasses,
  updateClass,
} from './class-store.ts';
import { COLUMN_TYPES, columnFields } from './column-fields.ts';
import { numberFields, targetClasses } from './field-definitions.ts';
import { findGroup } from './group-store.ts';
import { assertCanRead, canManageObjects, canReadAllObjects, classRight } from './object-access.ts';
import { objectErrors } from './object-errors.ts';

const RESERVED_NAMES = ['self', 'user', 'users', 'acl'];

/** The kinds of data objects of a project. */
export class Classes {
  readonly #db: Database;
  readonly #events: Events;
  /** Writers name the revision they know: an old class in here can make a write start over but never go wrong. */
  readonly #cache: NotifiedCache<ObjectClass>;

  readonly #rows: TableRows;

  constructor(parts: { db: Database; events: Events; rows: TableRows }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#rows = parts.rows;
    this.#cache = new NotifiedCache({ db: parts.db, clock: systemClock, channel: 'object_classes', maxKept: 5000 });
  }

  /** By name, or whether the actor may see it or not: for operations on its objects, which have rights of their own. */
  async resolve(actor: Actor, name: string): Promise<ObjectClass> {
    const wanted = name.toLowerCase();
    const found = await this.#cache.get(`${actor.projectId} ${wanted}`, () =>
      findClass(this.#db, actor.projectId, wanted),
    );
    if (found) return this.#withSource(actor, found);
    if (wanted === PROFILE_CLASS) return this.#db.transaction((tx) => this.ensureProfiles(tx, actor));
    throw objectErrors.classNotFound();
  }

  /** What is remembered of classes has turned out to be old. */
  forget(): void {
    this.#cache.clear();
  }

  async get(actor: Actor, name: string): Promise<ObjectClass> {
    const found = await this.resolve(actor, name).catch((error: unknown) => {
      throw (error as { code?: string }).code === 'class.not-found' ? objectErrors.notFound() : error;
    });
    assertCanRead(actor, found);
    return found;
  }

  /** Those the actor may read, by name. `after` is a name; with `back` the page ends before it. */
  async list(actor: Actor, page: KeysetPage<string> & { prefix?: string | undefined }): Promise<ObjectClass[]> {
    const read = async (names?: string[]) => {
      const found = await listClasses(this.#db, actor.projectId, { ...page, names });
      return Promise.all(found.map((one) => this.#withSource(actor, one)));
    };
    if (canReadAllObjects(actor)) return read();
    const all = await listClasses(this.#db, actor.projectId, { limit: CLASS_LIMITS.classes });
    const visible = all.filter((one) => classRight(actor, one) !== 'none').map(({ name }) => name);
    return read(visible);
  }

  /** How many objects each has: exact to a thousand, then about right. */
  async counts(actor: Actor, classes: readonly ObjectClass[]): Promise<number[]> {
    const own = classes.filter(({ projectId }) => projectId === actor.projectId);
    const stored = own.filter(({ sourceTableId }) => sourceTableId === undefined);
    const counts = new Map((await countObjects(this.#db, stored)).map((count, at) => [stored[at]?.id, count]));
    return own.map(({ id, source }) => counts.get(id) ?? source?.rowsCount ?? 0);
  }

  async create(actor: Actor, input: NewClass): Promise<ObjectClass> {
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    const name = readName(input.name);
    if (input.sourceTableId !== undefined) await this.#checkSource(actor, { ...input, name });
    return this.#withSource(
      actor,
      await this.#db.transaction(async (tx) => {
        const count = await lockClassesOf(tx, actor.projectId);
        if (count >= CLASS_LIMITS.classes) throw objectErrors.classLimit(CLASS_LIMITS.classes);
        await this.#checkTargets(tx, actor, name, input.fields);
        await checkGroup(tx, actor, input.groupId);
        return this.#create(tx, actor, { ...input, name });
      }),
    );
  }

  async update(actor: Actor, name: string, patch: ClassPatch): Promise<ObjectClass> {
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    await this.get(actor, name);
    return this.#withSource(
      actor,
      await this.#db.transaction(async (tx) => {
        const known = await findClass(tx, actor.projectId, name.toLowerCase());
        if (!known) throw objectErrors.notFound();
        if (patch.fields) await this.#checkTargets(tx, actor, known.name, patch.fields);
        await checkGroup(tx, actor, patch.groupId);
        // The table before the row, as whoever writes objects does it: else the two could wait for each other.
        if (patch.fields && known.sourceTableId === undefined) await lockObjectTable(tx, known.id);
        const before = await lockClass(tx, actor.projectId, known.name);
        if (!before) throw objectErrors.notFound();
        const expected = patch.expectedRevision;
        if (expected !== undefined && expected !== before.revision)
          throw objectErrors.revision(expected, before.revision);
        if (patch.fields && before.sourceTableId !== undefined) assertColumnTypes(patch.fields);
        const fields = patch.fields ? numberFields(patch.fields, before.fields) : before.fields;
        const isChanged = JSON.stringify(fields) !== JSON.stringify(before.fields);
        const after = await updateClass(tx, {
          ...before,
          fields,
          revision: before.revision + (isChanged ? 1 : 0),
          description: patch.description ?? before.description,
          metadata: patch.metadata ?? before.metadata,
          groupId: patch.groupId === undefined ? before.groupId : (patch.groupId ?? undefined),
          groupRight: patch.groupRight ?? before.groupRight,
          otherRight: patch.otherRight ?? before.otherRight,
        });
        if (isChanged && after.sourceTableId === undefined) await changeObjectTable(tx, before, after);
        await this.#report(tx, actor, 'class.updated', after, `Changed class "${after.name}"`);
        return after;
      }),
    );
  }

  /** With all of its objects. */
  async delete(actor: Actor, name: string): Promise<void> {
    const found = await this.get(actor, name);
    if (!canManageObjects(actor) || found.name === PROFILE_CLASS) throw objectErrors.noPermission();
    await this.#db.transaction(async (tx) => {
      // Two who delete it at the same time: the second finds that there is nothing left to delete.
      await lockClassesOf(tx, actor.projectId);
      const known = await findClass(tx, actor.projectId, found.name);
      if (known?.id !== found.id) throw objectErrors.notFound();
      if (found.sourceTableId === undefined) await lockObjectTable(tx, found.id);
      await deleteClass(tx, found);
      await this.#report(tx, actor, 'class.deleted', found, `Deleted class "${found.name}"`);
    });
  }

  /** The class of end users' profiles, made when it is first asked for. */
  async ensureProfiles(tx: Transaction, actor: Actor): Promise<ObjectClass> {
    const known = await findClass(tx, actor.projectId, PROFILE_CLASS);
    if (known) return known;
    await lockClassesOf(tx, actor.projectId);
    const made = await findClass(tx, actor.projectId, PROFILE_CLASS);
    return made ?? this.#create(tx, actor, { name: PROFILE_CLASS, fields: [] });
  }

  async #create(tx: Transaction, actor: Actor, input: NewClass): Promise<ObjectClass> {
    const created = await insertClass(tx, {
      projectId: actor.projectId,
      name: input.name,
      description: input.description ?? '',
      fields: numberFields(input.fields, []),
      metadata: input.metadata ?? {},
      groupId: input.groupId,
      // Rows have no rights of their own: who sees a class over a table sees all of it, so that is never the default.
      groupRight: input.groupRight ?? (input.sourceTableId === undefined ? 'create_objects' : 'none'),
      otherRight: input.otherRight ?? (input.sourceTableId === undefined ? 'create_objects' : 'none'),
      sourceTableId: input.sourceTableId,
    });
    if (!created) throw objectErrors.invalid({ name: ['This field must be unique.'] });
    if (created.sourceTableId === undefined) await createObjectTable(tx, created);
    await this.#report(tx, actor, 'class.created', created, `Created class "${created.name}"`);
    return created;
  }

  /** With the fields that the table it is over has now. */
  async #withSource(actor: Actor, of: ObjectClass): Promise<ObjectClass> {
    if (of.sourceTableId === undefined) return of;
    const source = await this.#rows.open(actor, of.sourceTableId);
    const fields = source ? columnFields(of.fields, source).map(({ field }) => field) : of.fields;
    return { ...of, fields, source };
  }

  async #checkSource(actor: Actor, { name, fields, sourceTableId = '' }: NewClass): Promise<void> {
    if (name === PROFILE_CLASS) throw objectErrors.noPermission();
    await this.#rows.assertReadable(actor, sourceTableId).catch((error: unknown) => {
      // Whether it is not there or not for this key: the same answer.
      if (!(error instanceof AppError) || (error.kind !== 'not-found' && error.kind !== 'forbidden')) throw error;
      throw objectErrors.invalid({ source_table: [`Table "${sourceTableId}" does not exist.`] });
    });
    assertColumnTypes(fields);
    const source = await this.#rows.open(actor, sourceTableId);
    const known = source && columnFields(numberFields(fields, []), source).map(({ field }) => field.name);
    const unknown = fields.find((field) => fields.length > 0 && !known?.includes(field.name));
    if (unknown) throw objectErrors.invalid({ schema: [`Table "${sourceTableId}" has no column "${unknown.name}".`] });
  }

  async #checkTargets(tx: Transaction, actor: Actor, name: string, fields: NewClass['fields']): Promise<void> {
    for (const target of targetClasses(fields)) {
      const isThere = target === name || (await findClass(tx, actor.projectId, target)) !== undefined;
      if (!isThere) throw objectErrors.invalid({ schema: ['Class specified by target is missing.'] });
    }
  }

  async #report(
    tx: Transaction,
    actor: Actor,
    name: Extract<EventName, `class.${string}`>,
    of: ObjectClass,
    message: string,
  ): Promise<void> {
    await notifyClasses(tx);
    tx.afterCommit(() => this.#cache.clear());
    await this.#events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message,
        objectType: 'class',
        objectId: String(of.id),
        objectName: of.name,
        params: { revision: of.revision },
      }),
    );
  }
}

async function checkGroup(db: Db, { projectId }: Actor, groupId: number | null | undefined): Promise<void> {
  if (groupId === undefined || groupId === null || (await findGroup(db, projectId, groupId))) return;
  throw objectErrors.invalid({ group: [`Invalid pk "${groupId}" - object does not exist.`] });
}

function assertColumnTypes(fields: NewClass['fields']): void {
  const wrong = fields.find(({ type, unique }) => unique || !(COLUMN_TYPES as readonly string[]).includes(type));
  if (!wrong) return;
  const problem = wrong.unique ? 'cannot be unique' : `cannot be of type ${wrong.type}`;
  throw objectErrors.invalid({
    schema: [`Field "${wrong.name}" of a class over a table ${problem}. Possible types: ${COLUMN_TYPES.join(', ')}.`],
  });
}

function readName(text: string): string {
  const name = text.toLowerCase();
  const problems: string[] = [];
  if (name === '') problems.push('This field may not be blank.');
  else if (name.length > CLASS_LIMITS.nameLength)
    problems.push(`Ensure this field has no more than ${CLASS_LIMITS.nameLength} characters.`);
  else if (!/^[a-z][a-z0-9_]*$/.test(name))
    problems.push('This value must begin with a letter and may only contain letters, digits and underscores.');
  else if (RESERVED_NAMES.includes(name)) problems.push('Unable to use that value. Please choose a different one.');
  if (problems.length > 0) throw objectErrors.invalid({ name: problems });
  return name;
}
