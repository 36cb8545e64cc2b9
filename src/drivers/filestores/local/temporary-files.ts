import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { TEMPORARY_FOLDER } from '../keys.ts';

const FOREIGN_HOST_MAX_AGE_MS = 48 * 3600 * 1000;

/**
 * Names half-written files so that whoever finds one later can tell whether its writer is still at work: several
 * server processes may share one folder, so "older than my own start" alone would delete a neighbour's upload.
 */
export class TemporaryFiles {
  readonly #folder: string;
  readonly #host = encodeURIComponent(hostname());
  #counter = 0;

  constructor(directory: string) {
    this.#folder = path.join(directory, TEMPORARY_FOLDER);
  }

  async ensureFolder(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }

  newPath(): string {
    const unique = `${Date.now().toString(36)}${(this.#counter++).toString(36)}${Math.random().toString(36).slice(2, 8)}`;
    return path.join(this.#folder, `${this.#host}~${process.pid}~${unique}`);
  }

  /** Removes what crashed writers left behind. */
  async sweep(): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.#folder)) {
      const file = path.join(this.#folder, name);
      if (!(await this.#isLeftOver(name, file))) continue;
      await rm(file, { recursive: true, force: true });
      removed++;
    }
    return removed;
  }

  async #isLeftOver(name: string, file: string): Promise<boolean> {
    const [host, pid] = name.split('~');
    const found = await stat(file).catch(() => undefined);
    if (!found) return false;
    if (host !== this.#host) return Date.now() - found.mtimeMs > FOREIGN_HOST_MAX_AGE_MS;
    // The number of a dead process may have been given to us, or to anybody else: then age decides.
    if (Number(pid) === process.pid) return found.ctimeMs < performance.timeOrigin;
    return !isAlive(Number(pid)) || Date.now() - found.mtimeMs > FOREIGN_HOST_MAX_AGE_MS;
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
