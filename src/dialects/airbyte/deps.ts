import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Core } from '../../core/core.ts';

/** Handed to every `registerXRoutes(app, deps)`. */
export type AirbyteDeps = {
  core: Core;
  version: string;
  /** `https` when the server speaks TLS itself. Forwarding headers are not believed. */
  scheme: 'http' | 'https';
  health(): { ready: true } | { ready: false; reason: string };
};

/** A Fastify scope whose route schemas (TypeBox) type `params`, `query` and `body`. */
export type AirbyteApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
