import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ScriptCaller } from '../../../core/scripts/script-model.ts';
import { pathId, type SyncanoDeps } from '../deps.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { describeDetail, describeList, type ResourceMetadata } from '../field-metadata.ts';
import { numericPage, pageText, parsePage } from '../paging.ts';
import { traceShape } from './trace-shape.ts';

/** What has scripts run, and where its traces are. */
export type Traced = {
  /** Of the route, up to `traces`. */
  url: string;
  /** Throws when there is no such thing, or the actor may not see it. */
  callerOf(request: FastifyRequest): Promise<ScriptCaller>;
  /** Of the answers' links, with a slash at the end. */
  pathOf(request: FastifyRequest): Promise<string>;
  resource: ResourceMetadata;
};

/** The runs of a script, endpoint or schedule, newest first. */
export function registerTraceRoutes(
  app: FastifyInstance,
  deps: SyncanoDeps,
  { url, callerOf, pathOf, resource }: Traced,
): void {
  const { scripts } = deps.core;
  const list = `${url}/traces`;
  const detail = `${list}/:trace`;

  app.get(list, async (request, reply) => {
    const page = parsePage(request, { isDescending: true });
    const choice = parseFieldChoice(request);
    const found = await scripts.runs(request.actor, await callerOf(request), numericPage(page));
    const path = `${await pathOf(request)}traces/`;
    const rows = found.map((job) => JSON.stringify(chosen(traceShape(job, path), choice)));
    reply.type('application/json');
    return pageText(path, page, rows, (at) => ({ pk: String(found[at]?.id) }));
  });

  app.options(list, async (request) => {
    await callerOf(request);
    return describeList(resource, false);
  });

  app.get(detail, async (request) => {
    const job = await scripts.getRun(request.actor, await callerOf(request), pathId(request, 'trace'));
    return chosen(traceShape(job, `${await pathOf(request)}traces/`), parseFieldChoice(request));
  });

  app.options(detail, async (request) => {
    await scripts.getRun(request.actor, await callerOf(request), pathId(request, 'trace'));
    return describeDetail(resource, false);
  });
}
