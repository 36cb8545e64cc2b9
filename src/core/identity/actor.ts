/**
 * Who is asking, in every dialect. Each operation takes the actor first and checks rights itself, so that no dialect
 * can forget to. Made only by `Identity`.
 */
export type Actor = {
  projectId: number;
  /** The branch the call works in; the project's default branch unless the dialect selected another. */
  branchId: number;
  isDefaultBranch: boolean;
  /** The branch whose buckets and tables the call sees: the default one, since branches share them. */
  storageBranchId: number;
  token: {
    id: number;
    description: string;
    /** Tokens of a person with full rights in the project. */
    isMaster: boolean;
    canManageBuckets: boolean;
    canManageTokens: boolean;
    canReadAllFiles: boolean;
    canPurgeTrash: boolean;
    canReadAllEvents: boolean;
    /** Bucket id -> right, for tokens without canManageBuckets. */
    bucketPermissions: Record<string, BucketRight>;
    /** Component ids the token may configure and run; undefined for no list at all. */
    componentAccess: string[] | undefined;
    person: { id: number; name: string; email: string; role: ProjectRole } | undefined;
    /** Only keys of programs have it: what they may do with data objects beyond what end users may. */
    objects?:
      | { ignoresRules: boolean; createsUsers: boolean; createsGroups: boolean; readsPublic: boolean }
      | undefined;
  };
  /** Comes with a key that was lent to a program: what outlives the loan is not the program's to make. */
  isLent?: boolean;
  /** The end user of the project's own application on whose behalf the call is made. */
  endUser?: { id: number; username: string; groupIds: number[] } | undefined;
  /** X-KBC-RunId or the like: groups jobs, files and events. */
  runId: string | undefined;
  /** For the event log. */
  origin: { address: string | undefined; userAgent: string | undefined };
};

export type BucketRight = 'read' | 'write' | 'manage';
export type ProjectRole = 'admin' | 'guest' | 'readOnly' | 'share' | 'developer' | 'reviewer' | 'productionManager';

/** A person with a manage token: acts on organizations and projects, not inside one. */
export type Manager = {
  personId: number;
  email: string;
  name: string;
  isSuperAdmin: boolean;
  /** Of a program's token: what it may do, whoever its person is. Undefined: whatever the person may. */
  scopes: readonly string[] | undefined;
  token: { id: number; description: string; createdAt: Date; expiresAt: Date | undefined; isSession: boolean };
};
