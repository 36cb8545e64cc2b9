import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { errors } from '../../../core/errors.ts';
import { FILE_QUERY_FIELDS } from '../../../core/files/files.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { parseSearch } from '../search-query.ts';
import { type FileContext, toKeboolaDownload, toKeboolaFile, toKeboolaUpload } from './file-shape.ts';

const FileParams = Type.Object({ fileId: Type.Integer() });
const TagParams = Type.Object({ fileId: Type.Integer(), '*': Type.String() });

const NewFileBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 1000 }),
    sizeBytes: Type.Optional(Type.Integer({ minimum: 0 })),
    contentType: Type.Optional(Type.String()),
    isPublic: Type.Optional(Type.Boolean({ description: 'taken, but files are never public' })),
    isPermanent: Type.Optional(Type.Boolean({ description: 'never expires; others live 15 days' })),
    isEncrypted: Type.Optional(Type.Boolean({ description: 'taken, but files always count as encrypted' })),
    isSliced: Type.Optional(Type.Boolean()),
    notify: Type.Optional(Type.Boolean()),
    tags: Type.Optional(Type.Array(Type.String())),
    federationToken: Type.Optional(Type.Boolean()),
  },
  { 'x-code': 'request.invalid' },
);

const ListQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000, default: 100 })),
    offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
    tags: Type.Optional(Type.Array(Type.String(), { description: 'files with at least one of them' })),
    q: Type.Optional(Type.String({ description: 'for example: tags:"x" AND name:foo*' })),
    sinceId: Type.Optional(Type.Integer()),
    maxId: Type.Optional(Type.Integer()),
    runId: Type.Optional(Type.String()),
    showExpired: Type.Optional(Type.Boolean()),
  },
  { 'x-code': 'request.invalid' },
);

const DetailQuery = Type.Object({ federationToken: Type.Optional(Type.Boolean()) });
const TagBody = Type.Object({ tag: Type.String({ minLength: 1 }) }, { 'x-code': 'request.invalid' });

export function registerFileRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  const { files } = deps.core;
  const context = (request: FastifyRequest): FileContext => ({
    baseUrl: deps.baseUrl(request),
    sign: (file, permissions) => files.sign(file, permissions),
  });

  app.post(
    '/files/prepare',
    { schema: { summary: 'Announce a file and get what is needed to upload it', body: NewFileBody } },
    async (request, reply) => {
      const file = await files.prepare(request.actor, request.body);
      reply.code(201);
      return toKeboolaUpload(file, context(request));
    },
  );

  app.get('/files', { schema: { summary: 'Files, newest first', querystring: ListQuery } }, async (request) => {
    const { limit = 100, offset = 0, q, ...filter } = request.query;
    const found = await files.list(
      request.actor,
      { ...filter, where: parseSearch(q, FILE_QUERY_FIELDS) },
      { limit, offset },
    );
    return found.map((file) => toKeboolaFile(file, context(request)));
  });

  app.get(
    '/files/:fileId',
    {
      schema: {
        summary: 'A file; with federationToken also what is needed to download it',
        params: FileParams,
        querystring: DetailQuery,
      },
    },
    async (request) => {
      const file = await files.get(request.actor, request.params.fileId);
      return request.query.federationToken
        ? toKeboolaDownload(file, context(request))
        : toKeboolaFile(file, context(request));
    },
  );

  app.delete('/files/:fileId', { schema: { summary: 'Delete a file', params: FileParams } }, async (request, reply) => {
    await files.delete(request.actor, request.params.fileId);
    return reply.code(204).send();
  });

  app.post(
    '/files/:fileId/tags',
    { schema: { summary: 'Add a tag', params: FileParams, body: TagBody } },
    async (request, reply) => {
      await files.addTag(request.actor, request.params.fileId, request.body.tag);
      return reply.code(204).send();
    },
  );

  app.delete(
    '/files/:fileId/tags/*',
    { schema: { summary: 'Remove a tag, which may contain slashes', params: TagParams } },
    async (request, reply) => {
      await files.removeTag(request.actor, request.params.fileId, tagOf(request));
      return reply.code(204).send();
    },
  );
}

/** The tag out of the URL as it was sent: the router drops a slash at the end, which may be the tag's own. */
function tagOf(request: FastifyRequest): string {
  const path = (request.raw.url ?? '').split('?')[0] ?? '';
  const encoded = /\/files\/+[^/]+\/+tags\/(.+)$/.exec(path)?.[1] ?? '';
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw errors.invalid('The tag is not correctly encoded.');
  }
}
