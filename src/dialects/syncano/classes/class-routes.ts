import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ObjectClass } from '../../../core/objects/class-model.ts';
import { canManageObjects } from '../../../core/objects/object-access.ts';
import { pathText, queryText, type SyncanoDeps } from '../deps.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { describeDetail, describeList, RESOURCES } from '../field-metadata.ts';
import { instancePath } from '../links.ts';
import { namedPage, pageText, parsePage } from '../paging.ts';
import { readClassPatch, readNewClass } from './class-body.ts';
import { classShape } from './class-shape.ts';

export function registerClassRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { classes } = deps.core;
  const list = '/instances/:instance/classes';
  const detail = `${list}/:class`;

  app.get(list, async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const instance = await deps.instanceName(request.actor);
    const found = await classes.list(request.actor, {
      ...namedPage(page),
      prefix: queryText(request, 'name__startswith')?.toLowerCase(),
    });
    const counts = await classes.counts(request.actor, found);
    const rows = found.map((one, at) => JSON.stringify(chosen(classShape(instance, one, counts[at] ?? 0), choice)));
    reply.type('application/json');
    return pageText(`${instancePath(instance)}classes/`, page, rows, (at) => ({ pk: found[at]?.name ?? '' }));
  });

  app.post(list, async (request, reply) => {
    const created = await classes.create(request.actor, readNewClass(request.body as object));
    reply.code(201);
    return shapeOf(request, created);
  });

  app.options(list, async (request) => describeList(RESOURCES.class, canManageObjects(request.actor)));

  app.get(detail, async (request) => {
    const found = await classes.get(request.actor, pathText(request, 'class'));
    return chosen(await shapeOf(request, found), parseFieldChoice(request));
  });

  app.route({
    method: ['PUT', 'PATCH'],
    url: detail,
    handler: async (request) => {
      const patch = readClassPatch(request.body as object, request.method === 'PUT');
      return shapeOf(request, await classes.update(request.actor, pathText(request, 'class'), patch));
    },
  });

  app.delete(detail, async (request, reply) => {
    await classes.delete(request.actor, pathText(request, 'class'));
    reply.code(204);
  });

  app.options(detail, async (request) => {
    await classes.get(request.actor, pathText(request, 'class'));
    return describeDetail(RESOURCES.class, canManageObjects(request.actor));
  });

  async function shapeOf({ actor }: FastifyRequest, of: ObjectClass) {
    const [count = 0] = await classes.counts(actor, [of]);
    return classShape(await deps.instanceName(actor), of, count);
  }
}
