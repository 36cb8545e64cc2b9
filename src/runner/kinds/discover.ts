import type { RunnerParts } from '../job-run.ts';
import type { KindHandler } from '../kind.ts';
import { runDiscover } from '../sync/inspect-connector.ts';

export const discoverKind = (parts: RunnerParts): KindHandler => ({
  kind: 'discover',
  run: (ctx) => runDiscover(parts, ctx),
});
