import type { Database, Db, Transaction } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import type { RawJson } from '../../lib/json-text.ts';
import { AppError } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import { canRunComponent } from '../identity/permissions.ts';
import type { Job, JobMode, NewJob } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Occurrence, Start } from '../schedules/occurrences.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { componentErrors } from './component-errors.ts';
import { type ComponentDefinition, defaultTag } from './component-model.ts';
import type { Components } from './components.ts';
import { configurationErrors } from './configuration-errors.ts';
import type { Configuration } from './configuration-model.ts';
import { findConfiguration } from './configuration-store.ts';
import { toStoredText } from './configuration-text.ts';
import { CONNECTION_COMPONENT } from './connection-model.ts';
import type { RunInput } from './run-definition.ts';
import type { Syncs } from './syncs.ts';

export type NewRun = {
  componentId: string;
  configurationId?: string | undefined;
  rowIds?: string[] | undefined;
  /** JSON text that replaces the stored configuration. */
  configData?: string | undefined;
  mode?: JobMode | undefined;
  tag?: string | undefined;
  /** Overrides the actor's run id as the run this one belongs to. */
  parentRunId?: string | undefined;
  /** Not before this time. */
  availableAt?: Date | undefined;
  variableValuesId?: string | undefined;
  variableValuesData?: RunInput['variableValuesData'] | undefined;
  /** While a run with this id is unfinished, another one is refused. */
  deduplicationId?: string | undefined;
  /** Shown again by the dialect; not acted on. */
  options?: { [key: string]: Json } | undefined;
};

/** How what is no component's program is run, where it is asked for like one: of a stored configuration that is there. */
export type RunStarter = (actor: Actor, run: NewRun & { configurationId: string }) => Promise<Job>;

const MAX_TEXT = 1000;

type RunParts = {
  db: Database;
  jobs: Jobs;
  components: Components;
  secrets: Secrets;
  syncs: Syncs;
  /** By component. */
  runStarters?: Record<string, RunStarter>;
};

/** Puts runs of components into the queue. What can be refused is refused here, before there is a job. */
export class ComponentRuns {
  readonly #parts: RunParts;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /**
   * The version of the stored configuration is fixed now, so that a change while the job waits does not reach it. Runs
   * of one configuration in one branch go one after another, in the order they were asked for; inline runs without a
   * configuration do not wait for each other.
   */
  async start(actor: Actor, run: NewRun): Promise<Job> {
    const { db, jobs } = this.#parts;
    const checked = this.#check(actor, run);
    if (isConnection(run)) return this.#sync(actor, run);
    const starter = this.#starterOf(run);
    if (starter) {
      const { configurationId } = run;
      if (configurationId === undefined || run.configData !== undefined) throw runErrors.storedOnly(run.componentId);
      await this.#stored(db, actor, run);
      return starter(actor, { ...run, configurationId });
    }
    // Taken before the transaction: inside of it a second connection could be waited for in a circle.
    const id = run.deduplicationId ? await jobs.ticket(actor) : undefined;
    return db.transaction(async (tx) => {
      const key = id === undefined ? {} : { id, dedupeKey: `run:${run.deduplicationId}`, releaseFinished: true };
      const job = await this.#create(tx, actor, run, checked, key);
      if (id !== undefined && job.id !== id) throw runErrors.duplicate(run.deduplicationId ?? '');
      return job;
    });
  }

  /** The run of a schedule or a trigger, within the scheduler's transaction. It waits for the one before, if that still runs. */
  async startScheduled(tx: Transaction, actor: Actor, { target, input, dedupeKey }: Occurrence): Promise<Start> {
    const { mode, tag, rowIds } = input;
    const run: NewRun = {
      ...target,
      ...(Array.isArray(rowIds) && { rowIds: rowIds.map(String) }),
      ...(typeof tag === 'string' && { tag }),
      ...(mode === 'debug' && { mode }),
    };
    const job = await this.#create(tx, actor, run, this.#check(actor, run), { dedupeKey });
    return { outcome: 'started', jobId: job.id };
  }

  #starterOf({ componentId }: NewRun): RunStarter | undefined {
    const { runStarters = {} } = this.#parts;
    return Object.hasOwn(runStarters, componentId) ? runStarters[componentId] : undefined;
  }

  #check(actor: Actor, run: NewRun): { definition: ComponentDefinition; configData: RawJson | undefined } {
    const { components, secrets } = this.#parts;
    if (actor.token.person?.role === 'readOnly') throw runErrors.readOnlyRole();
    const definition = components.get(run.componentId);
    if (!canRunComponent(actor, run.componentId)) throw runErrors.componentForbidden(run.componentId);
    if (!isConnection(run) && !this.#starterOf(run)) assertRunnable(actor, definition);
    assertTexts({
      config: run.configurationId,
      tag: run.tag,
      parentRunId: run.parentRunId,
      deduplicationId: run.deduplicationId,
      variableValuesId: run.variableValuesId,
      configRowIds: run.rowIds,
    });
    const { componentId } = run;
    const configData =
      run.configData === undefined
        ? undefined
        : toStoredText(run.configData, 'configuration', secrets, { projectId: actor.projectId, componentId });
    if (run.variableValuesId && (run.variableValuesData?.values.length ?? 0) > 0) throw runErrors.variablesTwice();
    return { definition, configData };
  }

  async #create(
    tx: Transaction,
    actor: Actor,
    run: NewRun,
    { definition, configData }: { definition: ComponentDefinition; configData: RawJson | undefined },
    key: Pick<NewJob, 'id' | 'dedupeKey' | 'releaseFinished'>,
  ): Promise<Job> {
    const { componentId } = run;
    const stored = configData ? undefined : await this.#stored(tx, actor, run);
    const input: RunInput = {
      configData: configData?.text ?? null,
      configurationVersion: stored?.version ?? null,
      variableValuesId: run.variableValuesId ?? null,
      variableValuesData: run.variableValuesData ?? { values: [] },
      options: run.options ?? {},
    };
    return this.#parts.jobs.createIn(tx, actor, {
      kind: 'component',
      componentId,
      configurationRowIds: run.rowIds ?? [],
      mode: run.mode ?? 'run',
      tag: run.tag || requestedTag(configData?.parse() ?? stored?.configuration.parse()) || defaultTag(definition),
      input,
      ...(run.configurationId === undefined
        ? {}
        : {
            configurationId: run.configurationId,
            lockKey: `component:${actor.branchId}:${componentId}:${run.configurationId}`,
          }),
      ...(run.parentRunId ? { parentRunId: run.parentRunId } : {}),
      ...(run.availableAt ? { availableAt: run.availableAt } : {}),
      ...key,
    });
  }

  /** A connection is run by syncing it, whoever asks for it in whatever words. */
  async #sync(actor: Actor, run: NewRun): Promise<Job> {
    if (run.configurationId === undefined || run.configData !== undefined) throw runErrors.connectionMissing();
    return this.#parts.syncs.sync(actor, run.configurationId, {
      input: { options: run.options ?? {} },
      ...(run.parentRunId && { parentRunId: run.parentRunId }),
      ...(run.availableAt && { availableAt: run.availableAt }),
    });
  }

  async #stored(tx: Db, actor: Actor, run: NewRun): Promise<Configuration | undefined> {
    if (run.configurationId === undefined) return undefined;
    const configurationId = run.configurationId;
    const found = await findConfiguration(tx, actor.branchId, { componentId: run.componentId, configurationId });
    if (!found || found.isDeleted) throw configurationErrors.notFound(configurationId);
    if (found.isDisabled && run.mode !== 'forceRun') {
      throw configurationErrors.disabled(run.componentId, configurationId);
    }
    return found;
  }
}

function isConnection({ componentId }: NewRun): boolean {
  return componentId === CONNECTION_COMPONENT;
}

/** These are columns that jobs are searched by, with all that a database cannot take in them. */
function assertTexts(texts: Record<string, string | string[] | undefined>): void {
  for (const [name, value] of Object.entries(texts)) {
    for (const text of [value ?? []].flat()) {
      if (text.length > MAX_TEXT || text.includes('\0')) throw runErrors.invalidText(name);
    }
  }
}

function assertRunnable(actor: Actor, definition: ComponentDefinition): void {
  if (!definition.run) throw componentErrors.notInstalled(definition.id);
  if (definition.connector) throw runErrors.connector(definition.id);
  if (!actor.isDefaultBranch && definition.features.includes('dev-branch-job-blocked')) {
    throw runErrors.blockedInBranch();
  }
}

/** The tag a configuration asks for; the second spelling is found in old configurations. */
function requestedTag(configuration: Json | undefined): string | undefined {
  const runtime = member(configuration, 'runtime');
  const tag = member(runtime, 'tag') || member(runtime, 'image_tag');
  return typeof tag === 'string' || typeof tag === 'number' ? String(tag) : undefined;
}

function member(value: Json | undefined, key: string): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value[key] : undefined;
}

const runErrors = {
  readOnlyRole: () => new AppError('forbidden', 'run.read-only-role', 'Role "readOnly" is not allowed to run jobs'),
  componentForbidden: (componentId: string) =>
    new AppError('forbidden', 'run.component-forbidden', `Token is not allowed to run component "${componentId}"`, {
      details: { componentId },
    }),
  duplicate: (deduplicationId: string) =>
    new AppError(
      'conflict',
      'run.duplicate',
      `A job with the deduplication id "${deduplicationId}" is not finished yet.`,
      {
        // Clients tell this conflict from others by the word.
        details: { stringCode: 'dbDeduplicationIdConflict' },
        retryable: false,
      },
    ),
  invalidText: (name: string) =>
    new AppError('invalid', 'run.invalid-text', `The "${name}" parameter is too long or has a NUL character.`),
  blockedInBranch: () =>
    new AppError('invalid', 'run.blocked-in-branch', 'This component cannot be run in a development branch.'),
  connector: (componentId: string) =>
    new AppError(
      'invalid',
      'run.connector',
      `The component "${componentId}" is not runnable. It is a connector: run a connection that has it.`,
      { details: { componentId } },
    ),
  connectionMissing: () =>
    new AppError(
      'invalid',
      'run.connection-missing',
      'A connection is run by its id: "config" is required, and "configData" cannot replace what is stored.',
    ),
  storedOnly: (componentId: string) =>
    new AppError(
      'invalid',
      'run.stored-only',
      `What "${componentId}" runs is stored: "config" is required, and "configData" cannot replace it.`,
    ),
  variablesTwice: () =>
    new AppError(
      'invalid',
      'run.variables-twice',
      'Provide either "variableValuesId" or "variableValuesData", but not both.',
    ),
};
