import { Type } from 'typebox';
import { identityErrors } from '../../../core/identity/identity-errors.ts';
import type { Branch } from '../../../core/projects/project-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { formatDate } from '../scalars.ts';

export function registerBranchRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  app.get('/dev-branches', { schema: { summary: 'Branches of the project' } }, async (request) =>
    (await deps.core.projects.listBranches(request.actor)).map(toKeboolaBranch),
  );

  app.get(
    '/dev-branches/:branchId',
    { schema: { summary: 'One branch; its id or default', params: Type.Object({ branchId: Type.String() }) } },
    async (request) => {
      const { branchId } = request.params;
      const branches = await deps.core.projects.listBranches(request.actor);
      const found = branches.find((branch) =>
        branchId === 'default' ? branch.isDefault : String(branch.id) === branchId,
      );
      if (!found) throw identityErrors.branchNotFound(branchId);
      return toKeboolaBranch(found);
    },
  );
}

function toKeboolaBranch(branch: Branch): Record<string, unknown> {
  return {
    id: branch.id,
    name: branch.name,
    description: branch.description,
    created: formatDate(branch.createdAt),
    isDefault: branch.isDefault,
    // An empty PHP array where nobody made it: that is how the default branch is told.
    creatorToken: branch.creator ? { id: branch.creator.id, name: branch.creator.description } : [],
  };
}
