import type { Jobs } from '../jobs/jobs.ts';
import type { Secrets } from '../secrets/secrets.ts';
import type { Components } from './components.ts';
import type { Configurations } from './configurations.ts';
import { Connections } from './connections.ts';
import { Connectors } from './connectors.ts';
import { Syncs } from './syncs.ts';

/** What belongs together: connectors, the connections between them, and their jobs. */
export function composeConnectors(parts: {
  components: Components;
  configurations: Configurations;
  secrets: Secrets;
  jobs: Jobs;
}): { connectors: Connectors; connections: Connections; syncs: Syncs } {
  const connectors = new Connectors(parts);
  const connections = new Connections(parts);
  return { connectors, connections, syncs: new Syncs({ jobs: parts.jobs, connectors, connections }) };
}
