import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { EndUserView } from '../../../core/objects/end-users.ts';
import { canCreateUsers, canManageObjects } from '../../../core/objects/object-access.ts';
import { type FieldProblems, objectErrors } from '../../../core/objects/object-errors.ts';
import { jsonMember } from '../body.ts';
import { pathId, type SyncanoDeps } from '../deps.ts';
import { chooseFields, parseFieldChoice } from '../field-choice.ts';
import { describe, describeDetail, describeList, RESOURCES } from '../field-metadata.ts';
import { instancePath } from '../links.ts';
import { wantsCount } from '../objects/object-routes.ts';
import { numericPage, pageText, parsePage } from '../paging.ts';
import { userText } from './user-shape.ts';

export function registerUserRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { endUsers } = deps.core;
  const list = '/instances/:instance/users';
  const detail = `${list}/:id`;
  const self = '/instances/:instance/user';

  app.get(list, async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const instance = await deps.instanceName(request.actor);
    const [found, count] = await Promise.all([
      endUsers.list(request.actor, numericPage(page)),
      wantsCount(request) ? endUsers.count(request.actor) : undefined,
    ]);
    const rows = found.map((one) => chooseFields(userText(instance, one), choice));
    reply.type('application/json');
    return pageText(`${instancePath(instance)}users/`, page, rows, (at) => ({ pk: String(found[at]?.id) }), count);
  });

  app.post(list, async (request, reply) => {
    const { username, password, profile } = readUser(request.body as object, ['username', 'password']);
    reply.code(201);
    const input = { username: username ?? '', password: password ?? '', profile };
    return answer(request, reply, await endUsers.create(request.actor, input));
  });

  app.options(list, async (request) => describeList(RESOURCES.user, canCreateUsers(request.actor)));

  app.get(detail, async (request, reply) =>
    answer(request, reply, await endUsers.get(request.actor, pathId(request, 'id'))),
  );

  app.route({
    method: ['PUT', 'PATCH'],
    url: detail,
    handler: async (request, reply) => {
      const patch = readUser(request.body as object, request.method === 'PUT' ? ['username'] : []);
      return answer(request, reply, await endUsers.update(request.actor, pathId(request, 'id'), patch));
    },
  });

  app.delete(detail, async (request, reply) => {
    await endUsers.delete(request.actor, pathId(request, 'id'));
    reply.code(204);
  });

  app.options(detail, async (request) => {
    await endUsers.get(request.actor, pathId(request, 'id'));
    return describeDetail(RESOURCES.user, canManageObjects(request.actor));
  });

  app.post(`${detail}/reset_key`, async (request, reply) =>
    answer(request, reply, await endUsers.refreshKey(request.actor, pathId(request, 'id'))),
  );

  app.get(self, async (request, reply) => answer(request, reply, await endUsers.self(request.actor)));

  // Some clients send POST for a full update.
  app.route({
    method: ['PUT', 'PATCH', 'POST'],
    url: self,
    handler: async (request, reply) => {
      const patch = readUser(request.body as object, []);
      const { id } = await endUsers.self(request.actor);
      return answer(request, reply, await endUsers.update(request.actor, id, patch));
    },
  });

  app.options(self, async () => describe('User'));

  app.post(`${self}/auth`, async (request, reply) => {
    const { username = '', password = '' } = readUser(request.body as object, ['username', 'password']);
    return answer(request, reply, await endUsers.logIn(request.actor, username, password));
  });

  async function answer(request: FastifyRequest, reply: FastifyReply, user: EndUserView): Promise<string> {
    reply.type('application/json');
    const text = userText(await deps.instanceName(request.actor), user);
    return chooseFields(text, parseFieldChoice(request));
  }
}

function readUser(
  body: object,
  required: readonly string[],
): { username?: string; password?: string; profile?: Record<string, unknown> } {
  const members = body as Record<string, unknown>;
  const problems: FieldProblems = {};
  const texts: { username?: string; password?: string } = {};
  for (const name of ['username', 'password'] as const) {
    const value = members[name];
    if (value === undefined) {
      if (required.includes(name)) problems[name] = ['This field is required.'];
    } else if (typeof value === 'string' || typeof value === 'number') texts[name] = String(value);
    else problems[name] = [value === null ? 'This field may not be null.' : 'Not a valid string.'];
  }
  const profile = jsonMember(members.profile);
  const isProfile = typeof profile === 'object' && profile !== null && !Array.isArray(profile);
  if (profile !== undefined && !isProfile) problems.profile = ['Invalid data. Expected a dictionary.'];
  if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
  return { ...texts, ...(isProfile && { profile: profile as Record<string, unknown> }) };
}
