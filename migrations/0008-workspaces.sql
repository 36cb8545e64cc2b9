-- Databases with logins of their own that people and jobs work in from outside.

set local search_path = millrace;

create table workspaces (
  id bigint primary key default nextval('object_id'),
  project_id integer not null references projects (id),
  -- No reference: the row must outlive its token until the database behind it is gone.
  token_id bigint not null,
  backend text not null,
  purpose text not null,
  -- Written before the backend is asked and removed after it has done away with everything, so that a crash at any
  -- point leaves a row from which the rest is cleaned up.
  state text not null constraint workspaces_state_known check (state in ('creating', 'active', 'deleting')),
  -- Of the database and of its login on the backend.
  name text not null constraint workspaces_name_unique unique,
  -- A cipher. People copy the password into other programs, so it never changes.
  password text not null,
  -- Null: it never expires and cannot be extended.
  lifetime_seconds integer,
  created_at timestamptz not null default now(),
  touched_at timestamptz not null default now(),
  constraint workspaces_one_per_purpose unique (token_id, backend, purpose)
);
create index workspaces_project on workspaces (project_id, id);
