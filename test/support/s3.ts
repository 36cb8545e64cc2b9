import { spawn } from 'node:child_process';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { S3Options } from '../../src/drivers/filestores/s3/s3-client.ts';
import { freePort } from './free-port.ts';
import { pythonEnvironment } from './python.ts';

let server: Promise<string> | undefined;
let buckets = 0;

/**
 * An empty bucket of a real S3 server (moto), one server for all tests of a file. Where it cannot be installed, skips
 * the test by name and returns undefined.
 */
export async function s3Bucket(t: TestContext): Promise<(S3Options & { endpoint: string }) | undefined> {
  const python = await pythonEnvironment(t, ['moto[server,s3]==5.2.5']);
  if (!python) return undefined;
  server ??= start(python);
  const endpoint = await server;
  const bucket = `millrace-${process.pid}-${++buckets}`;
  const made = await fetch(`${endpoint}/${bucket}`, { method: 'PUT' });
  if (!made.ok) throw new Error(`moto made no bucket: ${made.status} ${await made.text()}`);
  return { endpoint, bucket, region: 'us-east-1', accessKeyId: 'AKIATEST', secretAccessKey: 'the-secret-of-the-test' };
}

async function start(python: string): Promise<string> {
  const port = await freePort();
  const child = spawn(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  // It serves every test of the process, and must not keep the process from ending.
  child.unref();
  process.once('exit', () => child.kill('SIGKILL'));
  const endpoint = `http://127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 300; attempt++) {
    if (child.exitCode !== null) throw new Error(`moto ended with ${child.exitCode}`);
    if (await fetch(endpoint).catch(() => undefined)) return endpoint;
    await sleep(100);
  }
  throw new Error('moto does not answer');
}
