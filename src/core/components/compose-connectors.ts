import type { Database } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { EventDispatcher } from '../events/dispatcher.ts';
import type { Events } from '../events/events.ts';
import type { Identity } from '../identity/identity.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { Occurrences, type Starter, type Starters } from '../schedules/occurrences.ts';
import { Schedules } from '../schedules/schedules.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { Firings } from '../triggers/firings.ts';
import { Triggers } from '../triggers/triggers.ts';
import { ComponentRuns, type RunStarter } from './component-runs.ts';
import type { Components } from './components.ts';
import type { Configurations } from './configurations.ts';
import { CONNECTION_COMPONENT } from './connection-model.ts';
import { Connections } from './connections.ts';
import { Connectors } from './connectors.ts';
import { Syncs } from './syncs.ts';

export type ConnectorParts = {
  db: Database;
  events: Events;
  identity: Identity;
  clock: Clock;
  components: Components;
  configurations: Configurations;
  secrets: Secrets;
  jobs: Jobs;
  /** How schedules start what is not run like a component, by component. */
  starters?: Record<string, Starter>;
  /** The same for whoever asks for a run. */
  runStarters?: Record<string, RunStarter>;
};

/** What belongs together: connectors, the connections between them, what runs these and all other components, and when. */
export function composeConnectors(parts: ConnectorParts) {
  const schedules = new Schedules({ ...parts, targets: parts.configurations });
  const connectors = new Connectors(parts);
  const connections = new Connections({ ...parts, schedules });
  const syncs = new Syncs({ ...parts, connectors, connections });
  const runs = new ComponentRuns({ ...parts, syncs });
  const starters: Starters = {
    byComponent: {
      ...parts.starters,
      [CONNECTION_COMPONENT]: (tx, actor, occurrence) => syncs.startScheduled(tx, actor, occurrence),
    },
    other: (tx, actor, occurrence) => runs.startScheduled(tx, actor, occurrence),
  };
  const occurrences = new Occurrences({ ...parts, starters });
  const triggers = new Triggers(parts);
  const firings = new Firings({ ...parts, starters });
  const dispatcher = new EventDispatcher({ db: parts.db, consumers: [triggers.consumer()] });
  return { connectors, connections, syncs, runs, schedules, occurrences, triggers, firings, dispatcher };
}
