/** Reading the rows of a table page by page, with ids that last as long as the row. */
import type { Database } from '../../db/database.ts';
import type { Engine, EngineTables, PageRequest, RowPage, TypedColumn } from '../../drivers/engines/contract.ts';
import type { Filter } from '../../lib/filter.ts';
import { uuidv7 } from '../../lib/ids.ts';
import { AppError } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import { requireBucketRight } from './bucket-rights.ts';
import type { Place } from './bucket-store.ts';
import { findLakeTable, type LakeFile, type LakeTable, rowsOf, toTableVersion, userColumns } from './lake-store.ts';
import { splitTableId, TIMESTAMP_COLUMN } from './names.ts';
import { tableErrors } from './table-errors.ts';
import { findReadable } from './table-exports.ts';

const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/** A table at one version. Its files outlive a change by the retention. */
export type OpenTable = {
  columns: { name: string; fieldId: number }[];
  /** The column that says when a row was last changed. */
  timestampFieldId: number;
  rowsCount: number;
  version: ReturnType<typeof toTableVersion>;
  files: NumberedFile[];
};

/** A row's id is `firstId` plus its place in the file; null where the file keeps the ids of its rows itself. */
type NumberedFile = { firstId: number | null; recordCount: number; deletedCount: number };

export type RowQuery = Pick<PageRequest, 'filter' | 'order' | 'cursor' | 'back'> & {
  columns: TypedColumn[];
  limit: number;
};

/**
 * Ids are those of the lake format, from 1 on: given out in the order rows were written and never twice, so a row keeps
 * its id as long as it is not written anew (changed by an upsert, replaced by a full load).
 *
 * For those who answer for the rights themselves, such as a class whose objects are the rows: a call names the project
 * and branch, not an actor.
 */
export class TableRows {
  readonly #db: Database;
  readonly #engine: EngineTables;

  constructor(parts: { db: Database; engine: Engine }) {
    this.#db = parts.db;
    this.#engine = parts.engine.tables;
  }

  /** Throws when the actor may not read the table or there is none. */
  async assertReadable(actor: Actor, tableId: string): Promise<void> {
    const id = splitTableId(tableId);
    if (id === undefined) throw tableErrors.tableIdNotFound(tableId, actor.projectId);
    requireBucketRight(actor, id.bucketId, 'read');
    if (!(await this.open(actor, tableId))) throw tableErrors.tableNotFound(id.name, id.bucketId, actor.projectId);
  }

  /** The newest version; undefined when there is no such table. */
  async open(place: Place, tableId: string): Promise<OpenTable | undefined> {
    const found = await findReadable(this.#db, place, tableId);
    const table = found && (await findLakeTable(this.#db, found.row.projectId, found.row.lakeTableId));
    return table && openTable(table);
  }

  async page(table: OpenTable, query: RowQuery, signal?: AbortSignal): Promise<RowPage> {
    if (query.limit === 0) return [];
    return this.#engine.readPage(toRequest(table, query), signal);
  }

  async count(table: OpenTable, query: Pick<RowQuery, 'filter' | 'columns'>, signal?: AbortSignal): Promise<number> {
    if (query.filter === undefined) return table.rowsCount;
    return this.#engine.countRows(toRequest(table, { ...query, limit: 0 }), signal);
  }
}

export function openTable(table: LakeTable): OpenTable {
  const files = inOrderOfIds(table.files);
  return {
    columns: userColumns(table).map(({ id, name }) => ({ fieldId: id, name })),
    timestampFieldId: table.columns.find(({ lakeName }) => lakeName === TIMESTAMP_COLUMN)?.id ?? 0,
    rowsCount: rowsOf(table.files),
    version: toTableVersion({ columns: table.columns, files: files.map(({ file }) => file) }),
    files: files.map(({ file, firstId }) => ({
      firstId,
      recordCount: file.recordCount,
      deletedCount: file.deleteFile?.deleteCount ?? 0,
    })),
  };
}

/** The cells of the asked columns (field ids), as texts. Each batch begins where the one before ended. */
export async function* readBatches(
  engine: EngineTables,
  table: OpenTable,
  options: { columns: number[]; filter?: Filter | undefined; limit?: number | undefined; batchRows: number },
  signal?: AbortSignal,
): AsyncGenerator<(string | null)[][]> {
  const { filter } = options;
  let { batchRows } = options;
  const asked = options.columns.map((fieldId): TypedColumn => ({ fieldId, type: 'text' }));
  const mentioned = new Set(filter ? fieldsOf(filter) : []);
  const further = [...mentioned].filter((fieldId) => !options.columns.includes(fieldId));
  const columns = [
    ...asked,
    ...further.map(
      (fieldId): TypedColumn => ({
        fieldId,
        type: fieldId === table.timestampFieldId ? 'timestamp' : 'text',
      }),
    ),
  ];
  let left = options.limit ?? Number.POSITIVE_INFINITY;
  let cursor: RowQuery['cursor'];
  while (left > 0) {
    const limit = Math.min(batchRows, left);
    const query = { columns, limit, ...(filter && { filter }), ...(cursor && { cursor }) };
    const page = await engine.readPage(toRequest(table, query), signal).catch((error: unknown) => {
      const isTooWide = error instanceof AppError && error.code === 'engine.page-too-large' && limit > 1;
      if (!isTooWide) throw error;
      return undefined;
    });
    if (!page) {
      // Wide rows come in smaller batches.
      batchRows = Math.ceil(limit / 4);
      continue;
    }
    const last = page.at(-1);
    if (!last) return;
    yield page.map(({ cells }) => cells.slice(0, asked.length));
    if (page.length < limit) return;
    left -= page.length;
    cursor = { id: last.id };
  }
}

function fieldsOf(filter: Filter): number[] {
  if ('all' in filter) return filter.all.flatMap(fieldsOf);
  if ('any' in filter) return filter.any.flatMap(fieldsOf);
  return 'not' in filter ? fieldsOf(filter.not) : [Number(filter.field)];
}

function inOrderOfIds(files: readonly LakeFile[]): { file: LakeFile; firstId: number | null }[] {
  return files
    .map((file) => ({ file, firstId: file.firstRowId === undefined ? null : file.firstRowId + 1 }))
    .sort((a, b) => (a.firstId ?? 0) - (b.firstId ?? 0) || a.file.id - b.file.id);
}

function toRequest(table: OpenTable, query: RowQuery): PageRequest {
  const { columns, filter, order, cursor, back, limit } = query;
  const needed = filesOf(table, query);
  return {
    operationId: `page-${uuidv7()}`,
    table: { ...table.version, files: table.version.files.filter((_, at) => needed.has(at)) },
    firstRowIds: table.files.flatMap(({ firstId }, at) => (needed.has(at) ? [firstId] : [])),
    columns,
    limit,
    pageBytes: MAX_PAGE_BYTES,
    ...(filter && { filter }),
    ...(order && { order }),
    ...(cursor && { cursor }),
    ...(back !== undefined && { back }),
  };
}

/** In the order of ids a page lies in a few files; who asks for all of one id needs one. */
function filesOf({ files }: OpenTable, { filter, order, cursor, back = false, limit }: RowQuery): Set<number> {
  const all = new Set(files.keys());
  const wanted = wantedIds(filter);
  if (wanted) {
    const has = ({ firstId, recordCount }: NumberedFile, id: number) =>
      firstId === null || (id >= firstId && id < firstId + recordCount);
    return new Set([...all].filter((at) => wanted.some((id) => has(files[at] as NumberedFile, id))));
  }
  if (order && order.field !== 'row') return all;
  const isDescending = (order?.direction === 'desc') !== back;
  // Which ids are in a file that keeps them itself is not known here.
  const needed = new Set([...all].filter((at) => files[at]?.firstId === null));
  let rows = 0;
  for (const at of isDescending ? [...all].reverse() : all) {
    const { firstId, recordCount, deletedCount } = files[at] as NumberedFile;
    if (firstId === null) continue;
    const before = cursor ? Math.min(recordCount, Math.max(0, cursor.id + 1 - firstId)) : 0;
    const after = cursor ? Math.min(recordCount, Math.max(0, cursor.id - firstId)) : recordCount;
    const left = isDescending ? after : recordCount - before;
    if (left <= 0) continue;
    needed.add(at);
    rows += Math.max(0, left - deletedCount);
    if (filter === undefined && rows >= limit) break;
  }
  return needed;
}

function wantedIds(filter: RowQuery['filter']): number[] | undefined {
  if (!filter || !('op' in filter) || filter.field !== 'row' || filter.op !== 'eq') return undefined;
  return filter.values.map(Number);
}
