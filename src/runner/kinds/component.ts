import type { RunnerParts } from '../job-run.ts';
import type { KindHandler } from '../kind.ts';
import { runJob } from '../run-job.ts';
import { discardWork } from '../steps/work-dir.ts';

/**
 * Runs a component. Taking a job over is running it again: every step finds what was done before. What a job leaves
 * that ends without being run again (killed while it waits for its next try, out of tries) is removed here.
 */
export function componentKind(parts: RunnerParts): KindHandler {
  const { jobsDirectory, runtime } = parts;
  const { jobs } = parts.core;
  const running = new Set<number>();
  const run: KindHandler['run'] = async (ctx) => {
    running.add(ctx.job.id);
    try {
      await runJob(parts, ctx);
    } finally {
      running.delete(ctx.job.id);
    }
  };
  jobs.onEnd((job) => {
    if (job.kind !== 'component' || running.has(job.id)) return;
    const isFree = async () => {
      const loads = await jobs.unfinishedWork(job);
      await Promise.allSettled(loads.map((id) => jobs.awaitEnd(id, AbortSignal.timeout(60_000))));
    };
    // Whatever hinders it, the next start of the server tries again.
    void discardWork({ jobsDirectory, runtime, jobId: job.id, isFree }).catch(() => {});
  });
  return { kind: 'component', run, recover: run };
}
