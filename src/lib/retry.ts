import { setTimeout as sleep } from 'node:timers/promises';

export type Backoff = {
  /** Tries in all, the first one included. */
  attempts: number;
  firstMs: number;
  maxMs: number;
};

/** Half the doubled delay is fixed and half random, so that many who failed together do not come back together. */
export function backoffMs(failures: number, backoff: Pick<Backoff, 'firstMs' | 'maxMs'>): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.max(0, failures - 1));
  return Math.round(full / 2 + Math.random() * (full / 2));
}

/** Calls again while `isRetryable` says so; throws the last error. An aborted signal ends the waiting at once. */
export async function retry<T>(
  act: (attempt: number) => Promise<T>,
  isRetryable: (error: unknown) => boolean,
  backoff: Backoff = { attempts: 5, firstMs: 50, maxMs: 2000 },
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act(attempt);
    } catch (error) {
      if (attempt >= backoff.attempts || signal?.aborted || !isRetryable(error)) throw error;
      await sleep(backoffMs(attempt, backoff), undefined, signal ? { signal } : {});
    }
  }
}
