import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { AppError } from '../core/errors.ts';
import type { Credentials } from '../core/projects/credentials.ts';
import type { Projects } from '../core/projects/projects.ts';
import { lockDirectory, startTimeOf } from '../lib/directory-lock.ts';
import type { Lifecycle } from '../lib/lifecycle.ts';
import { ensurePrivateFile, readIfThere, writePrivateFile } from '../lib/private-file.ts';

/** Throws when another server has it. */
export async function lockData(home: string, lifecycle: Lifecycle): Promise<void> {
  const result = await lockDirectory(path.join(home, 'server.lock'));
  if ('heldBy' in result) {
    const where = result.isElsewhere ? ' in another container or on another machine' : '';
    throw new AppError(
      'conflict',
      'platform.already-running',
      `The data directory ${home} is in use by the Millrace with process number ${result.heldBy.pid}${where}. ` +
        'Stop that one first, or use another directory (--data).',
      { retryable: false },
    );
  }
  lifecycle.onStop('lock', 200, () => result.lock.release());
}

/**
 * A folder for what does not outlive this server, on the disk of everything else so that files can be moved out of it.
 * What dead servers left goes: all of it under the lock, else only what is known to be dead, by host and process number.
 */
export function openScratch(parent: string, serverId: string, { shared }: { shared: boolean }): string {
  if (!shared) rmSync(parent, { recursive: true, force: true });
  const scratch = path.join(parent, serverId);
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  const [host] = serverId.split('-');
  for (const name of readdirSync(parent)) {
    const [itsHost, pid] = name.split('-');
    if (name === serverId || itsHost !== host || startTimeOf(Number(pid)) !== undefined) continue;
    rmSync(path.join(parent, name), { recursive: true, force: true });
  }
  return scratch;
}

/** Whoever has the key reads every stored secret; whoever has lost it reads none. */
export function encryptionKey(config: Config): Buffer {
  const file = path.join(config.dataDirectory, 'encryption.key');
  const text = config.encryptionKey ?? ensurePrivateFile(file, () => `${randomBytes(32).toString('base64')}\n`);
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== 32)
    throw new AppError('invalid', 'config.key-broken', `${file} does not hold 32 bytes in base64.`);
  return key;
}

/** Undefined where the credentials are another server's business. */
export async function ensureCredentials(
  projects: Projects,
  file: string,
  shared: boolean,
  say: (line: string) => void,
): Promise<Credentials | undefined> {
  const made = await projects.bootstrap();
  if (made) {
    saveCredentials(file, made);
    return made;
  }
  let kept = readCredentials(file);
  // The server that started beside us made them and is about to write them down.
  for (let tries = 0; shared && !kept && tries < 20; tries++) {
    await sleep(100);
    kept = readCredentials(file);
  }
  if (kept || shared) return kept;
  say(`${file} was missing: new credentials were made and the old ones have ended.`);
  const renewed = await projects.resetCredentials();
  saveCredentials(file, renewed);
  return renewed;
}

function readCredentials(file: string): Credentials | undefined {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Credentials;
  } catch {
    // Torn or edited: as good as lost.
    return undefined;
  }
}

export function saveCredentials(file: string, credentials: Credentials & { url?: string }): void {
  const { url, ...rest } = credentials;
  writePrivateFile(file, `${JSON.stringify({ url, ...rest }, null, 2)}\n`);
}
