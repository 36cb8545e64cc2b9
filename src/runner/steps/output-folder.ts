import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json } from '../../lib/json.ts';
import { runErrors } from '../run-errors.ts';

/**
 * Reading what a program left behind. It may have put links and pipes where files are expected, pointing at what only
 * the server may read or never ending: everything is looked at without following, and only plain files are opened.
 */
export type OutputEntry = { name: string; path: string; isFolder: boolean };

export type OutputFolder = { entries: OutputEntry[]; manifests: OutputEntry[] };

const MANIFEST = '.manifest';
const MAX_JSON_BYTES = 32 * 1024 * 1024;

/** out/tables or out/files: the top level without hidden files, manifests apart. */
export async function readOutputFolder(data: string, folder: 'tables' | 'files'): Promise<OutputFolder> {
  const path = join(data, 'out', folder);
  if (!(await isFolder(join(data, 'out'))) || !(await isFolder(path))) return { entries: [], manifests: [] };
  const all = await listFolder(path);
  return {
    entries: all.filter(({ name }) => !name.endsWith(MANIFEST)),
    manifests: all.filter(({ name, isFolder }) => name.endsWith(MANIFEST) && !isFolder),
  };
}

/** Files of a sliced table or file, in order of their names; folders in it are not looked into. */
export async function readSlices(entry: OutputEntry): Promise<OutputEntry[]> {
  return (await listFolder(entry.path)).filter((slice) => !slice.isFolder);
}

async function listFolder(path: string): Promise<OutputEntry[]> {
  const entries: OutputEntry[] = [];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    if (!entry.isFile() && !entry.isDirectory()) {
      throw runErrors.output(`Output "${entry.name}" is neither a file nor a folder.`);
    }
    // Read as text it has lost bytes: what the name leads to is another file or none.
    if (entry.name.includes('\ufffd')) throw runErrors.output(`The name of the output "${entry.name}" is not UTF-8.`);
    entries.push({ name: entry.name, path: join(path, entry.name), isFolder: entry.isDirectory() });
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Manifest of an entry, undefined when there is none. `what` begins the message when it is no JSON object. */
export async function readManifest(folder: OutputFolder, name: string): Promise<Json | undefined> {
  const manifest = folder.manifests.find((candidate) => candidate.name === name + MANIFEST);
  if (!manifest) return undefined;
  const text = await readText(manifest.path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw runErrors.output(
      `Failed to parse manifest file "${shown(manifest.path)}" as "json": ${(error as Error).message}`,
    );
  }
}

/** The file or folder that a manifest is about. */
export const manifestOwner = (name: string) => name.slice(0, -MANIFEST.length);

/** Manifests of nothing. */
export function orphans({ entries, manifests }: OutputFolder): string[] {
  const names = new Set(entries.map(({ name }) => name + MANIFEST));
  return manifests.map(({ name }) => name).filter((name) => !names.has(name));
}

/** A JSON file in out/ that a program may or may not write. Throws a SyntaxError for one that is no JSON. */
export async function readOutputJson(
  data: string,
  name: string,
  maxBytes: number = MAX_JSON_BYTES,
): Promise<Json | undefined> {
  if (!(await isFolder(join(data, 'out')))) return undefined;
  const path = join(data, 'out', name);
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  return JSON.parse(await readText(path, maxBytes));
}

async function readText(path: string, maxBytes: number = MAX_JSON_BYTES): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    if ((await file.stat()).size > maxBytes) throw runErrors.output(`The file "${shown(path)}" is too large.`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** The path as the program knows it; where our own folders lie is nobody's business. */
const shown = (path: string) => path.slice(path.lastIndexOf('/out/') + 1);

async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isDirectory() ?? false;
}
