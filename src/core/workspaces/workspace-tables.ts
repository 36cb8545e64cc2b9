/**
 * Rows between Storage and workspaces. Into a workspace they go as jobs of the kind workspace-load; out of it as the
 * source of a table's load (`unload`) or into a stored file (workspace-export).
 *
 * A load is one transaction of the workspace's database, which knows nothing of the transaction that ends the job. So
 * the number of the former is kept with the job before it commits, and whoever runs the job again asks first what
 * became of it: nothing is loaded twice and nothing is left out.
 */
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { SpaceAnswer, SpaceObject, SpaceTableLoad } from '../../drivers/provisioners/contract.ts';
import { uuidv7 } from '../../lib/ids.ts';
import type { Json } from '../../lib/json.ts';
import { AppError } from '../errors.ts';
import type { EventName } from '../events/event-names.ts';
import { type Events, eventFor } from '../events/events.ts';
import { EXPORT_MAX_AGE_DAYS } from '../files/file-model.ts';
import type { Files } from '../files/files.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, isReader } from '../identity/permissions.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { type TableJob, toJson } from '../tables/table-job.ts';
import type { MetadataEntry, WorkspaceSource } from '../tables/table-model.ts';
import type { Tables } from '../tables/tables.ts';
import { typeMetadata } from './column-types.ts';
import { workspaceErrors } from './workspace-errors.ts';
import type {
  LoadColumn,
  ObjectsDropInput,
  TableLoadWish,
  WorkspaceExportInput,
  WorkspaceKey,
  WorkspaceLoadInput,
} from './workspace-model.ts';
import type { OpenWorkspace, Workspaces } from './workspaces.ts';

/** A job that keeps what its next run has to know. */
type KeepingJob = TableJob & { saveHandle(handle: Json): Promise<void> };
/** Which transaction of the workspace, and how many rows of each table it has loaded. */
type LoadHandle = { transaction: string; rows: number[] };
type Key = Extract<WorkspaceKey, { id: number }>;

/** What a person may look at: the answer is in memory as a whole. */
const QUERY_LIMITS = { rows: 1000, bytes: 8 * 1024 * 1024, milliseconds: 60_000 };
const READ_BYTES = 256 * 1024;

export class WorkspaceTables {
  readonly #workspaces: Workspaces;
  readonly #tables: Tables;
  readonly #files: Files;
  readonly #jobs: Jobs;
  readonly #events: Events;
  readonly #directory: string;

  constructor(parts: {
    workspaces: Workspaces;
    tables: Tables;
    files: Files;
    jobs: Jobs;
    events: Events;
    /** For rows on their way, on the disk of the file store. Emptied when the server ends. */
    directory: string;
  }) {
    this.#workspaces = parts.workspaces;
    this.#tables = parts.tables;
    this.#files = parts.files;
    this.#jobs = parts.jobs;
    this.#events = parts.events;
    this.#directory = parts.directory;
  }

  /** Loads tables as one: a job of the kind workspace-load. Loads of one workspace run one after another. */
  async loadLater(actor: Actor, key: Key, wanted: { keep: boolean; tables: TableLoadWish[] }): Promise<Job> {
    const { workspace } = await this.#require(actor, key);
    if (wanted.tables.length === 0) throw workspaceErrors.inputRequired();
    const destinations = new Set<string>();
    for (const table of wanted.tables) {
      if (destinations.has(table.destination)) throw workspaceErrors.duplicateDestination(table.destination);
      destinations.add(table.destination);
      columnsOf(table, await this.#columnsIn(actor, table));
    }
    const input: WorkspaceLoadInput = { backend: key.backend, workspaceId: workspace.id, ...wanted };
    return this.#jobs.create(actor, {
      kind: 'workspace-load',
      input: toJson(input),
      objectId: String(workspace.id),
      lockKey: `workspace:${workspace.id}`,
    });
  }

  /** Carries such a job out. */
  async load(work: KeepingJob): Promise<void> {
    const input = work.job.input as unknown as WorkspaceLoadInput;
    const open = await this.#require(work.actor, keyOf(input));
    const earlier = work.job.handle as LoadHandle | undefined;
    if (earlier && (await open.tables.outcomeOf(open.space, earlier.transaction)) === 'committed')
      return this.#finishLoad(work, input, open, earlier.rows);
    const rows = await this.#inDirectory(async (directory) => {
      const tables: SpaceTableLoad[] = [];
      for (const table of input.tables) tables.push(await this.#tableLoad(work, table, directory));
      return open.tables.load(
        open.space,
        {
          keep: input.keep,
          tables,
          beforeCommit: (transaction, rows) => work.saveHandle({ transaction, rows } satisfies LoadHandle),
        },
        work.signal,
      );
    });
    await this.#finishLoad(work, input, open, rows);
  }

  /** Writes a table of a workspace into a stored file: a job of the kind workspace-export. */
  async exportLater(
    actor: Actor,
    key: Key,
    { object, fileName, gzip }: Pick<WorkspaceExportInput, 'object' | 'fileName' | 'gzip'>,
  ): Promise<Job> {
    const open = await this.#require(actor, key);
    if (!(await open.tables.describe(open.space, object))) throw workspaceErrors.tableNotFound(object, open.schema);
    const workspaceId = open.workspace.id;
    const input: WorkspaceExportInput = { backend: key.backend, workspaceId, object, fileName, gzip };
    return this.#jobs.create(actor, { kind: 'workspace-export', input: toJson(input), objectId: String(workspaceId) });
  }

  /** Carries such a job out. The file is one slice without header, as those of tables are. */
  async export(work: TableJob): Promise<void> {
    const input = work.job.input as unknown as WorkspaceExportInput;
    const open = await this.#require(work.actor, keyOf(input));
    await this.#inDirectory(async (directory) => {
      const columns = (await columnsInside(open, input.object)).map(({ name }) => name);
      const extension = input.gzip ? 'csv.gz' : 'csv';
      const path = join(directory, 'rows');
      await this.#unloadInto(open, { name: input.object, columns }, path, { gzip: input.gzip, signal: work.signal });
      const file = await this.#files.stage(
        work.actor,
        { name: input.fileName, tags: ['workspace-table-export'], maxAgeDays: EXPORT_MAX_AGE_DAYS },
        [{ name: `.part_0.${extension}`, path }],
      );
      const result = { fileId: file.file.id };
      await work.finish({ status: 'succeeded', result }, async (tx) => {
        await this.#files.insertStaged(tx, work.actor, file);
        const message = `Exported table ${input.object} into file ${file.file.id}`;
        await this.#events.append(tx, eventOf(work.actor, open, 'workspace.exported', message, result));
      });
    });
  }

  /** Rows of a table or view as a CSV file with a header, for a load of a table. The caller closes it. */
  async unload(
    { actor, signal }: Pick<TableJob, 'actor' | 'signal'>,
    source: WorkspaceSource,
  ): Promise<{ path: string; columnMetadata: MetadataEntry[][]; close(): Promise<void> }> {
    const open = await this.#require(actor, keyOf(source));
    const inside = new Map((await columnsInside(open, source.object)).map((column) => [column.name, column]));
    const present = [...inside.keys()];
    const columns = source.columns.length > 0 ? [...new Set(source.columns)] : present;
    const unknown = columns.filter((name) => !present.includes(name));
    if (unknown.length > 0) throw workspaceErrors.columnsNotFound(unknown, source.object);
    const reserved = columns.filter((name) => name.startsWith('_'));
    if (reserved.length > 0) throw workspaceErrors.invalidColumns(reserved);
    const directory = await this.#makeDirectory();
    const close = () => rm(directory, { recursive: true, force: true });
    const path = join(directory, 'rows.csv');
    try {
      const header = `${columns.map((name) => `"${name.replaceAll('"', '""')}"`).join(',')}\n`;
      await this.#unloadInto(open, { name: source.object, columns }, path, { header, signal });
      const columnMetadata = columns.map((name) => {
        const column = inside.get(name);
        return column === undefined ? [] : typeMetadata(column);
      });
      return { path, columnMetadata, close };
    } catch (error) {
      await close();
      throw error;
    }
  }

  async listObjects(actor: Actor, key: Key): Promise<SpaceObject[]> {
    const { tables, space } = await this.#require(actor, key);
    return tables.list(space);
  }

  /** Drops tables and views with what depends on them: a job of the kind workspace-objects-drop. */
  async dropObjectsLater(actor: Actor, key: Key, objects: string[]): Promise<Job> {
    const { workspace } = await this.#require(actor, key);
    const input: ObjectsDropInput = { backend: key.backend, workspaceId: workspace.id, objects };
    return this.#jobs.create(actor, {
      kind: 'workspace-objects-drop',
      input: toJson(input),
      objectId: String(workspace.id),
      lockKey: `workspace:${workspace.id}`,
    });
  }

  /** Carries such a job out. What is gone already is no error: an earlier run may have dropped it. */
  async dropObjects(work: TableJob): Promise<void> {
    const input = work.job.input as unknown as ObjectsDropInput;
    const open = await this.#require(work.actor, keyOf(input));
    await open.tables.drop(open.space, input.objects);
    await work.finish({ status: 'succeeded' }, async (tx) => {
      const message = `Dropped ${input.objects.join(', ')}`;
      await this.#events.append(tx, eventOf(work.actor, open, 'workspace.objects-dropped', message));
    });
  }

  /** Runs one statement as the workspace's login; small answers only. */
  async query(actor: Actor, key: Key, statement: string): Promise<SpaceAnswer> {
    const { tables, space } = await this.#require(actor, key);
    return tables.query(space, statement, QUERY_LIMITS);
  }

  async #require(actor: Actor, key: Key): Promise<OpenWorkspace> {
    assertAllowed(!isReader(actor));
    return this.#workspaces.open(actor, key).catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'workspace.not-found') throw workspaceErrors.missing(key.id);
      throw error;
    });
  }

  /** The columns of a table of Storage that may be read. */
  async #columnsIn(actor: Actor, { tableId }: TableLoadWish): Promise<string[]> {
    try {
      return (await this.#tables.get(actor, tableId)).columns;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.kind === 'not-found') throw workspaceErrors.sourceNotFound(error.message);
      if (error.kind === 'forbidden') throw workspaceErrors.tableAccessDenied(tableId);
      throw error;
    }
  }

  async #tableLoad(work: KeepingJob, table: TableLoadWish, directory: string): Promise<SpaceTableLoad> {
    const columns = columnsOf(table, await this.#columnsIn(work.actor, table));
    return {
      name: table.destination,
      mode: table.mode,
      columns: columns.map((column) => ({
        name: column.destination,
        type: column.type ?? undefined,
        length: column.length ?? undefined,
        nullable: column.nullable,
        emptyAsNull: column.emptyAsNull,
      })),
      primaryKey: table.primaryKey,
      rows: async () => {
        const path = join(directory, uuidv7());
        const selection = {
          columns: columns.map(({ source }) => source),
          filter: table.filter ?? undefined,
          changedSince: table.changedSince === null ? undefined : new Date(table.changedSince),
          changedUntil: table.changedUntil === null ? undefined : new Date(table.changedUntil),
          limit: table.limit ?? undefined,
          header: false,
        };
        await this.#tables.exportTo(work.actor, table.tableId, selection, path, work.signal);
        return openOnce(path);
      },
    };
  }

  async #finishLoad(
    work: KeepingJob,
    input: WorkspaceLoadInput,
    open: OpenWorkspace,
    rows: readonly number[],
  ): Promise<void> {
    await work.finish({ status: 'succeeded' }, async (tx) => {
      const tables = input.tables.map(({ tableId, destination }, i) => ({ tableId, destination, rows: rows[i] ?? 0 }));
      const message = `Loaded ${tables.map(({ tableId }) => tableId).join(', ')}`;
      await this.#events.append(tx, eventOf(work.actor, open, 'workspace.loaded', message, { tables }));
    });
  }

  async #unloadInto(
    { tables, space }: OpenWorkspace,
    what: { name: string; columns: string[] },
    path: string,
    { header = '', gzip = false, signal }: { header?: string; gzip?: boolean; signal: AbortSignal },
  ): Promise<void> {
    const rows = new PassThrough({ highWaterMark: READ_BYTES });
    const file = createWriteStream(path, { mode: 0o600 });
    const written = gzip
      ? pipeline(rows, createGzip({ level: 1 }), file, { signal })
      : pipeline(rows, file, { signal });
    if (header !== '') rows.write(header);
    const [wrote, read] = await Promise.allSettled([written, tables.unload(space, what, rows, signal)]);
    signal.throwIfAborted();
    const failures = [wrote, read].flatMap((part) => (part.status === 'rejected' ? [part.reason as unknown] : []));
    // Each ends the other: what the workspace says counts, else what the disk says.
    if (failures.length > 0) throw failures.find((failure) => failure instanceof AppError) ?? failures[0];
  }

  async #makeDirectory(): Promise<string> {
    const directory = join(this.#directory, uuidv7());
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  async #inDirectory<T>(act: (directory: string) => Promise<T>): Promise<T> {
    const directory = await this.#makeDirectory();
    try {
      return await act(directory);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

/** A file that is gone when it is closed. */
async function openOnce(path: string): Promise<Readable> {
  const rows = createReadStream(path, { highWaterMark: READ_BYTES });
  await once(rows, 'open');
  await unlink(path);
  return rows;
}

async function columnsInside({ tables, space, schema }: OpenWorkspace, name: string) {
  const columns = await tables.describe(space, name);
  if (columns === undefined) throw workspaceErrors.tableNotFound(name, schema);
  return columns;
}

/** What is to be loaded of a table that has these columns now. */
function columnsOf(table: TableLoadWish, present: readonly string[]): LoadColumn[] {
  const plain = (source: string): LoadColumn => ({
    source,
    destination: source,
    type: null,
    length: null,
    nullable: true,
    emptyAsNull: false,
  });
  const columns = table.columns.length > 0 ? table.columns : present.map(plain);
  const unknown = columns.filter(({ source }) => !present.includes(source)).map(({ source }) => source);
  if (unknown.length > 0)
    throw new AppError(
      'invalid',
      'table.columns-unknown',
      `Some columns are not in the table "${table.tableId}": ${unknown.join(', ')}`,
    );
  for (const side of ['source', 'destination'] as const) {
    const names = columns.map((column) => column[side]);
    const repeated = names.find((name, i) => names.indexOf(name) < i);
    if (repeated !== undefined)
      throw workspaceErrors.contradiction(`Column "${repeated}" of "${table.tableId}" is mapped more than once.`);
  }
  const strangers = table.primaryKey.filter((name) => !columns.some(({ destination }) => destination === name));
  if (strangers.length > 0)
    throw workspaceErrors.contradiction(
      `Columns of the primary key are not loaded into "${table.destination}": ${strangers.join(', ')}`,
    );
  return columns;
}

function keyOf({ backend, workspaceId }: { backend: string; workspaceId: number }): Key {
  return { backend, id: workspaceId, among: 'visible' };
}

function eventOf(actor: Actor, { workspace }: OpenWorkspace, name: EventName, message: string, results?: object) {
  return eventFor(actor, {
    name,
    component: 'storage',
    type: 'success',
    message,
    objectType: 'workspace',
    objectId: String(workspace.id),
    objectName: `${workspace.backend}/${workspace.purpose}`,
    ...(results && { results: results as Record<string, Json> }),
  });
}
