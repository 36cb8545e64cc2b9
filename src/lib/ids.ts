import { randomBytes, randomUUID } from 'node:crypto';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

let lastMs = 0;
let sequence = 0;

/**
 * A UUID whose text sorts by time of making: 48 bits of milliseconds, then a 12-bit counter that keeps the order
 * within one millisecond of this process, then 62 random bits.
 */
export function uuidv7(): string {
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    // The upper half stays free, so that the counter seldom overflows into the next millisecond.
    sequence = randomBytes(2).readUInt16BE() & 0x7ff;
  } else if (++sequence > 0xfff) {
    lastMs++;
    sequence = 0;
  }
  const bytes = randomBytes(16);
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | sequence, 6);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A random UUID, for ids that must not tell when they were made. */
export function uuidv4(): string {
  return randomUUID();
}

/** 26 characters, sortable by the millisecond of making; safe in file names of any file system. */
export function ulid(): string {
  let time = Date.now();
  let text = '';
  for (let i = 0; i < 10; i++) {
    text = CROCKFORD.charAt(time % 32) + text;
    time = Math.floor(time / 32);
  }
  for (const byte of randomBytes(16)) text += CROCKFORD.charAt(byte % 32);
  return text;
}

/** A random secret in base62 (no `-`, safe in URLs, headers and shells), with the entropy of that many bytes. */
export function randomToken(bytes: number): string {
  const length = Math.ceil((bytes * 8) / Math.log2(62));
  let text = '';
  while (text.length < length) {
    // 248 is the largest multiple of 62 below 256: without this cut, early letters would come more often.
    for (const byte of randomBytes(length)) if (byte < 248 && text.length < length) text += BASE62.charAt(byte % 62);
  }
  return text;
}
