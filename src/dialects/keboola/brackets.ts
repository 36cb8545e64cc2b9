/**
 * PHP's bracket notation for nested parameters: `tags[]=a`, `input[0][source]=in.c-a.b`. A container whose keys are
 * 0, 1, 2 ... becomes an array, any other an object.
 */
const MAX_DEPTH = 64;

type Branch = Map<string, Branch | unknown>;

/** Pairs in the order they arrived; of two pairs with the same name the last one wins, as in PHP. */
export function parsePairs(pairs: Iterable<readonly [string, string]>): Record<string, unknown> {
  const root: Branch = new Map();
  for (const [name, value] of pairs) insert(root, splitName(name), value);
  return toObject(root);
}

/** A query string or an `application/x-www-form-urlencoded` body. Throws RangeError on what is not UTF-8. */
export function parseUrlEncoded(text: string): Record<string, unknown> {
  const pairs: [string, string][] = [];
  for (const part of text.split('&')) {
    if (part === '') continue;
    const at = part.indexOf('=');
    pairs.push(at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))]);
  }
  return parsePairs(pairs);
}

function decode(text: string): string {
  const spaced = text.replaceAll('+', ' ');
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Either a stray percent sign, which people do type and which stands for itself, or bytes that are no UTF-8.
    const repaired = spaced.replace(/%(?![0-9a-fA-F]{2})/g, '%25');
    try {
      return decodeURIComponent(repaired);
    } catch (cause) {
      throw new RangeError('parameters are not valid UTF-8', { cause });
    }
  }
}

function splitName(name: string): string[] {
  const open = name.indexOf('[');
  if (open <= 0) return [name];
  const path = [name.slice(0, open)];
  let at = open;
  while (name[at] === '[' && path.length < MAX_DEPTH) {
    const close = name.indexOf(']', at);
    if (close < 0) break;
    path.push(name.slice(at + 1, close));
    at = close + 1;
  }
  return path;
}

function insert(root: Branch, path: string[], value: string): void {
  let branch = root;
  path.forEach((part, i) => {
    const key = part === '' && i > 0 ? String(nextIndex(branch)) : part;
    if (i === path.length - 1) {
      branch.set(key, value);
      return;
    }
    let child = branch.get(key);
    if (!(child instanceof Map)) {
      child = new Map();
      branch.set(key, child);
    }
    branch = child as Branch;
  });
}

function nextIndex(branch: Branch): number {
  let next = 0;
  // The common case, `a[]` repeated, must not be quadratic: keys 0..size-1 need no search.
  if (branch.size === 0 || branch.has(String(branch.size - 1))) next = branch.size;
  while (branch.has(String(next))) next++;
  return next;
}

function toObject(branch: Branch): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [key, value] of branch) {
    if (key !== '__proto__') object[key] = value instanceof Map ? toContainer(value) : value;
  }
  return object;
}

function toContainer(branch: Branch): unknown {
  let index = 0;
  for (const key of branch.keys()) if (key !== String(index++)) return toObject(branch);
  return [...branch.values()].map((value) => (value instanceof Map ? toContainer(value) : value));
}
