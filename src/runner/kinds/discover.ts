import type { KindHandler } from '../kind.ts';
import type { ConnectorParts } from '../sync/connector-program.ts';
import { runDiscover } from '../sync/inspect-connector.ts';

export const discoverKind = (parts: ConnectorParts): KindHandler => ({
  kind: 'discover',
  run: (ctx) => runDiscover(parts, ctx),
});
