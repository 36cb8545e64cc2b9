import type { KindHandler } from '../kind.ts';
import type { ConnectorParts } from '../sync/connector-program.ts';
import { runCheck } from '../sync/inspect-connector.ts';

export const checkKind = (parts: ConnectorParts): KindHandler => ({
  kind: 'check',
  run: (ctx) => runCheck(parts, ctx),
});
