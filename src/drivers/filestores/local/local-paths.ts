import path from 'node:path';
import { assertKey } from '../keys.ts';

export function pathOfKey(directory: string, key: string): string {
  assertKey(key);
  return path.join(directory, ...key.split('/'));
}
