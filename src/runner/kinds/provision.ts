import type { WorkspaceJobs } from '../../core/workspaces/workspace-jobs.ts';
import type { KindHandler } from '../kind.ts';

/** Makes a workspace. */
export function provisionKind(workspaces: WorkspaceJobs): KindHandler {
  return { kind: 'provision', run: (ctx) => workspaces.provision(ctx) };
}
