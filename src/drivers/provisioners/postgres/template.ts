/** The database that spaces are copied from. Another number when the statements change: old spaces keep theirs. */
export const TEMPLATE = 'workspace_template_3';

/** Views that name every login, with the column that tells whose row it is. A login sees its own. */
const ROLE_VIEWS = { pg_roles: 'oid', pg_user: 'usesysid', pg_group: 'grosysid' };

/**
 * What PostgreSQL shows to everybody is taken back where it tells of other logins: their names, sessions, locks,
 * transactions and how busy they are. Functions are taken as well as views, which only call them. What clients cannot
 * do without (psql's \d joins the roles) stays there and shows a login what is its own.
 */
export const TEMPLATE_STATEMENTS: readonly string[] = [
  'drop schema public',
  'set allow_system_table_mods = on',
  ...Object.entries(ROLE_VIEWS).map(
    ([view, owner]) => `do $$ begin
       execute format(
         'create or replace view pg_catalog.${view} as select * from (%s) as everybody where pg_has_role(${owner}, ''member'')',
         rtrim(pg_get_viewdef('pg_catalog.${view}'::regclass), ';'));
     end $$`,
  ),
  // The function runs as its owner, because a view lends nobody the right to call what it calls. What it means is
  // settled when it is made: by name it would find a login's temporary view first, and run what that calls as its owner.
  'alter view pg_catalog.pg_stat_activity rename to pg_stat_activity_of_all',
  'revoke all on pg_catalog.pg_stat_activity_of_all from public',
  `create function pg_catalog.pg_stat_activity_of_own() returns setof pg_catalog.pg_stat_activity_of_all
     language sql stable security definer set search_path = pg_catalog, pg_temp
     begin atomic
       select * from pg_catalog.pg_stat_activity_of_all where usename = session_user;
     end`,
  'create view pg_catalog.pg_stat_activity as select * from pg_catalog.pg_stat_activity_of_own()',
  'grant select on pg_catalog.pg_stat_activity to public',
  `do $$
   declare one regprocedure;
   begin
     for one in
       select p.oid::regprocedure from pg_proc p
       where p.pronamespace = 'pg_catalog'::regnamespace
         and p.proname ~ ('^(pg_stat_get_(activity|backend|progress|db_|wal|slru|io|snapshot|replication|subscription)|'
           || 'pg_lock_status|pg_prepared_xact|pg_blocking_pids|pg_safe_snapshot_blocking_pids|pg_tablespace_size)')
     loop
       execute format('revoke execute on function %s from public', one);
     end loop;
   end $$`,
  `revoke select on pg_stat_database, pg_stat_database_conflicts, pg_stat_ssl, pg_stat_gssapi,
     pg_stat_replication, pg_locks, pg_prepared_xacts, pg_db_role_setting, pg_shdepend from public`,
  'alter default privileges revoke execute on functions from public',
];

/** In spaces of older templates the function went by names, as the session it was called in would find them. */
export const MEND_OLD_SPACE = `do $$ begin
  if pg_catalog.to_regprocedure('pg_catalog.pg_stat_activity_of_own()') is not null then
    alter function pg_catalog.pg_stat_activity_of_own() set search_path = pg_catalog, pg_temp;
  end if;
end $$`;
