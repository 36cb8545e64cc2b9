import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../src/lib/package-root.ts';

export type BenchServer = { url: string; token: string; dataDirectory: string; pid: number; stop(): Promise<void> };

/**
 * A platform of its own on a free port, on embedded defaults, as `millrace up` starts it. Its data is removed by stop(),
 * unless it was given a folder.
 */
export async function startServer(given?: string, env: Record<string, string> = {}): Promise<BenchServer> {
  const dataDirectory = given ?? mkdtempSync(path.join(tmpdir(), 'millrace-bench-'));
  const child = spawn(
    process.execPath,
    [path.join(packageRoot, 'bin/millrace.js'), 'up', '--data', dataDirectory, '--port', '0', '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } },
  );
  const ready = await firstJsonLine<{ url: string; credentials: string }>(child, 'millrace');
  const credentials = JSON.parse(readFileSync(ready.credentials, 'utf8')) as { keboola: { storageToken: string } };
  return {
    url: ready.url,
    token: credentials.keboola.storageToken,
    dataDirectory,
    pid: child.pid ?? 0,
    stop: async () => {
      await stopChild(child);
      if (given === undefined) rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}

/** What a server says on its output when it is ready. */
export function firstJsonLine<T>(child: ChildProcess, name: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (!child.stdout) throw new Error(`${name} was started without a pipe for its output`);
    createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('{') && resolve(JSON.parse(line)));
    child.once('exit', () => reject(new Error(`${name} did not start`)));
  });
}

export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** The embedded PostgreSQL of a server: its process number and how to connect to it. */
export function postgresOf(dataDirectory: string): { pid: number; host: string; port: number; user: string } {
  const lines = readFileSync(path.join(dataDirectory, 'postgres', 'postmaster.pid'), 'utf8').split('\n');
  return { pid: Number(lines[0]), host: lines[4]?.trim() ?? '', port: Number(lines[3]), user: 'millrace' };
}
