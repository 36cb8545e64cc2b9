import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/**
 * Optional tools that tests probe for. A missing one is a named, counted skip (`needs <tool>: ...`); `.ci/run` installs
 * them first and sets MILLRACE_REQUIRE, under which such a skip is a failure (scripts/test.mjs).
 */
const probes = {
  bubblewrap: () =>
    works('bwrap', ['--unshare-all', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', 'true']),
  python3: () => works('/usr/bin/python3', ['-c', 'print(1)']) || works('python3', ['-c', 'print(1)']),
  venv: () => works('/usr/bin/python3', ['-c', 'import venv, ensurepip']),
  mariadb: () => works(mariadbProgram('mariadbd'), ['--version']),
  psql: () => works('psql', ['--version']),
  openssl: () => works('openssl', ['version']),
  curl: () => works('curl', ['--version']) && works('bash', ['--version']),
  root: () => process.getuid?.() === 0,
  tmpfs: () => works('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']),
} as const;

export type Need = keyof typeof probes;

const results = new Map<Need, boolean>();

export function has(need: Need): boolean {
  const known = results.get(need);
  if (known !== undefined) return known;
  const result = probes[need]();
  results.set(need, result);
  return result;
}

/** True when all needs are there; otherwise skips the test by name and returns false. */
export function needs(t: TestContext, ...wanted: Need[]): boolean {
  const missing = wanted.find((need) => !has(need));
  if (missing === undefined) return true;
  t.skip(`needs ${missing}: not found or not working on this machine`);
  return false;
}

/** The server is not on the path of ordinary users. MILLRACE_TEST_MARIADB names a folder it was unpacked into. */
export function mariadbProgram(name: string): string {
  const root = process.env.MILLRACE_TEST_MARIADB ?? '/';
  const folders = ['usr/sbin', 'usr/bin', 'usr/local/sbin', 'usr/local/bin'].map((folder) => join(root, folder, name));
  return folders.find((file) => existsSync(file)) ?? name;
}

function works(command: string, args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 10_000 }).status === 0;
}
