import type { Event } from '../../../core/events/event-model.ts';
import type { EventName } from '../../../core/events/event-names.ts';
import { formatDate } from '../scalars.ts';

/** Our event names in Keboola's words, all of them under `storage.`. */
export const KEBOOLA_EVENTS: Record<Exclude<EventName, 'ext'>, string> = {
  'project.created': 'projectCreated',
  'project.updated': 'projectUpdated',
  'project.deleted': 'projectDeleted',
  'project.restored': 'projectRestored',
  'project.member-added': 'projectMemberAdded',
  'project.member-changed': 'projectMemberChanged',
  'project.member-removed': 'projectMemberRemoved',
  'token.created': 'tokenCreated',
  'token.updated': 'tokenUpdated',
  'token.refreshed': 'tokenRefreshed',
  'token.deleted': 'tokenDeleted',
  'branch.created': 'devBranchCreated',
  'branch.updated': 'devBranchUpdated',
  'branch.deleted': 'devBranchDeleted',
  'branch.metadata-set': 'devBranchMetadataSet',
  'branch.metadata-deleted': 'devBranchMetadataDeleted',
  'bucket.created': 'bucketCreated',
  'bucket.updated': 'bucketUpdated',
  'bucket.deleted': 'bucketDeleted',
  'bucket.sharing-enabled': 'bucketSharingEnabled',
  'bucket.sharing-changed': 'bucketSharingTypeChanged',
  'bucket.sharing-disabled': 'bucketSharingDisabled',
  'bucket.linked': 'bucketLinked',
  'bucket.unlinked': 'bucketForceUnlinked',
  'bucket.metadata-set': 'bucketMetadataSet',
  'bucket.metadata-deleted': 'bucketMetadataDeleted',
  'table.created': 'tableCreated',
  'table.updated': 'tableUpdated',
  'table.snapshot-created': 'tableSnapshotCreated',
  'table.snapshot-deleted': 'tableSnapshotDeleted',
  'table.deleted': 'tableDeleted',
  'table.imported': 'tableImportDone',
  'table.exported': 'tableExported',
  'table.rows-deleted': 'tableRowsDeleted',
  'table.column-added': 'tableColumnAdded',
  'table.column-deleted': 'tableColumnDeleted',
  'table.columns-updated': 'tableColumnsUpdated',
  'table.primary-key-added': 'tablePrimaryKeyAdded',
  'table.primary-key-deleted': 'tablePrimaryKeyDeleted',
  'table.metadata-set': 'tableMetadataSet',
  'table.metadata-deleted': 'tableMetadataDeleted',
  'column.metadata-set': 'columnMetadataSet',
  'column.metadata-deleted': 'columnMetadataDeleted',
  'file.created': 'fileUploaded',
  'file.deleted': 'fileDeleted',
  'file.tag-added': 'fileTagAdded',
  'file.tag-removed': 'fileTagDeleted',
  'configuration.created': 'componentConfigurationCreated',
  'configuration.changed': 'componentConfigurationChanged',
  'configuration.deleted': 'componentConfigurationDeleted',
  'configuration.purged': 'componentConfigurationPurged',
  'configuration.restored': 'componentConfigurationRestored',
  'configuration.rolled-back': 'componentConfigurationRolledBack',
  'configuration.copied': 'componentConfigurationCopied',
  'configuration.metadata-set': 'componentConfigurationMetadataSet',
  'configuration.metadata-deleted': 'componentConfigurationMetadataDeleted',
  'configuration-row.created': 'componentConfigurationRowCreated',
  'configuration-row.changed': 'componentConfigurationRowChanged',
  'configuration-row.deleted': 'componentConfigurationRowDeleted',
  'configuration-row.rolled-back': 'componentConfigurationRowRolledBack',
  'configuration-row.copied': 'componentConfigurationRowCopied',
  'class.created': 'classCreated',
  'class.updated': 'classUpdated',
  'class.loaded': 'classLoaded',
  'class.deleted': 'classDeleted',
  'end-user.created': 'endUserCreated',
  'end-user.updated': 'endUserUpdated',
  'end-user.key-refreshed': 'endUserKeyRefreshed',
  'end-user-group.created': 'endUserGroupCreated',
  'end-user-group.updated': 'endUserGroupUpdated',
  'end-user-group.deleted': 'endUserGroupDeleted',
  'person.updated': 'personUpdated',
  'end-user.deleted': 'endUserDeleted',
  'workspace.created': 'workspaceCreated',
  'workspace.loaded': 'workspaceLoaded',
  'workspace.exported': 'workspaceTableExported',
  'workspace.objects-dropped': 'workspaceObjectsDeleted',
  'workspace.extended': 'workspaceExtended',
  'workspace.sessions-ended': 'workspaceSessionsEnded',
  'workspace.password-reset': 'workspacePasswordReset',
  'workspace.deleted': 'workspaceDeleted',
  'schedule.created': 'scheduleCreated',
  'schedule.changed': 'scheduleChanged',
  'schedule.deleted': 'scheduleDeleted',
  'schedule.skipped': 'scheduleSkipped',
  'schedule.not-started': 'scheduleNotStarted',
  'schedule.stopped': 'scheduleStopped',
  'trigger.created': 'triggerCreated',
  'trigger.changed': 'triggerUpdated',
  'trigger.deleted': 'triggerDeleted',
  'trigger.not-started': 'triggerNotStarted',
  'trigger.stopped': 'triggerStopped',
  'job.created': 'jobCreated',
  'job.stopping': 'jobTerminating',
  'job.finished': 'jobFinished',
};

const OBJECT_TYPES: Record<string, string> = {
  configuration: 'componentConfiguration',
  'configuration-row': 'componentConfigurationRow',
  branch: 'devBranch',
};

/** Keboola's object types in ours, for filters. */
export function toCoreObjectType(type: string): string {
  return Object.entries(OBJECT_TYPES).find(([, keboola]) => keboola === type)?.[0] ?? type;
}

/** The core name of `storage.tableCreated`; undefined for a name nobody knows. */
export function toCoreEventName(name: string): EventName | undefined {
  if (name.startsWith('ext.')) return 'ext';
  const found = Object.entries(KEBOOLA_EVENTS).find(([, keboola]) => `storage.${keboola}` === name);
  return found?.[0] as EventName | undefined;
}

export function toKeboolaEvent(event: Event, storageUrl: string): Record<string, unknown> {
  const { origin } = event;
  return {
    id: String(event.id),
    uuid: event.uuid,
    event:
      event.name === 'ext'
        ? `ext.${event.component}.${event.configurationId ?? ''}`
        : `storage.${KEBOOLA_EVENTS[event.name]}`,
    component: event.component,
    message: event.message,
    description: event.description,
    type: event.type,
    runId: event.runId ?? null,
    created: formatDate(event.createdAt),
    configurationId: event.configurationId ?? null,
    objectId: event.objectId ?? '',
    objectName: event.objectName ?? '',
    objectType: OBJECT_TYPES[event.objectType ?? ''] ?? event.objectType ?? '',
    context: {
      remoteAddr: origin.address ?? null,
      httpReferer: null,
      httpUserAgent: origin.userAgent ?? null,
      apiVersion: 'v2',
      userAgent: origin.userAgent ?? null,
      async: false,
    },
    params: event.params,
    results: event.results,
    performance: event.performance,
    ...(event.durationSeconds !== undefined && { duration: event.durationSeconds }),
    token: event.token ?? null,
    idBranch: event.branchId ?? null,
    uri: `${storageUrl}/events/${event.uuid}`,
    attachments: [],
  };
}
