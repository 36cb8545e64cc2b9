-- Classes of data objects and the end users of a project's own application. The objects themselves live in one table
-- per class, objects.c<id of the class>, so that an index or a purge of one class never waits for another tenant.

create schema if not exists objects;
set local search_path = millrace;

-- The members of an object but for some, in their order.
create function json_without(object json, names text[]) returns json language sql immutable as $$
  select coalesce(json_object_agg(key, value order by place), '{}')
  from json_each(object) with ordinality as member (key, value, place)
  where key <> all (names)
$$;

create table object_classes (
  id integer generated always as identity primary key,
  project_id integer not null references projects (id),
  name text not null,
  description text not null default '',
  -- The fields in their order; each has a number of its own, by which its indexes are named.
  fields jsonb not null default '[]',
  metadata jsonb not null default '{}',
  -- Grows with each change of the fields. Writers name it, so that none writes by fields that are gone.
  revision integer not null default 1,
  group_id bigint,
  group_right text not null default 'create_objects'
    constraint object_classes_group_right_known check (group_right in ('none', 'read', 'create_objects')),
  other_right text not null default 'create_objects'
    constraint object_classes_other_right_known check (other_right in ('none', 'read', 'create_objects')),
  -- A table whose rows are the objects; such a class is read-only and has no table of its own.
  source_table_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint object_classes_name_unique unique (project_id, name)
);

create table end_users (
  id bigint generated always as identity primary key,
  project_id integer not null references projects (id),
  username text not null,
  -- scrypt$N$r$p$salt$hash
  password_hash text not null,
  -- Both, because the key is found by its hash and shown again to whoever may see it.
  key_hash bytea not null constraint end_users_key_unique unique,
  key_cipher text not null,
  -- The user's object in the project's class of profiles.
  profile_id bigint not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint end_users_name_unique unique (project_id, username)
);
