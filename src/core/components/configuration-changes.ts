import type { Transaction } from '../../db/database.ts';
import { ulid } from '../../lib/ids.ts';
import { RawJson } from '../../lib/json-text.ts';
import type { Actor } from '../identity/actor.ts';
import { configurationErrors } from './configuration-errors.ts';
import type {
  Author,
  Configuration,
  ConfigurationAddress,
  ConfigurationContent,
  ConfigurationRow,
  RowContent,
} from './configuration-model.ts';
import { addConfigurationVersion, lockConfiguration, type NewVersion } from './configuration-store.ts';

export const EMPTY = new RawJson('{}');

const ID_PATTERN = /^[A-Za-z0-9_.-]{1,255}$/;

/** The live configuration, locked until the transaction ends. */
export async function lockLive(tx: Transaction, actor: Actor, address: ConfigurationAddress): Promise<Configuration> {
  const current = await lockConfiguration(tx, actor.branchId, address);
  if (!current || current.isDeleted) throw configurationErrors.notFound(address.configurationId);
  return current;
}

/** Adds the next version of the configuration with what the change says, and returns its number. */
export async function addVersion(
  tx: Transaction,
  actor: Actor,
  current: Configuration,
  change: Partial<ConfigurationContent> & { isDeleted?: boolean },
  changeDescription: string,
): Promise<number> {
  const version = newVersion(actor, current.version + 1, changeDescription);
  const { isDeleted = current.isDeleted, ...content } = change;
  await addConfigurationVersion(tx, current.key, { ...contentOf(current), ...content }, version, isDeleted);
  return version.version;
}

export function newVersion(actor: Actor, version: number, changeDescription: string): NewVersion {
  return {
    version,
    identifier: ulid(),
    changeDescription,
    author: authorOf(actor),
  };
}

export function authorOf(actor: Actor): Author {
  return { tokenId: actor.token.id, description: actor.token.description };
}

export function contentOf(from: ConfigurationContent): ConfigurationContent {
  return { ...rowContentOf(from), rowsSortOrder: from.rowsSortOrder };
}

export function rowContentOf(from: RowContent): RowContent {
  return {
    name: from.name,
    description: from.description,
    isDisabled: from.isDisabled,
    configuration: from.configuration,
  };
}

export function isSameContent(a: RowContent, b: RowContent): boolean {
  return (
    a.name === b.name &&
    a.description === b.description &&
    a.isDisabled === b.isDisabled &&
    a.configuration.text === b.configuration.text
  );
}

export function isSameOrder(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index]);
}

export function assertIsId(id: string, key: 'configurationId' | 'rowId'): void {
  if (!ID_PATTERN.test(id)) throw configurationErrors.invalidId(key);
}

/** An order names every live row exactly once, or nothing at all. */
export function assertIsOrder(order: string[], rows: { id: string }[]): void {
  if (order.length === 0) return;
  const existing = new Set(rows.map((row) => row.id));
  const unknown = order.filter((id) => !existing.has(id));
  if (unknown.length > 0) throw configurationErrors.invalidRowOrder(`unknown rows ${unknown.join(', ')}`);
  const named = new Set(order);
  const missing = [...existing].filter((id) => !named.has(id));
  if (missing.length > 0) throw configurationErrors.invalidRowOrder(`missing rows ${missing.join(', ')}`);
  if (named.size !== order.length) throw configurationErrors.invalidRowOrder('a row is named twice');
}

/** What events say about a configuration. */
export function configurationParams(componentId: string, configuration: { id: string; name: string; version: number }) {
  return {
    component: componentId,
    configurationId: configuration.id,
    name: configuration.name,
    version: configuration.version,
  };
}

/** What events say about a row. */
export function rowParams(
  componentId: string,
  configuration: { id: string; name: string; version: number },
  row: Pick<ConfigurationRow, 'id' | 'name' | 'version'>,
) {
  return {
    rowId: row.id,
    name: row.name,
    version: row.version,
    configuration: configurationParams(componentId, configuration),
  };
}
