import type { Filter } from '../../lib/filter.ts';

/** `creating` and `deleting` are written before the backend is asked, so that a crash leaves no orphan there. */
export type WorkspaceState = 'creating' | 'active' | 'deleting';

/**
 * A token's goes with the token, and nobody else sees it. A project's stays until somebody drops it; every token that
 * manages buckets sees it.
 */
export type WorkspaceHolder = 'token' | 'project';

/** A column of a load: where it comes from and what it becomes. */
export type LoadColumn = {
  source: string;
  destination: string;
  /** In the words of the backend; without one it is text. */
  type: string | null;
  length: string | null;
  nullable: boolean;
  emptyAsNull: boolean;
};

/** A table of Storage on its way into a workspace. */
export type TableLoadWish = {
  tableId: string;
  destination: string;
  /** `append`: into what is there; rows of the same primary key are replaced. */
  mode: 'create' | 'replace' | 'append';
  /** All columns as text when it is empty. */
  columns: LoadColumn[];
  /** Of the new table, by the names it has there. */
  primaryKey: string[];
  filter: Filter | null;
  /** ISO 8601. */
  changedSince: string | null;
  changedUntil: string | null;
  limit: number | null;
};

/** `input` of jobs of the kind workspace-load. */
export type WorkspaceLoadInput = {
  backend: string;
  workspaceId: number;
  /** Whether what is in the workspace stays. */
  keep: boolean;
  tables: TableLoadWish[];
};

/** `input` of jobs of the kind workspace-export: a table of a workspace into a stored file. */
export type WorkspaceExportInput = {
  backend: string;
  workspaceId: number;
  object: string;
  fileName: string;
  gzip: boolean;
};

/** `input` of jobs of the kind workspace-objects-drop. */
export type ObjectsDropInput = { backend: string; workspaceId: number; objects: string[] };

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
  holder: WorkspaceHolder;
  /** The configuration that one of a project was made for. */
  configuration: { componentId: string; id: string } | undefined;
  /** What the token is called that asked for it. */
  tokenDescription: string;
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
  holder?: WorkspaceHolder | undefined;
  configuration?: { componentId: string; id: string } | undefined;
};

/** One by its id (`among`: only those of the token itself, or all that it sees), or the token's own by its purpose. */
export type WorkspaceKey = { backend: string } & ({ id: number; among?: 'own' | 'visible' } | { purpose: string });
