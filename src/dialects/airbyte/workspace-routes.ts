import { Type } from 'typebox';
import type { Core } from '../../core/core.ts';
import type { Actor } from '../../core/identity/actor.ts';
import type { Project } from '../../core/projects/project-model.ts';
import type { AirbyteApp, AirbyteDeps } from './deps.ts';
import { airbyteErrors } from './errors.ts';
import { pageQuery, queryList, toPage } from './paging.ts';

/** A workspace is the project; an application sees the one it belongs to. */
export function registerWorkspaceRoutes(app: AirbyteApp, deps: AirbyteDeps): void {
  const { core } = deps;

  app.get(
    '/workspaces',
    { schema: { summary: 'List workspaces', querystring: Type.Object(pageQuery) } },
    async (request) => {
      const project = await core.projects.get(request.actor);
      const isAsked = await asksForOwn(core, request.actor, queryList(request, 'workspaceIds'));
      const all = isAsked ? [project] : [];
      return toPage(request, deps, all.slice(request.query.offset), toWorkspace);
    },
  );

  app.get(
    '/workspaces/:workspaceId',
    { schema: { summary: 'Get a workspace', params: Type.Object({ workspaceId: Type.String() }) } },
    async (request) => {
      await requireWorkspace(core, request.actor, request.params.workspaceId);
      return toWorkspace(await core.projects.get(request.actor));
    },
  );
}

function toWorkspace(project: Project): object {
  return { workspaceId: project.uuid, name: project.name, dataResidency: 'auto', notifications: {} };
}

/** Throws for every workspace but the actor's own, whether there is one of that id or not. */
export async function requireWorkspace(core: Core, actor: Actor, workspaceId: string): Promise<void> {
  const project = await core.projects.get(actor);
  if (workspaceId.toLowerCase() !== project.uuid) throw airbyteErrors.notFound('workspace', workspaceId);
}

/** Whether a list over the given workspaces has to do with the actor's own; none given means all. */
export async function asksForOwn(core: Core, actor: Actor, workspaceIds: string[]): Promise<boolean> {
  if (workspaceIds.length === 0) return true;
  const project = await core.projects.get(actor);
  return workspaceIds.some((id) => id.toLowerCase() === project.uuid);
}
