import type { Transaction } from '../../db/database.ts';
import type { RawJson } from '../../lib/json-text.ts';
import { eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { assertCanRead, assertCanWrite } from './component-access.ts';
import {
  addVersion,
  assertIsId,
  EMPTY,
  isSameContent,
  lockLive,
  newVersion,
  rowContentOf,
  rowParams,
} from './configuration-changes.ts';
import { configurationErrors } from './configuration-errors.ts';
import {
  type Configuration,
  type ConfigurationAddress,
  type ConfigurationRow,
  type NewRow,
  orderRows,
  type RowContent,
  type RowPatch,
  type RowVersion,
  type VersionPage,
} from './configuration-model.ts';
import * as store from './configuration-row-store.ts';
import { findConfiguration, lockConfiguration, nextId } from './configuration-store.ts';
import { toStoredText } from './configuration-text.ts';
import type { ConfigurationParts } from './configurations.ts';

type RowEvent = `configuration-row.${'created' | 'changed' | 'deleted' | 'rolled-back' | 'copied'}`;

/** Rows of a configuration. Each change of a row is a version of the row and one of its configuration. */
export class ConfigurationRows {
  readonly #parts: ConfigurationParts;

  constructor(parts: ConfigurationParts) {
    this.#parts = parts;
  }

  /** In the order they run in. */
  async list(actor: Actor, address: ConfigurationAddress): Promise<ConfigurationRow[]> {
    const configuration = await this.#live(actor, address);
    const rows = await store.listRows(this.#parts.db, [configuration.key]);
    return orderRows(rows.get(configuration.key) ?? [], configuration.rowsSortOrder);
  }

  async get(actor: Actor, address: ConfigurationAddress, rowId: string): Promise<ConfigurationRow> {
    const configuration = await this.#live(actor, address);
    return liveRow(await store.findRow(this.#parts.db, configuration.key, rowId), rowId);
  }

  /** A row id that was deleted begins anew, but goes on counting versions. */
  async create(actor: Actor, address: ConfigurationAddress, input: NewRow): Promise<ConfigurationRow> {
    this.#assertCanWrite(actor, address);
    if (input.id) assertIsId(input.id, 'rowId');
    const content: RowContent = {
      name: input.name ?? '',
      description: input.description ?? '',
      isDisabled: input.isDisabled ?? false,
      configuration: this.#text(actor, address, 'configuration', input.configuration),
    };
    const state = this.#text(actor, address, 'state', input.state);
    return this.#parts.db.transaction(async (tx) => {
      const configuration = await lockLive(tx, actor, address);
      const id = input.id || (await nextId(tx));
      const former = await store.findRow(tx, configuration.key, id);
      if (former && !former.isDeleted) throw configurationErrors.rowAlreadyExists(id);
      const description = input.changeDescription || `Row ${id} added`;
      const configurationVersion = await addVersion(tx, actor, configuration, {}, description);
      const version = newVersion(actor, (former?.version ?? 0) + 1, description);
      const add = former ? store.reviveRow : store.insertRow;
      await add(tx, configuration.key, { id, state: state.text }, content, version, configurationVersion);
      return this.#finish(tx, actor, configuration, id, 'configuration-row.created', 'Created');
    });
  }

  /** Adds versions only if something versioned changes; the state and the change description alone are not. */
  async update(actor: Actor, address: ConfigurationAddress, rowId: string, patch: RowPatch): Promise<ConfigurationRow> {
    this.#assertCanWrite(actor, address);
    if (patch.state !== undefined && !actor.isDefaultBranch) {
      throw configurationErrors.stateInBranch('configuration row');
    }
    return this.#parts.db.transaction(async (tx) => {
      const configuration = await lockLive(tx, actor, address);
      const row = liveRow(await store.findRow(tx, configuration.key, rowId), rowId);
      const content: RowContent = {
        name: patch.name ?? row.name,
        description: patch.description ?? row.description,
        isDisabled: patch.isDisabled ?? row.isDisabled,
        configuration:
          patch.configuration === undefined
            ? row.configuration
            : this.#text(actor, address, 'configuration', patch.configuration),
      };
      if (patch.state !== undefined) {
        const state = this.#text(actor, address, 'state', patch.state);
        await store.setRowState(tx, configuration.key, rowId, state.text);
      }
      if (isSameContent(content, row)) return this.#read(tx, configuration, rowId);
      const description = patch.changeDescription || `Row ${rowId} changed`;
      const configurationVersion = await addVersion(tx, actor, configuration, {}, description);
      const version = newVersion(actor, row.version + 1, description);
      await store.addRowVersion(tx, configuration.key, rowId, content, version, configurationVersion);
      return this.#finish(tx, actor, configuration, rowId, 'configuration-row.changed', 'Changed');
    });
  }

  /** Replaces the state; no version, no event. */
  async updateState(
    actor: Actor,
    address: ConfigurationAddress,
    rowId: string,
    state: string,
  ): Promise<ConfigurationRow> {
    this.#assertCanWrite(actor, address);
    return this.#parts.db.transaction(async (tx) => {
      const configuration = await lockLive(tx, actor, address);
      liveRow(await store.findRow(tx, configuration.key, rowId), rowId);
      await this.keepStateIn(tx, actor, address, rowId, () => state);
      return this.#read(tx, configuration, rowId);
    });
  }

  /** As `keepStateIn` of configurations, for a row. */
  async keepStateIn(
    tx: Transaction,
    place: { projectId: number; branchId: number },
    address: ConfigurationAddress,
    rowId: string,
    change: (current: RawJson) => string,
  ): Promise<boolean> {
    const configuration = await lockConfiguration(tx, place.branchId, address);
    if (!configuration || configuration.isDeleted) return false;
    const row = await store.findRow(tx, configuration.key, rowId);
    if (!row || row.isDeleted) return false;
    const scope = { projectId: place.projectId, componentId: address.componentId };
    const state = toStoredText(change(row.state), 'state', this.#parts.secrets, scope);
    await store.setRowState(tx, configuration.key, rowId, state.text);
    return true;
  }

  /** For good, apart from its versions and last state, which a rollback of the configuration brings back. */
  async delete(
    actor: Actor,
    address: ConfigurationAddress,
    rowId: string,
    options: { changeDescription?: string | undefined } = {},
  ): Promise<void> {
    this.#assertCanWrite(actor, address);
    await this.#parts.db.transaction(async (tx) => {
      const configuration = await lockLive(tx, actor, address);
      liveRow(await store.findRow(tx, configuration.key, rowId), rowId);
      const rowsSortOrder = configuration.rowsSortOrder.filter((id) => id !== rowId);
      const description = options.changeDescription || `Row ${rowId} deleted`;
      const configurationVersion = await addVersion(tx, actor, configuration, { rowsSortOrder }, description);
      await store.markRowDeleted(tx, configuration.key, rowId, configurationVersion);
      await this.#finish(tx, actor, configuration, rowId, 'configuration-row.deleted', 'Deleted');
    });
  }

  /** Newest first. */
  async versions(
    actor: Actor,
    address: ConfigurationAddress,
    rowId: string,
    page: VersionPage = {},
  ): Promise<RowVersion[]> {
    const configuration = await this.#live(actor, address);
    liveRow(await store.findRow(this.#parts.db, configuration.key, rowId), rowId);
    return store.listRowVersions(this.#parts.db, configuration.key, rowId, page);
  }

  async version(actor: Actor, address: ConfigurationAddress, rowId: string, version: number): Promise<RowVersion> {
    const configuration = await this.#live(actor, address);
    liveRow(await store.findRow(this.#parts.db, configuration.key, rowId), rowId);
    return this.#rowVersion(this.#parts.db, configuration, rowId, version);
  }

  /** Adds versions with the row's content in an earlier version; the state stays. */
  async rollback(
    actor: Actor,
    address: ConfigurationAddress,
    rowId: string,
    version: number,
    options: { changeDescription?: string | undefined } = {},
  ): Promise<ConfigurationRow> {
    this.#assertCanWrite(actor, address);
    return this.#parts.db.transaction(async (tx) => {
      const configuration = await lockLive(tx, actor, address);
      const row = liveRow(await store.findRow(tx, configuration.key, rowId), rowId);
      const target = await this.#rowVersion(tx, configuration, rowId, version);
      const description = options.changeDescription;
      const configurationVersion = await addVersion(
        tx,
        actor,
        configuration,
        {},
        description || `Row ${rowId} version ${version} rollback`,
      );
      const stamp = newVersion(actor, row.version + 1, description || `Rollback to version ${version}`);
      await store.addRowVersion(tx, configuration.key, rowId, rowContentOf(target), stamp, configurationVersion);
      return this.#finish(tx, actor, configuration, rowId, 'configuration-row.rolled-back', 'Rolled back');
    });
  }

  /** A new row, in this or another configuration of the component, with the content of a version of this row. */
  async copy(
    actor: Actor,
    address: ConfigurationAddress,
    rowId: string,
    version: number,
    options: { targetConfigurationId?: string | undefined; changeDescription?: string | undefined } = {},
  ): Promise<ConfigurationRow> {
    this.#assertCanWrite(actor, address);
    return this.#parts.db.transaction(async (tx) => {
      const target = { ...address, configurationId: options.targetConfigurationId || address.configurationId };
      const source = await this.#live(actor, address, tx);
      const sourceRow = liveRow(await store.findRow(tx, source.key, rowId), rowId);
      const original = await this.#rowVersion(tx, source, rowId, version);
      const configuration = await lockLive(tx, actor, target);
      const id = await nextId(tx);
      const origin = `copied from configuration "${source.name}" (${source.id}) row ${rowId} version ${version}`;
      const configurationVersion = await addVersion(
        tx,
        actor,
        configuration,
        {},
        options.changeDescription || `Row ${id} ${origin}`,
      );
      const stamp = newVersion(actor, 1, options.changeDescription || `C${origin.slice(1)}`);
      const added = { id, state: EMPTY.text };
      await store.insertRow(tx, configuration.key, added, rowContentOf(original), stamp, configurationVersion);
      return this.#finish(tx, actor, configuration, id, 'configuration-row.copied', 'Copied', {
        sourceRow: rowParams(address.componentId, source, { id: rowId, name: sourceRow.name, version }),
      });
    });
  }

  #assertCanWrite(actor: Actor, address: ConfigurationAddress): void {
    assertCanWrite(actor, address.componentId);
    this.#parts.components.get(address.componentId);
  }

  async #live(
    actor: Actor,
    address: ConfigurationAddress,
    db: Parameters<typeof findConfiguration>[0] = this.#parts.db,
  ): Promise<Configuration> {
    assertCanRead(actor, address.componentId);
    this.#parts.components.get(address.componentId);
    const configuration = await findConfiguration(db, actor.branchId, address);
    if (!configuration || configuration.isDeleted) throw configurationErrors.notFound(address.configurationId);
    return configuration;
  }

  async #rowVersion(
    db: Parameters<typeof store.findRow>[0],
    configuration: Configuration,
    rowId: string,
    version: number,
  ): Promise<RowVersion> {
    const found = await store.findRowVersion(db, configuration.key, rowId, version);
    if (!found) throw configurationErrors.rowVersionNotFound(version);
    return found;
  }

  #text(actor: Actor, address: ConfigurationAddress, what: 'configuration' | 'state', text: string | undefined) {
    if (text === undefined) return EMPTY;
    const scope = { projectId: actor.projectId, componentId: address.componentId };
    return toStoredText(text, what, this.#parts.secrets, scope);
  }

  async #read(tx: Transaction, configuration: Configuration, rowId: string): Promise<ConfigurationRow> {
    const row = await store.findRow(tx, configuration.key, rowId);
    if (!row) throw configurationErrors.rowNotFound(rowId);
    return row;
  }

  /** The end of every change: the event, and the row as it now is. Every change has added one configuration version. */
  async #finish(
    tx: Transaction,
    actor: Actor,
    configuration: Configuration,
    rowId: string,
    name: RowEvent,
    verb: string,
    params: object = {},
  ): Promise<ConfigurationRow> {
    const row = await this.#read(tx, configuration, rowId);
    const now = { id: configuration.id, name: configuration.name, version: configuration.version + 1 };
    await this.#parts.events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message: `${verb} component configuration row "${row.id}" (${configuration.componentId})`,
        objectType: 'configuration-row',
        objectId: row.id,
        objectName: row.name,
        params: { ...rowParams(configuration.componentId, now, row), ...params },
      }),
    );
    return row;
  }
}

function liveRow(row: ConfigurationRow | undefined, rowId: string): ConfigurationRow {
  if (!row || row.isDeleted) throw configurationErrors.rowNotFound(rowId);
  return row;
}
