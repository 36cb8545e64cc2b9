import type { Db } from '../../db/database.ts';
import { inListOrder, keysetToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import { RawJson } from '../../lib/json-text.ts';
import type {
  Author,
  Configuration,
  ConfigurationAddress,
  ConfigurationContent,
  ConfigurationFilter,
  ConfigurationPage,
  ConfigurationVersion,
  VersionPage,
  VersionStamp,
} from './configuration-model.ts';

/** What goes beside the content into a new version. */
export type NewVersion = { version: number; identifier: string; changeDescription: string; author: Author };

export type StampColumns = {
  version: number;
  identifier: string;
  change_description: string;
  version_created_at: Date;
  version_token_id: number;
  version_token_description: string;
};
export type ContentColumns = { name: string; description: string; is_disabled: boolean; configuration: string };
export type CreationColumns = {
  is_deleted: boolean;
  state: string;
  created_at: Date;
  creator_token_id: number;
  creator_token_description: string;
};
type ConfigurationColumns = StampColumns &
  ContentColumns &
  CreationColumns & { key: number; component_id: string; id: string; rows_sort_order: string[] };
type VersionColumns = StampColumns & ContentColumns & { is_deleted: boolean; rows_sort_order: string[] };

// Columns of a version `v`. As text, so that no JSON parser comes between what was stored and what is answered.
const BRIEF_VERSION_COLUMNS = sql`v.name, v.description, v.is_disabled, v.version, v.identifier, v.change_description,
  v.created_at as version_created_at, v.creator_token_id as version_token_id,
  v.creator_token_description as version_token_description`;
export const VERSION_COLUMNS = sql`${BRIEF_VERSION_COLUMNS}, v.configuration::text as configuration`;

const OTHER_COLUMNS = sql`c.key, c.component_id, c.id, c.is_deleted, c.created_at, c.creator_token_id,
  c.creator_token_description, v.rows_sort_order`;
const FROM = sql`from configurations c
  join configuration_versions v on v.configuration_key = c.key and v.version = c.version`;
const CONFIGURATIONS = sql`select ${OTHER_COLUMNS}, c.state::text as state, ${VERSION_COLUMNS} ${FROM}`;
/** Contents and states can be megabytes each, so lists that do not show them leave them where they are. */
const BRIEF_CONFIGURATIONS = sql`
  select ${OTHER_COLUMNS}, '{}' as state, ${BRIEF_VERSION_COLUMNS}, '{}' as configuration ${FROM}`;

/** Null for an id that is no number. A condition before a cast would not do: which one comes first is not said. */
const ID_NUMBER = sql`case when c.id ~ '^[0-9]{1,15}$' then c.id::bigint end`;

/** The configuration without its rows, deleted or not. */
export async function findConfiguration(
  db: Db,
  branchId: number,
  address: ConfigurationAddress,
): Promise<Configuration | undefined> {
  const row = await db.one<ConfigurationColumns>(sql`${CONFIGURATIONS} where ${at(branchId, address)}`);
  return row && toConfiguration(row);
}

/** The same in the default branch of a project. */
export async function findInProject(
  db: Db,
  projectId: number,
  { componentId, configurationId }: ConfigurationAddress,
): Promise<Configuration | undefined> {
  const row = await db.one<ConfigurationColumns>(sql`
    ${CONFIGURATIONS} join branches b on b.id = c.branch_id and b.is_default
    where b.project_id = ${projectId} and c.component_id = ${componentId} and c.id = ${configurationId}`);
  return row && toConfiguration(row);
}

/** As `findConfiguration`; changes of the configuration and its rows then wait for each other. */
export async function lockConfiguration(
  tx: Db,
  branchId: number,
  address: ConfigurationAddress,
): Promise<Configuration | undefined> {
  // Locked first and read after: a joined row locked after a wait would still show the version before the wait.
  const locked = await tx.one(sql`select c.key from configurations c where ${at(branchId, address)} for update`);
  return locked && findConfiguration(tx, branchId, address);
}

export async function listConfigurations(
  db: Db,
  branchId: number,
  filter: ConfigurationFilter & { componentIds?: string[] | undefined },
): Promise<Configuration[]> {
  const conditions: Sql[] = [sql`c.branch_id = ${branchId}`, sql`c.is_deleted = ${filter.isDeleted ?? false}`];
  if (filter.componentId !== undefined) conditions.push(sql`c.component_id = ${filter.componentId}`);
  if (filter.componentIds) conditions.push(sql`c.component_id = any(${filter.componentIds})`);
  const rows = await db.query<ConfigurationColumns>(
    sql`${filter.isBrief ? BRIEF_CONFIGURATIONS : CONFIGURATIONS} where ${sql.join(conditions, sql` and `)}
      order by c.component_id, c.key`,
  );
  return rows.map(toConfiguration);
}

export async function pageConfigurations(
  db: Db,
  branchId: number,
  { componentIds, ids, includeDeleted, limit, offset, keyset }: ConfigurationPage,
): Promise<Configuration[]> {
  const conditions: Sql[] = [sql`c.branch_id = ${branchId}`, sql`c.component_id = any(${componentIds})`];
  if (ids) conditions.push(sql`c.id = any(${ids})`);
  if (!includeDeleted) conditions.push(sql`not c.is_deleted`);
  const place = keyset && keysetToSql(keyset.of === 'number' ? ID_NUMBER : sql`c.id collate "C"`, keyset);
  if (keyset?.of === 'number') conditions.push(sql`${ID_NUMBER} is not null`);
  const rows = await db.query<ConfigurationColumns>(sql`
    ${CONFIGURATIONS} where ${sql.join([...conditions, ...(place?.where ?? [])], sql` and `)}
    order by ${place?.order ?? sql`c.key`} limit ${limit ?? null} offset ${offset ?? 0}`);
  return inListOrder(rows.map(toConfiguration), keyset ?? {});
}

/** The key of the new configuration with its first version, or undefined when the id is taken. */
export async function insertConfiguration(
  tx: Db,
  place: { projectId: number; branchId: number; componentId: string; id: string; state: string },
  content: ConfigurationContent,
  version: NewVersion,
): Promise<number | undefined> {
  const row = await tx.one<{ key: number }>(sql`
    insert into configurations
      (project_id, branch_id, component_id, id, version, state, creator_token_id, creator_token_description)
    values (${place.projectId}, ${place.branchId}, ${place.componentId}, ${place.id}, ${version.version}, ${place.state},
      ${version.author.tokenId}, ${version.author.description})
    on conflict on constraint configurations_id_unique do nothing
    returning key`);
  if (row) await insertVersion(tx, row.key, content, version, false);
  return row?.key;
}

/** Makes the content the current version. */
export async function addConfigurationVersion(
  tx: Db,
  key: number,
  content: ConfigurationContent,
  version: NewVersion,
  isDeleted: boolean,
): Promise<void> {
  await insertVersion(tx, key, content, version, isDeleted);
  await tx.query(
    sql`update configurations set version = ${version.version}, is_deleted = ${isDeleted} where key = ${key}`,
  );
}

async function insertVersion(
  tx: Db,
  key: number,
  content: ConfigurationContent,
  version: NewVersion,
  isDeleted: boolean,
): Promise<void> {
  await tx.query(sql`
    insert into configuration_versions
      (configuration_key, version, identifier, name, description, is_disabled, is_deleted, configuration,
       rows_sort_order, change_description, creator_token_id, creator_token_description)
    values (${key}, ${version.version}, ${version.identifier}, ${content.name}, ${content.description},
      ${content.isDisabled}, ${isDeleted}, ${content.configuration.text}, ${content.rowsSortOrder},
      ${version.changeDescription}, ${version.author.tokenId}, ${version.author.description})`);
}

export async function setConfigurationState(tx: Db, key: number, state: string): Promise<void> {
  await tx.query(sql`update configurations set state = ${state} where key = ${key}`);
}

export async function deleteConfiguration(tx: Db, key: number): Promise<void> {
  await tx.query(sql`delete from configurations where key = ${key}`);
}

/** Newest first. */
export async function listConfigurationVersions(
  db: Db,
  key: number,
  page: VersionPage,
): Promise<ConfigurationVersion[]> {
  const rows = await db.query<VersionColumns>(sql`
    select v.is_deleted, v.rows_sort_order, ${VERSION_COLUMNS} from configuration_versions v
    where v.configuration_key = ${key} order by v.version desc limit ${page.limit ?? 100} offset ${page.offset ?? 0}`);
  return rows.map(toVersion);
}

export async function findConfigurationVersion(
  db: Db,
  key: number,
  version: number,
): Promise<ConfigurationVersion | undefined> {
  const row = await db.one<VersionColumns>(sql`
    select v.is_deleted, v.rows_sort_order, ${VERSION_COLUMNS} from configuration_versions v
    where v.configuration_key = ${key} and v.version = ${version}`);
  return row && toVersion(row);
}

/** A new id for a configuration or a row: a number like every other the platform gives out. */
export async function nextId(db: Db): Promise<string> {
  const row = await db.one<{ id: number }>(sql`select nextval('object_id') as id`);
  return String(row?.id);
}

function at(branchId: number, address: ConfigurationAddress): Sql {
  return sql`c.branch_id = ${branchId} and c.component_id = ${address.componentId} and c.id = ${address.configurationId}`;
}

function toConfiguration(row: ConfigurationColumns): Configuration {
  return {
    key: row.key,
    componentId: row.component_id,
    id: row.id,
    rowsSortOrder: row.rows_sort_order,
    rows: [],
    ...toContent(row),
    ...toStamp(row),
    ...toCreation(row),
  };
}

function toVersion(row: VersionColumns): ConfigurationVersion {
  return { isDeleted: row.is_deleted, rowsSortOrder: row.rows_sort_order, ...toContent(row), ...toStamp(row) };
}

export function toContent(row: ContentColumns): Omit<ConfigurationContent, 'rowsSortOrder'> {
  return {
    name: row.name,
    description: row.description,
    isDisabled: row.is_disabled,
    configuration: new RawJson(row.configuration),
  };
}

export function toStamp(row: StampColumns): VersionStamp {
  return {
    version: row.version,
    versionIdentifier: row.identifier,
    changeDescription: row.change_description,
    versionCreatedAt: row.version_created_at,
    versionAuthor: { tokenId: row.version_token_id, description: row.version_token_description },
  };
}

export function toCreation(row: CreationColumns): Pick<Configuration, 'isDeleted' | 'state' | 'createdAt' | 'author'> {
  return {
    isDeleted: row.is_deleted,
    state: new RawJson(row.state),
    createdAt: row.created_at,
    author: { tokenId: row.creator_token_id, description: row.creator_token_description },
  };
}
