import type { Workspace, WorkspaceLogin } from '../../../core/workspaces/workspace-model.ts';
import { reachableHost } from '../client-host.ts';

/** A backend as the Provisioning API names it. */
export type ProvisioningBackend = {
  /** The core's name of what stands behind it. */
  backend: string;
  types: readonly string[];
  /** By type, from the last touch on; none where credentials do not expire. */
  lifetimeSeconds: Readonly<Record<string, number>>;
};

const DAY_SECONDS = 24 * 3600;

export const PROVISIONING_BACKENDS: Readonly<Record<string, ProvisioningBackend>> = {
  mysql: {
    backend: 'mysql',
    types: ['transformations', 'sandbox'],
    lifetimeSeconds: { transformations: 7 * DAY_SECONDS, sandbox: 14 * DAY_SECONDS },
  },
  'redshift-workspace': {
    backend: 'postgres',
    types: ['transformations', 'sandbox', 'writer', 'luckyguess'],
    lifetimeSeconds: {},
  },
};

export type ShapeContext = {
  /** As in the URL. */
  backendName: string;
  /** The name under which the client reaches this machine. */
  clientHost: string;
};

/** The login as clients put it into their forms. The port is always told: not every server has the usual one. */
export function toCredentials(
  workspace: Workspace,
  login: WorkspaceLogin,
  { clientHost }: ShapeContext,
): Record<string, unknown> {
  return {
    id: workspace.id,
    hostname: reachableHost(login.host, clientHost),
    port: login.port,
    db: login.database,
    // A backend with schemas is a workspace, whose id clients compare as text.
    ...(login.schema === undefined ? {} : { schema: login.schema, workspaceId: String(workspace.id) }),
    user: login.user,
    password: login.password,
  };
}

/** `touch` is a number: the original's UI calculates with it. */
export function toTouch(workspace: Workspace): { touch: number; expiration: string | null } {
  const { touchedAt, expiresAt } = workspace;
  return {
    touch: Math.floor(touchedAt.getTime() / 1000),
    expiration: expiresAt ? `${expiresAt.toISOString().slice(0, 19)}+00:00` : null,
  };
}
