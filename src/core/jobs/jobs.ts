import type { Database, Db, Transaction } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import { errors } from '../errors.ts';
import type { NewEvent } from '../events/event-model.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, canReadJob, canRunComponent, isReader } from '../identity/permissions.ts';
import { jobErrors } from './job-errors.ts';
import {
  type ClaimedJob,
  isRunLane,
  JOB_KINDS,
  type Job,
  type JobFilter,
  type JobLane,
  type JobPage,
  type NewJob,
  type Outcome,
  runOfWork,
} from './job-model.ts';
import { JobQueue } from './job-queue.ts';
import { JobSignals } from './job-signals.ts';
import { isFinal, isKillable, type JobStatus } from './job-status.ts';
import {
  countUnfinished,
  findJob,
  findJobByDedupeKey,
  findShownJob,
  insertJob,
  listJobs,
  listUnfinished,
  listUnfinishedInRun,
  lockJob,
  lockSubtree,
  nextObjectId,
  releaseDedupeKey,
  setCancelled,
  setStopping,
} from './job-store.ts';
import { JobWaits } from './job-waits.ts';

const MAX_PAGE = 1000;

/** Everything that runs, from its creation to its end, for those who ask. Workers use `queue` besides. */
export class Jobs {
  readonly queue: JobQueue;
  readonly signals: JobSignals;
  readonly #db: Database;
  readonly #events: Events;
  readonly #waits: JobWaits;
  readonly #endListeners = new Set<(job: Job) => void>();

  /** `leaseSeconds`: how long a worker may be silent; shorter only where a test waits for it. */
  constructor(parts: { db: Database; events: Events; leaseSeconds?: number }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.signals = new JobSignals(parts.db);
    this.queue = new JobQueue(parts.db, this.signals, parts.leaseSeconds);
    this.#waits = new JobWaits(parts.db, this.signals);
  }

  /** Puts a job into the queue. With a dedupe key that is taken, answers the job that has it. */
  async create(actor: Actor, job: NewJob): Promise<Job> {
    return this.#db.transaction((tx) => this.createIn(tx, actor, job));
  }

  /** The same as part of a larger change; the job runs once that is committed. */
  async createIn(tx: Transaction, actor: Actor, job: NewJob): Promise<Job> {
    if (isRunLane(JOB_KINDS[job.kind].lane))
      assertAllowed(
        canRunComponent(actor, job.componentId ?? ''),
        `Token is not allowed to run component "${job.componentId ?? ''}"`,
      );
    if (job.releaseFinished && job.dedupeKey) await releaseDedupeKey(tx, actor.projectId, job.dedupeKey);
    const created = await insertJob(tx, actor, job, this.signals.hint('wake'));
    if (!created) {
      const existing = await findJobByDedupeKey(tx, actor.projectId, job.dedupeKey ?? '');
      if (!existing) throw new Error('a dedupe key is taken by a job that is not there');
      return existing;
    }
    const event = jobEvent(created, 'job.created', 'info', `Job "${created.id}" (${created.kind}) was created.`);
    await this.#events.append(tx, eventFor(actor, event));
    this.signals.afterCreate(tx, created.lane);
    return created;
  }

  /** A job that has to wait for another one is shown as `waiting`, here and in lists. */
  async get(actor: Actor, id: number): Promise<Job> {
    const job = await findShownJob(this.#db, id, actor.projectId);
    if (!job) throw jobErrors.notFound(id);
    if (!canReadJob(actor, job)) throw errors.forbidden();
    return job;
  }

  /** The project's jobs, newest first unless asked otherwise. Storage jobs of other tokens show to masters only. */
  async list(actor: Actor, filter: JobFilter, page: JobPage, db: Db = this.#db): Promise<Job[]> {
    if (page.limit < 0 || page.limit > MAX_PAGE) throw jobErrors.pageTooLong(MAX_PAGE);
    const storageJobsOfToken = actor.token.isMaster ? undefined : actor.token.id;
    return listJobs(db, actor.projectId, { ...filter, storageJobsOfToken }, page);
  }

  /**
   * Asks a job to end, and with a component job everything that runs below it. What has not begun is cancelled at
   * once; what runs is `stopping` until its worker has stopped it.
   */
  async kill(actor: Actor, id: number): Promise<Job> {
    return this.#db.transaction(async (tx) => {
      const job = await lockJob(tx, id, actor.projectId);
      if (!job) throw jobErrors.notFound(id);
      assertAllowed(
        canReadJob(actor, job) &&
          (job.lane === 'storage' ? !isReader(actor) : canRunComponent(actor, job.componentId ?? '')),
      );
      if (isFinal(job.status)) throw jobErrors.notKillable(id, job.status);
      const below = isRunLane(job.lane) ? await lockSubtree(tx, job) : [];
      const killed = [job, ...below].filter(({ status }) => isKillable(status));
      const running = killed.filter(({ status }) => status === 'running');
      const queued = killed.filter(({ status }) => status !== 'running');
      await setCancelled(tx, queued.map(idOf));
      await setStopping(tx, running.map(idOf));
      for (const { id: runningId } of running) {
        const stopping = await this.#require(tx, runningId);
        const event = jobEvent(stopping, 'job.stopping', 'warn', `Job "${runningId}" was asked to stop.`);
        await this.#events.append(tx, eventFor(actor, event));
      }
      for (const { id: queuedId } of queued) {
        const cancelled = await this.#require(tx, queuedId);
        await this.#reportEnd(tx, cancelled, actor);
        await this.signals.end(tx, cancelled);
      }
      if (running.length > 0) await this.signals.stop(tx);
      return this.#require(tx, id);
    });
  }

  /** How many jobs wait and run, by lane, over all projects. For those who watch the server. */
  async countUnfinished(): Promise<{ lane: JobLane; status: JobStatus; count: number }[]> {
    return countUnfinished(this.#db);
  }

  /** Calls back whenever a job ends in this process, once that is committed. Returns what takes the listener off. */
  onEnd(listener: (job: Job) => void): () => void {
    this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  /** The next number of the one sequence of jobs, files and tickets: larger than all before. */
  async ticket(_actor: Actor, db: Db = this.#db): Promise<number> {
    return nextObjectId(db);
  }

  /**
   * The job once it is over. Within milliseconds where it ends in this process, else by notification or poll. No
   * permission is asked: for those who have made the job or were given it by `get`.
   */
  async awaitEnd(id: number, signal?: AbortSignal): Promise<Job> {
    return this.#waits.awaitEnd(id, signal);
  }

  /** Those of the given ids whose jobs have not ended: for whoever cleans up after jobs. */
  async unfinished(ids: number[]): Promise<number[]> {
    return listUnfinished(this.#db, ids);
  }

  /** The storage jobs a component job has begun and that have not ended: what may still read its files. */
  async unfinishedWork(job: Job): Promise<number[]> {
    return listUnfinishedInRun(this.#db, job.projectId, runOfWork(job));
  }

  /** The end of a held job: state and event in the given transaction. Throws when it is held no more, or was killed. */
  async finish(tx: Transaction, job: ClaimedJob, outcome: Outcome): Promise<Job> {
    const finished = await this.queue.finish(tx, job, outcome);
    await this.#reportEnd(tx, finished);
    return finished;
  }

  /**
   * The same in a transaction of its own, with the kind's own rows in it. `inTx` runs after the lease was checked and
   * before the job ends; what it returns, if anything, becomes the result.
   */
  async end(
    job: ClaimedJob,
    outcome: Outcome,
    inTx?: (tx: Transaction) => Promise<Json | undefined> | Promise<void>,
  ): Promise<Job> {
    return this.#db.transaction(async (tx) => {
      if (!inTx) return this.finish(tx, job, outcome);
      await this.queue.checkHeld(tx, job, outcome.status);
      const result = (await inTx(tx)) ?? undefined;
      return this.finish(tx, job, result === undefined ? outcome : { ...outcome, result });
    });
  }

  /**
   * Writes something a held job has reached, while it goes on: not at all when the job is held no more. The handle, if
   * one is given, changes with it.
   */
  async keep(job: ClaimedJob, inTx: (tx: Transaction) => Promise<void>, handle?: Json): Promise<void> {
    await this.#db.transaction(async (tx) => {
      await this.queue.checkHeld(tx, job, 'stopped');
      await inTx(tx);
      if (handle !== undefined) await this.queue.saveHandle(job, handle, tx);
    });
  }

  async #reportEnd(tx: Transaction, job: Job, actor?: Actor): Promise<void> {
    tx.afterCommit(() => {
      for (const listener of this.#endListeners) listener(job);
    });
    const how = job.status === 'failed' ? `failed: ${job.error?.message ?? ''}` : `${HOW[job.status] ?? job.status}.`;
    const type = job.status === 'succeeded' ? 'success' : job.status === 'failed' ? 'error' : 'warn';
    const event = jobEvent(job, 'job.finished', type, `Job "${job.id}" (${job.kind}) ${how}`);
    await this.#events.append(tx, {
      ...(actor ? eventFor(actor, event) : event),
      ...(job.startedAt && job.finishedAt
        ? { durationSeconds: (job.finishedAt.getTime() - job.startedAt.getTime()) / 1000 }
        : {}),
    });
  }

  async #require(tx: Transaction, id: number): Promise<Job> {
    const job = await findJob(tx, id);
    if (!job) throw jobErrors.notFound(id);
    return job;
  }
}

const HOW: Partial<Record<Job['status'], string>> = {
  succeeded: 'succeeded',
  stopped: 'was stopped',
  cancelled: 'was cancelled before it ran',
};

function idOf(job: Job): number {
  return job.id;
}

function jobEvent(
  job: Job,
  name: NewEvent['name'],
  type: NewEvent['type'],
  message: string,
): NewEvent & { branchId: number } {
  return {
    projectId: job.projectId,
    branchId: job.branchId,
    name,
    component: job.componentId ?? 'storage',
    type,
    message,
    objectType: 'job',
    objectId: String(job.id),
    objectName: job.kind,
    configurationId: job.configurationId,
    runId: runOfWork(job),
    token: { id: job.token.id, name: job.token.description },
    params: { kind: job.kind, status: job.status },
    origin: job.origin,
  };
}
