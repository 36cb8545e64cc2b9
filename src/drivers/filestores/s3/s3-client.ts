import { createHash, webcrypto } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import { AppError } from '../../../core/errors.ts';
import { retry } from '../../../lib/retry.ts';
import { elementText } from './s3-xml.ts';

export type S3Options = {
  /** Undefined: Amazon's own, by region. */
  endpoint: string | undefined;
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
};

export type S3Call = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Undefined: the bucket itself. */
  key?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Buffer;
  signal?: AbortSignal | undefined;
};

const BACKOFF = { attempts: 6, firstMs: 100, maxMs: 5000 };
/** Sent whole and answered at once; without an end a connection that went dead would hold its caller for ever. */
const ANSWER_MS = 300_000;

/** One signed call to an S3 service. Repeats what may go through next time; every body is in memory for that. */
export class S3Client {
  readonly #options: S3Options;
  readonly #root: string;

  constructor(options: S3Options) {
    this.#options = options;
    const { endpoint, bucket, region } = options;
    // Services of other makers rarely have a host name for each bucket.
    this.#root = endpoint === undefined ? `https://${bucket}.s3.${region}.amazonaws.com` : `${endpoint}/${bucket}`;
  }

  /** Undefined for what is not there. Other refusals throw. */
  async find(call: S3Call): Promise<Response | undefined> {
    const response = await this.#send(call);
    if (response.status !== 404) return response;
    const answer = await problemOf(response);
    // A bucket that is gone must not look like a store without blobs.
    if (answer.code === 'NoSuchBucket') throw this.#explain(404, answer);
    return undefined;
  }

  async call(call: S3Call): Promise<Response> {
    const response = await this.#send(call);
    if (response.status === 404) throw this.#explain(404, await problemOf(response));
    return response;
  }

  /** The text of an answer. S3 answers some failures with 200 and an error in the body. */
  async text(call: S3Call): Promise<string> {
    return retry(
      async () => {
        const response = await this.call(call);
        const body = await response.text();
        if (/^\s*(<\?xml[^>]*\?>)?\s*<Error>/.test(body)) throw this.#explain(500, parseProblem(body));
        return body;
      },
      isTransient,
      BACKOFF,
      call.signal,
    );
  }

  async #send(call: S3Call): Promise<Response> {
    const url = this.#url(call);
    const payload = call.body ?? Buffer.alloc(0);
    const digest = Buffer.from(await webcrypto.subtle.digest('SHA-256', payload)).toString('hex');
    return retry(() => this.#sendOnce(call, url, digest), isTransient, BACKOFF, call.signal);
  }

  async #sendOnce(call: S3Call, url: string, digest: string): Promise<Response> {
    const { region, accessKeyId, secretAccessKey } = this.#options;
    const { method, body } = call;
    const headers = { ...call.headers, 'x-amz-content-sha256': digest };
    const signer = new AwsV4Signer({ method, url, headers, accessKeyId, secretAccessKey, service: 's3', region });
    const signed = await signer.sign();
    // Some services compress on the way out, and then neither length nor ranges are those of the blob.
    signed.headers.set('accept-encoding', 'identity');
    // The body of a GET takes as long as its reader does.
    const patience = method === 'GET' && call.key !== undefined ? [] : [AbortSignal.timeout(ANSWER_MS)];
    const signals = [...patience, ...(call.signal ? [call.signal] : [])];
    let response: Response;
    try {
      response = await fetch(signed.url, {
        method,
        headers: signed.headers,
        ...(body !== undefined && { body }),
        ...(signals.length > 0 && { signal: AbortSignal.any(signals) }),
        redirect: 'manual',
      });
    } catch (cause) {
      call.signal?.throwIfAborted();
      throw new AppError('unavailable', 'filestore.unavailable', 'The file store does not answer.', { cause });
    }
    if (response.ok || response.status === 404 || response.status === 416) return response;
    throw this.#explain(response.status, await problemOf(response));
  }

  #url({ key, query }: S3Call): string {
    const path = key === undefined ? '/' : `/${key.split('/').map(strictlyEncoded).join('/')}`;
    const pairs = Object.entries(query ?? {}).map(([name, value]) => `${name}=${strictlyEncoded(value)}`);
    return `${this.#root}${path}${pairs.length === 0 ? '' : `?${pairs.join('&')}`}`;
  }

  #explain(status: number, { code, message }: Problem): AppError {
    const cause = new Error(`S3 answered ${status} ${code}: ${message}`);
    const { bucket } = this.#options;
    if (status === 507 || /Full|Quota|QuotaExceeded/.test(code))
      return new AppError('unavailable', 'filestore.full', 'The file store has no space left.', { cause });
    if (code === 'NoSuchBucket')
      return new AppError('unavailable', 'filestore.no-bucket', `The bucket ${bucket} does not exist.`, {
        cause,
        retryable: false,
      });
    if (status === 401 || status === 403)
      return new AppError(
        'unavailable',
        'filestore.refused',
        `The object store refuses the access key for the bucket ${bucket}.`,
        { cause, retryable: false },
      );
    const isPassing = status === 429 || status >= 500 || /^(SlowDown|RequestTimeout|InternalError)$/.test(code);
    return new AppError('unavailable', 'filestore.failed', 'The file store cannot do this now.', {
      cause,
      retryable: isPassing,
    });
  }
}

export function md5Of(body: Buffer): string {
  return createHash('md5').update(body).digest('base64');
}

type Problem = { code: string; message: string };

async function problemOf(response: Response): Promise<Problem> {
  return parseProblem(await response.text().catch(() => ''));
}

function parseProblem(xml: string): Problem {
  return { code: elementText(xml, 'Code') ?? '', message: elementText(xml, 'Message') ?? '' };
}

function isTransient(error: unknown): boolean {
  return error instanceof AppError && error.retryable;
}

/** As signatures are computed: everything but letters, digits and `-._~`. */
function strictlyEncoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
