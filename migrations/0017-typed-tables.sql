-- Tables whose columns have types. Column id of the lake -> {type, length, nullable, default}; null: all columns are text.

set local search_path = millrace;

alter table tables add column column_types jsonb;
alter table table_snapshots add column column_types jsonb;
create index table_snapshots_lake_table on table_snapshots (project_id, lake_table_id);
