import type { Actor } from '../../src/core/identity/actor.ts';
import { sql } from '../../src/db/sql.ts';
import type { KeboolaServer } from '../support/keboola.ts';

/** Stands in everything tenant A owns; it must never show in an answer to B. */
export const MARKER = 'zebra-of-a';

/** Ids of one thing of every sort that tenant A owns, by the names of the route parameters. */
export type Ids = Record<
  | 'tokenId'
  | 'branchId'
  | 'branchMetadataId'
  | 'bucketId'
  | 'tableId'
  | 'columnId'
  | 'bucketMetadataId'
  | 'tableMetadataId'
  | 'columnMetadataId'
  | 'fileId'
  | 'storageJobId'
  | 'queueJobId'
  | 'eventId'
  | 'eventUuid'
  | 'configurationId'
  | 'rowId'
  | 'instance'
  | 'className'
  | 'objectId'
  | 'endUserId'
  | 'groupId'
  | 'apiKeyId'
  | 'workspaceId'
  | 'credentialsId'
  | 'sqlWorkspaceId'
  | 'sourceId'
  | 'destinationId'
  | 'connectionId'
  | 'syncJobId'
  | 'scriptId'
  | 'scheduleId'
  | 'scheduleTraceId'
  | 'traceId'
  | 'endpointName'
  | 'triggerId'
  | 'snapshotId',
  string
>;

export const COMPONENT = 'keboola.duckdb-transformation';

/** Makes one of everything as tenant A, through the API where there is a call for it. */
export async function seedTenant(server: KeboolaServer, token: string): Promise<Ids> {
  const make = async <T = { id: string }>(method: string, url: string, payload: object): Promise<T> => {
    const answer = await server.call(method, url, { payload, token });
    if (answer.status >= 300) throw new Error(`${method} ${url}: ${answer.status} ${answer.body}`);
    return answer.json<T & Record<string, never>>();
  };
  const storage = '/v2/storage';
  const actor = await server.core.identity.authenticateStorageToken(token);
  const metadata = { provider: 'user', metadata: [{ key: 'marker', value: MARKER }] };
  const bucket = await make('POST', `${storage}/buckets`, { stage: 'in', name: MARKER, description: MARKER });
  const table = await server.core.tables.create(actor, {
    bucketId: bucket.id,
    name: MARKER,
    columns: ['zebra_column'],
  });
  const columnId = `${table.id}.zebra_column`;
  const [ofBucket] = await make<{ id: string }[]>('POST', `${storage}/buckets/${bucket.id}/metadata`, metadata);
  const [ofTable] = (
    await make<{ metadata: { id: string }[] }>('POST', `${storage}/tables/${table.id}/metadata`, metadata)
  ).metadata;
  const [ofColumn] = await make<{ id: string }[]>('POST', `${storage}/columns/${columnId}/metadata`, metadata);
  const [ofBranch] = await make<{ id: string }[]>('POST', `${storage}/metadata`, metadata);
  const file = await make<{ id: number }>('POST', `${storage}/files/prepare`, {
    name: `${MARKER}.csv`,
    tags: [MARKER],
  });
  const storageJob = await make<{ id: number }>('POST', `${storage}/buckets/${bucket.id}/tables-async`, {
    name: `${MARKER}-2`,
    dataFileId: file.id,
  });
  const event = await make<{ id: string; uuid: string }>('POST', `${storage}/events`, {
    component: MARKER,
    message: MARKER,
  });
  const configs = `${storage}/components/${COMPONENT}/configs`;
  const configuration = await make('POST', configs, {
    name: MARKER,
    configuration: { parameters: { marker: MARKER } },
  });
  const row = await make('POST', `${configs}/${configuration.id}/rows`, { name: MARKER, configuration: { a: MARKER } });
  const queueJob = await make('POST', '/queue/jobs', { component: COMPONENT, mode: 'run', config: configuration.id });
  const sqlCredentials = await make<{ id: number }>('POST', '/syrup/provisioning/redshift-workspace', {
    type: 'writer',
  });
  const sqlWorkspace = await make<{ id: number }>('POST', `${storage}/workspaces`, {});
  const plainToken = await make('POST', `${storage}/tokens`, { description: MARKER });
  const trigger = await make('POST', `${storage}/triggers`, {
    runWithTokenId: plainToken.id,
    component: MARKER,
    configurationId: configuration.id,
    coolDownPeriodMinutes: 5,
    tableIds: [table.id],
  });
  const { syncano } = server.credentials;
  const below = `/v1.1/instances/${syncano.instance}`;
  const makeBelow = async (path: string, payload: object): Promise<{ id: number }> => {
    const headers = { 'x-api-key': syncano.accountKey };
    const answer = await server.call('POST', `${below}/${path}`, { payload, token: null, headers });
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.body}`);
    return answer.json<{ id: number } & Record<string, never>>();
  };
  const className = 'zebra_class';
  const schema = [{ name: 'marker', type: 'string' }];
  await makeBelow('classes', { name: className, description: MARKER, schema });
  const object = await makeBelow(`classes/${className}/objects`, { marker: MARKER });
  const endUser = await makeBelow('users', { username: MARKER, password: 'p' });
  const group = await makeBelow('groups', { label: MARKER });
  await makeBelow(`groups/${group.id}/users`, { user: endUser.id });
  const apiKey = await makeBelow('api_keys', { description: MARKER });
  const connectors = await seedConnectors(server, actor);
  // Snapshots are made by jobs, and no worker runs here.
  const snapshotId = await server.core.jobs.ticket(actor);
  await server.db.query(sql`
    insert into table_snapshots (id, project_id, branch_id, table_id, lake_table_id, description, table_description,
      primary_key, metadata, token_id, token_description, created_at)
    select ${snapshotId}, project_id, branch_id, id, lake_table_id, ${MARKER}, '', '{}', '{"table": [], "columns": {}}',
      ${actor.token.id}, ${MARKER}, now()
    from tables where project_id = ${actor.projectId} and id = ${table.id}`);
  const script = await makeBelow('snippets/scripts', { label: MARKER, runtime_name: 'nodejs', source: MARKER });
  const schedule = await makeBelow('schedules', { label: MARKER, script: script.id, interval_sec: 30 });
  await server.db.query(sql`update schedules set next_run_at = now() - interval '1 second' where id = ${schedule.id}`);
  const fired = await server.core.occurrences.handleNext();
  const endpoint = { name: 'zebra-endpoint', script: script.id, public: true, description: MARKER };
  await makeBelow('endpoints/scripts', endpoint);
  const trace = await makeBelow(`snippets/scripts/${script.id}/run`, { payload: { marker: MARKER } });
  return {
    ...connectors,
    instance: syncano.instance,
    className,
    objectId: String(object.id),
    endUserId: String(endUser.id),
    groupId: String(group.id),
    apiKeyId: String(apiKey.id),
    scriptId: String(script.id),
    scheduleId: String(schedule.id),
    scheduleTraceId: String(fired?.jobId),
    traceId: String(trace.id),
    endpointName: endpoint.name,
    triggerId: trigger.id,
    snapshotId: String(snapshotId),
    tokenId: plainToken.id,
    branchId: String(actor.branchId),
    branchMetadataId: ofBranch?.id ?? '',
    bucketId: bucket.id,
    tableId: table.id,
    columnId,
    bucketMetadataId: ofBucket?.id ?? '',
    tableMetadataId: ofTable?.id ?? '',
    columnMetadataId: ofColumn?.id ?? '',
    fileId: String(file.id),
    storageJobId: String(storageJob.id),
    queueJobId: String(queueJob.id),
    eventId: event.id,
    eventUuid: event.uuid,
    configurationId: configuration.id,
    rowId: row.id,
    credentialsId: String(sqlCredentials.id),
    sqlWorkspaceId: String(sqlWorkspace.id),
  };
}

/** Made through the core: nobody here could ask a source for its streams. */
async function seedConnectors({ core }: KeboolaServer, actor: Actor) {
  const make = async (role: 'source' | 'destination', slug: string) => {
    const definition = core.connectors.definition(role, { slug });
    const input = { name: MARKER, configuration: { marker: MARKER } };
    const { id } = await core.connectors.create(actor, definition, input);
    return { componentId: definition.id, configurationId: id };
  };
  const source = await make('source', 'faker');
  const destination = await make('destination', 'dev-null');
  const stream = { name: MARKER, json_schema: {}, supported_sync_modes: ['full_refresh' as const] };
  const connection = await core.connections.create(actor, {
    name: MARKER,
    isActive: true,
    settings: {
      source,
      destination,
      namespace: { definition: 'destination' },
      prefix: '',
      schedule: { type: 'manual' },
      schemaChanges: 'ignore',
      streams: [{ stream, sourceMode: 'full_refresh', destinationMode: 'overwrite', cursorField: [], primaryKey: [] }],
    },
  });
  // A sync is refused where the connectors are not installed.
  const job = await core.syncs.reset(actor, connection.id);
  return {
    workspaceId: (await core.projects.get(actor)).uuid,
    sourceId: source.configurationId,
    destinationId: destination.configurationId,
    connectionId: connection.id,
    syncJobId: String(job.id),
  };
}

/** Ids of the right form that nobody has. */
export const UNKNOWN: Ids = {
  workspaceId: '01900000-0000-4000-8000-000000000001',
  credentialsId: '987654399',
  sqlWorkspaceId: '987654398',
  sourceId: '01900000-0000-4000-8000-000000000002',
  destinationId: '01900000-0000-4000-8000-000000000003',
  connectionId: '01900000-0000-4000-8000-000000000004',
  syncJobId: '987654340',
  tokenId: '987654321',
  branchId: '987654322',
  branchMetadataId: '987654399',
  bucketId: 'in.c-nobody',
  tableId: 'in.c-nobody.nothing',
  columnId: 'in.c-nobody.nothing.none',
  bucketMetadataId: '987654323',
  tableMetadataId: '987654324',
  columnMetadataId: '987654325',
  fileId: '987654326',
  storageJobId: '987654327',
  queueJobId: '987654328',
  eventId: '987654329',
  eventUuid: '01900000-0000-7000-8000-000000000000',
  configurationId: '987654331',
  rowId: '987654332',
  instance: 'nobody-has-this',
  className: 'no_such_class',
  objectId: '987654333',
  endUserId: '987654334',
  groupId: '987654339',
  apiKeyId: '987654340',
  scriptId: '987654335',
  scheduleId: '987654337',
  scheduleTraceId: '987654338',
  traceId: '987654336',
  endpointName: 'no-such-endpoint',
  triggerId: '987654350',
  snapshotId: '987654339',
};
