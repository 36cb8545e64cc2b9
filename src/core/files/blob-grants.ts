import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import { fileErrors } from './file-errors.ts';

/** One letter each: read, write, list, delete. */
export type Permission = 'r' | 'w' | 'l' | 'd';

/** What a client shows to reach the blobs of one container; everything in it is covered by the signature. */
export type Grant = { permissions: string; expiresAt: string; signature: string };

export const GRANT_VALID_MS = 12 * 3600 * 1000;

/**
 * Signs and checks access to the blobs of one container, so that clients that know nothing of our tokens can be let in
 * to exactly one file for a while. Opaque to them: an HMAC over container, permissions and expiry.
 */
export class BlobGrants {
  readonly #key: Buffer;
  readonly #clock: Clock;

  constructor(key: Buffer, clock: Clock) {
    if (key.length < 32) throw new Error('The signing key of the blob grants must have at least 32 bytes');
    this.#key = key;
    this.#clock = clock;
  }

  sign(container: string, permissions: string, validMs: number): Grant {
    const expiresAt = `${new Date(this.#clock.now().getTime() + validMs).toISOString().slice(0, 19)}Z`;
    return { permissions, expiresAt, signature: this.#signature(container, permissions, expiresAt) };
  }

  /** Throws unless the grant was made by us for this very container and its time is not over. */
  check(container: string, grant: Grant): void {
    const expected = Buffer.from(this.#signature(container, grant.permissions, grant.expiresAt));
    const given = Buffer.from(grant.signature);
    const isOurs = given.length === expected.length && timingSafeEqual(given, expected);
    // Our own signature vouches for the date's form.
    if (!isOurs || Date.parse(grant.expiresAt) <= this.#clock.now().getTime()) throw fileErrors.grantInvalid();
  }

  #signature(container: string, permissions: string, expiresAt: string): string {
    // base64url: some clients split connection strings at every `=` and do not decode `%2B`.
    return createHmac('sha256', this.#key).update(`${container}\n${permissions}\n${expiresAt}`).digest('base64url');
  }
}
