import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Author, ConfigurationAddress } from './configuration-model.ts';

/**
 * Copies the newest versions of live configurations, with their live rows and all states, from the default branch of a
 * project into another; only the one addressed where an address is given. In one statement: what somebody changes meanwhile is
 * in the copy wholly or not at all. Returns how many were copied.
 */
export async function copyConfigurations(
  tx: Db,
  to: { projectId: number; branchId: number },
  author: Author,
  address?: ConfigurationAddress,
): Promise<number> {
  const only = address
    ? sql`and c.component_id = ${address.componentId} and c.id = ${address.configurationId}`
    : sql.empty;
  const by = sql`${author.tokenId}::bigint, ${author.description}::text`;
  const rows = await tx.query(sql`
    with source as (
      select c.* from configurations c
      where c.branch_id = (select id from branches where project_id = ${to.projectId} and is_default)
        and not c.is_deleted ${only}
    ), copied as (
      insert into configurations
        (project_id, branch_id, component_id, id, version, state, creator_token_id, creator_token_description)
      select project_id, ${to.branchId}::bigint, component_id, id, 1, state, ${by} from source order by key
      returning key, component_id, id
    ), pairs as (
      select source.key as source_key, source.version, copied.key, copied.id
      from source join copied using (component_id, id)
    ), versions as (
      insert into configuration_versions
        (configuration_key, version, identifier, name, description, is_disabled, is_deleted, configuration,
         rows_sort_order, change_description, creator_token_id, creator_token_description)
      select p.key, 1, v.identifier, v.name, v.description, v.is_disabled, false, v.configuration, v.rows_sort_order,
        'Copied from default branch configuration "' || v.name || '" (' || p.id || ') version ' || v.version, ${by}
      from pairs p join configuration_versions v on v.configuration_key = p.source_key and v.version = p.version
    ), source_rows as (
      select p.key, r.state, r.position, v.row_id, v.version, v.identifier, v.name, v.description, v.is_disabled,
        v.configuration
      from pairs p
      join configuration_rows r on r.configuration_key = p.source_key and not r.is_deleted
      join configuration_row_versions v
        on v.configuration_key = r.configuration_key and v.row_id = r.id and v.version = r.version
    ), rows as (
      insert into configuration_rows
        (configuration_key, id, version, state, position, creator_token_id, creator_token_description)
      overriding system value
      select key, row_id, 1, state, position, ${by} from source_rows
    ), row_versions as (
      insert into configuration_row_versions
        (configuration_key, row_id, version, identifier, since_version, name, description, is_disabled, configuration,
         change_description, creator_token_id, creator_token_description)
      select key, row_id, 1, identifier, 1, name, description, is_disabled, configuration,
        'Copied from default branch configuration row "' || name || '" (' || row_id || ') version ' || version, ${by}
      from source_rows
    )
    select key from copied`);
  return rows.length;
}

export async function deleteConfigurationsOf(tx: Db, branchId: number): Promise<void> {
  await tx.query(sql`delete from configurations where branch_id = ${branchId}`);
}
