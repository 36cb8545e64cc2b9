import { basetypeOf, canBeFiltered } from '../../../core/tables/column-types.ts';
import type { Table } from '../../../core/tables/table-model.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';

export type TableExtras = {
  storageUrl: string;
  /** Each member is in the answer only when it is given. */
  columns?: boolean | undefined;
  attributes?: boolean | undefined;
  definition?: boolean | undefined;
  bucket?: Record<string, unknown> | undefined;
  metadata?: unknown[] | undefined;
  /** Column name -> its metadata; columns without any are left out. */
  columnMetadata?: Record<string, unknown[]> | undefined;
};

export function toKeboolaTable(table: Table, extras: TableExtras): Record<string, unknown> {
  return {
    uri: `${extras.storageUrl}/tables/${table.id}`,
    id: table.id,
    name: table.name,
    displayName: table.displayName,
    transactional: false,
    primaryKey: table.primaryKey,
    indexType: null,
    indexKey: [],
    distributionType: null,
    distributionKey: [],
    syntheticPrimaryKeyEnabled: false,
    created: formatDate(table.createdAt),
    lastImportDate: formatOptionalDate(table.importedAt),
    lastChangeDate: formatOptionalDate(table.changedAt),
    rowsCount: table.rowsCount,
    dataSizeBytes: table.dataSizeBytes,
    isAlias: table.source !== undefined,
    isAliasable: true,
    isTyped: table.columnTypes !== undefined,
    timestampType: 'MANAGED',
    tableType: 'table',
    path: table.id,
    ...(table.source && {
      aliasColumnsAutoSync: true,
      sourceTable: {
        id: table.source.tableId,
        uri: `${extras.storageUrl}/tables/${table.source.tableId}`,
        isAlias: false,
        project: { id: table.source.projectId, name: table.source.projectName },
        columnMetadata: [],
      },
    }),
    ...(extras.columns && { columns: table.columns }),
    ...(extras.definition && table.columnTypes && { definition: toDefinition(table, table.columnTypes) }),
    ...(extras.attributes && { attributes: [] }),
    ...(extras.metadata && { metadata: extras.metadata }),
    ...(extras.columnMetadata && { columnMetadata: mapOrEmptyList(extras.columnMetadata) }),
    ...(extras.bucket && { bucket: extras.bucket }),
  };
}

/** Columns by name whatever the case, as clients know them; the table's own order is in `columns`. */
function toDefinition(table: Table, types: NonNullable<Table['columnTypes']>): object {
  const columns = [...types].sort(([a], [b]) => compare(a.toLowerCase(), b.toLowerCase()) || compare(a, b));
  return {
    primaryKeysNames: table.primaryKey,
    columns: columns.map(([name, definition]) => ({
      name,
      definition: {
        type: definition.type,
        nullable: definition.nullable,
        ...(definition.length !== undefined && { length: definition.length }),
        ...(definition.default !== undefined && { default: definition.default }),
      },
      basetype: basetypeOf(definition),
      canBeFiltered: canBeFiltered(definition),
    })),
  };
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** PHP's empty array: clients accept both, the original sends `[]`. */
function mapOrEmptyList(map: Record<string, unknown>): unknown {
  return Object.keys(map).length === 0 ? [] : map;
}
