import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ContainerAccess } from '../../../core/files/blobs.ts';
import { fileErrors } from '../../../core/files/file-errors.ts';
import { type FileBlob, manifestName } from '../../../core/files/file-model.ts';
import type { KeboolaDeps } from '../deps.ts';
import { BLOB_PREFIX, grantOf, manifestText } from './blob-address.ts';
import { blobAnswer } from './blob-errors.ts';
import {
  BlobRequestError,
  type BlobTarget,
  checkedBody,
  invalidUri,
  isUnchangedFor,
  parseRange,
  parseTarget,
  propertiesOf,
  readSmallBody,
  writeConditionOf,
} from './blob-request.ts';
import { blockListXml, errorXml, type ListedBlob, listXml, parseBlockList } from './blob-xml.ts';

const MAX_LIST = 5000;
const MAX_BLOCK_LIST_BYTES = 16 * 1024 * 1024;

/** A blob to read: stored, or made up for this request. */
type ReadableBlob = ListedBlob & { open(range?: { start: number; end: number }): Promise<Readable> };

type Call = { request: FastifyRequest; reply: FastifyReply; access: ContainerAccess; target: BlobTarget };

/**
 * The part of the Azure Blob protocol that Storage clients use to bring and fetch files. Bodies are streams from
 * socket to file store; who may do what is said by the signature in the URL alone, so no token is looked at here.
 */
export function registerBlobEndpoint(app: FastifyInstance, deps: Pick<KeboolaDeps, 'core' | 'baseUrl'>): void {
  app.register(
    async (scope) => {
      registerRawBodies(scope);
      registerAnswers(scope);
      const endpoint = new BlobEndpoint(deps);
      scope.route({
        method: ['GET', 'HEAD', 'PUT', 'DELETE'],
        url: '/*',
        exposeHeadRoute: false,
        config: { public: true },
        schema: { hide: true },
        handler: (request, reply) => endpoint.handle(request, reply),
      });
      scope.options('/*', { config: { public: true }, schema: { hide: true } }, async (_request, reply) =>
        reply.headers({ ...CORS, 'access-control-max-age': '3600' }).send(),
      );
    },
    { prefix: BLOB_PREFIX },
  );
}

/** The answer to a URL that the router cannot read, so that no route is found for it; undefined for other paths. */
export function describeBlobUrlError(url: string): { status: number; code: string; xml: string } | undefined {
  if (!url.startsWith(`${BLOB_PREFIX}/`)) return undefined;
  const { status, code, message } = invalidUri();
  return { status, code, xml: errorXml(code, message, randomUUID()) };
}

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': '*',
  'access-control-allow-methods': 'GET, HEAD, PUT, DELETE, OPTIONS',
  'access-control-allow-headers': '*',
};

/** Whatever a client calls its bytes (PHP says they are a form), they are bytes; handlers read `request.raw`. */
function registerRawBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
  scope.addHook('onRequest', async (request) => {
    // Fastify refuses what does not parse as a media type, so it does not get to see the header.
    delete request.headers['content-type'];
  });
}

function registerAnswers(scope: FastifyInstance): void {
  scope.addHook('onRequest', async (request, reply) => {
    const clientRequestId = request.headers['x-ms-client-request-id'];
    reply.headers({
      ...CORS,
      'x-ms-request-id': randomUUID(),
      'x-ms-version': request.headers['x-ms-version'] ?? '2021-12-02',
      ...(clientRequestId !== undefined && { 'x-ms-client-request-id': clientRequestId }),
    });
  });
  scope.setErrorHandler((thrown, request, reply) => sendError(thrown, request, reply));
  scope.setNotFoundHandler((request, reply) =>
    sendError(
      new BlobRequestError(405, 'UnsupportedHttpVerb', 'The resource does not support this verb.'),
      request,
      reply,
    ),
  );
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, code, message } = blobAnswer(thrown);
  if (status >= 500 && status !== 501) {
    request.log.error({ err: thrown, path: request.raw.url?.split('?')[0] }, 'blob request failed');
  }
  reply.code(status).headers({ 'x-ms-error-code': code, 'content-type': 'application/xml' });
  if (request.method === 'HEAD') return reply.send();
  return reply.send(errorXml(code, message, String(reply.getHeader('x-ms-request-id'))));
}

class BlobEndpoint {
  readonly #deps: Pick<KeboolaDeps, 'core' | 'baseUrl'>;

  constructor(deps: Pick<KeboolaDeps, 'core' | 'baseUrl'>) {
    this.#deps = deps;
  }

  async handle(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const target = parseTarget(request.raw.url ?? '');
    const access = await this.#open(request, target);
    const call = { request, reply, access, target };
    const comp = target.query.get('comp');
    const verb = request.method === 'HEAD' ? 'GET' : request.method;
    if (target.blob === '') {
      if (verb === 'GET' && comp === 'list') return this.#list(call);
      if (verb === 'GET' && comp === null) return reply.headers({ 'x-ms-lease-state': 'available' }).send();
      throw notImplemented(`${request.method} of a container with comp=${comp}`);
    }
    switch (`${verb} ${comp ?? ''}`) {
      case 'GET ':
        return this.#read(call);
      case 'GET blocklist':
        return this.#readBlockList(call);
      case 'PUT ':
        return this.#put(call);
      case 'PUT block':
        return this.#putBlock(call);
      case 'PUT blocklist':
        return this.#commitBlocks(call);
      case 'DELETE ':
        await this.#blobs.delete(access, target.blob);
        return reply.code(202).send();
      default:
        throw notImplemented(`${request.method} with comp=${comp}`);
    }
  }

  get #blobs() {
    return this.#deps.core.files.blobs;
  }

  async #open(request: FastifyRequest, target: BlobTarget): Promise<ContainerAccess> {
    try {
      return await this.#blobs.open(target.container, grantOf(target.query));
    } catch (error) {
      // Readers of a deleted file look for this code; for writers and listings it is the container that is missing.
      const isRead = target.blob !== '' && request.method !== 'PUT';
      if (isRead && blobAnswer(error).code === 'ContainerNotFound') throw fileErrors.blobNotFound();
      throw error;
    }
  }

  async #read({ request, reply, access, target }: Call): Promise<FastifyReply> {
    const blob = await this.#find(request, access, target.blob);
    if (!blob) throw fileErrors.blobNotFound();
    const { sizeBytes } = blob;
    reply.headers({
      ...blobHeaders(blob),
      'accept-ranges': 'bytes',
      'content-type': blob.contentType ?? 'application/octet-stream',
      ...(blob.contentEncoding !== undefined && { 'content-encoding': blob.contentEncoding }),
      ...(blob.contentDisposition !== undefined && { 'content-disposition': blob.contentDisposition }),
      'x-ms-blob-type': 'BlockBlob',
      'x-ms-lease-state': 'available',
      'x-ms-lease-status': 'unlocked',
      'x-ms-server-encrypted': 'true',
      // Anybody's upload, shown under the platform's own origin: a browser must run none of it.
      'content-security-policy': 'sandbox',
      'x-content-type-options': 'nosniff',
    });
    if (isUnchangedFor(request.headers, blob)) return reply.code(304).send();
    let range: { start: number; end: number } | undefined;
    try {
      range = parseRange(request.headers, sizeBytes);
    } catch (error) {
      reply.header('content-range', `bytes */${sizeBytes}`).removeHeader('content-disposition');
      throw error;
    }
    reply.header('content-length', range ? range.end - range.start + 1 : sizeBytes);
    if (range) reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${sizeBytes}`);
    if (request.method === 'HEAD') return reply.send();
    return reply.send(await blob.open(range));
  }

  async #put({ request, reply, access, target }: Call): Promise<FastifyReply> {
    const type = request.headers['x-ms-blob-type'];
    if (request.headers['x-ms-copy-source'] !== undefined) throw notImplemented('copying blobs');
    if (type !== 'BlockBlob') {
      throw new BlobRequestError(400, 'InvalidHeaderValue', 'The header x-ms-blob-type must be BlockBlob.');
    }
    const condition = writeConditionOf(request.headers);
    const blob = await this.#blobs.put(
      access,
      target.blob,
      checkedBody(request.raw, request.headers),
      propertiesOf(request.headers, declaredType(request)),
      condition ? { condition } : {},
    );
    return created(reply, blob);
  }

  async #putBlock({ request, reply, access, target }: Call): Promise<FastifyReply> {
    const blockId = target.query.get('blockid') ?? '';
    // URLSearchParams reads an unencoded plus sign as a blank, and base64 has no blanks.
    const id = blockId.replaceAll(' ', '+');
    await this.#blobs.putBlock(access, target.blob, id, checkedBody(request.raw, request.headers));
    return reply.code(201).headers({ 'x-ms-request-server-encrypted': 'true' }).send();
  }

  async #commitBlocks({ request, reply, access, target }: Call): Promise<FastifyReply> {
    const xml = await readSmallBody(checkedBody(request.raw, request.headers), MAX_BLOCK_LIST_BYTES);
    const blob = await this.#blobs.commitBlocks(
      access,
      target.blob,
      parseBlockList(xml),
      propertiesOf(request.headers),
      writeConditionOf(request.headers),
    );
    return created(reply, blob);
  }

  async #readBlockList({ reply, access, target }: Call): Promise<FastifyReply> {
    const { committed, uncommitted } = await this.#blobs.blocks(access, target.blob);
    const type = target.query.get('blocklisttype') ?? 'committed';
    const xml = blockListXml({
      ...(type !== 'uncommitted' && { committed }),
      ...(type !== 'committed' && { uncommitted }),
    });
    return reply.type('application/xml').send(xml);
  }

  async #list({ request, reply, access, target }: Call): Promise<FastifyReply> {
    const { query, container } = target;
    if (query.has('delimiter')) throw notImplemented('listing by delimiter');
    const prefix = query.get('prefix') ?? '';
    const marker = query.get('marker') ?? '';
    const asked = Number(query.get('maxresults') ?? MAX_LIST);
    if (!Number.isInteger(asked) || asked < 1) {
      throw new BlobRequestError(400, 'OutOfRangeQueryParameterValue', 'maxresults must be a positive number.');
    }
    const maxResults = Math.min(asked, MAX_LIST);
    const found: ListedBlob[] = await this.#blobs.list(access, { prefix, after: marker, limit: maxResults + 1 });
    const manifest = await this.#generatedManifest(request, access);
    if (manifest?.name.startsWith(prefix) && manifest.name > marker) {
      found.push(manifest);
      found.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
    }
    const blobs = found.slice(0, maxResults);
    const nextMarker = found.length > maxResults ? (blobs.at(-1)?.name ?? '') : '';
    const endpoint = this.#deps.baseUrl(request) + BLOB_PREFIX;
    const xml = listXml({ endpoint, container, prefix, marker, maxResults, blobs, nextMarker });
    return reply.type('application/xml').send(xml);
  }

  async #find(request: FastifyRequest, access: ContainerAccess, name: string): Promise<ReadableBlob | undefined> {
    const stored = await this.#blobs.find(access, name);
    if (stored) return { ...stored, open: (range) => this.#blobs.read(access, stored, range) };
    if (name !== manifestName(access.file)) return undefined;
    return this.#generatedManifest(request, access);
  }

  /** Slices that the platform wrote have no stored manifest: only now is it known by which host their reader came. */
  async #generatedManifest(request: FastifyRequest, access: ContainerAccess): Promise<ReadableBlob | undefined> {
    const { file } = access;
    if (!file.isServerMade || !file.isSliced) return undefined;
    const slices = await this.#deps.core.files.slices(file);
    const names = slices.map((slice) => slice.name);
    const content = Buffer.from(manifestText(this.#deps.baseUrl(request), file.container, names));
    return {
      name: manifestName(file),
      sizeBytes: content.length,
      contentType: 'application/json',
      contentEncoding: undefined,
      contentDisposition: undefined,
      etag: createHash('sha256').update(content).digest('hex').slice(0, 32),
      modifiedAt: file.createdAt,
      open: async (range) => Readable.from([range ? content.subarray(range.start, range.end + 1) : content]),
    };
  }
}

/** The header that was kept from Fastify. PHP's default for any body says nothing about this one. */
function declaredType(request: FastifyRequest): string | undefined {
  const { rawHeaders } = request.raw;
  const at = rawHeaders.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type');
  const type = at < 0 ? undefined : rawHeaders[at + 1];
  return type === 'application/x-www-form-urlencoded' ? undefined : type;
}

function created(reply: FastifyReply, blob: FileBlob): FastifyReply {
  return reply
    .code(201)
    .headers({ ...blobHeaders(blob), 'x-ms-request-server-encrypted': 'true' })
    .send();
}

/** Never without a date: the Go client reads it unasked. */
function blobHeaders(blob: Pick<FileBlob, 'etag' | 'modifiedAt'>): Record<string, string> {
  return { etag: `"${blob.etag}"`, 'last-modified': blob.modifiedAt.toUTCString() };
}

function notImplemented(what: string): BlobRequestError {
  return new BlobRequestError(501, 'NotImplemented', `Not implemented: ${what}`);
}
