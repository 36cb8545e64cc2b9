import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { canManageObjects, classRight } from '../../../core/objects/object-access.ts';
import type { ObjectDocument } from '../../../core/objects/object-model.ts';
import { pathId, pathText, queryText, type SyncanoDeps } from '../deps.ts';
import { chooseFields, parseFieldChoice } from '../field-choice.ts';
import { describeDetail, describeList, RESOURCES } from '../field-metadata.ts';
import { objectsPath } from '../links.ts';
import { pageText, parsePage } from '../paging.ts';
import { readNewObject, readObjectPatch } from './object-body.ts';
import { parseObjectQuery, placeOf } from './object-list.ts';
import { objectText } from './object-shape.ts';

export function registerObjectRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { classes, objects } = deps.core;
  const list = '/instances/:instance/classes/:class/objects';
  const detail = `${list}/:id`;

  app.get(list, async (request, reply) => {
    const { actor } = request;
    const className = pathText(request, 'class');
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const query = await parseObjectQuery(request, page, className, (name) => classes.resolve(actor, name));
    const instance = await deps.instanceName(actor);
    const [found, count] = await Promise.all([
      objects.list(actor, className, query),
      wantsCount(request) ? objects.count(actor, className, { filter: query.filter }) : undefined,
    ]);
    const path = objectsPath(instance, className.toLowerCase());
    const rows = found.map((one) => chooseFields(objectText(instance, path, one), choice));
    reply.type('application/json');
    return pageText(
      path,
      page,
      rows,
      (at) => placeOf(found[at]?.document ?? '', found[at]?.id ?? 0, query.order),
      count,
    );
  });

  app.post(list, async (request, reply) => {
    const input = readNewObject(request.body as object);
    reply.code(201);
    return answer(request, reply, await objects.create(request.actor, pathText(request, 'class'), input));
  });

  app.options(list, async (request) => {
    const of = await classes.resolve(request.actor, pathText(request, 'class'));
    return describeList(RESOURCES.object, classRight(request.actor, of) === 'create_objects');
  });

  app.get(detail, async (request, reply) =>
    answer(request, reply, await objects.get(request.actor, pathText(request, 'class'), pathId(request, 'id'))),
  );

  // PUT is no call of this version: a full update is a POST.
  app.route({
    method: ['PATCH', 'POST'],
    url: detail,
    handler: async (request, reply) => {
      const patch = readObjectPatch(request.body as object, request.method === 'POST');
      const className = pathText(request, 'class');
      return answer(request, reply, await objects.update(request.actor, className, pathId(request, 'id'), patch));
    },
  });

  app.delete(detail, async (request, reply) => {
    await objects.delete(request.actor, pathText(request, 'class'), pathId(request, 'id'));
    reply.code(204);
  });

  app.options(detail, async (request) => {
    await objects.get(request.actor, pathText(request, 'class'), pathId(request, 'id'));
    return describeDetail(RESOURCES.object, canManageObjects(request.actor) || request.actor.endUser !== undefined);
  });

  async function answer(request: FastifyRequest, reply: FastifyReply, document: ObjectDocument): Promise<string> {
    const instance = await deps.instanceName(request.actor);
    const text = objectText(instance, objectsPath(instance, pathText(request, 'class').toLowerCase()), document);
    reply.type('application/json');
    return chooseFields(text, parseFieldChoice(request));
  }
}

export function wantsCount(request: FastifyRequest): boolean {
  const text = queryText(request, 'include_count')?.toLowerCase();
  return text === 'true' || text === '1';
}
