import { AppError } from '../../../core/errors.ts';
import { type FieldProblems, objectErrors } from '../../../core/objects/object-errors.ts';
import {
  type NewObject,
  OBJECT_RIGHTS,
  type ObjectPatch,
  type ObjectRight,
} from '../../../core/objects/object-model.ts';
import { readRevision } from '../classes/class-body.ts';

const ACCESS_MEMBERS = ['owner', 'group', 'owner_permissions', 'group_permissions', 'other_permissions', 'channel'];

export function readNewObject(body: object): NewObject {
  return { values: body as Record<string, unknown>, ...readAccess(body) };
}

/** With `isWhole`, rights that are not named go back to their defaults; values stay as they are. */
export function readObjectPatch(body: object, isWhole: boolean): ObjectPatch {
  const { expected_revision: expected } = body as { expected_revision?: unknown };
  const access = readAccess(body);
  return {
    values: body as Record<string, unknown>,
    ...(isWhole && { ownerRight: 'full', groupRight: 'none', otherRight: 'none' }),
    ...access,
    ...(expected !== undefined && { expectedRevision: readRevision(expected) }),
  };
}

function readAccess(body: object): Omit<NewObject, 'values'> {
  // The usual object names none of them.
  if (!ACCESS_MEMBERS.some((name) => Object.hasOwn(body, name))) return {};
  const { owner, group, channel, ...members } = body as Record<string, unknown>;
  const problems: FieldProblems = {};
  const access: Omit<NewObject, 'values'> = {};
  const right = (name: string): ObjectRight | undefined => {
    const value = members[name];
    if (value === undefined) return undefined;
    const known = OBJECT_RIGHTS.find((one) => one === value);
    if (!known) problems[name] = [`"${String(value)}" is not a valid choice.`];
    return known;
  };
  const id = (name: string, value: unknown): number | null | undefined => {
    if (value === undefined || value === null || value === '') return value === undefined ? undefined : null;
    if (Number.isSafeInteger(Number(value))) return Number(value);
    problems[name] = ['Incorrect type. Expected pk value, received str.'];
    return undefined;
  };
  access.ownerRight = right('owner_permissions');
  access.groupRight = right('group_permissions');
  access.otherRight = right('other_permissions');
  access.ownerId = id('owner', owner);
  access.groupId = id('group', group);
  if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
  if (channel !== undefined && channel !== null)
    throw new AppError('unsupported', 'request.not-implemented', 'Not implemented: channels of data objects');
  return access;
}
