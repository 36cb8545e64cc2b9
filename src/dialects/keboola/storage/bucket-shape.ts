import type { Bucket } from '../../../core/tables/table-model.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';

/** What a bucket's or table's JSON takes from its surroundings. */
export type BucketContext = {
  /** `http://host:port/v2/storage`. */
  storageUrl: string;
  /** Backend of buckets that name none. */
  defaultBackend: string;
  isDefaultBranch: boolean;
};

/** Members only where asked for: `metadata` in details, `tables` as an array with `include`. */
export function toKeboolaBucket(
  bucket: Bucket,
  context: BucketContext,
  extras: { metadata?: unknown[] | undefined; tables?: unknown[] | undefined } = {},
): Record<string, unknown> {
  const uri = `${context.storageUrl}/buckets/${bucket.id}`;
  const backend = bucket.backend ?? context.defaultBackend;
  return {
    uri,
    id: bucket.id,
    name: bucket.name,
    displayName: bucket.displayName,
    idBranch: bucket.branchId,
    stage: bucket.stage,
    description: bucket.description,
    tables: extras.tables ?? `${uri}/tables`,
    created: formatDate(bucket.createdAt),
    lastChangeDate: formatOptionalDate(bucket.changedAt),
    updated: formatOptionalDate(bucket.updatedAt),
    isReadOnly: false,
    dataSizeBytes: bucket.dataSizeBytes,
    rowsCount: bucket.rowsCount,
    isMaintenance: false,
    backend,
    sharing: null,
    hasExternalSchema: false,
    isSnowflakeSharedDatabase: false,
    databaseName: '',
    path: bucket.id,
    backendPath: backend === 'bigquery' ? [bucket.id] : [`sapi_${bucket.projectId}`, bucket.id],
    bucketSharingAllowed: true,
    color: bucket.color ?? null,
    owner: null,
    isLinkedBucket: false,
    ...(extras.metadata && { metadata: extras.metadata }),
  };
}
