import { AppError } from '../errors.ts';

/** What can go wrong with buckets, tables, their columns and data. Messages are what clients of the original expect. */
export const tableErrors = {
  bucketNotFound: (id: string, projectId: number) =>
    new AppError('not-found', 'bucket.not-found', `The bucket "${id}" was not found in the project "${projectId}"`),
  bucketExists: (name: string) =>
    new AppError('invalid', 'bucket.already-exists', `The bucket ${name} already exists.`),
  bucketDisplayNameTaken: (name: string) =>
    new AppError('invalid', 'bucket.already-exists', `The display name "${name}" already exists in project.`),
  bucketNotEmpty: (tables: number) =>
    new AppError(
      'invalid',
      'bucket.not-empty',
      `Only empty buckets can be deleted. There are ${tables} tables in the bucket.`,
    ),
  bucketReadOnly: (id: string) =>
    new AppError(
      'forbidden',
      'bucket.read-only',
      `The bucket "${id}" is linked from another project and is read-only.`,
    ),
  bucketNotShared: (id: string) => new AppError('invalid', 'bucket.not-shared', `The bucket ${id} is not shared.`),
  bucketLinked: () =>
    new AppError('invalid', 'bucket.already-linked', 'The bucket is already linked in other projects.'),
  bucketLinkedTwice: (id: string) =>
    new AppError('invalid', 'bucket.already-linked', `The bucket is already linked in this project as "${id}".`),
  linkForbidden: () => new AppError('forbidden', 'access.denied', 'You do not have permission to link this bucket.'),
  linkNotFound: (projectId: number) =>
    new AppError('not-found', 'bucket.link-not-found', `There is no linked bucket in project "${projectId}"`),
  linkedBucketNotShareable: () =>
    new AppError('invalid', 'bucket.invalid', 'A linked bucket cannot be shared: its owner shares it.'),
  branchBucketNotShareable: () =>
    new AppError('invalid', 'bucket.invalid', 'Sharing Dev/Branch buckets is not supported yet.'),
  shareProjectsForeign: (ids: readonly number[]) =>
    new AppError(
      'invalid',
      'bucket.share-projects-foreign',
      `TargetProjectIds "${JSON.stringify(ids)}" are not part of organization.`,
    ),
  sharePersonsForeign: (whom: readonly (number | string)[]) =>
    new AppError(
      'invalid',
      'bucket.share-persons-foreign',
      `Admins "${JSON.stringify(whom)}" are not part of organization.`,
    ),
  invalidBucket: (message: string) => new AppError('invalid', 'bucket.invalid', message),

  tableNotFound: (name: string, bucketId: string, projectId: number) =>
    new AppError(
      'not-found',
      'table.not-found',
      `The table "${name}" was not found in the bucket "${bucketId}" in the project "${projectId}"`,
    ),
  tableIdNotFound: (id: string, projectId: number) =>
    new AppError('not-found', 'table.not-found', `The table "${id}" was not found in the project "${projectId}"`),
  tableExists: (name: string, bucketId: string) =>
    new AppError('invalid', 'table.already-exists', `The table "${name}" already exists in the bucket "${bucketId}".`),
  tableDisplayNameTaken: (name: string, displayName: string) =>
    new AppError(
      'invalid',
      'table.already-exists',
      `The table "${name}" in the bucket already has the same display name "${displayName}".`,
    ),
  invalid: (message: string) => new AppError('invalid', 'table.invalid', message),

  snapshotNotFound: (id: number) =>
    new AppError('not-found', 'snapshot.not-found', `The snapshot "${id}" was not found.`),

  noColumns: () => new AppError('invalid', 'table.no-columns', 'The file has no columns: there is no header to read.'),
  invalidColumnName: (text: string) =>
    new AppError(
      'invalid',
      'table.invalid-column-name',
      `Invalid column name: "${shorten(text)}". A name needs at least one letter or digit and at most 64 of them.`,
    ),
  invalidAddedColumn: (text: string) =>
    new AppError(
      'invalid',
      'column.invalid-name',
      `Invalid column name: "${shorten(text)}". A name needs at least one letter or digit and at most 64 of them.`,
    ),
  invalidDefault: (column: string, value: string, type: string) =>
    new AppError(
      'invalid',
      'table.invalid-default',
      `The default value "${shorten(value)}" of the column "${column}" is not a ${type}.`,
    ),
  typedExtraColumns: (names: readonly string[]) =>
    new AppError(
      'invalid',
      'table.columns-not-match',
      `During the import of typed tables new columns can't be added. Extra columns found: ${quoteAll(names)}. ` +
        'Add these these columns first (manually or using a transformation).',
      { details: { extraColumns: names } },
    ),
  cannotAddColumn: (name: string) =>
    new AppError(
      'invalid',
      'table.cannot-add-column',
      `The column "${name}" cannot be added: it is not nullable and has no default, and there are rows already.`,
    ),
  definitionUnexpected: () =>
    new AppError('invalid', 'table.invalid', 'Invalid parameters - definition: This field was not expected.'),
  definitionRequired: () => new AppError('invalid', 'table.invalid', 'Column "definition" or "basetype" must be set.'),
  columnHasNulls: (name: string) =>
    new AppError(
      'invalid',
      'table.invalid',
      `The column "${name}" cannot become not nullable: some rows have no value in it.`,
    ),
  primaryKeyNullable: (names: readonly string[]) =>
    new AppError(
      'invalid',
      'table.primary-key-invalid',
      `Primary key columns ${quoteAll(names)} must not be nullable.`,
    ),
  notTyped: (tableId: string) =>
    new AppError('invalid', 'table.invalid', `The table "${tableId}" is not typed: its columns have no definitions.`),
  cannotFilter: (column: string, type: string) =>
    new AppError(
      'invalid',
      'table.filter-unsupported',
      `Filtering by column "${column}" of type "${type}" is not supported by the backend "Snowflake".`,
    ),
  orderCastOnTyped: () =>
    new AppError(
      'invalid',
      'table.invalid',
      'Specifying data type for ordered column is not supported for typed tables',
    ),
  duplicateColumns: (names: readonly string[]) =>
    new AppError('invalid', 'table.duplicate-columns', `There are duplicate columns: ${quoteAll(names)}`, {
      details: { duplicateColumns: names },
    }),
  invalidPrimaryKeyColumns: (names: readonly string[]) =>
    new AppError(
      'invalid',
      'table.invalid-primary-key-columns',
      `Primary key columns ${quoteAll(names)} are not among the columns of the table.`,
    ),
  primaryKeyExists: (tableId: string) =>
    new AppError('invalid', 'table.primary-key-invalid', `The table "${tableId}" already has a primary key.`),
  primaryKeyUnknown: (names: readonly string[]) =>
    new AppError(
      'invalid',
      'table.primary-key-invalid',
      `Primary key columns ${quoteAll(names)} are not among the columns of the table.`,
    ),
  primaryKeyDuplicates: (columns: readonly string[]) =>
    new AppError(
      'invalid',
      'table.primary-key-duplicates',
      `The primary key ${quoteAll(columns)} cannot be added: there are rows with the same values in these columns.`,
    ),
  columnNotFound: (column: string, tableId: string) =>
    new AppError('not-found', 'column.not-found', `The column "${column}" was not found in the table "${tableId}"`),
  columnExists: (name: string) =>
    new AppError('invalid', 'table.column-already-exists', `The column "${name}" already exists.`),
  columnInPrimaryKey: (name: string) =>
    new AppError(
      'invalid',
      'table.column-in-primary-key',
      `The column "${name}" cannot be deleted, because it is a part of the primary key.`,
    ),
  columnsNotMatch: (missing: readonly string[], expected: readonly string[], delimiter: string) =>
    new AppError(
      'invalid',
      'table.columns-not-match',
      `Some columns are missing in the csv file. Missing columns: ${missing.join(',')}. ` +
        `Expected columns: ${expected.join(',')}. ` +
        `Please check if the expected delimiter "${delimiter}" is used in the csv file.`,
      { details: { missingColumns: missing, expectedColumns: expected } },
    ),
  timestampMissing: () =>
    new AppError(
      'invalid',
      'table.columns-not-match',
      'The column "_timestamp" is missing in the csv file, from which the option "useTimestampFromDataFile" takes it.',
    ),
  columnsRequired: () =>
    new AppError('invalid', 'table.columns-required', 'A sliced file has no header: the option "columns" is required.'),
  invalidCsv: (message: string) => new AppError('invalid', 'csv.invalid', message),
  invalidCsvOptions: (message: string) => new AppError('invalid', 'csv.invalid-options', message),
  exportColumnsUnknown: (names: readonly string[]) =>
    new AppError('invalid', 'table.columns-unknown', `Some columns do not exist in the table: ${names.join(', ')}`),
  filterColumnUnknown: (name: string) =>
    new AppError('invalid', 'table.filter-column-unknown', `Can't filter by column ${name}, column does not exist`),
  deleteFilterColumnUnknown: (name: string) =>
    new AppError(
      'invalid',
      'table.delete-column-unknown',
      `Filter validation: Cannot filter by column "${name}", column does not exist`,
    ),
  unintendedTruncation: () =>
    new AppError(
      'invalid',
      'table.unintended-truncation',
      'No filters have been specified, which will truncate the table, but the `allowTruncate` parameter was not set.',
    ),
  tooManyPreviewColumns: (most: number) =>
    new AppError(
      'invalid',
      'table.too-many-columns',
      `Maximum number of columns to preview is ${most}. Use the parameter "columns" to name those you need.`,
    ),
  previewLimit: (most: number) => new AppError('invalid', 'table.invalid', `Limit cannot be greater than ${most}.`),

  metadataNotFound: (message: string) => new AppError('not-found', 'metadata.not-found', message),
  metadataInvalidKey: (index: number) =>
    new AppError('invalid', 'metadata.invalid-key', `Invalid Metadata Key (metadata[${index}][key])`),
  metadataInvalidProvider: (message: string) => new AppError('invalid', 'metadata.invalid-provider', message),
  metadataReserved: (act: 'edited' | 'deleted') =>
    new AppError(
      'forbidden',
      'metadata.reserved-provider',
      `Metadata with "storage" provider cannot be ${act} by user.`,
    ),

  /** Somebody else (a stock DuckDB client, a drop) changed the table while the new files were written. */
  lakeConflict: (what: string) =>
    new AppError('conflict', 'lake.conflict', `The table was changed meanwhile: ${what}`, { retryable: true }),
  lakeUnsupported: (what: string) =>
    new AppError(
      'unsupported',
      'lake.unsupported',
      `The table was changed by another DuckLake client in a way that cannot be read: ${what}`,
    ),
};

function quoteAll(names: readonly string[]): string {
  return names.map((name) => `"${shorten(name)}"`).join(', ');
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
