import { execFile } from 'node:child_process';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { packageRoot } from '../../../lib/package-root.ts';
import { workerEnvironment } from './worker-process.ts';

/**
 * Bubblewrap around a session process, where it is installed and works: no network, no other processes, of the file
 * system only the system's libraries, Node, our code and the session's own directory. A second wall behind DuckDB's
 * locked configuration, against a hole in DuckDB itself.
 */
export type Sandbox = { wrap(seat: { inputs: string; work: string }): string[] };

const SYSTEM = ['/usr', '/lib', '/lib64', '/bin', '/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/localtime'];

/** The folder from which our packages are resolved: ours, or the one this package is installed into. */
function modulesFolder(): string {
  const entry = fileURLToPath(import.meta.resolve('@duckdb/node-api'));
  const parts = entry.split(sep);
  return parts.slice(0, parts.lastIndexOf('node_modules') + 1).join(sep);
}

function argumentsFor(writable: string[], readable: string[]): string[] {
  const ours = [process.execPath, modulesFolder(), join(packageRoot, 'dist'), join(packageRoot, 'package.json')];
  return [
    'bwrap',
    '--unshare-all',
    '--die-with-parent',
    '--new-session',
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--tmpfs',
    '/tmp',
    ...[...SYSTEM, ...ours].flatMap((path) => ['--ro-bind-try', path, path]),
    ...readable.flatMap((path) => ['--ro-bind', path, path]),
    ...writable.flatMap((path) => ['--bind', path, path]),
    '--',
  ];
}

/** Undefined where bubblewrap is missing or may not make namespaces. */
export async function findSandbox(): Promise<Sandbox | undefined> {
  try {
    const [program, ...rest] = argumentsFor([], []);
    const options = { timeout: 5_000, env: workerEnvironment() };
    await promisify(execFile)(program!, [...rest, process.execPath, '--version'], options);
  } catch {
    return undefined; // not installed, or refused by the kernel or by the container we are in
  }
  return { wrap: ({ inputs, work }) => argumentsFor([work], [inputs]) };
}
