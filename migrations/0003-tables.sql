-- Buckets, tables and the lakes that hold their data.
--
-- A lake is one DuckLake 1.0 catalogue: a PostgreSQL schema `lake_<project>` whose tables belong to the published
-- format, so that a stock DuckDB can attach it. It is the only truth for columns, files and row counts. The tables
-- of the schema `millrace` add what the format has no place for.

set local search_path = millrace;

create table lakes (
  project_id integer primary key references projects (id),
  schema_name text not null unique,
  created_at timestamptz not null default now()
);

create table buckets (
  project_id integer not null references projects (id),
  branch_id bigint not null references branches (id),
  id text not null,
  stage text not null,
  name text not null,
  display_name text not null,
  description text not null default '',
  backend text,
  color text,
  lake_schema_id bigint not null,
  created_at timestamptz not null,
  -- Description changes only; null until the first.
  updated_at timestamptz,
  -- Any change of a table in it; null until the first.
  changed_at timestamptz,
  primary key (project_id, branch_id, id),
  constraint buckets_display_name_key unique (project_id, branch_id, stage, display_name)
);

create table tables (
  project_id integer not null,
  branch_id bigint not null,
  id text not null,
  bucket_id text not null,
  name text not null,
  display_name text not null,
  description text not null default '',
  lake_table_id bigint not null,
  -- Column ids of the lake, in key order: a renamed column stays in the key.
  primary_key bigint[] not null default '{}',
  created_at timestamptz not null,
  imported_at timestamptz,
  changed_at timestamptz,
  primary key (project_id, branch_id, id),
  constraint tables_bucket_fkey foreign key (project_id, branch_id, bucket_id)
    references buckets (project_id, branch_id, id) on delete cascade,
  constraint tables_display_name_key unique (project_id, branch_id, bucket_id, display_name)
);

create unique index tables_lake_table on tables (project_id, lake_table_id);
create index tables_bucket on tables (project_id, branch_id, bucket_id);

-- DuckDB ignores case in names, Keboola does not: of `id` and `Id` one gets another name in the lake. Its real name is
-- here, and holds as long as the lake still has the name we gave it.
create table lake_column_names (
  project_id integer not null,
  lake_table_id bigint not null,
  column_id bigint not null,
  lake_name text not null,
  name text not null,
  primary key (project_id, lake_table_id, column_id)
);

-- Files an engine is writing (or was, when the server died). The commit of the change removes the row, so a row whose
-- claim on its job is over names files that nobody will ever need.
create table staged_files (
  prefix text primary key,
  directory text not null,
  project_id integer not null,
  job_id bigint not null,
  claim_token uuid not null,
  created_at timestamptz not null default now()
);

create index staged_files_job on staged_files (job_id);

-- Results of earlier exports: the same question to the same version of a table gets the same file.
create table table_exports (
  project_id integer not null,
  lake_table_id bigint not null,
  version_hash text not null,
  parameters_hash text not null,
  file_id bigint not null,
  created_at timestamptz not null default now(),
  primary key (project_id, lake_table_id, parameters_hash)
);

create table object_metadata (
  id bigint generated always as identity primary key,
  project_id integer not null,
  branch_id bigint not null,
  object_type text not null,
  object_id text not null,
  provider text not null,
  key text not null,
  value text not null,
  updated_at timestamptz not null,
  constraint object_metadata_key unique (project_id, branch_id, object_type, object_id, provider, key)
);

-- The order of columns is part of the format: DuckLake writers insert by position. The primary keys are too: a clash
-- on ducklake_snapshot is how two writers notice each other.
create function create_lake(lake text, data_path text, created_by text) returns void language plpgsql as $create_lake$
declare
  previous_path text := current_setting('search_path');
begin
  execute format('create schema %I', lake);
  perform set_config('search_path', quote_ident(lake), true);

  create table ducklake_metadata (key varchar not null, value varchar not null, scope varchar, scope_id bigint);
  create table ducklake_snapshot (snapshot_id bigint primary key, snapshot_time timestamptz, schema_version bigint,
    next_catalog_id bigint, next_file_id bigint);
  create table ducklake_snapshot_changes (snapshot_id bigint primary key, changes_made varchar, author varchar,
    commit_message varchar, commit_extra_info varchar);
  create table ducklake_schema (schema_id bigint primary key, schema_uuid uuid, begin_snapshot bigint,
    end_snapshot bigint, schema_name varchar, path varchar, path_is_relative boolean);
  create table ducklake_table (table_id bigint, table_uuid uuid, begin_snapshot bigint, end_snapshot bigint,
    schema_id bigint, table_name varchar, path varchar, path_is_relative boolean);
  create table ducklake_view (view_id bigint, view_uuid uuid, begin_snapshot bigint, end_snapshot bigint,
    schema_id bigint, view_name varchar, dialect varchar, sql varchar, column_aliases varchar);
  create table ducklake_tag (object_id bigint, begin_snapshot bigint, end_snapshot bigint, key varchar, value varchar);
  create table ducklake_column_tag (table_id bigint, column_id bigint, begin_snapshot bigint, end_snapshot bigint,
    key varchar, value varchar);
  create table ducklake_data_file (data_file_id bigint primary key, table_id bigint, begin_snapshot bigint,
    end_snapshot bigint, file_order bigint, path varchar, path_is_relative boolean, file_format varchar,
    record_count bigint, file_size_bytes bigint, footer_size bigint, row_id_start bigint, partition_id bigint,
    encryption_key varchar, mapping_id bigint, partial_max bigint);
  create table ducklake_file_column_stats (data_file_id bigint, table_id bigint, column_id bigint,
    column_size_bytes bigint, value_count bigint, null_count bigint, min_value varchar, max_value varchar,
    contains_nan boolean, extra_stats varchar);
  create table ducklake_file_variant_stats (data_file_id bigint, table_id bigint, column_id bigint,
    variant_path varchar, shredded_type varchar, column_size_bytes bigint, value_count bigint, null_count bigint,
    min_value varchar, max_value varchar, contains_nan boolean, extra_stats varchar);
  create table ducklake_delete_file (delete_file_id bigint primary key, table_id bigint, begin_snapshot bigint,
    end_snapshot bigint, data_file_id bigint, path varchar, path_is_relative boolean, format varchar,
    delete_count bigint, file_size_bytes bigint, footer_size bigint, encryption_key varchar, partial_max bigint);
  create table ducklake_column (column_id bigint, begin_snapshot bigint, end_snapshot bigint, table_id bigint,
    column_order bigint, column_name varchar, column_type varchar, initial_default varchar, default_value varchar,
    nulls_allowed boolean, parent_column bigint, default_value_type varchar, default_value_dialect varchar);
  create table ducklake_table_stats (table_id bigint, record_count bigint, next_row_id bigint,
    file_size_bytes bigint);
  create table ducklake_table_column_stats (table_id bigint, column_id bigint, contains_null boolean,
    contains_nan boolean, min_value varchar, max_value varchar, extra_stats varchar);
  create table ducklake_partition_info (partition_id bigint, table_id bigint, begin_snapshot bigint,
    end_snapshot bigint);
  create table ducklake_partition_column (partition_id bigint, table_id bigint, partition_key_index bigint,
    column_id bigint, transform varchar);
  create table ducklake_file_partition_value (data_file_id bigint, table_id bigint, partition_key_index bigint,
    partition_value varchar);
  create table ducklake_files_scheduled_for_deletion (data_file_id bigint, path varchar, path_is_relative boolean,
    schedule_start timestamptz);
  create table ducklake_inlined_data_tables (table_id bigint, table_name varchar, schema_version bigint);
  create table ducklake_column_mapping (mapping_id bigint, table_id bigint, type varchar);
  create table ducklake_name_mapping (mapping_id bigint, column_id bigint, source_name varchar,
    target_field_id bigint, parent_column bigint, is_partition boolean);
  create table ducklake_schema_versions (begin_snapshot bigint, schema_version bigint, table_id bigint);
  create table ducklake_macro (schema_id bigint, macro_id bigint, macro_name varchar, begin_snapshot bigint,
    end_snapshot bigint);
  create table ducklake_macro_impl (macro_id bigint, impl_id bigint, dialect varchar, sql varchar, type varchar);
  create table ducklake_macro_parameters (macro_id bigint, impl_id bigint, column_id bigint, parameter_name varchar,
    parameter_type varchar, default_value varchar, default_value_type varchar);
  create table ducklake_sort_info (sort_id bigint, table_id bigint, begin_snapshot bigint, end_snapshot bigint);
  create table ducklake_sort_expression (sort_id bigint, table_id bigint, sort_key_index bigint, expression varchar,
    dialect varchar, sort_direction varchar, null_order varchar);

  create index on ducklake_table (table_id);
  create index on ducklake_column (table_id);
  create index on ducklake_data_file (table_id, begin_snapshot);
  create index on ducklake_delete_file (table_id);
  create index on ducklake_delete_file (data_file_id);
  create index on ducklake_file_column_stats (table_id, column_id);
  create index on ducklake_file_column_stats (data_file_id);
  create index on ducklake_table_stats (table_id);
  create index on ducklake_table_column_stats (table_id);

  insert into ducklake_snapshot values (0, clock_timestamp(), 0, 1, 0);
  insert into ducklake_snapshot_changes values (0, 'created_schema:"main"', null, null, null);
  insert into ducklake_schema values (0, gen_random_uuid(), 0, null, 'main', 'main/', true);
  -- Without a limit of 0 a stock client would keep its small inserts and deletes in tables that we do not read.
  insert into ducklake_metadata (key, value) values
    ('version', '1.0'), ('created_by', created_by), ('data_path', data_path), ('encrypted', 'false'),
    ('data_inlining_row_limit', '0');

  perform set_config('search_path', previous_path, true);
end
$create_lake$;

-- Takes the commit lock of a lake until the end of the transaction and returns its newest snapshot. First our own
-- queue (cheap and fair), then the lock that keeps stock DuckLake writers from inserting a snapshot meanwhile; readers
-- are never blocked. Always in this order.
create function lock_lake(lake text)
returns table (snapshot_id bigint, schema_version bigint, next_catalog_id bigint, next_file_id bigint, format text,
  data_path text)
language plpgsql volatile as $lock_lake$
begin
  perform pg_advisory_xact_lock(hashtextextended('lake:' || lake, 0));
  execute format('lock table %I.ducklake_snapshot in exclusive mode', lake);
  return query execute format(
    'select s.snapshot_id, s.schema_version, s.next_catalog_id, s.next_file_id,
       (select value::text from %1$I.ducklake_metadata where key = ''version'' and scope is null),
       (select value::text from %1$I.ducklake_metadata where key = ''data_path'' and scope is null)
     from %1$I.ducklake_snapshot s order by 1 desc limit 1', lake);
end
$lock_lake$;
