import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { ConfigurationRow, RowContent, RowVersion, VersionPage } from './configuration-model.ts';
import {
  type ContentColumns,
  type CreationColumns,
  type NewVersion,
  type StampColumns,
  toContent,
  toCreation,
  toStamp,
  VERSION_COLUMNS,
} from './configuration-store.ts';

type RowColumns = StampColumns & ContentColumns & CreationColumns & { configuration_key: number; id: string };
type RowVersionColumns = StampColumns & ContentColumns & { row_id: string };

const ROW_COLUMNS = sql`r.configuration_key, r.id, r.is_deleted, r.state::text as state, r.created_at,
  r.creator_token_id, r.creator_token_description, ${VERSION_COLUMNS}`;
const ROWS = sql`
  select ${ROW_COLUMNS} from configuration_rows r
  join configuration_row_versions v
    on v.configuration_key = r.configuration_key and v.row_id = r.id and v.version = r.version`;

/** The live rows of several configurations, by their keys, in the order of creation. */
export async function listRows(db: Db, keys: number[]): Promise<Map<number, ConfigurationRow[]>> {
  const byKey = new Map<number, ConfigurationRow[]>(keys.map((key) => [key, []]));
  if (keys.length === 0) return byKey;
  const rows = await db.query<RowColumns>(
    sql`${ROWS} where r.configuration_key = any(${keys}) and not r.is_deleted order by r.position`,
  );
  for (const row of rows) byKey.get(row.configuration_key)?.push(toRow(row));
  return byKey;
}

/** The rows as they were in a version of the configuration. Their states are the last known ones. */
export async function listRowsAt(db: Db, key: number, configurationVersion: number): Promise<ConfigurationRow[]> {
  const rows = await db.query<RowColumns>(sql`
    select ${ROW_COLUMNS} from configuration_rows r
    join configuration_row_versions v on v.configuration_key = r.configuration_key and v.row_id = r.id
    where r.configuration_key = ${key} and v.since_version <= ${configurationVersion}
      and (v.until_version is null or v.until_version > ${configurationVersion})
    order by r.position`);
  return rows.map(toRow);
}

/** The row, deleted or not. */
export async function findRow(db: Db, key: number, rowId: string): Promise<ConfigurationRow | undefined> {
  const row = await db.one<RowColumns>(sql`${ROWS} where r.configuration_key = ${key} and r.id = ${rowId}`);
  return row && toRow(row);
}

export async function insertRow(
  tx: Db,
  key: number,
  row: { id: string; state: string },
  content: RowContent,
  version: NewVersion,
  configurationVersion: number,
): Promise<void> {
  await tx.query(sql`
    insert into configuration_rows (configuration_key, id, version, state, creator_token_id, creator_token_description)
    values (${key}, ${row.id}, ${version.version}, ${row.state}, ${version.author.tokenId}, ${version.author.description})`);
  await insertVersion(tx, key, row.id, content, version, configurationVersion);
}

/** A deleted row begins anew, last in the order of creation; its versions go on counting. */
export async function reviveRow(
  tx: Db,
  key: number,
  row: { id: string; state: string },
  content: RowContent,
  version: NewVersion,
  configurationVersion: number,
): Promise<void> {
  await tx.query(sql`
    update configuration_rows set is_deleted = false, version = ${version.version}, state = ${row.state},
      position = default, created_at = now(), creator_token_id = ${version.author.tokenId},
      creator_token_description = ${version.author.description}
    where configuration_key = ${key} and id = ${row.id}`);
  await insertVersion(tx, key, row.id, content, version, configurationVersion);
}

/** Makes the content what the row is from that version of the configuration on; a deleted row comes back by it. */
export async function addRowVersion(
  tx: Db,
  key: number,
  rowId: string,
  content: RowContent,
  version: NewVersion,
  configurationVersion: number,
): Promise<void> {
  await endRowVersion(tx, key, rowId, configurationVersion);
  await insertVersion(tx, key, rowId, content, version, configurationVersion);
  await tx.query(sql`
    update configuration_rows set is_deleted = false, version = ${version.version}
    where configuration_key = ${key} and id = ${rowId}`);
}

export async function markRowDeleted(tx: Db, key: number, rowId: string, configurationVersion: number): Promise<void> {
  await endRowVersion(tx, key, rowId, configurationVersion);
  await tx.query(
    sql`update configuration_rows set is_deleted = true where configuration_key = ${key} and id = ${rowId}`,
  );
}

export async function setRowState(tx: Db, key: number, rowId: string, state: string): Promise<void> {
  await tx.query(
    sql`update configuration_rows set state = ${state} where configuration_key = ${key} and id = ${rowId}`,
  );
}

/** Newest first. */
export async function listRowVersions(db: Db, key: number, rowId: string, page: VersionPage): Promise<RowVersion[]> {
  const rows = await db.query<RowVersionColumns>(sql`
    select v.row_id, ${VERSION_COLUMNS} from configuration_row_versions v
    where v.configuration_key = ${key} and v.row_id = ${rowId}
    order by v.version desc limit ${page.limit ?? 100} offset ${page.offset ?? 0}`);
  return rows.map(toRowVersion);
}

export async function findRowVersion(
  db: Db,
  key: number,
  rowId: string,
  version: number,
): Promise<RowVersion | undefined> {
  const row = await db.one<RowVersionColumns>(sql`
    select v.row_id, ${VERSION_COLUMNS} from configuration_row_versions v
    where v.configuration_key = ${key} and v.row_id = ${rowId} and v.version = ${version}`);
  return row && toRowVersion(row);
}

async function endRowVersion(tx: Db, key: number, rowId: string, configurationVersion: number): Promise<void> {
  await tx.query(sql`
    update configuration_row_versions set until_version = ${configurationVersion}
    where configuration_key = ${key} and row_id = ${rowId} and until_version is null`);
}

async function insertVersion(
  tx: Db,
  key: number,
  rowId: string,
  content: RowContent,
  version: NewVersion,
  configurationVersion: number,
): Promise<void> {
  await tx.query(sql`
    insert into configuration_row_versions
      (configuration_key, row_id, version, identifier, since_version, name, description, is_disabled, configuration,
       change_description, creator_token_id, creator_token_description)
    values (${key}, ${rowId}, ${version.version}, ${version.identifier}, ${configurationVersion}, ${content.name},
      ${content.description}, ${content.isDisabled}, ${content.configuration.text}, ${version.changeDescription},
      ${version.author.tokenId}, ${version.author.description})`);
}

function toRow(row: RowColumns): ConfigurationRow {
  return { id: row.id, ...toContent(row), ...toStamp(row), ...toCreation(row) };
}

function toRowVersion(row: RowVersionColumns): RowVersion {
  return { rowId: row.row_id, ...toContent(row), ...toStamp(row) };
}
