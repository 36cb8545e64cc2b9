import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { needs } from './needs.ts';

const run = promisify(execFile);

/**
 * The `python` of a virtual environment with these packages, made once per machine and kept in a cache folder
 * (MILLRACE_TEST_CACHE). Where Python or the package index is missing, skips the test by name and returns undefined.
 */
export async function pythonEnvironment(t: TestContext, packages: readonly string[]): Promise<string | undefined> {
  if (!needs(t, 'venv')) return undefined;
  const cache = testCache();
  const key = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12);
  const home = path.join(cache, `python-${key}`);
  const python = path.join(home, 'bin', 'python');
  if (existsSync(python)) return python;
  // Built aside and renamed, so that a folder with the final name is always complete.
  const draft = `${home}.${process.pid}`;
  try {
    await mkdir(cache, { recursive: true });
    await run('/usr/bin/python3', ['-m', 'venv', draft], { timeout: 60_000 });
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages];
    await run(path.join(draft, 'bin', 'python'), pip, { timeout: 180_000 });
    await rename(draft, home).catch((error: NodeJS.ErrnoException) => {
      // Another test process was faster.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } catch (error) {
    t.skip(`needs pypi: ${packages.join(' ')} could not be installed (${String(error).split('\n')[0]})`);
    return undefined;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return python;
}

/** What tests fetch once per machine. */
export const testCache = () => process.env.MILLRACE_TEST_CACHE ?? path.join(homedir(), '.cache', 'millrace-test');
