import type { ObjectDocument } from '../../../core/objects/object-model.ts';
import { groupPath, userPath } from '../links.ts';

/** The document as text with its links; nothing of it is parsed. */
export function objectText(
  instance: string,
  objects: string,
  { id, ownerId, groupId, document }: ObjectDocument,
): string {
  const owner = ownerId === undefined ? '' : `,"owner":"${userPath(instance, ownerId)}"`;
  const group = groupId === undefined ? '' : `,"group":"${groupPath(instance, groupId)}"`;
  return `${document.slice(0, -1)},"links":{"self":"${objects}${id}/"${owner}${group}}}`;
}
