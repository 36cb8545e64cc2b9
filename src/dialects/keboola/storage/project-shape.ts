import { PROJECT_LIMITS, type Project } from '../../../core/projects/project-model.ts';
import { formatDate, formatOptionalDate } from '../scalars.ts';

/** Our limits by the names Keboola's clients know them. */
export const LIMIT_NAMES: Record<string, string> = {
  storageJobs: 'storage.jobsParallelism',
  componentJobs: 'components.jobsParallelism',
  scriptJobs: 'scripts.jobsParallelism',
};

/** The project as `owner` of a token. Clients switch whole feature sets by `defaultBackend` and `features`. */
export function toKeboolaOwner(
  project: Project,
  sizes: { rowsCount: number; dataSizeBytes: number },
  hasWorkspaces: (backend: string) => boolean,
): Record<string, unknown> {
  const limits = Object.entries({ ...PROJECT_LIMITS, ...project.limits }).map(([key, value]) => [
    LIMIT_NAMES[key] ?? key,
    value,
  ]);
  return {
    id: project.id,
    name: project.name,
    type: project.type,
    region: 'local',
    created: formatDate(project.createdAt),
    expires: formatOptionalDate(project.expiresAt),
    features: project.features,
    dataSizeBytes: sizes.dataSizeBytes,
    rowsCount: sizes.rowsCount,
    hasMysql: hasWorkspaces('mysql'),
    hasSynapse: false,
    // SQL workspaces announce themselves as redshift, because clients reach that by plain PostgreSQL.
    hasRedshift: hasWorkspaces('postgres'),
    hasSnowflake: project.defaultBackend === 'snowflake',
    hasExasol: false,
    hasTeradata: false,
    hasBigquery: project.defaultBackend === 'bigquery',
    defaultBackend: project.defaultBackend,
    hasTryModeOn: '0',
    limits: namedValues(limits as [string, number][]),
    metrics: namedValues([
      ['storage.dataSizeBytes', sizes.dataSizeBytes],
      ['storage.rowsCount', sizes.rowsCount],
    ]),
    isDisabled: project.disabled !== undefined,
    billedMonthlyPrice: null,
    dataRetentionTimeInDays: 7,
    assignedBackends: [project.defaultBackend],
    fileStorageProvider: 'azure',
    redshift: { connectionId: 1, databaseName: `sapi_${project.id}` },
  };
}

function namedValues(pairs: [string, number][]): Record<string, { name: string; value: number }> {
  return Object.fromEntries(pairs.map(([name, value]) => [name, { name, value }]));
}
