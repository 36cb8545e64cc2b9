import type { Db } from '../../db/database.ts';
import { type FilterColumn, filterToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { Order, RecordFilter } from '../../lib/filter.ts';
import type { ClassField, ObjectClass } from './class-model.ts';
import { ISO_FORMAT, idsOf, tableOf } from './class-store.ts';
import { columnsOf, fieldColumn } from './object-columns-store.ts';
import { OBJECT_LIMITS, type ObjectQuery, type ObjectRight, USER_FIELDS } from './object-model.ts';

/** Whose objects a caller sees; undefined for who sees all. */
export type Viewer = { userId: number | undefined; groupIds: number[] } | undefined;

export type DocumentRow = {
  id: number;
  revision: number;
  shape: number;
  ownerId: number | null;
  groupId: number | null;
  document: string;
};

export type StoredRow = DocumentRow & {
  ownerRight: ObjectRight;
  groupRight: ObjectRight;
  otherRight: ObjectRight;
};

export type ObjectRecord = {
  values: string;
  ownerId: number | null;
  ownerRight: ObjectRight;
  groupId: number | null;
  groupRight: ObjectRight;
  otherRight: ObjectRight;
};

type Parts = Record<
  'id' | 'createdAt' | 'updatedAt' | 'revision' | 'ownerId' | 'ownerRight' | 'groupId' | 'groupRight' | 'otherRight',
  Sql
> & { values: Sql; channel: Sql; channelRoom: Sql };

/** The whole document as text, put together where ids and times are given out, so that no reader has to do it. */
function documentOf(parts: Parts): Sql {
  return sql`('{"id":' || ${parts.id} || ',"created_at":"' || to_char(${parts.createdAt}, ${ISO_FORMAT})
    || '","updated_at":"' || to_char(${parts.updatedAt}, ${ISO_FORMAT}) || '","revision":' || ${parts.revision}
    || ',"owner":' || coalesce(${parts.ownerId}::text, 'null') || ',"owner_permissions":"' || ${parts.ownerRight}
    || '","group":' || coalesce(${parts.groupId}::text, 'null') || ',"group_permissions":"' || ${parts.groupRight}
    || '","other_permissions":"' || ${parts.otherRight}
    || '","channel":' || coalesce(to_json(${parts.channel})::text, 'null')
    || ',"channel_room":' || coalesce(to_json(${parts.channelRoom})::text, 'null')
    || case ${parts.values} when '{}' then '}' else ',' || substr(${parts.values}, 2) end)::json`;
}

/** The members that `documentOf` writes before the fields, as far as readers need them; the order is always this one. */
const OWN_MEMBERS: [name: string, value: string][] = [
  ['id', '(\\d+)'],
  ['created_at', '"[^"]*"'],
  ['updated_at', '"[^"]*"'],
  ['revision', '(\\d+)'],
  ['owner', '(?:(\\d+)|null)'],
  ['owner_permissions', '"(\\w+)"'],
  ['group', '(?:(\\d+)|null)'],
  ['group_permissions', '"(\\w+)"'],
  ['other_permissions', '"(\\w+)"'],
];
/** PostgreSQL puts blanks between the parts of a document from which it has taken fields away. */
const PACKED = new RegExp(
  `^(\\d+) \\{\\s*${OWN_MEMBERS.map(([name, value]) => `"${name}"\\s*:\\s*${value}`).join('\\s*,\\s*')}`,
);

/**
 * An object as one text: all that a reader wants is in its document, and taking columns apart one by one is most of what
 * a listing costs the driver and the database.
 */
const ROW = sql`shape || ' ' || document::text`;
/** A document is one line, since JSON has no line breaks but those we do not write. */
const ROWS = sql`string_agg(${ROW}, chr(10))`;

type Packed = { rows: string | null };

function unpack(page: Packed | undefined): StoredRow[] {
  return page?.rows ? page.rows.split('\n').map(unpackRow) : [];
}

function unpackRow(row: string): StoredRow {
  const found = PACKED.exec(row);
  if (!found) throw new Error('A stored object does not begin as all of them do');
  const [, shape, id, revision, ownerId, ownerRight, groupId, groupRight, otherRight] = found;
  return {
    id: Number(id),
    revision: Number(revision),
    shape: Number(shape),
    ownerId: ownerId === undefined ? null : Number(ownerId),
    groupId: groupId === undefined ? null : Number(groupId),
    ownerRight: ownerRight as ObjectRight,
    groupRight: groupRight as ObjectRight,
    otherRight: otherRight as ObjectRight,
    document: row.slice(row.indexOf('{')),
  };
}

/** In no order. */
export async function findObjects(db: Db, classId: number, ids: readonly number[]): Promise<StoredRow[]> {
  return unpack(
    await db.one<Packed>(sql`select ${ROWS} as rows from ${tableOf(classId)} where id = any(${ids}::bigint[])`),
  );
}

/** Which of the ids are there. */
export async function knownIds(db: Db, classId: number, ids: readonly number[]): Promise<number[]> {
  const rows = await db.query<{ id: number }>(sql`select id from ${tableOf(classId)} where id = any(${ids}::bigint[])`);
  return rows.map(({ id }) => id);
}

/** Where references of an object lead: the class, or the class of profiles for references to end users. */
export type ReferenceTargets = Map<string, { of: ObjectClass; isUser: boolean }>;

/** The columns of a class; references can also be asked what they lead to, as far as the viewer sees that. */
function columnsWith(of: ObjectClass, viewer: Viewer, targets: ReferenceTargets | undefined): ColumnMap {
  // A copy: what a viewer may see is not for the next one.
  const columns: Record<string, FilterColumn> = { ...columnsOf(of.fields) };
  for (const [field, { of: target, isUser }] of targets ?? []) {
    const column = columns[field];
    if (!column) continue;
    const matching = isUser ? matchingUsers : matchingObjects;
    columns[field] = { ...column, targets: (filter) => matching(target, filter, viewer) };
  }
  return columns;
}

type ColumnMap = Readonly<Record<string, FilterColumn>>;

function matchingObjects(of: ObjectClass, filter: RecordFilter, viewer: Viewer): Sql {
  const where = conditions(columnsOf(of.fields), { filter, limit: 0 }, viewer);
  return sql`select id from ${tableOf(of.id)} ${whereOf(where)} order by id limit ${OBJECT_LIMITS.nestedMatches}`;
}

function matchingUsers(profiles: ObjectClass, filter: RecordFilter, viewer: Viewer): Sql {
  const columns: Record<string, FilterColumn> = { ...columnsOf(profiles.fields) };
  for (const [name, type] of Object.entries(USER_FIELDS)) columns[name] = { column: sql.name('u', name), type };
  const where = conditions(columns, { filter, limit: 0 }, viewer);
  return sql`
    select u.id from millrace.end_users u join ${tableOf(profiles.id)} p on p.id = u.profile_id
    ${whereOf([sql`u.project_id = ${profiles.projectId}`, ...where])} order by u.id limit ${OBJECT_LIMITS.nestedMatches}`;
}

export async function listObjects(
  db: Db,
  of: ObjectClass,
  query: ObjectQuery,
  viewer: Viewer,
  targets?: ReferenceTargets,
): Promise<DocumentRow[]> {
  if (query.limit === 0) return [];
  const columns = columnsWith(of, viewer, targets);
  const where = conditions(columns, query, viewer);
  const steps = keysetSteps(columns, query);
  const found: DocumentRow[] = [];
  for (const { condition, order } of steps) {
    const all = condition ? [...where, condition] : where;
    const page = await db.one<Packed>(sql`
      select ${ROWS} as rows from (
        select shape, document from ${tableOf(of.id)} ${whereOf(all)}
        order by ${order} limit ${limitText(query.limit - found.length)}) page`);
    const rows = unpack(page);
    found.push(...rows);
    if (found.length === query.limit) break;
  }
  return query.back ? found.reverse() : found;
}

const USUAL_LIMITS = new Set([10, 20, 50, 100]);

/**
 * A limit that is a parameter keeps PostgreSQL from ever using a prepared plan: not knowing it, it expects a tenth of the
 * table. Only usual ones are written out, since each makes another statement.
 */
function limitText(limit: number): Sql {
  return USUAL_LIMITS.has(limit) ? sql.literal(String(limit)) : sql`${limit}`;
}

/** Whether a listing is of the plainest sort, which can be read together with others: everything after an id. */
export function isPlain({ filter, order, back }: ObjectQuery, viewer: Viewer): boolean {
  return filter === undefined && order === undefined && back !== true && viewer === undefined;
}

/** Several plain listings at once, in their order. */
export async function listPlain(
  db: Db,
  classId: number,
  pages: readonly { after: number; limit: number }[],
): Promise<DocumentRow[][]> {
  const found = await db.query<Packed>(sql`
    select (
      select ${ROWS} from (
        select shape, document from ${tableOf(classId)} where id > wanted.after order by id limit wanted.size) page
    ) as rows
    from unnest(${pages.map(({ after }) => after)}::bigint[], ${pages.map(({ limit }) => limit)}::integer[])
      with ordinality as wanted (after, size, place)
    order by place`);
  return found.map(unpack);
}

export async function countMatching(
  db: Db,
  of: ObjectClass,
  query: ObjectQuery,
  viewer: Viewer,
  targets?: ReferenceTargets,
): Promise<number> {
  const where = conditions(columnsWith(of, viewer, targets), query, viewer);
  const row = await db.one<{ count: number }>(sql`
    select count(*) as count from ${tableOf(of.id)} ${whereOf(where)}`);
  return row?.count ?? 0;
}

/** Nothing is written, and nothing returned, when the class has another revision by now. The answer is in order. */
export async function insertObjects(db: Db, of: ObjectClass, records: readonly ObjectRecord[]): Promise<DocumentRow[]> {
  const column = <Key extends keyof ObjectRecord>(key: Key) => records.map((record) => record[key]);
  const document = documentOf({
    id: sql`id`,
    createdAt: sql`now()`,
    updatedAt: sql`now()`,
    revision: sql`1`,
    ownerId: sql`owner_id`,
    ownerRight: sql`owner_right`,
    groupId: sql`group_id`,
    groupRight: sql`group_right`,
    otherRight: sql`other_right`,
    channel: sql`null::text`,
    channelRoom: sql`null::text`,
    values: sql`"values"`,
  });
  const made = await db.query<{ row: string }>(sql`
    insert into ${tableOf(of.id)}
      (id, shape, owner_id, owner_right, group_id, group_right, other_right, document)
    select id, ${of.revision}::integer, owner_id, owner_right, group_id, group_right, other_right, ${document}
    from (
      select nextval(${idsOf(of.projectId)}) as id, record.*
      from unnest(${column('values')}::text[], ${column('ownerId')}::bigint[], ${column('ownerRight')}::text[],
          ${column('groupId')}::bigint[], ${column('groupRight')}::text[], ${column('otherRight')}::text[])
        as record ("values", owner_id, owner_right, group_id, group_right, other_right)
      where ${isCurrent(of)}
      -- Keeps the ids from being given out more than once per row.
      offset 0) numbered
    returning ${ROW} as row`);
  return made.map(({ row }) => unpackRow(row)).sort((a, b) => a.id - b.id);
}

/** Undefined when the object or its class has another revision by now. */
export async function updateObject(
  db: Db,
  of: ObjectClass,
  before: Pick<StoredRow, 'id' | 'revision'>,
  record: ObjectRecord,
): Promise<DocumentRow | undefined> {
  const document = documentOf({
    id: sql`id`,
    createdAt: sql`created_at`,
    updatedAt: sql`now()`,
    revision: sql`(revision + 1)`,
    ownerId: sql`${record.ownerId}::bigint`,
    ownerRight: sql`${record.ownerRight}::text`,
    groupId: sql`${record.groupId}::bigint`,
    groupRight: sql`${record.groupRight}::text`,
    otherRight: sql`${record.otherRight}::text`,
    channel: sql`channel`,
    channelRoom: sql`channel_room`,
    values: sql`${record.values}::text`,
  });
  const changed = await db.one<{ row: string }>(sql`
    update ${tableOf(of.id)} set shape = ${of.revision}, revision = revision + 1, updated_at = now(),
      owner_id = ${record.ownerId}, owner_right = ${record.ownerRight}, group_id = ${record.groupId},
      group_right = ${record.groupRight}, other_right = ${record.otherRight}, document = ${document}
    where id = ${before.id} and revision = ${before.revision} and ${isCurrent(of)}
    returning ${ROW} as row`);
  return changed && unpackRow(changed.row);
}

/** Those of the class whose field has one of the values; nobody else changes them until the end of the transaction. */
export async function lockObjectsBy(
  db: Db,
  of: ObjectClass,
  field: ClassField,
  values: readonly string[],
): Promise<StoredRow[]> {
  const { column, type } = fieldColumn(field);
  const cast = sql.name(PARAMETERS[type] ?? 'text');
  const rows = await db.query<{ row: string }>(sql`
    select ${ROW} as row from ${tableOf(of.id)} where ${column} = any(${values}::text[]::${cast}[])
    order by id for update`);
  return rows.map(({ row }) => unpackRow(row));
}

/** Whole new values for objects that are locked; who owns and sees them stays. False: the class has changed meanwhile. */
export async function replaceValues(
  db: Db,
  of: ObjectClass,
  changes: readonly { id: number; values: string }[],
): Promise<boolean> {
  const document = documentOf({
    id: sql`o.id`,
    createdAt: sql`o.created_at`,
    updatedAt: sql`now()`,
    revision: sql`(o.revision + 1)`,
    ownerId: sql`o.owner_id`,
    ownerRight: sql`o.owner_right`,
    groupId: sql`o.group_id`,
    groupRight: sql`o.group_right`,
    otherRight: sql`o.other_right`,
    channel: sql`o.channel`,
    channelRoom: sql`o.channel_room`,
    values: sql`change."values"`,
  });
  const rows = await db.query(sql`
    update ${tableOf(of.id)} o set shape = ${of.revision}, revision = o.revision + 1, updated_at = now(),
      document = ${document}
    from unnest(${changes.map(({ id }) => id)}::bigint[], ${changes.map(({ values }) => values)}::text[])
      as change (id, "values")
    where o.id = change.id and ${isCurrent(of)}
    returning o.id`);
  return rows.length === changes.length;
}

export async function deleteAllObjects(db: Db, classId: number): Promise<number> {
  const row = await db.one<{ count: number }>(sql`
    with gone as (delete from ${tableOf(classId)} returning 1) select count(*) as count from gone`);
  return row?.count ?? 0;
}

export async function deleteObject(db: Db, classId: number, id: number): Promise<boolean> {
  return (await db.query(sql`delete from ${tableOf(classId)} where id = ${id} returning id`)).length > 0;
}

export async function deleteObjectsOf(db: Db, classId: number, ownerId: number): Promise<void> {
  await db.query(sql`delete from ${tableOf(classId)} where owner_id = ${ownerId}`);
}

/**
 * Whoever changes the fields of a class holds the lock of its table, for which this statement has waited; so what it
 * reads here is newer than that change.
 */
function isCurrent(of: ObjectClass): Sql {
  return sql`(select c.revision from millrace.object_classes c where c.id = ${of.id}) = ${of.revision}`;
}

function conditions(columns: Record<string, FilterColumn>, { filter }: ObjectQuery, viewer: Viewer): Sql[] {
  const where: Sql[] = [];
  if (filter) where.push(filterToSql(filter, columns));
  if (viewer) {
    const visible = sql`('read', 'write', 'full')`;
    const groups =
      viewer.groupIds.length > 0
        ? sql` or (group_right in ${visible} and group_id = any(${viewer.groupIds}::bigint[]))`
        : sql.empty;
    const own =
      viewer.userId === undefined ? sql.empty : sql` or (owner_id = ${viewer.userId} and owner_right in ${visible})`;
    where.push(sql`(other_right in ${visible}${own}${groups})`);
  }
  return where;
}

function whereOf(conditions: readonly Sql[]): Sql {
  return conditions.length === 0 ? sql.empty : sql`where ${sql.join(conditions, sql` and `)}`;
}

type Step = { condition: Sql | undefined; order: Sql };

/**
 * What to read, in this order, until the page is full. Rows without a value come last in ascending order and first in
 * descending; they are read on their own, because only a plain comparison of rows lets an index find the place.
 */
function keysetSteps(columns: Record<string, FilterColumn>, query: ObjectQuery): Step[] {
  const { order, cursor, back = false } = query;
  const isDescending = ((order?.direction ?? 'asc') === 'desc') !== back;
  const direction = isDescending ? sql`desc` : sql`asc`;
  const after = isDescending ? sql`<` : sql`>`;
  const byId = (id: number) => sql`id ${after} ${id}`;
  if (!order || order.field === 'id') return [{ condition: cursor && byId(cursor.id), order: sql`id ${direction}` }];
  const { column, type } = requireColumn(columns, order);
  const orderByBoth = sql`${column} ${direction}, id ${direction}`;
  if (!cursor) return [{ condition: undefined, order: orderByBoth }];
  const hasValue = cursor.value !== undefined && cursor.value !== null;
  const place = sql`${cursor.value ?? null}::text::${sql.name(PARAMETERS[type] ?? 'text')}`;
  const valued: Step = {
    condition: hasValue ? sql`(${column}, id) ${after} (${place}, ${cursor.id})` : sql`${column} is not null`,
    order: orderByBoth,
  };
  const empty: Step = {
    condition: hasValue ? sql`${column} is null` : sql`(${column} is null and ${byId(cursor.id)})`,
    order: sql`id ${direction}`,
  };
  if (isDescending) return hasValue ? [valued] : [empty, valued];
  return hasValue ? [valued, empty] : [empty];
}

const PARAMETERS: Partial<Record<FilterColumn['type'], string>> = {
  integer: 'int8',
  number: 'numeric',
  boolean: 'bool',
  date: 'timestamptz',
};

function requireColumn(columns: Record<string, FilterColumn>, { field }: Order): FilterColumn {
  const column = columns[field];
  if (!column) throw new Error(`No column for the order ${field}`);
  return column;
}

/** The unique index a write failed on. */
export function violatedIndex(error: unknown): string | undefined {
  const { code, constraint } = (error ?? {}) as { code?: unknown; constraint?: unknown };
  return code === '23505' && typeof constraint === 'string' ? constraint : undefined;
}

/** The class was deleted after we had looked it up. */
export function isTableGone(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === '42P01';
}

/** The statement was ended because it took too long. */
export function isTooSlow(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === '57014';
}
