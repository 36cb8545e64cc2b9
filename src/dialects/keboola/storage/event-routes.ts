import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { EventQuery } from '../../../core/events/event-model.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { parseEventQuery } from './event-query.ts';
import { toKeboolaEvent } from './event-shape.ts';

const EventsQuery = Type.Object({
  sinceId: Type.Optional(Type.String({ description: 'uuid or number; only newer events' })),
  maxId: Type.Optional(Type.String({ description: 'uuid or number; only older events' })),
  component: Type.Optional(Type.String()),
  configurationId: Type.Optional(Type.String()),
  runId: Type.Optional(Type.String({ description: 'the run and every run below it' })),
  q: Type.Optional(
    Type.String({ description: 'event:storage.tableCreated AND (objectId:"in.c-a.b" OR NOT token.id:12) ...' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 0, default: 100 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
  sortOrder: Type.Optional(Type.Union([Type.Literal('asc'), Type.Literal('desc')])),
});

const NewEventBody = Type.Object({
  component: Type.String({ minLength: 1 }),
  message: Type.String({ minLength: 1 }),
  type: Type.Optional(
    Type.Union([Type.Literal('info'), Type.Literal('success'), Type.Literal('warn'), Type.Literal('error')]),
  ),
  description: Type.Optional(Type.String()),
  configurationId: Type.Optional(Type.String()),
  runId: Type.Optional(Type.String()),
  params: Type.Optional(Type.Unknown({ description: 'object, or the JSON text of one' })),
  results: Type.Optional(Type.Unknown({ description: 'object, or the JSON text of one' })),
  performance: Type.Optional(Type.Unknown()),
  duration: Type.Optional(Type.Number()),
});

export function registerEventRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { events, buckets, tables, identity } = deps.core;
  const storageUrl = (request: FastifyRequest) => `${deps.baseUrl(request)}/v2/storage`;

  const list = async (request: FastifyRequest, query: Static<typeof EventsQuery>, about: EventQuery = {}) => {
    const { q, sortOrder, limit, offset, ...filter } = query;
    const found = await events.list(request.actor, {
      ...filter,
      offset,
      limit,
      direction: sortOrder,
      where: parseEventQuery(q),
      // What the path says comes last: nothing must lead out of it.
      ...about,
    });
    return found.map((event) => toKeboolaEvent(event, storageUrl(request)));
  };

  app.get(
    '/events',
    { schema: { summary: 'Events of the project, newest first', querystring: EventsQuery } },
    async (request) => list(request, request.query),
  );

  app.post('/events', { schema: { summary: 'Report an event', body: NewEventBody } }, async (request, reply) => {
    const { duration, params, results, performance, ...rest } = request.body;
    const event = await events.create(request.actor, {
      ...rest,
      params: toObject(params, 'params'),
      results: toObject(results, 'results'),
      performance: toObject(performance, 'performance'),
      durationSeconds: duration,
    });
    reply.code(201);
    return { id: String(event.id), uuid: event.uuid };
  });

  app.get(
    '/events/:eventId',
    { schema: { summary: 'One event, by uuid or number', params: Type.Object({ eventId: Type.String() }) } },
    async (request) => toKeboolaEvent(await events.get(request.actor, request.params.eventId), storageUrl(request)),
  );

  app.get(
    '/buckets/:bucketId/events',
    {
      schema: {
        summary: 'Events of a bucket',
        params: Type.Object({ bucketId: Type.String() }),
        querystring: EventsQuery,
      },
    },
    async (request) => {
      const { id } = await buckets.get(request.actor, request.params.bucketId);
      return list(request, request.query, { objectType: 'bucket', objectId: id });
    },
  );

  app.get(
    '/tables/:tableId/events',
    {
      schema: {
        summary: 'Events of a table',
        params: Type.Object({ tableId: Type.String() }),
        querystring: EventsQuery,
      },
    },
    async (request) => {
      const { id } = await tables.get(request.actor, request.params.tableId);
      return list(request, request.query, { objectType: 'table', objectId: id });
    },
  );

  app.get(
    '/tokens/:tokenId/events',
    {
      schema: {
        summary: 'What a token did',
        params: Type.Object({ tokenId: Type.Integer() }),
        querystring: EventsQuery,
      },
    },
    async (request) => {
      const { id } = await identity.getToken(request.actor, request.params.tokenId);
      return list(request, request.query, { tokenId: id });
    },
  );
}

/** An object as such, or as the text of one (Go sends JSON texts); empty containers of PHP are empty objects. */
function toObject(value: unknown, name: string): Record<string, unknown> | undefined {
  let parsed = value;
  if (typeof value === 'string') {
    if (value.trim() === '') return undefined;
    try {
      parsed = JSON.parse(value);
    } catch (cause) {
      throw new AppError('invalid', 'request.invalid', `Parameter "${name}" must be an object.`, { cause });
    }
  }
  if (parsed === undefined || parsed === null || (Array.isArray(parsed) && parsed.length === 0)) return undefined;
  if (typeof parsed !== 'object')
    throw new AppError('invalid', 'request.invalid', `Parameter "${name}" must be an object.`);
  return { ...parsed };
}
