-- Who there is: organizations, persons, projects with their branches, and the tokens by which everybody calls.

create schema if not exists millrace;
set local search_path = millrace;

-- One sequence for everything whose number clients compare or concatenate: tickets, jobs, files, branches,
-- generated configuration ids. So a ticket taken later is always larger than any id seen before.
create sequence object_id as bigint start with 1000;

-- Small facts about this installation as a whole, such as the check value of the data key.
create table settings (
  key text primary key,
  value jsonb not null,
  updated_at timestamptz not null default now()
);

create table organizations (
  id integer generated always as identity primary key,
  uuid uuid not null constraint organizations_uuid_unique unique,
  name text not null,
  created_at timestamptz not null default now()
);

create table persons (
  id integer generated always as identity primary key,
  email text not null,
  name text not null,
  -- scrypt$N$r$p$salt$hash; null for a person who cannot log in by password.
  password_hash text,
  is_super_admin boolean not null default false,
  created_at timestamptz not null default now()
);
create unique index persons_email_unique on persons (lower(email));

create table projects (
  id integer generated always as identity primary key,
  organization_id integer not null references organizations (id),
  uuid uuid not null constraint projects_uuid_unique unique,
  -- Never changes and is never given out again: it is part of clients' URLs.
  slug text not null constraint projects_slug_unique unique,
  name text not null,
  type text not null default 'production',
  -- The backend name announced to clients, which switch whole feature sets by it.
  default_backend text not null default 'snowflake',
  features text[] not null default '{}',
  limits jsonb not null default '{}',
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);

create table project_members (
  project_id integer not null references projects (id),
  person_id integer not null references persons (id),
  role text not null constraint project_members_role_known
    check (role in ('admin', 'guest', 'readOnly', 'share', 'developer', 'reviewer', 'productionManager')),
  created_at timestamptz not null default now(),
  primary key (project_id, person_id)
);
create index project_members_person on project_members (person_id);

create table branches (
  id bigint primary key default nextval('object_id'),
  project_id integer not null references projects (id),
  name text not null,
  description text not null default '',
  is_default boolean not null default false,
  creator_token_id bigint,
  creator_token_description text,
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index branches_one_default on branches (project_id) where is_default;
create unique index branches_name_unique on branches (project_id, lower(name)) where deleted_at is null;

-- Every credential of every dialect. The secret itself is never stored, only its SHA-256: secrets are random, so a
-- slow hash would buy nothing and cost every request.
create table tokens (
  id bigint generated always as identity primary key,
  kind text not null constraint tokens_kind_known
    check (kind in ('storage', 'manage', 'application', 'account-key', 'api-key')),
  -- Null for the tokens of a person that work across projects.
  project_id integer references projects (id),
  person_id integer references persons (id),
  secret_hash bytea not null constraint tokens_secret_unique unique,
  -- The public half of credentials that come in pairs: an Airbyte client id.
  public_id text constraint tokens_public_id_unique unique,
  description text not null,
  is_master boolean not null default false,
  rights jsonb not null default '{}',
  bucket_permissions jsonb not null default '{}',
  -- Null: no list at all. An empty list is a list.
  component_access text[],
  creator_token_id bigint,
  created_at timestamptz not null default now(),
  refreshed_at timestamptz not null default now(),
  expires_at timestamptz,
  disabled_at timestamptz,
  constraint tokens_owner check (project_id is not null or person_id is not null)
);
create index tokens_project on tokens (project_id, id);
create index tokens_person on tokens (person_id) where person_id is not null;
