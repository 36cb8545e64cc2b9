import type { RunnerParts } from '../job-run.ts';
import type { KindHandler } from '../kind.ts';
import { runCheck } from '../sync/inspect-connector.ts';

export const checkKind = (parts: RunnerParts): KindHandler => ({ kind: 'check', run: (ctx) => runCheck(parts, ctx) });
