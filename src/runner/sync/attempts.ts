/** One run of source and destination within a job, as it is shown. */
export type Attempt = {
  number: number;
  status: 'succeeded' | 'failed';
  records: number;
  bytes: number;
  failure?: string;
};

/** What Airbyte's own scheduler does: who makes progress may fail often, who makes none gives up soon. */
const LIMITS = { partial: 20, useless: 10 };
const BACKOFF_FACTOR = 3;
const MAX_BACKOFF_MS = 30 * 60_000;

/**
 * How long to wait before the next attempt, or undefined when there is none. After an attempt that has moved records it
 * follows at once: the next one goes on where that one has stopped.
 */
export function retryDelayMs(
  attempts: readonly Attempt[],
  { firstBackoffMs, uselessInARow }: { firstBackoffMs: number; uselessInARow: number },
): number | undefined {
  const failed = attempts.filter(({ status }) => status === 'failed');
  const useless = failed.filter(({ records }) => records === 0);
  const sinceProgress = failed.length - 1 - failed.findLastIndex(({ records }) => records > 0);
  if (failed.length - useless.length >= LIMITS.partial || useless.length >= LIMITS.useless) return undefined;
  if (sinceProgress >= uselessInARow) return undefined;
  if (sinceProgress === 0) return 0;
  return Math.min(MAX_BACKOFF_MS, firstBackoffMs * BACKOFF_FACTOR ** (sinceProgress - 1));
}
