import type { Branch } from '../../../core/projects/project-model.ts';
import { formatDate } from '../scalars.ts';

export function toKeboolaBranch(branch: Branch): Record<string, unknown> {
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
