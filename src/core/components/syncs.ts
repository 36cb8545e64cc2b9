import type { Db, Transaction } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import type { Actor } from '../identity/actor.ts';
import { jobErrors } from '../jobs/job-errors.ts';
import type { Job, JobFilter, JobPage, NewJob } from '../jobs/job-model.ts';
import { isFinal } from '../jobs/job-status.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Occurrence, Start } from '../schedules/occurrences.ts';
import type { Schedule } from '../schedules/schedule-model.ts';
import { componentErrors } from './component-errors.ts';
import { type Catalog, CONNECTION_COMPONENT } from './connection-model.ts';
import type { Connections } from './connections.ts';
import { connectorErrors } from './connector-errors.ts';
import type { ConnectorRole } from './connector-model.ts';
import type { Connector, Connectors } from './connectors.ts';

const SYNC_KINDS = ['sync', 'reset'] as const;
export type SyncKind = (typeof SYNC_KINDS)[number];

export type SyncFilter = Omit<JobFilter, 'kinds'> & { kinds?: SyncKind[] };

/** How a sync is asked for where it is asked for like any other run. */
export type SyncStart = Pick<NewJob, 'parentRunId' | 'availableAt' | 'input'>;

/** Connectors are patient with slow databases; whoever waits for one is not patient without end. */
const DISCOVER_MS = 10 * 60_000;

const STILL_RUNNING: Start = { outcome: 'skipped', reason: 'the job before is still under way' };

const syncsOf = (connectionId: string): JobFilter => ({
  kinds: ['sync'],
  componentIds: [CONNECTION_COMPONENT],
  configurationIds: [connectionId],
});

/** A job of the schedule itself counts from when it was due, or each would be a little later than the one before. */
function beginOf({ id, createdAt }: Job, { lastJobId, lastDueAt }: Schedule): Date {
  const isInTime = id === lastJobId && lastDueAt && createdAt.getTime() - lastDueAt.getTime() < IN_TIME_MS;
  return isInTime ? lastDueAt : createdAt;
}

const IN_TIME_MS = 30_000;

/** What is done with sources, destinations and connections: all of it jobs of the one queue. */
export class Syncs {
  readonly #jobs: Jobs;
  readonly #connectors: Connectors;
  readonly #connections: Connections;

  constructor(parts: { jobs: Jobs; connectors: Connectors; connections: Connections }) {
    this.#jobs = parts.jobs;
    this.#connectors = parts.connectors;
    this.#connections = parts.connections;
  }

  /**
   * What streams a source has. The last answer for the same version of the source is as good as a new one. `signal` ends
   * the wait, not the job: whoever asks again may find its answer.
   */
  async discover(
    actor: Actor,
    sourceId: string,
    options: { isFresh?: boolean; signal?: AbortSignal } = {},
  ): Promise<Catalog> {
    const source = await this.#connectors.get(actor, 'source', sourceId);
    const known = options.isFresh ? undefined : await this.#lastCatalog(actor, source);
    if (known) return known;
    const job = await this.#inspect(actor, 'discover', source, options.signal);
    return job.result as unknown as Catalog;
  }

  /** Whether a source or destination can be reached as it is configured. */
  async check(actor: Actor, role: ConnectorRole, id: string): Promise<{ isFine: boolean; message: string }> {
    const job = await this.#inspect(actor, 'check', await this.#connectors.get(actor, role, id));
    return job.result as { isFine: boolean; message: string };
  }

  /** Refused while another sync of the connection is under way. */
  async sync(actor: Actor, connectionId: string, how: SyncStart = {}): Promise<Job> {
    await this.#assertCanRun(actor, connectionId);
    if ((await this.#unfinished(actor, connectionId)).length > 0) throw connectorErrors.alreadyRunning();
    return this.#start(actor, 'sync', connectionId, how);
  }

  /**
   * The sync of a schedule, within the scheduler's transaction. One job per connection at a time: a time that comes
   * while one is under way is left out. An interval counts from the beginning of the last sync, whoever asked for that.
   */
  async startScheduled(tx: Transaction, actor: Actor, { target, schedule, now }: Occurrence): Promise<Start> {
    const { configurationId: id } = target;
    await this.#assertCanRun(actor, id, tx);
    if ((await this.#unfinished(actor, id, tx)).length > 0) return STILL_RUNNING;
    if (schedule?.recurrence.type === 'interval') {
      const [last] = await this.#jobs.list(actor, syncsOf(id), { limit: 1 }, tx);
      const until = last && new Date(beginOf(last, schedule).getTime() + schedule.recurrence.seconds * 1000);
      if (until && until > now) return { outcome: 'postponed', until };
    }
    const job = await this.#create(actor, 'sync', id, {}, tx);
    return job ? { outcome: 'started', jobId: job.id } : STILL_RUNNING;
  }

  /** Forgets what was synced and empties its tables; a sync that is under way is ended first. */
  async reset(actor: Actor, connectionId: string): Promise<Job> {
    await this.#connections.get(actor, connectionId);
    for (const job of await this.#unfinished(actor, connectionId)) {
      if (job.kind === 'reset') throw connectorErrors.alreadyRunning();
      await this.#kill(actor, job.id);
    }
    return this.#start(actor, 'reset', connectionId);
  }

  async cancel(actor: Actor, jobId: number): Promise<Job> {
    await this.get(actor, jobId);
    return this.#jobs.kill(actor, jobId);
  }

  /** Throws job.not-found for jobs of other kinds. */
  async get(actor: Actor, jobId: number): Promise<Job> {
    const job = await this.#jobs.get(actor, jobId);
    if (!SYNC_KINDS.includes(job.kind as SyncKind)) throw jobErrors.notFound(jobId);
    return job;
  }

  async list(actor: Actor, filter: SyncFilter, page: JobPage): Promise<Job[]> {
    return this.#jobs.list(actor, { kinds: [...SYNC_KINDS], ...filter }, page);
  }

  /** With a source or destination go the connections that have it. */
  async deleteConnector(actor: Actor, role: ConnectorRole, id: string): Promise<void> {
    await this.#connectors.get(actor, role, id);
    for (const { id: connectionId, settings } of await this.#connections.list(actor)) {
      if (settings[role].configurationId === id) await this.deleteConnection(actor, connectionId);
    }
    await this.#connectors.delete(actor, role, id);
  }

  /** A sync that is under way is ended. */
  async deleteConnection(actor: Actor, id: string): Promise<void> {
    await this.#connections.delete(actor, id);
    for (const job of await this.#unfinished(actor, id)) await this.#kill(actor, job.id);
  }

  async #start(actor: Actor, kind: SyncKind, connectionId: string, how: SyncStart = {}): Promise<Job> {
    const job = await this.#create(actor, kind, connectionId, how);
    if (!job) throw connectorErrors.alreadyRunning();
    return job;
  }

  /** Undefined when there is one already. */
  async #create(
    actor: Actor,
    kind: SyncKind,
    connectionId: string,
    how: SyncStart,
    tx?: Transaction,
  ): Promise<Job | undefined> {
    // Taken before, so that the key that is taken already is told from the one just taken.
    const id = await this.#jobs.ticket(actor, tx);
    const wanted: NewJob = {
      id,
      kind,
      componentId: CONNECTION_COMPONENT,
      configurationId: connectionId,
      lockKey: `sync:${actor.branchId}:${connectionId}`,
      dedupeKey: `${kind}:${actor.branchId}:${connectionId}`,
      releaseFinished: true,
      ...how,
    };
    const job = await (tx ? this.#jobs.createIn(tx, actor, wanted) : this.#jobs.create(actor, wanted));
    return job.id === id ? job : undefined;
  }

  /** What is in the way is better said at once than by a job that fails. */
  async #assertCanRun(actor: Actor, connectionId: string, db?: Db): Promise<void> {
    const connection = await this.#connections.get(actor, connectionId, db);
    if (!connection.isActive) throw connectorErrors.inactive();
    for (const role of ['source', 'destination'] as const) {
      const { definition } = await this.#connectors.get(actor, role, connection.settings[role].configurationId, db);
      if (!definition.run) throw componentErrors.notInstalled(definition.id);
    }
  }

  async #unfinished(actor: Actor, connectionId: string, db?: Db): Promise<Job[]> {
    const filter: JobFilter = {
      kinds: [...SYNC_KINDS],
      componentIds: [CONNECTION_COMPONENT],
      configurationIds: [connectionId],
      statuses: ['created', 'waiting', 'running', 'stopping'],
    };
    return this.#jobs.list(actor, filter, { limit: 100 }, db);
  }

  async #kill(actor: Actor, jobId: number): Promise<void> {
    const { status } = await this.#jobs.get(actor, jobId);
    if (isFinal(status) || status === 'stopping') return;
    await this.#jobs.kill(actor, jobId).catch((error: unknown) => {
      // It may have ended between the look and the kill.
      if (!(error instanceof Error) || (error as { code?: string }).code !== 'job.not-killable') throw error;
    });
  }

  async #inspect(actor: Actor, kind: 'check' | 'discover', connector: Connector, signal?: AbortSignal): Promise<Job> {
    if (!connector.definition.run) throw componentErrors.notInstalled(connector.definition.id);
    const created = await this.#jobs.create(actor, {
      kind,
      componentId: connector.definition.id,
      configurationId: connector.id,
      input: { version: connector.version, role: connector.definition.connector.role } satisfies Json,
    });
    const patience = AbortSignal.timeout(DISCOVER_MS);
    const job = await this.#jobs
      .awaitEnd(created.id, signal ? AbortSignal.any([signal, patience]) : patience)
      .catch((error: unknown) => {
        throw patience.aborted ? connectorErrors.tooSlow(kind) : error;
      });
    if (job.status !== 'succeeded') throw connectorErrors.connectorFailed(kind, job.error?.message ?? 'it was stopped');
    return job;
  }

  async #lastCatalog(actor: Actor, source: Connector): Promise<Catalog | undefined> {
    const filter: JobFilter = {
      kinds: ['discover'],
      componentIds: [source.definition.id],
      configurationIds: [source.id],
      statuses: ['succeeded'],
    };
    const [last] = await this.#jobs.list(actor, filter, { limit: 1 });
    const input = last?.input as { version?: number } | undefined;
    return input?.version === source.version ? (last?.result as unknown as Catalog) : undefined;
  }
}
