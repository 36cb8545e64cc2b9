import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * A folder whose node_modules hold these packages, made once per machine and kept in a cache folder
 * (MILLRACE_TEST_CACHE). Where npm or its registry is out of reach, skips the test by name and returns undefined.
 */
export async function npmPackages(t: TestContext, packages: readonly string[]): Promise<string | undefined> {
  const cache = process.env.MILLRACE_TEST_CACHE ?? path.join(homedir(), '.cache', 'millrace-test');
  const key = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12);
  const home = path.join(cache, `npm-${key}`);
  if (existsSync(home)) return home;
  // Built aside and renamed, so that a folder with the final name is always complete.
  const draft = `${home}.${process.pid}`;
  try {
    await mkdir(draft, { recursive: true });
    await writeFile(path.join(draft, 'package.json'), '{"private":true}');
    const install = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', draft, ...packages];
    await run('npm', install, { timeout: 180_000, cwd: draft });
    await rename(draft, home).catch((error: NodeJS.ErrnoException) => {
      // Another test process was faster.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } catch (error) {
    t.skip(`needs npm: ${packages.join(' ')} could not be installed (${String(error).split('\n')[0]})`);
    return undefined;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return home;
}
