import { AppError, errors } from '../../../core/errors.ts';
import { workspaceErrors } from '../../../core/workspaces/workspace-errors.ts';
import type { LoadColumn, TableLoadWish } from '../../../core/workspaces/workspace-model.ts';
import { parseBoolean, parseList } from '../scalars.ts';
import { invalidRequest } from '../validation.ts';
import { toRowSelection } from './table-query.ts';

/** What a load of a workspace asks for, in all the forms clients write it in. */
export type LoadRequest = { input?: unknown; preserve?: boolean | undefined };

type Item = Record<string, unknown>;

const bad = (message: string) => new AppError('invalid', 'workspace.load-input-invalid', message);

export function toWorkspaceLoad(
  { input, preserve = false }: LoadRequest,
  actor: { branchId: number; now: Date },
): { keep: boolean; tables: TableLoadWish[] } {
  if (input === undefined || input === null || input === '') throw workspaceErrors.inputRequired();
  const items = listOf(input);
  if (items === undefined) throw bad('Invalid request:\n - input: "This value should be of type array."');
  if (items.length === 0) throw workspaceErrors.inputRequired();
  return { keep: preserve, tables: items.map((item, i) => toTable(item, `input[${i}]`, actor)) };
}

function toTable(item: unknown, path: string, { branchId, now }: { branchId: number; now: Date }): TableLoadWish {
  if (!isRecord(item)) throw bad(`Invalid request:\n - ${path}: "This value should be of type array."`);
  const { loadType, sourceBranchId } = item;
  if (present(item.dataFileId)) throw errors.optionNotImplemented('files loaded into a workspace');
  const tableId = text(item.source, `${path}[source]`);
  const destination = text(item.destination, `${path}[destination]`);
  refuseOtherLoadTypes(present(loadType) ? text(loadType, `${path}[loadType]`) : 'COPY');
  if (present(sourceBranchId) && !['default', String(branchId)].includes(String(sourceBranchId)))
    throw errors.optionNotImplemented('sourceBranchId');
  const incremental = flag(item.incremental, `${path}[incremental]`);
  const overwrite = flag(item.overwrite, `${path}[overwrite]`);
  if (incremental && overwrite)
    throw workspaceErrors.contradiction(`${path}: "incremental" and "overwrite" cannot be used together.`);
  const seconds = whole(item.seconds, `${path}[seconds]`);
  if (seconds !== null && present(item.changedSince))
    throw workspaceErrors.contradiction(`${path}: "seconds" and "changedSince" cannot be used together.`);
  const selection = toRowSelection({
    whereFilters: item.whereFilters,
    whereColumn: present(item.whereColumn) ? text(item.whereColumn, `${path}[whereColumn]`) : undefined,
    whereValues: present(item.whereValues) ? texts(item.whereValues, `${path}[whereValues]`) : undefined,
    whereOperator: present(item.whereOperator) ? text(item.whereOperator, `${path}[whereOperator]`) : undefined,
    changedSince: present(item.changedSince) ? text(item.changedSince, `${path}[changedSince]`) : undefined,
    changedUntil: present(item.changedUntil) ? text(item.changedUntil, `${path}[changedUntil]`) : undefined,
  });
  const since = seconds === null ? selection.changedSince : new Date(now.getTime() - seconds * 1000);
  return {
    tableId,
    destination,
    mode: incremental ? 'append' : overwrite ? 'replace' : 'create',
    columns: toColumns(item, path),
    primaryKey: present(item.primaryKey) ? texts(item.primaryKey, `${path}[primaryKey]`) : [],
    filter: selection.filter ?? null,
    changedSince: since?.toISOString() ?? null,
    changedUntil: selection.changedUntil?.toISOString() ?? null,
    limit: whole(item.rows, `${path}[rows]`),
  };
}

/** Rows are copied; what is only seen from a workspace is not to be had on a database of its own. */
function refuseOtherLoadTypes(loadType: string): void {
  switch (loadType.toUpperCase()) {
    case 'COPY':
    case 'AUTO':
      return;
    case 'CLONE':
      throw cloneNotSupported();
    case 'VIEW':
      throw new AppError('invalid', 'workspace.backend-unsupported', 'This backend does not load tables as views.');
    default:
      throw bad(`Load type "${loadType}" is not known. Use one of: COPY, CLONE, VIEW, AUTO.`);
  }
}

export function cloneNotSupported(): AppError {
  return new AppError('invalid', 'workspace.clone-unsupported', 'This backend does not clone tables. Use "load".');
}

/** Names alone, descriptions, or names with the older `datatypes` beside them. */
function toColumns(item: Item, path: string): LoadColumn[] {
  const entries = present(item.columns) ? listOf(splitText(item.columns)) : [];
  if (entries === undefined) throw bad(`Invalid request:\n - ${path}[columns]: "This value should be of type array."`);
  const columns = entries.map((entry, i) =>
    isRecord(entry)
      ? describedColumn(entry, `${path}[columns][${i}]`)
      : plainColumn(text(entry, `${path}[columns][${i}]`)),
  );
  if (!present(item.datatypes)) return columns;
  const types = datatypesOf(item.datatypes, `${path}[datatypes]`);
  const strangers = [...types.keys()].filter((name) => !columns.some(({ source }) => source === name));
  if (strangers.length > 0) throw workspaceErrors.typesOfUnknownColumns(strangers);
  return columns.map((column) => ({ ...column, ...types.get(column.source) }));
}

function describedColumn(entry: Item, path: string): LoadColumn {
  const source = text(entry.source ?? entry.name, `${path}[source]`);
  return {
    ...plainColumn(source),
    ...(present(entry.destination) && { destination: text(entry.destination, `${path}[destination]`) }),
    ...typeOf(entry, path),
  };
}

function plainColumn(source: string): LoadColumn {
  return { source, destination: source, type: null, length: null, nullable: true, emptyAsNull: false };
}

type ColumnType = Pick<LoadColumn, 'type' | 'length' | 'nullable' | 'emptyAsNull'>;

function typeOf(entry: Item, path: string): ColumnType {
  return {
    type: present(entry.type) ? text(entry.type, `${path}[type]`) : null,
    length: present(entry.length) ? text(entry.length, `${path}[length]`) : null,
    nullable: present(entry.nullable) ? flag(entry.nullable, `${path}[nullable]`) : true,
    emptyAsNull: flag(entry.convertEmptyValuesToNull, `${path}[convertEmptyValuesToNull]`),
  };
}

/** `{name: type}`, `{name: {type, length, ...}}` or `[{column, type, ...}]`. */
function datatypesOf(value: unknown, path: string): Map<string, ColumnType> {
  if (typeof value !== 'object' || value === null) throw bad(`${path} must be a map of columns.`);
  return new Map(
    Object.entries(value).map(([name, entry]): [string, ColumnType] => {
      if (!isRecord(entry)) return [name, typeOf({ type: entry }, `${path}[${name}]`)];
      const column = entry.column ?? entry.source ?? name;
      return [text(column, `${path}[${name}][column]`), typeOf(entry, `${path}[${name}]`)];
    }),
  );
}

function splitText(value: unknown): unknown {
  return typeof value === 'string' ? parseList(value) : value;
}

/** Forms number their items. */
function listOf(value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (isRecord(value) && Object.keys(value).every((key) => /^\d+$/.test(key))) return Object.values(value);
  return undefined;
}

function isRecord(value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Null and the empty text are as good as absent. */
function present(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function text(value: unknown, path: string): string {
  if ((typeof value === 'string' && value !== '') || typeof value === 'number') return String(value);
  const message = present(value) ? 'This value should be of type string.' : 'This field is missing.';
  throw invalidRequest([{ key: path, message }], 'workspace.load-input-invalid');
}

function texts(value: unknown, path: string): string[] {
  const items = listOf(splitText(value));
  if (items === undefined) throw bad(`Invalid request:\n - ${path}: "This value should be of type array."`);
  return items.map((item) => (item === '' ? '' : text(item, path)));
}

function flag(value: unknown, path: string): boolean {
  return present(value) ? parseBoolean(value, path) : false;
}

function whole(value: unknown, path: string): number | null {
  if (!present(value)) return null;
  const number = Number(value);
  if (['string', 'number'].includes(typeof value) && Number.isSafeInteger(number) && number >= 0) return number;
  throw invalidRequest(
    [{ key: path, message: 'This value should be a whole number of at least 0.' }],
    'workspace.load-input-invalid',
  );
}
