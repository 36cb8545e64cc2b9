import type { Transaction } from '../../db/database.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import type { Json } from '../../lib/json.ts';
import type { NewRun, RunStarter } from '../components/component-runs.ts';
import type { Configuration } from '../components/configuration-model.ts';
import type { Configurations } from '../components/configurations.ts';
import { AppError } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, canReadComponent } from '../identity/permissions.ts';
import type { Job, JobFilter, NewJob } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Occurrence, Start, Starter } from '../schedules/occurrences.ts';
import { scriptErrors } from './script-errors.ts';
import {
  callerKey,
  type NewScript,
  SCRIPT_COMPONENT,
  SCRIPT_LIMITS,
  SCRIPT_RUNTIMES,
  type Script,
  type ScriptCaller,
  type ScriptConfig,
  type ScriptPatch,
  type ScriptRunInput,
} from './script-model.ts';

const address = (id: number) => ({ componentId: SCRIPT_COMPONENT, configurationId: String(id) });

/** Programs that people keep here and have run: configurations of one component of ours, and jobs of one kind. */
export class Scripts {
  readonly #configurations: Configurations;
  readonly #jobs: Jobs;

  constructor(parts: { configurations: Configurations; jobs: Jobs }) {
    this.#configurations = parts.configurations;
    this.#jobs = parts.jobs;
  }

  /** Oldest first, unless asked otherwise. */
  async list(actor: Actor, { limit, ...keyset }: KeysetPage<number>): Promise<Script[]> {
    const found = await this.#configurations.page(actor, {
      componentIds: [SCRIPT_COMPONENT],
      limit,
      keyset: { of: 'number', ...keyset },
    });
    return found.map(toScript);
  }

  /** Throws script.not-found, for deleted ones too. */
  async get(actor: Actor, id: number): Promise<Script> {
    return toScript(await this.#configurations.get(actor, address(id)).catch(asNotFound));
  }

  async create(actor: Actor, input: NewScript): Promise<Script> {
    assertWithinLimits(input);
    const { label, description = '', runtime, source = '', config = {} } = input;
    const configuration = toText({ runtime, source, config });
    return toScript(
      await this.#configurations.create(actor, SCRIPT_COMPONENT, { name: label, description, configuration }),
    );
  }

  /** Members that are left out stay. */
  async update(actor: Actor, id: number, patch: ScriptPatch): Promise<Script> {
    assertWithinLimits(patch);
    const changed = await this.#configurations
      .change(actor, address(id), (current) => {
        const { runtime, source, config } = toScript(current);
        return {
          name: patch.label,
          description: patch.description,
          configuration: toText({
            runtime: patch.runtime ?? runtime,
            source: patch.source ?? source,
            config: patch.config ?? config,
          }),
        };
      })
      .catch(asNotFound);
    return toScript(changed);
  }

  /** Runs that are under way go on. */
  async delete(actor: Actor, id: number): Promise<void> {
    await this.get(actor, id);
    await this.#configurations.delete(actor, address(id)).catch(asNotFound);
  }

  /** Puts a run into the queue. `caller`: for whom; by default for whoever calls. */
  async run(
    actor: Actor,
    id: number,
    args: Json,
    caller: ScriptCaller = ownCaller(id),
    call: Pick<ScriptRunInput, 'request' | 'user'> = {},
  ): Promise<Job> {
    const { version } = await this.get(actor, id);
    return this.#start(actor, String(id), { version, args, caller, ...call });
  }

  /** The same for whoever runs it like any other component, under whatever id it is stored. */
  async runStored(actor: Actor, run: NewRun & { configurationId: string }): Promise<Job> {
    const { configurationId, options = {}, parentRunId, availableAt } = run;
    const { version } = await this.#configurations.get(actor, { componentId: SCRIPT_COMPONENT, configurationId });
    const caller: ScriptCaller = { kind: 'script', id: configurationId };
    const input = { version, args: {}, caller, options };
    return this.#start(actor, configurationId, input, {
      ...(parentRunId && { parentRunId }),
      ...(availableAt && { availableAt }),
    });
  }

  async #start(
    actor: Actor,
    configurationId: string,
    input: ScriptRunInput,
    how: Pick<NewJob, 'parentRunId' | 'availableAt'> = {},
  ): Promise<Job> {
    const { args, caller } = input;
    if (Buffer.byteLength(JSON.stringify(args)) > SCRIPT_LIMITS.argsBytes) throw scriptErrors.tooLong('payload');
    return this.#jobs.create(actor, {
      kind: 'script',
      componentId: SCRIPT_COMPONENT,
      configurationId,
      objectId: callerKey(caller),
      input,
      ...how,
    });
  }

  /**
   * The run of a schedule, within the scheduler's transaction. Runs may overlap; but while one has not even begun, nobody
   * can keep up, and another would only wait behind it.
   */
  async startScheduled(
    tx: Transaction,
    actor: Actor,
    { target, input, schedule, dedupeKey }: Occurrence,
  ): Promise<Start> {
    const { configurationId } = target;
    const { version } = await this.#configurations.get(actor, target, tx).catch(asNotFound);
    if (schedule?.lastJobId !== undefined) {
      const queued: JobFilter = { ids: [schedule.lastJobId], statuses: ['created', 'waiting'] };
      const [waiting] = await this.#jobs.list(actor, queued, { limit: 1 }, tx);
      if (waiting) return { outcome: 'skipped', reason: 'the run before has not begun yet' };
    }
    const caller = schedule ? scheduleCaller(schedule.id) : ownCaller(Number(configurationId));
    const job = await this.#jobs.createIn(tx, actor, {
      kind: 'script',
      componentId: SCRIPT_COMPONENT,
      configurationId,
      objectId: callerKey(caller),
      dedupeKey,
      input: { version, args: input.payload ?? {}, caller } satisfies ScriptRunInput,
    });
    return { outcome: 'started', jobId: job.id };
  }

  /** The runs of one caller, newest first unless asked otherwise, without the longest results. */
  async runs(actor: Actor, caller: ScriptCaller, { limit, ...keyset }: KeysetPage<number>): Promise<Job[]> {
    assertAllowed(canReadComponent(actor, SCRIPT_COMPONENT));
    return this.#jobs.list(actor, runsOf(caller), { limit, keyset, longestResult: SCRIPT_LIMITS.listedResultBytes });
  }

  /** Throws script.run-not-found. */
  async getRun(actor: Actor, caller: ScriptCaller, jobId: number): Promise<Job> {
    assertAllowed(canReadComponent(actor, SCRIPT_COMPONENT));
    const [job] = await this.#jobs.list(actor, { ...runsOf(caller), ids: [jobId] }, { limit: 1 });
    if (!job) throw scriptErrors.runNotFound();
    return job;
  }

  /** A run once it is over, or undefined when that takes longer than the given time. */
  async awaitRun(jobId: number, limitMs: number): Promise<Job | undefined> {
    const limit = AbortSignal.timeout(limitMs);
    return this.#jobs.awaitEnd(jobId, limit).catch((error: unknown) => {
      if (limit.aborted) return undefined;
      throw error;
    });
  }
}

export const ownCaller = (id: number): ScriptCaller => ({ kind: 'script', id: String(id) });
export const scheduleCaller = (id: number): ScriptCaller => ({ kind: 'schedule', id: String(id) });

/** How schedules start scripts. */
export function scriptStarters(scripts: Scripts): Record<string, Starter> {
  return { [SCRIPT_COMPONENT]: (tx, actor, occurrence) => scripts.startScheduled(tx, actor, occurrence) };
}

/** How runs of scripts are asked for like those of components. */
export function scriptRunStarters(scripts: Scripts): Record<string, RunStarter> {
  return { [SCRIPT_COMPONENT]: (actor, run) => scripts.runStored(actor, run) };
}

const runsOf = (caller: ScriptCaller) => ({
  kinds: ['script' as const],
  componentIds: [SCRIPT_COMPONENT],
  objectIds: [callerKey(caller)],
});

/** Another API may have made a configuration of the component, and half of it only. */
export function toScript(configuration: Configuration): Script {
  const { id, name, description, version, createdAt, versionCreatedAt } = configuration;
  const { runtime, source, config } = parametersOf(configuration.configuration.parse());
  return {
    id: Number(id),
    label: name,
    description,
    runtime,
    source,
    config,
    version,
    createdAt,
    updatedAt: versionCreatedAt,
  };
}

export function parametersOf(configuration: Json): Pick<Script, 'runtime' | 'source' | 'config'> {
  const { runtime, source, config } = asObject(asObject(configuration).parameters);
  return {
    runtime: typeof runtime === 'string' ? runtime : 'nodejs',
    source: typeof source === 'string' ? source : '',
    config: asObject(config),
  };
}

function asObject(value: Json | undefined): ScriptConfig {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

function toText(parameters: Pick<Script, 'runtime' | 'source' | 'config'>): string {
  return JSON.stringify({ parameters });
}

function assertWithinLimits({ runtime, source, label }: ScriptPatch): void {
  if (runtime !== undefined && !SCRIPT_RUNTIMES.some(({ name }) => name === runtime))
    throw scriptErrors.unknownRuntime(runtime);
  if (label !== undefined && label.length > SCRIPT_LIMITS.labelLength) throw scriptErrors.tooLong('label');
  if (source !== undefined && Buffer.byteLength(source) > SCRIPT_LIMITS.sourceBytes)
    throw scriptErrors.tooLong('source');
}

function asNotFound(error: unknown): never {
  throw error instanceof AppError && error.code === 'configuration.not-found' ? scriptErrors.notFound() : error;
}
