/** The prefix of every path, and so of every link. */
export const PREFIX = '/v1.1';

/** Links are paths with the version, without the host: clients put theirs before. */
export function instancePath(instance: string): string {
  return `${PREFIX}/instances/${instance}/`;
}

export function classPath(instance: string, className: string): string {
  return `${instancePath(instance)}classes/${className}/`;
}

export function objectsPath(instance: string, className: string): string {
  return `${classPath(instance, className)}objects/`;
}

export function userPath(instance: string, id: number): string {
  return `${instancePath(instance)}users/${id}/`;
}

export function scriptsPath(instance: string): string {
  return `${instancePath(instance)}snippets/scripts/`;
}

export function scriptPath(instance: string, id: number): string {
  return `${scriptsPath(instance)}${id}/`;
}

export function schedulesPath(instance: string): string {
  return `${instancePath(instance)}schedules/`;
}

export function schedulePath(instance: string, id: number): string {
  return `${schedulesPath(instance)}${id}/`;
}

export function endpointsPath(instance: string): string {
  return `${instancePath(instance)}endpoints/scripts/`;
}

export function groupPath(instance: string, id: number): string {
  return `${instancePath(instance)}groups/${id}/`;
}

/** Everything an instance has, in the words of all generations of clients; some of it is not built yet. */
export function instanceLinks(instance: string): Record<string, string> {
  const self = instancePath(instance);
  const below = (path: string) => `${self}${path}/`;
  return {
    self,
    admins: below('admins'),
    snippets: below('snippets'),
    endpoints: below('endpoints'),
    push_notification: below('push_notifications'),
    classes: below('classes'),
    invitations: below('invitations'),
    api_keys: below('api_keys'),
    triggers: below('triggers'),
    schedules: below('schedules'),
    users: below('users'),
    groups: below('groups'),
    channels: below('channels'),
    batch: below('batch'),
    rename: below('rename'),
    backups: below('backups'),
    restores: below('restores'),
    hosting: below('hosting'),
    script_runtimes: below('snippets/scripts/runtimes'),
    scripts: below('snippets/scripts'),
    templates: below('snippets/templates'),
    sockets: below('sockets'),
    sockets_install: below('sockets/install'),
    socket_endpoints: below('endpoints/sockets'),
    environments: below('environments'),
  };
}
