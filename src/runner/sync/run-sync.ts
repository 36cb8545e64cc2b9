import { existsSync } from 'node:fs';
import type { Connection, ConnectionStream } from '../../core/components/connection-model.ts';
import { CONNECTION_COMPONENT, streamKey } from '../../core/components/connection-model.ts';
import type { ConnectorDefinition } from '../../core/components/connectors.ts';
import { AppError } from '../../core/errors.ts';
import type { TableLoads } from '../../core/tables/table-loads.ts';
import type { Transaction } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import { JobLog } from '../job-log.ts';
import { type JobContext, StopReason, TryLater } from '../kind.ts';
import { removeJobDirectory, rowPaths } from '../steps/work-dir.ts';
import { type Attempt, retryDelayMs } from './attempts.ts';
import { destinationCatalog, sourceCatalog } from './catalogs.ts';
import { ConnectorLog } from './connector-log.ts';
import { type ConnectorParts, type ConnectorRun, endLeftovers, startConnector } from './connector-program.ts';
import { type Count, type Flow, openFlows } from './flow.ts';
import { type LandingPlace, landTables } from './landing.ts';
import { failureBy, type StateParts } from './messages.ts';
import { type ReplicationFailure, type ReplicationLimits, Replicator } from './replicate.ts';
import { SyncState } from './sync-state.ts';

/** How often what a destination has echoed is written down while a sync goes on. */
const COMMIT_MS = 2000;

export type SyncOptions = ReplicationLimits & {
  firstBackoffMs: number;
  /** So many attempts without any progress, one after another, end the job. */
  uselessInARow: number;
};

/** As Airbyte has them. */
export const SYNC_OPTIONS: SyncOptions = {
  firstBackoffMs: 10_000,
  uselessInARow: 5,
  sourceSilenceMs: 3 * 3600_000,
  destinationSilenceMs: 2 * 3600_000,
  exitGraceMs: 60_000,
};

export type SyncParts = ConnectorParts & { loads: TableLoads; sync: SyncOptions };

/** What a job keeps over the death of its worker. */
type Handle = { rows: number; attempts: Attempt[]; landing?: Landing };

/** What an attempt has come to. */
type Outcome = { flows: FlowReport[]; failure: ReplicationFailure | undefined };
type FlowReport = Count & { name: string; namespace: string | undefined; isComplete: boolean };

/**
 * The programs have ended and all that is to do is to load the last tables: once, however often it is tried. `flows`
 * is what then will be there, `before` what was there without them.
 */
type Landing = Outcome & { row: number; states: StateParts[]; before: FlowReport[] };

/**
 * Carries out a sync or a reset:
 *
 *   attempt   source ─► destination ─► echo of a state ─┬─► state of the connection, every two seconds
 *                                                       └─► (destinations that leave tables) rows and state in one
 *                                                           transaction: now and then in a long attempt, and at its end
 *
 * So a state is never ahead of the data, whatever dies at whatever moment; where the tables are ours, not behind
 * either. What an attempt has committed stays when it fails, and the next one goes on from there.
 */
export async function runSync(parts: SyncParts, ctx: JobContext): Promise<void> {
  const sync = await openSync(parts, ctx);
  try {
    await carryOut(sync);
  } catch (error) {
    await sync.log.flush();
    const isKilled = ctx.signal.reason instanceof StopReason && ctx.signal.reason.reason === 'killed';
    // Else it may be tried again, here or elsewhere: what is to be loaded lies in the folder.
    // Killed, nobody comes back for it; nor is there anything in it when all that was reached is committed, and then
    // nobody would look for it if the job were killed while it waits.
    if (isKilled || error instanceof TryLater) await removeJobDirectory(sync.jobsDirectory, ctx.job.id);
    throw error;
  }
  await sync.log.flush();
  await removeJobDirectory(sync.jobsDirectory, ctx.job.id);
}

type Sync = ConnectorRun & {
  readonly parts: SyncParts;
  readonly connection: Connection;
  readonly source: Side;
  readonly destination: Side;
  readonly isReset: boolean;
  handle: Handle;
};
type Side = { definition: ConnectorDefinition; configuration: { [key: string]: Json }; name: string };

async function openSync(parts: SyncParts, ctx: JobContext): Promise<Sync> {
  const { core, runtime } = parts;
  const log = new JobLog(ctx, CONNECTION_COMPONENT);
  const connection = await core.connections.get(ctx.actor, ctx.job.configurationId ?? '');
  const side = async (role: 'source' | 'destination'): Promise<Side> => {
    const opened = await core.connectors.open(ctx.actor, role, connection.settings[role].configurationId);
    log.hide(opened.secrets);
    const { connector, configuration } = opened;
    return { definition: connector.definition, configuration, name: connector.name };
  };
  return {
    parts,
    ctx,
    log,
    jobsDirectory: await runtime.workRoot(parts.jobsDirectory),
    connection,
    source: await side('source'),
    destination: await side('destination'),
    isReset: ctx.job.kind === 'reset',
    handle: (ctx.job.handle as unknown as Handle | undefined) ?? { rows: 0, attempts: [] },
  };
}

async function carryOut(sync: Sync): Promise<void> {
  const { ctx, parts, log } = sync;
  const landed = sync.handle.landing?.row;
  const rows = Array.from({ length: sync.handle.rows }, (_, row) => row);
  await endLeftovers(
    sync,
    rows.filter((row) => row !== landed),
  );
  await parts.loads.discardEarlier(ctx.job);
  for (;;) {
    ctx.signal.throwIfAborted();
    const { landing } = sync.handle;
    const outcome = landing ? await land(sync, landing) : await attempt(sync);
    const { failure } = outcome;
    if (!failure) return;
    const { attempts } = sync.handle;
    const message = attempts.at(-1)?.failure ?? '';
    log.error(`Attempt ${attempts.length} failed (${failure.origin}): ${message}`);
    const delayMs = failure.isConfiguration ? undefined : retryDelayMs(attempts, parts.sync);
    if (delayMs === undefined) {
      const error = new AppError('invalid', `sync.${failure.origin}-failed`, message, { retryable: false });
      await log.flush();
      await ctx.finish({ status: 'failed', error, result: resultOf(attempts, outcome.flows) });
      return;
    }
    if (delayMs > 0) {
      log.info(`Trying again in ${Math.ceil(delayMs / 1000)} s.`);
      // The attempts are kept with the job, whoever takes it then; others have its place until then.
      throw new TryLater(delayMs);
    }
  }
}

/** One run of both programs, to the end of the job where it succeeds. */
async function attempt(sync: Sync): Promise<Outcome> {
  const { ctx, connection, source, destination, log, isReset, parts } = sync;
  const { streams } = connection.settings;
  const state = await prepareState(sync);
  const flows = openFlows(connection.settings);
  const number = sync.handle.attempts.length + 1;
  log.info(`Attempt ${number}: ${source.name} to ${destination.name}, ${streams.length} streams`);
  const [destinationRow, sourceRow] = [sync.handle.rows, sync.handle.rows + 1];
  // Before the start, so that no crash leaves a program that nobody looks for.
  await saveHandle(sync, { ...sync.handle, rows: sync.handle.rows + 2 });

  const { leavesTables } = destination.definition.connector;
  const writer = await startConnector(sync, destination.definition, destinationRow, 'write', {
    config: destination.configuration,
    catalog: destinationCatalog(flows, state, ctx.job.id, isReset) as unknown as Json,
  });
  const stops = [writer.stop];
  const stopAll = () => Promise.allSettled(stops.map((stop) => stop()));
  const onAbort = () => void stopAll();
  ctx.signal.addEventListener('abort', onAbort, { once: true });
  const checkpoints = leavesTables
    ? new TableCheckpoints(sync, placeOf(sync, destinationRow), onAbort)
    : new EchoCheckpoints(sync);
  try {
    const stateFile = state.toFile();
    const reader = isReset
      ? undefined
      : await startConnector(sync, source.definition, sourceRow, 'read', {
          config: source.configuration,
          catalog: sourceCatalog(streams) as unknown as Json,
          ...(stateFile !== undefined && { state: stateFile }),
        });
    if (reader) stops.push(reader.stop);
    if (ctx.signal.aborted) onAbort();
    const logs = { source: new ConnectorLog(log, 'source'), destination: new ConnectorLog(log, 'destination') };
    const replicator = new Replicator(flows, logs, parts.sync, {
      onState: ({ parts: echoed }) => echoed && checkpoints.acknowledge(echoed),
      onTablesClosed: (closed, names) => checkpoints.close(closed, names),
    });
    const { failure } = await replicator.run(reader, writer, { tellsComplete: leavesTables });
    await stopAll();
    const stateFailure = await checkpoints.end();
    ctx.signal.throwIfAborted();
    return await conclude(sync, destinationRow, flows, checkpoints, stateFailure ?? failure);
  } finally {
    ctx.signal.removeEventListener('abort', onAbort);
    await stopAll();
    await checkpoints.end().catch((error: unknown) => {
      ctx.log.warn({ err: error }, 'what a sync had reached could not be kept; it will be read again');
    });
  }
}

/** The end of an attempt: what of it is still to be committed, and what is to be told of it. */
async function conclude(
  sync: Sync,
  row: number,
  flows: Flow[],
  checkpoints: Checkpoints,
  failure: ReplicationFailure | undefined,
): Promise<Outcome> {
  const { leavesTables } = sync.destination.definition.connector;
  if (!leavesTables) {
    // Both have ended well: then everything has arrived, confirmed or not.
    const reached = (flow: Flow) => (failure ? flow.acknowledged : flow.emitted);
    const outcome = { flows: flows.map((flow) => reportOf(flow, reached(flow))), failure };
    await commit(sync, outcome, checkpoints.unsaved(), async () => undefined);
    return outcome;
  }
  const before = flows.map((flow) => reportOf(flow, checkpoints.landed(flow)));
  // A destination that has failed has left who knows what.
  if (failure?.origin === 'destination') {
    const outcome = { flows: before, failure };
    await commit(sync, outcome, [], async () => undefined);
    return outcome;
  }
  const isHeldBack = (flow: Flow) => !flow.isComplete && !isLanded(flow.configured);
  const heldBack = new Set(flows.filter(isHeldBack).map(({ configured }) => streamKey(configured.stream)));
  const landing: Landing = {
    row,
    states: checkpoints.unsaved().filter((parts) => parts.kind !== 'stream' || !heldBack.has(streamKey(parts))),
    flows: flows.map((flow) => reportOf(flow, isHeldBack(flow) ? { records: 0, bytes: 0 } : endOf(flow))),
    before,
    failure,
  };
  await saveHandle(sync, { ...sync.handle, landing });
  return land(sync, landing);
}

/** Of a stream that is read in full, nothing is worth anything before its end: the next attempt reads all of it again. */
const isLanded = ({ sourceMode }: ConnectionStream) => sourceMode === 'incremental';
const endOf = (flow: Flow) => (flow.isComplete ? flow.emitted : flow.acknowledged);

/** Loads what the destination has left at its end. */
async function land(sync: Sync, landing: Landing): Promise<Outcome> {
  const { row, states, before } = landing;
  const place = placeOf(sync, row);
  const outcome: Outcome = { flows: landing.flows, failure: landing.failure };
  const problem = existsSync(rowPaths(sync.jobsDirectory, sync.ctx.job.id, row).data)
    ? await landTables(place, 'all', (commitTables) => commit(sync, outcome, states, commitTables))
    : // Without its rows no state may be written: they are read again.
      failureBy('What had landed is gone.');
  if (!problem) return outcome;
  const failed: Outcome = { flows: before, failure: { ...problem, origin: 'destination' } };
  await commit(sync, failed, [], async () => undefined);
  return failed;
}

/** The one transaction in which an attempt ends: rows, states, what is known of the attempt and, if it is one, the end. */
async function commit(
  sync: Sync,
  { flows, failure }: Outcome,
  states: readonly StateParts[],
  commitTables: (tx: Transaction) => Promise<void>,
): Promise<void> {
  const { ctx, log } = sync;
  const records = flows.reduce((sum, flow) => sum + flow.records, 0);
  const bytes = flows.reduce((sum, flow) => sum + flow.bytes, 0);
  const { rows } = sync.handle;
  const number = sync.handle.attempts.length;
  const attempts: Attempt[] = [
    ...sync.handle.attempts,
    failure
      ? { number, status: 'failed', records, bytes, failure: log.mask(failure.message) }
      : { number, status: 'succeeded', records, bytes },
  ];
  const handle: Handle = { rows, attempts };
  const inTx = async (tx: Transaction) => {
    await commitTables(tx);
    await applyStates(sync, tx, states);
  };
  if (failure) {
    await ctx.keep(inTx, handle as unknown as Json);
  } else {
    log.info(`Synced ${records} records.`);
    await log.flush();
    await ctx.finish({ status: 'succeeded', result: resultOf(attempts, flows) }, inTx);
  }
  sync.handle = handle;
}

async function saveHandle(sync: Sync, handle: Handle): Promise<void> {
  await sync.ctx.saveHandle(handle as unknown as Json);
  sync.handle = handle;
}

function placeOf(sync: Sync, row: number): LandingPlace {
  const { parts, destination, connection } = sync;
  return {
    run: sync,
    loads: parts.loads,
    definition: destination.definition,
    address: connection.settings.destination,
    row,
  };
}

function resultOf(attempts: Attempt[], streams: FlowReport[]): Json {
  const sum = (key: 'records' | 'bytes') => attempts.reduce((total, one) => total + one[key], 0);
  return { rowsSynced: sum('records'), bytesSynced: sum('bytes'), attempts, streams } as unknown as Json;
}

/** The state that this attempt starts from: that of the connection without what has to be read anew. */
async function prepareState(sync: Sync): Promise<SyncState> {
  const { ctx, connection, parts, isReset, destination, handle } = sync;
  const { streams } = connection.settings;
  const state = new SyncState(await parts.core.connections.stateText(ctx.actor, connection.id));
  // Where we land the rows, those of a reading that did not come to its end were thrown away.
  const canResume = handle.attempts.length > 0 && !destination.definition.connector.leavesTables;
  const isResumed = (one: ConnectionStream) =>
    canResume && one.sourceMode === 'full_refresh' && one.stream.is_resumable === true;
  const change = (changed: SyncState) => {
    if (isReset) changed.clear();
    else changed.prepare(streams, isResumed);
    for (const one of streams) {
      if (isReset || (one.sourceMode === 'full_refresh' && !isResumed(one))) changed.nextGeneration(one.stream);
    }
  };
  change(state);
  await ctx.keep((tx) => changeState(sync, tx, change));
  return state;
}

async function changeState(
  { parts, ctx, connection }: Sync,
  tx: Transaction,
  change: (state: SyncState) => void,
): Promise<void> {
  const address = { componentId: CONNECTION_COMPONENT, configurationId: connection.id };
  await parts.core.configurations.keepStateIn(tx, ctx.job, address, ({ text }) => {
    const state = new SyncState(text);
    change(state);
    return state.print(text);
  });
}

async function applyStates(sync: Sync, tx: Transaction, states: readonly StateParts[]): Promise<void> {
  if (states.length === 0) return;
  await changeState(sync, tx, (state) => {
    for (const parts of states) state.apply(parts, sync.connection.settings.streams);
  });
}

/** What is committed while an attempt goes on. */
type Checkpoints = {
  acknowledge(parts: StateParts): void;
  /** All that was acknowledged of these flows lies in these tables, which are closed. */
  close(flows: readonly Flow[], names: readonly string[]): void;
  /** Waits for what is under way. */
  end(): Promise<ReplicationFailure | undefined>;
  /** States that were acknowledged and are still to be committed. */
  unsaved(): StateParts[];
  landed(flow: Flow): Count;
};

/** The newest of each stream; one that is of all streams takes the place of all. */
class NewestStates {
  #byKey = new Map<string, StateParts>();

  add(parts: StateParts): void {
    if (parts.kind !== 'stream') this.#byKey.clear();
    this.#byKey.set(parts.kind === 'stream' ? streamKey(parts) : '', parts);
  }

  list(): StateParts[] {
    return [...this.#byKey.values()];
  }

  /** Of these streams, and what is of all. */
  take(flows: readonly Flow[]): StateParts[] {
    const keys = ['', ...flows.map(({ configured }) => streamKey(configured.stream))];
    return keys.flatMap((key) => {
      const found = this.#byKey.get(key);
      this.#byKey.delete(key);
      return found ? [found] : [];
    });
  }

  takeAll(): StateParts[] {
    const all = this.list();
    this.#byKey.clear();
    return all;
  }
}

/** For destinations whose echo alone says that the data is safe. */
class EchoCheckpoints implements Checkpoints {
  readonly #sync: Sync;
  readonly #states = new NewestStates();
  readonly #timer: NodeJS.Timeout;
  #busy: Promise<void> = Promise.resolve();

  constructor(sync: Sync) {
    this.#sync = sync;
    this.#timer = setInterval(() => void this.#write(), COMMIT_MS);
  }

  acknowledge(parts: StateParts): void {
    this.#states.add(parts);
  }

  close(): void {}

  async end(): Promise<undefined> {
    clearInterval(this.#timer);
    await this.#write();
  }

  unsaved(): StateParts[] {
    return this.#states.list();
  }

  landed(flow: Flow): Count {
    return flow.acknowledged;
  }

  #write(): Promise<void> {
    this.#busy = this.#busy.then(async () => {
      const states = this.#states.takeAll();
      if (states.length === 0) return;
      try {
        await this.#sync.ctx.keep((tx) => applyStates(this.#sync, tx, states));
      } catch (error) {
        this.#sync.ctx.log.warn({ err: error }, 'states could not be kept yet');
        const since = this.#states.takeAll();
        for (const parts of [...states, ...since]) this.#states.add(parts);
      }
    });
    return this.#busy;
  }
}

/** For destinations that leave tables: one after the other, behind the back of the programs. */
class TableCheckpoints implements Checkpoints {
  readonly #sync: Sync;
  readonly #place: LandingPlace;
  readonly #giveUp: () => void;
  readonly #states = new NewestStates();
  readonly #landed = new Map<Flow, Count>();
  #busy: Promise<void> = Promise.resolve();
  #failure: ReplicationFailure | undefined;
  #thrown: { error: unknown } | undefined;

  constructor(sync: Sync, place: LandingPlace, giveUp: () => void) {
    this.#sync = sync;
    this.#place = place;
    this.#giveUp = giveUp;
  }

  acknowledge(parts: StateParts): void {
    this.#states.add(parts);
  }

  close(flows: readonly Flow[], names: readonly string[]): void {
    const states = this.#states.take(flows);
    const counts = flows.map((flow) => [flow, { ...flow.acknowledged }] as const);
    this.#busy = this.#busy.then(async () => {
      if (this.#failure || this.#thrown) return;
      try {
        const problem = await landTables(this.#place, names, (commitTables) =>
          this.#sync.ctx.keep(async (tx) => {
            await commitTables(tx);
            await applyStates(this.#sync, tx, states);
          }),
        );
        if (problem) this.#failure = { ...problem, origin: 'destination' };
        else for (const [flow, count] of counts) this.#landed.set(flow, count);
      } catch (error) {
        this.#thrown = { error };
      }
      if (this.#failure || this.#thrown) this.#giveUp();
    });
  }

  async end(): Promise<ReplicationFailure | undefined> {
    await this.#busy;
    if (this.#thrown) throw this.#thrown.error;
    return this.#failure;
  }

  unsaved(): StateParts[] {
    return this.#states.list();
  }

  landed(flow: Flow): Count {
    return this.#landed.get(flow) ?? { records: 0, bytes: 0 };
  }
}

function reportOf({ configured, isComplete }: Flow, count: Count): FlowReport {
  const { name, namespace } = configured.stream;
  return { name, namespace, ...count, isComplete };
}
