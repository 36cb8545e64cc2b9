import type { Db } from '../../db/database.ts';
import { uuidv4 } from '../../lib/ids.ts';
import type { Json } from '../../lib/json.ts';
import type { Actor } from '../identity/actor.ts';
import type { SecretScope, Secrets } from '../secrets/secrets.ts';
import type { ComponentDefinition } from './component-model.ts';
import type { Components } from './components.ts';
import type { Configuration } from './configuration-model.ts';
import type { Configurations } from './configurations.ts';
import {
  assertFitsSpecification,
  type ConnectorConfiguration,
  mergeConfiguration,
  toMasked,
  toPlain,
  toStored,
} from './connector-configuration.ts';
import { connectorErrors } from './connector-errors.ts';
import type { ConnectorFacts, ConnectorRole } from './connector-model.ts';

/** A source or destination as its owner sees it: secrets are masked. */
export type Connector = {
  id: string;
  name: string;
  definition: ConnectorDefinition;
  configuration: ConnectorConfiguration;
  version: number;
  createdAt: Date;
  isDeleted: boolean;
};

export type ConnectorDefinition = ComponentDefinition & { connector: ConnectorFacts };

export type ConnectorPage = {
  ids?: string[] | undefined;
  includeDeleted?: boolean | undefined;
  limit?: number | undefined;
  offset?: number | undefined;
};

/**
 * Sources and destinations: configurations of connectors. What a client sends is the `parameters` of an ordinary
 * configuration, so that versions, trash, events and secrets are those of every component.
 */
export class Connectors {
  readonly #components: Components;
  readonly #configurations: Configurations;
  readonly #secrets: Secrets;

  constructor(parts: { components: Components; configurations: Configurations; secrets: Secrets }) {
    this.#components = parts.components;
    this.#configurations = parts.configurations;
    this.#secrets = parts.secrets;
  }

  /** Every connector that can be configured, installed or not. */
  definitions(role: ConnectorRole): ConnectorDefinition[] {
    return this.#components.list().filter((one): one is ConnectorDefinition => one.connector?.role === role);
  }

  /** By UUID, or by short name. Throws connector.no-definition, connector.definition-unknown. */
  definition(role: ConnectorRole, by: { uuid: string } | { slug: string }): ConnectorDefinition {
    const found = this.definitions(role).find(({ connector }) =>
      'uuid' in by ? connector.uuid === by.uuid.toLowerCase() : connector.slug === by.slug,
    );
    if (!found && 'uuid' in by) throw connectorErrors.noDefinition(role, by.uuid);
    if (!found) throw connectorErrors.definitionNotFound(role, 'uuid' in by ? by.uuid : by.slug);
    return found;
  }

  async create(
    actor: Actor,
    definition: ConnectorDefinition,
    input: { name: string; configuration: ConnectorConfiguration },
  ): Promise<Connector> {
    const parameters = this.#toParameters(definition, input.configuration, {});
    const created = await this.#configurations.create(actor, definition.id, {
      id: uuidv4(),
      name: input.name,
      configuration: JSON.stringify({ parameters }),
    });
    return this.#toConnector(created);
  }

  /** Oldest first. */
  async list(actor: Actor, role: ConnectorRole, page: ConnectorPage = {}): Promise<Connector[]> {
    const componentIds = this.definitions(role).map(({ id }) => id);
    return (await this.#configurations.page(actor, { ...page, componentIds })).map((one) => this.#toConnector(one));
  }

  /** Throws connector.not-found, for deleted ones too. */
  async get(actor: Actor, role: ConnectorRole, id: string, db?: Db): Promise<Connector> {
    return this.#toConnector(await this.#find(actor, role, id, db));
  }

  /** `merge` changes only the members that are sent. Masked secrets stay what they are in both ways. */
  async update(
    actor: Actor,
    role: ConnectorRole,
    id: string,
    change: { name?: string | undefined; configuration?: ConnectorConfiguration | undefined; merge: boolean },
  ): Promise<Connector> {
    const { componentId } = await this.#find(actor, role, id);
    const definition = this.#components.get(componentId) as ConnectorDefinition;
    const { name } = change;
    const scope = { projectId: actor.projectId, componentId, configurationId: id };
    const updated = await this.#configurations.change(actor, { componentId, configurationId: id }, (current) => {
      if (change.configuration === undefined) return { name };
      const stored = parametersOf(current);
      const shown = toMasked(stored) as ConnectorConfiguration;
      const sent = change.merge ? mergeConfiguration(shown, change.configuration) : change.configuration;
      const root = current.configuration.parse() as ConnectorConfiguration;
      const parameters = this.#toParameters(definition, sent, stored, (secret) => this.#reveal(secret, scope));
      return { name, configuration: JSON.stringify({ ...root, parameters }) };
    });
    return this.#toConnector(updated);
  }

  async delete(actor: Actor, role: ConnectorRole, id: string): Promise<void> {
    const { componentId } = await this.#find(actor, role, id);
    await this.#configurations.delete(actor, { componentId, configurationId: id });
  }

  /** For running it: the configuration with its secrets readable, and these, for masking what is logged. */
  async open(
    actor: Actor,
    role: ConnectorRole,
    id: string,
  ): Promise<{ connector: Connector; configuration: ConnectorConfiguration; secrets: string[] }> {
    const current = await this.#find(actor, role, id);
    const scope = { projectId: actor.projectId, componentId: current.componentId, configurationId: id };
    const { value, secrets } = this.#secrets.decryptTree(parametersOf(current), scope);
    const configuration = toPlain(value) as ConnectorConfiguration;
    return { connector: this.#toConnector(current), configuration, secrets };
  }

  async #find(actor: Actor, role: ConnectorRole, id: string, db?: Db): Promise<Configuration> {
    const componentIds = this.definitions(role).map((definition) => definition.id);
    const [found] = await this.#configurations.page(actor, { componentIds, ids: [id], limit: 1 }, db);
    if (!found) throw connectorErrors.notFound(role, id);
    return found;
  }

  #toParameters(
    definition: ConnectorDefinition,
    sent: ConnectorConfiguration,
    stored: ConnectorConfiguration,
    reveal: (secret: Json) => Json = (secret) => secret,
  ): ConnectorConfiguration {
    const parameters = toStored(definition, sent, stored);
    assertFitsSpecification(definition, toPlain(parameters, reveal) as ConnectorConfiguration);
    return parameters;
  }

  /** A schema may ask for more of a secret than that it is a text, so it is checked as what it is. */
  #reveal(secret: Json, scope: SecretScope): Json {
    if (typeof secret !== 'string' || !this.#secrets.isCipher(secret)) return secret;
    try {
      return this.#secrets.decryptText(secret, scope);
    } catch {
      // Running it will say that it cannot be read; changing something else must stay possible.
      return secret;
    }
  }

  #definitionOf(configuration: Configuration): ConnectorDefinition {
    return this.#components.get(configuration.componentId) as ConnectorDefinition;
  }

  #toConnector(configuration: Configuration): Connector {
    const { id, name, version, createdAt, isDeleted } = configuration;
    const masked = toMasked(parametersOf(configuration)) as ConnectorConfiguration;
    return {
      id,
      name,
      version,
      createdAt,
      isDeleted,
      definition: this.#definitionOf(configuration),
      configuration: masked,
    };
  }
}

function parametersOf(configuration: Configuration): ConnectorConfiguration {
  const root = configuration.configuration.parse();
  const parameters = typeof root === 'object' && root !== null && !Array.isArray(root) ? root.parameters : undefined;
  return typeof parameters === 'object' && parameters !== null && !Array.isArray(parameters) ? parameters : {};
}
