import { AIRBYTE_PREFIXES } from '../../src/dialects/airbyte/index.ts';
import { COMPONENT, type Ids } from './seed.ts';

/**
 * How every registered route is called with the ids of a foreign tenant. A route that is missing here fails the test,
 * and so does a line whose route is gone. HEAD goes with GET, OPTIONS answers the same to everybody.
 */
export type Call = {
  /** Fills the parameters of the route's URL; what is not a tenant's (a component id, a version) is fixed here. */
  params?: (ids: Ids) => Record<string, string>;
  query?: (ids: Ids) => string;
  body?: (ids: Ids) => object;
};

const storage = '/v2/storage';
const configs = `${storage}/components/:componentId/configs`;
const config = `${configs}/:configurationId`;
const row = `${config}/rows/:rowId`;

const instance = '/v1.1/instances/:instance';
const objectClass = `${instance}/classes/:class`;
const object = `${objectClass}/objects/:id`;
const endpoints = `${instance}/endpoints/scripts`;
const scripts = `${instance}/snippets/scripts`;
const ofInstance = (ids: Ids) => ({ instance: ids.instance });
const ofClass = (ids: Ids) => ({ instance: ids.instance, class: ids.className });
const ofObject = (ids: Ids) => ({ ...ofClass(ids), id: ids.objectId });
const ofEndUser = (ids: Ids) => ({ instance: ids.instance, id: ids.endUserId });
const ofEndpoint = (ids: Ids) => ({ instance: ids.instance, name: ids.endpointName });
const ofScript = (ids: Ids) => ({ instance: ids.instance, id: ids.scriptId });
const schedules = `${instance}/schedules`;
const ofSchedule = (ids: Ids) => ({ instance: ids.instance, id: ids.scheduleId });
const scheduleBody = (ids: Ids) => ({ label: 'l', script: ids.scriptId, interval_sec: 60 });
const scriptBody = () => ({ label: 'l', runtime_name: 'nodejs', source: '' });
const ofGroup = (ids: Ids) => ({ instance: ids.instance, id: ids.groupId });
const ofApiKey = (ids: Ids) => ({ instance: ids.instance, id: ids.apiKeyId });
const login = () => ({ username: 'zebra', password: 'p' });

const component = { componentId: COMPONENT };
const one = (ids: Ids) => ({ ...component, configurationId: ids.configurationId });
const oneRow = (ids: Ids) => ({ ...one(ids), rowId: ids.rowId });
const runUrl = { component: COMPONENT, tag: '1' };
const runBody = { body: (ids: Ids) => ({ config: ids.configurationId }) };
const metadataBody = () => ({ provider: 'user', metadata: [{ key: 'k', value: 'v' }] });
const triggerBody = (runWithTokenId: string, tableId: string) => ({
  runWithTokenId,
  component: COMPONENT,
  configurationId: 'c',
  coolDownPeriodMinutes: 5,
  tableIds: [tableId],
});
const named = () => ({ name: 'n' });

const WORKSPACES = 'redshift-workspace';
const oneWorkspace = ({ credentialsId }: Ids) => ({ backend: WORKSPACES, credentialsId });

const oneSqlWorkspace = ({ sqlWorkspaceId }: Ids) => ({ workspaceId: sqlWorkspaceId });

/** There is none: the broad test of bad input calls these as an administrator, and must not end its own project. */
const OTHER_PROJECT = '999';

/** Without ids: they must show nothing of another tenant. */
const none: Call = {};

/** Sources, destinations, connections and their jobs, below each of the two prefixes they answer under. */
const connectors: Record<string, Call> = {
  'GET /workspaces': { query: ({ workspaceId }) => `workspaceIds=${workspaceId}` },
  'GET /workspaces/:workspaceId': { params: ({ workspaceId }) => ({ workspaceId }) },
  ...Object.fromEntries(
    ['sources', 'destinations'].flatMap((role) => [
      [`GET /workspaces/:workspaceId/definitions/${role}`, { params: ({ workspaceId }: Ids) => ({ workspaceId }) }],
      [
        `GET /workspaces/:workspaceId/definitions/${role}/:definitionId`,
        { params: ({ workspaceId }: Ids) => ({ workspaceId, definitionId: 'dfd88b22-b603-4c3d-aad7-3701784586b1' }) },
      ],
    ]),
  ),
  'GET /connector_definitions': { query: () => 'type=source' },
  ...ofConnectors('sources', ({ sourceId }) => sourceId),
  ...ofConnectors('destinations', ({ destinationId }) => destinationId),
  'GET /connections': { query: ({ workspaceId }) => `workspaceIds=${workspaceId}&includeDeleted=true` },
  'POST /connections': { body: ({ sourceId, destinationId }) => ({ sourceId, destinationId }) },
  'GET /connections/:connectionId': { params: ({ connectionId }) => ({ connectionId }) },
  'PATCH /connections/:connectionId': { params: ({ connectionId }) => ({ connectionId }), body: named },
  'DELETE /connections/:connectionId': { params: ({ connectionId }) => ({ connectionId }) },
  'GET /streams': { query: ({ sourceId }) => `sourceId=${sourceId}` },
  'GET /jobs': { query: ({ connectionId }) => `connectionId=${connectionId}` },
  'POST /jobs': { body: ({ connectionId }) => ({ connectionId, jobType: 'sync' }) },
  'GET /jobs/:jobId': { params: ({ syncJobId }) => ({ jobId: syncJobId }) },
  'DELETE /jobs/:jobId': { params: ({ syncJobId }) => ({ jobId: syncJobId }) },
};

function ofConnectors(role: string, idOf: (ids: Ids) => string): Record<string, Call> {
  const params = (ids: Ids) => ({ id: idOf(ids) });
  const body = () => ({ name: 'x', configuration: {} });
  return {
    [`GET /${role}`]: { query: ({ workspaceId }) => `workspaceIds=${workspaceId}&includeDeleted=true` },
    [`POST /${role}`]: { body: ({ workspaceId }) => ({ workspaceId, name: 'x', configuration: {} }) },
    [`GET /${role}/:id`]: { params },
    [`PATCH /${role}/:id`]: { params, body },
    [`PUT /${role}/:id`]: { params, body },
    [`DELETE /${role}/:id`]: { params },
  };
}

export const MATRIX: Record<string, Call> = {
  ...Object.fromEntries(
    AIRBYTE_PREFIXES.flatMap((prefix) =>
      Object.entries(connectors).map(([route, call]) => [route.replace(' ', ` ${prefix}`), call]),
    ),
  ),
  [`GET ${storage}/tokens/verify`]: none,
  [`GET ${storage}/tokens`]: none,
  [`POST ${storage}/tokens`]: { body: () => ({ description: 'mine' }) },
  [`GET ${storage}/tokens/:tokenId`]: { params: ({ tokenId }) => ({ tokenId }) },
  [`PUT ${storage}/tokens/:tokenId`]: { params: ({ tokenId }) => ({ tokenId }), body: () => ({ description: 'x' }) },
  [`DELETE ${storage}/tokens/:tokenId`]: { params: ({ tokenId }) => ({ tokenId }) },
  [`POST ${storage}/tokens/:tokenId/refresh`]: { params: ({ tokenId }) => ({ tokenId }) },
  [`GET ${storage}/tokens/:tokenId/events`]: { params: ({ tokenId }) => ({ tokenId }) },

  [`POST ${storage}/tickets`]: none,
  [`POST ${storage}/webalize/display-name`]: { body: () => ({ displayName: 'x' }) },
  [`POST ${storage}/webalize/column-names`]: { body: () => ({ columnNames: ['x'] }) },
  [`POST ${storage}/validate/column-names`]: { body: () => ({ columnNames: ['x'] }) },

  [`GET ${storage}/dev-branches`]: none,
  [`GET ${config}/metadata`]: { params: one },
  [`POST ${config}/metadata`]: { params: one, body: metadataBody },
  [`DELETE ${config}/metadata/:metadataId`]: {
    params: (ids) => ({ ...one(ids), metadataId: ids.branchMetadataId }),
  },
  [`GET ${storage}/search/component-configurations`]: none,
  [`POST ${storage}/dev-branches`]: { body: named },
  [`GET ${storage}/dev-branches/:branchId`]: { params: ({ branchId }) => ({ branchId }) },
  [`PUT ${storage}/dev-branches/:branchId`]: { params: ({ branchId }) => ({ branchId }), body: named },
  [`DELETE ${storage}/dev-branches/:branchId`]: { params: ({ branchId }) => ({ branchId }) },
  [`GET ${storage}/metadata`]: none,
  [`POST ${storage}/metadata`]: { body: metadataBody },
  [`DELETE ${storage}/metadata/:metadataId`]: { params: ({ branchMetadataId }) => ({ metadataId: branchMetadataId }) },

  [`GET ${storage}/triggers`]: none,
  [`POST ${storage}/triggers`]: { body: ({ tokenId, tableId }) => triggerBody(tokenId, tableId) },
  [`GET ${storage}/triggers/:triggerId`]: { params: ({ triggerId }) => ({ triggerId }) },
  [`PUT ${storage}/triggers/:triggerId`]: {
    params: ({ triggerId }) => ({ triggerId }),
    body: () => ({ coolDownPeriodMinutes: 9 }),
  },
  [`DELETE ${storage}/triggers/:triggerId`]: { params: ({ triggerId }) => ({ triggerId }) },
  [`GET ${storage}/buckets`]: { query: () => 'include=metadata' },
  [`POST ${storage}/buckets`]: { body: () => ({ name: 'of-b', stage: 'in' }) },
  [`GET ${storage}/buckets/:bucketId`]: { params: ({ bucketId }) => ({ bucketId }), query: () => 'include=columns' },
  [`PUT ${storage}/buckets/:bucketId`]: { params: ({ bucketId }) => ({ bucketId }), body: () => ({ color: 'red' }) },
  [`DELETE ${storage}/buckets/:bucketId`]: { params: ({ bucketId }) => ({ bucketId }), query: () => 'force=1' },
  [`POST ${storage}/buckets/:bucketId/share-organization`]: { params: ({ bucketId }) => ({ bucketId }) },
  [`POST ${storage}/buckets/:bucketId/share-organization-project`]: { params: ({ bucketId }) => ({ bucketId }) },
  [`POST ${storage}/buckets/:bucketId/share-to-projects`]: {
    params: ({ bucketId }) => ({ bucketId }),
    body: () => ({ targetProjectIds: [1] }),
  },
  [`POST ${storage}/buckets/:bucketId/share-to-users`]: {
    params: ({ bucketId }) => ({ bucketId }),
    body: () => ({ targetUsers: [1] }),
  },
  [`PUT ${storage}/buckets/:bucketId/share`]: {
    params: ({ bucketId }) => ({ bucketId }),
    body: () => ({ sharing: 'organization' }),
  },
  [`DELETE ${storage}/buckets/:bucketId/share`]: { params: ({ bucketId }) => ({ bucketId }) },
  [`DELETE ${storage}/buckets/:bucketId/links/:projectId`]: {
    params: ({ bucketId }) => ({ bucketId, projectId: '1' }),
  },
  [`GET ${storage}/shared-buckets`]: none,
  [`GET ${storage}/buckets/:bucketId/tables`]: { params: ({ bucketId }) => ({ bucketId }) },
  [`GET ${storage}/buckets/:bucketId/events`]: { params: ({ bucketId }) => ({ bucketId }) },
  // Answers 202 for any bucket, as the original does: whether it is there shows when the job runs.
  [`POST ${storage}/buckets/:bucketId/tables-async`]: {
    params: ({ bucketId }) => ({ bucketId }),
    body: ({ fileId }) => ({ name: 'stolen', dataFileId: fileId }),
  },
  // Without a name it is refused at once; with one the answer waits for a worker.
  [`POST ${storage}/buckets/:bucketId/tables`]: {
    params: ({ bucketId }) => ({ bucketId }),
    body: () => ({ dataString: '' }),
  },
  [`GET ${storage}/buckets/:id/metadata`]: { params: ({ bucketId }) => ({ id: bucketId }) },
  [`POST ${storage}/buckets/:id/metadata`]: { params: ({ bucketId }) => ({ id: bucketId }), body: metadataBody },
  [`DELETE ${storage}/buckets/:id/metadata/:metadataId`]: {
    params: ({ bucketId, bucketMetadataId }) => ({ id: bucketId, metadataId: bucketMetadataId }),
  },

  [`GET ${storage}/tables`]: { query: () => 'include=buckets,columns,metadata,columnMetadata' },
  [`GET ${storage}/tables/:tableId`]: { params: ({ tableId }) => ({ tableId }) },
  [`PUT ${storage}/tables/:tableId`]: { params: ({ tableId }) => ({ tableId }), body: () => ({ displayName: 'x' }) },
  [`DELETE ${storage}/tables/:tableId`]: { params: ({ tableId }) => ({ tableId }), query: () => 'force=1' },
  [`GET ${storage}/tables/:tableId/data-preview`]: { params: ({ tableId }) => ({ tableId }) },
  [`GET ${storage}/tables/:tableId/events`]: { params: ({ tableId }) => ({ tableId }) },
  [`POST ${storage}/tables/:tableId/import-async`]: {
    params: ({ tableId }) => ({ tableId }),
    body: ({ fileId }) => ({ dataFileId: fileId }),
  },
  [`POST ${storage}/tables/:tableId/import`]: {
    params: ({ tableId }) => ({ tableId }),
    body: () => ({ dataString: 'a' }),
  },
  [`POST ${storage}/tables/:tableId/export-async`]: { params: ({ tableId }) => ({ tableId }) },
  [`DELETE ${storage}/tables/:tableId/rows`]: {
    params: ({ tableId }) => ({ tableId }),
    query: () => 'allowTruncate=1',
  },
  [`GET ${storage}/tables/:tableId/snapshots`]: { params: ({ tableId }) => ({ tableId }) },
  [`POST ${storage}/tables/:tableId/snapshots`]: { params: ({ tableId }) => ({ tableId }), body: () => ({}) },
  [`GET ${storage}/snapshots/:snapshotId`]: { params: ({ snapshotId }) => ({ snapshotId }) },
  [`DELETE ${storage}/snapshots/:snapshotId`]: { params: ({ snapshotId }) => ({ snapshotId }) },
  [`PUT ${storage}/tables/:tableId/definition`]: {
    params: ({ tableId }) => ({ tableId }),
    body: () => ({ displayName: 'x' }),
  },
  [`PUT ${storage}/tables/:tableId/columns/:column/definition`]: {
    params: ({ tableId }) => ({ tableId, column: 'id' }),
    body: () => ({ nullable: true }),
  },
  // Answers 202 for any bucket, like `tables-async`.
  [`POST ${storage}/buckets/:bucketId/tables-definition`]: {
    params: ({ bucketId }) => ({ bucketId }),
    body: () => ({ name: 'stolen', columns: [{ name: 'a' }] }),
  },
  [`POST ${storage}/tables/:tableId/columns`]: { params: ({ tableId }) => ({ tableId }), body: () => ({ name: 'x' }) },
  [`DELETE ${storage}/tables/:tableId/columns/:column`]: { params: ({ tableId }) => ({ tableId, column: 'id' }) },
  [`POST ${storage}/tables/:tableId/primary-key`]: {
    params: ({ tableId }) => ({ tableId }),
    body: () => ({ columns: ['id'] }),
  },
  [`DELETE ${storage}/tables/:tableId/primary-key`]: { params: ({ tableId }) => ({ tableId }) },
  [`GET ${storage}/tables/:id/metadata`]: { params: ({ tableId }) => ({ id: tableId }) },
  [`POST ${storage}/tables/:id/metadata`]: { params: ({ tableId }) => ({ id: tableId }), body: metadataBody },
  [`DELETE ${storage}/tables/:id/metadata/:metadataId`]: {
    params: ({ tableId, tableMetadataId }) => ({ id: tableId, metadataId: tableMetadataId }),
  },
  [`GET ${storage}/columns/:id/metadata`]: { params: ({ columnId }) => ({ id: columnId }) },
  [`POST ${storage}/columns/:id/metadata`]: { params: ({ columnId }) => ({ id: columnId }), body: metadataBody },
  [`DELETE ${storage}/columns/:id/metadata/:metadataId`]: {
    params: ({ columnId, columnMetadataId }) => ({ id: columnId, metadataId: columnMetadataId }),
  },

  [`GET ${storage}/files`]: none,
  [`POST ${storage}/files/prepare`]: { body: () => ({ name: 'of-b.csv' }) },
  [`GET ${storage}/files/:fileId`]: { params: ({ fileId }) => ({ fileId }), query: () => 'federationToken=1' },
  [`DELETE ${storage}/files/:fileId`]: { params: ({ fileId }) => ({ fileId }) },
  [`POST ${storage}/files/:fileId/tags`]: { params: ({ fileId }) => ({ fileId }), body: () => ({ tag: 't' }) },
  [`DELETE ${storage}/files/:fileId/tags/*`]: { params: ({ fileId }) => ({ fileId, '*': 't' }) },

  [`GET ${storage}/jobs`]: none,
  [`GET ${storage}/jobs/:jobId`]: { params: ({ storageJobId }) => ({ jobId: storageJobId }) },
  [`GET ${storage}/events`]: none,
  [`POST ${storage}/events`]: { body: () => ({ component: 'c', message: 'm' }) },
  [`GET ${storage}/events/:eventId`]: { params: ({ eventUuid }) => ({ eventId: eventUuid }) },

  [`GET ${storage}/components`]: { query: () => 'include=configuration,rows,state' },
  [`GET ${configs}`]: { params: () => component },
  [`POST ${configs}`]: { params: () => component, body: named },
  [`GET ${config}`]: { params: one },
  [`PUT ${config}`]: { params: one, body: named },
  [`PUT ${config}/state`]: { params: one, body: () => ({ state: {} }) },
  [`DELETE ${config}`]: { params: one },
  [`POST ${config}/restore`]: { params: one },
  [`POST ${config}/reset-to-default`]: { params: one },
  [`GET ${config}/versions`]: { params: one },
  [`GET ${config}/versions/:version`]: { params: (ids) => ({ ...one(ids), version: '1' }) },
  [`POST ${config}/versions/:version/rollback`]: { params: (ids) => ({ ...one(ids), version: '1' }) },
  [`POST ${config}/versions/:version/create`]: { params: (ids) => ({ ...one(ids), version: '1' }), body: named },
  [`GET ${config}/rows`]: { params: one },
  [`POST ${config}/rows`]: { params: one, body: named },
  [`GET ${row}`]: { params: oneRow },
  [`PUT ${row}`]: { params: oneRow, body: named },
  [`PUT ${row}/state`]: { params: oneRow, body: () => ({ state: {} }) },
  [`DELETE ${row}`]: { params: oneRow },
  [`GET ${row}/versions`]: { params: oneRow },
  [`GET ${row}/versions/:version`]: { params: (ids) => ({ ...oneRow(ids), version: '1' }) },
  [`POST ${row}/versions/:version/rollback`]: { params: (ids) => ({ ...oneRow(ids), version: '1' }) },
  [`POST ${row}/versions/:version/create`]: { params: (ids) => ({ ...oneRow(ids), version: '1' }), body: named },

  [`GET ${storage}/workspaces`]: none,
  [`POST ${storage}/workspaces`]: { body: () => ({}) },
  [`GET ${storage}/workspaces/:workspaceId`]: { params: oneSqlWorkspace },
  [`DELETE ${storage}/workspaces/:workspaceId`]: { params: oneSqlWorkspace },
  [`POST ${storage}/workspaces/:workspaceId/password`]: { params: oneSqlWorkspace },
  [`POST ${storage}/workspaces/:workspaceId/load`]: {
    params: oneSqlWorkspace,
    body: ({ tableId }) => ({ input: [{ source: tableId, destination: 'x' }] }),
  },
  [`POST ${storage}/workspaces/:workspaceId/load-clone`]: { params: oneSqlWorkspace, body: () => ({}) },
  [`POST ${storage}/workspaces/:workspaceId/unload`]: {
    params: oneSqlWorkspace,
    body: () => ({ 'only-direct-grants': true }),
  },
  [`POST ${storage}/workspaces/:workspaceId/table-export`]: {
    params: oneSqlWorkspace,
    body: () => ({ tableName: 'x' }),
  },
  [`POST ${storage}/workspaces/:workspaceId/query`]: { params: oneSqlWorkspace, body: () => ({ query: 'select 1' }) },
  [`GET ${storage}/workspaces/:workspaceId/objects`]: { params: oneSqlWorkspace },
  [`POST ${storage}/workspaces/:workspaceId/objects/batch-delete`]: {
    params: oneSqlWorkspace,
    body: () => ({ objects: ['x'] }),
  },
  [`GET ${config}/workspaces`]: { params: one },
  [`POST ${config}/workspaces`]: { params: one, body: () => ({}) },

  'GET /v1.1/instances': none,
  [`GET ${instance}`]: { params: ofInstance },
  [`GET ${instance}/classes`]: { params: ofInstance },
  [`POST ${instance}/classes`]: { params: ofInstance, body: () => ({ name: 'mine', schema: [] }) },
  [`GET ${objectClass}`]: { params: ofClass },
  [`PUT ${objectClass}`]: { params: ofClass, body: () => ({ schema: [] }) },
  [`PATCH ${objectClass}`]: { params: ofClass, body: () => ({ description: 'x' }) },
  [`DELETE ${objectClass}`]: { params: ofClass },
  [`GET ${objectClass}/objects`]: { params: ofClass },
  [`POST ${objectClass}/objects`]: { params: ofClass, body: () => ({ marker: 'x' }) },
  [`GET ${object}`]: { params: ofObject },
  [`PATCH ${object}`]: { params: ofObject, body: () => ({ marker: 'x' }) },
  [`POST ${object}`]: { params: ofObject, body: () => ({ marker: 'x' }) },
  [`DELETE ${object}`]: { params: ofObject },
  [`GET ${instance}/users`]: { params: ofInstance },
  [`POST ${instance}/users`]: { params: ofInstance, body: login },
  [`GET ${instance}/users/:id`]: { params: ofEndUser },
  [`PUT ${instance}/users/:id`]: { params: ofEndUser, body: login },
  [`PATCH ${instance}/users/:id`]: { params: ofEndUser, body: login },
  [`DELETE ${instance}/users/:id`]: { params: ofEndUser },
  [`POST ${instance}/users/:id/reset_key`]: { params: ofEndUser },
  [`GET ${instance}/user`]: { params: ofInstance },
  [`PUT ${instance}/user`]: { params: ofInstance, body: login },
  [`PATCH ${instance}/user`]: { params: ofInstance, body: login },
  [`POST ${instance}/user`]: { params: ofInstance, body: login },
  [`POST ${instance}/user/auth`]: { params: ofInstance, body: login },
  [`GET ${scripts}`]: { params: ofInstance },
  [`POST ${scripts}`]: { params: ofInstance, body: scriptBody },
  [`GET ${scripts}/runtimes`]: { params: ofInstance },
  [`GET ${scripts}/:id`]: { params: ofScript },
  [`PUT ${scripts}/:id`]: { params: ofScript, body: scriptBody },
  [`PATCH ${scripts}/:id`]: { params: ofScript, body: scriptBody },
  [`DELETE ${scripts}/:id`]: { params: ofScript },
  [`POST ${scripts}/:id/run`]: { params: ofScript },
  [`GET ${scripts}/:id/traces`]: { params: ofScript },
  [`GET ${schedules}`]: { params: ofInstance },
  [`POST ${schedules}`]: { params: ofInstance, body: scheduleBody },
  [`GET ${schedules}/:id`]: { params: ofSchedule },
  [`PUT ${schedules}/:id`]: { params: ofSchedule, body: scheduleBody },
  [`PATCH ${schedules}/:id`]: { params: ofSchedule, body: scheduleBody },
  [`DELETE ${schedules}/:id`]: { params: ofSchedule },
  [`GET ${schedules}/:id/traces`]: { params: ofSchedule },
  [`GET ${schedules}/:id/traces/:trace`]: {
    params: (ids) => ({ ...ofSchedule(ids), trace: ids.scheduleTraceId }),
  },
  [`GET ${scripts}/:id/schedules/:schedule/traces`]: {
    params: (ids) => ({ ...ofScript(ids), schedule: ids.scheduleId }),
  },
  [`GET ${scripts}/:id/schedules/:schedule/traces/:trace`]: {
    params: (ids) => ({ ...ofScript(ids), schedule: ids.scheduleId, trace: ids.scheduleTraceId }),
  },
  [`GET ${scripts}/:id/traces/:trace`]: { params: (ids) => ({ ...ofScript(ids), trace: ids.traceId }) },
  [`GET ${instance}/snippets`]: { params: ofInstance },
  [`GET ${instance}/endpoints`]: { params: ofInstance },
  [`GET ${endpoints}`]: { params: ofInstance },
  [`POST ${endpoints}`]: { params: ofInstance, body: (ids) => ({ name: 'mine', script: ids.scriptId }) },
  [`GET ${endpoints}/:name`]: { params: ofEndpoint },
  [`PUT ${endpoints}/:name`]: { params: ofEndpoint, body: (ids) => ({ script: ids.scriptId }) },
  [`PATCH ${endpoints}/:name`]: { params: ofEndpoint, body: () => ({ description: 'x' }) },
  [`DELETE ${endpoints}/:name`]: { params: ofEndpoint },
  [`GET ${endpoints}/:name/run`]: { params: ofEndpoint },
  [`POST ${endpoints}/:name/run`]: { params: ofEndpoint },
  [`POST ${endpoints}/:name/reset_link`]: { params: ofEndpoint },
  [`GET ${endpoints}/:name/traces`]: { params: ofEndpoint },
  [`GET ${endpoints}/:name/traces/:trace`]: { params: (ids) => ({ ...ofEndpoint(ids), trace: ids.traceId }) },
  [`GET ${instance}/users/:id/groups`]: { params: ofEndUser },
  [`POST ${instance}/users/:id/groups`]: { params: ofEndUser, body: ({ groupId }) => ({ group: groupId }) },
  [`GET ${instance}/users/:id/groups/:group`]: { params: (ids) => ({ ...ofEndUser(ids), group: ids.groupId }) },
  [`DELETE ${instance}/users/:id/groups/:group`]: { params: (ids) => ({ ...ofEndUser(ids), group: ids.groupId }) },
  [`GET ${instance}/groups`]: { params: ofInstance },
  [`POST ${instance}/groups`]: { params: ofInstance, body: () => ({ label: 'mine' }) },
  [`GET ${instance}/groups/:id`]: { params: ofGroup },
  [`PUT ${instance}/groups/:id`]: { params: ofGroup, body: () => ({ label: 'x' }) },
  [`PATCH ${instance}/groups/:id`]: { params: ofGroup, body: () => ({ label: 'x' }) },
  [`DELETE ${instance}/groups/:id`]: { params: ofGroup },
  [`GET ${instance}/groups/:id/users`]: { params: ofGroup },
  [`POST ${instance}/groups/:id/users`]: { params: ofGroup, body: ({ endUserId }) => ({ user: endUserId }) },
  [`GET ${instance}/groups/:id/users/:user`]: { params: (ids) => ({ ...ofGroup(ids), user: ids.endUserId }) },
  [`DELETE ${instance}/groups/:id/users/:user`]: { params: (ids) => ({ ...ofGroup(ids), user: ids.endUserId }) },
  [`GET ${instance}/api_keys`]: { params: ofInstance },
  [`POST ${instance}/api_keys`]: { params: ofInstance, body: () => ({ description: 'mine' }) },
  [`GET ${instance}/api_keys/:id`]: { params: ofApiKey },
  [`PUT ${instance}/api_keys/:id`]: { params: ofApiKey, body: () => ({ description: 'x' }) },
  [`PATCH ${instance}/api_keys/:id`]: { params: ofApiKey, body: () => ({ description: 'x' }) },
  [`DELETE ${instance}/api_keys/:id`]: { params: ofApiKey },
  [`POST ${instance}/api_keys/:id/reset_key`]: { params: ofApiKey },
  'GET /v1.1/account': none,
  'PUT /v1.1/account': { body: () => ({ metadata: 'x' }) },
  'PATCH /v1.1/account': { body: () => ({ metadata: 'x' }) },
  'POST /v1.1/account/password': { body: () => ({ current_password: 'no', new_password: 'x' }) },
  // Refused for what is in the body before the key is changed: the caller goes on with it.
  'POST /v1.1/account/reset_key': { query: () => 'fields=%00' },
  [`POST ${instance}/batch`]: { params: ofInstance, body: () => ({ requests: [] }) },

  'GET /manage/tokens/verify': none,
  'POST /manage/projects': { body: named },
  // No project's token opens any of these; who may what of them is tested beside the routes.
  'GET /manage/maintainers/:id/users': { params: () => ({ id: '1' }) },
  'POST /manage/maintainers/:id/users': { params: () => ({ id: '1' }), body: () => ({ email: 'a@b' }) },
  'DELETE /manage/maintainers/:id/users/:who': { params: () => ({ id: '1', who: '1' }) },
  'POST /manage/maintainers/:id/join-maintainer': { params: () => ({ id: '1' }) },
  'GET /manage/maintainers/:id/invitations': { params: () => ({ id: '1' }) },
  'POST /manage/maintainers/:id/invitations': { params: () => ({ id: '1' }), body: () => ({ email: 'a@b' }) },
  'GET /manage/maintainers/:id/invitations/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'DELETE /manage/maintainers/:id/invitations/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'GET /manage/current-user/maintainers-invitations': none,
  'GET /manage/current-user/maintainers-invitations/:id': { params: () => ({ id: '1' }) },
  'PUT /manage/current-user/maintainers-invitations/:id': { params: () => ({ id: '1' }) },
  'DELETE /manage/current-user/maintainers-invitations/:id': { params: () => ({ id: '1' }) },
  'GET /manage/organizations/:id/users': { params: () => ({ id: '1' }) },
  'POST /manage/organizations/:id/users': { params: () => ({ id: '1' }), body: () => ({ email: 'a@b' }) },
  'DELETE /manage/organizations/:id/users/:who': { params: () => ({ id: '1', who: '1' }) },
  'POST /manage/organizations/:id/join-organization': { params: () => ({ id: '1' }) },
  'GET /manage/organizations/:id/invitations': { params: () => ({ id: '1' }) },
  'POST /manage/organizations/:id/invitations': { params: () => ({ id: '1' }), body: () => ({ email: 'a@b' }) },
  'GET /manage/organizations/:id/invitations/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'DELETE /manage/organizations/:id/invitations/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'GET /manage/current-user/organizations-invitations': none,
  'GET /manage/current-user/organizations-invitations/:id': { params: () => ({ id: '1' }) },
  'PUT /manage/current-user/organizations-invitations/:id': { params: () => ({ id: '1' }) },
  'DELETE /manage/current-user/organizations-invitations/:id': { params: () => ({ id: '1' }) },
  'GET /manage/projects/:id/users': { params: () => ({ id: '1' }) },
  'POST /manage/projects/:id/users': { params: () => ({ id: '1' }), body: () => ({ email: 'a@b' }) },
  'DELETE /manage/projects/:id/users/:who': { params: () => ({ id: OTHER_PROJECT, who: '1' }) },
  'POST /manage/projects/:id/join-project': { params: () => ({ id: '1' }) },
  'GET /manage/projects/:id/invitations': { params: () => ({ id: '1' }) },
  'POST /manage/projects/:id/invitations': { params: () => ({ id: '1' }), body: () => ({ email: 'a@b' }) },
  'GET /manage/projects/:id/invitations/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'DELETE /manage/projects/:id/invitations/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'GET /manage/current-user/projects-invitations': none,
  'GET /manage/current-user/projects-invitations/:id': { params: () => ({ id: '1' }) },
  'PUT /manage/current-user/projects-invitations/:id': { params: () => ({ id: '1' }) },
  'DELETE /manage/current-user/projects-invitations/:id': { params: () => ({ id: '1' }) },
  'POST /manage/projects/:id/request-access': { params: () => ({ id: '1' }) },
  'GET /manage/projects/:id/join-requests': { params: () => ({ id: '1' }) },
  'GET /manage/projects/:id/join-requests/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'PUT /manage/projects/:id/join-requests/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'DELETE /manage/projects/:id/join-requests/:pendingId': { params: () => ({ id: '1', pendingId: '1' }) },
  'GET /manage/current-user/projects-join-requests': none,
  'GET /manage/current-user/projects-join-requests/:id': { params: () => ({ id: '1' }) },
  'DELETE /manage/current-user/projects-join-requests/:id': { params: () => ({ id: '1' }) },
  'GET /manage/maintainers': none,
  'POST /manage/maintainers': { body: () => ({ name: 'n' }) },
  'GET /manage/maintainers/:id': { params: () => ({ id: '1' }) },
  'PATCH /manage/maintainers/:id': { params: () => ({ id: '1' }) },
  'DELETE /manage/maintainers/:id': { params: () => ({ id: '1' }) },
  'GET /manage/maintainers/:id/organizations': { params: () => ({ id: '1' }) },
  'POST /manage/maintainers/:id/organizations': { params: () => ({ id: '1' }), body: () => ({ name: 'n' }) },
  'GET /manage/organizations': none,
  'GET /manage/organizations/:id': { params: () => ({ id: '1' }) },
  'PATCH /manage/organizations/:id': { params: () => ({ id: '1' }) },
  'DELETE /manage/organizations/:id': { params: () => ({ id: '1' }) },
  'GET /manage/organizations/:id/projects-users': { params: () => ({ id: '1' }) },
  'GET /manage/organizations/:id/projects': { params: () => ({ id: '1' }) },
  'POST /manage/organizations/:id/projects': { params: () => ({ id: '1' }), body: () => ({ name: 'n' }) },
  'GET /manage/projects': none,
  'GET /manage/projects/:id': { params: () => ({ id: '1' }) },
  'PUT /manage/projects/:id': { params: () => ({ id: OTHER_PROJECT }) },
  'DELETE /manage/projects/:id': { params: () => ({ id: OTHER_PROJECT }) },
  'POST /manage/projects/:id/organizations': {
    params: () => ({ id: OTHER_PROJECT }),
    body: () => ({ organizationId: 1 }),
  },
  'POST /manage/projects/:id/limits': { params: () => ({ id: '1' }), body: () => ({ limits: [] }) },
  'DELETE /manage/projects/:id/limits/:name': { params: () => ({ id: '1', name: 'n' }) },
  'POST /manage/projects/:id/disabled': { params: () => ({ id: OTHER_PROJECT }), body: () => ({ isDisabled: true }) },
  'PATCH /manage/projects/:id/users/:who': { params: () => ({ id: OTHER_PROJECT, who: '1' }) },
  'POST /manage/projects/:id/tokens': { params: () => ({ id: OTHER_PROJECT }) },
  'GET /manage/deleted-projects': none,
  'GET /manage/deleted-projects/:id': { params: () => ({ id: '1' }) },
  'DELETE /manage/deleted-projects/:id': { params: () => ({ id: '1' }) },
  'GET /manage/users': none,
  'POST /manage/users': { body: () => ({ email: 'a@b' }) },
  'GET /manage/users/:who': { params: () => ({ who: '1' }) },
  'PUT /manage/users/:who': { params: () => ({ who: '1' }) },
  'DELETE /manage/users/:who': { params: () => ({ who: '1' }) },
  'POST /manage/users/:who/super-admin': { params: () => ({ who: '1' }) },
  'DELETE /manage/users/:who/super-admin': { params: () => ({ who: '1' }) },
  'POST /manage/users/:who/tokens': { params: () => ({ who: '1' }), body: () => ({ description: 'd' }) },
  'POST /manage/current-user/session-token': none,
  'GET /manage/tokens': none,
  'POST /manage/tokens': { body: () => ({ description: 'd' }) },
  'DELETE /manage/tokens/:id': { params: () => ({ id: '1' }) },

  'POST /queue/jobs': {
    body: ({ configurationId }) => ({ component: COMPONENT, mode: 'run', config: configurationId }),
  },
  'GET /queue/jobs': none,
  'GET /queue/search/jobs': none,
  'GET /queue/jobs/:jobId': { params: ({ queueJobId }) => ({ jobId: queueJobId }) },
  'POST /queue/jobs/:jobId/kill': { params: ({ queueJobId }) => ({ jobId: queueJobId }) },

  'POST /syrup/run': { body: ({ configurationId }) => ({ component: COMPONENT, config: configurationId }) },
  'POST /syrup/docker/run': { body: ({ configurationId }) => ({ component: COMPONENT, config: configurationId }) },
  'POST /syrup/:component/run': { params: () => runUrl, ...runBody },
  'POST /syrup/:component/run/tag/:tag': { params: () => runUrl, ...runBody },
  'POST /syrup/:component/debug': { params: () => runUrl, ...runBody },
  'POST /syrup/docker/:component/run': { params: () => runUrl, ...runBody },
  'POST /syrup/docker/:component/run/tag/:tag': { params: () => runUrl, ...runBody },
  'POST /syrup/docker/:component/debug': { params: () => runUrl, ...runBody },
  ...Object.fromEntries(
    ['/syrup/branch', '/syrup/docker/branch'].flatMap((prefix) =>
      ['run', 'run/tag/:tag', 'debug'].map((act) => [
        `POST ${prefix}/:branchId/:component/${act}`,
        { params: ({ branchId }: Ids) => ({ ...runUrl, branchId }), ...runBody },
      ]),
    ),
  ),
  'GET /syrup/queue/job/:jobId': { params: ({ queueJobId }) => ({ jobId: queueJobId }) },
  'GET /syrup/queue/jobs': none,
  'POST /syrup/queue/jobs/:jobId/kill': { params: ({ queueJobId }) => ({ jobId: queueJobId }) },

  'POST /syrup/provisioning/:backend': { params: () => ({ backend: WORKSPACES }), body: () => ({ type: 'sandbox' }) },
  'GET /syrup/provisioning/:backend': { params: () => ({ backend: WORKSPACES }), query: () => 'type=writer' },
  'GET /syrup/provisioning/:backend/:credentialsId': { params: oneWorkspace },
  'DELETE /syrup/provisioning/:backend/:credentialsId': { params: oneWorkspace },
  'POST /syrup/provisioning/:backend/:credentialsId/kill': { params: oneWorkspace },
  'POST /syrup/provisioning/:backend/:credentialsId/extend': { params: oneWorkspace },
  'POST /syrup/provisioning/async/:backend': { params: () => ({ backend: 'docker' }) },
  'POST /syrup/provisioning/async/:backend/transformation': { params: () => ({ backend: 'docker' }) },
  'DELETE /syrup/provisioning/async/:backend/:credentialsId': { params: oneWorkspace },
  'POST /syrup/provisioning/async/:backend/:credentialsId/:act': {
    params: (ids) => ({ ...oneWorkspace(ids), act: 'input' }),
  },
};

/** Routes that ask for no token at all. Nothing of any tenant may be reachable through them without a signature. */
export const PUBLIC = [
  'GET /',
  'GET /health',
  'GET /metrics',
  'GET /docs',
  'GET /docs/keboola/openapi.json',
  'GET /docs/airbyte/openapi.json',
  ...AIRBYTE_PREFIXES.flatMap((prefix) => [`GET ${prefix}/health`, `POST ${prefix}/applications/token`]),
  'GET /v2/storage',
  'GET /v1.1',
  'GET /v1.1/schema',
  'GET /docs/syncano/openapi.json',
  // They take a password instead of a key, or nothing.
  'POST /v1.1/account/auth',
  'POST /v1.1/account/register',
  'GET /v2/storage/components/:componentId',
  // Open to whoever knows the link, which is a secret of 160 bits.
  `GET ${endpoints}/p/:link/:name`,
  `POST ${endpoints}/p/:link/:name`,
  'GET /queue',
  'GET /queue/health-check',
  'GET /syrup/health-check',
  // Who may do what is said by the signature in the URL; checked by its own test below.
  'GET /abs/kbc.blob.core.windows.net/*',
  'PUT /abs/kbc.blob.core.windows.net/*',
  'DELETE /abs/kbc.blob.core.windows.net/*',
];
