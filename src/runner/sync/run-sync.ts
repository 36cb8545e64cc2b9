import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Catalog, Connection, ConnectionStream } from '../../core/components/connection-model.ts';
import { CONNECTION_COMPONENT } from '../../core/components/connection-model.ts';
import type { ConnectorDefinition } from '../../core/components/connectors.ts';
import { AppError } from '../../core/errors.ts';
import type { Json } from '../../lib/json.ts';
import { JobLog } from '../job-log.ts';
import { emptyInput, type RowRun, type RunnerParts } from '../job-run.ts';
import { type JobContext, StopReason } from '../kind.ts';
import { checkConfiguration } from '../steps/config-file.ts';
import { awaitLoads, describeTables, folderSources, submitLoads } from '../steps/output-tables.ts';
import { removeJobDirectory, rowPaths } from '../steps/work-dir.ts';
import { type ConnectorRun, endLeftovers, startConnector } from './connector-program.ts';
import type { ConnectorFailure, StateParts } from './messages.ts';
import { type Flow, openFlows, Replicator } from './replicate.ts';
import { SyncState } from './sync-state.ts';

/** How often what a destination has echoed is written down while a sync goes on. */
const COMMIT_MS = 2000;
/** Failures without any progress, one after another; then failures altogether. */
const MAX_USELESS = 5;
const MAX_FAILED = 20;

export type SyncOptions = { firstBackoffMs: number };

/** What a job keeps over the death of its worker. */
type Handle = { rows: number; attempts: Attempt[]; landing?: Landing };
type Attempt = { number: number; status: 'succeeded' | 'failed'; records: number; bytes: number; failure?: string };
/** The destination has left its tables, and all that is to do is to load them: once, however often it is tried. */
type Landing = { row: number; acknowledged: StateParts[]; flows: FlowReport[]; failure: FlowFailure | undefined };
type FlowReport = { name: string; namespace: string | undefined; records: number; bytes: number; isComplete: boolean };
type FlowFailure = ConnectorFailure & { origin: string };

/**
 * Carries out a sync or a reset:
 *
 *   attempt   source ─► destination ─► what it has echoed (or the tables it has left, loaded) ─► state of the connection
 *
 * A state is committed after the data that stands before it and never earlier, so that whatever dies at whatever
 * moment, the next attempt reads again at worst what is there already.
 */
export async function runSync(parts: RunnerParts, ctx: JobContext, options: SyncOptions): Promise<void> {
  const sync = await openSync(parts, ctx);
  try {
    await carryOut(sync, options);
  } catch (error) {
    await sync.log.flush();
    const isKilled = ctx.signal.reason instanceof StopReason && ctx.signal.reason.reason === 'killed';
    // Else it may be tried again, here or elsewhere: what has landed lies in the folder.
    if (isKilled) await removeJobDirectory(sync.jobsDirectory, ctx.job.id);
    throw error;
  }
  await sync.log.flush();
  await removeJobDirectory(sync.jobsDirectory, ctx.job.id);
}

type Sync = ConnectorRun & {
  readonly connection: Connection;
  readonly source: Side;
  readonly destination: Side;
  readonly handle: Handle;
};
type Side = { definition: ConnectorDefinition; configuration: { [key: string]: Json }; name: string };

async function openSync(parts: RunnerParts, ctx: JobContext): Promise<Sync> {
  const { core, runtime } = parts;
  const log = new JobLog(ctx, CONNECTION_COMPONENT);
  const connection = await core.connections.get(ctx.actor, ctx.job.configurationId ?? '');
  const side = async (role: 'source' | 'destination'): Promise<Side> => {
    const opened = await core.connectors.open(ctx.actor, role, connection.settings[role].configurationId);
    log.hide(opened.secrets);
    const { connector, configuration } = opened;
    return { definition: connector.definition, configuration, name: connector.name };
  };
  const kept = (ctx.job.handle ?? { rows: 0, attempts: [] }) as unknown as Handle;
  return {
    parts,
    ctx,
    log,
    jobsDirectory: await runtime.workRoot(parts.jobsDirectory),
    connection,
    source: await side('source'),
    destination: await side('destination'),
    handle: { rows: kept.rows, attempts: [...kept.attempts], ...(kept.landing && { landing: kept.landing }) },
  };
}

async function carryOut(sync: Sync, options: SyncOptions): Promise<void> {
  const { ctx, handle } = sync;
  const landed = handle.landing?.row;
  const rows = Array.from({ length: handle.rows }, (_, row) => row);
  await endLeftovers(
    sync,
    rows.filter((row) => row !== landed),
  );
  for (let useless = 0; ; ) {
    ctx.signal.throwIfAborted();
    const outcome = handle.landing ? await land(sync, handle.landing) : await attempt(sync);
    const { failure } = outcome;
    const records = outcome.flows.reduce((sum, flow) => sum + flow.records, 0);
    const bytes = outcome.flows.reduce((sum, flow) => sum + flow.bytes, 0);
    const message = failure && sync.log.mask(failure.message);
    handle.attempts.push({
      number: handle.attempts.length,
      status: failure ? 'failed' : 'succeeded',
      records,
      bytes,
      ...(message !== undefined && { failure: message }),
    });
    if (!failure) {
      await finish(sync, outcome);
      return;
    }
    sync.log.error(`Attempt ${handle.attempts.length} failed (${failure.origin}): ${message}`);
    if (records > 0) await keepState(sync, outcome.acknowledged);
    delete handle.landing;
    await ctx.saveHandle(handle as unknown as Json);
    useless = records > 0 ? 0 : useless + 1;
    if (failure.isConfiguration || useless >= MAX_USELESS || handle.attempts.length >= MAX_FAILED) {
      const error = new AppError('invalid', `sync.${failure.origin}-failed`, message ?? '', { retryable: false });
      await sync.log.flush();
      await ctx.finish({ status: 'failed', error, result: resultOf(sync, outcome.flows) });
      return;
    }
    if (useless > 0) {
      const backoffMs = options.firstBackoffMs * 3 ** (useless - 1);
      sync.log.info(`Trying again in ${Math.ceil(backoffMs / 1000)} s.`);
      await sleep(backoffMs, undefined, { signal: ctx.signal }).catch(() => undefined);
    }
  }
}

type Outcome = { acknowledged: StateParts[]; flows: FlowReport[]; failure: FlowFailure | undefined };

/** One run of both programs. */
async function attempt(sync: Sync): Promise<Outcome> {
  const { ctx, connection, source, destination, handle, log } = sync;
  const isReset = ctx.job.kind === 'reset';
  const number = handle.attempts.length;
  const state = await prepareState(sync, number === 0);
  const { streams } = connection.settings;
  const flows = openFlows(connection.settings);
  log.info(`Attempt ${number + 1}: ${source.name} to ${destination.name}, ${streams.length} streams`);
  const [destinationRow, sourceRow] = [handle.rows, handle.rows + 1];
  handle.rows += 2;
  // Before the start, so that no crash leaves a program that nobody looks for.
  await ctx.saveHandle(handle as unknown as Json);

  const acknowledged: StateParts[] = [];
  const { leavesTables } = destination.definition.connector;
  const writer = await startConnector(sync, destination.definition, destinationRow, 'write', {
    config: destination.configuration,
    catalog: destinationCatalog(flows, state, ctx.job.id, isReset) as unknown as Json,
  });
  const stopped: (() => Promise<void>)[] = [writer.stop];
  const onAbort = () => void Promise.allSettled(stopped.map((stop) => stop()));
  ctx.signal.addEventListener('abort', onAbort, { once: true });
  const commits = leavesTables ? undefined : commitRegularly(sync, acknowledged);
  try {
    const reader = isReset
      ? undefined
      : await startConnector(sync, source.definition, sourceRow, 'read', {
          config: source.configuration,
          catalog: { streams: streams.map((one) => sourceStream(one)) } as unknown as Json,
          ...stateFile(state),
        });
    if (reader) stopped.push(reader.stop);
    if (ctx.signal.aborted) onAbort();
    const replicator = new Replicator(flows, log, (parts) => void acknowledged.push(parts));
    const { failure } = await replicator.run(reader, writer, { tellsComplete: leavesTables });
    ctx.signal.throwIfAborted();
    const outcome = { acknowledged, flows: flows.map(reportOf), failure };
    if (!leavesTables) return outcome;
    const landing: Landing = { row: destinationRow, ...outcome };
    handle.landing = landing;
    await ctx.saveHandle(handle as unknown as Json);
    return await land(sync, landing);
  } finally {
    ctx.signal.removeEventListener('abort', onAbort);
    await Promise.allSettled([...stopped.map((stop) => stop()), commits?.stop()]);
  }
}

/** Loads what the destination has left. Loads have keys: the same ones are found again and not made twice. */
async function land(sync: Sync, landing: Landing): Promise<Outcome> {
  const { ctx, destination, log, parts, jobsDirectory, connection } = sync;
  const run = { parts, ctx, component: destination.definition, log, jobsDirectory };
  const { componentId, configurationId } = connection.settings.destination;
  const row: RowRun = {
    index: landing.row,
    definition: {
      componentId,
      configurationId,
      rowId: undefined,
      version: undefined,
      configuration: {},
      state: {},
      notice: undefined,
    },
    checked: checkConfiguration({}),
    state: {},
    paths: rowPaths(jobsDirectory, ctx.job.id, landing.row),
    input: emptyInput(),
    loads: [],
  };
  // A destination that failed has left who knows what.
  if (landing.failure?.origin === 'destination')
    return { ...landing, acknowledged: [], flows: landing.flows.map(nothingOf) };
  if (!existsSync(row.paths.data)) {
    // Without its rows no state may be written: they are read again.
    const failure = {
      message: 'What had landed is gone.',
      internal: '',
      isConfiguration: false,
      origin: 'replication',
    };
    return { acknowledged: [], flows: landing.flows.map(nothingOf), failure };
  }
  try {
    await submitLoads(run, row, await folderSources(row, { isFailed: true }), { isFailed: false });
    await awaitLoads(run, [row]);
    await describeTables(run, [row]);
  } catch (error) {
    if (ctx.signal.aborted || !(error instanceof AppError) || error.retryable || error.kind === 'internal') throw error;
    const failure = { message: error.message, internal: '', isConfiguration: true, origin: 'destination' };
    return { acknowledged: [], flows: landing.flows.map(nothingOf), failure };
  }
  return landing;
}

/** The end of a sync that has reached its end: with its state, or not at all. */
async function finish(sync: Sync, { flows, acknowledged }: Outcome): Promise<void> {
  const { ctx } = sync;
  sync.log.info(`Synced ${flows.reduce((sum, flow) => sum + flow.records, 0)} records.`);
  await sync.log.flush();
  const result = resultOf(sync, flows);
  await ctx.finish({ status: 'succeeded', result }, (tx) => storeState(sync, tx, acknowledged));
}

function resultOf({ handle }: Sync, flows: FlowReport[]): Json {
  const sum = (key: 'records' | 'bytes') => handle.attempts.reduce((total, one) => total + one[key], 0);
  return {
    rowsSynced: sum('records'),
    bytesSynced: sum('bytes'),
    attempts: handle.attempts,
    streams: flows,
  } as unknown as Json;
}

async function prepareState(sync: Sync, isFirst: boolean): Promise<SyncState> {
  const { ctx, connection, parts } = sync;
  const { streams } = connection.settings;
  const text = await parts.core.connections.stateText(ctx.actor, connection.id);
  const state = new SyncState(text);
  const isReset = ctx.job.kind === 'reset';
  const change = (changed: SyncState) => {
    if (isReset) changed.clear();
    else changed.prepare(streams);
    for (const { stream, sourceMode } of streams) {
      const isAgain = !isFirst && stream.is_resumable === true;
      if (isReset || (sourceMode === 'full_refresh' && !isAgain)) changed.nextGeneration(stream);
    }
  };
  change(state);
  await ctx.keep((tx) => changeState(sync, tx, change));
  return state;
}

type Tx = Parameters<Parameters<JobContext['keep']>[0]>[0];

async function changeState(
  { parts, ctx, connection }: Sync,
  tx: Tx,
  change: (state: SyncState) => void,
): Promise<void> {
  const address = { componentId: CONNECTION_COMPONENT, configurationId: connection.id };
  const { branchId, projectId } = ctx.job;
  await parts.core.configurations.changeStateIn(tx, branchId, projectId, address, ({ text }) => {
    const state = new SyncState(text);
    change(state);
    return state.print(text);
  });
}

const storeState = (sync: Sync, tx: Tx, acknowledged: StateParts[]) =>
  changeState(sync, tx, (state) => {
    for (const parts of acknowledged) state.apply(parts);
  });

async function keepState(sync: Sync, acknowledged: StateParts[]): Promise<void> {
  if (acknowledged.length > 0) await sync.ctx.keep((tx) => storeState(sync, tx, acknowledged));
}

/** For destinations whose echo alone says that the data is safe. */
function commitRegularly(sync: Sync, acknowledged: StateParts[]): { stop(): Promise<void> } {
  let written = 0;
  let busy: Promise<void> = Promise.resolve();
  const write = () => {
    busy = busy.then(async () => {
      const next = acknowledged.slice(written);
      await keepState(sync, next);
      written += next.length;
    });
    return busy.catch((error: unknown) => sync.ctx.log.warn({ err: error }, 'states could not be kept yet'));
  };
  const timer = setInterval(write, COMMIT_MS);
  return {
    async stop() {
      clearInterval(timer);
      await write();
    },
  };
}

function sourceStream({
  stream,
  sourceMode,
  destinationMode,
  cursorField,
  primaryKey,
  selectedFields,
}: ConnectionStream) {
  return {
    stream: selectedFields ? pruned(stream, selectedFields) : stream,
    sync_mode: sourceMode,
    destination_sync_mode: destinationMode === 'overwrite_dedup' ? 'overwrite' : destinationMode,
    cursor_field: cursorField,
    primary_key: primaryKey,
  };
}

function destinationCatalog(flows: Flow[], state: SyncState, jobId: number, isReset: boolean) {
  return {
    streams: flows.map(({ configured, destination }) => {
      const { stream, destinationMode } = configured;
      const generation = state.generation(stream);
      const replaces = isReset || destinationMode.startsWith('overwrite');
      const { namespace: _namespace, ...rest } = sourceStream(configured).stream;
      return {
        ...sourceStream(configured),
        stream: { ...rest, ...destination },
        destination_sync_mode: isReset ? 'overwrite' : destinationMode,
        generation_id: generation,
        minimum_generation_id: replaces ? generation : 0,
        sync_id: jobId,
      };
    }),
  };
}

function pruned(stream: Catalog['streams'][number], fields: string[]): Catalog['streams'][number] {
  const properties = (stream.json_schema.properties ?? {}) as { [key: string]: Json };
  const kept = Object.fromEntries(Object.entries(properties).filter(([name]) => fields.includes(name)));
  return { ...stream, json_schema: { ...stream.json_schema, properties: kept } };
}

function stateFile(state: SyncState): { state?: string } {
  const text = state.toFile();
  return text === undefined ? {} : { state: text };
}

function reportOf({ configured, committed, committedBytes, isComplete }: Flow): FlowReport {
  const { name, namespace } = configured.stream;
  return { name, namespace, records: committed, bytes: committedBytes, isComplete };
}

const nothingOf = (flow: FlowReport): FlowReport => ({ ...flow, records: 0, bytes: 0 });
