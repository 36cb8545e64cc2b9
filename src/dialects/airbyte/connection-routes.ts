import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Connection, ConnectionSettings, Namespace, SourceMode } from '../../core/components/connection-model.ts';
import { selectStreams, type WantedStream } from '../../core/components/connection-streams.ts';
import { connectorErrors } from '../../core/components/connector-errors.ts';
import type { DestinationMode } from '../../core/components/connector-model.ts';
import type { AirbyteApp, AirbyteDeps } from './deps.ts';
import { pageQuery, queryList, toPage, toSeconds } from './paging.ts';
import { fromSchedule, type ScheduleBody, toSchedule } from './schedule-shape.ts';
import { asksForOwn } from './workspace-routes.ts';

/** Each name says what the source does and what the destination does. In the order in which they are offered. */
const SYNC_MODES: Record<string, [SourceMode, DestinationMode]> = {
  full_refresh_append: ['full_refresh', 'append'],
  full_refresh_overwrite: ['full_refresh', 'overwrite'],
  full_refresh_overwrite_deduped: ['full_refresh', 'overwrite_dedup'],
  incremental_append: ['incremental', 'append'],
  incremental_deduped_history: ['incremental', 'append_dedup'],
};

const one = <Values extends string[]>(...values: Values) => Type.Union(values.map((value) => Type.Literal(value)));

const Stream = Type.Object({
  name: Type.String(),
  namespace: Type.Optional(Type.String()),
  syncMode: Type.Optional(
    one(
      ...Object.keys(SYNC_MODES),
      'full_refresh_update',
      'full_refresh_soft_delete',
      'incremental_update',
      'incremental_soft_delete',
    ),
  ),
  cursorField: Type.Optional(Type.Array(Type.String())),
  primaryKey: Type.Optional(Type.Array(Type.Array(Type.String()))),
  selectedFields: Type.Optional(Type.Array(Type.Object({ fieldPath: Type.Array(Type.String()) }))),
  mappers: Type.Optional(Type.Array(Type.Any())),
  includeFiles: Type.Optional(Type.Boolean()),
});

const Change = Type.Object({
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
  configurations: Type.Optional(Type.Object({ streams: Type.Optional(Type.Array(Stream)) })),
  schedule: Type.Optional(
    Type.Object({
      scheduleType: one('manual', 'cron', 'basic'),
      cronExpression: Type.Optional(Type.String()),
      basicTiming: Type.Optional(Type.String()),
    }),
  ),
  namespaceDefinition: Type.Optional(one('source', 'destination', 'custom_format')),
  namespaceFormat: Type.Optional(Type.String()),
  prefix: Type.Optional(Type.String({ maxLength: 100 })),
  nonBreakingSchemaUpdatesBehavior: Type.Optional(
    one('ignore', 'disable_connection', 'propagate_columns', 'propagate_fully'),
  ),
  status: Type.Optional(one('active', 'inactive')),
});

const Create = Type.Object({ sourceId: Type.String(), destinationId: Type.String(), ...Change.properties });

/** Connections, and what a source has to offer them. */
export function registerConnectionRoutes(app: AirbyteApp, deps: AirbyteDeps): void {
  const { connections, connectors, projects, syncs } = deps.core;
  const path = '/connections/:connectionId';
  const params = Type.Object({ connectionId: Type.String() });
  const shape = async (request: FastifyRequest, connection: Connection) =>
    toShape((await projects.get(request.actor)).uuid, connection);

  app.get(
    '/connections',
    {
      schema: {
        summary: 'List connections',
        querystring: Type.Object({ ...pageQuery, includeDeleted: Type.Boolean({ default: false }) }),
      },
    },
    async (request) => {
      const { limit, offset, includeDeleted } = request.query;
      const { uuid } = await projects.get(request.actor);
      const isAsked = await asksForOwn(deps.core, request.actor, queryList(request, 'workspaceIds'));
      const found = isAsked ? await connections.list(request.actor, { includeDeleted, offset, limit: limit + 1 }) : [];
      return toPage(request, deps, found, (connection) => toShape(uuid, connection));
    },
  );

  app.post('/connections', { schema: { summary: 'Create a connection', body: Create } }, async (request) => {
    const { body, actor } = request;
    const source = await connectors.get(actor, 'source', body.sourceId);
    const destination = await connectors.get(actor, 'destination', body.destinationId);
    const wanted = wantedStreams(body);
    const catalog = await syncs.discover(actor, source.id, { signal: request.signal });
    const settings: ConnectionSettings = {
      source: { componentId: source.definition.id, configurationId: source.id },
      destination: { componentId: destination.definition.id, configurationId: destination.id },
      namespace: { definition: 'destination' },
      prefix: '',
      schedule: { type: 'manual' },
      schemaChanges: 'ignore',
      ...changedSettings(body),
      streams: selectStreams(catalog, wanted, destination.definition.connector.modes),
    };
    const name = body.name ?? `${source.name} <> ${destination.name}`;
    return shape(request, await connections.create(actor, { name, isActive: body.status !== 'inactive', settings }));
  });

  app.get(path, { schema: { summary: 'Get a connection', params } }, async (request) =>
    shape(request, await connections.get(request.actor, request.params.connectionId)),
  );

  app.patch(path, { schema: { summary: 'Change a connection', params, body: Change } }, async (request) => {
    const { body, actor } = request;
    const { connectionId } = request.params;
    const { settings } = await connections.get(actor, connectionId);
    const wanted = wantedStreams(body);
    const changed: Partial<ConnectionSettings> = changedSettings(body);
    if (wanted) {
      const catalog = await syncs.discover(actor, settings.source.configurationId, { signal: request.signal });
      const destination = await connectors.get(actor, 'destination', settings.destination.configurationId);
      changed.streams = selectStreams(catalog, wanted, destination.definition.connector.modes);
    }
    const isActive = body.status === undefined ? undefined : body.status === 'active';
    return shape(
      request,
      await connections.update(actor, connectionId, { name: body.name, isActive, settings: changed }),
    );
  });

  app.delete(path, { schema: { summary: 'Delete a connection', params } }, async (request, reply) => {
    await syncs.deleteConnection(request.actor, request.params.connectionId);
    return reply.code(204).send();
  });

  app.get(
    '/streams',
    {
      schema: {
        summary: 'What streams a source has',
        querystring: Type.Object({
          sourceId: Type.String(),
          destinationId: Type.Optional(Type.String()),
          ignoreCache: Type.Boolean({ default: false }),
        }),
      },
    },
    async (request) => {
      const { sourceId, destinationId, ignoreCache } = request.query;
      const modes = destinationId
        ? (await connectors.get(request.actor, 'destination', destinationId)).definition.connector.modes
        : undefined;
      const { streams } = await syncs.discover(request.actor, sourceId, {
        isFresh: ignoreCache,
        signal: request.signal,
      });
      return streams.map((stream) => ({
        streamName: stream.name,
        syncModes:
          modes === undefined
            ? null
            : Object.entries(SYNC_MODES).flatMap(([name, [read, write]]) =>
                name !== 'full_refresh_overwrite_deduped' &&
                stream.supported_sync_modes.includes(read) &&
                modes.includes(write)
                  ? [name]
                  : [],
              ),
        streamnamespace: stream.namespace ?? null,
        defaultCursorField: stream.default_cursor_field ?? [],
        sourceDefinedCursorField: stream.source_defined_cursor ?? false,
        sourceDefinedPrimaryKey: stream.source_defined_primary_key ?? [],
        propertyFields: fieldPaths(stream.json_schema, []),
      }));
    },
  );
}

function wantedStreams(body: Static<typeof Change>): WantedStream[] | undefined {
  return body.configurations?.streams?.map((stream) => {
    if (stream.mappers && stream.mappers.length > 0) throw connectorErrors.unsupported('Mappers are not supported.');
    if (stream.includeFiles) throw connectorErrors.unsupported('Streams of files are not supported.');
    const mode = stream.syncMode === undefined ? undefined : SYNC_MODES[stream.syncMode];
    if (stream.syncMode !== undefined && !mode)
      throw connectorErrors.invalidStream(
        `Stream "${stream.name}": the mode ${stream.syncMode} is not possible; these are: ${Object.keys(SYNC_MODES).join(', ')}.`,
      );
    const { name, namespace, cursorField, primaryKey } = stream;
    const selectedFields = stream.selectedFields?.map(({ fieldPath }) => fieldPath);
    return {
      name,
      namespace,
      sourceMode: mode?.[0],
      destinationMode: mode?.[1],
      cursorField,
      primaryKey,
      selectedFields,
    };
  });
}

function changedSettings(body: Static<typeof Change>): Partial<ConnectionSettings> {
  const changed: Partial<ConnectionSettings> = {};
  if (body.prefix !== undefined) changed.prefix = body.prefix;
  if (body.namespaceDefinition !== undefined) {
    const format = body.namespaceFormat ?? '${SOURCE_NAMESPACE}';
    const definition = body.namespaceDefinition as 'source' | 'destination' | 'custom_format';
    changed.namespace = definition === 'custom_format' ? { definition: 'custom', format } : { definition };
  }
  if (body.schedule) changed.schedule = fromSchedule(body.schedule as ScheduleBody);
  const behavior = body.nonBreakingSchemaUpdatesBehavior;
  if (behavior !== undefined)
    changed.schemaChanges = (
      behavior === 'disable_connection' ? 'disable' : behavior
    ) as ConnectionSettings['schemaChanges'];
  return changed;
}

function toShape(workspaceId: string, { id, name, isActive, isDeleted, settings, createdAt }: Connection): object {
  const { namespace, schedule, schemaChanges } = settings;
  return {
    connectionId: id,
    name,
    sourceId: settings.source.configurationId,
    destinationId: settings.destination.configurationId,
    workspaceId,
    status: isDeleted ? 'deprecated' : isActive ? 'active' : 'inactive',
    schedule: toSchedule(schedule),
    nonBreakingSchemaUpdatesBehavior: schemaChanges === 'disable' ? 'disable_connection' : schemaChanges,
    namespaceDefinition: namespaceName(namespace),
    namespaceFormat: namespace.definition === 'custom' ? namespace.format : null,
    prefix: settings.prefix,
    configurations: {
      streams: settings.streams.map(
        ({ stream, sourceMode, destinationMode, cursorField, primaryKey, selectedFields }) => ({
          name: stream.name,
          ...(stream.namespace !== undefined && { namespace: stream.namespace }),
          syncMode: Object.keys(SYNC_MODES).find(
            (mode) => SYNC_MODES[mode]?.[0] === sourceMode && SYNC_MODES[mode]?.[1] === destinationMode,
          ),
          cursorField,
          primaryKey,
          selectedFields: (selectedFields ?? []).map((field) => ({ fieldPath: [field] })),
          mappers: [],
        }),
      ),
    },
    createdAt: toSeconds(createdAt),
    tags: [],
  };
}

const namespaceName = ({ definition }: Namespace) => (definition === 'custom' ? 'custom_format' : definition);

/** Every property, parents before children; items of lists are not looked into. */
function fieldPaths(schema: unknown, above: string[]): string[][] {
  const properties = (schema as { properties?: Record<string, unknown> } | null)?.properties;
  if (typeof properties !== 'object' || properties === null) return [];
  return Object.entries(properties).flatMap(([name, inner]) => [
    [...above, name],
    ...fieldPaths(inner, [...above, name]),
  ]);
}
