/** Tables that are made from a description instead of a file: empty, and typed where a column says of what type it is. */
import type { Database, Transaction } from '../../db/database.ts';
import type { TableChange } from '../../drivers/engines/contract.ts';
import type { Clock } from '../../lib/clock.ts';
import { uuidv7 } from '../../lib/ids.ts';
import type { Events } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import type { Job } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { requireBucketRight } from './bucket-rights.ts';
import { findBucket } from './bucket-store.ts';
import {
  type ColumnDefinition,
  lakeTypeOf,
  type NewColumnDefinition,
  requireDefinition,
  typeMetadataOf,
} from './column-types.ts';
import { newTableLocation } from './lake-store.ts';
import { type LoadPlan, planNewTable } from './load-plan.ts';
import { requireColumnNames, requireTableDisplayName, requireTableName, toColumnName } from './names.ts';
import { replaceColumnMetadata, upsertMetadata } from './object-metadata-store.ts';
import { tableErrors } from './table-errors.ts';
import { lockKeyOf, tableEvent } from './table-facts.ts';
import { type TableJob, toJson } from './table-job.ts';
import { createTable } from './table-loads.ts';
import type { NewTable } from './table-model.ts';
import type { TableRow } from './table-store.ts';

/** A column of a table to be made; without a definition it is of text. */
export type NewColumn = { name: string; definition?: NewColumnDefinition | undefined };

/** A table is typed as soon as one of its columns is. */
export type NewDefinedTable = NewTable & { columns: NewColumn[] };

/** `input` of jobs of the kind table-define. */
export type DefineInput = {
  tableId: string;
  bucketId: string;
  name: string;
  displayName: string | null;
  primaryKey: string[];
  /** Names are made plain, definitions complete. */
  columns: { name: string; definition: ColumnDefinition | null }[];
};

export class TableDefinitions {
  readonly #db: Database;
  readonly #events: Events;
  readonly #jobs: Jobs;
  readonly #clock: Clock;

  constructor(parts: { db: Database; events: Events; jobs: Jobs; clock: Clock }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#jobs = parts.jobs;
    this.#clock = parts.clock;
  }

  /** Makes an empty table: a job of the kind table-define. */
  async createLater(actor: Actor, table: NewDefinedTable): Promise<Job> {
    const input = requireTable(actor, table);
    return this.#jobs.create(actor, {
      kind: 'table-define',
      input: toJson(input),
      objectId: input.tableId,
      lockKey: lockKeyOf(actor, input.tableId),
    });
  }

  /** Runs the job to its end; safe to run again after any failure. */
  async run(work: TableJob): Promise<void> {
    const input = work.job.input as unknown as DefineInput;
    const outcome = { status: 'succeeded' as const, result: { tableId: input.tableId } };
    await work.finish(outcome, (tx) => this.#createIn(tx, work.actor, input));
  }

  /** Makes an empty table at once; returns its id. */
  async create(actor: Actor, table: NewDefinedTable): Promise<string> {
    const input = requireTable(actor, table);
    await this.#db.transaction((tx) => this.#createIn(tx, actor, input));
    return input.tableId;
  }

  async #createIn(tx: Transaction, actor: Actor, input: DefineInput): Promise<void> {
    const { tableId, bucketId, name } = input;
    requireBucketRight(actor, bucketId, 'write');
    const at = this.#clock.now();
    const plan = planDefinedTable(input);
    const bucket = await findBucket(tx, actor, bucketId);
    const uuid = uuidv7();
    const schemaId = bucket?.lakeSchemaId;
    if (bucket && schemaId === undefined) throw tableErrors.bucketReadOnly(bucketId);
    const place =
      schemaId === undefined ? undefined : await newTableLocation(tx, actor.projectId, schemaId, name, uuid);
    if (place === undefined || schemaId === undefined) throw tableErrors.bucketNotFound(bucketId, actor.projectId);
    const definitions = plan.newColumns.flatMap(({ id, name: column, definition }) =>
      definition === undefined ? [] : [{ id, column, definition }],
    );
    const isTyped = definitions.length > 0;
    const row: TableRow = {
      projectId: actor.projectId,
      branchId: actor.storageBranchId,
      id: tableId,
      bucketId,
      name,
      displayName: input.displayName ?? name,
      description: '',
      lakeTableId: 0,
      primaryKey: plan.primaryKey,
      columnTypes: isTyped ? Object.fromEntries(definitions.map(({ id, definition }) => [id, definition])) : undefined,
      createdAt: at,
      importedAt: undefined,
      changedAt: undefined,
    };
    await createTable(tx, actor, row, { ...place, uuid, schemaId }, plan, NO_ROWS);
    if (isTyped) {
      const types = new Map(definitions.map(({ column, definition }) => [column, definition]));
      const item = { key: 'KBC.dataTypesEnabled', value: 'true' };
      await upsertMetadata(tx, actor, { type: 'table', id: tableId }, TYPES_PROVIDER, [item], at);
      await writeTypeMetadata(tx, actor, tableId, types, at);
    }
    await this.#events.append(tx, tableEvent(actor, 'table.created', row, `Created table ${tableId}`));
  }
}

/** The platform itself: what it writes, nobody else may change. */
const TYPES_PROVIDER = 'storage';

/** What the columns' metadata say of their types, anew. */
export async function writeTypeMetadata(
  tx: Transaction,
  actor: Actor,
  tableId: string,
  types: ReadonlyMap<string, ColumnDefinition>,
  at: Date,
): Promise<void> {
  const items = new Map([...types].map(([column, definition]) => [column, typeMetadataOf(definition)]));
  await replaceColumnMetadata(tx, actor, tableId, TYPES_PROVIDER, 'KBC.datatype.', items, at);
}

function requireTable(actor: Actor, table: NewDefinedTable): DefineInput {
  requireBucketRight(actor, table.bucketId, 'write');
  requireTableName(table.name);
  if (table.displayName !== undefined) requireTableDisplayName(table.displayName);
  const names = requireColumnNames(table.columns.map((column) => column.name));
  const key = new Set((table.primaryKey ?? []).flatMap((name) => [name, toColumnName(name)]));
  const isTyped = table.columns.some(({ definition }) => definition?.type !== undefined || definition?.basetype);
  const columns = table.columns.map(({ definition }, i) => {
    const name = names[i] ?? '';
    return { name, definition: isTyped ? requireDefinition(name, definition ?? {}, key.has(name)) : null };
  });
  const input: DefineInput = {
    tableId: `${table.bucketId}.${table.name}`,
    bucketId: table.bucketId,
    name: table.name,
    displayName: table.displayName ?? null,
    primaryKey: table.primaryKey ?? [],
    columns,
  };
  planDefinedTable(input);
  return input;
}

function planDefinedTable({ columns, primaryKey }: DefineInput): LoadPlan {
  const plan = planNewTable(
    columns.map(({ name }) => name),
    primaryKey,
  );
  const definitions = new Map(columns.map(({ name, definition }) => [name, definition]));
  return {
    ...plan,
    newColumns: plan.newColumns.map((column) => {
      const definition = definitions.get(column.name);
      return definition ? { ...column, type: lakeTypeOf(definition), definition } : column;
    }),
  };
}

const NO_ROWS: TableChange = {
  addedFiles: [],
  deleteFiles: [],
  removedFiles: [],
  sourceRows: 0,
  totalRows: 0,
  deletedRows: 0,
};
