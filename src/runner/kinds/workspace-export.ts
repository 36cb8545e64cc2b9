import type { WorkspaceTables } from '../../core/workspaces/workspace-tables.ts';
import type { KindHandler } from '../kind.ts';

/** Writes a table of a workspace into a stored file. */
export function workspaceExportKind(workspaces: WorkspaceTables): KindHandler {
  return { kind: 'workspace-export', run: (ctx) => workspaces.export(ctx) };
}
