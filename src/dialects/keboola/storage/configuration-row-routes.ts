import { Type } from 'typebox';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import {
  ChangeBody,
  CONTENT_PROPERTIES,
  changeOf,
  jsonContent,
  stateParameter,
  VersionNumber,
  VersionsQuery,
} from './configuration-routes.ts';
import { toKeboolaRow, toPastRow, toRowVersion } from './configuration-shape.ts';

const ConfigurationParams = Type.Object({ componentId: Type.String(), configurationId: Type.String() });
const RowParams = Type.Object({ ...ConfigurationParams.properties, rowId: Type.String() });
const VersionParams = Type.Object({ ...RowParams.properties, version: VersionNumber });

const NewRowBody = Type.Object(
  { rowId: Type.Optional(Type.String()), name: Type.Optional(Type.String()), ...CONTENT_PROPERTIES },
  { 'x-code': 'configuration-row.invalid-parameters' },
);
const RowBody = Type.Object(
  { name: Type.Optional(Type.String()), ...CONTENT_PROPERTIES },
  { 'x-code': 'configuration-row.invalid-parameters' },
);
const CopyBody = Type.Object({
  targetConfigId: Type.Optional(Type.String()),
  changeDescription: Type.Optional(Type.String()),
});

/** Rows of a configuration. */
export function registerConfigurationRowRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { rows } = deps.core.configurations;
  const list = '/components/:componentId/configs/:configurationId/rows';
  const one = `${list}/:rowId`;
  const version = `${one}/versions/:version`;

  app.get(
    list,
    { schema: { summary: 'Rows in the order they run in', params: ConfigurationParams } },
    async (request) => (await rows.list(request.actor, request.params)).map(toKeboolaRow),
  );

  app.post(
    list,
    { schema: { summary: 'Add a row', params: ConfigurationParams, body: NewRowBody } },
    async (request, reply) => {
      const { rowId, ...rest } = request.body;
      const created = await rows.create(request.actor, request.params, { ...rest, ...jsonContent(request), id: rowId });
      reply.code(201);
      return toKeboolaRow(created);
    },
  );

  app.get(one, { schema: { summary: 'One row', params: RowParams } }, async (request) =>
    toKeboolaRow(await rows.get(request.actor, request.params, request.params.rowId)),
  );

  app.put(one, { schema: { summary: 'Change a row', params: RowParams, body: RowBody } }, async (request) => {
    const patch = { ...request.body, ...jsonContent(request) };
    return toKeboolaRow(await rows.update(request.actor, request.params, request.params.rowId, patch));
  });

  app.put(`${one}/state`, { schema: { summary: 'Replace the state of a row', params: RowParams } }, async (request) => {
    const state = stateParameter(request, 'configuration-row.invalid-parameters');
    return toKeboolaRow(await rows.updateState(request.actor, request.params, request.params.rowId, state));
  });

  app.delete(one, { schema: { summary: 'Delete a row', params: RowParams } }, async (request, reply) => {
    await rows.delete(request.actor, request.params, request.params.rowId, changeOf(request));
    return reply.code(204).send();
  });

  app.get(
    `${one}/versions`,
    { schema: { summary: 'Versions of a row, newest first', params: RowParams, querystring: VersionsQuery } },
    async (request) => {
      const { include = [], ...page } = request.query;
      const found = await rows.versions(request.actor, request.params, request.params.rowId, page);
      return found.map((one) => toRowVersion(one, include));
    },
  );

  app.get(version, { schema: { summary: 'A row in one version', params: VersionParams } }, async (request) => {
    const { params } = request;
    return toPastRow(await rows.version(request.actor, params, params.rowId, params.version));
  });

  app.post(
    `${version}/rollback`,
    { schema: { summary: 'Take a row back to a version', params: VersionParams, body: ChangeBody } },
    async (request, reply) => {
      const { params, body } = request;
      const row = await rows.rollback(request.actor, params, params.rowId, params.version, body);
      reply.code(201);
      return toKeboolaRow(row);
    },
  );

  app.post(
    `${version}/create`,
    {
      schema: {
        summary: 'Make a new row, here or in another configuration, from a version',
        params: VersionParams,
        body: CopyBody,
      },
    },
    async (request, reply) => {
      const { params, body } = request;
      const row = await rows.copy(request.actor, params, params.rowId, params.version, {
        targetConfigurationId: body.targetConfigId,
        changeDescription: body.changeDescription,
      });
      reply.code(201);
      return toKeboolaRow(row);
    },
  );
}
