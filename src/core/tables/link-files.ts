/**
 * The files of a table in another directory, without their content being copied: hard links. So each table has files
 * of its own, whatever becomes of the other, and no cleaning, ours or a stock client's, has to know who shares what.
 */
import { constants, copyFile, link, open } from 'node:fs/promises';
import { join } from 'node:path';
import { errors } from '../errors.ts';
import type { CopiedFile } from './lake-copy-store.ts';
import type { LakeFile } from './lake-store.ts';
import type { StagedFiles } from './staging-store.ts';

/** Disks without links, and files with as many as the disk allows. */
const NOT_LINKED = ['EPERM', 'EXDEV', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];
const AT_ONCE = 32;

export async function linkFiles(files: readonly LakeFile[], staged: StagedFiles): Promise<CopiedFile[]> {
  const copied: CopiedFile[] = [];
  for (let from = 0; from < files.length; from += AT_ONCE) {
    const some = files.slice(from, from + AT_ONCE).map(async (file, at): Promise<CopiedFile> => {
      const stem = `${staged.prefix}-${from + at + 1}`;
      const name = `${stem}.parquet`;
      await linkFile(file.path, join(staged.directory, name));
      const deleteName = file.deleteFile && `${stem}-delete.parquet`;
      if (file.deleteFile && deleteName) await linkFile(file.deleteFile.path, join(staged.directory, deleteName));
      return { from: file, name, deleteName };
    });
    copied.push(...(await Promise.all(some)));
  }
  await sync(staged.directory);
  return copied;
}

async function linkFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENOENT') throw errors.unavailable('A file of the table is not there', error);
    if (!NOT_LINKED.includes(code)) throw error;
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    await sync(to);
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
