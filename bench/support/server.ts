import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../src/lib/package-root.ts';

export type BenchServer = { url: string; token: string; dataDirectory: string; pid: number; stop(): Promise<void> };

/** A platform of its own on a free port, on embedded defaults, as `millrace up` starts it; its data is removed by stop(). */
export async function startServer(): Promise<BenchServer> {
  const dataDirectory = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'));
  const child = spawn(
    process.execPath,
    [path.join(packageRoot, 'bin/millrace.js'), 'up', '--data', dataDirectory, '--port', '0', '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ready = await new Promise<{ url: string; credentials: string }>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('{') && resolve(JSON.parse(line)));
    child.once('exit', () => reject(new Error('millrace did not start')));
  });
  const credentials = JSON.parse(readFileSync(ready.credentials, 'utf8')) as { keboola: { storageToken: string } };
  return {
    url: ready.url,
    token: credentials.keboola.storageToken,
    dataDirectory,
    pid: child.pid ?? 0,
    stop: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}
