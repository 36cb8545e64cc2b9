import type { Family } from './error-shapes.ts';

/**
 * Every Keboola service: under which path prefix and host name it answers, the ids it has in the index, and the shape
 * of its errors. One that is not built answers 501 under its whole prefix. `connection` (Storage, Management) is the
 * root and not listed.
 */
export type Service = {
  /** Path prefix without slash. */
  path: string;
  /** First label of the host name; `<host>.<suffix>/x` is the same as `/<path>/x`. */
  hosts: readonly string[];
  /** Ids in the index call; several where clients of different years ask under different names. */
  ids: readonly string[];
  family: Family;
  isBuilt: boolean;
};

const service = (path: string, family: Family, rest: Partial<Service> = {}): Service => ({
  path,
  family,
  hosts: [path],
  ids: [path],
  isBuilt: false,
  ...rest,
});

export const SERVICES: readonly Service[] = [
  service('queue', 'symfony', { isBuilt: true }),
  service('syrup', 'syrup', { isBuilt: true }),
  service('docker-runner', 'syrup'),
  service('sync-actions', 'symfony'),
  service('import', 'importer'),
  service('oauth', 'symfony'),
  service('encryption', 'symfony'),
  service('scheduler', 'symfony'),
  service('notification', 'symfony'),
  service('sandboxes', 'symfony', {
    hosts: ['sandboxes', 'data-science'],
    ids: ['sandboxes', 'data-science', 'workspaces'],
  }),
  service('billing', 'symfony'),
  service('vault', 'symfony'),
  service('templates', 'go', { ids: ['templates', 'app-templates'] }),
  service('stream', 'go', { hosts: ['stream', 'buffer'], ids: ['stream', 'buffer'] }),
  service('editor', 'symfony'),
  service('query', 'query'),
  service('ai', 'symfony'),
  service('metastore', 'symfony'),
  service('mlflow', 'symfony'),
  service('sqldep', 'symfony', { ids: ['sqldep-analyzer'] }),
  service('gooddata-provisioning', 'symfony'),
  service('graph', 'symfony'),
  service('json-parser', 'syrup', { ids: [] }),
  service('developer-portal', 'gateway', { ids: [] }),
  service('provisioning-management', 'syrup', { ids: [] }),
  service('transformation', 'syrup', { ids: [] }),
];

/** The service whose index ids include the id. */
export function findService(id: string): Service | undefined {
  return SERVICES.find((one) => one.ids.includes(id));
}

export type HostSplit = { label: string; suffix: string; port: string };

/** `queue.localhost:8000` -> label `queue`; undefined when no service answers under the host name. */
export function splitHost(host: string | undefined, suffixes: readonly string[]): HostSplit | undefined {
  const match = /^([a-z0-9-]+)\.([a-z0-9.-]+?)(:\d+)?$/i.exec(host ?? '');
  if (match === null) return undefined;
  const [, label = '', suffix = '', port = ''] = match;
  if (!suffixes.includes(suffix.toLowerCase())) return undefined;
  const name = label.toLowerCase();
  const isKnown = name === 'connection' || SERVICES.some((one) => one.hosts.includes(name));
  return isKnown ? { label: name, suffix: suffix.toLowerCase(), port } : undefined;
}

/** The path prefix a host name stands for, with its slash; empty for `connection` and every other host. */
export function prefixOfHost(host: string | undefined, suffixes: readonly string[]): string {
  const split = splitHost(host, suffixes);
  const found = split && SERVICES.find((one) => one.hosts.includes(split.label));
  return found ? `/${found.path}` : '';
}

type Place = { scheme: 'http' | 'https'; host: string | undefined; suffixes: readonly string[] };

/** Storage's own origin as the client reaches it. */
export function connectionUrl({ scheme, host, suffixes }: Place): string {
  const split = splitHost(host, suffixes);
  if (split) return `${scheme}://connection.${split.suffix}${split.port}`;
  return `${scheme}://${isPlainHost(host) ? host : 'localhost'}`;
}

/** Where a service answers, by host name for clients that came by host name, else by path. */
export function urlOfService(one: Service, id: string, place: Place): string {
  const split = splitHost(place.host, place.suffixes);
  if (!split) return `${connectionUrl(place)}/${one.path}`;
  return `${place.scheme}://${one.hosts.includes(id) ? id : one.hosts[0]}.${split.suffix}${split.port}`;
}

/** The header is the client's: nothing but a name, an address and a port may come back in our answers. */
function isPlainHost(host: string | undefined): host is string {
  return host !== undefined && /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i.test(host);
}
