import type { KindHandler } from '../kind.ts';
import { runSync, type SyncParts } from '../sync/run-sync.ts';

export const resetKind = (parts: SyncParts): KindHandler => ({ kind: 'reset', run: (ctx) => runSync(parts, ctx) });
