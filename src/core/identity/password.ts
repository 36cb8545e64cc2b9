import { type BinaryLike, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/** About 60 ms and 32 MB for each guess. */
const COST = { N: 32768, r: 8, p: 1 };

/** `scrypt$N$r$p$salt$hash`, so that the cost can be raised one day without locking anybody out. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, 32, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), hash.toString('base64')].join('$');
}

export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [name, n, r, p, salt, hash] = stored.split('$');
  if (name !== 'scrypt' || !salt || !hash) return false;
  const expected = Buffer.from(hash, 'base64');
  const cost = { N: Number(n), r: Number(r), p: Number(p) };
  const actual = await derive(password, Buffer.from(salt, 'base64'), expected.length, cost);
  return timingSafeEqual(actual, expected);
}

function derive(password: BinaryLike, salt: Buffer, length: number, cost: ScryptOptions): Promise<Buffer> {
  const { N = 0, r = 0 } = cost;
  return new Promise((resolve, reject) => {
    // Node's own limit is exactly what this cost needs, and refuses it.
    scrypt(password, salt, length, { ...cost, maxmem: 256 * N * r }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
