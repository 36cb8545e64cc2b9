import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Actor, Manager } from '../../core/identity/actor.ts';

/** What the dialect must know of the server's configuration; `platform.ts` fills it from `config.ts`. */
export type KeboolaSettings = {
  /** Shown as the index call's revision. */
  version: string;
  /** `https` when the server speaks TLS itself. Forwarding headers are not believed. */
  scheme: 'http' | 'https';
  /** Suffixes under which `<service>.<suffix>` host names are served, `localhost` by default. */
  hostSuffixes: readonly string[];
  /** Folder for multipart uploads on their way into the file store. On the disk of the data directory. */
  temporaryDirectory: string;
};

/** Handed to every `registerXRoutes(app, deps)`. */
export type KeboolaDeps = {
  core: Core;
  config: KeboolaSettings;
  /** `http://host:port` as the client sees Storage, no trailing slash: `${baseUrl(request)}/v2/storage/...`. */
  baseUrl(request: FastifyRequest): string;
  /** Absolute URL of another service by its id in the index (`queue`, `syrup` ...), no trailing slash. */
  serviceUrl(request: FastifyRequest, serviceId: string): string;
};

/** A Fastify scope whose route schemas (TypeBox) type `params`, `query` and `body`. */
export type KeboolaApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** A file sent as multipart/form-data, already on disk; removed after the response. */
export type UploadedPart = { path: string; fileName: string; contentType: string; sizeBytes: number };

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before the handler of every Storage-token route that is not `config: { public: true }`. */
    actor: Actor;
    /** Set before the handler of every Management route that is not public. */
    manager: Manager;
    /** The body as it was sent, when it was JSON: for what must be kept byte for byte. */
    jsonText: string | undefined;
    /** Files of a multipart request by field name; only on routes with `config: { multipart: true }`. */
    uploads: Map<string, UploadedPart> | undefined;
  }
  interface FastifyContextConfig {
    /** No token needed. Such routes are listed one by one in test/tenancy. */
    public?: boolean;
    /** The route takes files as multipart/form-data. */
    multipart?: boolean;
  }
}
