import type { RunnerParts } from '../job-run.ts';
import type { KindHandler } from '../kind.ts';
import { runScript } from '../scripts/run-script.ts';
import type { Sandboxes } from '../scripts/sandboxes.ts';

export function scriptKind(parts: RunnerParts, sandboxes: Sandboxes): KindHandler {
  return {
    kind: 'script',
    run: (ctx) => runScript(parts, sandboxes, ctx),
    recover: (ctx) => runScript(parts, sandboxes, ctx),
  };
}
