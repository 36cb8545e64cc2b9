-- Maintainers above organizations, members of both, memberships that end or wait for a yes, features, and the kinds of
-- tokens by which all this is managed.

set local search_path = millrace;

create table maintainers (
  id integer generated always as identity primary key,
  name text not null,
  created_at timestamptz not null default now()
);
insert into maintainers (name) values ('Default');

alter table organizations
  add column maintainer_id integer references maintainers (id),
  add column allow_auto_join boolean not null default true,
  add column crm_id text not null default '',
  add column activity_center_project_id integer references projects (id),
  add column deleted_at timestamptz;
update organizations set maintainer_id = (select id from maintainers);
alter table organizations alter column maintainer_id set not null;

create table maintainer_members (
  maintainer_id integer not null references maintainers (id) on delete cascade,
  person_id integer not null references persons (id),
  invitor_id integer references persons (id),
  created_at timestamptz not null default now(),
  primary key (maintainer_id, person_id)
);
create index maintainer_members_person on maintainer_members (person_id);

create table organization_members (
  organization_id integer not null references organizations (id),
  person_id integer not null references persons (id),
  invitor_id integer references persons (id),
  created_at timestamptz not null default now(),
  primary key (organization_id, person_id)
);
create index organization_members_person on organization_members (person_id);

-- Until now administrators of everything ran the one organization.
insert into maintainer_members (maintainer_id, person_id)
  select m.id, p.id from maintainers m, persons p where p.is_super_admin;
insert into organization_members (organization_id, person_id)
  select o.id, p.id from organizations o, persons p where p.is_super_admin;

alter table project_members
  add column reason text,
  -- Past it the member is none any more; nothing needs to sweep.
  add column expires_at timestamptz,
  add column invitor_id integer references persons (id),
  add column approver_id integer references persons (id);

-- Who is invited, or asks to be let in. Never both: whoever comes second is told to use what is there.
create table pending_memberships (
  id integer generated always as identity primary key,
  kind text not null constraint pending_memberships_kind_known check (kind in ('invitation', 'request')),
  scope text not null constraint pending_memberships_scope_known check (scope in ('maintainer', 'organization', 'project')),
  -- A maintainer, an organization or a project, by scope.
  target_id integer not null,
  person_id integer not null references persons (id),
  creator_id integer not null references persons (id),
  role text,
  reason text,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  constraint pending_memberships_one unique (scope, target_id, person_id)
);
create index pending_memberships_person on pending_memberships (person_id);

alter table projects
  add column expires_at timestamptz,
  -- {"reason": ..., "estimatedEndTime": ...}; null: enabled.
  add column disabled jsonb,
  add column settings jsonb not null default '{}';

alter table persons
  add column features text[] not null default '{}',
  add column deleted_at timestamptz;

alter table tokens
  -- What a token of a program, not of a person, may do. Null: all that its person may.
  add column scopes text[],
  add column is_session boolean not null default false;

create table features (
  id integer generated always as identity primary key,
  name text not null,
  type text not null constraint features_type_known check (type in ('admin', 'project', 'global')),
  title text not null,
  description text not null default '',
  can_be_managed_by_admin boolean not null default false,
  can_be_managed_via_api boolean not null default true,
  created_at timestamptz not null default now(),
  constraint features_name_unique unique (name, type)
);
-- The one that every project starts with.
insert into features (name, type, title) values ('queuev2', 'project', 'Job queue');
