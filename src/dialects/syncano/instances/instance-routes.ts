import type { FastifyInstance } from 'fastify';
import type { Actor } from '../../../core/identity/actor.ts';
import { accountShape } from '../accounts/account-shape.ts';
import { queryText, type SyncanoDeps } from '../deps.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { describeDetail, describeList, RESOURCES } from '../field-metadata.ts';
import { instanceLinks, PREFIX } from '../links.ts';
import { pageText, parsePage } from '../paging.ts';

export function registerInstanceRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { core } = deps;

  // A key opens one instance, so the list has that one.
  app.get('/instances', async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const instance = await instanceShape(request.actor);
    const isShown =
      page.size > 0 &&
      instance.name.startsWith(queryText(request, 'name__startswith')?.toLowerCase() ?? '') &&
      (page.lastPk === undefined ||
        (page.direction === 'back' ? instance.name < page.lastPk : instance.name > page.lastPk));
    const rows = isShown ? [JSON.stringify(chosen(instance, choice))] : [];
    reply.type('application/json');
    return pageText(`${PREFIX}/instances/`, page, rows, () => ({ pk: instance.name }));
  });
  app.options('/instances', async () => describeList(RESOURCES.instance, false));

  app.get('/instances/:instance', async (request) =>
    chosen(await instanceShape(request.actor), parseFieldChoice(request)),
  );
  app.options('/instances/:instance', async () => describeDetail(RESOURCES.instance, false));

  async function instanceShape(actor: Actor) {
    const [project, owner] = await Promise.all([core.projects.get(actor), core.projects.owner(actor)]);
    const createdAt = project.createdAt.toISOString().replace('Z', '000Z');
    return {
      name: project.slug,
      description: project.name,
      owner: owner && accountShape({ ...owner, metadata: {} }),
      created_at: createdAt,
      updated_at: createdAt,
      role: roleOf(actor),
      location: 'local',
      metadata: {},
      links: instanceLinks(project.slug),
    };
  }
}

function roleOf({ token }: Actor): string {
  if (token.objects) return 'api_key';
  switch (token.person?.role) {
    case 'readOnly':
    case 'share':
      return 'read';
    case 'guest':
      return 'write';
    default:
      return 'full';
  }
}
