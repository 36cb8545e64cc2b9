import type { FastifyRequest } from 'fastify';
import { AppError } from '../../../core/errors.ts';
import type { Job, JobKind } from '../../../core/jobs/job-model.ts';
import type { JobStatus } from '../../../core/jobs/job-status.ts';
import type { BranchCreateInput, BranchCreateResult, BranchDeleteInput } from '../../../core/projects/branches.ts';
import type { SharingInput } from '../../../core/tables/bucket-sharing.ts';
import type { DefineInput } from '../../../core/tables/table-definitions.ts';
import type {
  DeleteRowsInput,
  ExportInput,
  ExportResult,
  LoadInput,
  LoadResult,
  SharingType,
} from '../../../core/tables/table-model.ts';
import type {
  SnapshotCreateInput,
  SnapshotDeleteInput,
  SnapshotRestoreInput,
} from '../../../core/tables/table-snapshots.ts';
import type { AlterInput } from '../../../core/tables/table-structure.ts';
import type { DeprovisionInput, ProvisionInput, ProvisionResult } from '../../../core/workspaces/workspace-jobs.ts';
import type {
  ObjectsDropInput,
  WorkspaceExportInput,
  WorkspaceLoadInput,
} from '../../../core/workspaces/workspace-model.ts';
import type { Json } from '../../../lib/json.ts';
import { clientHostOf } from '../client-host.ts';
import type { KeboolaDeps } from '../deps.ts';
import { keboolaJobError } from '../errors.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';
import { toKeboolaBranch } from './branch-shape.ts';
import { toKeboolaBucket } from './bucket-shape.ts';
import { bucketContext, shapeTableDetail } from './table-listing.ts';
import { toStorageWorkspace } from './workspace-shape.ts';

const STATUSES: Record<JobStatus, 'waiting' | 'processing' | 'success' | 'error'> = {
  created: 'waiting',
  waiting: 'waiting',
  running: 'processing',
  stopping: 'processing',
  succeeded: 'success',
  failed: 'error',
  stopped: 'error',
  cancelled: 'error',
};

/** How each kind of storage job is told: its name, what it echoes of its request, its results, whether it has a table. */
type Operation = {
  name: string | ((job: Job) => string);
  hasTable: boolean;
  params: (job: Job) => Record<string, unknown>;
  results: (job: Job, request: FastifyRequest, deps: KeboolaDeps) => Promise<unknown> | unknown;
};

const nothing = () => null;

const OPERATIONS: Partial<Record<JobKind, Operation>> = {
  'table-create': {
    name: 'tableCreate',
    hasTable: false,
    params: (job) => {
      const { create, csv, source, tableId } = inputOf<LoadInput>(job);
      return {
        params: {
          name: tableId.split('.').at(-1) ?? null,
          displayName: create?.displayName ?? null,
          primaryKey: create?.primaryKey.length ? create.primaryKey.join(',') : null,
          ...csvParams(csv),
          columns: csv.columns.length > 0 ? csv.columns : null,
        },
        source: sourceParams(source),
        queue: 'main',
      };
    },
    results: tableResult,
  },
  'table-import': {
    name: 'tableImport',
    hasTable: true,
    params: (job) => {
      const { csv, incremental, source } = inputOf<LoadInput>(job);
      return {
        params: {
          incremental,
          source: [],
          withoutHeaders: csv.withoutHeaders,
          columns: csv.columns,
          ...csvParams(csv),
        },
        source: sourceParams(source),
        queue: 'main_fast',
      };
    },
    results: (job) => {
      const { totalRowsCount, importedRowsCount, importedColumns, totalDataSizeBytes, warnings } =
        resultOf<LoadResult>(job);
      return {
        transaction: null,
        warnings,
        importedColumns,
        totalRowsCount,
        importedRowsCount,
        totalDataSizeBytes,
        timers: [],
      };
    },
  },
  'table-export': {
    name: 'tableExport',
    hasTable: true,
    params: (job) => {
      const input = inputOf<ExportInput>(job);
      return {
        export: {
          tableName: null,
          columns: input.columns,
          limit: input.limit,
          changedSince: input.changedSince,
          changedUntil: input.changedUntil,
          gzipOutput: input.gzip,
          format: 'rfc',
          whereFilters: input.filter === null ? [] : [input.filter],
          orderBy: input.orderBy,
          fileType: input.fileType,
          timezone: null,
        },
        queue: 'main',
      };
    },
    results: (job) => {
      const { fileId, cacheHit } = resultOf<ExportResult>(job);
      return { file: { id: fileId }, cacheHit };
    },
  },
  'table-alter': {
    name: (job) => ALTERATIONS[inputOf<AlterInput>(job).act],
    hasTable: true,
    params: (job) => {
      const { tableId: _, act, ...params } = inputOf<AlterInput>(job);
      return { ...params, queue: 'main' };
    },
    results: (job, request, deps) =>
      inputOf<AlterInput>(job).act.startsWith('redefine') ? tableResult(job, request, deps) : null,
  },
  'table-define': {
    name: 'tableDefinitionCreate',
    hasTable: false,
    params: (job) => {
      const { name, displayName, primaryKey, columns } = inputOf<DefineInput>(job);
      return { name, displayName, primaryKeysNames: primaryKey, columns, queue: 'main' };
    },
    results: tableResult,
  },
  'snapshot-create': {
    name: 'tableSnapshotCreate',
    hasTable: true,
    params: (job) => ({ params: { description: inputOf<SnapshotCreateInput>(job).description }, queue: 'main' }),
    results: (job) => ({ id: String(resultOf<{ id: number }>(job).id) }),
  },
  'snapshot-delete': {
    name: 'tableSnapshotDelete',
    hasTable: true,
    params: (job) => ({ params: { snapshotId: String(inputOf<SnapshotDeleteInput>(job).snapshotId) }, queue: 'main' }),
    results: nothing,
  },
  'snapshot-restore': {
    name: 'tableCreate',
    hasTable: false,
    params: (job) => {
      const { snapshotId, tableId, displayName } = inputOf<SnapshotRestoreInput>(job);
      return {
        params: { name: tableId.split('.').at(-1) ?? null, displayName },
        source: { snapshotId: String(snapshotId), type: 'snapshot' },
        queue: 'main',
      };
    },
    results: tableResult,
  },
  'table-drop': { name: 'tableDrop', hasTable: true, params: echo, results: nothing },
  'bucket-sharing': {
    name: (job) => sharingOperation(inputOf<SharingInput>(job)),
    hasTable: false,
    params: echo,
    results: bucketResult,
  },
  'bucket-delete': { name: 'bucketDelete', hasTable: false, params: echo, results: nothing },
  'branch-create': {
    name: 'devBranchCreate',
    hasTable: false,
    params: (job) => ({ queue: 'main', values: { name: inputOf<BranchCreateInput>(job).name } }),
    results: branchResult,
  },
  'branch-delete': {
    name: 'devBranchDelete',
    hasTable: false,
    params: (job) => ({ queue: 'main', values: { id: inputOf<BranchDeleteInput>(job).branchId } }),
    results: nothing,
  },
  provision: {
    name: 'workspaceCreate',
    hasTable: false,
    params: (job) => ({ ...inputOf<ProvisionInput>(job).about, queue: 'main' }),
    results: workspaceResult,
  },
  deprovision: {
    name: 'workspaceDrop',
    hasTable: false,
    params: (job) => ({ workspaceId: inputOf<DeprovisionInput>(job).workspaceId, queue: 'main' }),
    results: nothing,
  },
  'workspace-load': {
    name: 'workspaceLoad',
    hasTable: false,
    params: (job) => {
      const { workspaceId, keep, tables } = inputOf<WorkspaceLoadInput>(job);
      return { workspaceId, preserve: keep, input: tables.map(loadParams), queue: 'main' };
    },
    results: nothing,
  },
  'workspace-export': {
    name: 'workspaceTableExport',
    hasTable: false,
    params: (job) => {
      const { workspaceId, object, fileName, gzip } = inputOf<WorkspaceExportInput>(job);
      return { workspaceId, tableName: object, fileName, fileType: 'csv', gzip, queue: 'main' };
    },
    results: (job) => ({ file: { id: resultOf<{ fileId: number }>(job).fileId } }),
  },
  'workspace-objects-drop': {
    name: 'workspaceBatchDeleteObjects',
    hasTable: false,
    params: (job) => {
      const { workspaceId, objects } = inputOf<ObjectsDropInput>(job);
      return { workspaceId, objects, queue: 'main' };
    },
    results: nothing,
  },
  'rows-delete': {
    name: 'tableRowsDelete',
    hasTable: true,
    params: (job) => {
      const { filter, changedSince, changedUntil } = inputOf<DeleteRowsInput>(job);
      return { request: { filter, changedSince, changedUntil }, queue: 'main' };
    },
    results: (job) => ({ deletedRows: resultOf<{ deletedRows: number }>(job).deletedRows }),
  },
};

const ALTERATIONS: Record<AlterInput['act'], string> = {
  'add-column': 'tableColumnAdd',
  'drop-column': 'tableColumnDelete',
  'add-primary-key': 'tablePrimaryKeyAdd',
  'drop-primary-key': 'tablePrimaryKeyDelete',
  'redefine-column': 'tableColumnDefinitionUpdate',
  redefine: 'tableDefinitionUpdate',
};

const NO_METRICS = {
  inCompressed: false,
  inBytes: 0,
  inBytesUncompressed: 0,
  outCompressed: false,
  outBytes: 0,
  outBytesUncompressed: 0,
};

/** A Storage job as clients poll it. Also the answer of every call that starts one. */
export async function shapeJob(request: FastifyRequest, deps: KeboolaDeps, job: Job): Promise<Record<string, unknown>> {
  const operation = OPERATIONS[job.kind];
  const status = STATUSES[job.status];
  return {
    id: job.id,
    status,
    url: `${deps.baseUrl(request)}/v2/storage/jobs/${job.id}`,
    tableId: operation?.hasTable ? (job.objectId ?? null) : null,
    operationName: typeof operation?.name === 'function' ? operation.name(job) : (operation?.name ?? job.kind),
    operationParams: operation?.params(job) ?? {},
    createdTime: formatDate(job.createdAt),
    startTime: formatOptionalDate(job.startedAt),
    endTime: formatOptionalDate(job.finishedAt),
    // A job outside of any run is its own run in the core; clients want to see null then.
    runId: job.runId === String(job.id) ? null : job.runId,
    results: await resultsOf(job, operation, request, deps),
    creatorToken: { id: String(job.token.id), description: job.token.description },
    metrics: { ...NO_METRICS, ...job.metrics },
    ...(status === 'error' && { error: errorOf(job) }),
  };
}

async function resultsOf(
  job: Job,
  operation: Operation | undefined,
  request: FastifyRequest,
  deps: KeboolaDeps,
): Promise<unknown> {
  if (job.status === 'succeeded' && operation) return operation.results(job, request, deps);
  if (job.status !== 'failed') return null;
  // Which columns are missing, and the like: clients read it from here.
  return job.result ?? job.error?.details ?? null;
}

/** The table as it is now; after it was dropped only what is left of it, its id. */
async function tableResult(job: Job, request: FastifyRequest, deps: KeboolaDeps): Promise<unknown> {
  const { tableId } = resultOf<{ tableId: string }>(job);
  try {
    return await shapeTableDetail(request, deps, await deps.core.tables.get(request.actor, tableId));
  } catch (error) {
    if (error instanceof AppError && (error.kind === 'not-found' || error.kind === 'forbidden')) return { id: tableId };
    throw error;
  }
}

/** As it is now; after it was dropped only its id. Without the password, which is to be had by a call of its own. */
async function workspaceResult(job: Job, request: FastifyRequest, { core }: KeboolaDeps): Promise<unknown> {
  const { workspaceId: id } = resultOf<ProvisionResult>(job);
  const { backend } = inputOf<ProvisionInput>(job);
  try {
    const view = await core.workspaces.describe(request.actor, { backend, id, among: 'visible' });
    return toStorageWorkspace(view, clientHostOf(request));
  } catch (error) {
    if (error instanceof AppError && error.kind === 'not-found') return { id };
    throw error;
  }
}

/** As it is now; after it was deleted only its id. */
async function branchResult(job: Job, request: FastifyRequest, { core }: KeboolaDeps): Promise<unknown> {
  const { branchId: id } = resultOf<BranchCreateResult>(job);
  const found = (await core.branches.list(request.actor)).find((branch) => branch.id === id);
  return found ? toKeboolaBranch(found) : { id };
}

/** As it is now; after it was deleted only its id. */
async function bucketResult(job: Job, request: FastifyRequest, deps: KeboolaDeps): Promise<unknown> {
  const { bucketId } = inputOf<SharingInput>(job);
  try {
    const bucket = await deps.core.buckets.get(request.actor, bucketId);
    return toKeboolaBucket(bucket, await bucketContext(request, deps));
  } catch (error) {
    if (error instanceof AppError && (error.kind === 'not-found' || error.kind === 'forbidden'))
      return { id: bucketId };
    throw error;
  }
}

function sharingOperation(input: SharingInput): string {
  if (input.act === 'link') return 'bucketLink';
  if (input.act === 'unlink') return 'bucketForceUnlink';
  if (input.act === 'unshare') return 'bucketRemoveShare';
  return input.isChange ? 'bucketShareUpdate' : SHARES[input.share.type];
}

const SHARES: Record<SharingType, string> = {
  organization: 'bucketShareToOrganization',
  'organization-project': 'bucketShareToOrganizationProject',
  'specific-projects': 'bucketShareToProjects',
  'specific-users': 'bucketShareToAdmins',
};

function errorOf(job: Job): object {
  if (job.error) return keboolaJobError(job.error);
  return keboolaJobError({ kind: 'invalid', code: 'job.cancelled', message: 'The job was cancelled.' });
}

function csvParams({ delimiter, enclosure, escapedBy }: LoadInput['csv']): Record<string, unknown> {
  return { delimiter, enclosure, escapedBy };
}

function loadParams({
  tableId,
  destination,
  mode,
  columns,
  limit,
  changedSince,
  changedUntil,
}: WorkspaceLoadInput['tables'][number]) {
  return {
    source: tableId,
    destination,
    loadType: 'COPY',
    incremental: mode === 'append',
    overwrite: mode === 'replace',
    columns: columns.map(({ emptyAsNull, ...column }) => ({ ...column, convertEmptyValuesToNull: emptyAsNull })),
    rows: limit,
    changedSince,
    changedUntil,
  };
}

function sourceParams(source: LoadInput['source']): Record<string, unknown> {
  if (source.kind === 'workspace') {
    const { workspaceId, object } = source;
    return { workspaceId, dataObject: object, tableName: object, type: 'workspace' };
  }
  return source.kind === 'file' ? { fileId: String(source.fileId), type: 'file' } : { type: source.kind };
}

function echo(job: Job): Record<string, unknown> {
  return { ...inputOf<Record<string, unknown>>(job), queue: 'main' };
}

/** The kind says what is in `input` and `result`; only the kind's own code ever writes them. */
function inputOf<Input>(job: Job): Input {
  return job.input as Input & Json;
}

function resultOf<Result>(job: Job): Result {
  return job.result as Result & Json;
}
