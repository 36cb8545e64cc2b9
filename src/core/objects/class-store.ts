import type { Db } from '../../db/database.ts';
import { inListOrder, keysetToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import type { ClassField, ClassRight, ObjectClass } from './class-model.ts';
import { fieldColumn } from './object-columns-store.ts';

type ClassRow = {
  id: number;
  project_id: number;
  name: string;
  description: string;
  fields: ClassField[];
  metadata: Record<string, unknown>;
  revision: number;
  group_id: number | null;
  group_right: ClassRight;
  other_right: ClassRight;
  source_table_id: string | null;
  created: string;
  updated: string;
};

export const ISO_FORMAT = sql`'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`;

const COLUMNS = sql`id, project_id, name, description, fields, metadata, revision, group_id, group_right, other_right,
  source_table_id, to_char(created_at, ${ISO_FORMAT}) as created, to_char(updated_at, ${ISO_FORMAT}) as updated`;

export async function findClass(db: Db, projectId: number, name: string): Promise<ObjectClass | undefined> {
  const row = await db.one<ClassRow>(
    sql`select ${COLUMNS} from object_classes where project_id = ${projectId} and name = ${name}`,
  );
  return row && toClass(row);
}

/** Held to the end of the transaction. */
export async function lockClass(db: Db, projectId: number, name: string): Promise<ObjectClass | undefined> {
  const row = await db.one<ClassRow>(
    sql`select ${COLUMNS} from object_classes where project_id = ${projectId} and name = ${name} for update`,
  );
  return row && toClass(row);
}

export async function listClasses(
  db: Db,
  projectId: number,
  page: KeysetPage<string> & { prefix?: string | undefined; names?: string[] | undefined },
): Promise<ObjectClass[]> {
  const keyset = keysetToSql(sql`name collate "C"`, page);
  const where: Sql[] = [sql`project_id = ${projectId}`, ...keyset.where];
  if (page.prefix !== undefined) where.push(sql`starts_with(name, ${page.prefix})`);
  if (page.names !== undefined) where.push(sql`name = any(${page.names})`);
  const rows = await db.query<ClassRow>(sql`
    select ${COLUMNS} from object_classes where ${sql.join(where, sql` and `)}
    order by ${keyset.order} limit ${page.limit}`);
  return inListOrder(rows.map(toClass), page);
}

/** Until the end of the transaction nobody else makes classes in the project, so that they can be counted. */
export async function lockClassesOf(db: Db, projectId: number): Promise<number> {
  await db.query(sql`select pg_advisory_xact_lock(hashtext('object classes'), ${projectId})`);
  const row = await db.one<{ count: number }>(
    sql`select count(*) as count from object_classes where project_id = ${projectId}`,
  );
  return row?.count ?? 0;
}

/** Undefined when the name is taken. */
export async function insertClass(
  db: Db,
  input: Pick<
    ObjectClass,
    | 'projectId'
    | 'name'
    | 'description'
    | 'fields'
    | 'metadata'
    | 'groupId'
    | 'groupRight'
    | 'otherRight'
    | 'sourceTableId'
  >,
): Promise<ObjectClass | undefined> {
  const row = await db.one<ClassRow>(sql`
    insert into object_classes (project_id, name, description, fields, metadata, group_id, group_right, other_right,
      source_table_id)
    values (${input.projectId}, ${input.name}, ${input.description}, ${JSON.stringify(input.fields)},
      ${JSON.stringify(input.metadata)}, ${input.groupId ?? null}, ${input.groupRight}, ${input.otherRight},
      ${input.sourceTableId ?? null})
    on conflict do nothing returning ${COLUMNS}`);
  return row && toClass(row);
}

export async function updateClass(db: Db, changed: ObjectClass): Promise<ObjectClass> {
  const row = await db.one<ClassRow>(sql`
    update object_classes set description = ${changed.description}, fields = ${JSON.stringify(changed.fields)},
      metadata = ${JSON.stringify(changed.metadata)}, revision = ${changed.revision},
      group_id = ${changed.groupId ?? null}, group_right = ${changed.groupRight}, other_right = ${changed.otherRight},
      updated_at = now()
    where id = ${changed.id} returning ${COLUMNS}`);
  if (!row) throw new Error('the locked class is gone');
  return toClass(row);
}

export async function deleteClass(db: Db, { id }: ObjectClass): Promise<void> {
  await db.query(sql`delete from object_classes where id = ${id}`);
  await db.query(sql`drop table if exists ${tableOf(id)}`);
}

/** Tells every process that what it remembers of classes may be wrong. */
export async function notifyClasses(db: Db): Promise<void> {
  await db.query(sql`select pg_notify('object_classes', '')`);
}

/** The table of a class's objects. */
export function tableOf(classId: number): Sql {
  return sql.name('objects', `c${classId}`);
}

/** The sequence of object ids is one for all classes of a project. */
export function idsOf(projectId: number): Sql {
  return sql.literal(`objects.ids_${projectId}`);
}

/** Under the lock of the project's classes. */
export async function createObjectTable(db: Db, of: ObjectClass): Promise<void> {
  const ids = sql.name('objects', `ids_${of.projectId}`);
  await db.query(sql`create sequence if not exists ${ids}`);
  await db.query(sql`
    create table ${tableOf(of.id)} (
      id bigint primary key default nextval(${idsOf(of.projectId)}),
      -- The revision of the class by whose fields the values were written.
      shape integer not null,
      revision integer not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      owner_id bigint,
      owner_right text not null default 'full',
      group_id bigint,
      group_right text not null default 'none',
      other_right text not null default 'none',
      channel text,
      channel_room text,
      -- The object as it is answered: its own members, then the fields in their order. Written once, read often.
      document json not null
    )`);
  await db.query(sql`create index on ${tableOf(of.id)} (owner_id) where owner_id is not null`);
  for (const field of of.fields) await createIndex(db, of.id, field);
}

/** Nobody reads or writes the class's objects until the end of the transaction. */
export async function lockObjectTable(db: Db, classId: number): Promise<void> {
  await db.query(sql`lock table ${tableOf(classId)} in access exclusive mode`);
}

/** Brings the table from the fields it had to those it has now: values of fields that are gone are gone. */
export async function changeObjectTable(db: Db, before: ObjectClass, after: ObjectClass): Promise<void> {
  const gone = before.fields.filter(({ number }) => !after.fields.some((field) => field.number === number));
  const kept = before.fields.filter((field) => !gone.includes(field));
  for (const field of [...gone, ...kept]) {
    const now = after.fields.find(({ number }) => number === field.number);
    if (hasIndex(field) && !(now && hasIndex(now)))
      await db.query(sql`drop index ${sql.name('objects', indexName(after.id, field))}`);
    if (field.unique && !now?.unique)
      await db.query(sql`drop index ${sql.name('objects', uniqueName(after.id, field))}`);
  }
  if (gone.length > 0) {
    // Rewritten, not updated: an index is also built over rows that this transaction has replaced, and their values of
    // another type would make that fail.
    const names = sql.join(gone.map(({ name }) => sql.literal(name)));
    await db.query(sql`
      alter table ${tableOf(after.id)} alter column document type json
      using millrace.json_without(document, array[${names}])`);
  }
  for (const field of after.fields) {
    const old = before.fields.find(({ number }) => number === field.number);
    await createIndex(db, after.id, field, old);
  }
}

async function createIndex(db: Db, classId: number, field: ClassField, old?: ClassField): Promise<void> {
  const { column } = fieldColumn(field);
  if (hasIndex(field) && !(old && hasIndex(old))) {
    const name = sql.name(indexName(classId, field));
    if (field.type === 'array' || field.type === 'relation')
      await db.query(sql`create index ${name} on ${tableOf(classId)} using gin ((${column}) jsonb_path_ops)`);
    else await db.query(sql`create index ${name} on ${tableOf(classId)} ((${column}), id)`);
  }
  if (field.unique && !old?.unique)
    await db.query(
      sql`create unique index ${sql.name(uniqueName(classId, field))} on ${tableOf(classId)} ((${column}))`,
    );
}

function hasIndex({ filterIndex, orderIndex, type }: ClassField): boolean {
  return (filterIndex || orderIndex) && type !== 'geopoint';
}

function indexName(classId: number, { number }: ClassField): string {
  return `c${classId}_f${number}`;
}

function uniqueName(classId: number, { number }: ClassField): string {
  return `c${classId}_f${number}_unique`;
}

/** The field whose unique index has that name. */
export function fieldOfConstraint(of: ObjectClass, constraint: string): ClassField | undefined {
  return of.fields.find((field) => uniqueName(of.id, field) === constraint);
}

/** Exact to a thousand; beyond it the database's own estimate. */
export async function countObjects(db: Db, classes: readonly ObjectClass[]): Promise<number[]> {
  const counts = classes.map(({ id }) => {
    const name = sql.literal(`objects.c${id}`);
    return sql`select ${id}::integer as id, case when exact.count <= 1000 then exact.count
        else greatest(exact.count, (select reltuples::bigint from pg_class where oid = ${name}::regclass)) end as count
      from (select count(*) from (select from ${tableOf(id)} limit 1001) few) exact`;
  });
  if (counts.length === 0) return [];
  const rows = await db.query<{ id: number; count: number }>(sql`${sql.join(counts, sql` union all `)}`);
  const byId = new Map(rows.map(({ id, count }) => [id, count]));
  return classes.map(({ id }) => byId.get(id) ?? 0);
}

function toClass(row: ClassRow): ObjectClass {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    description: row.description,
    fields: row.fields,
    metadata: row.metadata,
    revision: row.revision,
    groupId: row.group_id ?? undefined,
    groupRight: row.group_right,
    otherRight: row.other_right,
    sourceTableId: row.source_table_id ?? undefined,
    createdAt: row.created,
    updatedAt: row.updated,
  };
}
