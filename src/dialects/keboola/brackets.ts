import { AppError } from '../../core/errors.ts';

/**
 * PHP's bracket notation for nested parameters: `tags[]=a`, `input[0][source]=in.c-a.b`. A container whose keys are
 * 0, 1, 2 ... becomes an array, any other an object.
 */
const MAX_DEPTH = 64;
/** Every container costs hundreds of bytes here and three in a body: more than anybody means would cost gigabytes. */
const MAX_CONTAINERS = 200_000;

class Branch {
  readonly members = new Map<string, unknown>();
  /** Keys below are taken: the search for a free index goes on here, else a body of `a[]` could take hours. */
  searchedTo = 0;
}

/** Pairs in the order they arrived; of two pairs with the same name the last one wins, as in PHP. */
export function parsePairs(pairs: Iterable<readonly [string, string]>): Record<string, unknown> {
  const root = new Branch();
  let containers = 0;
  for (const [name, value] of pairs) {
    containers += insert(root, splitName(name), value);
    if (containers > MAX_CONTAINERS)
      throw new AppError('too-large', 'request.too-large', 'Too many nested parameters.');
  }
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

/** Returns how many containers it made. */
function insert(root: Branch, path: string[], value: string): number {
  let branch = root;
  let made = 0;
  path.forEach((part, i) => {
    const key = part === '' && i > 0 ? nextIndex(branch) : part;
    if (i === path.length - 1) {
      branch.members.set(key, value);
      return;
    }
    let child = branch.members.get(key);
    if (!(child instanceof Branch)) {
      child = new Branch();
      branch.members.set(key, child);
      made++;
    }
    branch = child as Branch;
  });
  return made;
}

/** The lowest index that is free. */
function nextIndex(branch: Branch): string {
  while (branch.members.has(String(branch.searchedTo))) branch.searchedTo++;
  return String(branch.searchedTo);
}

function toObject({ members }: Branch): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [key, value] of members) {
    if (key !== '__proto__') object[key] = value instanceof Branch ? toContainer(value) : value;
  }
  return object;
}

function toContainer(branch: Branch): unknown {
  const { members } = branch;
  let index = 0;
  for (const key of members.keys()) if (key !== String(index++)) return toObject(branch);
  return [...members.values()].map((value) => (value instanceof Branch ? toContainer(value) : value));
}
