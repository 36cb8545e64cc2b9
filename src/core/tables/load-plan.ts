/** What a load does to the columns of a table. Pure: the header in, field ids and new columns out. */
import type { NewLakeColumn } from './lake-commit-store.ts';
import { type LakeColumn, type LakeTable, userColumns } from './lake-store.ts';
import { claimLakeName, requireColumnNames, TIMESTAMP_COLUMN, toColumnName } from './names.ts';
import { tableErrors } from './table-errors.ts';
import type { CsvOptions, LoadInput } from './table-model.ts';

export type LoadPlan = {
  /** Of the file's columns, in file order. */
  fileColumns: string[];
  fieldIds: number[];
  /** All columns of the table after the load, in table order. */
  columns: LakeColumn[];
  /** Those of them that the table does not have yet. */
  newColumns: NewLakeColumn[];
  primaryKey: number[];
  timestampId: number;
};

/** Options as they are kept on the job: complete and checked. */
export function requireCsvOptions(options: CsvOptions): LoadInput['csv'] {
  const delimiter = options.delimiter === undefined || options.delimiter === '' ? ',' : unescapeTab(options.delimiter);
  const escapedBy = options.escapedBy ?? '';
  const enclosure = options.enclosure ?? (escapedBy === '' ? '"' : '');
  if ([...delimiter].length !== 1) {
    throw tableErrors.invalidCsv(`Invalid delimiter: "${options.delimiter}". It has to be exactly one character.`);
  }
  if ([...enclosure].length > 1) {
    throw tableErrors.invalidCsv(`Invalid enclosure: "${enclosure}". It has to be one character or empty.`);
  }
  if ([...escapedBy].length > 1) {
    throw tableErrors.invalidCsv(`Invalid escapedBy: "${escapedBy}". It has to be one character or empty.`);
  }
  if (enclosure !== '' && escapedBy !== '') {
    throw tableErrors.invalidCsvOptions('Invalid CSV params. Either enclosure or escapedBy must be specified.');
  }
  if (/[\r\n\0]/.test(delimiter + enclosure + escapedBy)) {
    throw tableErrors.invalidCsv('Line breaks and NUL cannot be delimiter, enclosure or escape character.');
  }
  const ignoredLinesCount = options.ignoredLinesCount ?? 0;
  if (!Number.isSafeInteger(ignoredLinesCount) || ignoredLinesCount < 0) {
    throw tableErrors.invalid(`Invalid ignoredLinesCount: "${options.ignoredLinesCount}".`);
  }
  return {
    delimiter,
    enclosure,
    escapedBy,
    columns: options.columns ?? [],
    withoutHeaders: options.withoutHeaders ?? false,
    ignoredLinesCount,
  };
}

/** Clients write the tab as the two characters of its escape. */
function unescapeTab(delimiter: string): string {
  return delimiter === '\\t' ? '\t' : delimiter;
}

/** Whether the first record names the columns. Slices never have a header, and said columns replace it. */
export function expectsHeader(csv: LoadInput['csv'], isSliced: boolean): boolean {
  return !isSliced && csv.columns.length === 0 && !csv.withoutHeaders && csv.ignoredLinesCount === 0;
}

/**
 * Names of the file's columns: said, read from the header, or those of the table in order. `header` is undefined when
 * none is expected or the file is empty.
 */
export function fileColumnsOf(
  csv: LoadInput['csv'],
  isSliced: boolean,
  header: string[] | undefined,
  table: readonly LakeColumn[] | undefined,
  tellsTimestamp = false,
): string[] {
  if (csv.columns.length > 0) return requireFileColumns(csv.columns, table !== undefined && tellsTimestamp);
  if (expectsHeader(csv, isSliced)) return requireFileColumns(header ?? [], table !== undefined && tellsTimestamp);
  if (table === undefined) throw isSliced ? tableErrors.invalidColumnName('') : tableErrors.noColumns();
  if (isSliced && !csv.withoutHeaders && csv.ignoredLinesCount === 0) throw tableErrors.columnsRequired();
  return userColumns({ columns: [...table] }).map((column) => column.name);
}

/** One of the columns may be the internal timestamp, where the load says so; it has to be there then. */
function requireFileColumns(texts: readonly string[], tellsTimestamp: boolean): string[] {
  const at = tellsTimestamp ? texts.indexOf(TIMESTAMP_COLUMN) : -1;
  if (tellsTimestamp && at < 0) throw tableErrors.timestampMissing();
  const names = requireColumnNames(texts.filter((_, i) => i !== at));
  return at < 0 ? names : [...names.slice(0, at), TIMESTAMP_COLUMN, ...names.slice(at)];
}

/** A table made for these columns. The internal timestamp comes last. */
export function planNewTable(fileColumns: string[], primaryKey: readonly string[]): LoadPlan {
  if (fileColumns.length === 0) throw tableErrors.noColumns();
  const fieldIds = fileColumns.map((_, i) => i + 1);
  const timestampId = fileColumns.length + 1;
  const newColumns: NewLakeColumn[] = [
    ...fileColumns.map((name, i) => ({ id: i + 1, name, type: 'varchar' as const })),
    { id: timestampId, name: TIMESTAMP_COLUMN, type: 'timestamp' },
  ];
  const unknown: string[] = [];
  const keyIds = primaryKey.map((name) => {
    const at = fileColumns.includes(name) ? fileColumns.indexOf(name) : fileColumns.indexOf(toColumnName(name));
    if (at < 0) unknown.push(name);
    return at + 1;
  });
  if (unknown.length > 0) throw tableErrors.invalidPrimaryKeyColumns(unknown);
  return {
    fileColumns,
    fieldIds,
    columns: withLakeNames(newColumns, []),
    newColumns,
    primaryKey: [...new Set(keyIds)],
    timestampId,
  };
}

/** A load into a table: every column has to be in the file, columns the table does not know are appended to it. */
export function planExistingTable(
  fileColumns: string[],
  table: { columns: LakeColumn[]; nextColumnId: number; primaryKey: readonly number[] },
  delimiter: string,
): LoadPlan {
  const known = new Map(userColumns(table).map((column) => [column.name, column.id]));
  // Names of people's columns never begin with an underscore, so this one is the row's own time.
  const tellsTimestamp = fileColumns.includes(TIMESTAMP_COLUMN);
  const given = new Set(fileColumns);
  const expected = [...known.keys()];
  const missing = expected.filter((name) => !given.has(name));
  if (missing.length > 0) throw tableErrors.columnsNotMatch(missing, expected, delimiter);
  const extra = fileColumns.filter((name) => !known.has(name) && name !== TIMESTAMP_COLUMN);
  if (extra.length > 0 && isTyped(table)) throw tableErrors.typedExtraColumns(extra);

  let nextId = table.nextColumnId;
  const newColumns: NewLakeColumn[] = extra.map((name) => ({ id: nextId++, name, type: 'varchar' as const }));
  // Only a stock client can have dropped it; without it no row could say when it came.
  let timestampId = table.columns.find((column) => column.lakeName === TIMESTAMP_COLUMN)?.id;
  if (timestampId === undefined) {
    timestampId = nextId++;
    newColumns.push({ id: timestampId, name: TIMESTAMP_COLUMN, type: 'timestamp' });
  }
  const ids = new Map([...known, ...newColumns.map((column) => [column.name, column.id] as const)]);
  if (tellsTimestamp) ids.set(TIMESTAMP_COLUMN, timestampId);
  return {
    fileColumns,
    fieldIds: fileColumns.map((name) => ids.get(name) ?? 0),
    columns: [...table.columns, ...withLakeNames(newColumns, table.columns)],
    newColumns,
    primaryKey: [...table.primaryKey],
    timestampId,
  };
}

/** Whether its columns have types, so that a load may not add any. */
export function isTyped(table: Pick<LakeTable, 'columns'>): boolean {
  return table.columns.some((column) => column.definition !== undefined);
}

/** The names the commit will give them: files are written with unique names too. */
function withLakeNames(columns: readonly NewLakeColumn[], existing: readonly LakeColumn[]): LakeColumn[] {
  const taken = new Set(existing.map((column) => column.lakeName.toLowerCase()));
  return columns.map((column) => ({ ...column, lakeName: claimLakeName(column.name, taken) }));
}
