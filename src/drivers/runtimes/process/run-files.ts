import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunExit, RunLimits } from '../contract.ts';

/**
 * What is known about a run lies in its log directory, so that any later server finds it there:
 * run.json (by the server: written before the start, with the pid right after it), exit (by the witness: the exit code
 * and a newline), reason (by the server, before it kills).
 */
export type RunNotes = {
  id: string;
  mode: 'bubblewrap' | 'plain';
  uid: number | undefined;
  startedAt: string;
  deadline: number;
  limits: RunLimits;
  /** Of the witness; absent when the server died within the start. */
  process?: { pid: number; startTime: number; bootId: string };
};

export type KillReason = Exclude<RunExit['reason'], 'exited' | 'lost'>;

export function writeNotes(directory: string, notes: RunNotes): void {
  const path = join(directory, 'run.json');
  writeFileSync(`${path}.new`, JSON.stringify(notes), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function readNotes(directory: string): RunNotes | undefined {
  const text = readText(join(directory, 'run.json'));
  return text === undefined ? undefined : (JSON.parse(text) as RunNotes);
}

/** The first reason stays: a stop that comes while a timeout is being carried out changes nothing. */
export function writeReason(directory: string, reason: KillReason): void {
  try {
    writeFileSync(join(directory, 'reason'), reason, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

const signalOfFileLimit = 25;
const killed = 137;

/** How the run ended, by its files; `lost` when the witness left no word. */
export function readExit(directory: string): RunExit {
  const notes = readNotes(directory);
  const exit = readText(join(directory, 'exit'));
  const reason = readText(join(directory, 'reason')) as KillReason | undefined;
  // Without its newline the witness was killed while it wrote.
  const isWritten = exit?.endsWith('\n') ?? false;
  const code = isWritten ? Number(exit) : killed;
  return {
    code,
    reason: reason ?? (!isWritten ? 'lost' : code === 128 + signalOfFileLimit ? 'output-limit' : 'exited'),
    startedAt: notes?.startedAt ?? new Date(0).toISOString(),
    finishedAt: (isWritten ? statSync(join(directory, 'exit')).mtime : new Date()).toISOString(),
  };
}

export const hasExit = (directory: string) => readText(join(directory, 'exit'))?.endsWith('\n') ?? false;

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // not written (yet)
  }
}
