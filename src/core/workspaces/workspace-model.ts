/** `creating` and `deleting` are written before the backend is asked, so that a crash leaves no orphan there. */
export type WorkspaceState = 'creating' | 'active' | 'deleting';

/** A database of its own with one login, made for one token and one purpose. */
export type Workspace = {
  id: number;
  projectId: number;
  tokenId: number;
  backend: string;
  /** The client's word for what it is for; one workspace per token, backend and purpose. */
  purpose: string;
  createdAt: Date;
  touchedAt: Date;
  /** Undefined: it stays until somebody drops it. */
  expiresAt: Date | undefined;
  canExtend: boolean;
};

/** All that is needed to log in. */
export type WorkspaceLogin = {
  /** The address the server listens on; may be a wildcard. */
  host: string;
  port: number;
  database: string;
  schema: string | undefined;
  user: string;
  password: string;
};

export type NewWorkspace = {
  backend: string;
  purpose: string;
  /** From the last touch on. Without it the workspace neither expires nor can be extended. */
  lifetimeSeconds?: number | undefined;
};

/** One by its id, or the token's own by what it is for. */
export type WorkspaceKey = { backend: string } & ({ id: number } | { purpose: string });
