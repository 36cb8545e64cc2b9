import type { FastifyRequest } from 'fastify';

const WILDCARDS = ['0.0.0.0', '::', '*'];

/** The name under which the client reaches this machine, without port and brackets. */
export function clientHostOf(request: FastifyRequest): string {
  return request.hostname.replace(/^\[(.*)\]$/, '$1');
}

/** Where clients connect to a server of ours: behind a wildcard, by the name that they know already. */
export function reachableHost(listenedOn: string, clientHost: string): string {
  return WILDCARDS.includes(listenedOn) ? clientHost : listenedOn;
}
