import { PROFILE_CLASS } from '../../../core/objects/class-model.ts';
import type { EndUserView } from '../../../core/objects/end-users.ts';
import { groupShape } from '../groups/group-shape.ts';
import { objectsPath, userPath } from '../links.ts';
import { objectText } from '../objects/object-shape.ts';

export function userText(instance: string, { id, username, profile, groups, key }: EndUserView): string {
  const self = userPath(instance, id);
  const profiles = objectsPath(instance, PROFILE_CLASS);
  const links = {
    self,
    groups: `${self}groups/`,
    'reset-key': `${self}reset_key/`,
    ...(profile && { profile: `${profiles}${profile.id}/` }),
  };
  const profileText = profile ? objectText(instance, profiles, profile) : 'null';
  const groupsText = JSON.stringify(groups.map((group) => groupShape(instance, group)));
  const keyText = key === undefined ? '' : `,"user_key":"${key}"`;
  return `{"id":${id},"username":${JSON.stringify(username)},"profile":${profileText},"groups":${groupsText}${keyText},"links":${JSON.stringify(links)}}`;
}
