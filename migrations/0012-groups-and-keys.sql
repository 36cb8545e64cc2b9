-- Groups of end users; keys whose text their owners may see again; what persons keep about themselves.
set local search_path = millrace;

create table end_user_groups (
  id bigint generated always as identity primary key,
  project_id integer not null references projects (id),
  -- An optional handle, besides the label that people read.
  name text,
  label text not null,
  description text not null default '',
  created_at timestamptz not null default now(),
  constraint end_user_groups_name_unique unique (project_id, name)
);
create index end_user_groups_project on end_user_groups (project_id, id);

create table end_user_group_members (
  group_id bigint not null references end_user_groups (id) on delete cascade,
  user_id bigint not null references end_users (id) on delete cascade,
  primary key (group_id, user_id)
);
create index end_user_group_members_user on end_user_group_members (user_id);

-- Only of keys that open one project's object API (account-key, api-key): consoles show them. Null: made before.
alter table tokens add column secret_cipher text;
alter table persons add column metadata jsonb not null default '{}';
