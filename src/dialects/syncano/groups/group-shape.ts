import type { Group } from '../../../core/objects/groups.ts';
import { groupPath } from '../links.ts';

export function groupShape(instance: string, { id, name, label, description }: Group) {
  const self = groupPath(instance, id);
  return { id, name, label, description, links: { self, users: `${self}users/` } };
}
