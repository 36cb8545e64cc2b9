/**
 * What a new project's owner gets once, in the shape that `credentials.json` and `project create` promise to users. The
 * one place in core with the dialects' names: that file is one for all of them. The address the project is served at is
 * added by whoever knows it.
 */
export type ProjectCredentials = {
  project: { id: number; name: string; slug: string };
  keboola: { storageToken: string };
  airbyte: { workspaceId: string; clientId: string; clientSecret: string };
  syncano: { instance: string; accountKey: string; apiKey: string };
};

/** What the first start gives out: the first project and the administrator of everything. */
export type Credentials = Omit<ProjectCredentials, 'keboola'> & {
  admin: { email: string; password: string };
  keboola: { storageToken: string; manageToken: string };
};

/** The secrets of a project and the ids they are used with. */
export type ProjectSecrets = {
  storageToken: string;
  clientId: string;
  clientSecret: string;
  accountKey: string;
  apiKey: string;
};

export function toProjectCredentials(
  project: { id: number; uuid: string; name: string; slug: string },
  { storageToken, clientId, clientSecret, accountKey, apiKey }: ProjectSecrets,
): ProjectCredentials {
  return {
    project: { id: project.id, name: project.name, slug: project.slug },
    keboola: { storageToken },
    airbyte: { workspaceId: project.uuid, clientId, clientSecret },
    syncano: { instance: project.slug, accountKey, apiKey },
  };
}

export function toCredentials(
  credentials: ProjectCredentials,
  admin: Credentials['admin'],
  manageToken: string,
): Credentials {
  return { ...credentials, admin, keboola: { ...credentials.keboola, manageToken } };
}
