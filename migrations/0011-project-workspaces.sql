-- Workspaces that belong to a project (and a branch of it) and not to the token that asked for them.

set local search_path = millrace;

alter table workspaces
  -- Whose it is: a token's ends with the token, a project's with the project.
  add column holder text not null default 'token' constraint workspaces_holder_known check (holder in ('token', 'project')),
  -- Of a project's only.
  add column branch_id bigint references branches (id),
  -- The configuration it was made for, if any.
  add column component_id text,
  add column configuration_id text,
  add constraint workspaces_branch check ((holder = 'project') = (branch_id is not null));
