-- Snapshots of tables: a table of the lake's schema `snapshots` with links to the same files, and what the lake does
-- not know of the table it was made of. They outlive that table, and its bucket.

set local search_path = millrace;

create table table_snapshots (
  -- From the one sequence of jobs, files and tickets.
  id bigint primary key,
  project_id integer not null references projects (id),
  branch_id bigint not null references branches (id),
  table_id text not null,
  lake_table_id bigint not null,
  description text not null,
  table_description text not null,
  primary_key bigint[] not null,
  -- { table: [{provider, key, value}], columns: { <name>: [...] } }
  metadata jsonb not null,
  token_id bigint not null,
  token_description text not null,
  created_at timestamptz not null
);

create index table_snapshots_table on table_snapshots (project_id, branch_id, table_id, id);
