import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../../../core/errors.ts';
import { canConfigureComponent } from '../../../core/identity/permissions.ts';
import type { Schedule, SchedulePatch } from '../../../core/schedules/schedule-model.ts';
import { SCRIPT_COMPONENT } from '../../../core/scripts/script-model.ts';
import { scheduleCaller } from '../../../core/scripts/scripts.ts';
import { pathId, pathText, type SyncanoDeps } from '../deps.ts';
import { syncanoErrors } from '../errors.ts';
import { chosen, parseFieldChoice } from '../field-choice.ts';
import { describeDetail, describeList, RESOURCES } from '../field-metadata.ts';
import { schedulePath, schedulesPath, scriptPath } from '../links.ts';
import { numericPage, pageText, parsePage } from '../paging.ts';
import { registerTraceRoutes } from '../scripts/trace-routes.ts';
import { syncanoTime } from '../times.ts';
import { readSchedule, unknownScript } from './schedule-body.ts';

/** Schedules of connections and the like are none of these. */
const SCRIPTS = { componentId: SCRIPT_COMPONENT };

export function registerScheduleRoutes(app: FastifyInstance, deps: SyncanoDeps): void {
  const { schedules } = deps.core;
  const list = '/instances/:instance/schedules';
  const detail = `${list}/:id`;
  const mayChange = ({ actor }: FastifyRequest) => canConfigureComponent(actor, SCRIPT_COMPONENT);
  const instanceOf = ({ actor }: FastifyRequest) => deps.instanceName(actor);
  const get = (request: FastifyRequest) => schedules.get(request.actor, pathId(request, 'id'), SCRIPTS);

  app.get(list, async (request, reply) => {
    const page = parsePage(request);
    const choice = parseFieldChoice(request);
    const [instance, found] = await Promise.all([
      instanceOf(request),
      schedules.list(request.actor, SCRIPTS, numericPage(page)),
    ]);
    const rows = found.map((one) => JSON.stringify(chosen(scheduleShape(instance, one), choice)));
    reply.type('application/json');
    return pageText(schedulesPath(instance), page, rows, (at) => ({ pk: String(found[at]?.id) }));
  });

  app.post(list, async (request, reply) => {
    const { name = '', target, recurrence, ...rest } = readSchedule(request.body as object);
    if (!target || !recurrence) throw new Error('a whole body has both');
    const created = await schedules
      .create(request.actor, { ...rest, name, target, recurrence })
      .catch((error: unknown) => refuse(error, target));
    reply.code(201);
    return scheduleShape(await instanceOf(request), created);
  });

  app.options(list, async (request) => describeList(RESOURCES.schedule, mayChange(request)));

  app.get(detail, async (request) =>
    chosen(scheduleShape(await instanceOf(request), await get(request)), parseFieldChoice(request)),
  );

  app.route({
    method: ['PUT', 'PATCH'],
    url: detail,
    handler: async (request) => {
      const current = await get(request);
      const patch = readSchedule(request.body as object, request.method === 'PATCH' ? { current } : {});
      const changed = await schedules
        .update(request.actor, current.id, patch, SCRIPTS)
        .catch((error: unknown) => refuse(error, patch.target));
      return scheduleShape(await instanceOf(request), changed);
    },
  });

  app.delete(detail, async (request, reply) => {
    await schedules.delete(request.actor, pathId(request, 'id'), SCRIPTS);
    reply.code(204);
  });

  app.options(detail, async (request) => {
    await get(request);
    return describeDetail(RESOURCES.schedule, mayChange(request));
  });

  registerTraceRoutes(app, deps, {
    url: detail,
    callerOf: async (request) => scheduleCaller((await get(request).catch(asMissingParent)).id),
    pathOf: async (request) => schedulePath(await instanceOf(request), pathId(request, 'id')),
    resource: RESOURCES.scheduleTrace,
  });

  // Where old clients look for them.
  registerTraceRoutes(app, deps, {
    url: '/instances/:instance/snippets/scripts/:id/schedules/:schedule',
    async callerOf(request) {
      const ofScript = { ...SCRIPTS, configurationId: pathText(request, 'id') };
      const id = pathId(request, 'schedule');
      return scheduleCaller((await schedules.get(request.actor, id, ofScript).catch(asMissingParent)).id);
    },
    pathOf: async (request) =>
      `${scriptPath(await instanceOf(request), pathId(request, 'id'))}schedules/${pathId(request, 'schedule')}/`,
    resource: RESOURCES.scheduleTrace,
  });
}

function scheduleShape(instance: string, schedule: Schedule) {
  const { id, name, description, createdAt, recurrence, nextRunAt, target, input } = schedule;
  const self = schedulePath(instance, id);
  const script = Number(target.configurationId);
  return {
    id,
    label: name,
    description,
    created_at: syncanoTime(createdAt),
    interval_sec: recurrence.type === 'interval' ? recurrence.seconds : null,
    crontab: recurrence.type === 'cron' ? recurrence.expression : null,
    scheduled_next: nextRunAt ? syncanoTime(nextRunAt) : null,
    script,
    timezone: recurrence.timezone,
    ...(input.payload !== undefined && { payload: input.payload }),
    links: { self, traces: `${self}traces/`, script: scriptPath(instance, script) },
  };
}

/** A script that is not there is a mistake in the body. */
function refuse(error: unknown, target: SchedulePatch['target']): never {
  if (target && error instanceof AppError && error.code === 'configuration.not-found')
    throw unknownScript(target.configurationId);
  throw error;
}

function asMissingParent(error: unknown): never {
  throw error instanceof AppError && error.code === 'schedule.not-found'
    ? syncanoErrors.parentNotFound('Schedule')
    : error;
}
