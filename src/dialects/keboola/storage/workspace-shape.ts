import type { WorkspaceView } from '../../../core/workspaces/workspaces.ts';
import { reachableHost } from '../client-host.ts';
import { formatDate } from '../scalars.ts';

/** Clients of this name open a plain PostgreSQL connection, which is what stands behind it. */
export const WORKSPACE_BACKENDS: Readonly<Record<string, string>> = { redshift: 'postgres' };

/** Without the password, which stands only in the answers that make one. */
export function toStorageWorkspace({ workspace, login }: WorkspaceView, clientHost: string) {
  return {
    id: workspace.id,
    type: 'table',
    name: `WORKSPACE_${workspace.id}`,
    component: workspace.configuration?.componentId ?? null,
    configurationId: workspace.configuration?.id ?? null,
    created: formatDate(workspace.createdAt),
    connection: {
      backend: 'redshift',
      host: reachableHost(login.host, clientHost),
      // Not of the original, whose clients know the port: ours may be another one.
      port: login.port,
      region: 'local',
      database: login.database,
      schema: login.schema ?? null,
      warehouse: null,
      user: login.user,
      loginType: 'default',
      ssoLoginAvailable: false,
    },
    backendSize: null,
    statementTimeoutSeconds: 0,
    creatorToken: { id: workspace.tokenId, description: workspace.tokenDescription },
    readOnlyStorageAccess: false,
    platformUsageType: 'user',
  };
}
