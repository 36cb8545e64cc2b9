import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/lib/package-root.ts';
import { cleanup } from './cleanup.ts';
import { needs } from './needs.ts';
import { testCache } from './python.ts';

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

/**
 * Installs a connector of the Python package index into the data directory with the command that operators use. Built
 * once per machine in the cache of the tests. Where the index is out of reach, skips the test by name and answers false.
 */
export async function installConnector(t: TestContext, dataDirectory: string, requirement: string): Promise<boolean> {
  if (!needs(t, 'venv')) return false;
  const cache = path.join(testCache(), 'connectors');
  mkdirSync(cache, { recursive: true });
  mkdirSync(path.join(dataDirectory, 'connectors'), { recursive: true });
  symlinkSync(cache, path.join(dataDirectory, 'connectors', 'programs'));
  const bin = path.join(packageRoot, 'bin', 'millrace.js');
  const args = [bin, 'connector', 'install', requirement, '--data', dataDirectory];
  try {
    await promisify(execFile)(process.execPath, args, { timeout: 240_000 });
    return true;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    if (!stderr.includes('could not be installed')) throw error;
    t.skip(`needs pypi: ${requirement} could not be installed (${stderr.trim().split('\n').at(-1)})`);
    return false;
  }
}
