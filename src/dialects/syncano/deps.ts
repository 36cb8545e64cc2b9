import type { FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Actor } from '../../core/identity/actor.ts';
import { syncanoErrors } from './errors.ts';

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
  // The database takes no NUL in a text, and nothing that is asked for has one.
  if (text?.includes('\0')) throw syncanoErrors.field(name, 'Null characters are not allowed.');
  return text === undefined || text === '' ? undefined : text;
}

/** A parameter of the path. */
export function pathText(request: FastifyRequest, name: string): string {
  const text = (request.params as Record<string, string>)[name] ?? '';
  if (text.includes('\0')) throw syncanoErrors.notFound();
  return text;
}

/** An id in the path; NaN, which nothing has, for anything that is no number. */
export function pathId(request: FastifyRequest, name: string): number {
  const text = pathText(request, name);
  return /^\d{1,15}$/.test(text) ? Number(text) : -1;
}
