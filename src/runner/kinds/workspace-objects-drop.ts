import type { WorkspaceTables } from '../../core/workspaces/workspace-tables.ts';
import type { KindHandler } from '../kind.ts';

/** Drops tables and views of a workspace. */
export function workspaceObjectsDropKind(workspaces: WorkspaceTables): KindHandler {
  return { kind: 'workspace-objects-drop', run: (ctx) => workspaces.dropObjects(ctx) };
}
