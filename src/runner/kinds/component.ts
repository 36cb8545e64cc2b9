import type { RunnerParts } from '../job-run.ts';
import type { KindHandler } from '../kind.ts';
import { runJob } from '../run-job.ts';

/** Runs a component. Taking a job over is running it again: every step finds what was done before. */
export function componentKind(parts: RunnerParts): KindHandler {
  return {
    kind: 'component',
    run: (ctx) => runJob(parts, ctx),
    recover: (ctx) => runJob(parts, ctx),
  };
}
