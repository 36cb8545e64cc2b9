import assert from 'node:assert/strict';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionSettings, ConnectionStream } from '../../src/core/components/connection-model.ts';
import type { Job } from '../../src/core/jobs/job-model.ts';
import { openProcessRuntime } from '../../src/drivers/runtimes/process/index.ts';
import type { Json } from '../../src/lib/json.ts';
import type { SyncOptions } from '../../src/runner/sync/run-sync.ts';
import { processTable } from '../faults/processes.ts';
import { runnerWorld } from './runner-world.ts';
import { connectorComponent, destinationProgram, sourceProgram } from './test-connectors.ts';

export const STORAGE = 'millrace.destination-storage';
export const FILE = 'millrace.source-file';
export const SOURCE = 'test.source';
export const DESTINATION = 'test.destination';

export type Configuration = { [key: string]: Json };
type Streams = Record<string, Partial<Omit<ConnectionStream, 'stream'>> & { isResumable?: boolean }>;

/** Everything that syncs need, with real programs for connectors. */
export async function syncWorld(t: TestContext, sync: Partial<SyncOptions> = {}) {
  const runtime = await openProcessRuntime({ mode: 'auto', log: { warn: () => undefined } });
  const components = {
    [SOURCE]: connectorComponent('source', sourceProgram),
    [DESTINATION]: connectorComponent('destination', destinationProgram),
    [STORAGE]: 'real' as const,
    [FILE]: 'real' as const,
    'millrace.connection': 'real' as const,
  };
  const world = await runnerWorld(t, { runtime, components, sync });
  const { core, actor } = world;

  async function connector(role: 'source' | 'destination', componentId: string, configuration: Configuration) {
    const definition = core.connectors.definitions(role).find(({ id }) => id === componentId);
    assert.ok(definition, componentId);
    const { id } = await core.connectors.create(actor, definition, { name: componentId, configuration });
    return { componentId, configurationId: id };
  }

  return {
    ...world,
    connector,
    /** A source that does these steps, and the connection of its streams to a destination. */
    async connect(options: {
      steps?: object[];
      source?: { componentId: string; configurationId: string };
      streams?: Streams;
      destination?: Configuration;
      destinationId?: string;
      settings?: Partial<ConnectionSettings>;
    }) {
      const streams = options.streams ?? { s: {} };
      const names = Object.keys(streams);
      const source =
        options.source ??
        (await connector('source', SOURCE, { steps: (options.steps ?? []) as unknown as Json, streams: names }));
      const destination = await connector(
        'destination',
        options.destinationId ?? STORAGE,
        options.destination ?? (options.destinationId === DESTINATION ? {} : { bucket: 'in.c-sync' }),
      );
      const settings: ConnectionSettings = {
        source,
        destination,
        namespace: { definition: 'source' },
        prefix: '',
        schedule: { type: 'manual' },
        schemaChanges: 'ignore',
        streams: Object.entries(streams).map(([name, { isResumable, ...stream }]) => ({
          stream: {
            name,
            json_schema: { type: 'object', properties: { id: { type: 'integer' }, name: { type: 'string' } } },
            supported_sync_modes: ['full_refresh', 'incremental'],
            ...(isResumable && { is_resumable: true }),
          },
          sourceMode: 'incremental',
          destinationMode: 'append',
          cursorField: ['id'],
          primaryKey: [['id']],
          ...stream,
        })),
        ...options.settings,
      };
      const { id } = await core.connections.create(actor, { name: 'c', isActive: true, settings });
      return { id, source, destination, settings };
    },
    /** Lets the source do something else from now on. */
    async change(source: { configurationId: string }, configuration: Configuration): Promise<void> {
      await core.connectors.update(actor, 'source', source.configurationId, { configuration, merge: true });
    },
    async sync(connection: { id: string }): Promise<Job> {
      const job = await core.syncs.sync(actor, connection.id);
      return core.jobs.awaitEnd(job.id, AbortSignal.timeout(60_000));
    },
    /** What is stored under `sync`. */
    async state(connection: { id: string }): Promise<{
      streams?: { name: string; state: string }[];
      global?: string;
      legacy?: string;
    }> {
      return JSON.parse(await core.connections.stateText(actor, connection.id)).sync ?? {};
    },
    /** The ids in a table, in order. */
    async ids(tableId = 'in.c-sync.s'): Promise<number[]> {
      const { columns, rows } = await core.tables.preview(actor, tableId, { limit: 1000 });
      const at = columns.indexOf('id');
      return rows.map((row) => Number(row[at])).sort((a, b) => a - b);
    },
    localFolder: path.join(world.directory, 'local'),
    async until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
      for (const deadline = Date.now() + 15_000; !(await isTrue()); await sleep(20))
        assert.ok(Date.now() < deadline, `never: ${what}`);
    },
    /** Programs of a job that are alive. */
    programs: (job: Job) =>
      processTable().filter(({ command }) => command.includes(`${world.jobsDirectory}/${job.id}/`)),
  };
}

export type SyncWorld = Awaited<ReturnType<typeof syncWorld>>;
export const attemptsOf = (job: Job) =>
  (job.result as { attempts: { status: string; records: number; failure?: string }[] } | undefined)?.attempts ?? [];
export const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
