import type { KeysetPage } from '../../lib/filter.ts';
import type { Json } from '../../lib/json.ts';
import type { SerializedError } from '../errors.ts';
import type { JobStatus } from './job-status.ts';

/**
 * Jobs of different lanes never wait for each other's capacity, so that a component may wait for its storage jobs, and
 * somebody for a script while syncs take their hours.
 */
export const JOB_LANES = ['storage', 'component', 'script'] as const;
export type JobLane = (typeof JOB_LANES)[number];

/** Whether jobs of the lane run programs, each a run of its own; what is done to tables and files is a step of one. */
export function isRunLane(lane: JobLane): boolean {
  return lane !== 'storage';
}

/**
 * Every kind of job there is. `handBack` says what a stopping server may do with a running job of that kind:
 * `restart`: it has no effects before its finish, so it goes back to the queue as if never taken;
 * `recover`: something of it lives on outside (a program), so it keeps its handle and is taken over by `recover`.
 */
export const JOB_KINDS = {
  component: { lane: 'component', handBack: 'recover' },
  'table-create': { lane: 'storage', handBack: 'restart' },
  'table-import': { lane: 'storage', handBack: 'restart' },
  'table-export': { lane: 'storage', handBack: 'restart' },
  'table-define': { lane: 'storage', handBack: 'restart' },
  'table-alter': { lane: 'storage', handBack: 'restart' },
  'table-drop': { lane: 'storage', handBack: 'restart' },
  'snapshot-create': { lane: 'storage', handBack: 'restart' },
  'snapshot-delete': { lane: 'storage', handBack: 'restart' },
  'snapshot-restore': { lane: 'storage', handBack: 'restart' },
  'table-compact': { lane: 'storage', handBack: 'restart' },
  'bucket-sharing': { lane: 'storage', handBack: 'restart' },
  'bucket-delete': { lane: 'storage', handBack: 'restart' },
  'rows-delete': { lane: 'storage', handBack: 'restart' },
  'branch-create': { lane: 'storage', handBack: 'restart' },
  'branch-delete': { lane: 'storage', handBack: 'restart' },
  provision: { lane: 'storage', handBack: 'restart' },
  deprovision: { lane: 'storage', handBack: 'restart' },
  // Its handle tells a later run whether the workspace has committed.
  'workspace-load': { lane: 'storage', handBack: 'restart' },
  'workspace-export': { lane: 'storage', handBack: 'restart' },
  'workspace-objects-drop': { lane: 'storage', handBack: 'restart' },
  check: { lane: 'component', handBack: 'restart' },
  discover: { lane: 'component', handBack: 'restart' },
  // What they have reached is kept with the connection, so a new start goes on from there.
  sync: { lane: 'component', handBack: 'restart' },
  reset: { lane: 'component', handBack: 'restart' },
  script: { lane: 'script', handBack: 'recover' },
} as const satisfies Record<string, { lane: JobLane; handBack: 'restart' | 'recover' }>;

export type JobKind = keyof typeof JOB_KINDS;
export type JobMode = 'run' | 'debug' | 'forceRun';

/** Why a job failed. `application` errors are ours: their text is general, `exceptionId` finds the log line. */
export type JobError = SerializedError & { type: 'user' | 'application'; exceptionId: string };

export type JobMetrics = {
  inBytes?: number;
  inBytesUncompressed?: number;
  inCompressed?: boolean;
  outBytes?: number;
  outBytesUncompressed?: number;
  outCompressed?: boolean;
  [name: string]: Json | undefined;
};

export type Job = {
  /** From the one sequence of tickets, jobs and files. */
  id: number;
  projectId: number;
  branchId: number;
  kind: JobKind;
  lane: JobLane;
  status: JobStatus;
  componentId: string | undefined;
  configurationId: string | undefined;
  configurationRowIds: string[];
  mode: JobMode;
  tag: string | undefined;
  /** Parameters of the kind; secrets in it are ciphers. */
  input: Json;
  /** Filled by success, and by a failure that has something to show. */
  result: Json | undefined;
  error: JobError | undefined;
  /** Of what runs programs: own id below the parent's run. Storage lane: the caller's run, or the own id where it gave none. */
  runId: string;
  /** Empty text for a job nobody's run contains. */
  parentRunId: string;
  /** What the job is about: a table id, a bucket id. */
  objectId: string | undefined;
  lockKey: string | undefined;
  dedupeKey: string | undefined;
  token: { id: number; description: string };
  origin: { address?: string; userAgent?: string };
  createdAt: Date;
  availableAt: Date;
  startedAt: Date | undefined;
  finishedAt: Date | undefined;
  /** How often a worker took it, 1 in the first run; handing back on shutdown does not count. */
  attempt: number;
  /** How often it ended in an error that may pass. */
  failures: number;
  /** What the kind keeps to find its work again after a restart. */
  handle: Json | undefined;
  metrics: JobMetrics;
  usage: Json[];
};

/**
 * The run that all a job does belongs to: its files, its events, the storage jobs it makes. For a component job its own
 * id alone, however deep it is nested: that is what components are told and what clients look for.
 */
export function runOfWork(job: Pick<Job, 'id' | 'lane' | 'runId'>): string {
  return isRunLane(job.lane) ? String(job.id) : job.runId;
}

/** A job in the hands of one worker. The token fences: with an older one nothing can be committed for the job. */
export type ClaimedJob = Job & { workerId: string; claimToken: string };

export type NewJob = {
  kind: JobKind;
  /** Where the caller took the id before (a ticket); normally the sequence gives one. */
  id?: number;
  componentId?: string;
  configurationId?: string;
  configurationRowIds?: string[];
  mode?: JobMode;
  tag?: string;
  input?: Json;
  objectId?: string;
  /** Serialises with the project's other jobs of the same key, first come first served. */
  lockKey?: string;
  /** Creating a second job with the same key in the project returns the first one, finished or not. */
  dedupeKey?: string;
  /** A finished job gives its key up, so that only unfinished ones are found by it. */
  releaseFinished?: boolean;
  /** Overrides the actor's run id as the parent. */
  parentRunId?: string;
  /** Not before this time. */
  availableAt?: Date;
};

/** How a run ended. */
export type Outcome =
  | { status: 'succeeded'; result?: Json; metrics?: JobMetrics; usage?: Json[] }
  | { status: 'failed'; error: unknown; result?: Json; metrics?: JobMetrics; usage?: Json[] }
  | { status: 'stopped'; result?: Json; metrics?: JobMetrics; usage?: Json[] };

export type JobFilter = {
  ids?: number[];
  lanes?: JobLane[];
  /** Jobs of all lanes that run programs. */
  isRun?: true;
  kinds?: JobKind[];
  excludedKinds?: JobKind[];
  runIds?: string[];
  /** `''` selects jobs without a parent. */
  parentRunIds?: string[];
  branchIds?: number[];
  tokenIds?: number[];
  tokenDescriptions?: string[];
  componentIds?: string[];
  configurationIds?: string[];
  /** What the jobs are about. */
  objectIds?: string[];
  /** Any overlap. */
  configurationRowIds?: string[];
  modes?: JobMode[];
  statuses?: JobStatus[];
  excludedStatuses?: JobStatus[];
  tags?: string[];
  created?: DateRange;
  started?: DateRange;
  finished?: DateRange;
  durationSeconds?: { from?: number; to?: number };
};

/** Both ends included. */
export type DateRange = { from?: Date; to?: Date };

export const JOB_ORDERS = [
  'id',
  'runId',
  'branchId',
  'componentId',
  'configurationId',
  'tokenDescription',
  'status',
  'createdAt',
  'startedAt',
  'finishedAt',
  'durationSeconds',
] as const;

export type JobPage = {
  limit: number;
  offset?: number;
  /** Default: by id, newest first. */
  order?: { field: (typeof JOB_ORDERS)[number]; direction: 'asc' | 'desc' };
  /** By id from one job on, instead of by offset. */
  keyset?: Omit<KeysetPage<number>, 'limit'>;
  /** In bytes: what is longer is `LEFT_OUT`, and so are all inputs. For lists that show neither whole. */
  longestResult?: number;
};

/** In place of a result that is too long for the list. */
export const LEFT_OUT = { isLeftOut: true } as const;

export function isLeftOut({ result }: Job): boolean {
  return typeof result === 'object' && result !== null && !Array.isArray(result) && result.isLeftOut === true;
}
