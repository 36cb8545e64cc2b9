import type { Db } from '../../db/database.ts';
import { uuidv4 } from '../../lib/ids.ts';
import type { Actor } from '../identity/actor.ts';
import type { Recurrence } from '../schedules/schedule-times.ts';
import type { Schedules } from '../schedules/schedules.ts';
import type { Configuration } from './configuration-model.ts';
import type { Configurations } from './configurations.ts';
import {
  CONNECTION_COMPONENT,
  type Connection,
  type ConnectionSchedule,
  type ConnectionSettings,
  INTERVAL_UNITS,
  isWholeConnection,
} from './connection-model.ts';
import { connectorErrors } from './connector-errors.ts';
import type { ConnectorPage } from './connectors.ts';

export type ConnectionChange = {
  name?: string | undefined;
  isActive?: boolean | undefined;
  settings?: Partial<Omit<ConnectionSettings, 'source' | 'destination'>>;
};

const component = (id: string) => ({ componentId: CONNECTION_COMPONENT, configurationId: id });

/** Connections between a source and a destination: configurations of one component of ours. */
export class Connections {
  readonly #configurations: Configurations;

  constructor(parts: { configurations: Configurations; schedules: Schedules }) {
    this.#configurations = parts.configurations;
    // Whichever API changes a connection, its schedule is what its settings say.
    parts.configurations.watch(CONNECTION_COMPONENT, async (tx, actor, configuration) => {
      // Development branches are for trying things out, not for running by themselves.
      if (!actor.isDefaultBranch) return;
      const recurrence =
        !configuration.isDeleted && isConnection(configuration)
          ? recurrenceOf(toConnection(configuration).settings.schedule)
          : undefined;
      const target = component(configuration.id);
      await parts.schedules.followIn(
        tx,
        actor,
        { ...target, version: configuration.version },
        recurrence && {
          name: configuration.name,
          target,
          recurrence,
          isEnabled: !configuration.isDisabled,
          isImmediate: recurrence.type === 'interval',
        },
      );
    });
  }

  async create(
    actor: Actor,
    input: { name: string; isActive: boolean; settings: ConnectionSettings },
  ): Promise<Connection> {
    const created = await this.#configurations.create(actor, CONNECTION_COMPONENT, {
      id: uuidv4(),
      name: input.name,
      isDisabled: !input.isActive,
      configuration: JSON.stringify({ parameters: input.settings }),
    });
    return toConnection(created);
  }

  /** Oldest first. */
  async list(actor: Actor, page: ConnectorPage = {}, db?: Db): Promise<Connection[]> {
    const found = await this.#configurations.page(actor, { ...page, componentIds: [CONNECTION_COMPONENT] }, db);
    return found.filter(isConnection).map(toConnection);
  }

  /** Throws connector.not-found, for deleted ones too. */
  async get(actor: Actor, id: string, db?: Db): Promise<Connection> {
    const [found] = await this.list(actor, { ids: [id], limit: 1 }, db);
    if (!found) throw connectorErrors.notFound('connection', id);
    return found;
  }

  /** Members that are left out stay. */
  async update(actor: Actor, id: string, change: ConnectionChange): Promise<Connection> {
    await this.get(actor, id);
    const updated = await this.#configurations.change(actor, component(id), (current) => ({
      name: change.name,
      isDisabled: change.isActive === undefined ? undefined : !change.isActive,
      configuration: JSON.stringify({ parameters: { ...toConnection(current).settings, ...change.settings } }),
    }));
    return toConnection(updated);
  }

  async delete(actor: Actor, id: string): Promise<void> {
    await this.get(actor, id);
    await this.#configurations.delete(actor, component(id));
  }

  /** The state its last syncs have left. */
  async stateText(actor: Actor, id: string): Promise<string> {
    return (await this.#configurations.get(actor, component(id))).state.text;
  }
}

const isConnection = (configuration: Configuration) => isWholeConnection(parametersOf(configuration));

function toConnection(configuration: Configuration): Connection {
  const { id, name, isDisabled, isDeleted, version, createdAt } = configuration;
  const { source, destination, ...rest } = parametersOf(configuration) as ConnectionSettings;
  return {
    id,
    name,
    isActive: !isDisabled,
    isDeleted,
    version,
    createdAt,
    settings: {
      source,
      destination,
      namespace: rest.namespace ?? { definition: 'destination' },
      prefix: rest.prefix ?? '',
      schedule: rest.schedule ?? { type: 'manual' },
      schemaChanges: rest.schemaChanges ?? 'ignore',
      streams: rest.streams,
    },
  };
}

function recurrenceOf(schedule: ConnectionSchedule): Recurrence | undefined {
  switch (schedule.type) {
    case 'manual':
      return undefined;
    case 'cron':
      return { type: 'cron', expression: String(schedule.expression), timezone: String(schedule.timezone ?? 'UTC') };
    case 'interval': {
      const seconds = schedule.every * (INTERVAL_UNITS[schedule.unit] ?? Number.NaN);
      if (!Number.isSafeInteger(seconds) || seconds < 60 || seconds > MAX_INTERVAL_SECONDS)
        throw connectorErrors.invalidSchedule('An interval is between one minute and ten years.');
      return { type: 'interval', seconds, timezone: 'UTC' };
    }
    default:
      // Written through another API.
      throw connectorErrors.invalidSchedule('A schedule is manual, cron or interval.');
  }
}

const MAX_INTERVAL_SECONDS = 10 * 366 * 86_400;

function parametersOf(configuration: Configuration): Partial<ConnectionSettings> {
  const root = configuration.configuration.parse() as { parameters?: Partial<ConnectionSettings> } | null;
  return root?.parameters ?? {};
}
