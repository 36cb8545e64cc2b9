import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Busboy } from '@fastify/busboy';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../../core/errors.ts';
import { parsePairs, parseUrlEncoded } from './brackets.ts';
import type { UploadedPart } from './deps.ts';

const FIELD_LIMITS = { fieldSize: 20 * 1024 * 1024, fields: 10_000, files: 20, headerPairs: 200, fieldNameSize: 1000 };

const MAX_JSON_DEPTH = 512;

const malformed = (message: string, cause?: unknown) =>
  new AppError('invalid', 'request.malformed', message, { cause });

/**
 * One nested structure for every way clients send parameters: JSON (also under curl's form content type, or under
 * none), PHP-bracketed forms, multipart. No body, `[]` and `{}` all mean no parameters.
 */
export function registerBodyParsers(scope: FastifyInstance, temporaryDirectory: string): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    const contentType = request.headers['content-type'] ?? '';
    request.jsonText = jsonTextOf(body, contentType);
    return parseBody(body, contentType, request.jsonText);
  });
  scope.addContentTypeParser(/^multipart\/form-data/i, async (request: FastifyRequest, payload: Readable) =>
    parseMultipart(request, payload, temporaryDirectory),
  );
  scope.decorateRequest('uploads', undefined);
  scope.decorateRequest('jsonText', undefined);
  // Query strings use the same brackets as bodies.
  scope.addHook('onRequest', async (request) => {
    const at = request.raw.url?.indexOf('?') ?? -1;
    if (at < 0) return;
    try {
      request.query = parseUrlEncoded((request.raw.url ?? '').slice(at + 1));
    } catch (cause) {
      if (cause instanceof AppError) throw cause;
      throw malformed('Query string is not valid UTF-8.', cause);
    }
  });
  scope.addHook('preValidation', async (request) => {
    if (request.body === undefined) request.body = {};
  });
  // Also runs when the client went away before the answer.
  scope.addHook('onResponse', removeUploads);
  scope.addHook('onRequestAbort', removeUploads);
}

/** The body's text when it is JSON: by its content type, or because it begins as only JSON does. */
export function jsonTextOf(body: Buffer, contentType: string): string | undefined {
  const first = firstCharacter(body);
  if (first === undefined) return undefined;
  const saysJson = /^\s*[\w.+-]+\/([\w.+-]+\+)?json/i.test(contentType);
  if (!saysJson && first !== '{' && first !== '[') return undefined;
  try {
    return decodeUtf8(body);
  } catch (cause) {
    throw malformed('Request body is not valid JSON: it must be UTF-8.', cause);
  }
}

/** A body that is not multipart. `jsonText` is what `jsonTextOf` said of it. */
export function parseBody(body: Buffer, contentType: string, jsonText: string | undefined): unknown {
  if (jsonText !== undefined) return parseJson(jsonText);
  if (firstCharacter(body) === undefined) return {};
  const isForm = /^\s*application\/x-www-form-urlencoded/i.test(contentType);
  if (!isForm && contentType.trim() !== '') {
    throw new AppError('invalid', 'request.media-type', 'Unsupported content type. Send JSON or a form.');
  }
  try {
    return parseUrlEncoded(decodeUtf8(body));
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw malformed('Request body is not a valid form: parameters must be UTF-8.', cause);
  }
}

function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed('Request body is not valid JSON.', cause);
  }
  if (value === null || (Array.isArray(value) && value.length === 0)) return {};
  if (typeof value !== 'object') throw malformed('Request body must be a JSON object.');
  if (text.length > 2 * MAX_JSON_DEPTH && isDeeper(value, MAX_JSON_DEPTH)) {
    throw malformed('Request body is nested too deeply.');
  }
  // JSON.parse makes `__proto__` an ordinary member, which becomes dangerous as soon as someone copies the object.
  if (text.includes('__proto__') || text.includes('\\u')) dropPrototypeMembers(value);
  return value;
}

/** JSON.parse takes any depth; nearly everything that walks over the result afterwards, JSON.stringify too, does not. */
function isDeeper(root: object, limit: number): boolean {
  let level: object[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === limit) return true;
    const next: object[] = [];
    for (const value of level) {
      for (const member of Object.values(value)) if (typeof member === 'object' && member !== null) next.push(member);
    }
    level = next;
  }
  return false;
}

function dropPrototypeMembers(root: object): void {
  const open: object[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__');
    for (const member of Object.values(value)) if (typeof member === 'object' && member !== null) open.push(member);
  }
}

function decodeUtf8(body: Buffer): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(body);
}

function firstCharacter(body: Buffer): string | undefined {
  let at = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
  while (at < body.length && (body[at] === 0x20 || (body[at]! >= 0x09 && body[at]! <= 0x0d))) at++;
  return at < body.length ? String.fromCharCode(body[at]!) : undefined;
}

async function parseMultipart(request: FastifyRequest, payload: Readable, directory: string): Promise<unknown> {
  const takesFiles = request.routeOptions.config.multipart === true;
  const pairs: [string, string][] = [];
  const uploads = new Map<string, UploadedPart>();
  request.uploads = uploads;
  const writes: Promise<void>[] = [];
  let refusal: AppError | undefined;

  const parser = createMultipartParser(request);
  parser.on('field', (name, value, _nameTruncated, valueTruncated) => {
    if (valueTruncated) refusal ??= new AppError('too-large', 'request.too-large', `The field "${name}" is too large.`);
    pairs.push([name, value]);
  });
  parser.on('fieldsLimit', () => {
    refusal ??= new AppError('too-large', 'request.too-large', 'Too many form fields.');
  });
  parser.on('file', (name, stream, fileName, _encoding, contentType) => {
    if (!takesFiles) {
      refusal ??= new AppError('invalid', 'request.media-type', 'This call does not take files.');
      stream.resume();
      return;
    }
    const write = writePart(stream, directory, (path) => {
      const part: UploadedPart = { path, fileName, contentType, sizeBytes: 0 };
      uploads.set(name, part);
      return part;
    });
    // Awaited below; without a handler now, an early failure would count as unhandled.
    write.catch(() => payload.unpipe(parser));
    writes.push(write);
  });
  try {
    await pipeline(payload, parser);
  } catch (cause) {
    await Promise.allSettled(writes);
    throw malformed('Request body is not valid multipart/form-data.', cause);
  }
  await Promise.all(writes);
  if (refusal) throw refusal;
  return parsePairs(pairs);
}

function createMultipartParser(request: FastifyRequest): InstanceType<typeof Busboy> {
  try {
    return new Busboy({
      headers: { ...request.headers, 'content-type': request.headers['content-type'] ?? '' },
      limits: FIELD_LIMITS,
    });
  } catch (cause) {
    throw malformed('Request body is not valid multipart/form-data.', cause);
  }
}

/** `begin` is called before the first byte is on disk, so that the part is removed whatever happens to it. */
async function writePart(stream: Readable, directory: string, begin: (path: string) => UploadedPart): Promise<void> {
  await mkdir(directory, { recursive: true });
  const part = begin(join(await mkdtemp(join(directory, 'upload-')), 'part'));
  const file = createWriteStream(part.path, { mode: 0o600 });
  await pipeline(stream, file);
  part.sizeBytes = file.bytesWritten;
}

async function removeUploads(request: FastifyRequest): Promise<void> {
  for (const upload of request.uploads?.values() ?? []) {
    await rm(dirname(upload.path), { recursive: true, force: true });
  }
}
