import type { Json } from '../../lib/json.ts';
import { AppError } from '../errors.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, isReader } from '../identity/permissions.ts';
import type { ClaimedJob, Job, Outcome } from '../jobs/job-model.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { workspaceErrors } from './workspace-errors.ts';
import type { NewWorkspace } from './workspace-model.ts';
import type { Workspaces } from './workspaces.ts';

/** `input` of jobs of the kind provision, and `result`. */
export type ProvisionInput = Omit<NewWorkspace, 'purpose'> & { about: { [key: string]: Json } };
export type ProvisionResult = { workspaceId: number };
/** `input` of jobs of the kind deprovision. */
export type DeprovisionInput = { backend: string; workspaceId: number };

/** What carrying out such a job needs of its worker. */
type WorkspaceJob = {
  readonly job: ClaimedJob;
  readonly actor: Actor;
  finish(outcome: Outcome): Promise<void>;
};

/** Making and dropping workspaces as jobs, for clients that do not wait for the answer. */
export class WorkspaceJobs {
  readonly #workspaces: Workspaces;
  readonly #jobs: Jobs;

  constructor(parts: { workspaces: Workspaces; jobs: Jobs }) {
    this.#workspaces = parts.workspaces;
    this.#jobs = parts.jobs;
  }

  async createLater(actor: Actor, wanted: ProvisionInput): Promise<Job> {
    assertAllowed(!isReader(actor));
    if (!this.#workspaces.has(wanted.backend)) throw workspaceErrors.backendNotFound(wanted.backend);
    return this.#jobs.create(actor, { kind: 'provision', input: wanted as Json });
  }

  async dropLater(actor: Actor, key: { backend: string; id: number }): Promise<Job> {
    assertAllowed(!isReader(actor));
    const { workspace } = await this.#workspaces.describe(actor, { ...key, among: 'visible' });
    const input: DeprovisionInput = { backend: key.backend, workspaceId: workspace.id };
    return this.#jobs.create(actor, { kind: 'deprovision', input, objectId: String(workspace.id) });
  }

  /** Safe to run again: the workspace is known by the number of the job. */
  async provision(work: WorkspaceJob): Promise<void> {
    const { about: _about, ...wanted } = work.job.input as ProvisionInput;
    const { workspace } = await this.#workspaces.ensure(work.actor, { ...wanted, purpose: `job-${work.job.id}` });
    const result: ProvisionResult = { workspaceId: workspace.id };
    await work.finish({ status: 'succeeded', result });
  }

  async deprovision(work: WorkspaceJob): Promise<void> {
    const { backend, workspaceId } = work.job.input as DeprovisionInput;
    const key = { backend, id: workspaceId, among: 'visible' } as const;
    await this.#workspaces.drop(work.actor, key).catch(async (error: unknown) => {
      if (!(error instanceof AppError && error.kind === 'not-found')) throw error;
      // It was there when the job was made: an earlier run, or somebody else, has dropped it or is not done yet.
      await this.#workspaces.sweep({ id: workspaceId, backend, reason: 'unfinished' });
    });
    await work.finish({ status: 'succeeded' });
  }
}
