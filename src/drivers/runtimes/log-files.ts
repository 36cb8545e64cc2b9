import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogChunk } from './contract.ts';

export const logNames = { stdout: 'stdout.log', stderr: 'stderr.log' } as const;

const chunkBytes = 256 * 1024;
const pollMs = 40;

/**
 * Follows stdout.log and stderr.log of a run until `ended` resolves and everything was read. The files are polled: the
 * writer is another process that may outlive this one, and inotify reports nothing on some network file systems.
 */
export async function* followLogs(
  directory: string,
  from: { stdout: number; stderr: number },
  ended: Promise<unknown>,
): AsyncGenerator<LogChunk> {
  const streams = (['stdout', 'stderr'] as const).map((stream) => ({
    stream,
    offset: from[stream],
    file: undefined as FileHandle | undefined,
  }));
  const hasEnded = { value: false };
  const end = ended.then(
    () => (hasEnded.value = true),
    () => (hasEnded.value = true),
  );
  try {
    for (;;) {
      // Asked before reading: what was written before the end is then read in this round at the latest.
      const last = hasEnded.value;
      let isIdle = true;
      for (const entry of streams) {
        entry.file ??= await open(join(directory, logNames[entry.stream]), 'r').catch(() => undefined);
        if (!entry.file) continue;
        const buffer = Buffer.allocUnsafe(chunkBytes);
        const { bytesRead } = await entry.file.read(buffer, 0, chunkBytes, entry.offset);
        if (bytesRead === 0) continue;
        isIdle = false;
        yield { stream: entry.stream, bytes: buffer.subarray(0, bytesRead), offset: entry.offset };
        entry.offset += bytesRead;
      }
      if (isIdle && last) return;
      if (isIdle) {
        const cancel = new AbortController();
        await Promise.race([end, sleep(pollMs, undefined, { signal: cancel.signal }).catch(() => undefined)]);
        cancel.abort();
      }
    }
  } finally {
    for (const { file } of streams) await file?.close();
  }
}
