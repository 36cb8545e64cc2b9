import type { WorkspaceJobs } from '../../core/workspaces/workspace-jobs.ts';
import type { KindHandler } from '../kind.ts';

/** Drops a workspace. */
export function deprovisionKind(workspaces: WorkspaceJobs): KindHandler {
  return { kind: 'deprovision', run: (ctx) => workspaces.deprovision(ctx) };
}
