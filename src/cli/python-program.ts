import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../core/errors.ts';
import { findProgram } from '../db/postgres-binaries.ts';

const run = promisify(execFile);

/** A package of the Python index, and the version wanted of it: the newest where none is named. */
export type PythonPackage = { name: string; version: string | undefined };

/** A virtual environment in a folder of its own, with one program that people start. */
export type PythonProgram = { name: string; version: string; folder: string; script: string };

const cannot = (message: string, cause?: unknown) =>
  new AppError('invalid', 'command.cannot-install', message, { cause });

/** `name` or `name==version`, and nothing else that pip understands: no addresses, no paths, no options. */
export function parsePackage(text: string): PythonPackage {
  const [, name, version] = /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9.+!_-]+))?$/.exec(text) ?? [];
  if (name === undefined) throw cannot(`"${text}" is no package: give its name, or name==version.`);
  return { name: normalize(name), version };
}

export const programFolder = (root: string, { name, version }: { name: string; version: string }) =>
  path.join(root, `${name}-${version}`);

/**
 * Builds the program aside and gives it its final name when `complete` has had its say, so that a folder with that name
 * is whole whenever this process dies. Only finished packages (wheels) are taken: nothing of them runs here, where
 * there is no sandbox.
 */
export async function preparePythonProgram(
  root: string,
  wanted: PythonPackage,
  options: { python: string | undefined; complete(program: PythonProgram): Promise<void> },
): Promise<string> {
  if (wanted.version !== undefined) {
    const ready = programFolder(root, { name: wanted.name, version: wanted.version });
    if (existsSync(ready)) return ready;
  }
  const python = options.python ?? findProgram('python3');
  if (python === undefined) throw cannot('There is no python3 in /usr/bin. Install it: apt-get install python3-venv');
  mkdirSync(root, { recursive: true, mode: 0o755 });
  removeAbandoned(root);
  const draft = draftFolder(root);
  try {
    await inOpenFolder(python, ['-m', 'venv', draft]).catch((error: unknown) => {
      throw cannot(`${python} cannot make a virtual environment. Install it: apt-get install python3-venv`, error);
    });
    const requirement = wanted.version === undefined ? wanted.name : `${wanted.name}==${wanted.version}`;
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input'];
    await inOpenFolder(path.join(draft, 'bin', 'python'), [...pip, '--only-binary=:all:', '--', requirement]).catch(
      (error: unknown) => {
        throw cannot(`${requirement} could not be installed:\n${whatPipSaid(error)}`, error);
      },
    );
    const program = describe(draft, wanted.name);
    const final = programFolder(root, program);
    if (existsSync(final)) return final;
    await options.complete(program);
    chmodSync(draft, 0o755);
    // After a power cut the folder must not be there with half of its files; where there is no sync, that is what is left.
    await run('sync', ['-f', draft]).catch(() => undefined);
    return moveInto(draft, final);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** A folder that the next installation removes when this process is gone. */
export function draftFolder(root: string): string {
  return path.join(root, `.draft-${process.pid}-${randomUUID()}`);
}

function removeAbandoned(root: string): void {
  for (const name of readdirSync(root)) {
    const pid = /^\.draft-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(path.join(root, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Its files are for every user: programs run as users that own nothing. */
async function inOpenFolder(program: string, args: string[]): Promise<void> {
  await run('/bin/sh', ['-c', 'umask 022; exec "$@"', 'install', program, ...args], { maxBuffer: 64 * 1024 ** 2 });
}

function whatPipSaid(error: unknown): string {
  const { stderr = '', message = '' } = error as { stderr?: string; message?: string };
  const lines = (stderr.trim() || message).split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-8).join('\n');
}

/** Read as text: asking Python would run what the packages have put in its way. */
function describe(folder: string, name: string): PythonProgram {
  const library = path.join(folder, 'lib');
  const home = readdirSync(library).map((version) => path.join(library, version, 'site-packages'))[0] ?? '';
  const entry = readdirSync(home).find((one) => normalize(/^(.+)-[^-]+\.dist-info$/.exec(one)?.[1] ?? '') === name);
  if (entry === undefined) throw cannot(`${name} was installed, but says nothing about itself.`);
  const read = (file: string) => {
    const full = path.join(home, entry, file);
    return existsSync(full) ? readFileSync(full, 'utf8') : '';
  };
  const version = /^Version:\s*(\S+)/m.exec(read('METADATA'))?.[1];
  const section = /^\[console_scripts\]\n((?:[^[\n].*\n|\n)*)/m.exec(`${read('entry_points.txt')}\n`)?.[1] ?? '';
  const scripts = [...section.matchAll(/^\s*([A-Za-z0-9._-]+)\s*=/gm)].map((match) => match[1] as string);
  const script = scripts.find((one) => name.endsWith(one)) ?? scripts[0];
  if (version === undefined || script === undefined || !existsSync(path.join(folder, 'bin', script)))
    throw cannot(`${name} is no connector: it has no program.`);
  return { name, version, folder, script };
}

function moveInto(draft: string, final: string): string {
  try {
    renameSync(draft, final);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process was faster with the same.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
  return final;
}

const normalize = (name: string) => name.toLowerCase().replace(/[-_.]+/g, '-');
