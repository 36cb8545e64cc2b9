import type { FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Actor } from '../../core/identity/actor.ts';

/** What the dialect must know of the server's configuration. */
export type SyncanoSettings = {
  version: string;
  /** `https` when the server speaks TLS itself. */
  scheme: 'http' | 'https';
};

/** Handed to every `registerXRoutes(app, deps)`. */
export type SyncanoDeps = {
  core: Core;
  config: SyncanoSettings;
  /** The name of the actor's instance, in lower case. */
  instanceName(actor: Actor): Promise<string>;
};

/** Parameters of a list or detail call: one value each, except the repeatable ones. */
export type Query = Record<string, string | string[] | undefined>;

/** The first value of a query parameter; undefined for an absent or empty one. */
export function queryText(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Query)[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text;
}

/** A parameter of the path. */
export function pathText(request: FastifyRequest, name: string): string {
  return (request.params as Record<string, string>)[name] ?? '';
}

/** An id in the path; NaN, which nothing has, for anything that is no number. */
export function pathId(request: FastifyRequest, name: string): number {
  const text = pathText(request, name);
  return /^\d{1,15}$/.test(text) ? Number(text) : -1;
}
