/**
 * Which files of a table are worth merging. Pure; the numbers are measured in docs/decisions/0009-compaction.md.
 *
 * Files are taken from the smallest on, as long as each is no larger than all before it together: so a row is written
 * anew only when what it lies in has at least doubled, and a table has a number of files that grows with the logarithm
 * of its size.
 */
import type { LakeFile } from './lake-store.ts';

/** Fewer files are no burden. Every load that changes rows reads each of them, and may write a delete file for each. */
export const FEWEST_FILES = 8;
/** Files up to this size are merged whatever the size of the others: reading and writing them takes milliseconds. */
const SMALL_BYTES = 4 * 1024 * 1024;
/** A file that has lost this part of its rows is written anew, if it is worth it. */
const DELETED_RATIO = 0.3;
const LEAST_DELETED_BYTES = 4 * 1024 * 1024;
/** What one compaction writes at most: it has to be done before the next load has changed everything again. */
const MOST_BYTES = 1024 * 1024 * 1024;

export function filesToCompact(files: readonly LakeFile[]): LakeFile[] {
  const bySize = files
    .map((file) => ({ file, bytes: livingBytes(file) }))
    .sort((a, b) => a.bytes - b.bytes || a.file.id - b.file.id);
  const merged: LakeFile[] = [];
  let sum = 0;
  for (const { file, bytes } of bySize) {
    if (bytes > Math.max(sum, SMALL_BYTES) || sum + bytes > MOST_BYTES) break;
    merged.push(file);
    sum += bytes;
  }
  const chosen = new Set(merged.length >= FEWEST_FILES ? merged : []);
  for (const { file, bytes } of bySize) {
    const dead = file.sizeBytes - bytes;
    if (dead < LEAST_DELETED_BYTES || dead < file.sizeBytes * DELETED_RATIO || chosen.has(file)) continue;
    if (chosen.size > 0 && sum + bytes > MOST_BYTES) continue;
    chosen.add(file);
    sum += bytes;
  }
  return files.filter((file) => chosen.has(file));
}

function livingBytes({ sizeBytes, recordCount, deleteFile }: LakeFile): number {
  return recordCount === 0 ? sizeBytes : sizeBytes * (1 - (deleteFile?.deleteCount ?? 0) / recordCount);
}
