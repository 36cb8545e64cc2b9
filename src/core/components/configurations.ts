import type { Database, Db, Transaction } from '../../db/database.ts';
import type { RawJson } from '../../lib/json-text.ts';
import type { Events } from '../events/events.ts';
import { eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, canPurgeTrash } from '../identity/permissions.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { copyPlainMetadata, dropPlainMetadata, dropPlainMetadataOfBranch } from '../tables/plain-metadata.ts';
import { assertCanRead, assertCanWrite, listableComponents } from './component-access.ts';
import type { Components } from './components.ts';
import { copyConfigurations, deleteConfigurationsOf } from './configuration-branch-store.ts';
import {
  addVersion,
  assertIsId,
  assertIsOrder,
  authorOf,
  configurationParams,
  contentOf,
  EMPTY,
  isSameContent,
  isSameOrder,
  lockLive,
  newVersion,
  rowContentOf,
} from './configuration-changes.ts';
import { configurationErrors } from './configuration-errors.ts';
import { ConfigurationMetadata, metadataOf } from './configuration-metadata.ts';
import {
  type Configuration,
  type ConfigurationAddress,
  type ConfigurationContent,
  type ConfigurationFilter,
  type ConfigurationPage,
  type ConfigurationPatch,
  type ConfigurationVersion,
  type NewConfiguration,
  orderRows,
  type VersionPage,
} from './configuration-model.ts';
import { addRowVersion, findRow, insertRow, listRows, listRowsAt, markRowDeleted } from './configuration-row-store.ts';
import { ConfigurationRows } from './configuration-rows.ts';
import { assertFitsSchema } from './configuration-schema.ts';
import * as store from './configuration-store.ts';
import { toStoredText } from './configuration-text.ts';
import { defineInline, defineStored, type RunDefinition, type RunRequest } from './run-definition.ts';

/** Told of every new version of a configuration, within the change: what it throws undoes the change. */
export type ConfigurationWatcher = (tx: Transaction, actor: Actor, configuration: Configuration) => Promise<void>;

export type ConfigurationParts = { db: Database; events: Events; secrets: Secrets; components: Components };

/**
 * Configurations of components in the actor's branch.
 *
 * Everything except the state is versioned: a change that really changes something adds a version, to the row and to
 * the configuration it belongs to, and versions are never changed or renumbered. Deleting moves to the trash, deleting
 * from the trash is for good.
 */
export class Configurations {
  /** The rows of configurations. */
  readonly rows: ConfigurationRows;
  readonly metadata: ConfigurationMetadata;
  readonly #parts: ConfigurationParts;
  readonly #watchers = new Map<string, ConfigurationWatcher>();

  constructor(parts: ConfigurationParts) {
    this.#parts = parts;
    this.rows = new ConfigurationRows(parts);
    this.metadata = new ConfigurationMetadata(parts);
  }

  /** For what is kept besides the configurations of a component and must always fit them, whoever changes them. */
  watch(componentId: string, watcher: ConfigurationWatcher): void {
    if (this.#watchers.has(componentId)) throw new Error(`"${componentId}" has a watcher already`);
    this.#watchers.set(componentId, watcher);
  }

  /** Configurations the actor may see, with their rows, ordered by component and age. */
  async list(actor: Actor, filter: ConfigurationFilter = {}): Promise<Configuration[]> {
    const { db, components } = this.#parts;
    if (filter.componentId !== undefined) {
      assertCanRead(actor, filter.componentId);
      components.get(filter.componentId);
    }
    const componentIds = filter.componentId === undefined ? listableComponents(actor) : undefined;
    const list = await store.listConfigurations(db, actor.branchId, { ...filter, componentIds });
    if (filter.isBrief) return list;
    const rows = await listRows(
      db,
      list.map((configuration) => configuration.key),
    );
    return list.map((configuration) => withRows(configuration, rows.get(configuration.key) ?? []));
  }

  /** Those of several components that the actor may see, oldest first, without their rows. */
  async page(actor: Actor, page: ConfigurationPage, db: Db = this.#parts.db): Promise<Configuration[]> {
    const visible = listableComponents(actor);
    const componentIds = page.componentIds.filter((id) => visible === undefined || visible.includes(id));
    return store.pageConfigurations(db, actor.branchId, { ...page, componentIds });
  }

  /** Throws configuration.not-found, for configurations in the trash too. */
  async get(actor: Actor, address: ConfigurationAddress, db: Db = this.#parts.db): Promise<Configuration> {
    assertCanRead(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    const configuration = await store.findConfiguration(db, actor.branchId, address);
    if (!configuration || configuration.isDeleted) throw configurationErrors.notFound(address.configurationId);
    return this.#complete(db, configuration);
  }

  /**
   * One of the project's default branch, undefined for those in the trash too. For the platform itself, which acts in the
   * name of whoever made it: no right is asked for.
   */
  async findOwn(projectId: number, address: ConfigurationAddress): Promise<Configuration | undefined> {
    const found = await store.findInProject(this.#parts.db, projectId, address);
    return found?.isDeleted ? undefined : found;
  }

  /** An id that lies in the trash comes back with the new content, without rows, and goes on counting versions. */
  async create(actor: Actor, componentId: string, input: NewConfiguration): Promise<Configuration> {
    assertCanWrite(actor, componentId);
    this.#parts.components.get(componentId);
    if (input.id) assertIsId(input.id, 'configurationId');
    assertIsOrder(input.rowsSortOrder ?? [], []);
    const content: ConfigurationContent = {
      name: input.name,
      description: input.description ?? '',
      isDisabled: input.isDisabled ?? false,
      configuration: this.#text(actor, componentId, 'configuration', input.configuration),
      rowsSortOrder: [],
    };
    const state = this.#text(actor, componentId, 'state', input.state);
    return this.#parts.db.transaction(async (tx) => {
      const id = input.id || (await store.nextId(tx));
      const key = await store.insertConfiguration(
        tx,
        { projectId: actor.projectId, branchId: actor.branchId, componentId, id, state: state.text },
        content,
        newVersion(actor, 1, input.changeDescription || 'Configuration created'),
      );
      if (key !== undefined) {
        return this.#finish(tx, actor, { componentId, configurationId: id }, 'configuration.created', 'Created');
      }
      const current = await store.lockConfiguration(tx, actor.branchId, { componentId, configurationId: id });
      if (!current?.isDeleted) throw configurationErrors.alreadyExists(id);
      const description = input.changeDescription || 'Configuration created';
      const version = await addVersion(tx, actor, current, { ...content, isDeleted: false }, description);
      for (const row of await this.#rowsOf(tx, current.key)) await markRowDeleted(tx, current.key, row.id, version);
      await store.setConfigurationState(tx, current.key, state.text);
      return this.#finish(tx, actor, { componentId, configurationId: id }, 'configuration.restored', 'Restored');
    });
  }

  /** Adds a version only if something versioned changes; the state and the change description alone are not. */
  async update(actor: Actor, address: ConfigurationAddress, patch: ConfigurationPatch): Promise<Configuration> {
    return this.change(actor, address, () => patch);
  }

  /** The same with a patch that is made of what is there, which nobody else changes meanwhile. */
  async change(
    actor: Actor,
    address: ConfigurationAddress,
    patchOf: (current: Configuration) => ConfigurationPatch,
  ): Promise<Configuration> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    return this.#parts.db.transaction(async (tx) => {
      const current = await lockLive(tx, actor, address);
      const patch = patchOf(current);
      if (patch.state !== undefined && !actor.isDefaultBranch) throw configurationErrors.stateInBranch('configuration');
      const content: ConfigurationContent = {
        name: patch.name ?? current.name,
        description: patch.description ?? current.description,
        isDisabled: patch.isDisabled ?? current.isDisabled,
        configuration:
          patch.configuration === undefined
            ? current.configuration
            : this.#text(actor, address.componentId, 'configuration', patch.configuration),
        rowsSortOrder: patch.rowsSortOrder ?? current.rowsSortOrder,
      };
      if (patch.rowsSortOrder) assertIsOrder(patch.rowsSortOrder, await this.#rowsOf(tx, current.key));
      if (patch.state !== undefined) {
        const state = this.#text(actor, address.componentId, 'state', patch.state);
        await store.setConfigurationState(tx, current.key, state.text);
      }
      if (isSameContent(content, current) && isSameOrder(content.rowsSortOrder, current.rowsSortOrder)) {
        return this.#read(tx, actor, address);
      }
      await addVersion(tx, actor, current, content, patch.changeDescription || 'Configuration updated');
      return this.#finish(tx, actor, address, 'configuration.changed', 'Changed');
    });
  }

  /** Replaces the state; no version, no event. */
  async updateState(actor: Actor, address: ConfigurationAddress, state: string): Promise<Configuration> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    return this.#parts.db.transaction(async (tx) => {
      if (!(await this.keepStateIn(tx, actor, address, () => state)))
        throw configurationErrors.notFound(address.configurationId);
      return this.#read(tx, actor, address);
    });
  }

  /**
   * For the platform itself, which keeps what a run has reached in the transaction that ends it or makes its rows
   * visible: the right was asked for when the run was made, and a token that has lost it meanwhile must not make the
   * state fall behind the data. `change` gets the current state, which nobody else changes until the end of the
   * transaction. False when the configuration was deleted or never existed: nobody will ask for its state.
   */
  async keepStateIn(
    tx: Transaction,
    place: { projectId: number; branchId: number },
    address: ConfigurationAddress,
    change: (current: RawJson) => string,
  ): Promise<boolean> {
    const current = await store.lockConfiguration(tx, place.branchId, address);
    if (!current || current.isDeleted) return false;
    const scope = { projectId: place.projectId, componentId: address.componentId };
    const state = toStoredText(change(current.state), 'state', this.#parts.secrets, scope);
    await store.setConfigurationState(tx, current.key, state.text);
    return true;
  }

  /** To the trash; from the trash for good, which needs a right of its own and is not done in branches. */
  async delete(
    actor: Actor,
    address: ConfigurationAddress,
    options: { changeDescription?: string | undefined } = {},
  ): Promise<void> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    await this.#parts.db.transaction(async (tx) => {
      const current = await store.lockConfiguration(tx, actor.branchId, address);
      if (!current) throw configurationErrors.notFound(address.configurationId);
      if (!current.isDeleted) {
        await addVersion(tx, actor, current, { isDeleted: true }, options.changeDescription || 'Configuration deleted');
        await this.#finish(tx, actor, address, 'configuration.deleted', 'Deleted');
        return;
      }
      if (!actor.isDefaultBranch) throw configurationErrors.purgeInBranch();
      assertAllowed(canPurgeTrash(actor));
      await this.#appendEvent(tx, actor, current, 'configuration.purged', 'Permanently deleted');
      await store.deleteConfiguration(tx, current.key);
      await dropPlainMetadata(tx, actor, metadataOf(address));
    });
  }

  /** Out of the trash, with its rows. Throws configuration.not-found for one that is not in it. */
  async restore(actor: Actor, address: ConfigurationAddress): Promise<Configuration> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    return this.#parts.db.transaction(async (tx) => {
      const current = await store.lockConfiguration(tx, actor.branchId, address);
      if (!current?.isDeleted) throw configurationErrors.notInTrash(address.configurationId);
      await addVersion(tx, actor, current, { isDeleted: false }, 'Configuration restored');
      return this.#finish(tx, actor, address, 'configuration.restored', 'Restored');
    });
  }

  /** Fills a new branch with the configurations of the default one. */
  async copyBranchIn(tx: Transaction, actor: Actor, branchId: number): Promise<void> {
    const place = { projectId: actor.projectId, branchId };
    await copyConfigurations(tx, place, authorOf(actor));
    await copyPlainMetadata(tx, place);
  }

  /** Deletes all that a branch has, for good. */
  async dropBranchIn(tx: Transaction, actor: Actor, branchId: number): Promise<void> {
    await deleteConfigurationsOf(tx, branchId);
    await dropPlainMetadataOfBranch(tx, { projectId: actor.projectId, branchId });
  }

  /** In a branch: as it is in the default branch now, with nothing left of what it was; gone where that has none. */
  async resetToDefault(actor: Actor, address: ConfigurationAddress): Promise<void> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    if (actor.isDefaultBranch) throw configurationErrors.resetInDefault();
    await this.#parts.db.transaction(async (tx) => {
      const current = await store.lockConfiguration(tx, actor.branchId, address);
      const original = await store.findInProject(tx, actor.projectId, address);
      if (!current && (!original || original.isDeleted)) throw configurationErrors.notFound(address.configurationId);
      if (current) await store.deleteConfiguration(tx, current.key);
      const copied = await copyConfigurations(tx, actor, authorOf(actor), address);
      if (copied) await this.#finish(tx, actor, address, 'configuration.changed', 'Changed');
      else if (current) await this.#appendEvent(tx, actor, current, 'configuration.purged', 'Permanently deleted');
    });
  }

  /** Newest first. */
  async versions(actor: Actor, address: ConfigurationAddress, page: VersionPage = {}): Promise<ConfigurationVersion[]> {
    const current = await this.get(actor, address);
    return store.listConfigurationVersions(this.#parts.db, current.key, page);
  }

  /** The configuration as it was in a version, with the rows it then had. States are not versioned. */
  async version(actor: Actor, address: ConfigurationAddress, version: number): Promise<Configuration> {
    const current = await this.get(actor, address);
    return this.#atVersion(this.#parts.db, current, version);
  }

  /** Adds a version with the content and rows of an earlier one; states stay. Returns the configuration. */
  async rollback(
    actor: Actor,
    address: ConfigurationAddress,
    version: number,
    options: { changeDescription?: string | undefined } = {},
  ): Promise<Configuration> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    return this.#parts.db.transaction(async (tx) => {
      const current = await lockLive(tx, actor, address);
      const target = await this.#atVersion(tx, current, version);
      const description = options.changeDescription || `Rollback to version ${version}`;
      const next = await addVersion(tx, actor, current, contentOf(target), description);
      const liveRows = new Map((await this.#rowsOf(tx, current.key)).map((row) => [row.id, row]));
      for (const row of target.rows) {
        const live = liveRows.get(row.id);
        liveRows.delete(row.id);
        if (live?.version === row.version) continue;
        const last = live ?? (await findRow(tx, current.key, row.id));
        const text = `Rollback to version ${row.version} (via configuration rollback to version ${version})`;
        const rowVersion = newVersion(actor, (last?.version ?? 0) + 1, options.changeDescription || text);
        await addRowVersion(tx, current.key, row.id, rowContentOf(row), rowVersion, next);
      }
      for (const row of liveRows.values()) await markRowDeleted(tx, current.key, row.id, next);
      return this.#finish(tx, actor, address, 'configuration.rolled-back', 'Rolled back');
    });
  }

  /** A new configuration from a version of this one: row ids and row states are kept, its own state starts empty. */
  async copy(
    actor: Actor,
    address: ConfigurationAddress,
    version: number,
    input: { name: string; description?: string | undefined; changeDescription?: string | undefined },
  ): Promise<Configuration> {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    return this.#parts.db.transaction(async (tx) => {
      const source = await lockLive(tx, actor, address);
      const original = await this.#atVersion(tx, source, version);
      const description =
        input.changeDescription || `Copied from configuration "${original.name}" (${source.id}) version ${version}`;
      const id = await store.nextId(tx);
      const { componentId } = address;
      const key = await store.insertConfiguration(
        tx,
        { projectId: actor.projectId, branchId: actor.branchId, componentId, id, state: EMPTY.text },
        { ...contentOf(original), name: input.name, description: input.description ?? original.description },
        newVersion(actor, 1, description),
      );
      if (key === undefined) throw configurationErrors.alreadyExists(id);
      for (const row of original.rows) {
        const copied = { id: row.id, state: row.state.text };
        await insertRow(tx, key, copied, rowContentOf(row), newVersion(actor, 1, description), 1);
      }
      const copy = await this.#read(tx, actor, { componentId, configurationId: id });
      await this.#parts.events.append(
        tx,
        eventFor(actor, {
          ...this.#event(copy, 'configuration.copied'),
          message: `Copied component configuration "${original.name}" to "${copy.name}" (${componentId})`,
          params: {
            ...configurationParams(componentId, copy),
            sourceConfiguration: configurationParams(componentId, original),
          },
        }),
      );
      await this.#watchers.get(componentId)?.(tx, actor, copy);
      return copy;
    });
  }

  /**
   * What a job has to run, in order: one definition, or one for each enabled row; none when all rows are disabled. The
   * content is that of the version the job was made with, even if the configuration changed or went to the trash since;
   * states are the current ones.
   */
  async resolveForRun(actor: Actor, request: RunRequest): Promise<RunDefinition[]> {
    const { componentId } = request;
    const definition = this.#parts.components.get(componentId);
    const definitions = await this.#define(actor, request);
    for (const { configuration } of definitions) {
      if (configuration.variables_id) throw configurationErrors.variablesUnsupported();
      if (configuration.shared_code_id) throw configurationErrors.sharedCodeUnsupported();
      assertFitsSchema(definition, configuration);
    }
    return definitions;
  }

  async #define(actor: Actor, request: RunRequest): Promise<RunDefinition[]> {
    const { componentId, configurationId, input } = request;
    const inline = input?.configData ?? (configurationId === undefined ? '{}' : undefined);
    if (inline !== undefined || configurationId === undefined) return defineInline(request, inline ?? '{}');
    assertCanRead(actor, componentId);
    const current = await store.findConfiguration(this.#parts.db, actor.branchId, { componentId, configurationId });
    if (!current) throw configurationErrors.notFound(configurationId);
    const version = input?.configurationVersion ?? current.version;
    return defineStored(request, await this.#atVersion(this.#parts.db, current, version));
  }

  async #atVersion(db: Db, current: Configuration, version: number): Promise<Configuration> {
    const found = await store.findConfigurationVersion(db, current.key, version);
    if (!found) throw configurationErrors.versionNotFound(version);
    return withRows({ ...current, ...found }, await listRowsAt(db, current.key, version));
  }

  #text(actor: Actor, componentId: string, what: 'configuration' | 'state', text: string | undefined) {
    if (text === undefined) return EMPTY;
    return toStoredText(text, what, this.#parts.secrets, { projectId: actor.projectId, componentId });
  }

  async #rowsOf(db: Db, key: number) {
    return (await listRows(db, [key])).get(key) ?? [];
  }

  async #complete(db: Db, configuration: Configuration): Promise<Configuration> {
    return withRows(configuration, await this.#rowsOf(db, configuration.key));
  }

  async #read(tx: Transaction, actor: Actor, address: ConfigurationAddress): Promise<Configuration> {
    const configuration = await store.findConfiguration(tx, actor.branchId, address);
    if (!configuration) throw configurationErrors.notFound(address.configurationId);
    return this.#complete(tx, configuration);
  }

  /** The end of every change: the event, and the configuration as it now is. */
  async #finish(
    tx: Transaction,
    actor: Actor,
    address: ConfigurationAddress,
    name: ConfigurationEvent,
    verb: string,
  ): Promise<Configuration> {
    const configuration = await this.#read(tx, actor, address);
    await this.#appendEvent(tx, actor, configuration, name, verb);
    await this.#watchers.get(address.componentId)?.(tx, actor, configuration);
    return configuration;
  }

  async #appendEvent(
    tx: Transaction,
    actor: Actor,
    configuration: Configuration,
    name: ConfigurationEvent,
    verb: string,
  ) {
    await this.#parts.events.append(
      tx,
      eventFor(actor, {
        ...this.#event(configuration, name),
        message: `${verb} component configuration "${configuration.name}" (${configuration.componentId})`,
        params: configurationParams(configuration.componentId, configuration),
      }),
    );
  }

  #event(configuration: Configuration, name: ConfigurationEvent) {
    return {
      name,
      component: 'storage',
      type: 'info' as const,
      objectType: 'configuration',
      objectId: configuration.id,
      objectName: configuration.name,
    };
  }
}

type ConfigurationEvent =
  `configuration.${'created' | 'changed' | 'deleted' | 'purged' | 'restored' | 'rolled-back' | 'copied'}`;

function withRows(configuration: Configuration, rows: Configuration['rows']): Configuration {
  return { ...configuration, rows: orderRows(rows, configuration.rowsSortOrder) };
}
