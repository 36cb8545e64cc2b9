import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../../../core/errors.ts';
import type { GroupPatch } from '../../../core/objects/groups.ts';
import { pathId, type SyncanoDeps } from '../deps.ts';
import { syncanoErrors } from '../errors.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { groupPath, instancePath, userPath } from '../links.ts';
import { memberReader } from '../members.ts';
import { numericPage, pageText, parsePage } from '../paging.ts';
import { userText } from '../users/user-shape.ts';
import { groupShape } from './group-shape.ts';

/** Groups of end users, and who is in them from both ends. */
export function registerGroupRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { groups, endUsers } = deps.core;
  const list = '/instances/:instance/groups';
  const detail = `${list}/:id`;
  const about = (summary: string) => ({ schema: { summary } });
  const instanceOf = ({ actor }: FastifyRequest) => deps.instanceName(actor);

  app.get(list, about('Groups of end users'), async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const [instance, found] = await Promise.all([instanceOf(request), groups.list(request.actor, numericPage(page))]);
    const rows = found.map((one) => JSON.stringify(chosen(groupShape(instance, one), choice)));
    reply.type('application/json');
    return pageText(`${instancePath(instance)}groups/`, page, rows, (at) => ({ pk: String(found[at]?.id) }));
  });

  app.post(list, about('Make a group'), async (request, reply) => {
    const { label = '', ...rest } = readGroup(request.body as object, true);
    const made = await groups.create(request.actor, { ...rest, label });
    reply.code(201);
    return groupShape(await instanceOf(request), made);
  });

  app.get(detail, about('One group'), async (request) => {
    const found = await groups.get(request.actor, pathId(request, 'id'));
    return chosen(groupShape(await instanceOf(request), found), parseFieldChoice(request));
  });

  app.route({
    method: ['PUT', 'PATCH'],
    url: detail,
    ...about('Change a group'),
    handler: async (request) => {
      const patch = readGroup(request.body as object, request.method === 'PUT');
      return groupShape(await instanceOf(request), await groups.update(request.actor, pathId(request, 'id'), patch));
    },
  });

  app.delete(detail, about('Delete a group; what belonged to it belongs to none'), async (request, reply) => {
    await groups.delete(request.actor, pathId(request, 'id'));
    reply.code(204);
  });

  const members = `${detail}/users`;
  const member = `${members}/:user`;
  const aboutMembers = (summary: string) => ({ schema: { summary } });

  app.get(members, aboutMembers('Members of a group'), async (request, reply) => {
    const id = pathId(request, 'id');
    const page = parsePage(request);
    const [instance, found] = await Promise.all([
      instanceOf(request),
      groups.members(request.actor, id, numericPage(page)).catch(parent('Group')),
    ]);
    const path = `${groupPath(instance, id)}users/`;
    const rows = found.map((user) => memberText('user', userText(instance, user), `${path}${user.id}/`));
    reply.type('application/json');
    return pageText(path, page, rows, (at) => ({ pk: String(found[at]?.id) }));
  });

  app.post(members, aboutMembers('Put a user into a group'), async (request, reply) => {
    const id = pathId(request, 'id');
    await groups.get(request.actor, id).catch(parent('Group'));
    const userId = readId(request, 'user');
    await groups.add(request.actor, id, userId);
    const instance = await instanceOf(request);
    reply.code(201).type('application/json');
    const user = userText(instance, await endUsers.get(request.actor, userId));
    return memberText('user', user, `${groupPath(instance, id)}users/${userId}/`);
  });

  app.get(member, aboutMembers('One member of a group'), async (request, reply) => {
    const [id, userId] = [pathId(request, 'id'), pathId(request, 'user')];
    const user = await groups.member(request.actor, id, userId);
    const instance = await instanceOf(request);
    reply.type('application/json');
    return memberText('user', userText(instance, user), `${groupPath(instance, id)}users/${userId}/`);
  });

  app.delete(member, aboutMembers('Take a user out of a group'), async (request, reply) => {
    await groups.remove(request.actor, pathId(request, 'id'), pathId(request, 'user'));
    reply.code(204);
  });

  const ofUser = '/instances/:instance/users/:id/groups';
  const oneOfUser = `${ofUser}/:group`;
  const aboutGroups = (summary: string) => ({ schema: { summary } });
  const membershipText = (instance: string, userId: number, group: Parameters<typeof groupShape>[1]) =>
    memberText(
      'group',
      JSON.stringify(groupShape(instance, group)),
      `${userPath(instance, userId)}groups/${group.id}/`,
    );

  app.get(ofUser, aboutGroups('Groups of a user'), async (request, reply) => {
    const userId = pathId(request, 'id');
    const page = parsePage(request);
    const [instance, found] = await Promise.all([
      instanceOf(request),
      groups.ofUser(request.actor, userId, numericPage(page)).catch(parent('User')),
    ]);
    const rows = found.map((group) => membershipText(instance, userId, group));
    reply.type('application/json');
    return pageText(`${userPath(instance, userId)}groups/`, page, rows, (at) => ({ pk: String(found[at]?.id) }));
  });

  app.post(ofUser, aboutGroups('Put a user into a group'), async (request, reply) => {
    const userId = pathId(request, 'id');
    await endUsers.get(request.actor, userId).catch(parent('User'));
    const groupId = readId(request, 'group');
    await groups.add(request.actor, groupId, userId);
    reply.code(201).type('application/json');
    return membershipText(await instanceOf(request), userId, await groups.get(request.actor, groupId));
  });

  app.get(oneOfUser, aboutGroups('One group of a user'), async (request, reply) => {
    const [userId, groupId] = [pathId(request, 'id'), pathId(request, 'group')];
    await groups.member(request.actor, groupId, userId);
    reply.type('application/json');
    return membershipText(await instanceOf(request), userId, await groups.get(request.actor, groupId));
  });

  app.delete(oneOfUser, aboutGroups('Take a user out of a group'), async (request, reply) => {
    await groups.remove(request.actor, pathId(request, 'group'), pathId(request, 'id'));
    reply.code(204);
  });
}

/** What is missing in the middle of a path is named. */
function parent(name: string): (error: unknown) => never {
  return (error) => {
    throw error instanceof AppError && error.kind === 'not-found' ? syncanoErrors.parentNotFound(name) : error;
  };
}

function memberText(name: 'user' | 'group', text: string, self: string): string {
  return `{"${name}":${text},"links":{"self":"${self}"}}`;
}

function readId(request: FastifyRequest, name: 'user' | 'group'): number {
  const read = memberReader(request.body as object);
  const id = read.id(name);
  read.check();
  return id ?? 0;
}

function readGroup(body: object, isWhole: boolean): GroupPatch {
  const read = memberReader(body);
  const label = read.text('label', { isRequired: isWhole, canBeBlank: false });
  const description = read.text('description');
  const { name } = body as { name?: unknown };
  const handle = name === null ? null : read.text('name');
  read.check();
  return { label, description, name: handle };
}
