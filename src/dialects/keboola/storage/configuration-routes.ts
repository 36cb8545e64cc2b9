import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { toConfigurationVersion, toKeboolaConfiguration, toPastConfiguration } from './configuration-shape.ts';
import { jsonParameter } from './json-parameters.ts';

const ConfigurationParams = Type.Object({ componentId: Type.String(), configurationId: Type.String() });
// Larger numbers are no versions, but would overflow the column they are compared with.
export const VersionNumber = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 });
const VersionParams = Type.Object({ ...ConfigurationParams.properties, version: VersionNumber });

const JsonContent = Type.Optional(Type.Unknown({ description: 'JSON, or a text of it' }));
export const CONTENT_PROPERTIES = {
  description: Type.Optional(Type.String()),
  configuration: JsonContent,
  state: JsonContent,
  changeDescription: Type.Optional(Type.String()),
  isDisabled: Type.Optional(Type.Boolean()),
};
const RowsSortOrder = Type.Optional(Type.Array(Type.String(), { description: 'all row ids; empty to reset' }));

const NewConfigurationBody = Type.Object(
  {
    configurationId: Type.Optional(Type.String()),
    name: Type.String({ minLength: 1 }),
    ...CONTENT_PROPERTIES,
    rowsSortOrder: RowsSortOrder,
  },
  { 'x-code': 'configuration.invalid-parameters' },
);
const ConfigurationBody = Type.Object(
  { name: Type.Optional(Type.String()), ...CONTENT_PROPERTIES, rowsSortOrder: RowsSortOrder },
  { 'x-code': 'configuration.invalid-parameters' },
);
export const ChangeBody = Type.Object({ changeDescription: Type.Optional(Type.String()) });
const CopyBody = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    description: Type.Optional(Type.String()),
    changeDescription: Type.Optional(Type.String()),
  },
  { 'x-code': 'configuration.invalid-parameters' },
);
const ListQuery = Type.Object({ isDeleted: Type.Optional(Type.Boolean()) });
export const VersionsQuery = Type.Object({
  include: Type.Optional(
    Type.Array(Type.String(), { 'x-list': true, description: 'name, description, configuration' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
});

/** Configurations of a component; under `/branch/{id}` those of that branch. */
export function registerConfigurationRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { configurations } = deps.core;
  const list = '/components/:componentId/configs';
  const one = `${list}/:configurationId`;
  const version = `${one}/versions/:version`;

  app.get(
    list,
    {
      schema: {
        summary: 'Configurations of a component',
        params: Type.Object({ componentId: Type.String() }),
        querystring: ListQuery,
      },
    },
    async (request) => {
      const { componentId } = request.params;
      const found = await configurations.list(request.actor, { componentId, isDeleted: request.query.isDeleted });
      return found.map(toKeboolaConfiguration);
    },
  );

  app.post(
    list,
    {
      schema: {
        summary: 'Make a configuration, or bring one back from the trash with new content',
        params: Type.Object({ componentId: Type.String() }),
        body: NewConfigurationBody,
      },
    },
    async (request, reply) => {
      const { configurationId, name, ...rest } = request.body;
      const created = await configurations.create(request.actor, request.params.componentId, {
        ...rest,
        ...jsonContent(request),
        id: configurationId,
        name,
      });
      reply.code(201);
      return toKeboolaConfiguration(created);
    },
  );

  app.get(one, { schema: { summary: 'One configuration', params: ConfigurationParams } }, async (request) =>
    toKeboolaConfiguration(await configurations.get(request.actor, request.params)),
  );

  app.put(
    one,
    { schema: { summary: 'Change a configuration', params: ConfigurationParams, body: ConfigurationBody } },
    async (request) => {
      const patch = { ...request.body, ...jsonContent(request) };
      return toKeboolaConfiguration(await configurations.update(request.actor, request.params, patch));
    },
  );

  app.put(
    `${one}/state`,
    { schema: { summary: 'Replace the state of a configuration', params: ConfigurationParams } },
    async (request) => {
      const state = stateParameter(request, 'configuration.invalid-parameters');
      if (!isJson(state))
        throw refused('state', 'This value should be valid JSON.', 'configuration.invalid-parameters');
      return toKeboolaConfiguration(await configurations.updateState(request.actor, request.params, state));
    },
  );

  app.delete(
    one,
    { schema: { summary: 'Move to the trash; from the trash: delete for good', params: ConfigurationParams } },
    async (request, reply) => {
      await configurations.delete(request.actor, request.params, changeOf(request));
      return reply.code(204).send();
    },
  );

  app.post(
    `${one}/restore`,
    { schema: { summary: 'Bring back from the trash', params: ConfigurationParams } },
    async (request, reply) => {
      const restored = await configurations.restore(request.actor, request.params);
      reply.code(201);
      return toKeboolaConfiguration(restored);
    },
  );

  app.get(
    `${one}/versions`,
    { schema: { summary: 'Versions, newest first', params: ConfigurationParams, querystring: VersionsQuery } },
    async (request) => {
      const { include = [], ...page } = request.query;
      const found = await configurations.versions(request.actor, request.params, page);
      return found.map((one) => toConfigurationVersion(one, include));
    },
  );

  app.get(
    version,
    { schema: { summary: 'The configuration and its rows in one version', params: VersionParams } },
    async (request) =>
      toPastConfiguration(await configurations.version(request.actor, request.params, request.params.version)),
  );

  app.post(
    `${version}/rollback`,
    { schema: { summary: 'Go back to a version', params: VersionParams, body: ChangeBody } },
    async (request, reply) => {
      const { params, body } = request;
      const rolledBack = await configurations.rollback(request.actor, params, params.version, body);
      reply.code(201);
      return { version: rolledBack.version };
    },
  );

  app.post(
    `${version}/create`,
    { schema: { summary: 'Make a new configuration from a version', params: VersionParams, body: CopyBody } },
    async (request, reply) => {
      const { params, body } = request;
      const copy = await configurations.copy(request.actor, params, params.version, body);
      reply.code(201);
      return { id: copy.id };
    },
  );

  app.post(
    `${one}/reset-to-default`,
    { schema: { summary: 'As it is in the default branch; only in other branches', params: ConfigurationParams } },
    async (request, reply) => {
      await configurations.resetToDefault(request.actor, request.params);
      return reply.code(204).send();
    },
  );
}

/** The members that are JSON themselves, as texts. */
export function jsonContent(request: FastifyRequest): { configuration: string | undefined; state: string | undefined } {
  return { configuration: jsonParameter(request, 'configuration'), state: jsonParameter(request, 'state') };
}

/** DELETE may carry its parameters in a body or in the query. */
export function changeOf(request: FastifyRequest): { changeDescription: string | undefined } {
  const sources = [request.body, request.query] as ({ changeDescription?: unknown } | undefined)[];
  const text = sources.map((source) => source?.changeDescription).find((value) => typeof value === 'string');
  return { changeDescription: text as string | undefined };
}

/** The one parameter of a state call; anything else in the body is refused, so that nobody takes it for an update. */
export function stateParameter(request: FastifyRequest, code: string): string {
  const others = Object.keys(request.body as object).filter((key) => key !== 'state');
  if (others[0] !== undefined) throw refused(others[0], 'This field was not expected.', code);
  const state = jsonParameter(request, 'state');
  if (state === undefined) throw refused('state', 'This field is missing.', code);
  if (state.trim() === '') throw refused('state', 'This value should not be blank.', code);
  return state;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function refused(key: string, message: string, code: string): AppError {
  return new AppError('invalid', code, `Invalid parameters - ${key}: ${message}`, {
    details: { errors: [{ key, message }] },
  });
}
