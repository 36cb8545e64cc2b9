import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from './cleanup.ts';

export type Wheel = {
  name: string;
  version: string;
  /** Names of its programs; none for a library. */
  scripts?: string[];
};

/**
 * A folder with packages as the Python index has them, and the environment in which pip takes them from there and asks
 * no index. Their program is the source of tiny_source.py.
 */
export function packageFolder(
  t: TestContext,
  wheels: Wheel[],
): { folder: string; environment: Record<string, string> } {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-wheels-'));
  cleanup(t, () => rmSync(folder, { recursive: true, force: true }));
  const maker = path.join(packageRoot, 'test', 'support', 'make_wheel.py');
  for (const { name, version, scripts = [] } of wheels)
    execFileSync('/usr/bin/python3', [maker, folder, name, version, ...scripts]);
  return { folder, environment: { PIP_NO_INDEX: '1', PIP_FIND_LINKS: folder } };
}
