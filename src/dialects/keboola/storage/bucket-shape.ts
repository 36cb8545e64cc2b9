import type { Bucket, BucketShare, BucketSource } from '../../../core/tables/table-model.ts';
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
    isReadOnly: bucket.source !== undefined,
    dataSizeBytes: bucket.dataSizeBytes,
    rowsCount: bucket.rowsCount,
    isMaintenance: false,
    backend,
    sharing: bucket.share?.type ?? null,
    hasExternalSchema: false,
    isSnowflakeSharedDatabase: false,
    databaseName: '',
    path: bucket.id,
    backendPath: backend === 'bigquery' ? [bucket.id] : [`sapi_${bucket.projectId}`, bucket.id],
    bucketSharingAllowed: bucket.source === undefined,
    color: bucket.color ?? null,
    owner: null,
    isLinkedBucket: bucket.source !== undefined,
    ...(bucket.share && toKeboolaShare(bucket.share)),
    ...(bucket.share && {
      linkedBy: bucket.share.links.map(({ bucketId, createdAt, project }) => ({
        id: bucketId,
        created: formatDate(createdAt),
        project,
      })),
    }),
    ...(bucket.source && { sourceBucket: toSourceBucket(bucket.source) }),
    ...(extras.metadata && { metadata: extras.metadata }),
  };
}

/** Members that are there only while a bucket is shared. */
export function toKeboolaShare({ type, by, at, projects, persons }: BucketShare): Record<string, unknown> {
  return {
    sharing: type,
    sharedBy: { id: by.id, name: by.name, date: formatDate(at) },
    sharingParameters:
      type === 'specific-projects' ? { projects } : type === 'specific-users' ? { users: persons } : [],
  };
}

function toSourceBucket({ project, bucketId, name, displayName, description, sharing }: BucketSource) {
  return { id: bucketId, name, displayName, description, project, sharing: sharing ?? null };
}
