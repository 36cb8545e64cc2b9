import type { IncomingMessage } from 'node:http';

/**
 * Every Storage route answers under `/v2/storage/...`, `/v2/storage/branch/default/...` and
 * `/v2/storage/branch/<id>/...`. Instead of three copies of each route the prefix is taken out of the URL before
 * routing, and remembered here for the actor's branch.
 */
const branches = new WeakMap<IncomingMessage, string>();

const BRANCH_PREFIX = /^(\/+v2\/+storage)\/+branch\/+([^/?#]+)(?=[/?#]|$)/;

/** The URL without the branch prefix; remembers the branch on the raw request. */
export function takeBranch(url: string, raw: IncomingMessage): string {
  const match = BRANCH_PREFIX.exec(url);
  if (match === null) return url;
  branches.set(raw, match[2] ?? '');
  return `${match[1]}${url.slice(match[0].length)}`;
}

/** Whether the URL names a branch, the default one included: few calls ask for that. */
export function isUnderBranch(raw: IncomingMessage): boolean {
  return branches.has(raw);
}

/** The branch named in the URL: undefined without prefix or for `default`, else the text as sent (maybe no number). */
export function requestedBranch(raw: IncomingMessage): string | undefined {
  const branch = branches.get(raw);
  return branch === 'default' ? undefined : branch;
}
