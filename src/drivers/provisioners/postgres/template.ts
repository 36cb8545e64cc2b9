/** The database that spaces are copied from. Another number when the statements change: old spaces keep theirs. */
export const TEMPLATE = 'workspace_template_1';

/**
 * What PostgreSQL shows to everybody is taken back where it tells of other logins: their sessions, locks, transactions
 * and how busy they are. The functions are taken as well as the views, which only call them.
 */
export const TEMPLATE_STATEMENTS: readonly string[] = [
  'drop schema public',
  `do $$
   declare one regprocedure;
   begin
     for one in
       select p.oid::regprocedure from pg_proc p
       where p.pronamespace = 'pg_catalog'::regnamespace
         and p.proname ~ ('^(pg_stat_get_(activity|backend|progress|db_|wal|slru|io|snapshot|replication|subscription)|'
           || 'pg_lock_status|pg_prepared_xact|pg_blocking_pids|pg_safe_snapshot_blocking_pids|'
           || 'pg_database_size|pg_tablespace_size)')
     loop
       execute format('revoke execute on function %s from public', one);
     end loop;
   end $$`,
  `revoke select on pg_stat_activity, pg_stat_database, pg_stat_database_conflicts, pg_stat_ssl, pg_stat_gssapi,
     pg_stat_replication, pg_locks, pg_prepared_xacts, pg_db_role_setting, pg_auth_members, pg_roles, pg_user,
     pg_group, pg_shdescription, pg_shdepend from public`,
  'alter default privileges revoke execute on functions from public',
];
