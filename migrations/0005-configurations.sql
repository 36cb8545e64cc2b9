-- What people configure: configurations of components, their rows, and every version either of them ever had.
--
-- `json` and not `jsonb`, here and only here: clients compare configurations as text, so key order, `{}` and `[]` and
-- the spelling of numbers must survive.

set local search_path = millrace;

create table configurations (
  key bigint generated always as identity primary key,
  project_id integer not null references projects (id),
  branch_id bigint not null references branches (id),
  component_id text not null,
  id text not null,
  -- The current version; its content is the row of configuration_versions with that number.
  version integer not null,
  is_deleted boolean not null default false,
  state json not null,
  created_at timestamptz not null default now(),
  creator_token_id bigint not null,
  creator_token_description text not null,
  constraint configurations_id_unique unique (branch_id, component_id, id)
);

create table configuration_versions (
  configuration_key bigint not null references configurations (key) on delete cascade,
  version integer not null,
  -- ULID; the same in a branch that copied the version and never changed it.
  identifier text not null,
  name text not null,
  description text not null,
  is_disabled boolean not null,
  is_deleted boolean not null,
  configuration json not null,
  rows_sort_order text[] not null,
  change_description text not null,
  created_at timestamptz not null default now(),
  creator_token_id bigint not null,
  creator_token_description text not null,
  primary key (configuration_key, version)
);

create table configuration_rows (
  configuration_key bigint not null references configurations (key) on delete cascade,
  id text not null,
  -- Goes on after a deletion: a row made again under the same id continues where the old one ended.
  version integer not null,
  is_deleted boolean not null default false,
  -- Kept after a deletion too: a rollback and a copy bring it back.
  state json not null,
  -- Order of creation.
  position bigint generated always as identity,
  created_at timestamptz not null default now(),
  creator_token_id bigint not null,
  creator_token_description text not null,
  primary key (configuration_key, id)
);

create table configuration_row_versions (
  configuration_key bigint not null,
  row_id text not null,
  version integer not null,
  identifier text not null,
  -- The versions of the configuration in which this is what the row was: from (included) until (excluded; null: still).
  since_version integer not null,
  until_version integer,
  name text not null,
  description text not null,
  is_disabled boolean not null,
  configuration json not null,
  change_description text not null,
  created_at timestamptz not null default now(),
  creator_token_id bigint not null,
  creator_token_description text not null,
  primary key (configuration_key, row_id, version),
  foreign key (configuration_key, row_id) references configuration_rows (configuration_key, id) on delete cascade
);
create unique index configuration_row_versions_one_current on configuration_row_versions (configuration_key, row_id)
  where until_version is null;
