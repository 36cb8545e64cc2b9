import type { KindHandler } from '../kind.ts';
import { runSync, type SyncParts } from '../sync/run-sync.ts';

export const syncKind = (parts: SyncParts): KindHandler => ({ kind: 'sync', run: (ctx) => runSync(parts, ctx) });
