import type { Database, Transaction } from '../../db/database.ts';
import { errors } from '../errors.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { type ClassField, type ObjectClass, PROFILE_CLASS } from './class-model.ts';
import { fieldOfConstraint } from './class-store.ts';
import type { Classes } from './classes.ts';
import { targetOf } from './field-definitions.ts';
import { idsIn, readCell, type StoredValue, toRelation, ValueProblem } from './field-values.ts';
import { canManageObjects } from './object-access.ts';
import { objectErrors } from './object-errors.ts';
import { beginLoad, endLoad, findLoad, forgetOldLoads, type LoadCounts } from './object-load-store.ts';
import { OBJECT_LIMITS } from './object-model.ts';
import {
  deleteAllObjects,
  insertObjects,
  isTableGone,
  lockObjectsBy,
  type ObjectRecord,
  replaceValues,
  violatedIndex,
} from './object-store.ts';
import type { Objects } from './objects.ts';

export type { LoadCounts };

export const LOAD_MODES = ['append', 'upsert', 'replace'] as const;
export type LoadMode = (typeof LOAD_MODES)[number];

export type ObjectLoad = {
  className: string;
  /** `upsert`: the object whose `key` has the value of a row is changed, and made where there is none. */
  mode: LoadMode;
  key?: string | undefined;
  /** What each cell of a row is: the column, for messages, and the field of the class. */
  columns: { column: string; field: string }[];
  /** The rows from the first on, every time it is called. */
  rows: () => AsyncIterable<(string | null)[][]>;
  /** A load is carried out once, however often it is asked for by the same id. */
  id: string;
  onProgress(rows: number): void;
  signal: AbortSignal;
};

type Target = { of: ObjectClass; fields: (ClassField | undefined)[]; key: ClassField | undefined };
type ReadRow = { row: number; values: Map<ClassField, StoredValue> };

const MAX_ATTEMPTS = 5;

/**
 * Writes many rows of texts into a class, all of them or none: one transaction, batch by batch, so readers see the
 * class as it was until the last row is in. The same transaction says that the load is done; whoever repeats it after a
 * crash finds either nothing of it or all.
 */
export class ObjectLoads {
  readonly #db: Database;
  readonly #events: Events;
  readonly #classes: Classes;
  readonly #objects: Objects;

  constructor(parts: { db: Database; events: Events; classes: Classes; objects: Objects }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#classes = parts.classes;
    this.#objects = parts.objects;
  }

  async load(actor: Actor, load: ObjectLoad): Promise<LoadCounts> {
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    // On its own: in the transaction of the load, others would wait for that to end.
    await forgetOldLoads(this.#db);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const target = toTarget(await this.#classes.resolve(actor, load.className), load);
      try {
        return await this.#db.transaction((tx) => this.#carryOut(tx, actor, target, load));
      } catch (error) {
        if (!(error instanceof ClassChanged) && !isTableGone(error)) throw error;
      }
      this.#classes.forget();
    }
    throw errors.conflict('The class is changed by others again and again.');
  }

  async #carryOut(tx: Transaction, actor: Actor, target: Target, load: ObjectLoad): Promise<LoadCounts> {
    const { of } = target;
    const id = `${actor.projectId}:${load.id}`;
    if (!(await beginLoad(tx, id, actor.projectId))) {
      const before = await findLoad(tx, id);
      if (before) return before;
    }
    const counts: LoadCounts = { created: 0, updated: 0, unchanged: 0, deleted: 0 };
    if (load.mode === 'replace') counts.deleted = await deleteAllObjects(tx, of.id);
    let seen = 0;
    for await (const batch of load.rows()) {
      load.signal.throwIfAborted();
      const rows = batch.map((cells, at) => readRow(target, load, cells, seen + at + 1));
      await this.#checkTargets(actor, target, load, rows);
      if (target.key) await this.#upsert(tx, { ...target, key: target.key }, load, rows, counts);
      else await this.#insert(tx, target, load, rows, counts);
      seen += rows.length;
      load.onProgress(seen);
    }
    load.signal.throwIfAborted();
    await endLoad(tx, id, counts);
    await this.#events.append(
      tx,
      eventFor(actor, {
        name: 'class.loaded',
        component: 'storage',
        type: 'success',
        message: `Loaded ${seen} rows into class "${of.name}"`,
        objectType: 'class',
        objectId: String(of.id),
        objectName: of.name,
        params: { mode: load.mode },
        results: counts,
      }),
    );
    return counts;
  }

  async #insert(
    tx: Transaction,
    { of }: Target,
    load: ObjectLoad,
    rows: readonly ReadRow[],
    counts: LoadCounts,
  ): Promise<void> {
    if (rows.length === 0) return;
    const records = rows.map(({ row, values }): ObjectRecord => ({ ...UNOWNED, values: toText(of, values, {}, row) }));
    try {
      const made = await insertObjects(tx, of, records);
      if (made.length !== records.length) throw new ClassChanged();
    } catch (error) {
      throw explain(of, load, rows, error);
    }
    counts.created += rows.length;
  }

  async #upsert(
    tx: Transaction,
    target: Target & { key: ClassField },
    load: ObjectLoad,
    rows: readonly ReadRow[],
    counts: LoadCounts,
  ): Promise<void> {
    const { of, key } = target;
    const byKey = new Map<string, ReadRow>();
    for (const row of rows) byKey.set(keyText(row.values.get(key)), row);
    const known = await lockObjectsBy(tx, of, key, [...byKey.keys()]);
    const changes: { id: number; values: string }[] = [];
    for (const { id, document, shape } of known) {
      if (shape > of.revision) throw new ClassChanged();
      const old = JSON.parse(document) as Record<string, StoredValue>;
      const text = keyText(old[key.name]);
      const row = byKey.get(text);
      if (!row) continue;
      byKey.delete(text);
      const values = toText(of, row.values, old, row.row);
      const isSame = shape === of.revision && document.endsWith(`,${values.slice(1)}`);
      if (isSame) counts.unchanged++;
      else changes.push({ id, values });
    }
    try {
      if (changes.length > 0 && !(await replaceValues(tx, of, changes))) throw new ClassChanged();
    } catch (error) {
      throw explain(of, load, rows, error);
    }
    counts.updated += changes.length;
    await this.#insert(tx, target, load, [...byKey.values()], counts);
  }

  /** References must lead somewhere; relations keep what is there. */
  async #checkTargets(actor: Actor, { of, fields }: Target, load: ObjectLoad, rows: readonly ReadRow[]): Promise<void> {
    for (const [at, field] of fields.entries()) {
      if (field?.type !== 'reference' && field?.type !== 'relation') continue;
      const asked = new Set(rows.flatMap(({ values }) => idsIn(values.get(field))));
      if (asked.size === 0) continue;
      const target = targetOf(field, of);
      const there = new Set(await this.#objects.knownTargets(actor, target, [...asked]));
      for (const { row, values } of rows) {
        const ids = idsIn(values.get(field));
        const kept = ids.filter((id) => there.has(id));
        if (kept.length === ids.length) continue;
        if (field.type === 'reference')
          throw badValue(
            row,
            load.columns[at]?.column ?? '',
            'Target with specified id does not exist.',
            String(ids[0]),
          );
        values.set(field, toRelation(kept, target));
      }
    }
  }
}

/** The class has other fields by now, or is gone. */
class ClassChanged extends Error {}

const UNOWNED = {
  ownerId: null,
  ownerRight: 'full',
  groupId: null,
  groupRight: 'none',
  otherRight: 'none',
} as const;

function toTarget(of: ObjectClass, load: ObjectLoad): Target {
  if (of.sourceTableId !== undefined) throw objectErrors.readOnly(of.sourceTableId);
  if (of.name === PROFILE_CLASS) throw objectErrors.noPermission();
  const fields = load.columns.map(({ field }) => of.fields.find(({ name }) => name === field));
  if (load.mode !== 'upsert') return { of, fields, key: undefined };
  const key = of.fields.find(({ name }) => name === load.key);
  if (!key || !fields.includes(key))
    throw objectErrors.load(`The key "${load.key ?? ''}" is no column with a field of class "${of.name}".`);
  if (!key.unique)
    throw objectErrors.load(
      `Field "${key.name}" of class "${of.name}" is not unique, so it cannot be the key of an upsert. Make it anew with "unique": true.`,
    );
  return { of, fields, key };
}

function readRow({ of, fields, key }: Target, load: ObjectLoad, cells: (string | null)[], row: number): ReadRow {
  const values = new Map<ClassField, StoredValue>();
  for (const [at, field] of fields.entries()) {
    if (!field) continue;
    const cell = cells[at] ?? null;
    const column = load.columns[at]?.column ?? '';
    try {
      values.set(field, readCell(field, cell, targetOf(field, of)));
    } catch (error) {
      if (!(error instanceof ValueProblem)) throw error;
      throw badValue(row, column, error.message, cell);
    }
    if (field === key && values.get(field) === null) throw badValue(row, column, 'The key has no value.', cell);
  }
  return { row, values };
}

const MAX_SHOWN = 100;

function badValue(row: number, column: string, problem: string, cell: string | null) {
  const shown = cell !== null && cell.length > MAX_SHOWN ? `${cell.slice(0, MAX_SHOWN)}...` : cell;
  return objectErrors.load(`Row ${row}, column "${column}": ${problem} The value is ${JSON.stringify(shown)}.`);
}

/** The fields of the class in their order; those that no column brings keep what they had. */
function toText(
  { fields }: ObjectClass,
  values: Map<ClassField, StoredValue>,
  old: Record<string, StoredValue>,
  row: number,
): string {
  const members = fields.map((field) => {
    const value = values.has(field) ? values.get(field) : (old[field.name] ?? null);
    return `"${field.name}":${JSON.stringify(value)}`;
  });
  const text = `{${members.join(',')}}`;
  if (text.length > OBJECT_LIMITS.documentLength) throw objectErrors.load(`Row ${row}: Object maximum size exceeded.`);
  return text;
}

/** As the index on the field has it. */
function keyText(value: StoredValue | undefined): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return String((value as { value?: unknown }).value);
}

/** Says which row and column a unique index has refused. */
function explain(of: ObjectClass, load: ObjectLoad, rows: readonly ReadRow[], error: unknown): unknown {
  const index = violatedIndex(error);
  const field = index === undefined ? undefined : fieldOfConstraint(of, index);
  if (!field) return error;
  const column = load.columns.find((one) => one.field === field.name)?.column ?? field.name;
  const value = /=\(([\s\S]*)\) already exists/.exec(String((error as { detail?: unknown }).detail))?.[1] ?? '';
  const row = rows.findLast(({ values }) => keyText(values.get(field)) === value)?.row ?? rows[0]?.row ?? 0;
  return badValue(row, column, 'This field must be unique.', value);
}
