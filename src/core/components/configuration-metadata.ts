import type { Transaction } from '../../db/database.ts';
import { AppError } from '../errors.ts';
import type { EventName } from '../events/event-names.ts';
import { eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import type { MetadataItem } from '../tables/object-metadata.ts';
import { deletePlainMetadata, listPlainMetadata, setPlainMetadata } from '../tables/plain-metadata.ts';
import { assertCanRead, assertCanWrite, listableComponents } from './component-access.ts';
import { lockLive } from './configuration-changes.ts';
import { configurationErrors } from './configuration-errors.ts';
import type { Configuration, ConfigurationAddress } from './configuration-model.ts';
import { findConfiguration, listConfigurations } from './configuration-store.ts';
import type { ConfigurationParts } from './configurations.ts';

export type FoundConfiguration = ConfigurationAddress & { items: MetadataItem[] };

/** Keys and values on configurations of the actor's branch. They are not versioned. */
export class ConfigurationMetadata {
  readonly #parts: ConfigurationParts;

  constructor(parts: ConfigurationParts) {
    this.#parts = parts;
  }

  /** Oldest first. */
  async list(actor: Actor, address: ConfigurationAddress): Promise<MetadataItem[]> {
    assertCanRead(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    const configuration = await findConfiguration(this.#parts.db, actor.branchId, address);
    if (!configuration || configuration.isDeleted) throw configurationErrors.notFound(address.configurationId);
    const { id } = metadataOf(address);
    return (await listPlainMetadata(this.#parts.db, actor, 'configuration', [id])).get(id) ?? [];
  }

  /** Sets the values of keys; other items stay. Returns all items of the configuration. */
  async set(
    actor: Actor,
    address: ConfigurationAddress,
    items: readonly { key: string; value: string }[],
  ): Promise<MetadataItem[]> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    return this.#parts.db.transaction(async (tx) => {
      const configuration = await lockLive(tx, actor, address);
      const all = await setPlainMetadata(tx, actor, metadataOf(address), items);
      const keys = items.map((item) => item.key);
      await this.#append(tx, actor, configuration, 'configuration.metadata-set', keys);
      return all;
    });
  }

  /** Only in the default branch. */
  async delete(actor: Actor, address: ConfigurationAddress, id: number): Promise<void> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    if (!actor.isDefaultBranch) {
      throw new AppError(
        'unsupported',
        'configuration.metadata-in-branch',
        'Delete metadata is not implemented for development branch',
      );
    }
    await this.#parts.db.transaction(async (tx) => {
      const configuration = await lockLive(tx, actor, address);
      const item = await deletePlainMetadata(tx, actor, metadataOf(address), id);
      if (!item) throw configurationErrors.metadataNotFound(id, address, actor.branchId);
      await this.#append(tx, actor, configuration, 'configuration.metadata-deleted', [item.key]);
    });
  }

  /** Live configurations that the actor may see, with the items of the given keys, or all; with keys only those that have one. */
  async search(
    actor: Actor,
    filter: { componentId?: string | undefined; configurationId?: string | undefined; keys: string[] },
  ): Promise<FoundConfiguration[]> {
    const visible = listableComponents(actor);
    const list = await listConfigurations(this.#parts.db, actor.branchId, {
      componentId: filter.componentId,
      componentIds: visible,
      isBrief: true,
    });
    const addresses = list
      .filter(({ id }) => filter.configurationId === undefined || id === filter.configurationId)
      .map(({ componentId, id }) => ({ componentId, configurationId: id }));
    const ids = addresses.map((address) => metadataOf(address).id);
    const items = await listPlainMetadata(this.#parts.db, actor, 'configuration', ids);
    const { keys } = filter;
    return addresses
      .map((address) => ({
        ...address,
        items: (items.get(metadataOf(address).id) ?? []).filter(({ key }) => keys.length === 0 || keys.includes(key)),
      }))
      .filter((found) => keys.length === 0 || found.items.length > 0);
  }

  async #append(tx: Transaction, actor: Actor, configuration: Configuration, name: EventName, keys: string[]) {
    const act = name === 'configuration.metadata-set' ? 'set' : 'deleted';
    await this.#parts.events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message: `Metadata of component configuration "${configuration.name}" (${configuration.componentId}) ${act}`,
        objectType: 'configuration',
        objectId: configuration.id,
        objectName: configuration.name,
        params: { component: configuration.componentId, configurationId: configuration.id, keys },
      }),
    );
  }
}

/** No id has a slash in it. */
export function metadataOf({ componentId, configurationId }: ConfigurationAddress) {
  return { type: 'configuration', id: `${componentId}/${configurationId}` } as const;
}
