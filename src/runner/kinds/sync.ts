import type { RunnerParts } from '../job-run.ts';
import type { KindHandler } from '../kind.ts';
import { runSync, type SyncOptions } from '../sync/run-sync.ts';

export const syncKind = (parts: RunnerParts, options: SyncOptions): KindHandler => ({
  kind: 'sync',
  run: (ctx) => runSync(parts, ctx, options),
});
