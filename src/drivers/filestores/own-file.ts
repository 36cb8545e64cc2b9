import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../core/errors.ts';

/** Opens a file that is to be adopted. A program that is not ours may have made it: a link would hand out its target. */
export async function openOwnFile(source: string): Promise<FileHandle> {
  const handle = await open(source, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error) => {
    throw (error as NodeJS.ErrnoException).code === 'ELOOP' ? notAFile(source, error) : error;
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw notAFile(source);
}

function notAFile(source: string, cause?: unknown): AppError {
  return new AppError('invalid', 'filestore.not-a-file', `${path.basename(source)} is not a regular file.`, { cause });
}
