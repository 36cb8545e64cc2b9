import type { FastifyInstance } from 'fastify';
import type { KeyRights, ProgramKey, ProgramKeyPatch } from '../../../core/identity/program-keys.ts';
import { pathId, type SyncanoDeps } from '../deps.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { instancePath } from '../links.ts';
import { memberReader } from '../members.ts';
import { numericPage, pageText, parsePage } from '../paging.ts';
import { syncanoTime } from '../times.ts';

/** The keys of programs. */
export function registerKeyRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { programKeys } = deps.core;
  const list = '/instances/:instance/api_keys';
  const detail = `${list}/:id`;
  const about = (summary: string) => ({ schema: { summary } });

  app.get(list, about('API keys of the instance'), async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const instance = await deps.instanceName(request.actor);
    const found = await programKeys.list(request.actor, numericPage(page));
    const rows = found.map((key) => JSON.stringify(chosen(keyShape(instance, key), choice)));
    reply.type('application/json');
    return pageText(`${instancePath(instance)}api_keys/`, page, rows, (at) => ({ pk: String(found[at]?.id) }));
  });

  app.post(list, about('Make an API key'), async (request, reply) => {
    const made = await programKeys.create(request.actor, readKey(request.body as object));
    reply.code(201);
    return keyShape(await deps.instanceName(request.actor), made);
  });

  app.get(detail, about('One API key'), async (request) => {
    const key = await programKeys.get(request.actor, pathId(request, 'id'));
    return chosen(keyShape(await deps.instanceName(request.actor), key), parseFieldChoice(request));
  });

  app.route({
    method: ['PUT', 'PATCH'],
    url: detail,
    ...about('Change description or rights of an API key'),
    handler: async (request) => {
      const patch = readKey(request.body as object);
      const key = await programKeys.update(request.actor, pathId(request, 'id'), patch);
      return keyShape(await deps.instanceName(request.actor), key);
    },
  });

  app.delete(detail, about('Delete an API key'), async (request, reply) => {
    await programKeys.delete(request.actor, pathId(request, 'id'));
    reply.code(204);
  });

  app.post(`${detail}/reset_key`, about('A new text for an API key; the old one stops working'), async (request) => {
    const key = await programKeys.reset(request.actor, pathId(request, 'id'));
    return keyShape(await deps.instanceName(request.actor), key);
  });
}

const FLAGS = [
  ['ignore_acl', 'ignoreAcl'],
  ['allow_user_create', 'canCreateUsers'],
  ['allow_group_create', 'canCreateGroups'],
  ['allow_anonymous_read', 'canReadPublic'],
] as const satisfies readonly (readonly [string, keyof KeyRights])[];

function keyShape(instance: string, { id, description, secret, rights, createdAt }: ProgramKey) {
  const self = `${instancePath(instance)}api_keys/${id}/`;
  return {
    id,
    description,
    api_key: secret ?? null,
    ...Object.fromEntries(FLAGS.map(([name, right]) => [name, rights[right] === true])),
    created_at: syncanoTime(createdAt),
    links: { self, reset_key: `${self}reset_key/` },
  };
}

function readKey(body: object): ProgramKeyPatch {
  const read = memberReader(body);
  const description = read.text('description', { maxLength: 256 });
  const rights = Object.fromEntries(
    FLAGS.flatMap(([name, right]) => {
      const flag = read.flag(name);
      return flag === undefined ? [] : [[right, flag]];
    }),
  ) as KeyRights;
  read.check();
  return { description, rights };
}
