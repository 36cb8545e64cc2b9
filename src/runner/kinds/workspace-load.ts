import type { WorkspaceTables } from '../../core/workspaces/workspace-tables.ts';
import type { KindHandler } from '../kind.ts';

/** Loads tables into a workspace. */
export function workspaceLoadKind(workspaces: WorkspaceTables): KindHandler {
  return { kind: 'workspace-load', run: (ctx) => workspaces.load(ctx) };
}
