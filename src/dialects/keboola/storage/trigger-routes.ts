import { Type } from 'typebox';
import type { Trigger } from '../../../core/triggers/trigger-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { formatDate } from '../scalars.ts';

const TriggerParams = Type.Object({ triggerId: Type.Integer() });

const CoolDown = Type.Integer({ description: 'minutes between two runs, at least 1' });
const TableIds = Type.Array(Type.String({ minLength: 1 }), { 'x-list': true, description: 'tables to wait for' });
const TokenId = Type.Integer({ description: 'the token the jobs run with; without expiration' });

const NewTriggerBody = Type.Object({
  runWithTokenId: TokenId,
  component: Type.String({ minLength: 1, maxLength: 1000 }),
  configurationId: Type.String({ minLength: 1, maxLength: 1000 }),
  coolDownPeriodMinutes: CoolDown,
  tableIds: TableIds,
});
const TriggerPatchBody = Type.Object({
  runWithTokenId: Type.Optional(TokenId),
  component: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
  configurationId: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
  coolDownPeriodMinutes: Type.Optional(CoolDown),
  tableIds: Type.Optional(TableIds),
});

const TriggerShape = Type.Object({
  id: Type.String(),
  runWithTokenId: Type.Integer(),
  component: Type.String(),
  configurationId: Type.String(),
  lastRun: Type.String({ description: 'of a trigger that has never run: when it was made' }),
  coolDownPeriodMinutes: Type.Integer(),
  creatorToken: Type.Object({ id: Type.Integer(), description: Type.String() }),
  tables: Type.Array(Type.Object({ tableId: Type.String() })),
  isEnabled: Type.Boolean({ description: 'false once its token is gone; a change enables it again' }),
});

/** What is run when tables change. */
export function registerTriggerRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { triggers } = deps.core;

  app.get(
    '/triggers',
    {
      schema: {
        summary: 'Triggers of the project',
        querystring: Type.Object({
          component: Type.Optional(Type.String()),
          configurationId: Type.Optional(Type.String()),
        }),
        response: { 200: Type.Array(TriggerShape) },
      },
    },
    async (request) => {
      const { component, configurationId } = request.query;
      const found = await triggers.list(request.actor, { componentId: component, configurationId });
      return found.map(toKeboolaTrigger);
    },
  );

  app.post(
    '/triggers',
    {
      schema: {
        summary: 'Run a configuration whenever one of some tables changes',
        body: NewTriggerBody,
        response: { 201: TriggerShape },
      },
    },
    async (request, reply) => {
      const { component, configurationId, coolDownPeriodMinutes, tableIds, runWithTokenId } = request.body;
      const made = await triggers.create(request.actor, {
        target: { componentId: component, configurationId },
        coolDownMinutes: coolDownPeriodMinutes,
        tableIds,
        runWithTokenId,
      });
      reply.code(201);
      return toKeboolaTrigger(made);
    },
  );

  app.get(
    '/triggers/:triggerId',
    { schema: { summary: 'One trigger', params: TriggerParams, response: { 200: TriggerShape } } },
    async (request) => toKeboolaTrigger(await triggers.get(request.actor, request.params.triggerId)),
  );

  app.put(
    '/triggers/:triggerId',
    {
      schema: {
        summary: 'Change a trigger; one that was stopped waits again',
        params: TriggerParams,
        body: TriggerPatchBody,
        response: { 200: TriggerShape },
      },
    },
    async (request) => {
      const { component, coolDownPeriodMinutes, ...same } = request.body;
      return toKeboolaTrigger(
        await triggers.update(request.actor, request.params.triggerId, {
          ...same,
          componentId: component,
          coolDownMinutes: coolDownPeriodMinutes,
        }),
      );
    },
  );

  app.delete(
    '/triggers/:triggerId',
    { schema: { summary: 'Delete a trigger', params: TriggerParams } },
    async (request, reply) => {
      await triggers.delete(request.actor, request.params.triggerId);
      return reply.code(204).send();
    },
  );
}

function toKeboolaTrigger(trigger: Trigger) {
  return {
    id: String(trigger.id),
    runWithTokenId: trigger.runWithTokenId,
    component: trigger.target.componentId,
    configurationId: trigger.target.configurationId,
    lastRun: formatDate(trigger.lastRunAt ?? trigger.createdAt),
    coolDownPeriodMinutes: trigger.coolDownMinutes,
    creatorToken: trigger.creator,
    tables: trigger.tableIds.map((tableId) => ({ tableId })),
    isEnabled: trigger.isEnabled,
  };
}
